"""How old Flux's own word on health is, where it says when it looked last; pure.

A controller that is away leaves all that it ever said in place, and green.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from promotion.engines.flux.status import Live
from promotion.texts import instant, span

LATE = timedelta(minutes=10)
"""Beside three of its intervals and its timeout: queues are long, and clocks differ."""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?)(ms|us|\u00b5s|ns|h|m|s)")


def too_old(live: Live, now: datetime) -> str | None:
    """Why its word counts no longer, where it is its word that counts; older versions of Flux do not say when they looked."""
    interval, looked = duration(live.spec.get("interval")), _looked(live)
    if looked is None or interval is None or not (live.spec.get("wait") or live.spec.get("healthChecks")):
        return None
    timeout = duration(live.spec.get("timeout")) or interval
    if now - looked <= 3 * interval + timeout + LATE:
        return None
    return (
        f"Flux looked at it {span(now - looked)} ago, and is to every {span(interval)}: is kustomize-controller away?"
    )


def _looked(live: Live) -> datetime | None:
    history = live.status.get("history")
    found = []
    for entry in history if isinstance(history, list) else []:
        try:
            found.append(instant(str(entry["lastReconciled"]) if isinstance(entry, Mapping) else ""))
        except (KeyError, ValueError):
            continue
    return max(found, default=None)


def duration(text: object) -> timedelta | None:
    """As Go writes them: `10m0s`, `1h30m`, `1.5h`."""
    if not isinstance(text, str) or not re.fullmatch(f"(?:{_PART.pattern})+", text):
        return None
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
