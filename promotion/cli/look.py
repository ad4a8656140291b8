"""The verbs that look at what is and what comes next: status, plan, schema. They read Git, and say how old what they show is."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from promotion import answers, config, observe, report, resolving, texts
from promotion.cli import render
from promotion.cli import shown as remembered
from promotion.cli.context import Call, One, Some, call_of, commit_of, each, place_of, sites_of
from promotion.cli.output import addressed, answer, complain, is_terminal, printed, shown, worst
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.merge import Difference
from promotion.model import Entry, Environment
from promotion.observe import Site, World
from promotion.report.conflicts import entries
from promotion.sites import utc_now
from promotion.view import Plan

log = logging.getLogger(__name__)

WATCH_SECONDS = 2.0
DIFF_LINES = 2000
"""How many lines `--diff` shows at most, and how large a file may be."""
DIFF_BYTES = 1 << 20


def read(site: Site, environments: list[Environment], *, live: bool) -> World:
    """What Git says; with `live` also what engines and checks say now, as it would be recorded."""
    return _lively(site, observe.survey(site), environments, live=live)


def _lively(site: Site, world: World, environments: list[Environment], *, live: bool) -> World:
    if not live:
        return world
    from promotion import watching  # engines and checks
    from promotion.reconcile.draft import news

    environments = [e for e in environments if e.name not in world.missing]
    return news(site, watching.watch(site, world, environments)).drafted


# --- status ----------------------------------------------------------------------------------------------------------


def status(
    context: typer.Context,
    environments: Some = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on and show what changes; Ctrl-C ends it.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask engines and checks now; records nothing.")] = False,
) -> int:
    """What is where, since when, is it well, what comes next and what it waits for."""
    call = call_of(context)
    if watch:
        return _watch(call, environments or [], live=live)
    data, errors = _status(call, environments or [], live=live)
    answer(call, data, _status_lines(data))
    return complained(errors)


def complained(errors: list[PromotionError]) -> int:
    """Says what is wrong with some of the applications; the exit status that it means."""
    told = {(str(exc), exc.hint): exc for exc in errors}  # applications of one repository have the same trouble
    for exc in told.values():
        complain(exc)
    return worst(0, *(exc.exit_status for exc in errors))


def _watch(call: Call, patterns: list[str], *, live: bool) -> int:
    """The same again and again, printed when it changed, until Ctrl-C."""
    last = ""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                data, _ = _status(call, patterns, live=live)
            except TemporaryError as exc:
                log.warning("%s", exc)  # it may be back in two seconds
                time.sleep(WATCH_SECONDS)
                continue
            text = json.dumps(data) if call.json else shown(call, _status_lines(data))
            if text != last:
                printed(("\033[H\033[2J" if is_terminal() and not call.json else "") + text)
            last = text
            time.sleep(WATCH_SECONDS)
    return 0


def _status(call: Call, patterns: list[str], *, live: bool) -> tuple[dict[str, Any], list[PromotionError]]:
    """All applications that can be read; the error of an only one is raised."""
    gone: list[PromotionError] = []

    def one(site: Site, environments: list[Environment]) -> dict[str, Any]:
        names = {e.name for e in environments}
        world = observe.world(site, snapshot(site), partly=True)
        world = _lively(site, world, environments, live=live)
        gone.extend(ConfigError(said) for name, said in world.missing.items() if name in names)
        row = report.status(site, world)
        row["environments"] = [e for e in row["environments"] if e["environment"] in names]
        return {**row, "heartbeat": int(site.application.heartbeat.total_seconds())}

    with sites_of(call, patterns) as found:
        snapshot = observe.looking([site for site, _ in found])
        applications, errors = each(found, one)
    return {"applications": applications}, [*errors, *gone]


def status_lines(call: Call) -> str:
    """The table of `status`, as one text."""
    data, _ = _status(call, [], live=False)
    return shown(call, _status_lines(data))


def _status_lines(data: dict[str, Any]) -> Iterator[str]:
    for number, application in enumerate(data["applications"]):
        if number:
            yield ""
        stale = 2 * timedelta(seconds=application["heartbeat"])
        name = application["application"] if len(data["applications"]) > 1 else None
        yield from (addressed(line, name) for line in render.status(application, utc_now(), stale))


# --- plan ------------------------------------------------------------------------------------------------------------


def plan(
    context: typer.Context,
    environment: One,
    commit: Annotated[str | None, typer.Option("--commit", metavar="SHA", help="Ask about this one.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change in the files.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the source's engine and checks now; records nothing.")
    ] = False,
    resolution: Annotated[
        str | None, typer.Option("--resolution", metavar="COMMIT", help="Where it conflicts, with what this one has.")
    ] = None,
) -> int:
    """What would be promoted, and why (not). The exit status is the verdict's: 0 pass or nothing, 3 wait, 4 block, 5 conflict."""
    call = call_of(context)
    with place_of(call, environment) as (site, target):
        if target.source is None:
            raise ConfigError(f"{target.name} takes commits from nobody: people push to {target.branch}")
        chosen = commit_of(site, commit) if commit else None
        world = read(site, [site.application.environment(target.source)], live=live)
        decided = resolving.resolution_of(site, resolution) if resolution else None
        made = answers.plan(site, world, target, chosen=chosen, resolution=decided)
        data = report.plan(site, made, report.assumed(site, world)) | {
            "page": asked_at(call, [made]).get(made.plan_id or "")
        }
        remembered.remember(site, made)
        difference = _difference(site, made) if diff else []
    answer(call, {**data, **({"diff": difference} if diff else {})}, [*render.plan(data), *difference])
    return made.status


