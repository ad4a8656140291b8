"""The flows `promote` (one hop) and `propagate` (one round over everything).

A body begins by reading Git and may be run again from the top at any time; no step's outcome is taken from Prefect.
Parameters are names and never hold secrets.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.utilities.urls import url_for

from flows import asked, pages, runs, states
from flows.api import OPEN_STATES, Api
from flows.arrival import followed, verification
from flows.asked import Asked, Round
from flows.entry import environ
from flows.page import Page
from promotion import observe, reconcile, report, resolving
from promotion.config import load
from promotion.engines.kept import Kept
from promotion.errors import ConfigError, ContendedError, PromotionError, TemporaryError, as_bug
from promotion.model import Environment
from promotion.observe import Site
from promotion.reconcile import Result
from promotion.sites import by_repository, open_sites
from promotion.spelling import nearest
from promotion.texts import short

log = logging.getLogger(__name__)
SIGNS = 10.0
"""Seconds between two signs of life of a round over many applications."""
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
    application: str,
    environment: str,
    config: str,
    commit: str | None = None,
    by_hand: bool = True,
    remote: dict[str, Any] | None = None,
) -> State[Any]:
    """One hop into one environment, if every gate passes; stays until the target is verified.

    Args:
        application: Whose environment.
        environment: Where to; its source is where it takes commits from.
        config: The environments.yaml on the machine that serves.
        commit: This one, and not the newest that qualifies. A unique prefix is enough.
        by_hand: A person asks for it, so `auto: false` does not keep it waiting.
        remote: What `promotion promote --remote` asks beyond that; the run ends as the command would, and leaves an answer.
    """
    with Api() as api:
        page = Page(api, _run_id(), pages.key("hop", application, environment))
        try:
            pipeline = load(Path(config))
            _known(application, "application", [a.name for a in pipeline.applications])
            wanted = Asked.of(remote or {})
            with open_sites(pipeline, wanted.environ(environ()), only=lambda a: a.name == application) as (site,):
                names = [e.name for e in site.application.environments]
                _known(environment, f"environment of {application}", names)
                target = site.application.environment(environment)
                chosen = _chosen(site, commit)
                if remote is None:
                    result = reconcile.promote(site, target, chosen=chosen, by_hand=by_hand)
                    return _ended(site, target, result, page)
                result = _as_asked(site, target, wanted, page, chosen)
                state = _over(site, target, result, page, dry_run=wanted.dry_run)
                asked.tell(api, page.run, asked.hop(result, dry_run=wanted.dry_run))
                return state
        except PromotionError as exc:
            state = states.of_error(exc)
            page.show(state.name, pages.refusal(pages.run_name(application, environment), str(exc), exc.hint))
            if remote is not None:
                asked.tell(api, page.run, asked.trouble(exc))
            return state
        except Exception as exc:
            if remote is not None:
                asked.tell(api, page.run, asked.trouble(as_bug(exc)))
            raise


@flow(name="propagate", flow_run_name="one round over everything", retries=0, persist_result=False)
def propagate(config: str, remote: dict[str, Any] | None = None) -> State[Any]:
    """One round over everything, now: observe, verify, and each hop that passes its gates.

    Args:
        config: The environments.yaml on the machine that serves.
        remote: What `promotion run --remote` asks beyond that; the run leaves an answer.
    """
    with Api() as api:
        page = Page(api, _run_id(), "round")
        try:
            pipeline = load(Path(config))
            wanted = Round.of(remote or {})
            for name in wanted.environments or ():
                _known(name, "application", [a.name for a in pipeline.applications])
            with open_sites(pipeline, wanted.environ(environ()), only=lambda a: wanted.has(a.name)) as sites:
                tell = partial(asked.news, api, page.run) if remote is not None else partial(page.show, "under way")
                results, errors, waits, raised = _round(sites, wanted, tell)
        except PromotionError as exc:
            state = states.of_error(exc)
            page.show(state.name, pages.refusal("one round over everything", str(exc), exc.hint))
            if remote is not None:
                asked.tell(api, page.run, asked.trouble(exc))
            return state
        state = _round_state(results, errors)
        if remote is not None:
            asked.tell(api, page.run, asked.rounds(results, waits, errors, raised=raised))
        page.show(state.name, pages.hops([report.result(r) for r in results], [str(e) for e in errors]))
        return state


def _round(
    sites: Sequence[Site], wanted: Round, tell: Callable[[str], None]
) -> tuple[list[Result], list[PromotionError], list[dict[str, Any]], bool]:
    """One round over each application, what it leaves waiting, and whether one ended early: that does not stop the others."""
    results, errors, waits, raised = list[Result](), list[PromotionError](), list[dict[str, Any]](), False
    told, kept = time.monotonic(), Kept()
    for group in by_repository(sites):
        if time.monotonic() - told > SIGNS:
            tell(f"{len(results)} hops so far; {group[0].application.name} is next")
            told = time.monotonic()
        for site, done in zip(group, _together(group, wanted, kept), strict=True):
            if isinstance(done, PromotionError):
                raised = True
                errors.append(done)
                continue
            results += done.hops
            errors += done.trouble
            waits += report.waits(site, done.plans, dry_run=wanted.dry_run)
        group[0].repository.close()  # many repositories would keep many processes
    return results, list(dict.fromkeys(errors)), waits, raised


def _together(group: Sequence[Site], wanted: Round, kept: Kept) -> Sequence[reconcile.Round | PromotionError]:
    """One round over the applications of one repository; what is wrong with that is what each comes to."""
    try:
        tasks = [reconcile.Task(site, wanted.names(site.application)) for site in group]
        return reconcile.together(tasks, sync=wanted.sync, dry_run=wanted.dry_run, kept=kept)
    except PromotionError as exc:
        return [exc] * len(group)
    except Exception as exc:
        names = ", ".join(site.application.name for site in group)
        log.exception("%s", names)
        return [as_bug(exc, names)] * len(group)


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
    return site.repository.resolve(commit.lower())


def _run_id() -> UUID | None:
    return UUID(str(flow_run.id)) if flow_run.id else None


# --- what comes after the push --------------------------------------------------------------------------------------


def _as_asked(site: Site, target: Environment, wanted: Asked, page: Page, chosen: str | None) -> Result:
    """The hop as the command line makes it; whoever follows the run is told what it waits for."""
    patience = asked.span_of(wanted.wait)
    decided = resolving.resolution_of(site, wanted.resolution) if wanted.resolution else None
    options: dict[str, Any] = {"chosen": chosen, "plan_id": wanted.plan, "allow_empty": wanted.allow_empty}
    options["resolution"] = decided
    try:
        if patience is None or wanted.dry_run:
            return reconcile.promote(site, target, dry_run=wanted.dry_run, **options)
        return followed(partial(reconcile.patiently, site, target, **options), patience, page)
    except ContendedError as exc:
        return reconcile.contended(site, target, exc)


def _over(site: Site, target: Environment, result: Result, page: Page, *, dry_run: bool) -> State[Any]:
    """The run's name, page and last state when nothing is watched any more."""
    state, plan = _decided(site, target, result, page)
    if dry_run:
        state = Completed(name=f"dry run: {state.name}"[:100], message=result.reason)
    elif result.commit and result.verification:
        state = states.of_verification(result.verification, result.commit, result.reason)
    if plan is not None:
        page.show(state.name, pages.hop(plan, [pages.escape(result.reason, 500), _asked(page, result)]))
    log.info("%s: %s", state.name, result.reason)
    return state


