"""Makes a plan: gives `plan.decide` its view, and the answers it asks for: what gates say, and what a merge gives.

Reads only; the objects of a merge are written into the clone, where they mean nothing until somebody pushes them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from promotion import gates, merge, observe
from promotion.errors import ConfigError, PromotionError, RefusedError, TemporaryError
from promotion.events import first_epoch
from promotion.gates.contract import Question as GateQuestion
from promotion.model import Commit, Entry, Environment, Verdict, short
from promotion.observe import Site, World
from promotion.plan import DEPTH, Change, Gates, Merged, Plan, Question, View, decide
from promotion.repository import Repository
from promotion.repository.objects import EMPTY_TREE
from promotion.state import Hold

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
        answers[step] = (
            _gates(site, view, step, deadline) if isinstance(step, Gates) else merged(site, view, step.commit)
        )
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
    objects = site.repository.objects
    if not site.repository.find(base):
        raise RefusedError(
            f"{environment.name} stands for {short(base)} of {source.name}, which the repository does not have any more",
            where=site.repository.url,
            hint=f"promotion adopt {environment.name} --source COMMIT",
        )
    if state.release is None:
        state = replace(state, epoch=first_epoch(site.application.name, environment.name, tip, base))
    source_tip = world.tip(source)
    commits = chain(site.repository, source_tip, base)
    return View(
        application=site.application,
        environment=environment,
        now=site.clock(),
        state=state,
        source_state=world.state.of(source.name),
        tip=tip,
        base=base,
        source_tip=source_tip,
        chain=commits,
        contents=(objects.commit(tip).tree, objects.commit(base).tree),
        unread=world.unread.get(source.name),
        chosen=chosen,
        arrived=chosen is not None and site.repository.is_ancestor(chosen, base),
        by_hand=by_hand,
        allow_empty=allow_empty,
        strayed=not commits and source_tip != base and not site.repository.is_ancestor(source_tip, base),
    )


def check_branch(site: Site, world: World, environment: Environment) -> None:
    """Raises RefusedError unless the ledger's release is in the branch's first-parent history, and is the newest there."""
    release = world.state.of(environment.name).release
    for number, commit in enumerate(site.repository.first_parents(world.tip(environment))):
        if release is not None and commit.oid == release.commit:
            return
        trailers = commit.trailers
        ours = (trailers.get("Promotion-Application"), trailers.get("Promotion-Environment"))
        if ours == (site.application.name, environment.name) and "Promotion-Plan" in trailers:
            what = f"has promotion {short(commit.oid)}, which the ledger does not know: was the ledger rewound?"
            raise _unfit(site, world, environment, what)
        if number >= 5 * DEPTH and release is None:
            return
    if release is not None:
        what = (
            f"has release {short(release.commit)}, which is not in the history of {environment.branch}: was it rewound?"
        )
        raise _unfit(site, world, environment, what)


def _unfit(site: Site, world: World, environment: Environment, what: str) -> PromotionError:
    """A server moves the refs of one push one after the other: what does not fit may only have been read in between."""
    refs = [e.ref for e in site.application.environments]
    if site.repository.refresh(refs, [site.application.ledger]) != world.snapshot:
        return TemporaryError("its branches moved while they were read", where=site.repository.url, hint="try again")
    hint = f"promotion adopt {environment.name}   records the branch as it is"
    return RefusedError(f"{environment.name} {what}", where=site.repository.url, hint=hint)


def first_base(site: Site, world: World, environment: Environment) -> str:
    """B at first sight: the one merge base of the target's and the source's tip. Raises ConfigError without exactly one."""
    source = site.application.environment(environment.source or "")
    bases = site.repository.merge_bases(world.tip(environment), world.tip(source))
    if len(bases) != 1:
        what = "have no common history" if not bases else f"have {len(bases)} merge bases"
        raise ConfigError(
            f"{environment.branch} and {source.branch} {what}, so nobody knows what {environment.name} already has",
            where=site.repository.url,
            hint=f"promotion adopt {environment.name} --source COMMIT",
        )
    return bases[0]


def chain(repository: Repository, tip: str, base: str) -> tuple[Commit, ...]:
    """The first-parent commits of a branch that descend from `base`, newest first, 200 at most."""
    found: list[Commit] = []
    for commit in repository.first_parents(tip):
        if commit.oid == base:
            return tuple(found)
        found.append(commit)
        if len(found) == DEPTH:
            break
    # B is not among them: it was merged in, or lies far back. Descending from B is monotonic along first parents.
    low, high = 0, len(found)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if repository.is_ancestor(base, found[middle].oid) else (low, middle)
    return tuple(found[:low])


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
    objects = site.repository.objects
    target, source = objects.commit(view.tip).tree, objects.commit(commit).tree
    kept = merge.protected(view.environment.protect)
    table = _table(site, view, commit)
    if conflicts := merge.conflicts(table):
        return Merged(None, conflicts=tuple(conflicts))
    tree = objects.write_tree(source, merge.overrides(table))
    return Merged(
        tree=tree,
        digest=tree,
        absorbed=tree == target,
        identical=merge.identical(table),
        empty=target != EMPTY_TREE and not any(not kept(path) for path, _ in objects.entries(tree)),
        changes=tuple(Change(c.path, c.change, c.rule.value) for c in merge.changes(table)),
        kept=tuple(Change(path, "kept", row.rule.value) for path, row in merge.deviations(table).items()),
        held=_held(site, view, commit, tree, target, source),
    )


def _table(site: Site, view: View, commit: str) -> merge.Table:
    """The settled entry table of one candidate."""
    objects = site.repository.objects
    base, target, source = (objects.commit(oid).tree for oid in (view.base, view.tip, commit))
    kept = merge.protected(view.environment.protect)
    table = merge.lay(objects.diff(base, target), objects.diff(base, source), kept)
    triples = merge.pending(table)
    if not triples:
        return table
    results = site.repository.merge_files(list(triples.values()))
    return merge.settle(table, dict(zip(triples, results, strict=True)))


def unexplained(site: Site, view: View, commit: str, tree: str) -> list[bytes]:
    """Paths at which a tree that is about to land is not what the entry table says (S9, S10): none, or there is a bug."""
    base = site.repository.objects.commit(view.base).tree
    return merge.unexplained(_table(site, view, commit), site.repository.objects.diff(base, tree))


def change_of(site: Site, environment: Environment, commit: str) -> dict[bytes, Entry | None]:
    """What a commit changed against its first parent, outside protected paths: path -> entry, None where it deleted."""
    objects = site.repository.objects
    made = objects.commit(commit)
    before = objects.commit(made.parents[0]).tree if made.parents else EMPTY_TREE
    kept = merge.protected(environment.protect)
    return {path: new for path, (_, new) in objects.diff(before, made.tree).items() if not kept(path)}


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
    """Whether a commit that comes along says `Promotion-Fixes:` and names the held one, or what that was in the source."""
    names = [c.trailers.get("Promotion-Fixes", "") for c in site.repository.between(view.base, commit, merges=True)]
    objects, known = site.repository.objects, [hold.commit]
    if objects.has(hold.commit):
        known.append(objects.commit(hold.commit).trailers.get("Promotion-Source", ""))
    return any(len(name) >= 7 and held.startswith(name) for name in names for held in known)
