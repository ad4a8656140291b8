"""Whether a change is deployed and healthy in an environment, will be, or cannot be any more; reads Git only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from promotion.model import Environment, Health
from promotion.observe import Site, World
from promotion.report.places import Search, has, places
from promotion.texts import short

Word = Literal["arrived", "waiting", "refused", "conflict", "failed"]


@dataclass(frozen=True, slots=True)
class Awaited:
    """How it stands at one moment, with its reason. `refused`, `conflict` and `failed` do not end without a person."""

    outcome: Word
    reason: str
    commit: str
    origin: str
    place: Mapping[str, Any]
    """Its object in `where --json`."""
    deployed: str | None
    health: Health


def awaited(site: Site, world: World, environment: Environment, commit: str) -> Awaited:
    """`commit` is a full id, as for `where`. What was last recorded counts, not what anybody would say now."""
    search = Search.of(site, world, commit)
    found = {place["environment"]: place for place in places(search)}
    seen = world.state.of(environment.name).observed
    outcome, reason = _outcome(search, environment, [found[e.name] for e in way(site, environment)])
    deployed, health = (seen.revision, seen.health) if seen else (None, Health.UNKNOWN)
    return Awaited(outcome, reason, commit, search.change, found[environment.name], deployed, health)


def way(site: Site, environment: Environment) -> list[Environment]:
    """The environments through which a change comes to this one: its root first, itself last."""
    found = [environment]
    while found[0].source is not None:
        found.insert(0, site.application.environment(found[0].source))
    return found


def _outcome(search: Search, environment: Environment, stops: Sequence[Mapping[str, Any]]) -> tuple[Word, str]:
    place, state = stops[-1], search.world.state.of(environment.name)
    if place["in"]:
        seen, watched = state.observed, state.verification
        there = seen is not None and seen.revision is not None and has(search, environment, seen.revision)
        if seen is None or not there:
            what = f"{short(seen.revision)} is deployed" if seen else "nothing was observed yet"
            outcome: tuple[Word, str] = ("waiting", f"{short(place['as'])} is not deployed: {what}")
        elif seen.health is Health.HEALTHY:
            return "arrived", f"{short(seen.revision)} is healthy"
        else:
            outcome = ("waiting", f"{short(seen.revision)} is {seen.health}: {'; '.join(seen.reasons)}")
        if watched is not None and watched.commit == place["as"] and watched.state in ("failed", "timed-out"):
            return "failed", f"verification of {short(watched.commit)} {watched.state}: {outcome[1]}"
        return outcome
    return _on_its_way(search, stops)


def _on_its_way(search: Search, stops: Sequence[Mapping[str, Any]]) -> tuple[Word, str]:
    """What keeps it, at the next environment on its way."""
    last = max((number for number, stop in enumerate(stops) if stop["in"]), default=None)
    if last is None:
        return "refused", f"{short(search.change)} is {stops[0]['reason']}"
    behind, stop = stops[last], stops[last + 1]
    named = {search.change, behind["as"]}
    for place in (behind, stop):
        for hold in search.world.state.of(place["environment"]).holds:
            if hold.commit in named:
                return "refused", f"{short(hold.commit)} is held in {place['environment']}: {hold.reason}"
    return "conflict" if stop["verdict"] == "conflict" else "waiting", f"{stop['environment']}: {stop['reason']}"
