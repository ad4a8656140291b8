"""What a freshly read world calls for, as events that are not written yet: first sights, observations, verifications, holds."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from promotion import answers, lineage, merging, observe, restoring, scope
from promotion.errors import PromotionError
from promotion.events import Event, first_epoch
from promotion.fold import fold
from promotion.model import Environment, Health
from promotion.observe import Site, World
from promotion.rollback import Rollback
from promotion.state import EnvironmentState, State
from promotion.stored import entries_to_json
from promotion.texts import iso, short

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """A world, and the events that are to be written on top of it; `state` is what the ledger will say with them."""

    world: World
    state: State
    events: tuple[Event, ...] = ()

    def plus(self, *events: Event) -> Draft:
        state = self.state
        for event in events:
            state = fold(state, event)
        return replace(self, state=state, events=(*self.events, *events))

    @property
    def drafted(self) -> World:
        return replace(self.world, state=self.state)


def news(site: Site, world: World, strict: Collection[Environment] = ()) -> Draft:
    """The events that a world calls for, before anything is decided. `strict` environments raise what others only log."""
    draft = Draft(world, world.state)
    app = site.application
    if world.state.in_force is None:
        data = {"in_force": app.in_force, "reason": "first use"}
        draft = draft.plus(Event("configured", app.name, None, site.clock(), site.by, data))
    for environment in app.environments:
        draft = _first_sight(site, draft, environment, strict)
        draft = _taken_back_by_hand(site, draft, environment)
        draft = _observed(site, draft, environment)
        draft = _reverted(site, draft, environment)
        draft = _verification(site, draft, environment)
    return _heartbeat(site, draft)


def _first_sight(site: Site, draft: Draft, environment: Environment, strict: Collection[Environment]) -> Draft:
    if environment.source is None or draft.state.of(environment.name).release is not None:
        return draft
    try:
        answers.check_branch(site, draft.world, environment)
        source = answers.first_base(site, draft.world, environment)
    except PromotionError as exc:
        if environment in strict:
            raise
        log.warning("%s", exc)
        return draft
    data = {"commit": observe.head(site, draft.world, environment), "source": source}
    event = event_for(site, "adopted", environment, data)
    return draft.plus(replace(event, id=first_epoch(site.application.name, environment.name, data["commit"], source)))


def _taken_back_by_hand(site: Site, draft: Draft, environment: Environment) -> Draft:
    """A `git revert` on the branch: what people made on top of the release, and has what an older release had."""
    state = draft.state.of(environment.name)
    if environment.source is None or state.release is None or draft.world.snapshot[environment.ref] is None:
        return draft
    head = observe.head(site, draft.world, environment)
    found = restoring.taken_back_by_hand(site, draft.drafted, environment, head)
    if found is None or found[1].source is None:
        return draft
    commit, back = found
    made = site.repository.objects.commit(commit)
    what = f"{short(commit)} has the content of {short(back.restores)}"
    until = iso(site.clock() + environment.verify.within)
    rollback = restoring.made(site, environment, state, made.parents[0], back, made.tree, what)
    data = {**data_of(rollback), "commit": commit, "until": until}
    return draft.plus(replace(event_for(site, "rolled-back", environment, data), by="git"))


def data_of(made: Rollback) -> dict[str, Any]:
    """What the event of a rollback says, but for its commit."""
    holds = [{"commit": oid, "entries": entries_to_json(entries)} for oid, entries in made.holds.items()]
    return {
        "plan_id": made.plan_id,
        "restores": made.back.restores,
        "source": made.back.source,
        "target": made.target,
        "tree": made.tree,
        "holds": holds,
        "lifts": list(made.lifts),
        "undone": list(made.back.undone),
        "reason": made.reason,
    }


def _observed(site: Site, draft: Draft, environment: Environment) -> Draft:
    seen, last = draft.world.observations.get(environment.name), draft.state.of(environment.name).observed
    if seen is None:
        return draft
    settled, well_since = observe.settle(seen, last, environment.dwell)
    if last and (last.revision, last.health, last.well_since) == (settled.revision, settled.health, well_since):
        return draft
    data: dict[str, Any] = {"revision": settled.revision, "health": settled.health, "reasons": list(settled.reasons)}
    if well_since:
        data["well_since"] = iso(well_since)
    watched = draft.state.of(environment.name).verification
    if settled.health is Health.DEGRADED and watched and is_at(site, settled.revision, watched.commit):
        data["degraded_since"] = iso(watched.degraded_since or seen.at)
    return draft.plus(replace(event_for(site, "observed", environment, data), at=seen.at))


def _reverted(site: Site, draft: Draft, environment: Environment) -> Draft:
    """What a sync loop put back since the last time; the loop itself, which only reads Git, could not write it."""
    seen = draft.world.observations.get(environment.name)
    for record in seen.reverted if seen else ():
        known = draft.state.of(environment.name).reverted_at
        if known is None or record.at > known:
            data = {"revision": record.revision, "paths": list(record.paths), "reverted_at": iso(record.at)}
            data |= {"found": record.found} if record.found else {}
            data |= {"managers": list(record.managers)} if record.managers else {}
            draft = draft.plus(event_for(site, "reverted", environment, data))
    return draft


def _verification(site: Site, draft: Draft, environment: Environment) -> Draft:
    """What this round's reading, or the clock, says about a pending verification."""
    state = draft.state.of(environment.name)
    watched, rules = state.verification, environment.verify
    if watched is None or watched.state != "pending":
        return draft
    now, seen = site.clock(), draft.world.observations.get(environment.name)
    names_it = seen is not None and is_at(site, seen.revision, watched.commit)
    health = state.observed.health if names_it and state.observed else None
    reasons = list(state.observed.reasons) if state.observed else []
    if health is Health.HEALTHY:
        return draft.plus(event_for(site, "verified", environment, {"commit": watched.commit, "reasons": reasons}))
    first = watched.degraded_since or now
    if health is Health.DEGRADED and first <= watched.until and now - first >= rules.grace:
        word = "failed"
    elif now >= watched.until and (seen or environment.name in draft.world.unread):  # we did look
        word = "timed-out"
    else:
        return draft
    return draft.plus(event_for(site, word, environment, {"commit": watched.commit, "reasons": reasons}))


