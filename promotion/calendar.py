"""How windows, days, time zones and instants are written; pure, and must not know what a gate or a file is.

Each function that reads raises ValueError, in one line with what is allowed, on a text that is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `allow`: weekdays (Monday is 0) on which it opens, and minutes of the local day.

    `closes` is at most 1440 (24:00); when it is not after `opens`, it is on the next day.
    """

    text: str
    days: frozenset[int]
    opens: int
    closes: int


def hours(text: str) -> Rule:
    """Reads `Mon-Fri 09:00-16:00`, `Sat,Mon-Wed 22:00-02:00` or, for every day, `00:00-24:00`."""
    found = re.fullmatch(r"(?:(\S+) )?(\d\d):(\d\d)-(\d\d):(\d\d)", text, re.ASCII)
    if not found:
        raise ValueError(f"`{text}` is not a window: write `Mon-Fri 09:00-16:00` or `00:00-24:00`")
    opens, closes = int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])
    if max(int(found[3]), int(found[5])) > 59 or opens >= DAY or closes > DAY:
        raise ValueError(f"`{text}`: a time is 00:00 to 23:59, and a window may close at 24:00")
    if opens == closes:
        raise ValueError(f"`{text}` opens and closes at once: for the whole day write 00:00-24:00")
    return Rule(text, _weekdays(text, found[1] or "Mon-Sun"), opens, closes)


def _weekdays(text: str, written: str) -> frozenset[int]:
    days: set[int] = set()
    for part in written.split(","):
        ends = part.split("-")
        if len(ends) > 2 or not set(ends) <= set(DAYS):
            raise ValueError(f"`{text}`: `{part}` is no weekday: {', '.join(DAYS)}, lists Mon,Wed and ranges Sat-Mon")
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        days.update((first + n) % 7 for n in range((last - first) % 7 + 1))
    return frozenset(days)


def dates(text: str) -> tuple[date, date]:
    """Reads `2026-12-24` or `2026-12-24..2027-01-02`: the first and the last day."""
    try:
        first, last = map(date.fromisoformat, text.split("..") if ".." in text else (text, text))
    except ValueError as wrong:
        raise ValueError(f"`{text}` is no day of the calendar: write 2026-12-24 or 2026-12-24..2027-01-02") from wrong
    if first > last:
        raise ValueError(f"`{text}` ends before it begins")
    return first, last


def zone(name: str) -> ZoneInfo:
    """Reads the name of a zone of the IANA database."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as unknown:  # all three occur, by what the name looks like
        raise ValueError(f"no time zone `{name}` in the IANA database: write UTC or Europe/Berlin") from unknown


def told(at: datetime, now: datetime) -> str:
    """An instant for people: with seconds when near, with its weekday or date when not today."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    if abs(at - now) < timedelta(minutes=2):
        return f"{at:%H:%M:%S} UTC"
    if at.date() == now.date():
        return f"{at:%H:%M} UTC"
    return f"{DAYS[at.weekday()]} {at:%H:%M} UTC" if abs(at - now) < timedelta(days=6) else f"{at:%Y-%m-%d %H:%M} UTC"
