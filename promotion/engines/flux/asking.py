"""Asks Flux to look at Git now: the source first, and its Kustomization once the source has looked; waits for nothing.

What was asked for stands on the objects, so any later round of anybody goes on from there. The value names the commit: when
Flux has handled it, a look began after that commit was pushed.
"""

from __future__ import annotations

import logging
import re
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
_OURS = re.compile(r"\S+ promotion ([0-9a-f]{40})")


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


def to_be_asked(live: Live, expected: str, now: datetime) -> bool:
    if live.suspended:
        log.info("%s is not asked to look at Git: it is suspended", live)
        return False
    last = _last(live, expected)
    return last is None or (not live.pending and not timedelta(0) <= now - last < AGAIN)


def _last(live: Live, expected: str) -> datetime | None:
    """When we asked it for this commit last, as far as the object says."""
    if asked_for(live.asked) != expected:
        return None
    try:
        return instant((live.asked or "").partition(" ")[0])
    except ValueError:
        return None


def asked_for(request: str | None) -> str | None:
    """The commit that a request of ours names."""
    found = _OURS.fullmatch(request or "")
    return found[1] if found else None


def ask(cluster: Cluster, live: Live, expected: str, now: datetime) -> None:
    """Raises PromotionError."""
    group, kind = next((what for what in OWN if what[1] == live.kind), (SOURCES, live.kind))
    ref = Ref(group, kind, live.namespace, live.name)
    body = {"metadata": {"annotations": {REQUESTED: f"{iso(now)} promotion {expected}"}}}
    cluster.patch(kind_of(cluster, ref), live.name, live.namespace, body, manager="promotion")
    log.info("%s is asked to look at Git for %s", live, expected[:7])
