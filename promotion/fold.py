"""How each event changes the folded state; pure, and the only place where the state is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

from promotion import releases
from promotion.errors import RefusedError
from promotion.events import Event
from promotion.model import AnswerWord, Health, HowWord, VerificationWord
from promotion.state import (
    Answer,
    EnvironmentState,
    Fact,
    Freeze,
    Hold,
    Observed,
    Override,
    Release,
    State,
    Steady,
    Verification,
)
from promotion.stored import entries_from_json
from promotion.texts import duration, instant, person

FACTS = 200
"""How many commits of one environment the state remembers at most."""
ANSWERS = 100
"""How many answers of people."""
GRANTED = 50
"""For how many sources it is remembered who approved them."""
CODES = 200
"""Of how many people the last code is remembered."""


def fold(state: State, event: Event) -> State:
    """The state after an event. Raises RefusedError for an event, or about an environment, that is not known."""
    if event.event == "configured":
        return replace(state, in_force=event.data["in_force"])
    _check_known(state, event)
    if event.event == "observed" and event.environment is None:
        for name in event.data["environments"]:
            state = state.with_environment(name, _still(state.of(name), event.at, _heartbeat(state)))
        return state
    if event.event in ("frozen", "thawed") and event.environment is None:
        return replace(state, frozen=_freeze(event))
    if event.environment is None or event.event not in _FOLDS:
        raise RefusedError(f"a ledger record {event.event!r} is not known to this version")
    if "step" in event.data:
        state = replace(state, codes=_used(state.codes, event))
    before = state.of(event.environment)
    state = state.with_environment(event.environment, _FOLDS[event.event](before, event, _heartbeat(state)))
    state = _forget(state, event.environment)
    return state.with_environment(event.environment, releases.bounded(state.of(event.environment)))


def _check_known(state: State, event: Event) -> None:
    """Environments are those in force, and those of which something was recorded when they were."""
    if state.in_force is None:
        return
    known = {*state.in_force.get("environments", ()), *state.environments}
    for name in [event.environment] if event.environment else event.data.get("environments", ()):
        if name not in known:
            what = f"a ledger record {event.event!r} is about {name!r}"
            raise RefusedError(f"{what}, which no configuration in force has had")


def _used(codes: Mapping[str, int], event: Event) -> Mapping[str, int]:
    """The steps that were used, with one more: those of the people who used theirs last."""
    who, step = person(event.by), int(event.data["step"])
    used = {**codes, who: max(step, codes.get(who, step))}
    return dict(sorted(used.items(), key=lambda each: (each[1], each[0]))[-CODES:])


def _heartbeat(state: State) -> timedelta:
    return duration((state.in_force or {}).get("heartbeat", "10m"))


def _adopted(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    previous = e.release.commit if e.release else None
    release = Release(event.data["commit"], event.data["source"], previous)
    given = releases.began(e.releases, release.commit, release.source)
    begun = replace(e, release=release, since=event.at, epoch=event.id, verification=None, releases=given)
    return replace(begun, answers=(), granted={})


def _observed(e: EnvironmentState, event: Event, heartbeat: timedelta) -> EnvironmentState:
    revision, health, at = event.data["revision"], Health(event.data["health"]), event.at
    old = e.observed
    same = old is not None and (old.revision, old.health) == (revision, health)
    well = event.data.get("well_since")
    observed = Observed(
        revision=revision,
        health=health,
        reasons=tuple(event.data["reasons"]),
        since=old.since if old is not None and same else at,
        at=at,
        well_since=instant(well) if well else None,
    )
    facts = dict(e.facts)
    if revision:
        # A clock that was put back changes nothing about what was seen before what.
        fact = facts.pop(revision, None) or Fact(health, max([at, *(f.first for f in facts.values())]), at)
        healthy_since = fact.healthy_since or (at if health is Health.HEALTHY else None)
        facts[revision] = Fact(health, fact.first, at, healthy_since)
    degraded = event.data.get("degraded_since")
    watched = e.verification if e.verification and e.verification.state == "pending" else None
    verification = (
        replace(watched, degraded_since=instant(degraded) if degraded else None) if watched else e.verification
    )
    steady = _steady(e.steady, health, at, heartbeat)
    given = releases.seen(e.releases, revision, health) if revision else e.releases
    return replace(e, observed=observed, facts=facts, steady=steady, verification=verification, releases=given)


def _still(e: EnvironmentState, at: datetime, heartbeat: timedelta) -> EnvironmentState:
    if e.observed is None:
        return e
    return replace(e, observed=replace(e.observed, at=at), steady=_steady(e.steady, e.observed.health, at, heartbeat))


def _steady(steady: Steady | None, health: Health, at: datetime, heartbeat: timedelta) -> Steady | None:
    if health in (Health.DEGRADED, Health.MISSING):
        return None
    if health is Health.UNKNOWN:
        return steady  # not seen: neither broken nor carried on; two heartbeats of it break the stretch
    if steady is not None and at - steady.at <= 2 * heartbeat:
        return replace(steady, at=max(at, steady.at))
    return Steady(at, at)


def _promoted(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    previous = e.release.commit if e.release else None
    return replace(
        e,
        release=Release(event.data["commit"], event.data["source"], previous),
        since=event.at,
        epoch=event.id,
        verification=Verification(event.data["commit"], instant(event.data["until"])),
        answers=(),
        overridden=e.overridden if e.overridden and e.overridden.plan_id == event.data["plan_id"] else None,
        granted=_granted(e, event),
        releases=releases.began(e.releases, event.data["commit"], event.data["source"]),
    )


def _rolled_back(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    """What was gone back over is undone and held; what is there again, where it was undone before, is neither."""
    d = event.data
    commit, source, lifted = d["commit"], d["source"], {*d["lifts"]}
    held = tuple(
        Hold(h["commit"], entries_from_json(h["entries"]), d["reason"], event.by, event.at) for h in d["holds"]
    )
    replaced = lifted | {h.commit for h in held}
    given = releases.went_back(e.releases, d["undone"], {d["restores"], *lifted})
    return replace(
        e,
        release=Release(commit, source, e.release.commit if e.release else None) if source else None,
        since=event.at,
        epoch=event.id,
        verification=Verification(commit, instant(d["until"])),
        holds=(*(h for h in e.holds if h.plan_id or h.commit not in replaced), *held),
        overridden=None,
        answers=(),
        granted={},
        releases=releases.began(given, commit, source, d["restores"]),
    )


def _granted(e: EnvironmentState, event: Event) -> Mapping[str, tuple[Answer, ...]]:
    """Only those count on whose approval counted when it landed: not one that had expired, or that an override made up for."""
    counted = event.data.get("approvers", ())
    said = tuple(a for a in e.answers if a.plan_id == event.data["plan_id"] and person(a.by) in counted)
    others = {oid: known for oid, known in e.granted.items() if oid != event.data["source"]}
    return dict([*others.items(), *([(event.data["source"], said)] if said else [])][-GRANTED:])


def _absorbed(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    old = e.release or Release(event.data["target"], event.data["source"])
    source, target = event.data["source"], event.data["target"]
    return replace(e, release=replace(old, source=source), releases=releases.stands_for(e.releases, target, source))


def _judged(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    v = e.verification
    if v is None or v.commit != event.data["commit"]:
        return e
    return replace(e, verification=replace(v, state=cast(VerificationWord, event.event)))


def _held(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    d = event.data
    hold = Hold(d["commit"], entries_from_json(d["entries"]), d["reason"], event.by, event.at)
    v = e.verification
    acted = replace(v, acted=True) if v is not None and v.commit == hold.commit else v
    kept = (h for h in e.holds if h.plan_id or h.commit != hold.commit)
    return replace(e, holds=(*kept, hold), verification=acted)


def _lifted(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    return replace(e, holds=tuple(h for h in e.holds if h.commit != event.data["commit"]))


def _answered(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    """What a person says of a plan stands in the place of all that this person said of it before."""
    d, who = event.data, person(event.by)
    answers = tuple(a for a in e.answers if (a.plan_id, a.by) != (d["plan_id"], who))
    holds = tuple(h for h in e.holds if (h.plan_id, person(h.by)) != (d["plan_id"], who))
    if event.event == "withdrawn":
        left = {
            oid: tuple(a for a in said if a.by != who or a.plan_id != d["plan_id"]) for oid, said in e.granted.items()
        }
        e = replace(e, granted={oid: said for oid, said in left.items() if said})
    else:
        word = cast(AnswerWord, event.event)
        answers = (*answers, Answer(d["plan_id"], d["source"], who, word, event.at, cast(HowWord, d["how"])))
    if event.event == "rejected":
        entries = entries_from_json(d["entries"])
        holds = (*holds, Hold(d["source"], entries, d["reason"], event.by, event.at, d["plan_id"]))
    return replace(e, answers=answers[-ANSWERS:], holds=holds)


def _identified(e: EnvironmentState, _: Event, __: timedelta) -> EnvironmentState:
    """Says nothing yet: that the code is used up is no environment's matter."""
    return e


