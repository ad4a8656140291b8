"""How every environment of an application stands: the objects of `status --json`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promotion import answers, gates, merge, observe
from promotion.drifting import drifted
from promotion.errors import ConfigError, PromotionError
from promotion.model import Environment, Health, Verdict
from promotion.observe import Site, World
from promotion.report.origins import origin
from promotion.report.said import as_data
from promotion.state import EnvironmentState, Hold, Release, State
from promotion.texts import iso, shown
from promotion.view import Plan

PATHS = 20
"""How many drifted paths are named; all are counted."""


def quick(
    site: Site, world: World, environment: Environment, *, chosen: str | None = None, resolution: str | None = None
) -> Plan:
    """The plan from Git alone: a gate that would ask the world is not asked, and waits. Raises PromotionError."""
    pure = tuple(gate for gate in environment.gates if gate.type in gates.PURE)
    plan = answers.plan(site, world, replace(environment, gates=pure), chosen=chosen, resolution=resolution)
    plan = replace(plan, view=replace(plan.view, environment=environment))
    asks = [gate.type for gate in environment.gates if gate.type not in gates.PURE]
    if not asks or plan.verdict != "pass" or plan.absorbs:
        return plan
    waits = [Verdict(name, "wait", "is asked when it is promoted") for name in asks]
    reason = "; ".join(f"{v.gate}: {v.reason}" for v in waits)
    return replace(plan, verdict="wait", reason=reason, verdicts=(*plan.verdicts, *waits))


def plans(site: Site, world: World) -> dict[str, Plan | PromotionError]:
    """The plan from Git alone for each environment that takes commits, or the error that there is instead."""
    found: dict[str, Plan | PromotionError] = {}
    for environment in (e for e in site.application.environments if e.source):
        try:
            found[environment.name] = quick(site, world, environment)
        except PromotionError as exc:
            found[environment.name] = exc
    return found


def status(site: Site, world: World, plans_: Mapping[str, Plan | PromotionError] | None = None) -> dict[str, Any]:
    """One application's object of `status --json`. An environment without a plan in `plans_` says nothing of what is next.

    Without `plans_` they are made from Git alone.
    """
    known = plans(site, world) if plans_ is None else plans_
    world = replace(world, state=assumed(site, world))
    rows = [_row(site, world, e, known.get(e.name)) for e in site.application.environments]
    app = site.application
    counted = {"signed": app.trust is not None, "ignored": ignored(world)}
    return {"application": app.name, "ledger": world.ledger, **counted, "environments": rows}


def ignored(world: World) -> list[dict[str, str]]:
    """The newest records of the ledger that change nothing, oldest first."""
    return [{"record": oid, "reason": why} for oid, why in world.ignored.items()]


def assumed(site: Site, world: World) -> State:
    """The ledger's state, where what the first round will record of environments is taken for recorded."""
    state = world.state
    for environment in site.application.environments:
        e = state.of(environment.name)
        if environment.source is not None and e.release is None:
            with contextlib.suppress(PromotionError):
                base = answers.first_base(site, world, environment)
                release = Release(observe.head(site, world, environment), base)
                state = state.with_environment(environment.name, replace(e, release=release))
    return state


def _row(site: Site, world: World, environment: Environment, plan: Plan | PromotionError | None) -> dict[str, Any]:
    state = world.state.of(environment.name)
    tip = observe.head(site, world, environment) if world.snapshot[environment.ref] else None
    release = state.release
    drift = list(drifted(site, environment, state, tip)) if tip else []
    watched = state.verification
    if environment.name in world.missing:
        plan = ConfigError(world.missing[environment.name])
    return {
        "environment": environment.name,
        "branch": environment.branch,
        "from": environment.source,
        "auto": environment.auto,
        "tip": tip,
        "release": {"commit": release.commit, "source": release.source} if release else None,
        "origin": origin(site, world.state, environment, tip) if tip else None,
        "since": _since(site, state, tip) if tip else None,
        **_observed(world, environment, state),
        "verification": {"commit": watched.commit, "state": watched.state, "until": iso(watched.until)}
        if watched
        else None,
        **_next(plan),
        "frozen": _frozen(site, world, state),
        "overridden": _overridden(state),
        "holds": [_hold(site, state, hold, tip) for hold in state.holds],
        "drift": len(drift),
        "drift_paths": [shown(path) for path in drift[:PATHS]],
    }


