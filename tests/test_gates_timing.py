"""The gates of time: soak and window, by hand and against every minute of the weeks in which clocks are turned."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import promotion.gates.timing as timing
from promotion.calendar import DAYS
from promotion.gates.contract import Question
from promotion.model import Subject, Verdict

NOW = datetime(2026, 7, 28, 13, 50, tzinfo=UTC)  # a Tuesday
ASKED = Question(
    subject=Subject("shop", "qa", "4f2a91c" + "0" * 33),
    source="dev",
    now=NOW,
    heartbeat=timedelta(minutes=10),
    healthy_since=NOW - timedelta(hours=2),
    steady_since=NOW - timedelta(hours=3),
)


def utc(text: str) -> datetime:
    """`2026-07-28 13:50` as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- soak ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("healthy", "steady", "expected"),
    [
        (112, 500, ("pass", "1h52m of 1h30m", None)),
        (90, 500, ("pass", "1h30m of 1h30m", None)),
        (500, 90, ("pass", "1h30m of 1h30m", None)),
        (82, 500, ("wait", "soaking in dev until 13:58 UTC", "2026-07-28 13:58")),
        (500, 82, ("wait", "soaking in dev until 13:58 UTC", "2026-07-28 13:58")),
        (89, 89, ("wait", "soaking in dev until 13:51:00 UTC", "2026-07-28 13:51")),
        (-600, -700, ("wait", "soaking in dev until Wed 03:00 UTC", "2026-07-29 03:00")),
        (None, 500, ("wait", "not yet healthy in dev", None)),
        (None, None, ("wait", "not yet healthy in dev", None)),
        (500, None, ("wait", "dev is not steadily healthy now; 1h30m count from when it is", None)),
    ],
)
def test_soak(healthy: int | None, steady: int | None, expected: tuple[str, str, str | None]) -> None:
    """The later of healthy and steady counts, in minutes before now; without both of them nothing does."""
    since = [None if ago is None else NOW - timedelta(minutes=ago) for ago in (healthy, steady)]
    question = replace(ASKED, healthy_since=since[0], steady_since=since[1])
    found = timing.soak({"for": "90m"}, question)
    assert (found.gate, found.verdict, found.reason) == ("soak", *expected[:2])
    assert found.until == (utc(expected[2]) if expected[2] else None)


def test_soak_is_not_rounded_up() -> None:
    """A second too early is too early, and says when."""
    question = replace(ASKED, healthy_since=NOW - timedelta(seconds=89, milliseconds=999))
    assert timing.soak({"for": "90s"}, question).verdict == "wait"
    assert timing.soak({"for": "89s"}, question).verdict == "pass"
    assert timing.soak({"for": "0s"}, question).verdict == "pass"


@pytest.mark.parametrize(
    ("count", "deployed", "expected"),
    [
        ("environment", None, ("pass", "2h of 1h30m")),
        ("commit", None, ("wait", "not deployed in dev now, and the commit itself must soak")),
        ("commit", 60, ("wait", "soaking in dev until 14:20 UTC")),
        ("commit", 100, ("pass", "1h40m of 1h30m")),
        ("commit", 500, ("pass", "2h of 1h30m")),
    ],
)
def test_soak_counts(count: str, deployed: int | None, expected: tuple[str, str]) -> None:
    """With `count: commit` only the time counts in which the candidate itself was deployed."""
    since = None if deployed is None else NOW - timedelta(minutes=deployed)
    found = timing.soak({"for": "90m", "count": count}, replace(ASKED, deployed_since=since))
    assert (found.verdict, found.reason) == expected


# --- window, by hand -----------------------------------------------------------------------------------------------

BERLIN = {"allow": "Mon-Fri 09:00-16:00", "timezone": "Europe/Berlin"}
HOLIDAYS = {**BERLIN, "except": ["2026-12-24..2027-01-02", "2026-10-05"]}
HOWE = {"timezone": "Australia/Lord_Howe"}
JOHNS = {"timezone": "America/St_Johns"}
NIGHT = {"allow": "Fri 22:00-02:00"}
OFFICE = "(Mon-Fri 09:00-16:00 Europe/Berlin)"

