"""The files of one commit for an engine that deploys them: names at once, contents as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from promotion.model import Entry
from promotion.repository.formats import TREE
from promotion.repository.objects import Objects


@dataclass(frozen=True, slots=True)
class Content:
    """The files of one tree, or those below some paths of it. `prefetch` makes sure of these files, and those below trees."""

    objects: Objects
    prefetch: Callable[[Sequence[Entry]], None]
    tree: str
    roots: tuple[bytes, ...] = ()

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        return self.objects.entries(self.tree, self.roots)

    def blobs(self, oids: list[str]) -> Iterator[tuple[str, bytes]]:
        tops = [self.objects.look(self.tree, root) for root in self.roots] if self.roots else [Entry(TREE, self.tree)]
        self.prefetch([entry for entry in tops if entry is not None])
        for oid in oids:
            yield oid, self.objects.blob(oid)
