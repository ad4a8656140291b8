"""Whether a ledger is the one that there was: nothing that was seen in it, or built upon it, may be gone. Reads Git only.

Two witnesses: this clone keeps the last tip that it found sound, and each promotion names the record that it was planned on.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from promotion import ledger, trust
from promotion.errors import RefusedError, TornError
from promotion.lineage import is_ours
from promotion.model import Application, Commit, Environment
from promotion.repository import Repository, Snapshot, cache
from promotion.repository.store import OID
from promotion.texts import short

NEAR = 200
"""How many records are looked at one by one before git is asked where one lies."""
FAR = 1000
"""How many commits of a branch are looked at for the newest promotion."""
NOTHING = "none"
"""What a promotion names that was made before there was a ledger."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A record that the ledger has not any more, and who says that it had it."""

    record: str
    witness: str


def check(repository: Repository, app: Application, snapshot: Snapshot) -> None:
    """Raises RefusedError, with the command that mends it, for a ledger that was rewound, deleted or replaced; TornError."""
    found = lost(repository, app, snapshot)
    if not found:
        return
    wanted = [
        ref for ref in (app.ledger, *(e.ref for e in app.environments)) if ref in snapshot.tips or ref == app.ledger
    ]
    fresh = repository.refresh(wanted)  # a server moves the refs of one push one after the other
    if any(fresh[ref] != snapshot[ref] for ref in wanted):
        raise TornError(repository.url)
    raise RefusedError(said(app, snapshot, found[0]), where=app.name, hint=_mending(repository, app, snapshot, found))


def said(app: Application, snapshot: Snapshot, loss: Lost) -> str:
    name = app.ledger.removeprefix("refs/heads/")
    if snapshot[app.ledger] is None:
        return f"its ledger {name} is gone, {loss.witness}"
    return f"its ledger {name} was rewound or replaced: it does not have {short(loss.record)}, {loss.witness}"


def knows(repository: Repository, app: Application) -> bool:
    """Whether this clone remembers a tip of the ledger: then no branch is asked for a witness."""
    return cache.kept(repository.path, app.ledger) is not None


def keep(repository: Repository, app: Application, sound: str | None) -> None:
    """Remembers the newest record that counts, so that it is missed when it is gone."""
    if sound is not None and cache.kept(repository.path, app.ledger) != sound:
        cache.keep(repository.path, app.ledger, sound)


def lost(repository: Repository, app: Application, snapshot: Snapshot, *, by_all: bool = False) -> list[Lost]:
    """What is gone from the ledger, and nobody has accepted that it is; with `by_all` all that any witness says.

    Else promotions are asked only where this clone remembers nothing: what goes on from what it found sound is sound.
    """
    tip, kept = snapshot[app.ledger], cache.kept(repository.path, app.ledger)
    found: list[Lost] = []
    if kept is not None and not _has(repository, tip, kept):
        found.append(Lost(kept, "which it had when this clone last read it"))
    if kept is None or by_all:
        found += _promised(repository, app, snapshot, tip)
    accepted = _accepted(repository, app, tip) if found and tip else []
    return [loss for loss in found if not any(_related(repository, loss.record, other) for other in accepted)]


def _promised(repository: Repository, app: Application, snapshot: Snapshot, tip: str | None) -> Iterator[Lost]:
    """The records that the newest promotions on the branches were planned on, as far as they are gone."""
    for environment in app.environments:
        made = _newest(repository, app, environment, snapshot[environment.ref])
        if made is None:
            continue
        record = made.trailers.get("Promotion-Ledger", NOTHING)
        known = tip is not None and (record == NOTHING or _has(repository, tip, record))
        if not known:
            yield Lost(record, f"on which {short(made.oid)} came to {environment.name}")


def _newest(repository: Repository, app: Application, environment: Environment, tip: str | None) -> Commit | None:
    for number, commit in enumerate(repository.first_parents(tip) if tip else ()):
        if is_ours(commit, app.name, environment.name):
            return commit
        if number == FAR:
            break
    return None


def _has(repository: Repository, tip: str | None, record: str) -> bool:
    """Whether a record is in the ledger's history."""
    if tip is None or not OID.fullmatch(record):
        return False
    for number, commit in enumerate(repository.first_parents(tip)):
        if commit.oid == record:
            return True
        if number == NEAR:
            break
    return repository.is_ancestor(record, tip)


def _accepted(repository: Repository, app: Application, tip: str) -> list[str]:
    """The records that somebody may say are lost, and said so: in a `configured` event of this ledger."""
    found: list[str] = []
    for record in repository.history.saying(tip, '"lost":['):
        try:
            event = ledger.event_of(record)
        except RefusedError:
            continue
        if event.event == "configured" and (
            app.trust is None
            or trust.judged(app.name, app.trust, record, repository.signatures.one(app.trust.signers, record.oid))
            is None
        ):
            found += [each for each in event.data.get("lost", ()) if isinstance(each, str)]
    return found


def _related(repository: Repository, one: str, other: str) -> bool:
    """Whether one of two records is in the history of the other: then they were of one ledger."""
    if one == other:
        return True
    there = all(OID.fullmatch(oid) and repository.objects.has(oid) for oid in (one, other))
    return there and (repository.is_ancestor(one, other) or repository.is_ancestor(other, one))


def _mending(repository: Repository, app: Application, snapshot: Snapshot, found: list[Lost]) -> str:
    """How to put it back, where it can be had, or to go on without."""
    accept = "promotion configure --accept-loss --reason R   goes on without it"
    here = [loss.record for loss in found if OID.fullmatch(loss.record) and repository.find(loss.record)]
    if not here:
        return f"another clone may have it, and says how to put it back;  {accept}"
    lease = f"--force-with-lease={app.ledger}:{snapshot[app.ledger] or ''}"
    words = ["git", f"--git-dir={repository.path}", "push", lease, repository.url, f"{here[0]}:{app.ledger}"]
    return f"{shlex.join(words)}   puts it back;  {accept}"
