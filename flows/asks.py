"""What the round loop does about people: has them asked where a plan waits for them, and ends requests that are over, from Git."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled
from prefect.utilities.urls import url_for

from flows import approval_page, pages, requests, runs, states
from flows.api import OPEN_STATES, Api, Deployment
from flows.approve import gather
from flows.requests import Facts
from promotion import answers, report
from promotion.errors import PromotionError
from promotion.observe import Site
from promotion.reconcile import Round
from promotion.sites import utc_now
from promotion.view import Plan

log = logging.getLogger(__name__)

BETWEEN = 3.0
"""Seconds between two looks at what has become of requests."""


@dataclass
class Asks:
    """What one application's rounds remember of its requests."""

    looked_at: float = -BETWEEN
    links: dict[str, str] = field(default_factory=dict)
    """By environment: the page of the run that asks people now."""
    shown: dict[UUID, str] = field(default_factory=dict)
    """By run: how its page says that it stands."""

    def round(self, api: Api, deployment: Deployment, site: Site, done: Round) -> None:
        """Asks people, and ends what is over. Raises TemporaryError."""
        wanted = [plan for plan in done.plans.values() if requests.wanted(plan)]
        for plan in wanted:
            if not deployment.paused and not requests.decided_elsewhere(plan, done.world.state):
                _ask(api, deployment, plan)
        if time.monotonic() - self.looked_at >= BETWEEN:
            self._look(api, deployment, site, done)
            self.looked_at = time.monotonic()

    def _look(self, api: Api, deployment: Deployment, site: Site, done: Round) -> None:
        links: dict[str, str] = {}
        for run in api.runs(deployment.id, tag=application_tag(site.application.name), states=OPEN_STATES):
            if not self._ended(api, site, done, run):
                links[str(run.parameters.get("environment"))] = url_for("flow-run", obj_id=run.id) or ""
        self.links = links

    def _ended(self, api: Api, site: Site, done: Round, run: FlowRun) -> bool:
        """Ends a request that is over; shows how it stands when that changed elsewhere."""
        now = utc_now()
        if requests.is_lost(run, now):
            return _end(api, run, states.lost("no sign of life any more; what was recorded is in the ledger"))
        if run.state_type != StateType.PAUSED and not requests.is_waiting(run, now):
            return False
        target = next((e for e in site.application.environments if e.name == run.parameters["environment"]), None)
        if target is None:
            return _end(api, run, Cancelled(name="Void", message="there is no such environment any more"))
        current, commit, plan_id = done.plans.get(target.name), run.parameters["commit"], run.parameters["plan"]
        try:
            same = current is not None and current.plan_id == plan_id
            plan = current if same and current else answers.plan(site, done.world, target, chosen=commit)
        except PromotionError as exc:
            log.debug("%s: %s", run.name, exc)
            return False
        kept = api.kept(run.id) if plan.plan_id != plan_id else {}
        unjudged = run.state_name == "Resuming"  # somebody has answered, and it may be a yes
        facts = gather(site, done.world, plan, plan_id, kept, None if unjudged else current)
        state = requests.over(facts, requests.since(run, now), now)
        if state is not None:
            return _end(api, run, state)
        self._show(api, site, run, facts)
        return False

    def _show(self, api: Api, site: Site, run: FlowRun, facts: Facts) -> None:
        """Brings the page of a request up to date once somebody has answered elsewhere."""
        standing = facts.standing
        if standing is None or self.shown.get(run.id) == standing.brief:
            return
        if run.id in self.shown:
            text = approval_page.page(report.plan(site, facts.plan), standing, [], site.clock())
            _headline(api, run, f"approval {standing.brief}", data=text)
        self.shown[run.id] = standing.brief


def application_tag(name: str) -> str:
    return f"application-{name}"


def _ask(api: Api, deployment: Deployment, plan: Plan) -> None:
    """Has one request made for a plan, unless there is one."""
    view, plan_id, now = plan.view, plan.plan_id or "", utc_now()
    app, target = view.application.name, view.environment
    step = requests.step(api.tagged("approve", runs.tag(plan_id)), now)
    if step.what == "ask":
        name = f"approve {pages.run_name(app, target.name, target.source, plan.commit)}"
        parameters = {"application": app, "environment": target.name, "commit": plan.commit, "plan": plan_id}
        tags = [runs.tag(plan_id), application_tag(app), f"environment-{target.name}"]
        run = api.start(deployment.id, name, f"{plan_id}:{step.number}", tags, parameters)
        log.info("%s: people are asked: %s", name, url_for("flow-run", obj_id=run.id))


def _end(api: Api, run: FlowRun, state: State[Any]) -> bool:
    """Ends a request from Git; its page says so too."""
    api.finish(run.id, state)
    log.info("%s: %s: %s", run.name, state.name, state.message)
    _headline(api, run, f"{state.name}: {state.message}")
    return True


def _headline(api: Api, run: FlowRun, text: str, **content: str) -> None:
    key = pages.key("request", str(run.parameters["application"]), str(run.parameters["environment"]))
    if api.artifact(key, run.id) is not None:
        api.show(key, "markdown", run=run.id, description=f"**{pages.escape(text, 500)}**", **content)
