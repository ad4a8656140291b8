"""The flow `approve`: one request for people's approval of one plan; waits without a process, and begins from the top after every answer.

It reads Git anew each time, records an answer through `reconcile` and at most once, and asks again until people have
decided. What was typed is data. The run that promotes is the round loop's.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for

from flows import approval_page, form, pages, requests, runs, states
from flows.api import Api, surely
from flows.entry import environ
from flows.page import Page
from flows.requests import Facts
from promotion import answers, observe, reconcile, report
from promotion.config import load
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Environment, HowWord
from promotion.observe import Site, World
from promotion.plan import inputs
from promotion.sites import open_sites
from promotion.texts import person
from promotion.view import Approval, Plan

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # a run's page begins with its log

LONGER = timedelta(days=1)
"""The pause lasts so much longer than a request, which the round loop ends: the server's own end says nothing."""
FOLLOWED = 10.0
"""Seconds in which the run that promotes is looked for, so that it can be linked."""


def _name() -> str:
    """As whoever asked named it."""
    return flow_run.name or "approve"


@flow(name="approve", flow_run_name=_name, retries=0, persist_result=False)
def approve(application: str, environment: str, commit: str, plan: str, config: str) -> State[Any]:
    """Asks people whether one plan may land, until enough have said yes, somebody says no, or it is not the plan any more.

    Args:
        application: Whose environment.
        environment: Where the change would land.
        commit: The commit of its source that would land there.
        plan: The id of the plan that is asked about; all its 64 digits.
        config: The environments.yaml on the machine that serves.
    """
    with Api() as api:
        run = UUID(str(flow_run.id))
        page = Page(api, run, pages.key("request", application, environment))
        try:
            pipeline = load(Path(config))
            with open_sites(pipeline, environ(), only=lambda a: a.name == application) as sites:
                if not sites or environment not in [e.name for e in sites[0].application.environments]:
                    raise ConfigError(f"{config} has no environment {environment} of {application}")
                target = sites[0].application.environment(environment)
                ended = _leg(_Request(api, run, page, sites[0], target, commit, plan))
        except PromotionError as exc:
            log.error("%s", exc)
            page.show("failed", pages.refusal(f"{application} to {environment}: approve?", str(exc), exc.hint))
            return states.of_error(exc)
    if isinstance(ended, State):
        return ended
    suspend_flow_run(wait_for_input=ended.model, key=ended.key, timeout=ended.timeout)  # never comes back
    raise AssertionError("a form that was answered is asked again")


@dataclass(frozen=True, slots=True)
class _Request:
    """What one run is about."""

    api: Api
    run: UUID
    page: Page
    site: Site
    target: Environment
    commit: str
    plan_id: str


@dataclass(frozen=True, slots=True)
class _Form:
    """What people are asked next."""

    model: type[RunInput]
    key: str
    timeout: int


def _leg(request: _Request) -> State[Any] | _Form:
    """Judges the newest answer, if nobody has begun to; then how the request ends, or the next form."""
    kept = surely(lambda: request.api.kept(request.run))
    world, plan = surely(lambda: _decided(request))
    typed = form.typed(kept)
    if typed.newest is not None and not typed.taken:
        number = typed.newest
        if surely(lambda: request.api.keep(request.run, form.taken(number), "true")):
            word, done = _answered(request, plan, typed.raw)
            world, plan = surely(lambda: _decided(request))
            word = word if done is None else _recorded(plan, done)
            log.info("%s", word)
            surely(lambda: request.api.keep(request.run, form.outcome(number), json.dumps(word)))
        kept = surely(lambda: request.api.kept(request.run))
        typed = form.typed(kept)
    elif not typed.forms and plan.plan_id == request.plan_id:
        made_of = json.dumps(inputs(plan.view, plan.commit or "", plan.merged)) if plan.merged else ""
        surely(lambda: request.api.keep(request.run, requests.MADE_OF, made_of))
    facts = gather(request.site, world, plan, request.plan_id, kept)
    known = surely(lambda: request.api.run(request.run))
    now = request.site.clock()
    state = requests.over(facts, requests.since(known, now), now)
    news = [pages.escape(word, 500) for word in typed.outcomes]
    if state is None and facts.standing is not None:
        return _ask(request, facts, typed, news)
    assert state is not None
    return _end(request, facts, state, news)


