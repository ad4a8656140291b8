"""Where a change is: in which environments, since when and as which commit, and what keeps it from the others.

Git's own walk finds what has it; of each branch only the releases since then are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from promotion import confirmed, ledger, scope
from promotion.confirmed import Told
from promotion.errors import PromotionError
from promotion.lineage import is_ours
from promotion.model import Commit, Environment
from promotion.observe import Site, World
from promotion.report.origins import origin
from promotion.report.standing import quick
from promotion.texts import iso
from promotion.view import DEPTH, Plan

LANDED = [f'"event":"{kind}"' for kind in confirmed.LANDED]


def where(site: Site, world: World, commit: str) -> dict[str, Any]:
    """The object of `where --json`. `commit` is the full id of a commit that the clone has.

    A promotion's own commit is the same question as the root's commit that it stands for; any other is the change itself.
    """
    search = Search.of(site, world, commit)
    name = site.application.name
    return {"application": name, "commit": commit, "origin": search.change, "environments": places(search)}


def places(search: Search) -> list[dict[str, Any]]:
    """An object for each environment, sources first."""
    found: dict[str, dict[str, Any]] = {}
    for environment in search.site.application.environments:
        found[environment.name] = _place(search, environment, found.get(environment.source or ""))
    return list(found.values())


def concerns(site: Site, commit: str) -> bool:
    """Whether a commit changed what is this application's, against its first parent."""
    roots = site.application.roots
    return not roots or scope.changed(site.repository, roots, site.repository.objects.commit(commit))


