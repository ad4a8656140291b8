"""Content merges of many files by one `git merge-tree`, with or without markers for what conflicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from promotion.errors import PromotionError
from promotion.model import Entry
from promotion.repository.objects import EMPTY_TREE, Objects
from promotion.repository.process import Git
from promotion.repository.words import gist

Triple = tuple[Entry, Entry, Entry]
"""(base, target, source): regular files."""


@dataclass(frozen=True, slots=True)
class Merges:
    """What git made of triples, by their number."""

    files: Mapping[bytes, Entry]
    conflicted: frozenset[str]
    sides: tuple[str, str]
    """What git calls target and source in its markers."""


def three_way(
    git: Git, path: Path, objects: Objects, triples: Sequence[Triple], lacks: Callable[[str], PromotionError]
) -> Merges:
    """Each triple is a file `0`, `1`, ... of three small trees, so no path, rename or attribute can have a say."""
    commits, at = list[str](), datetime.fromtimestamp(0, UTC)  # the same objects each time: rounds leave no new ones
    for side in range(3):
        tree = objects.write_tree(EMPTY_TREE, {b"%d" % n: triple[side] for n, triple in enumerate(triples)})
        commits.append(objects.write_commit(tree, commits[:1], "content merge", git.people, at))
    answer = git.run(path, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", *commits[1:])
    if answer.status not in (0, 1):
        raise lacks(f"what a content merge needs ({gist(answer.said, 120)})")
    tree, *conflicted = answer.output.decode("ascii", "replace").rstrip("\0").split("\0")
    return Merges(objects.tree(tree), frozenset(conflicted), (commits[1], commits[2]))


def marked(objects: Objects, merges: Merges, number: int, names: tuple[str, str]) -> Entry | None:
    """One file as it was merged, its markers labelled with these names; None where it conflicts and is no text."""
    entry = merges.files.get(b"%d" % number)
    if entry is None or str(number) not in merges.conflicted:
        return entry
    data = objects.blob(entry.oid)
    for marker, side, name in zip((b"<<<<<<< ", b">>>>>>> "), merges.sides, names, strict=True):
        if marker + side.encode() not in data:
            return None
        data = data.replace(marker + side.encode(), marker + name.encode("utf-8", "replace"))
    return Entry(entry.mode, objects.write_blob(data))
