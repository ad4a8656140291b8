"""Typed reading and writing of objects: commits, trees and their differences; never goes to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeVar

from promotion.errors import PromotionError
from promotion.model import Commit, Entry, Person
from promotion.repository.formats import TREE, format_commit, format_tree, parse_commit, parse_tree
from promotion.repository.store import MissingError, Store

T = TypeVar("T")

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
COMMITS, TREES = 5000, 200
"""How many parsed objects are remembered; an id never means anything else."""


class Objects:
    """The objects of one clone. `lacks` is told what is missing or unreadable, and makes the error to raise."""

    def __init__(self, store: Store, lacks: Callable[[str], PromotionError]) -> None:
        self._store = store
        self._lacks = lacks
        self._commits: dict[str, Commit] = {}
        self._trees: dict[str, Mapping[bytes, Entry]] = {}
        self.close = store.close
        self.write = store.write

    def forget(self) -> None:
        """What is remembered of a clone that is made again."""
        self._commits.clear()
        self._trees.clear()

    def has(self, oid: str) -> bool:
        """Whether it is in the clone, or was when it was read as a commit: rounds ask for the same ones each time."""
        return oid in self._commits or self._store.has(oid)

    def is_stored(self, oid: str) -> bool:
        """Whether it is in the clone now, whatever was read before."""
        return self._store.has(oid)

    def has_commit(self, oid: str) -> bool:
        """Whether it is there, and a commit: people and their programs may name anything."""
        return oid in self._commits or (self._store.has(oid) and not self.missing([oid]))

    def missing(self, oids: Sequence[str], kind: str = "commit") -> list[str]:
        """Those of many that are no commits, or no objects of another kind, in the clone."""
        try:
            return self._store.missing(oids, kind)
        except MissingError as exc:
            raise self._lacks(f"object {str(exc)[:12]}") from exc

    def commit(self, oid: str) -> Commit:
        found = self._commits.get(oid)
        if found is None:
            found = self._read(oid, "commit", lambda data: parse_commit(oid, data))
            _remember(self._commits, oid, found, COMMITS)
        return found

    def commits(self, oids: Sequence[str]) -> list[Commit]:
        """Many at once, which costs a fraction of one after the other. Holds them all."""
        try:
            read = self._store.read_all(oids, "commit")
            return [parse_commit(oid, data) for oid, data in zip(oids, read, strict=True)]
        except MissingError as exc:
            raise self._lacks(f"commit {str(exc)[:12]}") from exc
        except (ValueError, IndexError) as exc:
            raise self._lacks("a commit") from exc

    def tree(self, oid: str) -> Mapping[bytes, Entry]:
        """The entries of one tree, by name."""
        if oid == EMPTY_TREE:
            return {}
        found = self._trees.get(oid)
        if found is None:
            found = self._read(oid, "tree", parse_tree)
            _remember(self._trees, oid, found, TREES)
        return found

    def blob(self, oid: str) -> bytes:
        return self._read(oid, "blob", bytes)

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        """Many at once. Holds them all."""
        try:
            return list(self._store.read_all(oids, "blob"))
        except (MissingError, ValueError) as exc:
            raise self._lacks("a blob") from exc

    def look(self, tree: str, path: bytes) -> Entry | None:
        """The entry at a path."""
        *folders, name = path.split(b"/")
        for folder in folders:
            entry = self.tree(tree).get(folder)
            if entry is None or entry.mode != TREE:
                return None
            tree = entry.oid
        return self.tree(tree).get(name)

    def entries(self, tree: str, roots: Sequence[bytes] = ()) -> Iterator[tuple[bytes, Entry]]:
        """Every leaf below a tree, or below these paths of it, with its full path."""
        stack = self._at(tree, roots)
        while stack:
            at, found = stack.pop()
            if found is not None and found.mode == TREE:
                stack += [(_join(at, name), entry) for name, entry in self.tree(found.oid).items()]
            elif found is not None:
                yield at, found

    def diff(
        self, left: str, right: str, roots: Sequence[bytes] = ()
    ) -> dict[bytes, tuple[Entry | None, Entry | None]]:
        """Leaves that differ between two trees, or below these paths of them; only folders that differ are read. No renames."""
        found: dict[bytes, tuple[Entry | None, Entry | None]] = {}
        pairs = zip(self._at(left, roots), self._at(right, roots), strict=True)
        stack = [(at, one, two) for (at, one), (_, two) in pairs]
        while stack:
            at, one, two = stack.pop()
            if one == two:
                continue
            leaves = tuple(entry if entry is not None and entry.mode != TREE else None for entry in (one, two))
            if leaves != (None, None):
                found[at] = (leaves[0], leaves[1])
            here, there = ({} if e is None or e.mode != TREE else self.tree(e.oid) for e in (one, two))
            stack += [(_join(at, name), here.get(name), there.get(name)) for name in here.keys() | there.keys()]
        return found

    def digest(self, tree: str, roots: Sequence[bytes] = ()) -> str:
        """What tells the content at these paths from any other; without paths the tree's own id."""
        if not roots:
            return tree
        return sha256(repr([(at, e and (e.mode, e.oid)) for at, e in self._at(tree, roots)]).encode()).hexdigest()

    def _at(self, tree: str, roots: Sequence[bytes]) -> list[tuple[bytes, Entry | None]]:
        if not roots:
            return [(b"", Entry(TREE, tree))]
        return [(root, self.look(tree, root)) for root in roots]

    def write_blob(self, data: bytes) -> str:
        return self._store.write("blob", data)

    def write_tree(self, base: str, changes: Mapping[bytes, Entry | None]) -> str:
        """The tree that `base` becomes when each path gets its entry (None: is gone). Empty folders vanish."""
        if not changes:
            return base
        entries, below = dict(self.tree(base)), dict[bytes, dict[bytes, Entry | None]]()
        for path, entry in changes.items():
            name, slash, rest = path.partition(b"/")
            if slash:
                below.setdefault(name, {})[rest] = entry
            elif entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        for name, inner in below.items():
            old = entries.get(name)
            if old is not None and old.mode != TREE and all(e is None for e in inner.values()):
                continue  # a file took the place of the folder whose content goes
            oid = self.write_tree(old.oid if old is not None and old.mode == TREE else EMPTY_TREE, inner)
            if oid == EMPTY_TREE:
                entries.pop(name, None)
            else:
                entries[name] = Entry(TREE, oid)
        return self._store.write("tree", format_tree(entries)) if entries else EMPTY_TREE

    def write_empty_tree(self) -> None:
        """It is known everywhere, and yet a commit of it needs one that is there."""
        self._store.write("tree", b"")

    def write_commit(
        self, tree: str, parents: Sequence[str], message: str, people: tuple[Person, Person], at: datetime
    ) -> str:
        """A commit by (author, committer)."""
        if tree == EMPTY_TREE:
            self.write_empty_tree()
        return self._store.write("commit", format_commit(tree, parents, *people, at, message))

    def _read(self, oid: str, kind: str, parse: Callable[[bytes], T]) -> T:
        try:
            return parse(self._store.read(oid, kind))
        except (MissingError, ValueError, IndexError) as exc:
            raise self._lacks(f"{kind} {oid[:12]}") from exc


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def _remember(known: dict[str, T], oid: str, found: T, most: int) -> None:
    if len(known) >= most:
        known.clear()
    known[oid] = found