CASES: list[tuple[dict[str, Any], str, str, str, str | None]] = [
    (BERLIN, "2026-07-28 13:50", "pass", "Mon-Fri 09:00-16:00 Europe/Berlin, closes 14:00 UTC", None),
    (BERLIN, "2026-07-28 13:59", "pass", "Mon-Fri 09:00-16:00 Europe/Berlin, closes 14:00:00 UTC", None),
    (BERLIN, "2026-07-28 07:00", "pass", "Mon-Fri 09:00-16:00 Europe/Berlin, closes 14:00 UTC", None),
    (BERLIN, "2026-07-28 06:30", "wait", f"opens 07:00 UTC {OFFICE}", "2026-07-28 07:00"),
    (BERLIN, "2026-07-28 14:00", "wait", f"opens Wed 07:00 UTC {OFFICE}", "2026-07-29 07:00"),
    (BERLIN, "2026-10-23 15:00", "wait", f"opens Mon 08:00 UTC {OFFICE}", "2026-10-26 08:00"),
    (HOLIDAYS, "2026-12-23 16:00", "wait", f"opens 2027-01-04 08:00 UTC {OFFICE}", "2027-01-04 08:00"),
    (HOLIDAYS, "2026-10-05 09:00", "wait", f"opens Tue 07:00 UTC {OFFICE}", "2026-10-06 07:00"),
    ({"allow": "00:00-24:00"}, "2026-07-28 00:00", "pass", "00:00-24:00 UTC", None),
    (NIGHT, "2026-07-31 23:00", "pass", "Fri 22:00-02:00 UTC, closes Sat 02:00 UTC", None),
    (NIGHT, "2026-08-01 01:00", "pass", "Fri 22:00-02:00 UTC, closes 02:00 UTC", None),
    (NIGHT, "2026-08-01 02:00", "wait", "opens 2026-08-07 22:00 UTC (Fri 22:00-02:00 UTC)", "2026-08-07 22:00"),
    (NIGHT, "2026-07-31 01:00", "wait", "opens 22:00 UTC (Fri 22:00-02:00 UTC)", "2026-07-31 22:00"),
    # a night that reaches into an excepted date ends at midnight, one that begins on it opens at midnight
    ({**NIGHT, "except": ["2026-08-01"]}, "2026-07-31 23:00", "pass", "Fri 22:00-02:00 UTC, closes Sat 00:00 UTC", None),
    ({**NIGHT, "except": ["2026-07-31"]}, "2026-07-31 23:00", "wait", "opens Sat 00:00 UTC (Fri 22:00-02:00 UTC)", "2026-08-01"),
    # two windows that touch are one
    ({"allow": ["Mon 22:00-24:00", "Tue 00:00-03:00"]}, "2026-07-27 23:00", "pass", "Mon 22:00-24:00 UTC, closes Tue 03:00 UTC", None),
    ({"allow": ["Mon 09:00-10:00", "Sun 09:00-10:00"]}, "2026-07-28 12:00", "wait", "opens Sun 09:00 UTC (Mon 09:00-10:00, Sun 09:00-10:00 UTC)", "2026-08-02 09:00"),
    ({"allow": "Sat-Mon 09:00-10:00"}, "2026-07-28 12:00", "wait", "opens Sat 09:00 UTC (Sat-Mon 09:00-10:00 UTC)", "2026-08-01 09:00"),
    ({"allow": "Sat-Mon 09:00-10:00"}, "2026-08-03 09:30", "pass", "Sat-Mon 09:00-10:00 UTC, closes 10:00 UTC", None),
    # Berlin skips 02:00-03:00 on 29 March and has 02:00-03:00 twice on 25 October
    ({**BERLIN, "allow": "02:30-03:30"}, "2026-03-29 00:50", "wait", "opens 01:00 UTC (02:30-03:30 Europe/Berlin)", "2026-03-29 01:00"),
    ({**BERLIN, "allow": "02:10-02:50"}, "2026-03-29 00:50", "wait", "opens Mon 00:10 UTC (02:10-02:50 Europe/Berlin)", "2026-03-30 00:10"),
    ({**BERLIN, "allow": "02:00-02:30"}, "2026-10-25 00:00", "pass", "02:00-02:30 Europe/Berlin, closes 00:30 UTC", None),
    ({**BERLIN, "allow": "02:00-02:30"}, "2026-10-25 00:40", "wait", "opens 01:00 UTC (02:00-02:30 Europe/Berlin)", "2026-10-25 01:00"),
    ({**BERLIN, "allow": "01:00-04:00"}, "2026-10-25 00:00", "pass", "01:00-04:00 Europe/Berlin, closes 03:00 UTC", None),
    ({**BERLIN, "allow": "02:10-02:50"}, "2026-10-25 01:00", "wait", "opens 01:10 UTC (02:10-02:50 Europe/Berlin)", "2026-10-25 01:10"),
    # Lord Howe skips 02:00-02:30 on 4 October
    ({**HOWE, "allow": "02:15-03:00"}, "2026-10-03 15:00", "wait", "opens 15:30 UTC (02:15-03:00 Australia/Lord_Howe)", "2026-10-03 15:30"),
    # St. John's turned back over midnight, at 00:01 on Sunday (02:31 UTC) to 23:01 on Saturday
    ({**JOHNS, "allow": "Sat 23:30-23:45"}, "2010-11-07 02:30", "wait", "opens 03:00 UTC (Sat 23:30-23:45 America/St_Johns)", "2010-11-07 03:00"),
    ({**JOHNS, "allow": ["Sat 23:30-23:45", "Sun 00:00-00:01"]}, "2010-11-07 02:20", "wait", "opens 02:30 UTC (Sat 23:30-23:45, Sun 00:00-00:01 America/St_Johns)", "2010-11-07 02:30"),
]  # fmt: skip


