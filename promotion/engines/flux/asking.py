"""Asks Flux to look at Git now: the source first, and its Kustomization once the source has looked; waits for nothing.

What was asked for stands on the objects, so any later round of anybody goes on from there. The value names the commit: when
Flux has handled it, a look began after that commit was pushed.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from promotion.engines.flux.inventory import OWN, SOURCES, Ref
from promotion.engines.flux.reading import kind_of
from promotion.engines.flux.source import Source
from promotion.engines.flux.status import REQUESTED, Live
from promotion.kube import Cluster
from promotion.texts import instant, iso

log = logging.getLogger(__name__)

AGAIN = timedelta(seconds=30)
"""How long after a request that brought nothing the same is asked again."""
_OURS = re.compile(r"(\S+) promotion ([0-9a-f]{40})( applied)?")


@dataclass(frozen=True, slots=True)
class Request:
    """One of ours: for this commit, and `applied` when the commit was there already."""

    at: datetime
    commit: str
    applied: bool


def due(live: Live, from_: Source, expected: str, now: datetime) -> Live | None:
    """Who is to be asked now, if anybody is."""
    if from_.commit != expected:
        if to_be_asked(from_.live, expected, now):
            return from_.live
        if _last(from_.live, expected) is None or from_.live.pending or from_.commit is None:
            return None
    # The source has what there is, whether it is this commit or one on top of it.
    working = from_.is_at(live.status.get("lastAttemptedRevision"))
    return live if not working and to_be_asked(live, expected, now) else None


def to_be_asked(live: Live, expected: str, now: datetime, *, applied: bool = False) -> bool:
    """`applied`: only what was asked for when the commit was there is the same request."""
    if live.suspended:
        log.info("%s is not asked to look at Git: it is suspended", live)
        return False
    last = _last(live, expected, applied=applied)
    return last is None or (not live.pending and not timedelta(0) <= now - last < AGAIN)


def _last(live: Live, expected: str, *, applied: bool = False) -> datetime | None:
    """When we asked it for this commit last, as far as the object says."""
    asked = request(live.asked)
    return asked.at if asked and asked.commit == expected and (asked.applied or not applied) else None


def request(text: str | None) -> Request | None:
    """What is asked for, if it is a request of ours."""
    found = _OURS.fullmatch(text or "")
    try:
        return Request(instant(found[1]), found[2], bool(found[3])) if found else None
    except ValueError:
        return None


def ask(cluster: Cluster, live: Live, expected: str, now: datetime, *, applied: bool = False) -> None:
    """Raises PromotionError."""
    group, kind = next((what for what in OWN if what[1] == live.kind), (SOURCES, live.kind))
    ref = Ref(group, kind, live.namespace, live.name)
    body = {"metadata": {"annotations": {REQUESTED: f"{iso(now)} promotion {expected}{' applied' * applied}"}}}
    cluster.patch(kind_of(cluster, ref), live.name, live.namespace, body, manager="promotion")
    log.info("%s is asked to look at Git for %s", live, expected[:7])
