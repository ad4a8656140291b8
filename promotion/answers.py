"""Makes a plan: gives `plan.decide` its view, and the answers it asks for: what gates say, and what a merge gives.

Reads only; the objects of a merge are written into the clone, where they mean nothing until somebody pushes them.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from promotion import asking, gates, lineage, merge, merging, observe, resolving, scope
from promotion.errors import ConfigError, PromotionError, RefusedError, TornError
from promotion.events import first_epoch
from promotion.gates.contract import Question as GateQuestion
from promotion.gates.requires import requirement
from promotion.model import Environment, Verdict
from promotion.observe import Site, World
from promotion.plan import decide
from promotion.texts import short
from promotion.view import DEPTH, Approval, Gates, Merge, Overriding, Plan, Question, Required, Standing, View

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
    overriding: Overriding | None = None,
    resolution: str | None = None,
) -> Plan:
    """Decides for one environment, asking the gates and merging as the decision wants it.

    `resolution` is a person's commit that decides the conflict of one candidate. Raises RefusedError or ConfigError where
    it, the branch or the ledger is not fit to be decided on.
    """
    view = look(site, world, environment, chosen=chosen, by_hand=by_hand, allow_empty=allow_empty)
    view = replace(view, overriding=overriding)
    if resolution is not None:
        view = resolving.resolved(site, view, resolution)
    answers: dict[Question, Any] = {}
    deadline = time.monotonic() + PROBING
    while not isinstance(step := decide(view, answers), Plan):
        match step:
            case Gates():
                answers[step] = _gates(site, view, step, deadline)
            case Merge():
                answers[step] = merging.merged(site, view, step.commit)
            case Required():
                answers[step] = _required(site, world, view, step.commit)
            case _:
                answers[step] = standing(site, world, view, step)
    return step


def standing(site: Site, world: World, view: View, question: Approval) -> Standing:
    """How it stands with people's approval of one plan, here and where its environment takes decisions from."""
    others = []
    for environment in site.application.decided_with(view.environment):
        with contextlib.suppress(PromotionError):  # where that cannot be decided on, nothing there counts
            others.append(look(site, world, environment))
    return asking.standing(site, world, view, question, others)


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
    chain, unread = scope.chain(repository, app, source_tip, base, DEPTH), world.unread.get(source.name)
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
        unread=str(unread) if unread else None,
        chosen=chosen,
        arrived=chosen is not None and repository.is_ancestor(chosen, base),
        by_hand=by_hand,
        allow_empty=allow_empty,
        frozen=world.state.frozen,
        strayed=not chain.commits and not chain.reached and _strayed(site, source_tip, base),
        spoken=asking.spoken(app, world.state, environment),
        rejections=asking.rejections(app, world.state, environment),
    )


def _strayed(site: Site, tip: str, base: str) -> bool:
    """Whether a branch left a commit behind: neither leads to the other."""
    repository = site.repository
    return not (lineage.leads_to(repository, tip, base) or lineage.leads_to(repository, base, tip))


def check_branch(site: Site, world: World, environment: Environment) -> None:
    """Raises RefusedError unless the ledger's release is in the branch's first-parent history, and is the newest there; TornError."""
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
        return TornError(site.repository.url)
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
        return Verdict("requires", "wait", str(world.unread[name]))
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
        subject=observe.subject(site, environment, question.commit),
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
    over = view.overriding.gates if view.overriding else ()
    ready = question.probe and all(v.verdict == "pass" or v.unasked or v.gate in over for v in verdicts.values())
    for number, gate in enumerate(environment.gates):
        if gate.type in gates.PURE:
            continue
        if not ready:
            verdicts[number] = Verdict(gate.type, "wait", "asked when everything else passes", unasked=True)
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
