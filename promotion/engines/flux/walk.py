"""What one judgement walks over: what was read so far, what else is wanted, and what the answer rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from promotion.engines.flux.inventory import Ref
from promotion.engines.flux.status import Live
from promotion.errors import PromotionError
from promotion.model import Reading, Subject

Shelf = Mapping[Ref, Any]
"""What was read: an object, None for one that is not there, or the error that kept it from being read."""


@dataclass(frozen=True, slots=True)
class Walk:
    """`judge` says how any one object is. `wanted` and `used` are filled on the way: what is to be read, in which version
    ("": any), and what the answer rests on; `sources` are those of the latter that a commit may change. `unasked` are those
    that have to be asked to look again, when all else is well."""

    shelf: Shelf
    subject: Subject
    repository: str
    judge: Callable[[Mapping[str, Any]], Reading]
    now: datetime
    wanted: dict[Ref, str] = field(default_factory=dict)
    used: set[Ref] = field(default_factory=set)
    sources: set[Ref] = field(default_factory=set)
    unasked: dict[str, Live] = field(default_factory=dict)

    def take(self, ref: Ref, version: str = "") -> Any:
        """What is on the shelf, else None. Raises the error that kept it from being read."""
        if ref not in self.shelf:
            self.wanted[ref] = version
            return None
        self.used.add(ref)
        found = self.shelf[ref]
        if isinstance(found, PromotionError):
            raise found
        return found


@dataclass(frozen=True, slots=True)
class Below:
    """All that the Kustomizations of an environment made, and what they made makes; filled on the way.

    `readers` are the Kustomizations and HelmReleases that may read values, as they were read, each with the Kustomization that it is below (or is).
    """

    made: set[Ref] = field(default_factory=set)
    kustomizations: list[Live] = field(default_factory=list)
    readers: list[tuple[Ref, Any]] = field(default_factory=list)
