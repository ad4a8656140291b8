"""The flow `rollback`: goes back in one environment, or in each that a glob means; what fails in one does not stop the others.

It may be run again from the top at any time: what is rolled back already goes back no further by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import WithJsonSchema

from flows import arrival, asked, pages, states
from flows.api import Api
from flows.asked import Back
from flows.entry import environ
from flows.page import Page
from promotion import observe, reconcile, report, wording
from promotion.config import load
from promotion.errors import ConfigError, ContendedError, PromotionError, as_bug
from promotion.model import Environment
from promotion.observe import Site
from promotion.reconcile import Result
from promotion.sites import check_names, matching, only, open_sites
from promotion.sites import who as sites_by
from promotion.texts import short

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # a run's page begins with its log


Line = Annotated[str | None, WithJsonSchema({"type": "string"})]
"""One line to type into: between text and nothing people would have to choose first."""


def _name() -> str:
    return pages.back_name(flow_run.parameters["application"], flow_run.parameters["environment"])


@flow(name="rollback", flow_run_name=_name, retries=0, persist_result=False)
def rollback(
    application: str,
    environment: str,
    reason: str,
    by: str,
    to: Line = "",
    dry_run: bool = False,
    config: str = "",
    remote: dict[str, Any] | None = None,
) -> State[Any]:
    """Restores the last healthy release with other content as a new commit, whatever gates and freezes say (but strict ones).

    What is taken back is held until it is fixed or lifted. Stays until the targets are verified.

    Args:
        application: Whose environment: a name as in environments.yaml, or a glob.
        environment: Where to go back: a name, or a glob such as `prod-*` for each of them.
        reason: Why. It is recorded, and shown wherever the change is held.
        by: Your name or email: Prefect does not know who clicks. It is recorded as you say it.
        to: The release to restore: its commit on the environment's branch, or a unique prefix; also one that was rolled back. Empty: the last healthy one with other content.
        dry_run: Only say what would be done, and write nothing.
        config: Filled in already: the environments.yaml on the machine that serves.
        remote: Not for people: what `promotion rollback --remote` asks beyond that. Such a run ends as the command would, and leaves an answer.
    """
    with Api() as api:
        page = Page(
            api, UUID(str(flow_run.id)) if flow_run.id else None, pages.key("rollback", application, environment)
        )
        try:
            why, who = wording.reason(reason, "reason"), _named(by)
            wanted, served = Back.of(remote or {}), environ()
            pipeline = only(load(Path(config)), application, "application")
            check_names(pipeline.applications, [environment])
            with open_sites(pipeline, asked.acting(served, who), lambda a: bool(matching(a, [environment]))) as sites:
                places = [(site, target) for site in sites for target in matching(site.application, [environment])]
                run = _Run(page, why, who, sites_by(served), to, dry_run, wanted, told=remote is not None)
                done = _all(run, places)
                if remote is not None:
                    asked.tell(api, page.run, _answer(done, dry_run=dry_run))
                if remote is None and not dry_run:
                    return _watched(run, done)
                return _shown(run, done)
        except PromotionError as exc:
            state = states.of_error(exc)
            page.show(state.name, pages.refusal(_name(), str(exc), exc.hint))
            if remote is not None:
                asked.tell(api, page.run, asked.trouble(exc))
            return state
        except Exception as exc:
            if remote is not None:
                asked.tell(api, page.run, asked.trouble(as_bug(exc)))
            raise


def _named(by: str) -> str:
    """Who asks for it, as they say. Raises ConfigError."""
    if not (who := wording.line(by, "a name", "by")):
        raise ConfigError("a rollback is somebody's: say who asks for it", where="by")
    return who


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run is asked to do everywhere."""

    page: Page
    reason: str
    by: str
    """Who asks for it, as they say: Prefect does not know who clicks."""
    through: str
    """Whoever serves."""
    to: str | None
    dry_run: bool
    wanted: Back
    told: bool
    """Whether somebody follows it."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of one environment: a result or an error; and the newest news of its verification."""

    site: Site
    target: Environment
    result: Result | None = None
    error: PromotionError | None = None
    subjects: tuple[tuple[str, str], ...] = ()
    arrived: State[Any] | None = None
    news: str = ""

    @property
    def name(self) -> str:
        return f"{self.site.application.name}: {self.target.name}"

    @property
    def state(self) -> State[Any]:
        if self.arrived is not None:
            return self.arrived
        if self.result is None:
            return states.of_error(self.error or PromotionError(""))
        word, commit = self.result.verification, self.result.commit
        if commit and word:
            return states.of_verification(word, commit, self.result.reason, "rolled-back")
        return states.of_result(self.result, self.site.clock())


