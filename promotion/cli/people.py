"""The verbs of people who decide: hold, lift, freeze, thaw, adopt, configure. Each prints what was recorded, and how to undo it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from promotion import observe, reconcile, report
from promotion.cli import render
from promotion.cli.context import Call, One, Some, call_of, commit_of, each, place_of, sites_of
from promotion.cli.look import complained
from promotion.cli.output import answer
from promotion.cli.times import end
from promotion.errors import ConfigError, PromotionError
from promotion.events import Event
from promotion.sites import utc_now
from promotion.texts import iso, short
from promotion.wording import reason as a_reason

Reason = Annotated[str, typer.Option("--reason", metavar="R", help="Why; it is recorded.", show_default=False)]
Commit = Annotated[str, typer.Argument(metavar="COMMIT", help="A commit, or a unique prefix.", show_default=False)]
Sign = Annotated[bool, typer.Option("--sign", help="Sign the record with Git's signing key, or not record it at all.")]


def hold(context: typer.Context, environment: One, commit: Commit, reason: Reason, sign: Sign = False) -> int:
    """Refuses a change for an environment until it is fixed or the hold is lifted."""
    call = call_of(context)
    with place_of(call, environment, sign=sign) as (site, target):
        event = reconcile.hold(site, target, commit_of(site, commit), _said(reason))
    held = short(event.data["commit"])
    said = f"{event.application}: {target.name} holds {held} ({render.files(event.data['entries'])}): {reason}"
    return _recorded(call, event, said, f"promotion lift {target.name} {held}")


def lift(context: typer.Context, environment: One, commit: Commit, sign: Sign = False) -> int:
    """Ends a hold."""
    call = call_of(context)
    with place_of(call, environment, sign=sign) as (site, target):
        if not re.fullmatch(r"[0-9a-f]{4,40}", commit.lower()):
            raise ConfigError(f"{commit!r} is no commit: give 4 to 40 hex digits")
        event = reconcile.lift(site, target, commit.lower())
    held = short(event.data["commit"])
    said = f"{event.application}: {target.name} no longer holds {held}"
    return _recorded(call, event, said, f"promotion hold {target.name} {held} --reason R")


def freeze(
    context: typer.Context,
    reason: Reason,
    environments: Some = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="It ends by itself: 2026-11-24T18:00Z, or 2h from now."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Rollbacks too.")] = False,
    sign: Sign = False,
) -> int:
    """Lets nothing into these environments, or into any without some, until they are thawed."""
    call, why, now = call_of(context), _said(reason), utc_now()
    ends = end(until, "--until", now) if until is not None else None
    with sites_of(call, environments or [], sign=sign) as found:
        said = each(found, lambda site, e: reconcile.freeze(site, e if environments else [], why, ends, strict=strict))
    last = f" until {render.clock(iso(ends), now)}" if ends else ""
    return _all_recorded(call, *said, f"frozen{last}: {why}", "thaw")


def thaw(context: typer.Context, environments: Some = None, sign: Sign = False) -> int:
    """Ends the freeze of these environments; without some, that of everything."""
    call = call_of(context)
    with sites_of(call, environments or [], sign=sign) as found:
        said = each(found, lambda site, chosen: reconcile.thaw(site, chosen if environments else []))
    return _all_recorded(call, *said, "thawed", "freeze --reason R")


def _all_recorded(
    call: Call, lists: Sequence[Sequence[Event]], errors: list[PromotionError], said: str, undo: str
) -> int:
    """One line for each event, and how to undo them all; what went wrong elsewhere does not stop them."""
    events = [event for of_one in lists for event in of_one]
    verb, _, rest = undo.partition(" ")
    names = dict.fromkeys(event.environment for event in events if event.environment)
    undone = " ".join(word for word in ("promotion", verb, *names, rest) if word)
    lines = [f"{event.application}: {event.environment or 'everything'} {said}" for event in events]
    undo_line = [f"  undo    {undone}"] if events else []
    answer(call, {"recorded": [event.to_json() for event in events], "undo": undone}, [*lines, *undo_line])
    return complained(errors)


def adopt(
    context: typer.Context,
    environment: One,
    source: Annotated[str | None, typer.Option("--source", metavar="COMMIT", help="What it stands for.")] = None,
    sign: Sign = False,
) -> int:
    """Records a branch as it is as a release that stands for a commit of its source. Nothing is deployed by it."""
    call = call_of(context)
    with place_of(call, environment, sign=sign) as (site, target):
        before = observe.survey(site).state.of(target.name).release
        event = reconcile.adopt(site, target, site.repository.resolve(source) if source else None)
        rows = report.status(site, observe.survey(site), {})["environments"]
        row = next(row for row in rows if row["environment"] == target.name)
    stands_for = f"stands for {target.source} {short(event.data['source'])}"
    said = f"{event.application}: {target.name} {short(event.data['commit'])} {stands_for}"
    if row["drift"]:
        named = ", ".join(row["drift_paths"][: render.NAMED])
        said += f"\n! what differs from it stays as it is here, {render.files(range(row['drift']))}: {named}"
    stood_for = short(before.source) if before else "COMMIT"
    return _recorded(call, event, said, f"promotion adopt {target.name} --source {stood_for}")


def _recorded(call: Call, event: Event, said: str, undo: str) -> int:
    answer(call, {"recorded": event.to_json(), "undo": undo}, [*said.splitlines(), f"  undo    {undo}"])
    return 0


def _said(reason: str) -> str:
    return a_reason(reason, "--reason")


def configure(
    context: typer.Context,
    reason: Reason,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on with a ledger that was rewound, deleted or replaced.")
    ] = False,
    sign: Sign = False,
) -> int:
    """Makes this file the configuration in force, and shows what differs from the one before."""
    call = call_of(context)
    applications: list[dict[str, Any]] = []
    with sites_of(call, sign=sign) as found:
        for site, _ in found:
            differences = reconcile.configure(site, _said(reason), accept_loss=accept_loss)
            applications.append({"application": site.application.name, "differences": differences})
    answer(call, {"applications": applications}, _configured(applications))
    return 0


def _configured(applications: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for a in applications:
        changed = "this file is in force now" if a["differences"] else "this file was in force already"
        lines += [f"{a['application']}: {changed}", *(f"  {line}" for line in a["differences"])]
    if any(a["differences"] for a in applications):
        lines.append("  undo    promotion configure --reason R   with the file as it was")
    return lines
