"""How long objects may keep a round for which the API server has no answer in time; asks and decides nothing else.

An admission webhook that hangs keeps every object that it is asked about, 10 s each unless it says otherwise. The others are
to be done all the same, and the round is to end. An answer that comes is progress, however slow: it counts for nothing here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from promotion.engines.kubernetes.objects import Ref
from promotion.errors import TemporaryError


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: what `each` object may take, or `brief` once those without an answer took `patience`; after `most` their kinds are left."""

    each: float = 15.0
    brief: float = 1.0
    patience: float = 30.0
    most: float = 60.0


USUAL = Pace()


class SkippedError(TemporaryError):
    """It was not tried."""


@dataclass(slots=True)
class Spent:
    """What objects without an answer came to in one round, and how long they took."""

    pace: Pace = USUAL
    seconds: float = 0.0
    kinds: set[tuple[str, str]] = field(default_factory=set)
    """Groups and kinds of which one had none."""
    over: bool = False
    """Whether the last one's time was over."""
    unanswered: bool = False
    """Whether there was no answer for one."""
    strikes: int = 0


@contextmanager
def turn(spent: Spent, ref: Ref) -> Iterator[float]:
    """One object's turn: the moment (time.monotonic()) at which it is over. Raises SkippedError."""
    pace, kind = spent.pace, (ref.group, ref.kind)
    spent.over = False
    if spent.seconds >= pace.most and kind in spent.kinds:
        spent.unanswered = True
        raise SkippedError(f"left for the next round: others of its kind took {spent.seconds:.0f} s of this one")
    began = time.monotonic()
    until = began + (pace.each if spent.seconds < pace.patience else pace.brief)
    try:
        yield until
    except TemporaryError:
        now = time.monotonic()
        spent.unanswered, spent.over = True, now >= until
        spent.seconds += now - began
        spent.kinds.add(kind)
        raise
