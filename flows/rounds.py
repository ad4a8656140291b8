"""The round loop: observes and decides for every application; has Prefect run each hop that passes, or lands it itself.

It never waits for Prefect: a server that is away, hangs or lost everything costs a round its deadline and nothing else.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from flows import board, pages, runs, states
from flows.api import FLOWS, OPEN_STATES, Api, Deployment, full_name
from flows.asks import Asks
from flows.runs import Seen
from promotion import reconcile
from promotion.config import load
from promotion.engines.kept import Kept
from promotion.errors import PromotionError, TemporaryError
from promotion.model import Environment
from promotion.observe import Site
from promotion.sites import by_repository, open_sites, utc_now
from promotion.stop import Stop
from promotion.texts import short
from promotion.view import Plan

log = logging.getLogger(__name__)

UNDER_WAY = [state for state in OPEN_STATES if state not in (StateType.SCHEDULED, StateType.PAUSED)]
CLOSING = 60.0
"""Seconds between two looks at rounds that people started."""
BETWEEN = 5.0
"""Seconds between two looks at runs that are shown as under way."""
RETRY = 15.0
"""Seconds until a server that was away is asked again."""


@dataclass
class Prefect:
    """What the loop knows of the server: the deployment as last seen, and whether it answers now."""

    api: Api
    config: str
    name: str = full_name("promote")
    """The full name of the deployment that makes one hop."""
    everything: str = full_name("propagate")
    """That of the one that makes a round."""
    request: str = full_name("approve")
    """That of the one that asks people."""
    back: str = full_name("rollback")
    """That of the one that goes back."""
    in_pool: bool = False
    """Whether workers of a pool run it: then it has a path of its own to the file."""
    deployment: Deployment | None = None
    asking: Deployment | None = None
    """The one that asks people."""
    answers: bool = False
    next_try: float = 0.0
    closed_at: float = -CLOSING
    backs: list[FlowRun] = field(default_factory=list)
    """The runs of `rollback` that are shown as under way."""
    looked_back: float = -BETWEEN
    since: datetime = field(default_factory=utc_now)
    """Since when the deployment is missing."""

    def look(self) -> None:
        """Asks for the deployment; says so when what is there changed."""
        if not self.answers and time.monotonic() < self.next_try:
            return
        try:
            found, asking = self.api.deployment(self.name), self.api.deployment(self.request)
            self._look_back()
        except TemporaryError as exc:
            self.away(exc)
            return
        if not self.answers:
            log.info("Prefect answers: each hop is a run there")
        if found is not None and not self.in_pool and found.config != self.config:
            if self.deployment is not None:
                log.warning("%s is for %s now: serve one of them by another --name", self.name, found.config)
            found = None
        if found is None and self.deployment is not None:
            log.warning("%s is not there any more: hops are landed here until it is served again", self.name)
            self.since = utc_now() - runs.PICKED_UP
        if found is not None and found.paused and not (self.deployment and self.deployment.paused):
            log.warning("%s is paused in Prefect: nothing is promoted until somebody resumes it", self.name)
        self.answers, self.deployment = True, found
        self.asking = asking if found is not None else None

    def _look_back(self) -> None:
        """Once for all applications: there is hardly ever one."""
        if time.monotonic() - self.looked_back > BETWEEN:
            found = self.api.deployment(self.back)
            self.backs = self.api.runs(found.id, states=UNDER_WAY) if found else []
            self.looked_back = time.monotonic()

    def away(self, why: TemporaryError) -> None:
        if self.answers or not self.next_try:
            log.warning("%s: hops are landed here, without Prefect", why)
        self.answers, self.next_try = False, time.monotonic() + RETRY

    @property
    def paused(self) -> bool:
        """By a person: as far as is known, which counts also while the server is away."""
        return self.deployment is not None and self.deployment.paused

    def fires(self, application: str, environment: Environment) -> bool:
        """Whether a hop into this environment is started there, by a schedule of the deployment."""
        if not self.answers or self.deployment is None or environment.schedule is None:
            return False
        return f"{application}-{environment.name}" in self.deployment.scheduled

    @property
    def unserved(self) -> bool:
        """Nobody has registered the deployment, for longer than a start takes."""
        return self.deployment is None and utc_now() - self.since > runs.PICKED_UP


@dataclass
class Loop:
    """What one application's rounds remember."""

    site: Site
    prefect: Prefect
    sync: bool
    said: dict[str, str] = field(default_factory=dict)
    closed_at: float = 0.0
    board: board.Board = field(default_factory=board.Board)
    asks: Asks = field(default_factory=Asks)
    ticks: reconcile.Ticks = field(init=False)

    def __post_init__(self) -> None:
        self.ticks = reconcile.Ticks(self.site.clock)


