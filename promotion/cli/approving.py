"""The verbs about one plan: approve, reject, withdraw. Each shows what it is about, asks, and prints what was recorded."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from promotion import observe, reconcile, report
from promotion.cli import render, shown
from promotion.cli.context import Call, call_of, sites_of
from promotion.cli.look import asked_at
from promotion.cli.output import answer, is_terminal, note, printed
from promotion.cli.output import shown as rendered
from promotion.cli.people import Reason, Sign
from promotion.errors import AnsweredError, ConfigError, PromotionError
from promotion.events import Event
from promotion.model import HowWord
from promotion.observe import Site
from promotion.report.requests import Place
from promotion.report.said import as_data
from promotion.texts import person
from promotion.view import Plan
from promotion.wording import line
from promotion.wording import reason as a_reason

Named = Annotated[str, typer.Argument(metavar="PLAN", help="A plan, or a unique prefix.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")]


def approve(
    context: typer.Context,
    plan: Annotated[str | None, typer.Argument(metavar="[PLAN]", help="A plan, or a unique prefix.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="R", help="Why; it is recorded.")] = "",
    yes: Yes = False,
    sign: Sign = False,
) -> int:
    """Approves exactly this plan. Without one: what waits for you.

    A one-time code, where an environment wants one, is asked for, or read from standard input.
    """
    call = call_of(context)
    if plan is None:
        return _waiting(call)
    line(reason, "a reason", "--reason")
    with sites_of(call, sign=sign) as found:
        site, made = _meant([site for site, _ in found], plan)
        reconcile.check_person(made.view.environment, site.by)  # before anybody is asked
        if not _agreed(call, site, made, "approve", yes=yes):
            return 4
        how, code = _proof(call, made, sign=sign)
        try:
            event = reconcile.approve(site, made, who=site.by, reason=reason, how=how, code=code)
        except AnsweredError as exc:
            return _nothing(call, exc)
        return _recorded(call, site, made, event)


def reject(context: typer.Context, plan: Named, reason: Reason, yes: Yes = False, sign: Sign = False) -> int:
    """Rejects this plan: its change is held until it is lifted, or this is withdrawn."""
    call = call_of(context)
    a_reason(reason, "--reason")
    with sites_of(call, sign=sign) as found:
        site, made = _meant([site for site, _ in found], plan)
        reconcile.check_person(made.view.environment, site.by)  # before anybody is asked
        if not _agreed(call, site, made, "reject", yes=yes):
            return 4
        how: HowWord = "signed" if sign else "claimed"
        try:
            event = reconcile.reject(site, made, who=site.by, reason=reason, how=how)
        except AnsweredError as exc:
            return _nothing(call, exc)
        return _recorded(call, site, made, event)


def withdraw(context: typer.Context, plan: Named, sign: Sign = False) -> int:
    """Takes back what you said of a plan."""
    call = call_of(context)
    with sites_of(call, sign=sign) as found:
        places = _places([site for site, _ in found])
        site, made = report.answered(places, _prefix(plan), places[0][0].by)
        how: HowWord = "signed" if sign else "claimed"
        return _recorded(call, site, made, reconcile.withdraw(site, made, who=site.by, how=how))


# --- what waits ------------------------------------------------------------------------------------------------------


def _waiting(call: Call) -> int:
    """What waits for people, in all applications; first what waits for whoever asks."""
    waiting: list[tuple[Site, Plan]] = []
    errors: list[PromotionError] = []
    with sites_of(call) as found:
        who = found[0][0].by
        snapshot = observe.looking([site for site, _ in found])
        for site, _ in found:
            try:
                plans = report.asking(site, observe.world(site, snapshot(site), partly=True))
            except PromotionError as exc:
                if len(found) == 1:
                    raise
                errors.append(exc)
                continue
            for plan in plans:
                shown.remember(site, plan)
                waiting.append((site, plan))
    pages = asked_at(call, [plan for _, plan in waiting])
    rows = [_row(site, plan, who) | {"page": pages.get(plan.plan_id or "")} for site, plan in waiting]
    rows.sort(key=lambda row: not row["may"])
    answer(call, {"waiting": rows, "who": who}, _lines(rows, who))
    for error in errors:
        note(call, str(error))
    return max((exc.exit_status for exc in errors), default=0)


def _row(site: Site, plan: Plan, who: str) -> dict[str, Any]:
    assert plan.asked is not None
    return {
        "application": site.application.name,
        "environment": plan.view.environment.name,
        "plan_id": plan.plan_id,
        "source": {"environment": plan.view.environment.source, "commit": plan.commit},
        "reason": plan.reason,
        "approval": as_data(plan.asked),
        "may": person(who) in plan.asked.may,
    }


def _lines(rows: Sequence[dict[str, Any]], who: str) -> Iterator[str]:
    for row in rows:
        plan, page = row["plan_id"][:8], row["page"]
        yield f"{render.hop(row['application'], row['environment'], row['source'])}   {row['reason']}   plan {plan}"
        ways = [*([f"promotion approve {plan}"] if row["may"] else []), *([page] if page else [])]
        if ways:
            yield f"  {'next' if row['may'] else 'asked':<7} {'   or   '.join(ways)}"
    if not any(row["may"] for row in rows):
        yield f"nothing waits for {who}"


# --- one plan --------------------------------------------------------------------------------------------------------


def _prefix(text: str) -> str:
    plain = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{4,64}", plain):
        raise ConfigError(f"{text!r} is no plan: give 4 to 64 hex digits", hint="promotion approve   shows what waits")
    return plain


def _places(sites: Sequence[Site]) -> list[Place]:
    snapshot = observe.looking(sites)
    return [(site, observe.world(site, snapshot(site), partly=True)) for site in sites]


def _meant(sites: Sequence[Site], text: str) -> tuple[Site, Plan]:
    prefix = _prefix(text)
    return report.named(_places(sites), prefix, [made for site in sites for made in shown.recalled(site, prefix)])


def _agreed(call: Call, site: Site, plan: Plan, verb: str, *, yes: bool) -> bool:
    """Shows the plan and asks. Raises ConfigError where nobody can be asked."""
    asks = is_terminal() and sys.stdin.isatty() and not call.json
    if not yes and not asks:
        raise ConfigError(f"there is no terminal to ask on: {verb} needs --yes", where="--yes")
    if not call.json:
        printed(rendered(call, [row for row in render.plan(report.plan(site, plan)) if "promotion approve" not in row]))
    if yes or typer.confirm(f"{verb} plan {(plan.plan_id or '')[:8]} as {site.by}?"):
        return True
    note(call, "nothing was recorded")
    return False


def _proof(call: Call, plan: Plan, *, sign: bool) -> tuple[HowWord, str | None]:
    """What proves who it is: a signature, a code, or a name."""
    if sign:
        return "signed", None
    if plan.asked is None or plan.asked.identity != "code":
        return "claimed", None
    if is_terminal() and sys.stdin.isatty() and not call.json:
        return "code", str(typer.prompt("code", hide_input=True))
    if not (code := sys.stdin.readline(100).strip()):
        raise ConfigError(f"{plan.view.environment.name} wants a one-time code: none was given", where="standard input")
    return "code", code


def _nothing(call: Call, said: AnsweredError) -> int:
    """The same was recorded before: a command that was killed after its push may be typed again."""
    answer(call, {"recorded": None, "reason": said.message}, [said.message])
    return 0


def _recorded(call: Call, site: Site, plan: Plan, event: Event) -> int:
    name, short_id = event.environment or "", event.data["plan_id"][:8]
    decided = plan.view.resolution.commit if plan.view.resolution else None
    world, environment = observe.survey(site), plan.view.environment
    fresh = report.quick(site, world, environment, chosen=plan.commit, resolution=decided)
    undo = (
        f"promotion lift {name} {(plan.commit or '')[:7]}"
        if event.event == "rejected"
        else f"promotion withdraw {short_id}"
    )
    stands = f": {fresh.asked.brief}" if fresh.asked and fresh.plan_id == event.data["plan_id"] else ""
    said = f"{event.application}: {name} plan {short_id} {event.event} by {event.by}{stands}"
    lines = [said] if event.event == "withdrawn" else [said, f"  undo    {undo}"]
    if fresh.verdict == "pass" and fresh.plan_id == event.data["plan_id"]:
        lines.append(f"  next    promotion promote {name} --plan {short_id}   or the next round")
    data = {"recorded": event.to_json(), "undo": undo, "approval": as_data(fresh.asked) if fresh.asked else None}
    answer(call, data, lines)
    return 0
