"""Which hops a loop of rounds attempts: an environment with a schedule is due in the first round after each tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from promotion.model import Environment, Schedule


@dataclass(slots=True)
class Ticks:
    """What one application's rounds remember of ticks: only those after the loop's start count."""

    clock: Callable[[], datetime]
    started: datetime = field(init=False)
    last: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def due(self, environment: Environment) -> bool:
        if environment.schedule is None:
            return True
        return next_tick(environment.schedule, self.last.get(environment.name, self.started)) <= self.clock()

    def used(self, decided: Iterable[str]) -> None:
        """Uses up the ticks of environments that a round could decide for; where it failed, the next round tries again."""
        now = self.clock()
        self.last |= dict.fromkeys(decided, now)


def next_tick(schedule: Schedule, after: datetime) -> datetime:
    """The first time after an instant at which a schedule fires, by the clock of its zone."""
    from cronsim import CronSim  # 10 ms, and few files have a schedule

    return next(CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.timezone))))
