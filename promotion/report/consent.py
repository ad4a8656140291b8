"""Whether people had their say when something was promoted, replayed from the records before it; writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from promotion import authors, merging
from promotion.events import Event
from promotion.gates import approval
from promotion.model import Application, Environment, Spec
from promotion.observe import Site, World
from promotion.plan import plan_id
from promotion.report import inforce
from promotion.repository import Snapshot
from promotion.state import Answer, State
from promotion.texts import duration, person, short
from promotion.view import Unknown

LENIENT = timedelta(minutes=10)
"""By how much an approval may have been over when the record was made: it was decided a little earlier, maybe by another clock."""


def overridden(state: State, event: Event) -> Iterator[str]:
    """What does not hold about one override: the configuration in force says who may, and past what."""
    allowed: Mapping[str, Any] = (state.in_force or {}).get("overrides", {})
    gates = list(event.data["gates"])
    if person(event.by) not in allowed.get("by", ()):
        yield f"{event.by} overrode {', '.join(gates)} for {event.environment}, and was not among those who may"
    elif wrong := [gate for gate in gates if gate not in allowed.get("skip", ())]:
        yield f"{event.by} overrode {', '.join(wrong)} for {event.environment}, which may not be overridden"


def said(event: Event) -> dict[str, Any]:
    """What is told of an override that was allowed: it is meant to be seen."""
    told = event.to_json()
    return {key: told[key] for key in ("application", "environment", "by", "gates", "reason", "at")}


def approved(
    site: Site, state: State, ledger: str | None, event: Event, branches: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """What does not hold about a promotion into an environment that asks people. `state` and `ledger` are from before it.

    `branches`: the first-parent commits of each environment's branch, of those that are there.
    """
    name, source = event.environment or "", event.data["source"]
    app = _application(site.application, state)
    environment = next((e for e in app.environments if e.name == name), None)
    settings = environment.approval if environment else None
    if environment is None or settings is None:
        return
    said = [answer for answer in state.of(name).answers if answer.plan_id == event.data["plan_id"]]
    granted: list[Answer] = []
    for other in app.decided_with(environment):
        tip = event.data.get("elsewhere", {}).get(other.name)
        if tip is not None and tip not in branches.get(other.name, {tip}):
            yield f"{other.name} was never at {short(tip)}, where its decision is said to be taken from"
        said += _said(site, state, other.name, source, tip)
        granted += state.of(other.name).granted.get(source, ())
    wrote: frozenset[str] | Unknown = frozenset()
    if settings.get("not_author"):
        world = World(Snapshot({}), ledger, state)
        wrote = authors.of(replace(site, application=app), world, environment, event.data["base"], source)
    lasts = duration(settings.get("expires", approval.EXPIRES)) + LENIENT
    lenient = {**settings, "expires": f"{int(lasts.total_seconds())}s"}
    stood = approval.standing(lenient, said, granted, wrote, event.at)
    if stood.verdict.verdict != "pass":
        yield f"{short(source)} was promoted to {name} with {stood.brief} approvals"


def _said(site: Site, state: State, name: str, source: str, tip: str | None) -> Iterator[Answer]:
    """What people had said of another environment's plan for a commit, as its branch and the configuration in force were then.

    Records of before the tip was written down, and what is not in the repository any more, tell only about which commit it was.
    """
    there = state.of(name)
    about = [answer for answer in there.answers if answer.source == source]
    known = [oid for oid in (tip, source, there.release and there.release.source) if oid]
    if about and len(known) == 3 and all(map(site.repository.objects.has_commit, known)):
        view = inforce.standing(site, state, name, tip or "", source)
        merged = merging.merged(site, view, source)
        then = plan_id(view, source, merged) if merged.tree else None
        about = [answer for answer in about if answer.plan_id == then]
    yield from about


def _application(application: Application, state: State) -> Application:
    """The application as the configuration in force had it: who takes commits from whom, and who is asked."""
    known: Mapping[str, Mapping[str, Any]] = (state.in_force or {}).get("environments", {})
    environments = tuple(_environment(name, settings) for name, settings in known.items())
    paths = next((tuple(s["paths"]) for s in known.values() if "paths" in s), ())
    return replace(application, environments=environments, paths=paths)


def _environment(name: str, settings: Mapping[str, Any]) -> Environment:
    gates = tuple(Spec(g["type"], {k: v for k, v in g.items() if k != "type"}) for g in settings.get("gates", ()))
    return Environment(name, settings.get("branch", ""), settings.get("from"), gates=gates)
