"""Typed reading and writing of objects: commits, trees and their differences; never goes to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from promotion.errors import PromotionError
from promotion.model import Commit, Entry, Person
from promotion.repository.formats import TREE, format_commit, format_tree, parse_commit, parse_tree
from promotion.repository.store import MissingError, Store

T = TypeVar("T")

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Objects:
    """The objects of one clone. `lacks` is told what is missing or unreadable, and makes the error to raise."""

    def __init__(self, store: Store, lacks: Callable[[str], PromotionError]) -> None:
        self._store = store
        self._lacks = lacks
        self.close = store.close

    def has(self, oid: str) -> bool:
        return self._store.has(oid)

    def commit(self, oid: str) -> Commit:
        return self._read(oid, "commit", lambda data: parse_commit(oid, data))

    def commits(self, oids: Sequence[str]) -> list[Commit]:
        """Many at once, which costs a fraction of one after the other. Holds them all."""
        try:
            read = self._store.read_all(oids, "commit")
            return [parse_commit(oid, data) for oid, data in zip(oids, read, strict=True)]
        except MissingError as exc:
            raise self._lacks(f"commit {str(exc)[:12]}") from exc
        except (ValueError, IndexError) as exc:
            raise self._lacks("a commit") from exc

    def tree(self, oid: str) -> dict[bytes, Entry]:
        """The entries of one tree, by name."""
        return {} if oid == EMPTY_TREE else self._read(oid, "tree", parse_tree)

    def blob(self, oid: str) -> bytes:
        return self._read(oid, "blob", bytes)

    def look(self, tree: str, path: bytes) -> Entry | None:
        """The entry at a path."""
        *folders, name = path.split(b"/")
        for folder in folders:
            entry = self.tree(tree).get(folder)
            if entry is None or entry.mode != TREE:
                return None
            tree = entry.oid
        return self.tree(tree).get(name)

    def entries(self, tree: str, prefix: bytes = b"") -> Iterator[tuple[bytes, Entry]]:
        """Every leaf below a tree, with its full path."""
        stack = [(prefix, tree)]
        while stack:
            at, oid = stack.pop()
            for name, entry in self.tree(oid).items():
                if entry.mode == TREE:
                    stack.append((at + name + b"/", entry.oid))
                else:
                    yield at + name, entry

    def diff(self, left: str, right: str) -> dict[bytes, tuple[Entry | None, Entry | None]]:
        """Leaves that differ between two trees; only folders that differ are read. No renames."""
        found: dict[bytes, tuple[Entry | None, Entry | None]] = {}
        stack: list[tuple[bytes, str, str]] = [(b"", left, right)]
        while stack:
            at, one, two = stack.pop()
            if one == two:
                continue
            here, there = self.tree(one), self.tree(two)
            for name in here.keys() | there.keys():
                a, b = here.get(name), there.get(name)
                if a == b:
                    continue
                trees = [e.oid if e is not None and e.mode == TREE else EMPTY_TREE for e in (a, b)]
                if trees != [EMPTY_TREE, EMPTY_TREE]:
                    stack.append((at + name + b"/", trees[0], trees[1]))
                leaves = tuple(e if e is not None and e.mode != TREE else None for e in (a, b))
                if leaves != (None, None):
                    found[at + name] = (leaves[0], leaves[1])
        return found

    def write_blob(self, data: bytes) -> str:
        return self._store.write("blob", data)

    def write_tree(self, base: str, changes: Mapping[bytes, Entry | None]) -> str:
        """The tree that `base` becomes when each path gets its entry (None: is gone). Empty folders vanish."""
        if not changes:
            return base
        entries, below = self.tree(base), dict[bytes, dict[bytes, Entry | None]]()
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

    def write_commit(
        self, tree: str, parents: Sequence[str], message: str, people: tuple[Person, Person], at: datetime
    ) -> str:
        """A commit by (author, committer)."""
        if tree == EMPTY_TREE:
            self._store.write("tree", b"")
        return self._store.write("commit", format_commit(tree, parents, *people, at, message))

    def _read(self, oid: str, kind: str, parse: Callable[[bytes], T]) -> T:
        try:
            return parse(self._store.read(oid, kind))
        except (MissingError, ValueError, IndexError) as exc:
            raise self._lacks(f"{kind} {oid[:12]}") from exc
