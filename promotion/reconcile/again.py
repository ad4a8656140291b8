"""Deciding again: where somebody else was faster, and where refs that move together were read in between. Decides nothing itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from promotion.errors import ContendedError, TornError

T = TypeVar("T")
log = logging.getLogger(__name__)
TRIES = 5
"""How often a lost compare-and-swap is tried, and decided, again."""


def until_made(attempt: Callable[[], T | None], where: str) -> T:
    """What the first attempt makes that is not lost: one that gives None was overtaken. Raises ContendedError when all are."""
    torn = 0
    for number in range(TRIES):
        try:
            if (made := attempt()) is not None:
                return made
            why = f"{where}: somebody was faster"
        except TornError as exc:
            torn, why = torn + 1, str(exc)
        if number + 1 < TRIES:
            log.info("%s; deciding again (%d of %d)", why, number + 2, TRIES)
    what = "its branches moved while they were read" if torn == TRIES else "somebody was faster"
    raise ContendedError(f"{what} {TRIES} times", where=where)
