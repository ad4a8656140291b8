"""Requests for an approval as the round loop and their own runs see them: when to ask, when it is over; decides, asks nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Failed

from flows import runs
from promotion import void
from promotion.plan import inputs
from promotion.state import Hold
from promotion.state import State as Ledger
from promotion.texts import short, span
from promotion.view import Plan, Standing


@dataclass(frozen=True, slots=True)
class Facts:
    """What Git says of the plan that a request is about."""

    plan_id: str
    plan: Plan
    """What would be decided about its commit now."""
    standing: Standing | None
    """How it stands with people; None when it is another plan by now, or nobody is asked."""
    current: Plan | None = None
    """What is decided for the environment now; None when it is not known."""
    landed: str | None = None
    """M, when this very plan has landed."""
    changed: str = ""
    """Why the plan is void, where it is known."""


def over(facts: Facts, since: datetime, now: datetime) -> State[Any] | None:
    """The state with which a request that was made at `since` ends; None while people are asked."""
    plan, standing, name = facts.plan, facts.standing, facts.plan_id[:8]
    if facts.landed:
        return Completed(name="Approved", message=f"landed as {short(facts.landed)}")
    if no := rejection(plan, facts.plan_id):
        return Failed(name="Rejected", message=f"by {no.by}: {no.reason}")
    if plan.plan_id != facts.plan_id or standing is None:
        return Cancelled(name="Void", message=f"plan {name} is void: {facts.changed or plan.reason}")
    if standing.verdict.verdict == "pass":
        return Completed(name="Approved", message=f"approval {standing.brief}{_then(plan)}")
    if out := next((v for v in plan.verdicts if v.verdict == "block" and v.gate in ("source", "hold")), None):
        return Cancelled(name="Void", message=f"nobody is asked about plan {name} now: {out.reason}")
    newer = facts.current
    if newer is not None and newer.asked and newer.plan_id != facts.plan_id and not standing.approved:
        return Cancelled(name="Superseded", message=f"{short(newer.commit)} is newer, and nobody has approved this one")
    if now - since >= standing.expires:
        asked = span(standing.expires)
        return Cancelled(name="Expired", message=f"{standing.verdict.reason}; that was {asked} after it was asked")
    return None


def rejection(plan: Plan, plan_id: str) -> Hold | None:
    """Somebody's no to this very plan, while it holds."""
    return next((hold for hold in plan.view.state.holds if hold.plan_id == plan_id), None)


def _then(plan: Plan) -> str:
    """What an approved plan waits for still."""
    waits = [v for v in plan.verdicts if v.verdict != "pass"]
    return "; then " + "; ".join(f"{v.gate}: {v.reason}" for v in waits) if waits else ""


# --- when to ask -----------------------------------------------------------------------------------------------------


def wanted(plan: Plan) -> bool:
    """Whether people are to be asked about a plan: it waits for nothing but them, or for them and time."""
    if plan.plan_id is None or plan.asked is None or plan.verdict != "wait":
        return False
    return plan.asked.verdict.verdict == "wait" and all(
        v.verdict == "pass" or v.until is not None or v.unasked or v.gate in ("approval", "auto") for v in plan.verdicts
    )


def decided_elsewhere(plan: Plan, state: Ledger) -> bool:
    """Whether people are asked about the same commit in an environment whose decision counts for this one (`same_as`)."""
    app, target = plan.view.application, plan.view.environment
    releases = (state.of(other.name).release for other in app.decided_with(target))
    return any(release is None or release.source != plan.commit for release in releases)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about a plan that people are to be asked about; the number makes the idempotency key."""

    what: Literal["ask", "wait"]
    number: int


def step(seen: Sequence[FlowRun], now: datetime) -> Step:
    """What to do, given all requests that were made for a plan."""
    ended = [run for run in seen if run.state is not None and run.state.is_final()]
    last = max((run.end_time for run in ended if run.end_time), default=None)
    pause = min(runs.FIRST_PAUSE * 2 ** max(0, min(len(ended), 20) - 1), runs.LONGEST_PAUSE)
    begun = len(ended) < len(seen) or (last is not None and now - last < pause)
    return Step("wait" if begun else "ask", len(ended))


def is_lost(run: FlowRun, now: datetime) -> bool:
    """Whether the process that works on a request is gone: it takes seconds, and would have said more since."""
    working = run.state is not None and run.state.type in (StateType.RUNNING, StateType.PENDING)
    return working and run.state is not None and now - run.state.timestamp > LOST


def is_waiting(run: FlowRun, now: datetime) -> bool:
    """Whether nobody has picked a request up (again) for longer than that takes."""
    waits = run.state is not None and run.state.type == StateType.SCHEDULED
    return waits and run.state is not None and now - run.state.timestamp > runs.PICKED_UP


LOST = timedelta(minutes=3)
"""After so long without another state nobody works on a request any more."""


def since(run: FlowRun, now: datetime) -> datetime:
    """When people were asked."""
    return run.created or now


MADE_OF = "made-of"
"""Under what it is kept with a run what its plan was made of."""


def changed(kept: Mapping[str, str], plan: Plan) -> str:
    """Which input of a plan changed since people were asked about it; '' when that is not known."""
    if MADE_OF not in kept:
        return ""
    then, merged = json.loads(kept[MADE_OF]), plan.merged
    if plan.plan_id is None or plan.commit is None or merged is None:
        return void.why(then, None, arrived=plan.view.arrived)
    return void.why(then, inputs(plan.view, plan.commit, merged))
