"""Which commits are promotions and rollbacks by the ledger's word: a message alone may have been copied along.

Reads Git, decides nothing. Where only signed records count, the others confirm nothing either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from promotion import ledger, scope, trust
from promotion.errors import RefusedError
from promotion.events import Event
from promotion.lineage import is_ours
from promotion.model import Commit, Trust
from promotion.observe import Site, World

_ID = re.compile("[0-9a-f]{32}")
LANDED = ("promoted", "rolled-back")
"""The events that tell of a commit of ours."""


@dataclass(frozen=True, slots=True)
class Told:
    """A record that a commit landed, and what it says; whether it counts is for `confirms` to say."""

    record: Commit
    event: Event


def of(site: Site, world: World, commits: Iterable[Commit]) -> frozenset[str]:
    """Those of these commits that are promotions or rollbacks into any environment of the application."""
    names = [e.name for e in site.application.environments]  # a root has rollbacks
    claims = {
        c.oid: c for c in commits if attempt(c) and any(is_ours(c, site.application.name, name) for name in names)
    }
    words = {f'"id":"{attempt(c)}"' for c in claims.values()}
    most = None if site.application.trust else len(words)  # a stranger's records may be in the way of those that count
    found = told(site, world, *sorted(words), most=most) if words else []
    return frozenset(
        made.oid for one in found if (made := claims.get(commit_of(one))) and confirms(site, world, one, made)
    )


def told(site: Site, world: World, *words: str, most: int | None = None) -> list[Told]:
    """The records with any of these words that say that a commit landed, newest first; what is unreadable says nothing."""
    found: list[Told] = []
    for record in site.repository.history.saying(world.ledger, *words, most=most) if world.ledger else ():
        try:
            event = ledger.event_of(record)
        except RefusedError:
            continue
        if event.event in LANDED:
            found.append(Told(record, event))
    return found


def confirms(site: Site, world: World, one: Told, made: Commit) -> bool:
    """Whether a record counts, and is about this very commit and the attempt and the environment that it names."""
    says = (commit_of(one), one.event.id, one.event.environment)
    return says == (made.oid, attempt(made), made.trailers.get("Promotion-Environment")) and counts(
        site, world, one.record
    )


def attempt(commit: Commit) -> str | None:
    """The id of the event that a commit names; None where it is none: people may write anything, of any length."""
    said = commit.trailers.get("Promotion-Attempt", "")
    return said if _ID.fullmatch(said) else None


def commit_of(one: Told) -> str:
    return str(one.event.data["commit"])


def counts(site: Site, world: World, record: Commit) -> bool:
    """Whether a record of this ledger does: signed by somebody who may say so, or older than the first that asks for that."""
    trusted = site.application.trust
    if trusted is None:
        return True
    key = ("counts", site.application.name, record.oid, trusted)
    if scope.remembered(site.repository, key, lambda: _is_sound(site, trusted, record)):
        return True
    begun = _begun(site, trusted, world.ledger or "")
    return begun is None or site.repository.is_ancestor(record.oid, begun)


def _is_sound(site: Site, trusted: Trust, record: Commit) -> bool:
    signed = site.repository.signatures.one(trusted.signers, record.oid)
    return trust.judged(site.application.name, trusted, record, signed) is None


def _begun(site: Site, trusted: Trust, tip: str) -> str | None:
    """The oldest record that counts and says that only signed ones do: whoever signed it had judged what was there."""
    key = ("begun", site.application.name, tip, trusted)
    return scope.remembered(site.repository, key, lambda: _found_begun(site, trusted, tip))


def _found_begun(site: Site, trusted: Trust, tip: str) -> str | None:
    for record in reversed(site.repository.history.saying(tip, '"event":"configured"')):
        try:
            event = ledger.event_of(record)
        except RefusedError:
            continue
        if event.event == "configured" and "trust" in event.data["in_force"] and _is_sound(site, trusted, record):
            return record.oid
    return None