def _overridden(state: EnvironmentState) -> dict[str, Any] | None:
    """The gates that the present release came past."""
    over = state.overridden
    return {"gates": list(over.gates), "reason": over.reason, "by": over.by} if over else None


def _frozen(site: Site, world: World, state: EnvironmentState) -> dict[str, Any] | None:
    """The freeze that holds now; of two the one that ends last."""
    there = [f for f in (world.state.frozen, state.frozen) if f is not None and f.holds(site.clock())]
    if not there:
        return None
    last = max(there, key=lambda f: (f.until is None, f.until or f.at))
    said = {"reason": last.reason, "by": last.by, "at": iso(last.at), "until": iso(last.until) if last.until else None}
    return {**said, "strict": last.strict, "everything": last is world.state.frozen}


def _hold(site: Site, state: EnvironmentState, hold: Hold, tip: str | None) -> dict[str, Any]:
    """`fixed`: the held change came in here, and what is here now is not it any more, by something else than a rollback."""
    said = {"commit": hold.commit, "reason": hold.reason, "by": hold.by, "at": iso(hold.at)}
    given = state.releases.get(state.release.commit) if state.release else None
    if tip is None or (given is not None and given.restores):
        return {**said, "fixed": False}
    objects = site.repository.objects
    there = merge.contains(hold.entries, lambda path: objects.look(objects.commit(tip).tree, path))
    fixed = not there and objects.has(hold.commit) and site.repository.is_ancestor(hold.commit, tip)
    return {**said, "fixed": fixed}


def _observed(world: World, environment: Environment, state: EnvironmentState) -> dict[str, Any]:
    """What was last recorded; what was read just now says how fresh it is, or why it could not be read."""
    seen, live = state.observed, world.observations.get(environment.name)
    unread = world.unread.get(environment.name)
    at = live.at if live else seen.at if seen else None
    return {
        "deployed": seen.revision if seen else None,
        "health": (seen.health if seen else Health.UNKNOWN).value,
        "health_since": iso(seen.since) if seen else None,
        "observed_at": iso(at) if at else None,
        "unread": str(unread) if unread else None,
        "reasons": [str(unread)] if unread else list(seen.reasons) if seen else ["not observed yet"],
    }


def _since(site: Site, state: EnvironmentState, tip: str) -> str:
    """Since when the branch's tip is there: when it was released, else first observed, else committed."""
    if state.release and state.release.commit == tip and state.since:
        return iso(state.since)
    fact = state.facts.get(tip)
    return iso(fact.first if fact else site.repository.objects.commit(tip).at)


def _next(plan: Plan | PromotionError | None) -> dict[str, Any]:
    if plan is None:
        return {
            "candidate": None,
            "verdict": None,
            "waiting_for": None,
            "until": None,
            "plan_id": None,
            "hint": None,
            "approval": None,
        }
    if isinstance(plan, PromotionError):
        said = {"verdict": "block", "waiting_for": plan.message, "hint": plan.hint}
        return {"candidate": None, "until": None, "plan_id": None, "approval": None, **said}
    untils = [v.until for v in plan.verdicts if v.verdict == "wait"]
    known = [until for until in untils if until is not None]
    return {
        "candidate": plan.commit,
        "verdict": plan.verdict,
        "waiting_for": plan.reason if plan.verdict in ("wait", "block", "conflict") else None,
        "until": iso(max(known)) if known and len(known) == len(untils) else None,
        "plan_id": plan.plan_id,
        "hint": None,
        "approval": as_data(plan.asked) if plan.asked and plan.asked.verdict.verdict != "pass" else None,
    }
