"""The verbs that observe and promote: promote, run, observe, sync."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

import typer

from promotion import observe as observation
from promotion import reconcile, report
from promotion.cli import render
from promotion.cli.context import Call, One, Some, call_of, commit_of, each, place_of, sites_of, span_of
from promotion.cli.output import answer, complain, failed, note
from promotion.cli.progress import Progress
from promotion.cli.rounds import Loop, worst
from promotion.cli.stopping import stopping
from promotion.errors import ConfigError, ContendedError, PromotionError, TemporaryError
from promotion.model import Environment, short, span
from promotion.observe import Site, World
from promotion.reconcile import Result
from promotion.state import Verification

log = logging.getLogger(__name__)

PENDING = 3
"""The exit status of what still waits: for a gate, or for its verification."""
FAILED = 6
SECOND = timedelta(seconds=1)

Every = Annotated[str | None, typer.Option("--every", metavar="30s", help="Go on, with so long between two rounds.")]


# --- promote ---------------------------------------------------------------------------------------------------------


def promote(
    context: typer.Context,
    environment: One,
    commit: Annotated[str | None, typer.Option("--commit", metavar="SHA", help="This one, and no other.")] = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only if this is still the plan.")] = None,
    wait: Annotated[str | None, typer.Option("--wait", metavar="15m", help="Wait for gates and verification.")] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Even if nothing but protected files is left.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
) -> int:
    """One hop now, if all gates pass."""
    call, began = call_of(context), time.monotonic()
    patience = span_of(wait, "--wait")
    if plan is not None and (not 4 <= len(plan) <= 64 or plan.lower().strip("0123456789abcdef")):
        raise ConfigError(f"{plan!r} is no plan: give 4 to 64 hex digits", where="--plan")
    with place_of(call, environment) as (site, target), stopping(call) as stop:
        chosen = commit_of(site, commit) if commit else None
        options = {"chosen": chosen, "plan_id": plan.lower() if plan else None, "allow_empty": allow_empty}
        try:
            if patience is None or dry_run:
                result = reconcile.promote(site, target, dry_run=dry_run, **options)  # type: ignore[arg-type]
            else:
                with Progress(call) as progress:
                    result = _patiently(site, target, patience, stop, progress, options)
        except ContendedError as exc:
            names = (site.application.name, target.name)
            result = Result("contended", *names, exc.message, status=exc.exit_status, hint="try again")
    data = report.result(result)
    lines = [*render.result(data, time.monotonic() - began, dry_run=dry_run), *_next(result, dry_run=dry_run)]
    answer(call, data, lines)
    return result.status


def _next(result: Result, *, dry_run: bool) -> Iterator[str]:
    """What to type next, or what happens by itself."""
    if dry_run:
        yield "  next    nothing was written: this was a dry run"
    elif result.hint:
        yield f"  next    {result.hint}"
    elif result.outcome == "promoted" and result.verification == "pending" and result.plan:
        within = span(result.plan.view.environment.verify.within)
        yield f"  next    deployed and verified within {within}:  promotion status {result.environment}"
    elif result.outcome == "conflict":
        yield f"  next    promotion plan {result.environment} --diff   shows both sides, and how to resolve it"
    elif result.outcome == "waiting" and _unseen(result):
        source = result.plan.view.environment.source if result.plan else ""
        yield f"  next    promotion sync {source}, if nothing else deploys it; then promotion observe {source}"
    elif result.outcome in ("waiting", "refused"):
        yield f"  next    promotion plan {result.environment}"


def _unseen(result: Result) -> bool:
    """Whether it waits because nobody looked at the candidate in its source yet."""
    plan = result.plan
    return plan is not None and plan.commit is not None and plan.commit not in plan.view.source_state.facts


def _patiently(
    site: Site,
    target: Environment,
    patience: timedelta,
    stop: threading.Event,
    progress: Progress,
    options: dict[str, Any],
) -> Result:
    """Tries until it lands and is verified, is refused, or time is over."""
    until, pause = time.monotonic() + patience.total_seconds(), 1.0
    while True:
        try:
            result = reconcile.promote(site, target, **options)
        except TemporaryError as exc:
            if time.monotonic() >= until or stop.is_set():
                raise
            progress.say(str(exc))
        else:
            if result.outcome != "waiting":
                return _verified(site, target, result, until, stop, progress)
            progress.say(f"{target.name} waits: {result.reason}")
            if time.monotonic() >= until or stop.is_set():
                return result
        stop.wait(min(pause, max(0.0, until - time.monotonic())))
        pause = min(5.0, pause * 1.5)


def _verified(
    site: Site, target: Environment, result: Result, until: float, stop: threading.Event, progress: Progress
) -> Result:
    """Watches what landed, now or shortly before, until its verification is over or time is."""
    if result.outcome not in ("promoted", "nothing"):
        return result
    pause, ours = 1.0, result.commit is not None
    while True:
        try:
            world = reconcile.watch_only(site, [target.name])
        except TemporaryError as exc:
            progress.say(str(exc))
        else:
            watched = world.state.of(target.name).verification
            if watched is None or (result.commit and watched.commit != result.commit):
                return result  # somebody promoted again meanwhile
            if watched.state != "pending":
                return _ended(result, watched, world, target) if ours else result
            ours = True
            progress.say(f"{short(watched.commit)} in {target.name}: {_seen(world, target)}")
        if time.monotonic() >= until or stop.is_set():
            return replace(result, verification="pending", status=PENDING)
        stop.wait(min(pause, max(0.0, until - time.monotonic())))
        pause = min(5.0, pause * 1.5)


def _ended(result: Result, watched: Verification, world: World, target: Environment) -> Result:
    status = 0 if watched.state == "verified" else FAILED
    reason = result.reason if not status else f"{short(watched.commit)} {_seen(world, target)}"
    return replace(result, verification=watched.state, status=status, reason=reason)


def _seen(world: World, target: Environment) -> str:
    seen = world.state.of(target.name).observed
    if seen is None:
        return world.unread.get(target.name, "not observed yet")
    why = f": {'; '.join(seen.reasons)}" if seen.health != "healthy" else ""
    return f"{short(seen.revision)} is {seen.health}{why}"


# --- rounds ----------------------------------------------------------------------------------------------------------


def run(
    context: typer.Context,
    environments: Some = None,
    every: Every = None,
    sync: Annotated[bool, typer.Option("--sync", help="Run the embedded sync loops too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
) -> int:
    """A round, or rounds: observe, verify, and promote into each environment at most once."""
    call = call_of(context)
    between = span_of(every, "--every", SECOND)
    with sites_of(call, environments or []) as found, stopping(call) as stop:
        loop = Loop(call, found, sync=sync, dry_run=dry_run, scheduled=between is not None)
        if between is None:
            return loop.once()
        names = ", ".join(site.application.name for site, _ in found)
        note(call, f"{names}: rounds every {span(between)}; Ctrl-C ends them between two steps")
        return loop.until(stop, between.total_seconds())


def observe(context: typer.Context, environments: Some = None) -> int:
    """Records what is deployed and healthy, verified, failed or timed out. Promotes nothing."""
    call = call_of(context)
    with sites_of(call, environments or []) as found, stopping(call):
        return _watched(call, found, sync=False)[0]


def sync(context: typer.Context, environments: Some = None, every: Every = None) -> int:
    """The embedded sync loop: makes what runs match its branch, and puts back what was changed by hand."""
    call = call_of(context)
    between = span_of(every, "--every", SECOND)
    with sites_of(call, environments or []) as found, stopping(call) as stop:
        status, before = _watched(call, found, sync=True)
        while between is not None and not stop.wait(between.total_seconds()):
            status, before = _watched(call, found, sync=True, before=before)
    return status


def _watched(
    call: Call, found: list[tuple[Site, list[Environment]]], *, sync: bool, before: object = None
) -> tuple[int, object]:
    """One pass; says what there is unless it is as `before`. A failing application does not stop the others."""
    passes, errors = each(found, lambda site, chosen: _pass(site, chosen, sync=sync), strict=False)
    rows = [row for of_one, _ in passes for row in of_one]
    errors += [exc for _, trouble in passes for exc in trouble]
    said = (rows, [str(e) for e in errors])
    if said == before:
        return worst(0, *(e.exit_status for e in errors)), said
    if not rows and len(errors) == 1:
        return failed(errors[0], as_json=call.json), said
    answer(call, {"environments": rows}, _lines(rows))
    for error in errors:
        complain(error)
    return worst(0, *(e.exit_status for e in errors)), said


def _pass(
    site: Site, environments: list[Environment], *, sync: bool
) -> tuple[list[dict[str, Any]], list[PromotionError]]:
    """One application: a row for each environment, and what is wrong with some."""
    errors: list[PromotionError] = []
    if sync:
        world = observation.survey(site)
        errors += reconcile.deploy(site, world, environments)
        world = observation.watch(site, world, environments)
    else:
        world = reconcile.watch_only(site, [e.name for e in environments])
    errors += [TemporaryError(world.unread[e.name]) for e in environments if e.name in world.unread]
    return [_row(site, world, e) for e in environments], errors


def _row(site: Site, world: World, environment: Environment) -> dict[str, Any]:
    seen, last = world.observations.get(environment.name), world.state.of(environment.name).observed
    health = seen.health if seen else last.health if last else "unknown"
    return {
        "application": site.application.name,
        "environment": environment.name,
        "deployed": seen.revision if seen else last.revision if last else None,
        "health": str(health),
        "reasons": list(seen.reasons) if seen else [],
    }


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    head = ("APPLICATION", "ENV", "DEPLOYED", "HEALTH")
    cells = [
        [r["application"], r["environment"], short(r["deployed"]), f"{r['health']}  {'; '.join(r['reasons'])}"]
        for r in rows
    ]
    return render.table(head, cells)
