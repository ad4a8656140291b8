"""The conversation with one remote: what its refs are, fetches into the clone, pushes out of it; must not judge a push.

Which refs the clone has whole is known here, since every fetch and push goes through here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError, TemporaryError
from promotion.model import Credential
from promotion.repository import cache
from promotion.repository.process import Answer, Git
from promotion.repository.words import failure, gist

GROWTH = "blob:limit=1m"
"""The filter for what grows: all but huge blobs. Without any filter, Git takes the pack for a complete one and refuses it
where a changed tree names old blobs that the clone lacks ("did not receive expected object", seen with 2.39)."""
REMOTE_SECONDS = 60
TRANSFER_SECONDS = 600
OWN_FAULT = re.compile(
    r"corrupt|bad object|unable to read|loose object|packfile|bad tree|missing (blob|tree|commit)|reference broken"
    r"|cannot lock ref|shallow|'origin' does not appear|unable to (unpack|parse)|cannot read existing|hash mismatch"
    r"|garbage at end|invalid object"
)
"""What git says of a broken clone."""
MOVED = re.compile(
    r"cannot lock ref '[^']+': (is at \w+ but expected \w+|reference already exists|Unable to create '[^']+\.lock': File exists)"
)
"""What it says when a ref of the clone was moved meanwhile, or is being moved: a push of another process moves those that it pushes,
without our lock. A lock that stays is a dead one's."""
MOVES = 5
"""How often that may happen to one fetch before something else is wrong."""
FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")


class BrokenCloneError(TemporaryError):
    """The clone itself is at fault, not the remote; it is only a cache, so the next refresh makes it again."""


@dataclass(frozen=True, slots=True)
class Update:
    """One ref of a push: it must still be at `old` (None: not exist), and `new` must descend from it by first parents."""

    ref: str
    old: str | None
    new: str