def holds(site: Site, draft: Draft) -> Draft:
    """Holds what `verify` says is to be held after a verification that did not succeed, once; a failed rollback freezes."""
    for environment in site.application.environments:
        state = draft.state.of(environment.name)
        watched = state.verification
        if watched is None or watched.acted:
            continue
        given = state.releases.get(watched.commit)
        if given is not None and given.restores:
            draft = _failed_rollback(site, draft, environment, watched.commit) if watched.state == "failed" else draft
            continue
        action = {"failed": environment.verify.on_failure, "timed-out": environment.verify.on_timeout}
        if action.get(watched.state) == "hold" and site.repository.find(watched.commit):
            observed = draft.state.of(environment.name).observed
            why = "; ".join(observed.reasons) if observed else ""
            reason = f"verification {watched.state}: {why or 'no answer'}"
            draft = draft.plus(event_for(site, "held", environment, hold_of(site, environment, watched.commit, reason)))
    return draft


def _failed_rollback(site: Site, draft: Draft, environment: Environment, commit: str) -> Draft:
    """Nothing more is done by itself where going back did not help; somebody's freeze stays as it is."""
    state = draft.state.of(environment.name)
    if state.frozen is not None and state.frozen.holds(site.clock()):
        return draft
    why = "; ".join(state.observed.reasons) if state.observed else ""
    reason = f"the rollback {short(commit)} failed as well: {why or 'no answer'}"
    data = {"reason": reason, "until": None, "strict": False, "commit": commit}
    return draft.plus(event_for(site, "frozen", environment, data))


def is_at(site: Site, revision: str | None, commit: str) -> bool:
    """Whether a deployed revision is this commit, or a descendant with the same content."""
    if revision is None or revision == commit:
        return revision == commit
    if not site.repository.find(commit):  # reset away by somebody
        return False
    repository, app = site.repository, site.application
    if not repository.objects.has_commit(revision):
        return False
    same = scope.digest(repository, app, revision) == scope.digest(repository, app, commit)
    return same and lineage.leads_to(repository, commit, revision)


def _heartbeat(site: Site, draft: Draft) -> Draft:
    """Once a heartbeat while a soak is being counted: what was read again, and is as it was."""
    counted = [  # the sources that a soak is being counted in
        draft.state.of(target.source)
        for target in site.application.environments
        if target.source and any(gate.type == "soak" for gate in target.gates)
        if _soaking(draft.state.of(target.source), draft.state.of(target.name))
    ]
    now, heartbeat = site.clock(), site.application.heartbeat
    if not any(s.observed and s.steady and now - s.steady.at >= heartbeat for s in counted):
        return draft
    said = {e.environment for e in draft.events if e.event == "observed"}
    names = sorted(draft.world.observations.keys() - said)
    if not names:
        return draft
    return draft.plus(Event("observed", site.application.name, None, now, site.by, {"environments": names}))


def _soaking(source: EnvironmentState, target: EnvironmentState) -> bool:
    given = target.release.source if target.release else None
    base = source.facts.get(given) if given else None
    later = [f for oid, f in source.facts.items() if oid != given and (base is None or f.first >= base.first)]
    return any(fact.health is Health.HEALTHY for fact in later)


def event_for(site: Site, kind: str, environment: Environment, data: Mapping[str, Any]) -> Event:
    return Event(kind, site.application.name, environment.name, site.clock(), site.by, data)


def hold_of(site: Site, environment: Environment, commit: str, reason: str) -> dict[str, Any]:
    """A hold of what a commit changed against its first parent, outside protected paths."""
    entries = merging.change_of(site, environment, commit)
    return {"commit": commit, "entries": entries_to_json(entries), "reason": reason}
