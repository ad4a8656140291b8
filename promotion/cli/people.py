"""The verbs of people who decide: hold, lift, adopt, configure. Each prints what was recorded, and how to undo it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from promotion import observe, reconcile, report
from promotion.cli.context import Call, One, call_of, commit_of, place_of, sites_of
from promotion.cli.output import answer
from promotion.errors import ConfigError
from promotion.events import Event
from promotion.model import short

Reason = Annotated[str, typer.Option("--reason", metavar="R", help="Why; it is recorded.", show_default=False)]
Commit = Annotated[str, typer.Argument(metavar="COMMIT", help="A commit, or a unique prefix.", show_default=False)]


def hold(context: typer.Context, environment: One, commit: Commit, reason: Reason) -> int:
    """Refuses a change for an environment until it is fixed or the hold is lifted."""
    call = call_of(context)
    with place_of(call, environment) as (site, target):
        event = reconcile.hold(site, target, commit_of(site, commit), _said(reason))
    held = short(event.data["commit"])
    said = f"{event.application}: {target.name} holds {held} ({len(event.data['entries'])} files): {reason}"
    return _recorded(call, event, said, f"promotion lift {target.name} {held}")


def lift(context: typer.Context, environment: One, commit: Commit) -> int:
    """Ends a hold."""
    call = call_of(context)
    with place_of(call, environment) as (site, target):
        if not re.fullmatch(r"[0-9a-f]{4,40}", commit.lower()):
            raise ConfigError(f"{commit!r} is no commit: give 4 to 40 hex digits")
        event = reconcile.lift(site, target, commit.lower())
    held = short(event.data["commit"])
    said = f"{event.application}: {target.name} no longer holds {held}"
    return _recorded(call, event, said, f"promotion hold {target.name} {held} --reason R")


def adopt(
    context: typer.Context,
    environment: One,
    source: Annotated[str | None, typer.Option("--source", metavar="COMMIT", help="What it stands for.")] = None,
) -> int:
    """Records a branch as it is as a release that stands for a commit of its source. Nothing is deployed by it."""
    call = call_of(context)
    with place_of(call, environment) as (site, target):
        before = observe.survey(site).state.of(target.name).release
        event = reconcile.adopt(site, target, site.repository.resolve(source.lower()) if source else None)
        rows = report.status(site, observe.survey(site), {})["environments"]
        row = next(row for row in rows if row["environment"] == target.name)
    stands_for = f"stands for {target.source} {short(event.data['source'])}"
    said = f"{event.application}: {target.name} {short(event.data['commit'])} {stands_for}"
    if row["drift"]:
        said += (
            f"\n! {row['drift']} files differ from it, and stay as they are here: {', '.join(row['drift_paths'][:5])}"
        )
    stood_for = short(before.source) if before else "COMMIT"
    return _recorded(call, event, said, f"promotion adopt {target.name} --source {stood_for}")


def _recorded(call: Call, event: Event, said: str, undo: str) -> int:
    answer(call, {"recorded": event.to_json(), "undo": undo}, [*said.splitlines(), f"  undo    {undo}"])
    return 0


def _said(reason: str) -> str:
    if not reason.strip():
        raise ConfigError("a reason is one that people can read", where="--reason")
    return reason.strip()


def configure(context: typer.Context, reason: Reason) -> int:
    """Makes this file the configuration in force, and shows what differs from the one before."""
    call = call_of(context)
    applications: list[dict[str, Any]] = []
    with sites_of(call) as found:
        for site, _ in found:
            differences = reconcile.configure(site, _said(reason))
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
