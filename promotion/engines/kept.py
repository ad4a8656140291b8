"""What one round over many repositories reads of the places that their environments share; judges nothing.

Repositories have their rounds beside each other, so each would ask alone for the little it wants: a thousand gets of what is two
pages of a list. The first few are asked for alone; then all of the place is read, and kept for those that ask soon after.

What makes that right:
- It belongs to one round. A repository begins its next turn with another `Kept`, so what it is told is never older than what it
  did itself: no push or sync of its own lies between what was read and what is decided on it.
- It is old for seconds only, as what a round over one repository with as many applications decides on is. Whoever uses it says
  when it was read (`Deployed.age`), so that no time of being well is counted that nobody saw, and asks anew where the ledger has
  a record of a later reading.
- A status that is older than the refs that it is compared with names an older commit, or says that it is of one: it is judged as
  one that came late is. What is to confirm something (an engine asked again after its checks) is never taken from here.
- What is not in it is asked for alone: it may be new. And where all of a place cannot be had, all ask alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from promotion.errors import PromotionError

T = TypeVar("T")
FEW = 3
"""So many questions about single objects are cheaper than one list of all."""
OLDEST = 10.0
"""Seconds that a list counts from its beginning; one that takes half of that is not kept, for it would be of no use to others."""


@dataclass(slots=True)
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    wanted: int = 0
    began: float | None = None
    everything: Any = None
    refused: bool = False


@dataclass(slots=True)
class Kept:
    """`now` is a clock in seconds that never goes back."""

    now: Callable[[], float] = time.monotonic
    lock: threading.Lock = field(default_factory=threading.Lock)
    places: dict[object, _Place] = field(default_factory=dict)

    def everything(self, where: object, wanted: int, read: Callable[[], T]) -> tuple[T, float] | None:
        """All of a place and its age in seconds, for one who wants so many of it; None: better ask for each alone. Never raises."""
        with self.lock:
            place = self.places.setdefault(where, _Place())
        with place.lock:  # whoever comes while it is read waits for it
            if place.began is not None and self.now() - place.began <= OLDEST:
                return place.everything, self.now() - place.began
            if place.began is not None:
                place.began, place.everything, place.wanted = None, None, 0
            place.wanted += wanted
            if place.refused or place.wanted <= FEW:
                return None
            return self._read(place, read)

    def _read(self, place: _Place, read: Callable[[], T]) -> tuple[T, float] | None:
        began = self.now()
        try:
            everything = read()
        except PromotionError:
            place.refused = True
            return None
        took = self.now() - began
        place.refused = took > OLDEST / 2
        if not place.refused:
            place.began, place.everything = began, everything
        return everything, took
