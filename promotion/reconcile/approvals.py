"""What people say of one plan: approve, reject, withdraw. One event each, for a plan that is the plan still; the one door for all channels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from promotion import answers, asking, merging, void
from promotion.errors import AnsweredError, RefusedError
from promotion.events import Event
from promotion.gates.approval import PROVES, called
from promotion.model import Environment, HowWord
from promotion.observe import Site, World
from promotion.plan import inputs, plan_id
from promotion.reconcile.draft import event_for
from promotion.reconcile.proofs import written
from promotion.state import Answer, Hold
from promotion.stored import entries_to_json
from promotion.texts import person, short
from promotion.view import Approval, Merged, Plan, View
from promotion.wording import line
from promotion.wording import reason as a_reason


def approve(
    site: Site, plan: Plan, *, who: str, reason: str = "", how: HowWord = "claimed", code: str | None = None
) -> Event:
    """Records that somebody approves exactly this plan. `who` is an email; `how` is what proves it, `code` a one-time code.

    Raises RefusedError for a plan that is void or held, and for somebody who may not, AnsweredError for one who has; ConfigError
    for what is written wrong. Nothing is written then.
    """
    name, why = line(who, "a name"), line(reason, "a reason", "--reason")
    how = _proven(site, how)

    def event(world: World) -> Event:
        view, merged = _current(site, world, plan, name)
        check_person(view.environment, name)
        _check_held(view, merged, plan)
        standing = answers.standing(site, world, view, Approval(plan.commit or "", plan.plan_id or ""))
        if barred := next((b for b in standing.barred if b.who == person(name)), None):
            what = "is an author of it" if barred.why == "author" else f"may not: {barred.why}"
            raise RefusedError(f"{name} {what}, and {view.environment.name} wants others (`not_author`)")
        proofs = PROVES[standing.identity]
        if any(a.by == person(name) and a.until and a.how in proofs for a in standing.approved) and _own(
            view, plan, name
        ):
            raise AnsweredError(f"{name} has approved plan {_short(plan)} already")
        if how not in proofs:
            wanted = "a signature" if standing.identity == "signed" else "a one-time code"
            raise RefusedError(f"{view.environment.name} wants {wanted}: a name alone does not count there")
        return _event(site, "approved", view, merged, plan, name, {"reason": why, "how": how})

    return written(site, event, name, how, code)


def reject(
    site: Site, plan: Plan, *, who: str, reason: str, how: HowWord = "claimed", code: str | None = None
) -> Event:
    """Records that somebody rejects this plan: its change is held until it is lifted or withdrawn. Raises what `approve` does."""
    name, why = line(who, "a name"), a_reason(reason, "--reason")
    how = _proven(site, how)

    def event(world: World) -> Event:
        view, merged = _current(site, world, plan, name)
        check_person(view.environment, name)
        said = _own(view, plan, name)
        if said is not None and said.word == "rejected":
            raise AnsweredError(f"{name} has rejected plan {_short(plan)} already")
        objects = site.repository.objects
        changed = objects.diff(objects.commit(view.tip).tree, merged.tree or "", site.application.roots)
        entries = entries_to_json({path: new for path, (_, new) in changed.items()})
        said_so = {"entries": entries, "reason": why, "how": how}
        return _event(site, "rejected", view, merged, plan, name, said_so)

    return written(site, event, name, how, code)


def withdraw(site: Site, plan: Plan, *, who: str, how: HowWord = "claimed") -> Event:
    """Takes back what somebody said of a plan, also of a void one, and of one that landed where others take its decision.

    Raises RefusedError for somebody who said nothing that counts still.
    """
    name, environment = line(who, "a name"), plan.view.environment

    def event(world: World) -> Event:
        said = (a for a in asking.counting(site.application, world.state, environment) if a.by == person(name))
        mine = next((a for a in said if a.plan_id == plan.plan_id), None)
        if mine is None:
            raise _nothing_said(site, world, plan, name)
        data = {"plan_id": mine.plan_id, "source": mine.source, "how": how}
        return replace(event_for(site, "withdrawn", environment, data), by=name)

    return written(site, event, name)


def _nothing_said(site: Site, world: World, plan: Plan, who: str) -> RefusedError:
    """There may be something that was said where the decision is taken from."""
    what = f"{who} has said nothing of plan {_short(plan)}"
    for other in site.application.decided_with(plan.view.environment):
        for answer in asking.counting(site.application, world.state, other):
            if (answer.by, answer.source) == (person(who), plan.commit):
                there = f"{plan.view.environment.name} takes the decision of {other.name}, and that was about {answer.plan_id[:8]}"
                return RefusedError(f"{what} itself: {there}", hint=f"promotion withdraw {answer.plan_id[:8]}")
    return RefusedError(f"{what}, or it counts no more")


def _proven(site: Site, how: HowWord) -> HowWord:
    """A signature proves who it is where it is known whose it is; anywhere else it is no more than a name."""
    return "claimed" if how == "signed" and site.application.trust is None else how


# --- what must be so -------------------------------------------------------------------------------------------------


def _current(site: Site, world: World, plan: Plan, who: str) -> tuple[View, Merged]:
    """The view of this moment, without what `who` rejected, and what the plan gives. Raises RefusedError unless it is the plan still."""
    environment = site.application.environment(plan.view.environment.name)
    if plan.plan_id is None or plan.commit is None or plan.merged is None:
        raise RefusedError(f"there is nothing to decide about: {plan.reason}")
    if environment.approval is None:
        hint = f"promotion hold {environment.name} {short(plan.commit)} --reason R   keeps a change out"
        raise RefusedError(f"{environment.name} asks nobody: it has no gate `approval`", hint=hint)
    view = replace(answers.look(site, world, environment), resolution=plan.view.resolution)
    then = inputs(plan.view, plan.commit, plan.merged)
    if not any(candidate.oid == plan.commit for candidate in view.chain):
        arrived = site.repository.is_ancestor(plan.commit, view.base)
        raise _void(plan, void.why(then, None, arrived=arrived))
    holds = tuple(h for h in view.state.holds if not _is_own(h, plan, who))
    view = replace(view, state=replace(view.state, holds=holds))
    merged = merging.merged(site, view, plan.commit)
    if merged.tree is None:
        raise _void(plan, "both sides changed the same lines")
    if plan_id(view, plan.commit, merged) != plan.plan_id:
        raise _void(plan, void.why(then, inputs(view, plan.commit, merged)))
    if merged.absorbed:
        raise RefusedError(f"{environment.name} has all of {short(plan.commit)} already: there is nothing to decide")
    return view, merged


def _void(plan: Plan, why: str) -> RefusedError:
    return RefusedError(f"plan {_short(plan)} is void: {why}", hint=f"promotion plan {plan.view.environment.name}")


def check_person(environment: Environment, who: str) -> None:
    """Raises RefusedError for somebody who is not asked, where anybody is."""
    asked = (environment.approval or {"from": [person(who)]})["from"]
    if person(who) not in asked:
        names = ", ".join(called(asked).values())
        raise RefusedError(f"{who} is not asked for {environment.name}: {names} may decide there")


def _check_held(view: View, merged: Merged, plan: Plan) -> None:
    holds = (*view.state.holds, *view.rejections)
    held = next(
        (f"{'rejected' if h.plan_id else 'held'} by {h.by}: {h.reason}" for h in holds if h.commit == plan.commit), None
    )
    why = held or (merged.held.reason if merged.held else None)
    if why:
        hint = f"promotion lift {view.environment.name} COMMIT"
        raise RefusedError(f"{short(plan.commit)} is held for {view.environment.name}: {why}", hint=hint)


def _own(view: View, plan: Plan, who: str) -> Answer | None:
    return next((a for a in view.state.answers if (a.plan_id, a.by) == (plan.plan_id, person(who))), None)


def _is_own(hold: Hold, plan: Plan, who: str) -> bool:
    return hold.plan_id is not None and (hold.plan_id, person(hold.by)) == (plan.plan_id, person(who))


def _short(plan: Plan) -> str:
    return (plan.plan_id or "")[:8]


# --- what is written -------------------------------------------------------------------------------------------------


def _event(
    site: Site,
    kind: str,
    view: View,
    merged: Merged,
    plan: Plan,
    who: str,
    said: dict[str, Any],
) -> Event:
    made_of = inputs(view, plan.commit or "", merged)
    data = {"plan_id": plan.plan_id, "source": plan.commit, "contents": made_of["contents"], "epoch": made_of["epoch"]}
    return replace(event_for(site, kind, view.environment, {**data, **said}), by=who)