def asked_at(call: Call, plans: Sequence[Plan]) -> Mapping[str, str]:
    """The pages of the runs that ask people about plans, by plan id, where PREFECT_API_URL says whom to ask for them."""
    waiting = [p.plan_id for p in plans if p.plan_id and p.asked is not None and p.asked.verdict.verdict == "wait"]
    if not waiting or "PREFECT_API_URL" not in call.environ:
        return {}
    from flows import addresses  # a tenth of a second

    return addresses.asks(waiting, call.environ)


def _difference(site: Site, made: Plan) -> list[str]:
    """The target's tip against the plan's tree, as a unified diff."""
    if made.merged is not None and made.merged.conflicts:
        return _both_sides(site, made)
    if made.merged is None or made.merged.tree is None:
        return []
    objects = site.repository.objects
    return differing(site, objects.diff(objects.commit(made.view.tip).tree, made.merged.tree))


def differing(site: Site, changed: Difference, sides: tuple[str, str] = ("a", "b")) -> list[str]:
    """What differs between two trees, as a unified diff."""
    wanted = [e.oid for pair in changed.values() for e in pair if e is not None and e.mode != 0o160000]
    site.repository.prefetch([oid for oid in dict.fromkeys(wanted) if not site.repository.objects.has(oid)])
    lines: list[str] = []
    for path in sorted(changed):
        old, new = (_content(site, entry) for entry in changed[path])
        lines += render.difference(texts.shown(path), old, new, sides)
        if len(lines) > DIFF_LINES:
            return [*lines[:DIFF_LINES], f"... {len(changed)} files in all; the rest is not shown"]
    return lines


def _both_sides(site: Site, made: Plan) -> list[str]:
    """What the target and what the source made of each path in conflict, against the base that both started from."""
    lines: list[str] = []
    for path in made.merged.conflicts if made.merged else ():
        base, *both = (_content(site, entry) for entry in entries(site, made, path))
        for name, content in zip((made.view.environment.name, made.view.environment.source or ""), both, strict=True):
            lines += render.difference(texts.shown(path), base, content, ("base", name))
    return lines[:DIFF_LINES]


def _content(site: Site, entry: Entry | None) -> bytes | None:
    if entry is None:
        return None
    if entry.mode == 0o160000:
        return f"commit {entry.oid}\n".encode()
    data = site.repository.blob(entry.oid)
    return data if len(data) <= DIFF_BYTES else b"\0"


# --- schema -------------------------------------------------------------------------------------------------------------


def schema() -> int:
    """The JSON Schema of environments.yaml, for editors."""
    printed(json.dumps(config.schema(), indent=2))
    return 0
