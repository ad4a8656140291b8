"""Where a change is: in which environments, since when and as which commit, and what keeps it from the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.errors import PromotionError
from promotion.model import Commit, Environment, iso
from promotion.observe import Site, World
from promotion.report.origins import is_ours, origin
from promotion.report.standing import quick


def where(site: Site, world: World, commit: str) -> dict[str, Any]:
    """The object of `where --json`. `commit` is a full id: a commit of the root, or any environment's own."""
    change = _change(site, world, commit)
    places: dict[str, dict[str, Any]] = {}
    for environment in site.application.environments:
        source = places.get(environment.source or "")
        places[environment.name] = _place(site, world, environment, change, source)
    return {
        "application": site.application.name,
        "commit": commit,
        "origin": change,
        "environments": list(places.values()),
    }


def _change(site: Site, world: World, commit: str) -> str:
    """The root's commit that this one stands for, when it is on the branch of an environment that takes commits."""
    app, repository = site.application, site.repository
    targets = [e for e in app.environments if e.source]
    made = repository.objects.commit(commit)
    homes = [e for e in targets if is_ours(made, app.name, e.name)]
    if not homes:
        roots = [world.tip(e) for e in app.environments if not e.source]
        if any(repository.is_ancestor(commit, tip) for tip in roots):
            return commit
        homes = [e for e in targets if _is_on(site, world.tip(e), commit)]
    return next((origin(site, world.state, e, commit) or commit for e in homes), commit)


def _is_on(site: Site, tip: str, commit: str) -> bool:
    """Whether a commit is in a branch's first-parent history; what cannot have it any more is not read."""
    return any(made.oid == commit for made in _having(site, tip, commit))


def _having(site: Site, tip: str, change: str) -> Iterator[Commit]:
    """The commits of a branch, newest first, at least down to the oldest one that has a change; not many more than twice those."""
    for number, made in enumerate(site.repository.first_parents(tip)):
        # Having it is monotonic along first parents: asked after 1, 2, 4, 8 ... commits.
        if number & (number - 1) == 0 and not site.repository.is_ancestor(change, made.oid):
            return
        yield made
        if made.oid == change:
            return


def _place(
    site: Site, world: World, environment: Environment, change: str, source: dict[str, Any] | None
) -> dict[str, Any]:
    said = {"environment": environment.name, "in": False, "since": None, "as": None, "verdict": None, "reason": None}
    if has(site, world, environment, change):
        arrived = _arrived(site, world, environment, change)
        fact = world.state.of(environment.name).facts.get(arrived.oid) if arrived and not environment.source else None
        since = iso(fact.first if fact else arrived.at) if arrived else None
        oid = arrived.oid if arrived else world.tip(environment)
        return {**said, "in": True, "since": since, "as": oid}
    if source is None:
        return {**said, "reason": f"not on {environment.branch}"}
    if not source["in"]:
        return {**said, "verdict": "wait", "reason": f"waits for {environment.source}"}
    try:
        plan = quick(site, world, environment)
    except PromotionError as exc:
        return {**said, "verdict": "block", "reason": str(exc)}
    return {**said, "verdict": plan.verdict, "reason": "next" if plan.verdict == "pass" else plan.reason}


def has(site: Site, world: World, environment: Environment, change: str) -> bool:
    """Whether an environment has been given a change of the root."""
    tip = world.tip(environment)
    stands_for = origin(site, world.state, environment, tip) or tip
    return change == stands_for or site.repository.is_ancestor(change, stands_for)


def _arrived(site: Site, world: World, environment: Environment, change: str) -> Commit | None:
    """The oldest commit of the branch that has the change; None when none has: it was absorbed."""
    found: Commit | None = None
    chain = list(_having(site, world.tip(environment), change))
    low, high = 0, len(chain)
    while low < high:
        middle = (low + high) // 2
        made = chain[middle]
        if made.oid == change or site.repository.is_ancestor(change, made.oid):
            found, low = made, middle + 1
        else:
            high = middle
    return found
