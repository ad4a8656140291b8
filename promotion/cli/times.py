"""Times as people write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from promotion.cli.context import span_of
from promotion.errors import ConfigError
from promotion.texts import duration

TIMES = "2026-11-24T12:00Z, 2026-11-24 (the whole day, in your time zone) or an age: 2h, 3d"


def moment(text: str, option: str, now: datetime) -> tuple[datetime, datetime]:
    """The first instant of what a text names, and the first one after it. Raises ConfigError."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text)
            return _midnight(day), _midnight(day + timedelta(days=1))
        if re.fullmatch(r"(\d+[smhd])+", text):
            return now - duration(text), now - duration(text)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(f"`{text}` is no time: write {TIMES}", where=option) from exc
    if at.tzinfo is None:
        raise ConfigError(f"`{text}` has no zone: write {text}Z or {text}+01:00", where=option)
    return at.astimezone(UTC), at.astimezone(UTC) + timedelta(seconds=1)


def _midnight(day: date) -> datetime:
    """Where a day of the reader begins: the same zone in which times are shown."""
    return datetime(day.year, day.month, day.day).astimezone().astimezone(UTC)


def end(text: str, option: str, now: datetime) -> datetime:
    """When something ends: a time, or so long from now. Raises ConfigError."""
    if re.fullmatch(r"(\d+[smhd])+", text):
        return now + (span_of(text, option) or timedelta(0))
    return moment(text, option, now)[0]
