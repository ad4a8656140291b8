"""The verbs about what is on one branch only: drift, backport, resolve. What is proposed, people merge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from promotion import observe, reconcile, report
from promotion.cli import render
from promotion.cli.context import One, Some, call_of, commit_of, each, place_of, sites_of
from promotion.cli.look import complained, differing
from promotion.cli.output import addressed, answer
from promotion.errors import ConfigError, PromotionError
from promotion.model import Environment
from promotion.observe import Site
from promotion.reconcile import Proposal
from promotion.sites import utc_now
from promotion.texts import short, shown

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
    else:
        yield f"  next    promotion backport {e['environment']}   proposes it to {e['root']}"


def _more(listed: Sequence[object]) -> Iterator[str]:
    if len(listed) > NAMED:
        yield f"  ... and {len(listed) - NAMED} more"


# --- backport --------------------------------------------------------------------------------------------------------


def backport(
    context: typer.Context,
    environment: One,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="R", help="Why; the commit says it.")] = "",
) -> int:
    """Proposes to the root what only this branch has, as a branch for people to merge. Typed again, it is the same one."""
    call = call_of(context)
    with place_of(call, environment) as (site, target):
        made = reconcile.backport(site, target, reason=reason, dry_run=dry_run)
        onto = site.application.environment(made.onto).branch
    answer(call, _proposal(made, onto), _backported(made, onto, dry_run=dry_run))
    return 0


def _proposal(made: Proposal, onto: str) -> dict[str, Any]:
    """The object of `backport --json`."""
    people = [
        {"commit": h.commit.oid, "author": h.commit.author.name, "subject": h.commit.subject} for h in made.hotfixes
    ]
    return {
        "outcome": made.outcome,
        "application": made.application,
        "environment": made.environment,
        "reason": made.reason,
        "onto": {"environment": made.onto, "branch": onto},
        "branch": made.branch,
        "commit": made.commit,
        "created": made.created,
        "brings": [shown(path) for path in made.brings],
        "marked": [shown(path) for path in made.marked],
        "undecided": [{"path": shown(path), "sides": what} for path, what in (made.undecided or {}).items()],
        "protected": [shown(path) for path in made.left],
        "hotfixes": people,
    }


def _backported(made: Proposal, onto: str, *, dry_run: bool) -> Iterator[str]:
    who = f"{made.application}: {made.onto} <- {made.environment}"
    if made.branch is None:
        yield f"{who}   NOTHING   {made.reason}"
    else:
        word = (
            "WOULD BE PROPOSED" if dry_run and not made.commit else "PROPOSED" if made.created else "PROPOSED ALREADY"
        )
        yield f"{who}   {word}   {made.branch}"
        for hotfix in made.hotfixes[:NAMED]:
            commit = hotfix.commit
            yield f'  {short(commit.oid)}  "{commit.subject[:80]}" ({commit.author.name})'
        yield from _more(made.hotfixes)
        yield from (f"  brings  {shown(path)}" for path in made.brings[:NAMED])
        yield from _more(made.brings)
    yield from _to_decide(made)
    for path in made.left[:NAMED]:
        yield f"! {shown(path)} is protected on the way from {made.onto}: no promotion brings it, so it stays drift"
    if made.commit and made.branch:
        yield f"  next    merge {made.branch} into {onto}: by a pull request, or in a clone"
        yield f"          git fetch && git switch {onto} && git merge --no-ff origin/{made.branch} && git push"
        yield f"          promotions then bring it to {made.environment}, where it is drift no more"


def _to_decide(made: Proposal) -> Iterator[str]:
    for path in made.marked[:NAMED]:
        yield f"! {shown(path)} holds conflict markers: resolve them there"
    for path, what in list((made.undecided or {}).items())[:NAMED]:
        yield f"! {shown(path)} is to be decided there: {what}"


# --- resolve ---------------------------------------------------------------------------------------------------------


def resolve(
    context: typer.Context,
    environment: One,
    commit: Annotated[str | None, typer.Option("--commit", metavar="SHA", help="The conflict of this one.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
) -> int:
    """Pushes a branch with both sides of a conflict in its files, to be decided there. Typed again, it is the same one."""
    call = call_of(context)
    with place_of(call, environment) as (site, target):
        chosen = commit_of(site, commit) if commit else None
        made = reconcile.resolve(site, target, chosen=chosen, dry_run=dry_run)
        source = site.application.environment(target.source or "").branch
    answer(call, {**_proposal(made, source), "source": made.source}, _resolving(made, dry_run=dry_run))
    return 0


def _resolving(made: Proposal, *, dry_run: bool) -> Iterator[str]:
    who = f"{made.application}: {made.environment} <- {made.onto} {short(made.source)}"
    if made.branch is None:
        yield f"{who}   NOTHING   {made.reason}"
        return
    word = "WOULD BE PROPOSED" if dry_run and not made.commit else "PROPOSED" if made.created else "PROPOSED ALREADY"
    yield f"{who}   CONFLICT, {word}   {made.branch}"
    yield from _to_decide(made)
    if made.commit:
        yield f"  next    git fetch && git switch {made.branch}   decide there, git commit -a && git push, then"
        yield f"  next    promotion promote {made.environment} --resolution COMMIT   takes these paths from it, and no others"
