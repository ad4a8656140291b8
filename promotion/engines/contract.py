"""What an engine is: it deploys a branch and reports the deployed revision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from promotion.model import Entry, Reading, Reverted, Subject


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
    `replaced` is the revision that ran before this sync deployed another one.
    """

    revision: str | None
    reading: Reading | None = None
    reverted: tuple[str, ...] = ()
    records: tuple[Reverted, ...] = ()
    replaced: str | None = None


class Engine(Protocol):
    """Both raise TemporaryError when the engine cannot be reached now, ConfigError when it never will be."""

    def observe(self, settings: Mapping[str, Any], subject: Subject) -> Deployed:
        """One reading. `subject.revision` is the branch's tip: what is expected."""
        ...

    def sync(self, settings: Mapping[str, Any], subject: Subject, content: Content) -> Deployed:
        """Make the running system match `subject.revision`, whose files are `content`.

        When something else runs afterwards, the deployment failed: the reading says why.
        """
        ...
