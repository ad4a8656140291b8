"""Windows, days and zones as people write them."""

from __future__ import annotations

from datetime import date

import pytest

from promotion.calendar import Rule, dates, hours, zone


@pytest.mark.parametrize(
    ("text", "days", "opens", "closes"),
    [
        ("09:00-16:00", range(7), 540, 960),
        ("Mon-Fri 09:00-16:00", range(5), 540, 960),
        ("Sat-Mon 00:00-24:00", [5, 6, 0], 0, 1440),
        ("Wed 22:00-02:00", [2], 1320, 120),
        ("Mon,Wed-Thu,Sun 23:59-00:00", [0, 2, 3, 6], 1439, 0),
        ("Mon-Mon 01:00-02:00", [0], 60, 120),
    ],
)
def test_hours(text: str, days: list[int], opens: int, closes: int) -> None:
    """Weekdays alone, in lists, in ranges that may wrap; none is every day."""
    assert hours(text) == Rule(text, frozenset(days), opens, closes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a window"),
        ("Mon-Fri", "is not a window"),
        ("Mon-Fri 9:00-16:00", "is not a window"),
        ("Mon-Fri  09:00-16:00", "is not a window"),
        ("09:00-16:00\n", "is not a window"),
        ("٠٩:00-16:00", "is not a window"),
        ("Mo-Fr 09:00-16:00", "`Mo-Fr` is no weekday: Mon, Tue"),
        ("mon 09:00-16:00", "`mon` is no weekday"),
        ("Mon-Wed-Fri 09:00-16:00", "`Mon-Wed-Fri` is no weekday"),
        ("Mon, 09:00-16:00", "`` is no weekday"),
        ("09:60-16:00", "a time is 00:00 to 23:59"),
        ("09:00-16:60", "a time is 00:00 to 23:59"),
        ("24:00-16:00", "a time is 00:00 to 23:59"),
        ("09:00-24:01", "a time is 00:00 to 23:59"),
        ("09:00-09:00", "for the whole day write 00:00-24:00"),
    ],
)
def test_hours_say_what_is_allowed(text: str, said: str) -> None:
    """Whatever is not a window is refused in one line."""
    with pytest.raises(ValueError, match=said):
        hours(text)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024-02-29", date(2024, 2, 29), date(2024, 2, 29)),
        ("2026-12-24..2027-01-02", date(2026, 12, 24), date(2027, 1, 2)),
        ("2026-12-24..2026-12-24", date(2026, 12, 24), date(2026, 12, 24)),
    ],
)
def test_dates(text: str, first: date, last: date) -> None:
    """One day, or the first and the last of several."""
    assert dates(text) == (first, last)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-02-29", "is no day of the calendar: write 2026-12-24"),
        ("24.12.", "is no day"),
        ("2026-12-24..", "is no day"),
        ("2026-12-24..2026-12-25..2026-12-26", "is no day"),
        ("2027-01-02..2026-12-24", "ends before it begins"),
    ],
)
def test_dates_say_what_is_allowed(text: str, said: str) -> None:
    """Days that the calendar does not have, and stretches that end before they begin."""
    with pytest.raises(ValueError, match=said):
        dates(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/passwd", "a\0b", "Europe", ""])
def test_zones(name: str) -> None:
    """Names of the IANA database; no path, however it is written."""
    assert zone("Europe/Berlin").key == "Europe/Berlin"
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)
