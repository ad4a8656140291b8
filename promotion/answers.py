"""Makes a plan: gives `plan.decide` its view, and the answers it asks for: what gates say, and what a merge gives.

Reads only; the objects of a merge are written into the clone, where they mean nothing until somebody pushes them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from promotion import gates, lineage, merge, observe, scope
from promotion.errors import ConfigError, PromotionError, RefusedError, TemporaryError
from promotion.events import first_epoch
from promotion.gates.contract import Question as GateQuestion
from promotion.gates.requires import requirement
from promotion.model import Entry, Environment, Verdict, short
from promotion.observe import Site, World
from promotion.plan import DEPTH, Change, Gates, Merge, Merged, Plan, Question, View, decide
from promotion.repository.objects import EMPTY_TREE
from promotion.state import Hold, State

PROBING = 30.0
"""Seconds that the probes of one decision may take together: candidates can be many, and others wait for this round."""
REUSED = timedelta(seconds=60)
"""How long the answer of a probe may be used again when a decision is made again."""


def plan(
    site: Site,
    world: World,
    environment: Environment,
    *,
    chosen: str | None = None,
    by_hand: bool = False,
    allow_empty: bool = False,
) -> Plan:
    """Decides for one environment, asking the gates and merging as the decision wants it.

    Raises RefusedError or ConfigError where the branch or the ledger is not fit to be decided on.
    """
    view = look(site, world, environment, chosen=chosen, by_hand=by_hand, allow_empty=allow_empty)
    answers: dict[Question, Any] = {}
    deadline = time.monotonic() + PROBING
    while not isinstance(step := decide(view, answers), Plan):
        match step:
            case Gates():
                answers[step] = _gates(site, view, step, deadline)
            case Merge():
                answers[step] = merged(site, view, step.commit)
            case _:
                answers[step] = _required(site, world, view, step.commit)
    return step


def look(
    site: Site,
    world: World,
    environment: Environment,
    *,
    chosen: str | None = None,
    by_hand: bool = False,
    allow_empty: bool = False,
) -> View:
    """The view of one environment that a decision begins with."""
    assert environment.source is not None
    source = site.application.environment(environment.source)
    state, tip = world.state.of(environment.name), world.tip(environment)
    check_branch(site, world, environment)
    base = state.release.source if state.release else first_base(site, world, environment)
    app, repository = site.application, site.repository
    if not repository.find(base):
        raise RefusedError(
            f"{environment.name} stands for {short(base)} of {source.name}, which the repository does not have any more",
            where=repository.url,
            hint=f"promotion adopt {environment.name} --source COMMIT",
        )
    if state.release is None:
        state = replace(
            state, epoch=first_epoch(app.name, environment.name, observe.head(site, world, environment), base)
        )
    source_tip = world.tip(source)
    chain = scope.chain(repository, app, source_tip, base, DEPTH)
    return View(
        application=app,
        environment=environment,
        now=site.clock(),
        state=state,
        source_state=world.state.of(source.name),
        tip=tip,
        base=base,
        source_tip=source_tip,
        chain=chain.commits,
        contents=(scope.digest(repository, app, tip), scope.digest(repository, app, base)),
        unread=world.unread.get(source.name),
        chosen=chosen,
        arrived=chosen is not None and repository.is_ancestor(chosen, base),
        by_hand=by_hand,
        allow_empty=allow_empty,
        frozen=world.state.frozen,
        strayed=not chain.commits and not chain.reached and _strayed(site, source_tip, base),
    )


def _strayed(site: Site, tip: str, base: str) -> bool:
    """Whether a branch left a commit behind: neither leads to the other."""
    repository = site.repository
    return not (lineage.leads_to(repository, tip, base) or lineage.leads_to(repository, base, tip))


def check_branch(site: Site, world: World, environment: Environment) -> None:
    """Raises RefusedError unless the ledger's release is in the branch's first-parent history, and is the newest there."""
    release, tip = world.state.of(environment.name).release, world.tip(environment)
    key = ("fit", site.application.name, environment.name, tip, release.commit if release else None)
    if what := scope.remembered(site.repository, key, lambda: _misfit(site, environment, tip, key[-1])):
        raise _unfit(site, world, environment, what)


def _misfit(site: Site, environment: Environment, tip: str, release: str | None) -> str:
    """What does not fit between a branch and the release that the ledger has for it; '' when nothing does."""
    for number, commit in enumerate(site.repository.first_parents(tip)):
        key = ("fit", site.application.name, environment.name, commit.oid, release)
        if commit.oid == release or site.repository.memo.get(key) == "":
            return ""
        if lineage.is_ours(commit, site.application.name, environment.name):
            return f"has promotion {short(commit.oid)}, which the ledger does not know: was the ledger rewound?"
        if number >= 5 * DEPTH and release is None:
            return ""
    if release is None:
        return ""
    return f"has release {short(release)}, which is not in the history of {environment.branch}: was it rewound?"


def _unfit(site: Site, world: World, environment: Environment, what: str) -> PromotionError:
    """A server moves the refs of one push one after the other: what does not fit may only have been read in between."""
    fresh = observe.look([site])
    if any(fresh[ref] != world.snapshot[ref] for ref in (environment.ref, site.application.ledger)):
        return TemporaryError("its branches moved while they were read", where=site.repository.url, hint="try again")
    source = "" if site.application.merges(environment) else " --source COMMIT"
    hint = f"promotion adopt {environment.name}{source}   records the branch as it is"
    return RefusedError(f"{environment.name} {what}", where=site.repository.url, hint=hint)


def first_base(site: Site, world: World, environment: Environment) -> str:
    """B at first sight: the one merge base of the target's and the source's tip. Raises ConfigError without exactly one."""
    source = site.application.environment(environment.source or "")
    tips = (world.tip(environment), world.tip(source))
    bases = scope.remembered(site.repository, ("bases", *tips), lambda: site.repository.merge_bases(*tips))
    if len(bases) != 1:
        what = "have no common history" if not bases else f"have {len(bases)} merge bases"
        raise ConfigError(
            f"{environment.branch} and {source.branch} {what}, so nobody knows what {environment.name} already has",
            where=site.repository.url,
            hint=f"promotion adopt {environment.name} --source COMMIT",
        )
    return bases[0]


def _required(site: Site, world: World, view: View, commit: str) -> tuple[Verdict, ...]:
    """What each required environment says of a candidate, by what it has now."""
    return tuple(_requirement(site, world, view, name, commit) for name in view.environment.requires)


def _requirement(site: Site, world: World, view: View, name: str, commit: str) -> Verdict:
    app, repository = site.application, site.repository
    state, objects = world.state.of(name), repository.objects
    if name in world.unread:
        return Verdict("requires", "wait", world.unread[name])
    release, seen, tree = state.release, state.observed, objects.commit(commit).tree
    held = any(h.commit == commit or merge.contains(h.entries, lambda p: objects.look(tree, p)) for h in state.holds)
    has = lineage.has(repository, app, world.state, app.environment(name), view.environment.source or "", commit)
    runs = release is not None and seen is not None and lineage.leads_to(repository, release.commit, seen.revision)
    return requirement(name, state, commit, has=has, runs=runs, held=held)


def _gates(site: Site, view: View, question: Gates, deadline: float) -> tuple[Verdict, ...]:
    """The verdicts of the configured gates, in their order; probes are asked only when everything else passes."""
    environment = view.environment
    fact = view.source_state.facts.get(question.commit)
    steady, observed = view.source_state.steady, view.source_state.observed
    current = steady is not None and view.now - steady.at <= 2 * view.application.heartbeat
    deployed = observed is not None and observed.revision == question.commit
    asked = GateQuestion(
        subject=observe.subject(view.application, environment, question.commit),
        source=environment.source or "",
        now=view.now,
        heartbeat=view.application.heartbeat,
        healthy_since=fact.healthy_since if fact else None,
        steady_since=steady.since if steady and current else None,
        deployed_since=fact.healthy_since if fact and deployed else None,
    )
    verdicts = {
        n: gates.PURE[g.type](g.settings, asked) for n, g in enumerate(environment.gates) if g.type in gates.PURE
    }
    ready = question.probe and all(v.verdict == "pass" for v in verdicts.values())
    for number, gate in enumerate(environment.gates):
        if gate.type in gates.PURE:
            continue
        if not ready:
            verdicts[number] = Verdict(gate.type, "wait", "asked when everything else passes")
        elif time.monotonic() > deadline:
            verdicts[number] = Verdict(gate.type, "wait", f"not asked: newer candidates took {PROBING:.0f} s")
        else:
            verdicts[number] = _probe(site, number, asked, environment)
    return tuple(verdicts[n] for n in range(len(environment.gates)))


def _probe(site: Site, number: int, asked: GateQuestion, environment: Environment) -> Verdict:
    key = (environment.name, asked.subject.revision or "", number)
    at, verdict = site.probed.get(key, (None, None))
    if at is None or verdict is None or not timedelta(0) <= site.clock() - at < REUSED:
        gate = environment.gates[number]
        verdict = gates.PROBES[gate.type](gate.settings, asked)
        for old in [k for k, (when, _) in site.probed.items() if site.clock() - when > REUSED]:
            del site.probed[old]
        site.probed[key] = (site.clock(), verdict)
    return verdict


def merged(site: Site, view: View, commit: str) -> Merged:
    """What a candidate would give: the entry table of B, D and S, and the tree that it describes."""
    objects, roots = site.repository.objects, view.application.roots
    target, source = objects.commit(view.tip).tree, objects.commit(commit).tree
    kept = merge.protected(view.environment.protect)
    table = _table(site, view, commit)
    if conflicts := merge.conflicts(table):
        return Merged(None, conflicts=tuple(conflicts))
    tree = objects.write_tree(target, merge.gains(table))
    return Merged(
        tree=tree,
        digest=objects.digest(tree, roots),
        absorbed=tree == target,
        identical=merge.identical(table),
        empty=_is_empty(site, view, tree, kept) and not _is_empty(site, view, target, kept),
        changes=tuple(Change(c.path, c.change, c.rule.value) for c in merge.changes(table)),
        kept=tuple(Change(path, "kept", row.rule.value) for path, row in merge.deviations(table).items()),
        lost=tuple(merge.lost(table)) if view.environment.strategy == "mirror" else (),
        held=_held(site, view, commit, tree, target, source),
    )


def _is_empty(site: Site, view: View, tree: str, kept: Callable[[bytes], bool]) -> bool:
    """Whether a tree has nothing but protected files in scope."""
    return all(kept(path) for path, _ in site.repository.objects.entries(tree, view.application.roots))


def _table(site: Site, view: View, commit: str) -> merge.Table:
    """The settled entry table of one candidate."""
    objects, roots = site.repository.objects, view.application.roots
    base, target, source = (objects.commit(oid).tree for oid in (view.base, view.tip, commit))
    kept = merge.protected(view.environment.protect)
    theirs, ours = (objects.diff(base, side, roots) for side in (target, source))
    table = merge.lay(theirs, ours, kept, mirror=view.environment.strategy == "mirror")
    triples = merge.pending(table)
    if not triples:
        return table
    results = site.repository.merge_files(list(triples.values()))
    return merge.settle(table, dict(zip(triples, results, strict=True)))


def unexplained(site: Site, view: View, commit: str, tree: str) -> list[bytes]:
    """Paths at which a tree that is about to land is not what the entry table says (S9, S10): none, or there is a bug."""
    objects, roots = site.repository.objects, view.application.roots
    base, target = (objects.commit(oid).tree for oid in (view.base, view.tip))
    inside = merge.within(roots)
    strange = sorted(path for path in objects.diff(target, tree) if not inside(path))
    return strange + merge.unexplained(_table(site, view, commit), objects.diff(base, tree, roots))


def change_of(site: Site, environment: Environment, commit: str) -> dict[bytes, Entry | None]:
    """What a commit changed against its first parent, outside protected paths: path -> entry, None where it deleted."""
    objects = site.repository.objects
    made = objects.commit(commit)
    before = objects.commit(made.parents[0]).tree if made.parents else EMPTY_TREE
    kept = merge.protected(environment.protect)
    changes = objects.diff(before, made.tree, site.application.roots)
    return {path: new for path, (_, new) in changes.items() if not kept(path)}


def _held(site: Site, view: View, commit: str, tree: str, target: str, source: str) -> Verdict | None:
    """The hold that this content runs into, of the target or of the source, unless a commit says that it is fixed."""
    objects = site.repository.objects
    for hold in view.state.holds:
        brought = merge.held(hold.entries, lambda p: objects.look(tree, p), lambda p: objects.look(target, p))
        if brought and not _fixed(site, view, commit, hold):
            return Verdict(
                "hold",
                "block",
                f"brings back {short(hold.commit)}, held for {view.environment.name}: {hold.reason}",
            )
    for hold in view.source_state.holds:
        if merge.contains(hold.entries, lambda p: objects.look(source, p)) and not _fixed(site, view, commit, hold):
            return Verdict(
                "hold", "block", f"has {short(hold.commit)}, held in {view.environment.source}: {hold.reason}"
            )
    return None


def _fixed(site: Site, view: View, commit: str, hold: Hold) -> bool:
    """Whether a commit that comes along says `Promotion-Fixes:` and names the held one, or what that stands for."""
    key = ("fixes", view.application.name, view.environment.name, view.base, commit, view.source_state.release)
    names = scope.remembered(site.repository, key, lambda: _fixes(site, view, commit))
    known = [hold.commit]
    while known[-1] and site.repository.objects.has(known[-1]):
        known.append(site.repository.objects.commit(known[-1]).trailers.get("Promotion-Source", ""))
    return any(len(name) >= 7 and held.startswith(name) for name in names for held in known)


def _fixes(site: Site, view: View, commit: str) -> list[str]:
    """What the commits that come along say that they fix; those of all environments before, which may only be named."""
    app, repository = view.application, site.repository
    source = app.environment(view.environment.source or "")
    state = State(app.name, environments={view.environment.name: view.state, source.name: view.source_state})
    sides = (lineage.upwards(repository, app, state, source, oid) for oid in (view.base, commit))
    found: list[str] = []
    for (_, old), (_, new) in zip(*sides, strict=False):
        if repository.find(old) and repository.find(new):
            between = repository.history.between(old, new, merges=True)
            found += [c.trailers.get("Promotion-Fixes", "") for c in between]
    return [name for name in found if name]
