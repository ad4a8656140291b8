"""A round over one application: sync, observe, verify, then one hop into each environment at most, sources first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from promotion import answers, observe
from promotion.errors import PromotionError, TemporaryError
from promotion.model import Environment
from promotion.observe import Site, World
from promotion.plan import Plan
from promotion.reconcile.draft import Draft, holds, news
from promotion.reconcile.hop import Result, land
from promotion.reconcile.sync import Synced, deploy, with_put_back
from promotion.reconcile.write import TRIES, write


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. `hops` has what was promoted, absorbed, failed, conflicted, contended or refused by the remote."""

    world: World
    hops: tuple[Result, ...] = ()
    plans: dict[str, Plan] = field(default_factory=dict)
    """The decision for each environment that was decided for."""
    errors: tuple[PromotionError, ...] = ()


def always(environment: Environment) -> bool:  # noqa: ARG001
    return True


def reconcile(
    site: Site,
    names: Collection[str],
    *,
    due: Callable[[Environment], bool] = always,
    sync: bool = False,
    land_hops: bool = True,
    dry_run: bool = False,
) -> Round:
    """One round over these environments. Errors of one environment are collected; those of the repository are raised.

    `due` says into which environments a hop is attempted now. Without `land_hops` everything is recorded and decided, and
    nothing is promoted; with `dry_run` nothing is written at all.
    """
    site.probed.clear()
    world = observe.survey(site)
    wanted = [e for e in site.application.environments if e.name in names]
    synced = deploy(site, world, wanted) if sync and not dry_run else Synced()
    errors = list(synced.errors)
    seen = {e.name for e in wanted} | {e.source for e in wanted}
    world = observe.watch(site, world, [e for e in site.application.environments if e.name in seen])
    draft = holds(site, news(site, with_put_back(world, synced)))
    hops = failures(draft)
    plans: dict[str, Plan] = {}
    for environment in (e for e in wanted if e.source and due(e)):
        try:
            result, draft = _attempt(site, draft, environment, land_hops=land_hops and not dry_run)
        except PromotionError as exc:
            errors.append(exc)
            draft = again(site, draft) if not dry_run else draft
            continue
        if result.plan is not None and result.outcome != "contended":
            plans[environment.name] = result.plan
        if result.outcome in ("promoted", "absorbed", "conflict", "contended"):
            hops.append(result)
    if not dry_run:
        draft = record(site, draft)
    return Round(draft.drafted, tuple(hops), plans, tuple(errors))


def failures(draft: Draft) -> list[Result]:
    """The verifications that ended badly in this round."""
    app = draft.state.application
    return [
        Result(
            "promoted",
            app,
            event.environment or "",
            "; ".join(event.data["reasons"]) or "no answer",
            commit=event.data["commit"],
            verification="failed" if event.event == "failed" else "timed-out",
            status=6,
        )
        for event in draft.events
        if event.event in ("failed", "timed-out")
    ]


def _attempt(site: Site, draft: Draft, environment: Environment, *, land_hops: bool) -> tuple[Result, Draft]:
    for _ in range(TRIES):
        plan = answers.plan(site, draft.drafted, environment)
        if not land_hops:
            return _undone(plan), draft
        result, draft = land(site, draft, plan)
        if result is not None:
            return result, draft
        draft = again(site, draft)
    reason = f"somebody was faster {TRIES} times"
    return Result("contended", site.application.name, environment.name, reason, plan, status=75), draft


def _undone(plan: Plan) -> Result:
    return Result("waiting", plan.view.application.name, plan.view.environment.name, plan.reason, plan)


def again(site: Site, draft: Draft) -> Draft:
    """Reads branches and ledger again and drafts anew from what this round observed."""
    fresh = observe.survey(site)
    world = observe.carried(draft.world, fresh, draft.world.state)
    return holds(site, news(site, world))


def record(site: Site, draft: Draft) -> Draft:
    """Writes what is drafted, reading again where somebody was faster."""
    for _ in range(TRIES):
        after = write(site, draft)
        if after is not None:
            return after
        draft = again(site, draft)
    raise TemporaryError(f"somebody was faster {TRIES} times", where=site.application.ledger)


def watch_only(site: Site, names: Collection[str]) -> World:
    """Records what is deployed and healthy, verified, failed or timed out; promotes and holds nothing."""
    world = observe.survey(site)
    wanted = [e for e in site.application.environments if e.name in names]
    draft = news(site, observe.watch(site, world, wanted))
    for _ in range(TRIES):
        after = write(site, draft)
        if after is not None:
            return after.drafted
        draft = news(site, observe.carried(draft.world, observe.survey(site), draft.world.state))
    raise TemporaryError(f"somebody was faster {TRIES} times", where=site.application.ledger)
