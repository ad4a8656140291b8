"""The verbs that observe and promote: promote, run, observe, sync."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import typer

from promotion import observe as observation
from promotion import reconcile, report, resolving, watching
from promotion.cli import remote, render, shown
from promotion.cli.context import Call, One, Remote, Some, call_of, commit_of, each, place_of, sites_of, span_of
from promotion.cli.output import answer, complain, failed, note, worst
from promotion.cli.progress import followed
from promotion.cli.rounds import Loop
from promotion.cli.stopping import stopping
from promotion.errors import ConfigError, ContendedError, PromotionError, once
from promotion.model import Environment
from promotion.observe import Site, World
from promotion.texts import short, span

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
    override: Annotated[
        str | None, typer.Option("--override", metavar="GATES", help="Past these, if you may: soak,freeze.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="R", help="Why past them; it is recorded.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    resolution: Annotated[
        str | None, typer.Option("--resolution", metavar="COMMIT", help="Where it conflicts, what this one has.")
    ] = None,
    on_prefect: Remote = False,
) -> int:
    """One hop now, if all gates pass."""
    call, began = call_of(context), time.monotonic()
    patience = span_of(wait, "--wait")
    if plan is not None and (not 4 <= len(plan) <= 64 or plan.lower().strip("0123456789abcdef")):
        raise ConfigError(f"{plan!r} is no plan: give 4 to 64 hex digits", where="--plan")
    plan = plan.lower() if plan else None
    past = [word.strip() for word in override.split(",") if word.strip()] if override is not None else []
    if override is not None and not past:
        raise ConfigError("names no gate: soak, window, approval, freeze", where="--override")
    if reason and not past:
        raise ConfigError("is why a gate is overridden: it needs --override", where="--reason")
    if on_prefect and past:
        raise ConfigError("is said here, by whoever may: not with --remote", where="--override")
    if on_prefect:
        asked = {"plan": plan, "wait": wait, "allow_empty": allow_empty, "dry_run": dry_run, "resolution": resolution}
        return remote.promote(call, environment, commit=commit, **asked)
    with place_of(call, environment) as (site, target), stopping(call) as stop:
        chosen = commit_of(site, commit) if commit else None
        decided = resolving.resolution_of(site, resolution) if resolution else None
        options: dict[str, Any] = {"chosen": chosen, "plan_id": plan, "allow_empty": allow_empty}
        options |= {"override": past, "reason": reason, "resolution": decided}
        try:
            if patience is None or dry_run:
                result = reconcile.promote(site, target, dry_run=dry_run, **options)
            else:
                steps = partial(reconcile.patiently, site, target, **options)
                result = followed(call, steps, patience.total_seconds(), stop)
        except ContendedError as exc:
            result = reconcile.contended(site, target, exc)
        if result.plan is not None:
            shown.remember(site, result.plan)
    data = report.result(result)
    lines = [*render.result(data, time.monotonic() - began, dry_run=dry_run), *report.advice(result, dry_run=dry_run)]
    answer(call, data, lines)
    return result.status


# --- rounds ----------------------------------------------------------------------------------------------------------


def run(
    context: typer.Context,
    environments: Some = None,
    every: Every = None,
    sync: Annotated[bool, typer.Option("--sync", help="Run the embedded sync loops too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    on_prefect: Remote = False,
) -> int:
    """A round, or rounds: observe, verify, and promote into each environment at most once."""
    call = call_of(context)
    between = span_of(every, "--every", SECOND)
    if on_prefect and between is not None:
        raise ConfigError("with --remote there is one round; promotion serve repeats them", where="--every")
    if on_prefect:
        return remote.run(call, environments or [], sync=sync, dry_run=dry_run)
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
    with sites_of(call, environments or []) as sites, stopping(call) as stop:
        found = _loops(sites, environments or [])
        status, before = _watched(call, found, sync=True)
        while between is not None and not stop.wait(between.total_seconds()):
            status, before = _watched(call, found, sync=True, before=before)
    return status


def _loops(found: list[tuple[Site, list[Environment]]], named: list[str]) -> list[tuple[Site, list[Environment]]]:
    """Those that are sync loops of ours. Raises ConfigError for another one that is named, and when there is none."""
    chosen = [environment for _, environments in found for environment in environments]
    ours = [environment for environment in chosen if reconcile.is_loop(environment)]
    for environment in chosen:
        if environment not in ours and (environment.name in named or not ours):
            kind = environment.engine.type
            hint = f"promotion observe {environment.name}   says what it has deployed"
            raise ConfigError(f"{kind} deploys it, and no sync loop of ours", where=environment.name, hint=hint)
    mine = [(site, [e for e in environments if e in ours]) for site, environments in found]
    return [(site, environments) for site, environments in mine if environments]


def _watched(
    call: Call, found: list[tuple[Site, list[Environment]]], *, sync: bool, before: object = None
) -> tuple[int, object]:
    """One pass; says what there is unless it is as `before`. A failing application does not stop the others."""
    passes, errors = each(found, lambda site, chosen: _pass(site, chosen, sync=sync), strict=False)
    rows = [row for of_one, _ in passes for row in of_one]
    errors += [exc for _, trouble in passes for exc in trouble]
    errors = list(once(errors))
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
        done = reconcile.deploy(site, world, environments)
        world = reconcile.with_synced(watching.watch(site, world, environments), done)
        errors += done.errors
    else:
        world = reconcile.watch_only(site, [e.name for e in environments])
    errors += [world.unread[e.name] for e in environments if e.name in world.unread]
    return [_row(site, world, e) for e in environments], errors


def _row(site: Site, world: World, environment: Environment) -> dict[str, Any]:
    seen, last = world.observations.get(environment.name), world.state.of(environment.name).observed
    health = seen.health if seen else last.health if last else "unknown"
    return {
        "application": site.application.name,
        "environment": environment.name,
        "deployed": seen.revision if seen else last.revision if last else None,
        "health": str(health),
        "reasons": list(seen.reasons) if seen else ["as last recorded"] if last else [],
    }


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    head = ("APPLICATION", "ENV", "DEPLOYED", "HEALTH")
    cells = [
        [r["application"], r["environment"], short(r["deployed"]), f"{r['health']}  {'; '.join(r['reasons'])}"]
        for r in rows
    ]
    return render.table(head, cells)
