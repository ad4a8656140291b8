"""What an engine is: it reports what is deployed of a branch; some are also our own sync loop, or can be hinted at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from promotion.engines.kept import Kept
from promotion.errors import PromotionError
from promotion.model import WORST_FIRST, Entry, Health, Reading, Reverted, Subject
from promotion.texts import short

Asked = tuple[Mapping[str, Any], Subject]
"""What `observe` is asked with: settings and subject."""


class Content(Protocol):
    """The files of one commit, read from Git objects; nothing is checked out."""

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """Every file, symlink and submodule with its full path; trees themselves are not listed."""
        ...

    def blobs(self, oids: list[str]) -> Iterator[tuple[str, bytes]]:
        """The contents of these blobs (a symlink's is its target), fetched together first where the clone lacks them."""
        ...


@dataclass(frozen=True, slots=True)
class Deployed:
    """What an engine says: the deployed revision (None: nothing) and its own word on health (None: it has none).

    `reverted` lists the paths that were changed by hand and put back by this sync, `records` what earlier ones kept;
    `replaced` is the revision that ran before this sync deployed another one. `waits`: this sync could not deploy all of it
    yet, and nothing is wrong with that; the reading says what it waits for.
    """

    revision: str | None
    reading: Reading | None = None
    reverted: tuple[str, ...] = ()
    records: tuple[Reverted, ...] = ()
    replaced: str | None = None
    waits: bool = False
    parts: tuple[tuple[str, Deployed], ...] = ()
    """Of several objects by name what each says; `revision` and `reading` are what they come to (`agreed`)."""
    age: float = 0.0
    """Seconds since it was read, where it was kept from a question of somebody else's."""


def agreed(parts: Sequence[tuple[str, Deployed]], expected: str | None) -> Deployed:
    """What several objects say together: all at one revision, and the worst answer of all.

    Else they are on their way to what is expected, unless that has failed in one of them: what still runs in another was well,
    and stays so on record.
    """
    if len(parts) == 1:
        return parts[0][1]
    silent = Reading(Health.UNKNOWN, "says nothing of its health")
    said = [(name, deployed.revision, deployed.reading or silent) for name, deployed in parts]
    revisions = {revision for _, revision, _ in said}
    if len(revisions) == 1:
        return Deployed(revisions.pop(), _worst([(name, reading) for name, _, reading in said]), parts=tuple(parts))
    failed = [(name, reading) for name, at, reading in said if at == expected and reading.health is Health.DEGRADED]
    if failed and expected:
        return Deployed(expected, _worst(failed), parts=tuple(parts))
    where = "not all at one commit: " + ", ".join(f"{name} {short(revision)}" for name, revision, _ in said[:5])
    kept = [(name, reading) for name, _, reading in said if reading.health in UNSETTLED]
    reading = _worst(kept) if kept else Reading(Health.PROGRESSING, "")
    reading = Reading(reading.health, "; ".join(filter(None, (where, reading.reason)))[:400])
    return Deployed(expected or next(filter(None, revisions)), reading, parts=tuple(parts))


UNSETTLED = (Health.UNKNOWN, Health.PROGRESSING, Health.SUSPENDED)


def _worst(readings: Sequence[tuple[str, Reading]]) -> Reading:
    health = min((reading.health for _, reading in readings), key=WORST_FIRST.index)
    return Reading(health, "; ".join(f"{name}: {r.reason}" for name, r in readings if r.health is health)[:400])


@runtime_checkable
class Engine(Protocol):
    """Every engine. Raises TemporaryError when it cannot be reached now, ConfigError when it never will be."""

    def observe(self, settings: Mapping[str, Any], subject: Subject) -> Deployed:
        """One reading. `subject.revision` is the branch's newest commit in scope: what is expected.

        What is not settled yet is said of the commit that is on its way; healthy is never said of one that is not proven.
        """
        ...


@runtime_checkable
class Loop(Protocol):
    """An engine that is a sync loop of ours: `promotion sync` runs it. Raises what `observe` does."""

    def sync(self, settings: Mapping[str, Any], subject: Subject, content: Content) -> Deployed:
        """Make the running system match `subject.revision`, whose files are `content`.

        When something else runs afterwards, the deployment failed: the reading says why.
        """
        ...


@runtime_checkable
class Fleet(Protocol):
    """An engine that can be asked about many environments at once."""

    def observe_all(self, asked: Sequence[Asked], kept: Kept | None = None) -> list[Deployed | PromotionError]:
        """What `observe` says, or raises, of each of them, with as few requests as possible; `kept` has what others read just now."""
        ...


def only(answers: Sequence[Deployed | PromotionError]) -> Deployed:
    """What a fleet of one says. Raises the error that it has instead."""
    (answer,) = answers
    if isinstance(answer, PromotionError):
        raise answer
    return answer


@runtime_checkable
class Hinted(Protocol):
    """An engine that can be asked to look at Git now, instead of when it would by itself."""

    def refresh(self, settings: Mapping[str, Any], subject: Subject) -> None:
        """Asks, and does not wait for what comes of it. Only a hint: raises PromotionError, and nothing rests on it."""
        ...


@runtime_checkable
class Advising(Protocol):
    """An engine that knows what keeps a true answer from coming soon."""

    def advice(self, settings: Mapping[str, Any], subject: Subject) -> list[tuple[str, str]]:
        """What there is of that, each with its remedy; `validate --online` tells it. Raises PromotionError."""
        ...
