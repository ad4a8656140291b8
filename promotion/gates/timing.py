"""The gates of time: `soak` and `window`; pure, with `now` in the question, and must not read a clock or the world.

Inside a window is a matter of the wall clock in its zone: an hour that the zone skips is in no window, an hour that it
repeats is in the same window twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from promotion.calendar import DAY, Rule, dates, hours, told, zone
from promotion.gates.contract import Question
from promotion.model import Verdict
from promotion.texts import duration, span

FAR = 400
"""How many days ahead an opening is looked for: more than a year, so that every weekday and every season comes."""
SOON = 14
"""How many days ahead a closing is looked for: nobody plans by a later one, and it costs time."""


def soak(settings: Mapping[str, Any], question: Question) -> Verdict:
    """Passes when the candidate has been healthy in a steady source for long enough.

    Settings: `for`, a duration; `count`, `environment` (successors count too, the default) or `commit`.
    """
    source, needed = question.source, duration(settings["for"])
    counted = [question.healthy_since, question.steady_since]
    if question.healthy_since is None:
        return Verdict("soak", "wait", f"not yet healthy in {source}")
    if question.steady_since is None:
        return Verdict("soak", "wait", f"{source} is not steadily healthy now; {span(needed)} count from when it is")
    if settings.get("count") == "commit":
        counted.append(question.deployed_since)
        if question.deployed_since is None:
            return Verdict("soak", "wait", f"not deployed in {source} now, and the commit itself must soak")
    start = max(at for at in counted if at is not None)
    if question.now - start >= needed:
        return Verdict("soak", "pass", f"{span(question.now - start)} of {span(needed)}")
    until = start + needed
    return Verdict("soak", "wait", f"soaking in {source} until {told(until, question.now)}", until)


def window(settings: Mapping[str, Any], question: Question) -> Verdict:
    """Passes inside `allow` and outside `except`; waits until the next opening, and blocks when there is none.

    Settings: `allow`, one of what `calendar.hours` reads or a list of them; `timezone`, a name of the IANA database, by default
    UTC; `except`, a list of local dates, `2026-12-24` or `2026-12-24..2027-01-02` with both ends included.
    """
    allow = settings["allow"]
    try:
        calendar = _calendar(
            (allow,) if isinstance(allow, str) else tuple(allow),
            settings.get("timezone", "UTC"),
            tuple(str(item) for item in settings.get("except", ())),
        )
    except ValueError as wrong:
        return Verdict("window", "block", f"never opens: {wrong}")
    now = question.now.astimezone(UTC)
    name = ", ".join(rule.text for rule in calendar.rules)
    if current := _inside(calendar, now):
        closes = _next(calendar, now, opening=False, days=SOON)
        end = f", closes {told(closes, now)}" if closes else ""
        return Verdict("window", "pass", f"{current.text} {calendar.zone.key}{end}")
    opens = _next(calendar, now, opening=True, days=FAR)
    if opens is None:
        return Verdict("window", "block", f"does not open within {FAR} days ({name} {calendar.zone.key})")
    return Verdict("window", "wait", f"opens {told(opens, now)} ({name} {calendar.zone.key})", opens)


# --- what a window is ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Calendar:
    rules: tuple[Rule, ...]
    zone: ZoneInfo
    closed: tuple[tuple[date, date], ...]


@lru_cache(maxsize=256)
def _calendar(allow: tuple[str, ...], timezone: str, closed: tuple[str, ...]) -> _Calendar:
    return _Calendar(tuple(map(hours, allow)), zone(timezone), tuple(map(dates, closed)))


# --- where now is in it --------------------------------------------------------------------------------------------


def _inside(calendar: _Calendar, at: datetime) -> Rule | None:
    """The rule by which it is open at this instant."""
    local = at.astimezone(calendar.zone)
    if any(first <= local.date() <= last for first, last in calendar.closed):
        return None
    today, minute = local.weekday(), local.hour * 60 + local.minute
    return next((rule for rule in calendar.rules if _open(rule, today, minute)), None)


def _open(rule: Rule, today: int, minute: int) -> bool:
    overnight = rule.closes <= rule.opens
    if today in rule.days and rule.opens <= minute and (overnight or minute < rule.closes):
        return True
    return overnight and (today - 1) % 7 in rule.days and minute < rule.closes


def _next(calendar: _Calendar, now: datetime, *, opening: bool, days: int) -> datetime | None:
    """The first instant after now when it is open (or closed, when not `opening`), at most so many days ahead.

    It can only be at an edge. An edge of the next day may come first, where a zone turns its clock back over midnight.
    """
    today = now.astimezone(calendar.zone).date()
    for day in (today + timedelta(days=ahead) for ahead in range(-1, days + 1)):
        if found := _changes(calendar, day, now, opening):
            return min(found + _changes(calendar, day + timedelta(days=1), now, opening))
    return None


def _changes(calendar: _Calendar, day: date, now: datetime, opening: bool) -> list[datetime]:
    return [at for at in _edges(calendar, day) if at > now and (_inside(calendar, at) is not None) is opening]


def _edges(calendar: _Calendar, day: date) -> Iterator[datetime]:
    """Every instant of a local day when a rule, a date or the clock itself may change the answer."""
    begin = datetime.combine(day, time(), calendar.zone)
    for minute in {0} | {edge % DAY for rule in calendar.rules for edge in (rule.opens, rule.closes)}:
        wall = begin.replace(hour=minute // 60, minute=minute % 60)
        yield wall.astimezone(UTC)
        yield wall.replace(fold=1).astimezone(UTC)
    yield from _turns(calendar.zone, begin.astimezone(UTC))


def _turns(zone: ZoneInfo, begin: datetime) -> Sequence[datetime]:
    """The instant within two days around `begin` when the zone's clock is turned."""
    low, high = begin - timedelta(days=1), begin + timedelta(days=1)
    before = low.astimezone(zone).utcoffset()
    if high.astimezone(zone).utcoffset() == before:
        return ()
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return (high,)
