"""What people have said about a candidate, here and where the decision is taken from, and who may say something; reads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promotion import authors, merging
from promotion.gates import approval
from promotion.model import Application, Environment
from promotion.observe import Site, World
from promotion.plan import plan_id
from promotion.state import Answer, Hold, State
from promotion.view import Approval, Standing, Unknown, View


def spoken(application: Application, state: State, environment: Environment) -> frozenset[str]:
    """The commits of the source that somebody has answered about, here or where the decision is taken from."""
    if environment.approval is None:
        return frozenset()
    answered = {answer.source for answer in state.of(environment.name).answers}
    for other in application.decided_with(environment):
        there = state.of(other.name)
        answered |= {answer.source for answer in there.answers} | there.granted.keys()
    return frozenset(answered)


def counting(application: Application, state: State, environment: Environment) -> tuple[Answer, ...]:
    """What people have said of an environment's plans that may count still: of one that landed, where others take its decision."""
    there = state.of(environment.name)
    leads = any(environment in application.decided_with(other) for other in application.environments)
    granted = there.granted.values() if leads else ()
    return (*there.answers, *(answer for said in granted for answer in said))


def rejections(application: Application, state: State, environment: Environment) -> tuple[Hold, ...]:
    """What was rejected where this environment's decision is taken from: it holds here as well."""
    others = application.decided_with(environment)
    return tuple(hold for other in others for hold in state.of(other.name).holds if hold.plan_id)


def standing(site: Site, world: World, view: View, question: Approval, others: Sequence[View]) -> Standing:
    """How it stands with one plan. `others` are the views of the environments whose decision counts too."""
    settings = view.environment.approval
    assert settings is not None
    said = [answer for answer in view.state.answers if answer.plan_id == question.plan_id]
    granted: list[Answer] = []
    for other in others:
        said += _said(site, other, question.commit)
        granted += other.state.granted.get(question.commit, ())
    wrote = _wrote(site, world, view, question.commit) if settings.get("not_author") else frozenset[str]()
    return approval.standing(settings, said, granted, wrote, view.now)


def _wrote(site: Site, world: World, view: View, commit: str) -> frozenset[str] | Unknown:
    """Who made what a candidate brings, and what was decided where it conflicts."""
    wrote = authors.of(site, world, view.environment, view.base, commit)
    if isinstance(wrote, Unknown) or view.resolution is None:
        return wrote
    decided = site.repository.history.between(view.tip, view.resolution.commit, merges=True)
    also = authors.together(decided)
    return also if isinstance(also, Unknown) else wrote | also


def _said(site: Site, view: View, commit: str) -> Iterator[Answer]:
    """What was said of an environment's plan for a commit, as long as it is the plan still."""
    there = [answer for answer in view.state.answers if answer.source == commit]
    if there and any(candidate.oid == commit for candidate in view.chain):
        merged = merging.merged(site, view, commit)
        now = plan_id(view, commit, merged) if merged.tree else None
        yield from (answer for answer in there if answer.plan_id == now)