def gather(
    site: Site, world: World, plan: Plan, plan_id: str, kept: Mapping[str, str], current: Plan | None = None
) -> Facts:
    """What Git says of a request for a plan; `plan` is what would be decided about its commit now."""
    standing = plan.asked
    if standing is None and plan.plan_id == plan_id and plan.commit and plan.view.environment.approval:
        standing = answers.standing(site, world, plan.view, Approval(plan.commit, plan_id))
    return Facts(
        plan_id,
        plan,
        standing if plan.plan_id == plan_id else None,
        current,
        runs.landed_as(site, world, plan, plan_id),
        requests.changed(kept, plan),
    )


def _decided(request: _Request) -> tuple[World, Plan]:
    """What would be decided about the commit now, from what Git says now."""
    world = observe.survey(request.site)
    return world, answers.plan(request.site, world, request.target, chosen=request.commit)


def _answered(request: _Request, plan: Plan, raw: str) -> tuple[str, form.Answer | None]:
    """Records what somebody typed; why not, and the answer if it was."""
    try:
        answer = form.read(raw)
        if plan.plan_id != request.plan_id:
            return "not recorded: the plan is void", None
        how: HowWord = "code" if answer.code else "claimed"
        decide = reconcile.approve if answer.decision == "approve" else reconcile.reject
        decide(request.site, plan, who=answer.who, reason=answer.reason, how=how, code=answer.code or None)
    except TemporaryError as exc:
        return f"perhaps not recorded, see who has answered: {exc}", None
    except PromotionError as exc:
        return f"not recorded: {exc}", None
    return "", answer


def _recorded(plan: Plan, answer: form.Answer) -> str:
    asked = (plan.view.environment.approval or {}).get("from", ())
    return approval_page.recorded(person(answer.who), answer.decision, plan.asked, asked)


def _ask(request: _Request, facts: Facts, typed: form.Typed, news: list[str]) -> _Form:
    """The page, and the form below it."""
    plan, standing = facts.plan, facts.standing
    assert standing is not None
    asked = (plan.view.environment.approval or {}).get("from", ())
    data, now = report.plan(request.site, plan), request.site.clock()
    request.page.show(f"approval {standing.brief}", approval_page.page(data, standing, news, now))
    text = approval_page.page(data, standing, news, now, narrow=True)
    log.info(
        "approval %s; the button Resume has the page and the form (on a phone it is in the menu)",
        standing.verdict.reason,
    )
    people = approval_page.people(standing, asked)
    made = form.model(people, code=standing.identity == "code", description=text)
    return _Form(made, form.key(typed.forms), int((standing.expires + LONGER).total_seconds()))


def _end(request: _Request, facts: Facts, state: State[Any], news: list[str]) -> State[Any]:
    """The last page; an approved plan is promoted by another run, which is linked as soon as there is one."""
    plan, standing = facts.plan, facts.standing
    log.info("%s: %s", state.name, state.message)
    news.append(f"**{pages.escape(state.name)}:** {pages.escape(state.message, 500)}")
    if state.name == "Approved" and plan.verdict == "pass" and (found := _promoting(request)) is not None:
        url = url_for("flow-run", obj_id=found.id) or ""
        log.info("promoted by %s: %s", found.name, url)
        news.append(f"promoted by {pages.link(found.name, url)}")
        state.message = f"{state.message}; promoted by {found.name}: {url}"
    if standing is not None:
        text = approval_page.page(report.plan(request.site, plan), standing, news, request.site.clock())
    else:
        title = f"{plan.view.application.name} to {request.target.name}: plan {request.plan_id[:8]}"
        text = pages.refusal(title, f"{state.name}: {state.message}", f"promotion plan {request.target.name}")
    request.page.show(state.name, text)
    return state


def _promoting(request: _Request) -> FlowRun | None:
    """The run that the round loop starts for this plan; None when there is none soon."""
    until = time.monotonic() + FOLLOWED
    while time.monotonic() < until:
        try:
            if found := request.api.tagged("promote", runs.tag(request.plan_id)):
                return found[0]
        except TemporaryError as exc:
            log.warning("%s", exc)
        time.sleep(0.5)
    return None
