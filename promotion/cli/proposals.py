"""The verbs about what is on one branch only: drift. What they propose, people merge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from promotion import observe, report
from promotion.cli import render
from promotion.cli.context import Some, call_of, each, sites_of
from promotion.cli.look import complained, differing
from promotion.cli.output import addressed, answer
from promotion.errors import ConfigError, PromotionError
from promotion.model import Environment, short
from promotion.observe import Site
from promotion.sites import utc_now

NAMED = 20
"""How many files and commits of one environment people are shown."""


def drift(
    context: typer.Context,
    environments: Some = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show the content itself.")] = False,
) -> int:
    """What only these branches have, and by which commits: content that no promotion brought."""
    call = call_of(context)
    gone: list[PromotionError] = []

    def one(site: Site, chosen: list[Environment]) -> dict[str, Any]:
        world = observe.world(site, snapshot(site), partly=True)
        gone.extend(ConfigError(world.missing[e.name]) for e in chosen if e.name in world.missing)
        rows = [_row(site, world, e, diff=diff) for e in chosen if e.name not in world.missing]
        return {"application": site.application.name, "environments": rows}

    with sites_of(call, environments or []) as found:
        snapshot = observe.looking([site for site, _ in found])
        applications, errors = each(found, one)
    several, now = len(found) > 1, utc_now()
    lines = [line for data in applications for line in _lines(data, now, several=several)]
    answer(call, {"applications": applications}, lines)
    return complained([*errors, *gone])


def _row(site: Site, world: observe.World, environment: Environment, *, diff: bool) -> dict[str, Any]:
    data, found = report.drift(site, world, environment)
    sides = (environment.source or "", environment.name)
    return {**data, "diff": differing(site, found, sides)} if diff else data


def _lines(data: Mapping[str, Any], now: datetime, *, several: bool) -> Iterator[str]:
    name = data["application"] if several else None
    for e in data["environments"]:
        who = f"{data['application']}: {e['environment']}"
        if e["from"] is None:
            yield f"{who}   people push here: nothing drifts"
        elif not e["drift"]:
            yield f"{who}   no drift: it has what {e['from']} {short(e['base'])} brought"
        else:
            yield from (addressed(line, name) for line in _drifting(who, e, now))


def _drifting(who: str, e: Mapping[str, Any], now: datetime) -> Iterator[str]:
    since = f" since {render.clock(e['since'], now)}" if e["since"] else ""
    yield f"{who}   {render.files(e['paths'])} only here{since}, against {e['from']} {short(e['base'])}"
    for commit in e["commits"][:NAMED]:
        touched = render.files(commit["paths"])
        at = render.clock(commit["at"], now)
        yield f'  {short(commit["commit"])}  {at}  "{commit["subject"][:80]}" ({commit["author"]}), {touched}'
    yield from _more(e["commits"])
    width = max(len(path["change"]) for path in e["paths"])
    for path in e["paths"][:NAMED]:
        arriving = f"   (as {e['root']} has it)" if path["in_root"] else ""
        yield f"  {path['change']:<{width}}  {path['path']}{arriving}"
    yield from _more(e["paths"])
    yield from e.get("diff", ())
    if all(path["in_root"] for path in e["paths"]):
        yield f"  next    nothing to do: {e['root']} has all of it, so it is drift no more once promotions arrive here"


def _more(listed: list[Any]) -> Iterator[str]:
    if len(listed) > NAMED:
        yield f"  ... and {len(listed) - NAMED} more"