def run_rounds(options: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """Rounds over everything until SIGTERM or SIGINT; each ends its step first.

    The options are `config` (a path), `name` (of the deployments), `every` (seconds), `sync` (whether the embedded sync
    loops run too) and `rounds_only` (whether the deployments are a pool's).
    """
    config = Path(options["config"])
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    pipeline = load(config)
    with Api() as api, open_sites(pipeline, environ) as sites, ThreadPoolExecutor(min(8, len(sites))) as pool:
        hop, everything, request, back = (full_name(flow, options["name"]) for flow in FLOWS)
        prefect = Prefect(api, str(config.absolute()), hop, everything, request, back, options["rounds_only"])
        groups = [[Loop(site, prefect, options["sync"]) for site in group] for group in by_repository(sites)]
        while not stop.is_set():
            due = time.monotonic() + options["every"]
            prefect.look()
            list(pool.map(partial(one_round, kept=Kept()), groups))
            close_rounds(prefect)
            stop.wait(max(0.0, due - time.monotonic()))
    return 0


def one_round(loops: Sequence[Loop], kept: Kept | None = None) -> None:
    """One round over the applications of one repository; `kept` is what those over others have read. Their errors are said once and never end the loop."""
    prefect, sites = loops[0].prefect, [loop.site for loop in loops]
    alone = not prefect.answers and not prefect.paused
    try:
        done = reconcile.together([_task(loop) for loop in loops], sync=loops[0].sync, land_hops=alone, kept=kept)
    except PromotionError as exc:
        done = [exc] * len(loops)
    except Exception:
        log.exception("%s: a bug ended this round; the next one goes on", ", ".join(s.application.name for s in sites))
        done = []
    for loop, one in zip(loops, done, strict=False):
        try:
            _ended(loop, one)
        except Exception:
            log.exception("%s: a bug; the next round goes on", loop.site.application.name)
    sites[0].repository.close()


def _task(loop: Loop) -> reconcile.Task:
    app = loop.site.application
    theirs = {e.name for e in app.environments if loop.prefect.fires(app.name, e)}
    loop.ticks.used(theirs)  # what ticks now is Prefect's, also when the server goes away right after
    names = [e.name for e in app.environments]
    return reconcile.Task(loop.site, names, lambda e: e.name not in theirs and loop.ticks.due(e))


def _ended(loop: Loop, done: reconcile.Round | PromotionError) -> None:
    """Says what a round of one application did, and has Prefect do the rest."""
    if isinstance(done, PromotionError):
        say(loop, "round", f"{done}{f' ({done.hint})' if done.hint else ''}")
        return
    loop.said.pop("round", None)
    loop.ticks.used(done.plans)
    for hop in done.hops:
        if hop.commit or hop.outcome == "absorbed" or hop.verification:
            note = hop.verification if hop.status else hop.outcome
            log.info("%s: %s %s %s", hop.application, hop.environment, note, short(hop.commit))
    for error in done.errors:
        say(loop, str(error.where), str(error))
    for name, plan in done.plans.items():
        if plan.verdict == "conflict":
            say(loop, name, f"{name}: conflict: {plan.reason}")
    if loop.prefect.answers:
        try:
            _through_prefect(loop, done)
        except (TemporaryError, ObjectNotFound) as exc:
            loop.prefect.away(exc if isinstance(exc, TemporaryError) else TemporaryError("Prefect lost a run"))
        except PromotionError as exc:
            say(loop, "hop", str(exc))
        else:
            loop.said.pop("hop", None)


def _through_prefect(loop: Loop, done: reconcile.Round) -> None:
    prefect = loop.prefect
    if not prefect.paused:
        for plan in done.plans.values():
            if plan.verdict == "pass" and plan.plan_id:
                _hop(loop, plan, plan.plan_id)
    if prefect.deployment is not None and time.monotonic() - loop.closed_at > BETWEEN:
        _close(loop, [*prefect.api.runs(prefect.deployment.id, states=UNDER_WAY), *prefect.backs], done)
        loop.closed_at = time.monotonic()
    if prefect.asking is not None:
        loop.asks.round(prefect.api, prefect.asking, loop.site, done)
    note = "Paused in Prefect." if prefect.paused else ""
    loop.board.show(prefect.api, loop.site, done, note, loop.asks.links)


def _hop(loop: Loop, plan: Plan, plan_id: str) -> None:
    """Has Prefect run a hop that passes, or lands it here when nobody picks it up."""
    prefect, view = loop.prefect, plan.view
    app, target = view.application.name, view.environment
    if prefect.deployment is None:
        if prefect.unserved:
            _land(loop, plan, plan_id, [], f"{prefect.name} is not served")
        return
    api, now = prefect.api, utc_now()
    found = [
        Seen(run, api.last_sign(run) if run.state_type == StateType.RUNNING else None)
        for run in api.runs(prefect.deployment.id, tag=runs.tag(plan_id))
    ]
    step = runs.step(found, now)
    if step.what == "land":
        _land(loop, plan, plan_id, [s.run for s in found if not s.over], step.why)
    elif step.what == "start":
        name = pages.run_name(app, target.name, target.source, plan.commit)
        parameters = {"application": app, "environment": target.name, "by_hand": False}
        tags = [runs.tag(plan_id), f"application-{app}", f"environment-{target.name}"]
        api.start(prefect.deployment.id, name, f"{plan_id}:{step.number}", tags, parameters)
        log.info("%s: started a run", name)


def _land(loop: Loop, plan: Plan, plan_id: str, open_runs: list[FlowRun], why: str) -> None:
    """Lands a hop without Prefect, and closes the runs that were to do it."""
    log.warning("%s: landed here, since %s", plan.view.environment.name, why)
    result = reconcile.promote(loop.site, plan.view.environment, plan_id=plan_id, by_hand=False)
    log.info("%s: %s %s %s", result.application, result.environment, result.outcome, short(result.commit))
    if result.outcome not in ("promoted", "absorbed"):
        return
    name = f"{result.outcome} {short(result.commit or plan.commit)}"
    for run in open_runs:
        loop.prefect.api.finish(run.id, Completed(name=name, message=f"by the round loop, since {why}"))


def _close(loop: Loop, under_way: Sequence[FlowRun], done: reconcile.Round) -> None:
    """Closes runs that Prefect still shows as under way although they give no sign of life."""
    api, now, app = loop.prefect.api, utc_now(), loop.site.application.name
    for run in under_way:
        if run.parameters.get("application") != app or now - (run.start_time or run.created or now) < runs.PICKED_UP:
            continue
        sign = api.last_sign(run)
        state = runs.verdict(loop.site, done.world, Seen(run, sign), now)
        if state is not None:
            api.finish(run.id, state)
            since = pages.clock(sign, now)
            log.warning("%s: no sign of life since %s; closed from Git as %s", run.name, since, state.name)


def close_rounds(prefect: Prefect) -> None:
    """Closes runs about several environments that give no sign of life: while one of `propagate` is open, no other may begin."""
    if not prefect.answers or time.monotonic() - prefect.closed_at < CLOSING:
        return
    try:
        found = [prefect.api.deployment(name) for name in (prefect.everything, prefect.back)]
        for run in (run for each in found if each for run in prefect.api.runs(each.id, states=UNDER_WAY)):
            sign, now = prefect.api.last_sign(run), utc_now()
            if sign is not None and now - sign > runs.ROUND_LOST:
                prefect.api.finish(run.id, states.lost("no sign of life any more; what it did is in Git"))
                log.warning("%s: no sign of life since %s; closed as lost", run.name, pages.clock(sign, now))
    except (TemporaryError, ObjectNotFound) as exc:
        log.debug("rounds are closed later: %s", exc)
    prefect.closed_at = time.monotonic()


def say(loop: Loop, about: str, text: str) -> None:
    """Logs what is wrong when it is new: rounds are many."""
    if loop.said.get(about) != text:
        loop.said[about] = text
        log.error("%s: %s", loop.site.application.name, text)
