"""How durations, times, ids, people and paths are written for people and read back; pure, knows no other value of ours."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta:
    """`90s`, `15m`, `2h`, `3d` (and sums such as `1h30m`) as a timedelta. Raises ValueError on anything else."""
    if not re.fullmatch(r"(\d{1,9}[smhd])+", text):
        raise ValueError(f"not a duration: {text!r} (write 90s, 15m, 2h or 3d)")
    return timedelta(seconds=sum(int(n) * _SECONDS[unit] for n, unit in _DURATION.findall(text)))


def span(delta: timedelta) -> str:
    """A timedelta for people, two units at most: `45s`, `1h52m`, `3d2h`."""
    left, parts = max(0, int(delta.total_seconds())), list[str]()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size}{unit}")
            left %= size
    return "".join(parts) or "0s"


def person(email: str) -> str:
    """An email as people are told apart by it, however it is written."""
    return email.strip().casefold()


def short(oid: str | None) -> str:
    """The seven digits people are shown."""
    return oid[:7] if oid else "-"


def shown(path: bytes) -> str:
    """A path inside Git for people and JSON, whatever bytes it has."""
    return path.decode("utf-8", "backslashreplace")


def iso(at: datetime) -> str:
    """An instant as the ledger and JSON spell it: UTC, seconds and a Z when whole, microseconds otherwise."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant(text: str) -> datetime:
    """Reads what `iso` wrote. Raises ValueError, also for a time without a zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or not 1970 <= at.year <= 9000:
        raise ValueError(f"{text} has no time zone, or is none that anything of ours happens at")
    return at
