"""`validate --online`: which credential reads and which pushes where, and whether the host lets it; writes nothing anywhere.

A push that changes nothing tells whether the host takes pushes from a credential at all. Rules for single branches are
judged when something is really pushed and not before, so this says that they are not known, and never guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from promotion.errors import PromotionError
from promotion.model import Credential
from promotion.observe import Site, World
from promotion.repository import Update
from promotion.repository.words import failure, gist

HEAD = ("APPLICATION", "ENVIRONMENT", "PURPOSE", "CREDENTIAL", "MAY WRITE")
UNKNOWN_RULES = "the host takes its pushes; rules for single branches show only when something is pushed"


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of one credential. `may_write`: None when nobody could be asked."""

    may_write: bool | None
    reason: str
    fix: str | None = None


def access(site: Site, world: World | None) -> list[dict[str, Any]]:
    """Rows of `application`, `environment`, `purpose`, `credential`, `may_write`, `reason` and `fix`; for reading it is None.

    Without a world nothing could be read, and only the tokens are looked for.
    """
    app = site.application
    ledger = app.ledger.removeprefix("refs/heads/")
    told = {credential: _told(site, world, credential) for credential in _all(site)}
    reads = _reading(site, world, told[app.credential])
    rows = [_row(site, None, "read", app.credential, reads)]
    rows.append(_row(site, None, f"{ledger} alone", app.credential, told[app.credential]))
    for each in app.environments:
        if each.source is not None:  # people push to a root, and we do not
            rows.append(_row(site, each.name, f"{each.branch} and {ledger}", each.credential, told[each.credential]))
    return rows


def cells(row: dict[str, Any]) -> list[str]:
    """The row for people, below `HEAD`."""
    words = {True: "yes, unless a rule says no", False: "NO", None: "not asked"}
    may = "-" if row["purpose"] == "read" else words[row["may_write"]]
    return [row["application"], row["environment"] or "-", row["purpose"], row["credential"], may]


def _all(site: Site) -> dict[Credential | None, None]:
    used = [e.credential for e in site.application.environments if e.source is not None]
    return dict.fromkeys([site.application.credential, *used])


def _row(
    site: Site, environment: str | None, purpose: str, credential: Credential | None, told: _Told
) -> dict[str, Any]:
    return {
        "application": site.application.name,
        "environment": environment,
        "purpose": purpose,
        "credential": str(credential) if credential else "git's own",
        "may_write": told.may_write,
        "reason": told.reason,
        "fix": told.fix,
    }


def _reading(site: Site, world: World | None, told: _Told) -> _Told:
    address = urlsplit(site.application.repository)
    if world is None:
        return _Told(None, told.reason if told.fix else "it could not be read", told.fix)
    if (
        site.application.credential
        and address.scheme == "http"
        and address.hostname not in ("127.0.0.1", "localhost", "::1")
    ):
        return _Told(None, "it reads", "over http:// everybody on the way sees the token: write https://")
    return _Told(None, "it reads")


def _told(site: Site, world: World | None, credential: Credential | None) -> _Told:
    try:
        site.repository.look_for_token(credential)
        if world is None:
            return _Told(None, "not asked: the repository could not be read")
        tips = {e.ref: world.tip(e) for e in site.application.environments}
        said = site.repository.push([Update(ref, tip, tip) for ref, tip in tips.items()], credential)
    except PromotionError as exc:
        return _Told(False, str(exc), exc.hint or f"mend {credential or 'what git is given'}")
    if not said:
        return _Told(True, UNKNOWN_RULES)
    wrong = failure(said, site.repository.url, credential)
    fix = wrong.hint if wrong.exit_status == 2 else None
    return _Told(False, gist(said), fix or "a credential that may push, on a server with atomic pushes")