@pytest.mark.parametrize(("configured", "now", "verdict", "reason", "until"), CASES)
def test_window(configured: dict[str, Any], now: str, verdict: str, reason: str, until: str | None) -> None:
    """Open or not, with the reason people read and the instant when it opens."""
    found = timing.window(configured, replace(ASKED, now=utc(now)))
    assert (found.gate, found.verdict, found.reason) == ("window", verdict, reason)
    assert found.until == (utc(until) if until else None)


@pytest.mark.parametrize(
    ("configured", "reason"),
    [
        ({"allow": "09:00-10:00", "except": ["2026-01-01..2028-01-01"]}, "does not open within 400 days (09:00-10:00 UTC)"),
        ({"allow": "Mon-Fri 9-16"}, "never opens: `Mon-Fri 9-16` is not a window"),
        ({"allow": "09:00-16:00", "timezone": "Europe/Berln"}, "no time zone `Europe/Berln`"),
        ({"allow": "09:00-16:00", "timezone": "../etc"}, "no time zone `../etc`"),
        ({"allow": "09:00-16:00", "timezone": "Europe"}, "no time zone `Europe`"),
        ({"allow": "09:00-16:00", "except": ["24.12."]}, "`24.12.` is no day of the calendar: write 2026-12-24"),
        ({"allow": "09:00-16:00", "except": ["2026-12-24.."]}, "`2026-12-24..` is no day"),
        ({"allow": "09:00-16:00", "except": ["2026-12-24..2026-12-25..2026-12-26"]}, "is no day of the calendar"),
        ({"allow": "09:00-16:00", "except": ["2027-01-02..2026-12-24"]}, "ends before it begins"),
    ],
)  # fmt: skip
def test_a_window_that_never_opens_blocks(configured: dict[str, Any], reason: str) -> None:
    """Also one that cannot be read: it never passes by mistake."""
    found = timing.window(configured, ASKED)
    assert (found.verdict, found.until) == ("block", None)
    assert reason in found.reason


def test_now_may_come_in_any_zone() -> None:
    """An instant is the same in whatever zone it is written."""
    away = replace(ASKED, now=NOW.astimezone(ZoneInfo("Asia/Kolkata")))
    assert timing.window(BERLIN, away) == timing.window(BERLIN, ASKED)
    assert timing.soak({"for": "9h"}, away) == timing.soak({"for": "9h"}, ASKED)


