"""One hop: decide for one environment, write the commit and its event, push both."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from promotion import answers, observe, scope, watching
from promotion.errors import ConfigError
from promotion.events import Event
from promotion.model import Environment, OutcomeWord, VerificationWord
from promotion.observe import Site
from promotion.reconcile.again import until_made
from promotion.reconcile.draft import Draft, holds, news
from promotion.reconcile.overriding import overridden, overriding
from promotion.reconcile.write import Part, write, write_all
from promotion.rollback import Rollback
from promotion.stored import entries_to_json
from promotion.texts import iso, short
from promotion.view import Plan

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one hop. `status` is the exit status that it means."""

    outcome: OutcomeWord
    application: str
    environment: str
    reason: str
    plan: Plan | None = None
    commit: str | None = None
    """M or R, when one landed."""
    verification: VerificationWord | None = None
    status: int = 0
    hint: str | None = None
    rollback: Rollback | None = None

    @property
    def plan_id(self) -> str | None:
        return self.plan.plan_id if self.plan else self.rollback.plan_id if self.rollback else None


def promote(
    site: Site,
    environment: Environment,
    *,
    chosen: str | None = None,
    plan_id: str | None = None,
    allow_empty: bool = False,
    dry_run: bool = False,
    by_hand: bool = True,
    override: Sequence[str] = (),
    reason: str = "",
    resolution: str | None = None,
) -> Result:
    """One hop now, if everything says pass; its source is observed first.

    `chosen` is a full commit id, `plan_id` a prefix: with it only this very plan may land. The gates in `override` are passed
    for this `reason`, if whoever acts may. `resolution` decides a conflict: see `resolving`. Raises PromotionError.
    """
    over = overriding(site, override, reason)
    if environment.source is None:
        raise ConfigError(f"{environment.name} takes commits from nobody: people push to {environment.branch}")
    asked = [site.application.environment(name) for name in (environment.source, *environment.requires)]
    site.probed.clear()

    def attempt() -> Result | None:
        world = watching.watch(site, observe.survey(site), asked)
        for why in world.unread.values():  # the ledger's last word counts, and its age is said
            log.warning("%s", why)
        world = replace(world, unread={})
        draft = holds(site, news(site, world, strict=[environment]))
        world = draft.drafted
        asked_for: dict[str, Any] = {"chosen": chosen, "by_hand": by_hand, "allow_empty": allow_empty}
        plan = answers.plan(site, world, environment, overriding=over, resolution=resolution, **asked_for)
        if plan_id and not (plan.plan_id or "").startswith(plan_id):
            now = f"now it is {plan.plan_id[:8]}" if plan.plan_id else f"now: {plan.reason}"
            if not dry_run:
                write(site, draft)  # what was observed, so that whoever asks for the plan again gets the one of now
            return _result(plan, "refused", f"plan {plan_id[:8]} is superseded: its inputs changed; {now}", status=4)
        if dry_run:
            return judged(plan)
        result, draft = land(site, draft, plan)
        if result is not None:
            write(site, draft)
        return result

    return until_made(attempt, f"{site.application.name}/{environment.name}")


def judged(plan: Plan) -> Result:
    """What a plan that does not land means, or would mean if it did."""
    words: Mapping[str, OutcomeWord] = {
        "pass": "promoted",
        "wait": "waiting",
        "block": "refused",
        "conflict": "conflict",
        "nothing": "nothing",
    }
    return _result(plan, "absorbed" if plan.absorbs else words[plan.verdict], plan.reason, status=plan.status)


def _result(plan: Plan, outcome: OutcomeWord, reason: str, **more: Any) -> Result:
    return Result(outcome, plan.view.application.name, plan.view.environment.name, reason, plan, **more)


def land(site: Site, draft: Draft, plan: Plan) -> tuple[Result | None, Draft]:
    """Lands a plan that passes, with all events drafted so far. (None, draft): somebody was faster."""
    part = prepare(site, draft, plan)
    if part is None:
        return judged(plan), draft
    (after,) = write_all([part])
    return (None, draft) if after is None else (landed(part), after)


def prepare(site: Site, draft: Draft, plan: Plan) -> Part | None:
    """What lands a plan, with all events drafted so far; its commit is written into the clone only. None: it does not pass."""
    if plan.verdict != "pass" or plan.merged is None or plan.merged.tree is None:
        return None
    return Part(site, draft.plus(*overridden(site, plan), _event_of(site, draft, plan)), plan)


def landed(part: Part) -> Result:
    """What became of a part with a plan or a rollback that was written."""
    commit = part.commit
    if part.rollback is not None:
        return went_back(part.rollback, commit=commit, verification="pending")
    assert part.plan is not None
    outcome: OutcomeWord = "promoted" if commit else "absorbed"
    verification: VerificationWord | None = "pending" if commit else None
    return _result(part.plan, outcome, part.plan.reason, commit=commit, verification=verification)


def went_back(back: Rollback, **more: Any) -> Result:
    """A rollback that landed, or would."""
    names = (back.application.name, back.environment.name)
    return Result("rolled-back", *names, back.reason, rollback=back, **more)


def message_of(subject: str, trailers: Mapping[str, str | None]) -> str:
    """The message of a commit of ours; what is None is not said."""
    said = [f"Promotion-{key}: {value}" for key, value in trailers.items() if value is not None]
    return f"{subject}\n\n" + "\n".join(said)


def _event_of(site: Site, draft: Draft, plan: Plan) -> Event:
    """The event of a hop; for a promotion its commit M is written first, into the clone only."""
    view, merged = plan.view, plan.merged
    assert merged is not None
    assert merged.tree is not None
    assert plan.commit is not None
    data: dict[str, Any] = {"plan_id": plan.plan_id, "source": plan.commit, "base": view.base, "target": view.tip}
    if decided := view.resolution:
        data["resolution"] = {"commit": decided.commit, "entries": entries_to_json(decided.entries)}
    name, app = view.environment.name, view.application.name
    event = Event("absorbed", app, name, site.clock(), site.by, data)
    if merged.absorbed:
        # A branch's tip may be a commit of others, which no way back leads to: it is what is there of ours that stands for S now.
        return replace(event, data={**data, "target": scope.newest(site.repository, view.application, view.tip)})
    trailers = {
        "Plan": plan.plan_id,
        "Application": app,
        "Environment": name,
        "Source": plan.commit,
        "Resolution": decided.commit if decided else None,
        "Ledger": draft.world.ledger or "none",
        "Attempt": event.id,
    }
    message = message_of(f"{app}: {name} <- {view.environment.source} {short(plan.commit)}", trailers)
    commit = site.repository.commit_tree(merged.tree, view.parents(plan.commit), message, event.at)
    until = iso(event.at + view.environment.verify.within)
    more: dict[str, Any] = {}
    if plan.asked and plan.asked.approved:
        others = {e.name: draft.world.snapshot[e.ref] for e in site.application.decided_with(view.environment)}
        more = {"approvers": [each.by for each in plan.asked.approved], **({"elsewhere": others} if others else {})}
    return replace(
        event, event="promoted", data={**data, "commit": commit, "tree": merged.tree, "until": until, **more}
    )
