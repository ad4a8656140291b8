"""Which plans wait for people, and which plan it is that somebody names; reads Git only, writes and prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from promotion import answers, ledger, merging, void
from promotion.asking import counting
from promotion.errors import ConfigError, PromotionError, RefusedError
from promotion.model import Environment
from promotion.observe import Site, World
from promotion.plan import inputs, plan_id
from promotion.report.standing import quick
from promotion.spelling import nearest
from promotion.state import State
from promotion.texts import person, short
from promotion.view import Plan, View

SEARCHED = 50
"""How many candidates of each environment may be meant."""
Place = tuple[Site, World]


def asking(site: Site, world: World) -> list[Plan]:
    """The plans of an application that wait for people."""
    found = []
    for environment in (e for e in site.application.environments if e.approval):
        with suppress(PromotionError):
            plan = quick(site, world, environment)
            if plan.asked and plan.verdict in ("wait", "block") and plan.asked.verdict.verdict != "pass":
                found.append(plan)
    return found


def named(places: Sequence[Place], prefix: str, shown: Sequence[void.Inputs]) -> tuple[Site, Plan]:
    """The one plan that a prefix names, as it is now. `shown` is what plans were made of that begin with it and were shown.

    Raises RefusedError for a plan that is void, with what changed; ConfigError for one that is not known or not the only one.
    """
    known = {found[3]: found for found in _candidates(places)}
    meant = [found for identity, found in known.items() if identity.startswith(prefix)]
    if len(meant) > 1:
        several = ", ".join(sorted(found[3][: len(prefix) + 4] for found in meant)[:5])
        raise ConfigError(f"{prefix} names {len(meant)} plans ({several}): write more of it")
    if meant:
        site, world, view, _, commit = meant[0]
        return site, quick(site, world, view.environment, chosen=commit)
    if found := _resolved(places, prefix, shown):
        return found
    for site, world in places:
        if said := _gone(site, world, prefix, shown):
            raise said
    waiting = [plan.plan_id[:8] for site, world in places for plan in asking(site, world) if plan.plan_id]
    near = nearest(prefix[:8], waiting) or "; no plan waits for people"
    raise ConfigError(f"no plan {prefix}{near}", hint="promotion approve   shows what waits for you")


def _resolved(places: Sequence[Place], prefix: str, shown: Sequence[void.Inputs]) -> tuple[Site, Plan] | None:
    """A plan that was shown here with a person's decision about its conflict, if it is the plan still."""
    for site, world in places:
        for made in shown:
            environment = next((e for e in site.application.environments if e.name == made["environment"]), None)
            if environment is None or not made.get("resolution") or made["application"] != site.application.name:
                continue
            with suppress(PromotionError):
                plan = quick(site, world, environment, resolution=made["resolution"])
                if (plan.plan_id or "").startswith(prefix):
                    return site, plan
    return None


def answered(places: Sequence[Place], prefix: str, who: str) -> tuple[Site, Plan]:
    """The plan that a prefix names among those that somebody said something of, also of a void one. Raises what `named` does."""
    said = [
        (site, world, environment, answer)
        for site, world in places
        for environment in site.application.environments
        for answer in counting(site.application, world.state, environment)
        if answer.by == person(who)
    ]
    meant = [each for each in said if each[3].plan_id.startswith(prefix)]
    if len(meant) > 1:
        raise ConfigError(f"{prefix} names {len(meant)} plans: write more of it")
    if not meant:
        for site, _, view, identity, commit in _candidates(places):
            if identity.startswith(prefix) and site.application.decided_with(view.environment):
                return site, Plan(view, "nothing", "", commit, plan_id=identity)  # it may have been said elsewhere
        there = ", ".join(each[3].plan_id[:8] for each in said)
        of = f" (of: {there})" if there else ""
        raise RefusedError(f"{who} has said nothing of a plan {prefix}, or it counts no more{of}")
    site, world, environment, answer = meant[0]
    view = answers.look(site, world, environment)
    return site, Plan(view, "nothing", "", answer.source, plan_id=answer.plan_id)


def _candidates(places: Sequence[Place]) -> Iterator[tuple[Site, World, View, str, str]]:
    """Every plan that people may decide about: (site, world, view, plan id, commit)."""
    for site, world in places:
        for environment in (e for e in site.application.environments if e.approval):
            with suppress(PromotionError):
                view = answers.look(site, world, environment)
                for commit in (c.oid for c in view.chain[:SEARCHED]):
                    merged = merging.merged(site, view, commit)
                    if merged.tree:
                        yield site, world, view, plan_id(view, commit, merged), commit


# --- plans that are none any more ------------------------------------------------------------------------------------


def _gone(site: Site, world: World, prefix: str, shown: Sequence[void.Inputs]) -> RefusedError | None:
    """What became of a plan that this application's ledger or this machine knows of."""
    for record in site.repository.history.saying(world.ledger, f'"plan_id":"{prefix}') if world.ledger else ():
        event = ledger.event_of(record)
        data, name = event.data, event.environment or ""
        if event.event == "promoted":
            what = f"promoted to {name} as {short(data['commit'])}"
            return RefusedError(f"plan {prefix[:8]} is over: {what}", hint=f"promotion status {name}")
        if "contents" in data:
            before = ledger.read(site.repository, site.application.name, record.oid)
            return _void(site, world, prefix, _then(before, name, data))
    mine = [made for made in shown if made["application"] == site.application.name]
    return _void(site, world, prefix, mine[0]) if mine else None


def _then(state: State, name: str, data: Mapping[str, Any]) -> void.Inputs:
    """What a plan was made of that somebody answered about, by the configuration in force then."""
    settings = (state.in_force or {}).get("environments", {}).get(name, {})
    deciding = {key: value for key, value in settings.items() if key not in ("dwell", "auto")}
    made = {"environment": name, "source": data["source"], "contents": data["contents"], "epoch": data["epoch"]}
    return {**made, "deciding": deciding}


def _void(site: Site, world: World, prefix: str, then: void.Inputs) -> RefusedError | None:
    environment = next((e for e in site.application.environments if e.name == then["environment"]), None)
    if environment is None:
        return RefusedError(f"plan {prefix[:8]} is void: there is no environment {then['environment']} any more")
    try:
        why = _why(site, world, environment, then)
    except PromotionError as exc:
        why = exc.message
    return RefusedError(f"plan {prefix[:8]} is void: {why}", hint=f"promotion plan {environment.name}")


def _why(site: Site, world: World, environment: Environment, then: void.Inputs) -> str:
    view, commit = answers.look(site, world, environment), then["source"]
    if not any(candidate.oid == commit for candidate in view.chain):
        arrived = bool(site.repository.find(commit)) and site.repository.is_ancestor(commit, view.base)
        return void.why(then, None, arrived=arrived)
    merged = merging.merged(site, view, commit)
    return void.why(then, inputs(view, commit, merged)) if merged.tree else "both sides changed the same lines"
