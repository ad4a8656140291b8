"""Questions about long histories, answered by git's own walk: a constant number of processes, however long they are.

What decides reads the few commits that it needs itself, and asks here where they lie far apart. Only here a commit-graph
is used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha1
from pathlib import Path

from promotion.errors import PromotionError
from promotion.model import Commit
from promotion.repository import cache
from promotion.repository.objects import Objects
from promotion.repository.process import Git, on_disk

PAGES = (64, 512, 4096)
"""How many commits of a line are read ahead at first, and then: whoever wants the newest ones should not wait for more."""
WORN_SECONDS = 7 * 24 * 3600
"""What is newer than the commit-graph is walked without it, so it is written again when it is so old."""


class History:
    """The histories in one clone. `lacks` is told what is missing or unreadable, and makes the error to raise."""

    def __init__(self, git: Git, path: Path, objects: Objects, lacks: Callable[[str], PromotionError]) -> None:
        self._git = git
        self._path = path
        self._objects = objects
        self._lacks = lacks

    def line(self, tip: str, roots: Sequence[bytes] = ()) -> Iterator[Commit]:
        """The commits of a branch, newest first, following first parents only; read in pages.

        With paths only those that changed something there.
        """
        last, pages = tip, iter(PAGES)
        while True:
            oids = self._rev_list("--first-parent", f"--max-count={next(pages, PAGES[-1])}", last, roots=roots)
            commits = self._objects.commits(oids)
            yield from commits
            if not (commits and commits[-1].parents):
                return
            last = commits[-1].parents[0]

    def ids(self, tip: str) -> list[str]:
        """The ids of a branch's commits, newest first, following first parents only."""
        return self._rev_list("--first-parent", tip)

    def saying(self, tip: str, *words: str, most: int | None = None) -> list[Commit]:
        """The commits of a branch, newest first, whose message has any of these words; git looks no further than `most`."""
        limit = [] if most is None else [f"--max-count={most}"]
        found = self._rev_list("--first-parent", "--fixed-strings", *limit, *(f"--grep={word}" for word in words), tip)
        return self._objects.commits(found)

    def after(self, change: str, tips: Sequence[str]) -> Mapping[str, str | None]:
        """All commits of these tips' histories that have a change in theirs, and itself: commit -> its first parent."""
        graph = [("core.commitGraph", "true")] if self._has_graph() else []
        found: dict[str, str | None] = {}
        for line in self._rev_list("--ancestry-path", "--parents", f"^{change}", *tips, config=graph):
            found[line[:40]] = line[41:81] or None
        parents = self._objects.commit(change).parents
        return {**found, change: parents[0] if parents else None}

    def changes(self, tip: str, base: str | None, roots: Sequence[bytes], most: int) -> list[Commit]:
        """The newest commits that changed something at these paths, on the first-parent line of `tip` and not in `base`."""
        walk = ("--first-parent", f"--max-count={most}", tip, *([f"^{base}"] if base else []))
        return self._objects.commits(self._rev_list(*walk, roots=roots))

    def between(self, old: str | None, new: str, roots: Sequence[bytes] = (), *, merges: bool = False) -> list[Commit]:
        """The commits that are in `new` and not in `old`, newest first; without `merges` those are left out.

        With paths only those that changed something there.
        """
        walk = (*([] if merges else ["--no-merges"]), "--topo-order", new, *([f"^{old}"] if old else []))
        return self._objects.commits(self._rev_list(*walk, roots=roots))

    def _rev_list(self, *args: str, roots: Sequence[bytes] = (), config: Sequence[tuple[str, str]] = ()) -> list[str]:
        paths = [f":(top,literal){os.fsdecode(root)}" for root in roots]
        answer = self._git.run(self._path, "rev-list", *args, "--", *paths, config=config)
        if answer.status:
            raise self._lacks("a part of its history")
        return answer.output.decode("ascii").splitlines()

    def _has_graph(self) -> bool:
        """Whether there is a commit-graph that is what git wrote; one that is not, or is old, is written again."""
        path = self._path / "objects" / "info" / "commit-graph"
        if _is_sound(path) and time.time() - path.stat().st_mtime < WORN_SECONDS:
            return True
        config = [("core.commitGraph", "true"), ("protocol.allow", "never")]
        with cache.lock(self._path), on_disk(self._path):
            path.unlink(missing_ok=True)  # git would build upon it
            self._git.run(self._path, "commit-graph", "write", "--reachable", config=config)
        return _is_sound(path)


def _is_sound(path: Path) -> bool:
    """Whether a file ends with its own sum: git itself never looks at it."""
    try:
        data = path.read_bytes()
    except OSError:
        return False  # it is only there to be faster
    return sha1(data[:-20], usedforsecurity=False).digest() == data[-20:]