def _overridden(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    d = event.data
    return replace(e, overridden=Override(d["plan_id"], tuple(d["gates"]), d["reason"], event.by))


def _frozen(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    v = e.verification
    acted = replace(v, acted=True) if v is not None and v.commit == event.data.get("commit") else v
    return replace(e, frozen=_freeze(event), verification=acted)


def _freeze(event: Event) -> Freeze | None:
    """What a frozen event makes; a thawed one ends it."""
    if event.event == "thawed":
        return None
    d = event.data
    return Freeze(d["reason"], event.by, event.at, instant(d["until"]) if d["until"] else None, d["strict"])


def _reverted(e: EnvironmentState, event: Event, _: timedelta) -> EnvironmentState:
    return replace(e, reverted_at=instant(event.data["reverted_at"]))


_FOLDS: Mapping[str, Callable[[EnvironmentState, Event, timedelta], EnvironmentState]] = {
    "adopted": _adopted,
    "observed": _observed,
    "promoted": _promoted,
    "rolled-back": _rolled_back,
    "absorbed": _absorbed,
    "verified": _judged,
    "failed": _judged,
    "timed-out": _judged,
    "held": _held,
    "lifted": _lifted,
    "frozen": _frozen,
    "thawed": _frozen,
    "reverted": _reverted,
    **dict.fromkeys(("approved", "rejected", "withdrawn"), _answered),
    "identified": _identified,
    "overridden": _overridden,
}


def _forget(state: State, name: str) -> State:
    """Drops facts that no decision can need any more, so that reading the state costs the same after years."""
    environments = (state.in_force or {}).get("environments", {})
    for source in {name, environments.get(name, {}).get("from")} - {None}:
        e = state.of(source)
        bases = [state.of(t).release for t, settings in environments.items() if settings.get("from") == source]
        keep = {r.source for r in bases if r} | {e.observed.revision if e.observed else None}
        keep |= {e.release.commit if e.release else None}
        firsts = [e.facts[r.source].first for r in bases if r and r.source in e.facts]
        # Every environment that takes commits from here has its base: what was first seen before them all is history.
        oldest = min(firsts) if bases and len(firsts) == len(bases) else None
        recent = sorted(e.facts, key=lambda oid: (e.facts[oid].at, oid))[-FACTS:]
        facts = {
            oid: f
            for oid, f in e.facts.items()
            if oid in keep or (bases and oid in recent and (oldest is None or f.first >= oldest))
        }
        if len(facts) != len(e.facts):
            state = state.with_environment(source, replace(e, facts=facts))
    return state