def _asked(page: Page, result: Result) -> str:
    """Where people are asked about a plan that waits for them, as markdown; '' while they are not."""
    plan_id = result.plan_id
    if result.outcome != "waiting" or not plan_id or result.plan is None or result.plan.asked is None:
        return ""
    with suppress(TemporaryError):
        found = page.api.tagged("approve", runs.tag(plan_id), states=OPEN_STATES)
        if found and (url := url_for("flow-run", obj_id=found[0].id)):
            log.info("people are asked by %s: %s", found[0].name, url)
            return f"**People are asked:** {pages.link(found[0].name, url)}"
    return ""


def _decided(site: Site, target: Environment, result: Result, page: Page) -> tuple[State[Any], dict[str, Any] | None]:
    """The run's name, and its state and plan before anything is verified."""
    commit = result.plan.commit if result.plan else None
    page.name(pages.run_name(result.application, result.environment, target.source, commit))
    state = states.of_result(result, site.clock())
    if result.plan is None:
        return state, None
    for verdict in result.plan.verdicts:
        log.info("%s %s: %s", verdict.verdict, verdict.gate, verdict.reason)
    return state, report.plan(site, result.plan)


def _ended(site: Site, target: Environment, result: Result, page: Page) -> State[Any]:
    """The run's name and page; then, where something landed, how it arrives."""
    state, plan = _decided(site, target, result, page)
    if plan is None:
        return state
    if result.commit is None:
        page.show(state.name, pages.hop(plan, [pages.escape(result.reason, 500), _asked(page, result)]))
        log.info("%s: %s", state.name, result.reason)
        return state
    log.info("pushed %s to %s", result.commit, target.branch)
    pushed = f"**Pushed:** {pages.code(short(result.commit))} to {pages.code(target.branch)}"
    for state, news in verification(site, target, result.commit):
        page.show(state.name, pages.hop(plan, [pushed, f"**Verification:** {news}"]))
    return state