@dataclass
class Search:
    """What is known of one change while it is looked for."""

    site: Site
    world: World
    change: str
    after: Mapping[str, str | None]
    """The commits that have the change in their history, itself included -> their first parents."""
    commits: dict[str, Commit] = field(default_factory=dict)
    """What has been read."""
    known: dict[tuple[str, str], bool] = field(default_factory=dict)
    oldest: dict[str, dict[str, str | None]] = field(default_factory=lambda: defaultdict(dict))
    """Environment -> what `_oldest` says of a commit: histories are long, and many promotions ask for the same part."""
    told: Mapping[str, Told] = field(default_factory=dict)
    """The commits that landed by the ledger's word; what else says that it is a promotion is none."""
    rollbacks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Environment -> its rollbacks, each with the commit whose content it has: what lies between is not there any more."""
    recorded: Mapping[str, list[tuple[datetime, str, str]]] | None = None
    """Environment -> what it is recorded to stand for without a promotion: (since when, its commit, the source's)."""

    @staticmethod
    def of(site: Site, world: World, commit: str) -> Search:
        objects, app = site.repository.objects, site.application
        told = {confirmed.commit_of(one): one for one in confirmed.told(site, world, *LANDED)}  # the oldest of each
        change = _change(site, world, commit, told)
        releases = [world.state.of(e.name).release for e in app.environments]
        tips = [tip for e in app.environments if (tip := world.snapshot[e.ref])]
        tips += [r.source for r in releases if r and objects.has(r.source)]  # of a source that was rewound since
        after = site.repository.history.after(change, tips)
        return Search(site, world, change, after, told=told, rollbacks=_rollbacks(site, world, told))

    def commit(self, oid: str) -> Commit:
        if oid not in self.commits:
            self.commits[oid] = self.site.repository.objects.commit(oid)
        return self.commits[oid]


def _rollbacks(site: Site, world: World, told: Mapping[str, Told]) -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for commit, one in told.items():
        if one.event.event == "rolled-back" and confirmed.counts(site, world, one.record):
            found[one.event.environment or ""][commit] = one.event.data["restores"]
    return found


def _change(site: Site, world: World, commit: str, told: Mapping[str, Told]) -> str:
    """The root's commit that a promotion stands for; of any other commit, itself, or the newest before it that is about the scope."""
    made = site.repository.objects.commit(commit)

    def believed(made: Commit) -> bool:
        return _confirmed(site, world, told, made)

    homes = [e for e in site.application.environments if e.source and is_ours(made, site.application.name, e.name)]
    stands_for = origin(site, world.state, homes[0], commit, believed) if homes and believed(made) else None
    found = stands_for if stands_for and site.repository.objects.has(stands_for) else commit
    return scope.newest(site.repository, site.application, found)


def _confirmed(site: Site, world: World, told: Mapping[str, Told], made: Commit) -> bool:
    return made.oid in told and confirmed.confirms(site, world, told[made.oid], made)


# --- whether ---------------------------------------------------------------------------------------------------------


def has(search: Search, environment: Environment, oid: str) -> bool:
    """Whether a commit of an environment's branch has the change: its newest release brought it, or a person did."""
    key = (environment.name, oid)
    if key not in search.known:
        given = _given(search, environment, oid) if environment.source is not None else None
        there = given or _by_hand(search, environment, oid) if given is not None else None
        search.known[key] = _oldest(search, environment, oid) is not None if there is None else there
    return search.known[key]


def _given(search: Search, environment: Environment, oid: str) -> bool | None:
    """Whether the newest release at or before a commit stands for something that has the change; None without a release."""
    at: str | None = scope.newest(search.site.repository, search.site.application, oid)
    for _ in range(DEPTH):
        if at is None or not search.site.repository.objects.has(at):
            return None
        made = search.commit(at)
        if (source := _source(search, environment, made)) is not None:
            return has(search, search.site.application.environment(environment.source or ""), source)
        at = scope.newest(search.site.repository, search.site.application, made.parents[0]) if made.parents else None
    return None


def _source(search: Search, environment: Environment, made: Commit) -> str | None:
    """The source's commit that one commit itself stands for; None when it is no release."""
    release = search.world.state.of(environment.name).release
    if release is not None and release.commit == made.oid:
        return release.source
    return _promoted(search, environment, made)


def _promoted(search: Search, environment: Environment, made: Commit) -> str | None:
    """The source's commit that a promotion or a rollback came with; what people reverted says nothing of itself."""
    if _is_ours(search, environment, made):
        return made.trailers.get("Promotion-Source")
    given = search.world.state.of(environment.name).releases.get(made.oid)
    return given.source if given is not None and given.restores else None


def _is_ours(search: Search, environment: Environment, made: Commit) -> bool:
    ours = is_ours(made, search.site.application.name, environment.name)
    return ours and _confirmed(search.site, search.world, search.told, made)


def _by_hand(search: Search, environment: Environment, oid: str) -> bool:
    """Whether the change came by a commit that is no promotion: a hotfix, or a branch that was merged or forwarded."""
    oldest = _oldest(search, environment, oid)
    return oldest is not None and not _is_ours(search, environment, search.commit(oldest))


def _oldest(search: Search, environment: Environment, oid: str) -> str | None:
    """The oldest first-parent ancestor that has the change in its history; having it is monotonic along them.

    What was rolled back is left out: before a rollback is what it restored.
    """
    known, rollbacks = search.oldest[environment.name], search.rollbacks.get(environment.name, {})
    found, at, way = None, oid if oid in search.after else None, list[str]()
    while at is not None and at not in known:
        way.append(at)
        back = rollbacks.get(at) if at != search.change else None
        found, at = (None, back) if back else (at, search.after[at])
        at = at if at in search.after else None
    found = found if at is None else known[at]
    known |= dict.fromkeys(way, found)
    return found


# --- since when ------------------------------------------------------------------------------------------------------


def _place(search: Search, environment: Environment, source: Mapping[str, Any] | None) -> dict[str, Any]:
    said = {"environment": environment.name, "in": False, "since": None, "as": None, "verdict": None, "reason": None}
    if environment.name in search.world.missing:
        return {**said, "verdict": "block", "reason": search.world.missing[environment.name]}
    if has(search, environment, search.world.tip(environment)):
        since, oid = _since(search, environment) if environment.source is None else _arrived(search, environment)
        return {**said, "in": True, "since": iso(since) if since else None, "as": oid}
    if source is None:
        return {**said, "reason": f"not on {environment.branch}"}
    if not source["in"]:
        return {**said, "verdict": "wait", "reason": f"waits for {environment.source}"}
    try:
        verdict, reason = _next(search, quick(search.site, search.world, environment))
    except PromotionError as exc:
        verdict, reason = "block", str(exc)
    return {**said, "verdict": verdict, "reason": reason}


def _next(search: Search, plan: Plan) -> tuple[str, str]:
    """What keeps the change from landing next: of the candidates that have it, the oldest one's reason."""
    if plan.commit is None or plan.commit in search.after:
        return plan.verdict, "next" if plan.verdict == "pass" else plan.reason
    over = [passed for passed in plan.passed_over if passed.commit in search.after]
    return (over[-1].verdict, over[-1].reason) if over else (plan.verdict, plan.reason or "after the next one")


def _since(search: Search, root: Environment) -> tuple[datetime, str]:
    """When the change came to a root: when it was first observed there, else when it was committed."""
    oldest = _oldest(search, root, search.world.tip(root))
    assert oldest is not None
    fact = search.world.state.of(root.name).facts.get(oldest)
    if fact is not None:
        return fact.first, oldest
    tip, history = search.world.ledger, search.site.repository.history  # the state forgets what is long past
    told = [ledger.event_of(record) for record in history.saying(tip, f'"revision":"{oldest}"')] if tip else []
    seen = [e.at for e in told if e.environment == root.name and e.data.get("revision") == oldest]
    return seen[-1] if seen else search.commit(oldest).at, oldest


def _arrived(search: Search, environment: Environment) -> tuple[datetime | None, str]:
    """When the change came to an environment that has it, and the oldest commit of its branch since when it is there."""
    source, tip = search.site.application.environment(environment.source or ""), search.world.tip(environment)
    found, seen, quiet = None, set[str](), 0
    for made in search.site.repository.history.line(tip, search.site.application.roots):
        search.commits[made.oid] = made
        seen.add(made.oid)
        promoted = _promoted(search, environment, made)
        if promoted and has(search, source, promoted):
            found, quiet = made, 0
        elif made.oid in search.after and (not promoted or _by_hand(search, environment, made.oid)):
            found, quiet = made, quiet + 1
        elif promoted:
            break
        else:
            quiet += 1
        if quiet > DEPTH:  # from before there were releases: Git's history says it all
            oldest = _oldest(search, environment, made.oid)
            found = search.commit(oldest) if oldest else found
            break
    said = [
        (at, oid) for at, oid, given in _recorded(search, environment) if oid in seen and has(search, source, given)
    ]
    if found is not None:
        said.append((found.at, found.oid))
    return min(said, default=(None, tip))


def _recorded(search: Search, environment: Environment) -> list[tuple[datetime, str, str]]:
    """What the ledger says that an environment stands for without a promotion; it is asked once."""
    if search.recorded is None:
        search.recorded = defaultdict(list)
        tip, history = search.world.ledger, search.site.repository.history
        for record in history.saying(tip, '"event":"absorbed"', '"event":"adopted"') if tip else ():
            event = ledger.event_of(record)
            if not confirmed.counts(search.site, search.world, record):
                continue
            name, data = event.environment or "", event.data
            if event.event == "absorbed":
                target = scope.newest(search.site.repository, search.site.application, data["target"])
                search.recorded[name].append((event.at, target, data["source"]))
            elif event.event == "adopted" and search.site.repository.objects.has(data["commit"]):
                search.recorded[name].append((search.commit(data["commit"]).at, data["commit"], data["source"]))
    return search.recorded.get(environment.name, [])