def _all(run: _Run, places: Sequence[tuple[Site, Environment]]) -> list[_Done]:
    """Goes back everywhere, one after the other. The error of an only one is raised."""
    done: list[_Done] = []
    for number, (site, target) in enumerate(places, 1):
        log.info("%s: %s (%d of %d)", site.application.name, target.name, number, len(places))
        if run.told and len(places) > 1:
            asked.news(run.page.api, run.page.run, f"{site.application.name}: {target.name}, {number} of {len(places)}")
        try:
            result = _one(run, site, target)
        except PromotionError as exc:
            if len(places) == 1:
                raise
            log.error("%s", exc)
            done.append(_Done(site, target, error=exc))
        else:
            log.info("%s: %s", result.outcome, result.reason)
            named = report.subjects(site, report.result(result))
            done.append(_Done(site, target, result, subjects=tuple(named.items())))
        site.repository.close()  # many repositories would keep many processes
    return done


def _one(run: _Run, site: Site, target: Environment) -> Result:
    try:
        chosen = _chosen(site, run.to)
        result = reconcile.roll_back(
            site, target, to=chosen, reason=run.reason, dry_run=run.dry_run, through=run.through
        )
        patience = asked.span_of(run.wanted.wait)
        if patience is None or result.outcome != "rolled-back" or run.dry_run:
            return result
        return arrival.followed(partial(reconcile.verified, site, target, result), patience, run.page)
    except ContendedError as exc:
        return reconcile.contended(site, target, exc)


def _chosen(site: Site, to: str | None) -> str | None:
    """The full id of what people wrote; the clone must know the remote's commits first."""
    if not to or not to.strip():
        return None
    observe.survey(site)
    return site.repository.resolve(to.strip())


# --- what is said of it ----------------------------------------------------------------------------------------------


def _answer(done: Sequence[_Done], *, dry_run: bool) -> dict[str, Any]:
    hops = [{**asked.hop(d.result, dry_run=dry_run), "subjects": dict(d.subjects)} for d in done if d.result]
    return asked.backs(hops, [d.error for d in done if d.error], alone=len(done) == 1)


def _watched(run: _Run, done: list[_Done]) -> State[Any]:
    """Stays until what was pushed has arrived everywhere."""
    for at, each in enumerate(done):
        if each.result is None or each.result.commit is None:
            continue
        for state, news in arrival.verification(each.site, each.target, each.result.commit, "rolled-back"):
            done[at] = _Done(each.site, each.target, each.result, None, each.subjects, state, news)
            _shown(run, done)
    return _shown(run, done)


def _shown(run: _Run, done: Sequence[_Done]) -> State[Any]:
    """Writes the page; the run's last state."""
    state = _state(done)
    if run.dry_run:
        state = Completed(name=f"dry run: {state.name}"[:100], message=state.message)
    sections = [line for each in done for line in _section(each)]
    who = f"Asked for by **{pages.escape(run.by)}**, recorded by {pages.escape(run.through)}."
    run.page.show(state.name, "\n".join([f"## {pages.escape(_name())}", "", who, *sections]))
    return state


def _section(each: _Done) -> Iterator[str]:
    yield from ("", f"### {pages.escape(each.name)}: {pages.escape(each.state.name)}", "")
    if each.result is not None:
        yield from pages.back(report.result(each.result), dict(each.subjects), each.news)
    elif each.error is not None:
        yield from (
            pages.escape(each.error, 1000),
            *(["", f"Next: {pages.escape(each.error.hint)}"] if each.error.hint else []),
        )


def _state(done: Sequence[_Done]) -> State[Any]:
    """That of the only one; of several how many went back, and what is wrong with the others."""
    if len(done) == 1:
        return done[0].state
    wrong = [each for each in done if each.state.is_failed()]
    if wrong:
        message = "; ".join(f"{each.name}: {each.state.name}: {each.state.message}" for each in wrong)
        return Failed(name=f"{len(wrong)} of {len(done)} failed", message=message)
    landed = [f"{each.target.name} {short(each.result.commit)}" for each in done if each.result and each.result.commit]
    return Completed(name=f"rolled-back {', '.join(landed)}"[:100] if landed else "nothing to do")
