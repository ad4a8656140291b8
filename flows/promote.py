"""The flows `promote` (one hop) and `propagate` (one round over everything).

A body begins by reading Git and may be run again from the top at any time; no step's outcome is taken from Prefect.
Parameters are names and never hold secrets.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun, ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import pages, states
from flows.api import Api
from flows.entry import environ
from promotion import observe, reconcile, report
from promotion.config import load
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Environment, VerificationWord, short
from promotion.observe import Site, World
from promotion.reconcile import Result
from promotion.sites import open_sites
from promotion.spelling import nearest

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # a run's page begins with its log

# A returned Failed is an answer and no accident: without this each one is logged as an error with its traceback.
logging.getLogger("prefect.flow_runs").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], FailedRun))
)


def _name() -> str:
    """The round loop names a run after its candidate; one that people or schedules start learns it as it goes."""
    known = pages.run_name(flow_run.parameters["application"], flow_run.parameters["environment"])
    given = flow_run.name or ""
    return given if given.startswith(known) else known


@flow(name="promote", flow_run_name=_name, retries=0, persist_result=False)
def promote(
    application: str, environment: str, config: str, commit: str | None = None, by_hand: bool = True
) -> State[Any]:
    """One hop into one environment, if every gate passes; stays until the target is verified.

    Args:
        application: Whose environment.
        environment: Where to; its source is where it takes commits from.
        config: The environments.yaml on the machine that serves.
        commit: This one, and not the newest that qualifies. A unique prefix is enough.
        by_hand: A person asks for it, so `auto: false` does not keep it waiting.
    """
    with Api() as api:
        page = Page(api, _run_id(), pages.key("hop", application, environment))
        try:
            pipeline = load(Path(config))
            _known(application, "application", [a.name for a in pipeline.applications])
            with open_sites(pipeline, environ(), only=lambda a: a.name == application) as (site,):
                names = [e.name for e in site.application.environments]
                _known(environment, f"environment of {application}", names)
                target = site.application.environment(environment)
                result = reconcile.promote(site, target, chosen=_chosen(site, commit), by_hand=by_hand)
                return _ended(site, target, result, page)
        except PromotionError as exc:
            state = states.of_error(exc)
            page.show(state.name, pages.refusal(pages.run_name(application, environment), str(exc), exc.hint))
            return state


@flow(name="propagate", flow_run_name="one round over everything", retries=0, persist_result=False)
def propagate(config: str) -> State[Any]:
    """One round over everything, now: observe, verify, and each hop that passes its gates.

    Args:
        config: The environments.yaml on the machine that serves.
    """
    with Api() as api:
        page = Page(api, _run_id(), "round")
        try:
            pipeline = load(Path(config))
            with open_sites(pipeline, environ()) as sites:
                results, errors = _round(sites)
        except PromotionError as exc:
            state = states.of_error(exc)
            page.show(state.name, pages.refusal("one round over everything", str(exc), exc.hint))
            return state
        state = _round_state(results, errors)
        page.show(state.name, pages.hops([report.result(r) for r in results], [str(e) for e in errors]))
        return state


def _round(sites: Sequence[Site]) -> tuple[list[Result], list[PromotionError]]:
    """One round over each application; the error of one does not stop the others."""
    results, errors = list[Result](), list[PromotionError]()
    for site in sites:
        try:
            done = reconcile.reconcile(site, {e.name for e in site.application.environments})
        except PromotionError as exc:
            errors.append(exc)
        else:
            results += done.hops
            errors += done.errors
    return results, errors


def _round_state(results: list[Result], errors: list[PromotionError]) -> State[Any]:
    """The worst that happened, else what landed."""
    if errors:
        return states.of_error(errors[0])
    for bad in (r for r in results if r.status):
        word = f"verification {bad.verification}" if bad.verification else bad.outcome
        return Failed(name=f"{word}: {bad.environment}", message=f"{bad.application}: {bad.reason}")
    landed = [f"{r.environment} {short(r.commit)}" for r in results if r.commit]
    return Completed(name=f"promoted {', '.join(landed)}"[:100] if landed else "nothing to do")


# --- what is asked for ---------------------------------------------------------------------------------------------


def _known(name: str, what: str, names: list[str]) -> None:
    """Raises ConfigError, with the nearest spelling, for a name that there is not."""
    if name not in names:
        raise ConfigError(f"no {what} `{name}`{nearest(name, names)}")


def _chosen(site: Site, commit: str | None) -> str | None:
    """The full id of what people wrote; the clone must know the remote's commits first."""
    if commit is None:
        return None
    observe.survey(site)
    return site.repository.resolve(commit)