# --- window, minute by minute --------------------------------------------------------------------------------------

WEEKS = [  # a zone and the middle of nine days; in most of them its clock is turned
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/St_Johns", date(2010, 11, 7)),  # back over midnight: 7 November ends twice
    ("Asia/Beirut", date(2022, 3, 27)),  # a day that begins at 01:00
    ("Pacific/Apia", date(2011, 12, 30)),  # a date that does not exist
    ("UTC", date(2026, 7, 28)),
    ("Asia/Kolkata", date(2026, 7, 28)),
]
MINUTES = 9 * 24 * 60


@cache
def minutes(week: int) -> list[tuple[datetime, datetime]]:
    """Each minute of the nine days: the instant and what the wall clock shows."""
    zone, middle = WEEKS[week]
    begin = datetime.combine(middle, datetime.min.time(), UTC) - timedelta(days=4)
    instants = [begin + timedelta(minutes=n) for n in range(MINUTES)]
    return [(at, at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for at in instants]


def is_open(wall: datetime, rules: list[tuple[set[int], int, int]], closed: set[date]) -> bool:
    """What the words say: the wall clock is between opening and closing of a window of that weekday."""
    for begin in (datetime.combine(wall.date() - timedelta(days=n), datetime.min.time()) for n in (0, 1)):
        for days, opens, closes in rules:
            end = closes if closes > opens else closes + 24 * 60
            inside = begin + timedelta(minutes=opens) <= wall < begin + timedelta(minutes=end)
            if begin.weekday() in days and inside and wall.date() not in closed:
                return True
    return False


def written(days: set[int], opens: int, closes: int) -> str:
    """A window as people write it."""
    names = ",".join(DAYS[day] for day in sorted(days))
    return f"{names} {opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"


TIMES = st.one_of(
    st.integers(0, 23 * 60 + 59), st.sampled_from([0, 1, 59, 60, 90, 120, 121, 150, 179, 180, 1380, 1439])
)
WINDOWS = st.tuples(st.sets(st.integers(0, 6), min_size=1), TIMES, st.one_of(TIMES, st.just(1440))).filter(
    lambda rule: rule[1] != rule[2]
)


@given(
    week=st.integers(0, len(WEEKS) - 1),
    rules=st.lists(WINDOWS, min_size=1, max_size=3),
    excepted=st.sets(st.integers(-4, 4), max_size=3),
    starts=st.lists(st.integers(2 * 24 * 60, MINUTES - 3 * 24 * 60), min_size=3, max_size=3),
    seconds=st.sampled_from([0, 0, 1, 59.9]),
)
def test_window_agrees_with_every_minute(
    week: int, rules: list[tuple[set[int], int, int]], excepted: set[int], starts: list[int], seconds: float
) -> None:
    """It passes in just the minutes that are open, and `until` is the first of them that comes."""
    zone, middle = WEEKS[week]
    closed = {middle + timedelta(days=n) for n in excepted}
    configured = {"allow": [written(*rule) for rule in rules], "timezone": zone, "except": sorted(map(str, closed))}
    for start in starts:
        now = minutes(week)[start][0] + timedelta(seconds=seconds)
        found = timing.window(configured, replace(ASKED, now=now))
        open_now = is_open(minutes(week)[start][1], rules, closed)
        assert found.verdict == ("pass" if open_now else "wait")
        later = (at for at, wall in minutes(week)[start + 1 :] if is_open(wall, rules, closed) is not open_now)
        agrees(found, next(later, None), minutes(week)[-1][0])


def agrees(found: Verdict, turn: datetime | None, last: datetime) -> None:
    """The verdict names the instant of the turn, or one after the last minute that was looked at."""
    if found.verdict == "wait":
        assert found.until is not None
        assert found.until == turn or (turn is None and found.until > last)
    elif turn is not None:
        assert f"{turn:%H:%M}" in found.reason.rpartition(", closes ")[2]