class Remote:
    """One remote, through the clone of it at `path`; `discard` removes the clone when git says that it is at fault.

    `credential` reads, and pushes where no other is given.
    """

    def __init__(
        self, url: str, git: Git, path: Path, credential: Credential | None, discard: Callable[[], None]
    ) -> None:
        self.url = url
        self._git = git
        self._path = path
        self._credential = credential
        self._discard = discard
        self._complete: dict[str, str] | None = None
        self._known: object = None
        """The clone that this was found out about."""
        self._talked: object = None
        """The clone that git worked on last: others may have put a new one in its place."""

    def complete(self) -> Mapping[str, str]:
        """Refs whose whole history is in the clone, from an earlier fetch or our own push, and their tips."""
        if self._complete is None:
            self._known = self._talked = cache.identity(self._path)
            answer = self._git.run(self._path, "for-each-ref", "--format=%(objectname) %(refname)")
            if answer.status:
                raise self._broken(gist(answer.said))
            lines = (line.partition(" ") for line in answer.output.decode("utf-8", "surrogateescape").splitlines())
            self._complete = {ref: oid for oid, _, ref in lines}
        return self._complete

    def completed(self, tips: Mapping[str, str]) -> None:
        """Notes what the clone has whole by now."""
        self._complete = {**self.complete(), **tips}

    def forget(self) -> None:
        """What was known of a clone that is gone."""
        self._complete = None

    def is_replaced(self) -> bool:
        """Whether another process has put a clone of its own in the place of the one that we know: it lacks what we fetched."""
        return self._complete is not None and cache.identity(self._path) != self._known

    def tips(self, refs: Sequence[str]) -> dict[str, str]:
        """The tips of these refs at this moment; a `*` at the end stands for what follows."""
        answer = self._talk("ls-remote", "--end-of-options", "origin", *refs, seconds=REMOTE_SECONDS)
        if answer.status:
            raise self._fault(answer.said)
        lines = (line.partition("\t") for line in answer.output.decode("utf-8", "surrogateescape").splitlines())
        globs = tuple(ref[:-1] for ref in refs if ref.endswith("*"))
        return {ref: oid for oid, _, ref in lines if ref in refs or (globs and ref.startswith(globs))}

    def default_branch(self) -> str | None:
        """The branch that the remote's HEAD names, whether it is there or not."""
        answer = self._talk("ls-remote", "--symref", "origin", "HEAD", seconds=REMOTE_SECONDS)
        if answer.status:
            raise self._fault(answer.said)
        found = re.search(rb"^ref: refs/heads/(\S+)\tHEAD$", answer.output, re.MULTILINE)
        return found[1].decode("utf-8", "surrogateescape") if found else None

    def fetch(self, refs: Sequence[str], whole: frozenset[str]) -> None:
        """New branches come without blobs; what grows on known ones, and `whole`, comes whole: that costs what the change costs."""
        old = self.complete()
        first = [ref for ref in refs if ref not in old and ref not in whole]
        with cache.lock(self._path):
            for chosen, filters in ((first, "blob:none"), ([r for r in refs if r not in first], GROWTH)):
                if not chosen:
                    continue
                self._fetch([*FETCH, f"--filter={filters}", "origin", *(f"+{ref}:{ref}" for ref in chosen)])
            cache.tidy(self._git, self._path)

    def _fetch(self, args: Sequence[str]) -> None:
        for again in reversed(range(MOVES)):
            answer = self._talk(*args)
            if not answer.status:
                return
            if not again or not MOVED.search(answer.said):
                raise self._fault(answer.said)

    def fetch_objects(self, oids: Sequence[str]) -> None:
        """Fetches these objects in one go, as git itself does for a partial clone."""
        with cache.lock(self._path):
            args = (*FETCH, "--filter=blob:none", "--stdin", "origin")
            wanted = "".join(f"{oid}\n" for oid in oids).encode()
            answer = self._talk(*args, stdin=wanted, config=[("fetch.negotiationAlgorithm", "noop")])
        if answer.status:
            raise self._fault(answer.said)

    def push(self, updates: Sequence[Update], credential: Credential | None) -> str:
        """Compare-and-swap of several refs at once. Returns what the remote said, '' if nothing."""
        args = ["push", "--porcelain", "--atomic", "--no-verify", "--no-signed"]
        args += [f"--force-with-lease={u.ref}:{u.old or ''}" for u in updates]
        args += ["origin", *(f"{u.new}:{u.ref}" for u in updates)]
        answer = self._talk(*args, credential=credential)
        self.completed({u.ref: u.new for u in updates})
        refused = [line for line in answer.output.decode("utf-8", "replace").splitlines() if line.startswith("!")]
        if answer.status:
            self._fault(answer.said)
        return "\n".join([answer.said, *refused]) if answer.status else ""

    def look_for_token(self, credential: Credential | None) -> None:
        """Raises ConfigError when the token is not where it should be."""
        self._git.login(credential, self.url)

    def _talk(
        self, *args: str, credential: Credential | None = None, seconds: float = TRANSFER_SECONDS, **more: Any
    ) -> Answer:
        """A git command that speaks with the remote; the token is read anew, and only this one process gets it."""
        login = self._git.login(credential or self._credential, self.url)
        self._talked = cache.identity(self._path)
        return self._git.run(self._path, *args, seconds=seconds, login=login, **more)

    def _fault(self, said: str) -> PromotionError:
        """What a failed git command means. A clone that is at fault itself goes: the next refresh makes it again.

        Git names the clone's path for most of its faults, a lock too: whoever changes a clone holds ours, or is through in a
        moment, so it is a dead one's. What the remote itself says is no sign of it.
        """
        ours = "\n".join(line for line in said.splitlines() if not line.startswith("remote:"))
        if str(self._path) in ours or OWN_FAULT.search(ours):
            return self._broken(gist(ours, 120))
        return failure(said, self.url, self._credential)

    def _broken(self, said: str) -> BrokenCloneError:
        """Removes the clone that this was said of, not one that another process has made since."""
        if cache.identity(self._path) == self._talked:
            self._discard()
        return BrokenCloneError(said, where=self.url)