def _run_id() -> UUID | None:
    return UUID(str(flow_run.id)) if flow_run.id else None


# --- the page, and what comes after the push -----------------------------------------------------------------------


@dataclass
class Page:
    """The page of this run. Prefect being away is no reason for a hop to fail: then there is no page."""

    api: Api
    run: UUID | None
    key: str

    def show(self, headline: str | None, text: str) -> None:
        """Writes the page. The headline stands above it, and alone where Prefect lists pages."""
        if self.run is None:
            return
        description = f"**{pages.escape(headline)}**"
        try:
            self.api.show(self.key, "markdown", run=self.run, data=text, description=description)
        except (TemporaryError, ObjectNotFound) as exc:
            log.warning("this run's page is not written: %s", exc)

    def name(self, name: str) -> None:
        if self.run is None or flow_run.name == name:
            return
        try:
            self.api.rename(self.run, name)
        except (TemporaryError, ObjectNotFound) as exc:
            log.warning("this run keeps its name: %s", exc)


def _ended(site: Site, target: Environment, result: Result, page: Page) -> State[Any]:
    """The run's name and page; then, where something landed, how it arrives."""
    commit = result.plan.commit if result.plan else None
    page.name(pages.run_name(result.application, result.environment, target.source, commit))
    state = states.of_result(result, site.clock())
    if result.plan is None:
        return state
    for verdict in result.plan.verdicts:
        log.info("%s %s: %s", verdict.verdict, verdict.gate, verdict.reason)
    plan = report.plan(site, result.plan)
    if result.commit is None:
        page.show(state.name, pages.hop(plan, [pages.escape(result.reason, 500)]))
        log.info("%s: %s", state.name, result.reason)
        return state
    log.info("pushed %s to %s", result.commit, target.branch)
    pushed = f"**Pushed:** {pages.code(short(result.commit))} to {pages.code(target.branch)}"
    for state, news in _verification(site, target, result.commit):
        page.show(state.name, pages.hop(plan, [pushed, f"**Verification:** {news}"]))
    return state


def _verification(site: Site, target: Environment, commit: str) -> Iterator[tuple[State[Any], str]]:
    """Watches the target: a state and news in markdown, at least one, until its verification is over."""
    until = None
    for pause in chain((1, 1, 2, 3), repeat(5)):
        try:
            world = reconcile.watch_only(site, [target.name])
        except TemporaryError as exc:
            yield states.of_verification("pending", commit, ""), f"not read: {pages.escape(exc)}"
        else:
            word, news = _verified(world, target, commit)
            log.info("verification: %s", news)
            watched = world.state.of(target.name).verification
            until = watched.until if watched else until
            yield states.of_verification(word or "pending", commit, news), pages.escape(news)
            if word is None or word != "pending":
                return
        if until is not None and (site.clock() - until).total_seconds() > 60:
            return
        time.sleep(pause)


def _verified(world: World, target: Environment, commit: str) -> tuple[VerificationWord | None, str]:
    """The verification's word, None when it is about something newer by now; and what was seen last."""
    state = world.state.of(target.name)
    watched, seen = state.verification, state.observed
    if watched is None or watched.commit != commit:
        newer = f"{target.name} has {short(state.release.commit)} by now" if state.release else "it is not watched"
        return None, newer
    now = f"{target.name} is {seen.health} at {short(seen.revision)}" if seen else f"{target.name} was not read yet"
    why = f" ({'; '.join(seen.reasons)})" if seen and seen.reasons and seen.health != "healthy" else ""
    end = f", until {pages.clock(watched.until)}" if watched.state == "pending" else ""
    unread = f"; {world.unread[target.name]}" if target.name in world.unread else ""
    return watched.state, f"{watched.state}{end}: {now}{why}{unread}"
