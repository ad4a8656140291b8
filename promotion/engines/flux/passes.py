"""What a Kustomization's history tells of its passes: when the newest began, and since when what it applies is applied; pure.

`status.history` (Flux 2.7 and later) has an entry for each digest of what was applied and how that went, the newest first, and
writes it when a pass is over: pruned, and well. Its times are all of one clock, kustomize-controller's, in whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from promotion.engines.flux.freshness import duration
from promotion.engines.flux.status import Live
from promotion.texts import instant

SECOND = timedelta(seconds=1)
WELL = "ReconciliationSucceeded"


@dataclass(frozen=True, slots=True)
class Entry:
    digest: str
    well: bool
    first: datetime
    last: datetime
    took: timedelta


def began(live: Live) -> datetime | None:
    """When its newest pass began, or a little before; None where it does not say."""
    found = _entries(live)
    return found[0].last - found[0].took if found else None


def settled(live: Live) -> datetime | None:
    """When the first pass with what it applies now was over, or a little later: it changed and removed nothing since.

    None where it does not say, and where it applied something else in between: then the first such pass is too long ago.
    """
    found = _entries(live)
    if not found or not found[0].well or any(other.last >= found[0].first for other in _others(found)):
        return None
    return found[0].first + SECOND


def replaced(lives: Iterable[Live]) -> datetime | None:
    """When any of them applied something else than now for the last time, or a little later."""
    return max((other.last + SECOND for live in lives for other in _others(_entries(live))), default=None)


def _others(found: list[Entry]) -> list[Entry]:
    return [each for each in found if each.digest != found[0].digest]


def _entries(live: Live) -> list[Entry]:
    """Nothing of it counts where anything of it cannot be read."""
    history = live.status.get("history")
    try:
        return [_entry(each) for each in history] if isinstance(history, list) else []
    except (KeyError, ValueError):
        return []


def _entry(each: Any) -> Entry:
    took = duration(each["lastReconciledDuration"]) if isinstance(each, Mapping) else None
    if took is None:
        raise ValueError("an entry of status.history without how long it took")
    first, last = (instant(str(each[key])) for key in ("firstReconciled", "lastReconciled"))
    return Entry(str(each["digest"]), each["lastReconciledStatus"] == WELL, first, last, took)
