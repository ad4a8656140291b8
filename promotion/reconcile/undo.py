"""Rollbacks: by hand, or by itself after a failed verification; writes the commit R and its event, pushes both."""

from __future__ import annotations

import logging
from dataclasses import replace

from promotion import answers, observe, restoring, rollback, scope
from promotion.errors import ConfigError
from promotion.events import Event
from promotion.model import Environment, Health
from promotion.observe import Site, World
from promotion.reconcile.again import until_made
from promotion.reconcile.draft import Draft, data_of, event_for, hold_of, is_at, news
from promotion.reconcile.hop import Result, landed, message_of, went_back
from promotion.reconcile.write import Part, write_all
from promotion.rollback import Back, Rollback, Stays
from promotion.state import EnvironmentState, Freeze, Verification
from promotion.texts import iso, short

log = logging.getLogger(__name__)


def roll_back(
    site: Site,
    environment: Environment,
    *,
    to: str | None = None,
    reason: str,
    dry_run: bool = False,
    through: str | None = None,
) -> Result:
    """Restores an earlier release as a new commit, whatever gates and freezes say, unless a freeze is strict.

    `to` is a full commit id; `through` whoever does it for the one who asks, whose name is only a claim then. Raises ConfigError when that is no release, and PromotionError.
    """

    def attempt() -> Result | None:
        draft = news(site, observe.survey(site), strict=[environment])
        made = _decided(site, draft.drafted, environment, to, reason)
        if isinstance(made, Result):
            return made
        if dry_run:
            return went_back(made)
        part = Part(site, draft.plus(_event_of(site, draft, made, through)), rollback=made)
        return landed(part) if write_all([part])[0] is not None else None

    return until_made(attempt, f"{site.application.name}/{environment.name}")


def _decided(site: Site, world: World, environment: Environment, to: str | None, reason: str) -> Rollback | Result:
    """What is to land now, or what that ends with instead."""
    state, names = world.state.of(environment.name), (site.application.name, environment.name)
    if environment.source is not None:
        answers.check_branch(site, world, environment)
    tip = world.tip(environment)
    wanted = scope.newest(site.repository, site.application, to) if to else None
    head = observe.head(site, world, environment)
    found = rollback.choose(restoring.line(site, world, environment, head, wanted), wanted, state.holds, environment)
    if isinstance(found, Stays) and found.outcome == "unknown":
        raise ConfigError(found.reason, where="--to")
    if isinstance(found, Stays) and found.outcome == "nothing":
        return Result("nothing", *names, found.reason, commit=None)
    for frozen in (f for f in (world.state.frozen, state.frozen) if f and f.strict and f.holds(site.clock())):
        everything = "" if frozen is world.state.frozen else f" {environment.name}"
        said = f'{environment.name} is strictly frozen by {frozen.by}: "{frozen.reason}"'
        return Result("refused", *names, said, status=4, hint=f"promotion thaw{everything}")
    if isinstance(found, Stays):
        return Result("refused", *names, found.reason, status=4)
    return restoring.prepared(site, environment, state, tip, found, reason)


def _event_of(site: Site, draft: Draft, made: Rollback, through: str | None = None) -> Event:
    """The event of a rollback; its commit R is written first, into the clone only."""
    name, app, back = made.environment.name, made.application.name, made.back
    event = event_for(site, "rolled-back", made.environment, {})
    trailers = {
        "Plan": made.plan_id,
        "Application": app,
        "Environment": name,
        "Source": back.source,
        "Restores": back.restores,
        "Ledger": draft.world.ledger or "none",
        "Attempt": event.id,
    }
    message = message_of(f"{app}: {name} back to {short(back.restores)}", trailers)
    commit = site.repository.commit_tree(made.tree, [made.target], message, event.at)
    until = iso(event.at + made.environment.verify.within)
    claimed = {"how": "claimed", "through": through} if through else {}
    return replace(event, data={**data_of(made), "commit": commit, "until": until, **claimed})


# --- by itself -------------------------------------------------------------------------------------------------------


def automatic(site: Site, draft: Draft, world: World, environment: Environment) -> Part | Draft | None:
    """What a verification that failed calls for in this round: a rollback; where there is no way back, a hold; or nothing.

    `world` is what is decided on: that of the draft, or the branch as another hop of this push leaves it.
    """
    watched = _failed(site, draft, world, environment)
    if watched is None:
        return None
    state, tip = draft.state.of(environment.name), world.tip(environment)
    reasons = "; ".join(state.observed.reasons) if state.observed else ""
    reason = f"verification failed: {reasons}"
    head = observe.head(site, world, environment)
    found = rollback.choose(restoring.line(site, world, environment, head), None, state.holds, environment)
    if not isinstance(found, Back) or found.hotfixes or found.source is None:
        reason += _why_not(found)
        return draft.plus(event_for(site, "held", environment, hold_of(site, environment, watched.commit, reason)))
    made = restoring.prepared(site, environment, state, tip, found, reason)
    return Part(site, draft.plus(_event_of(site, draft, made)), rollback=made)


def _why_not(found: Back | Stays) -> str:
    if isinstance(found, Stays):
        return "; there is no earlier release that was healthy"
    if found.hotfixes:
        return f"; not rolled back, since that would undo {', '.join(map(short, found.hotfixes))}, made by hand"
    return f"; nobody knows what {short(found.restores)} stands for"


def is_failing(draft: Draft, environment: Environment) -> bool:
    """Whether a verification failed that is to be followed by a rollback, and was not yet."""
    watched = draft.state.of(environment.name).verification
    failed = watched is not None and watched.state == "failed" and not watched.acted
    return failed and environment.verify.on_failure == "rollback"


def _failed(site: Site, draft: Draft, world: World, environment: Environment) -> Verification | None:
    """The failed verification that a rollback by itself may follow: all that must hold for one."""
    state, seen = draft.state.of(environment.name), draft.world.observations.get(environment.name)
    watched, release = state.verification, state.release
    if watched is None or release is None or not is_failing(draft, environment):
        return None
    fresh = seen is not None and seen.health is Health.DEGRADED and is_at(site, seen.revision, watched.commit)
    if not fresh or _was_well(state, watched.commit) or _frozen(site, draft, state):
        return None
    if release.commit != watched.commit or state.releases[watched.commit].restores is not None:
        return None
    on_top = not restoring.same(site, environment, world.tip(environment), watched.commit)
    return None if on_top else watched


def _was_well(state: EnvironmentState, commit: str) -> bool:
    """Whether it got well after it had failed: what becomes of it then is no matter of its arrival."""
    fact = state.facts.get(commit)
    return fact is not None and fact.healthy_since is not None


def _frozen(site: Site, draft: Draft, state: EnvironmentState) -> Freeze | None:
    now = site.clock()
    return next((f for f in (draft.state.frozen, state.frozen) if f is not None and f.holds(now)), None)
