"""Runs of `promote` as the round loop sees them: when to start one, when to do without, which to close; decides, asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

from prefect.client.schemas.objects import FlowRun, State

from flows import states
from flows.pages import clock
from promotion.model import Environment
from promotion.observe import Site, World
from promotion.texts import short
from promotion.view import Plan

PICKED_UP = timedelta(seconds=30)
"""How long a run may wait for somebody to serve it, or give no sign of life, before the loop promotes by itself."""
LOST = timedelta(seconds=60)
"""After so long without a sign of life a run is closed."""
ROUND_LOST = timedelta(minutes=10)
"""The same for a round over everything, which gives a sign after an application."""
DEPTH = 50
"""How many commits of the target's branch are looked at for what a run did."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
"""Before the same plan is tried by another run; doubled with each that ended without landing it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One run, and when it last gave a sign of life."""

    run: FlowRun
    sign: datetime | None = None

    @property
    def over(self) -> bool:
        return self.run.state is not None and self.run.state.is_final()


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about a hop that passes: start a run (its number makes the idempotency key), wait for one, or land it."""

    what: Literal["start", "wait", "land"]
    number: int
    why: str


def tag(plan_id: str) -> str:
    """What all runs of one plan carry."""
    return f"plan-{plan_id[:16]}"


def step(seen: Sequence[Seen], now: datetime) -> Step:
    """What to do about a hop that passes, given all runs of its plan."""
    ended = [s for s in seen if s.over]
    for open_run in (s for s in seen if not s.over):
        sign = open_run.sign or open_run.run.expected_start_time or open_run.run.created or now
        if now - sign > PICKED_UP:
            return Step("land", len(ended), f"its run has given no sign of life since {clock(sign)}")
        return Step("wait", len(ended), "its run is under way")
    last = max((s.run.end_time for s in ended if s.run.end_time), default=None)
    pause = min(FIRST_PAUSE * 2 ** max(0, min(len(ended), 20) - 1), LONGEST_PAUSE)
    if last is not None and now - last < pause:
        return Step("wait", len(ended), f"{len(ended)} runs of it have ended; the next one in {pause}")
    return Step("start", len(ended), "all gates pass")


def verdict(site: Site, world: World, seen: Seen, now: datetime) -> State[Any] | None:
    """The state in which a run that gives no sign of life is closed, by what Git says; None while it may be alive."""
    sign = seen.sign or now
    if now - sign <= PICKED_UP:
        return None
    parameters = seen.run.parameters
    target = next((e for e in site.application.environments if e.name == parameters.get("environment")), None)
    if target is None or parameters.get("application") != site.application.name:
        return None
    landed = next(_landed(site, world, target, seen.run), None)
    if landed is None:
        gone = "no sign of life any more, and it has pushed nothing; the next round goes on from Git"
        return states.lost(gone) if now - sign > LOST else None
    watched = world.state.of(target.name).verification
    word = watched.state if watched is not None and watched.commit == landed else "verified"
    note = f"{short(landed)} is on {target.branch}; closed from Git, since the run gives no sign of life"
    return states.of_verification(word, landed, note, "rolled-back" if _goes_back(seen.run) else "promoted")


def landed_as(site: Site, world: World, now: Plan, plan_id: str) -> str | None:
    """The promotion that a plan became; `now` is what would be decided about its commit, which says whether to look."""
    if now.plan_id == plan_id:
        return None
    commits = islice(site.repository.first_parents(world.tip(now.view.environment)), DEPTH)
    return next((c.oid for c in commits if c.trailers.get("Promotion-Plan") == plan_id), None)


def _landed(site: Site, world: World, target: Environment, run: FlowRun) -> Iterator[str]:
    """What a run made, if it made anything: that of its plan, or without one any of its kind that came after its start."""
    began = run.start_time or run.expected_start_time
    has_plan = any(t.startswith("plan-") for t in run.tags)
    for commit in islice(site.repository.first_parents(world.tip(target)), DEPTH):
        plan = commit.trailers.get("Promotion-Plan")
        if _goes_back(run) != ("Promotion-Restores" in commit.trailers):
            continue
        later = began is not None and commit.at >= began - timedelta(seconds=1)
        if plan and (tag(plan) in run.tags if has_plan else later):
            yield commit.oid


def _goes_back(run: FlowRun) -> bool:
    """Whether a run is one of `rollback`."""
    return "reason" in run.parameters
