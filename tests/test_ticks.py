"""Schedules without Prefect: once after each tick, by the clock of a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from promotion.model import Environment, Schedule
from promotion.reconcile.ticks import Ticks, next_tick


def test_ticks_go_by_the_clock_of_their_zone() -> None:
    """02:30 does not exist when Berlin's summer begins, and nine o'clock moves by an hour in UTC."""
    nine = Schedule("0 9 * * *", "Europe/Berlin")
    winter, summer = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert next_tick(nine, winter - timedelta(days=1)).astimezone(UTC).hour == 8
    assert next_tick(nine, summer).astimezone(UTC).hour == 7


def test_due_once_after_each_tick_since_the_start() -> None:
    """Not at the start, once after a tick, once after several that were missed."""
    now = [datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)]
    ticks = Ticks(lambda: now[0])
    hourly = Environment("qa", "env/qa", "dev", schedule=Schedule("0 * * * *"))

    def attempts() -> list[bool]:
        made = []
        for _ in range(2):
            made.append(ticks.due(hourly))
            ticks.used([hourly.name] if made[-1] else [])
        return made

    assert ticks.due(Environment("prod", "env/prod", "qa"))
    assert attempts() == [False, False]
    now[0] += timedelta(hours=1)
    assert ticks.due(hourly)
    assert attempts() == [True, False], "a tick whose attempt failed is still there"
    now[0] += timedelta(hours=5)
    assert attempts() == [True, False]
