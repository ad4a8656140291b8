"""`--remote`: has a deployment run what the command line was asked for, and follows the run to its answer; decides nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.utilities.urls import url_for

from flows import asked, pages
from flows.api import Api, DeniedError, Deployment, full_name
from flows.asked import Asked, Back, Round
from promotion.errors import ConfigError, ContendedError, PromotionError, RefusedError, TemporaryError, as_bug

Say = Callable[[str], None]

SECONDS = 15.0
"""A question's deadline: people wait for this one, rounds do not."""
UNSERVED = 10.0
"""Seconds after which it is said that nobody has picked a run up."""
GIVEN_UP = 120.0
"""Seconds after which such a run is taken back."""
SILENT = 600.0
"""Seconds without any sign of a run, or of the server, after which it is followed no longer."""
BUSY = 60.0
"""Seconds in which a round that met another one is asked for again."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was started; `page` is its address for people."""

    id: UUID
    page: str
    name: str


def promote(
    api: Api, name: str | None, application: str, environment: str, commit: str | None, wanted: Asked
) -> Callable[[], Run]:
    """Starts one hop when called. Raises PromotionError."""
    more = {"application": application, "environment": environment, "commit": commit, "by_hand": True}
    title = pages.run_name(application, environment)
    return lambda: _start(api, "promote", name, title, {**more, "remote": asked.to_json(wanted)})


def propagate(api: Api, name: str | None, wanted: Round) -> Callable[[], Run]:
    """Starts one round when called. Raises PromotionError."""
    return lambda: _start(api, "propagate", name, "one round", {"remote": asked.to_json(wanted)})


def rollback(api: Api, name: str | None, parameters: Mapping[str, Any], wanted: Back) -> Callable[[], Run]:
    """Starts one rollback when called; the parameters are the flow's. Raises PromotionError."""
    title = pages.back_name(parameters["application"], parameters["environment"])
    # never without `remote`, which says that somebody waits for an answer
    return lambda: _start(api, "rollback", name, title, {**parameters, "remote": asked.to_json(wanted)})


def _start(
    api: Api,
    flow: Literal["promote", "propagate", "rollback"],
    name: str | None,
    title: str,
    parameters: dict[str, Any],
) -> Run:
    deployment = _deployment(api, full_name(flow, name))
    run = api.start(deployment.id, title, str(uuid4()), ["remote"], parameters)
    return Run(run.id, url_for("flow-run", obj_id=run.id) or str(run.id), full_name(flow, name))


def _deployment(api: Api, name: str) -> Deployment:
    if not get_current_settings().api.url:
        raise ConfigError("no Prefect server is configured", hint="set PREFECT_API_URL to that of the server")
    try:
        found = api.deployment(name)
    except DeniedError as exc:
        raise ConfigError(exc.message) from exc
    if found is None:
        hint = "promotion serve registers it, and so does prefect deploy --all"
        raise TemporaryError(f"Prefect has no deployment {name}", hint=hint)
    if found.paused:
        page = url_for("deployment", obj_id=found.id)
        raise RefusedError(f"{name} is paused in Prefect: it starts nothing", hint=f"resume it there: {page}")
    return found


# --- following -----------------------------------------------------------------------------------------------------


def follow(api: Api, start: Callable[[], Run], began: Callable[[Run], None], say: Say) -> Mapping[str, Any]:
    """What the run answers. `began` is told of the run, `say` of what it waits for.

    Raises what the run ended with, and TemporaryError where nobody runs it or it gives no sign of life.
    """
    until = time.monotonic() + BUSY
    while True:
        run = start()
        began(run)
        try:
            answer = _Following(api, run, say).to_its_end()
        except ContendedError as exc:
            if time.monotonic() > until:
                raise
            say(str(exc))
            time.sleep(2)
        else:
            return answer


@dataclass
class _Following:
    """One run, and when it last showed anything new."""

    api: Api
    run: Run
    say: Say
    began: float = field(default_factory=time.monotonic)
    sign: str = ""
    signed: float = field(default_factory=time.monotonic)

    def to_its_end(self) -> Mapping[str, Any]:
        pause = 0.3
        while True:
            try:
                run = self.api.run(self.run.id)
                said, at = asked.read(self.api, self.run.id)  # after the state: the answer comes before a run's end
            except TemporaryError as exc:
                self.say(f"{exc}; the run goes on: {self.run.page}")
                self._alive(exc)
            except ObjectNotFound as exc:
                raise TemporaryError(f"Prefect does not know the run {self.run.id} any more", hint=CHECK) from exc
            else:
                if "answer" in said:
                    answer: Mapping[str, Any] = said["answer"]
                    return answer
                self._waits(run, said, at)
            time.sleep(pause)
            pause = min(2.0, pause * 1.3)

    def _waits(self, run: FlowRun, said: Mapping[str, Any], at: str) -> None:
        """Says what for. Raises PromotionError when it is for nothing."""
        if run.state is not None and run.state.is_final():
            raise _unanswered(run, self.run)
        sign = f"{run.state_name} {run.state.timestamp if run.state else ''} {at}"
        if sign != self.sign:
            self.sign, self.signed = sign, time.monotonic()
        if run.state_type == StateType.SCHEDULED:
            self._unserved(run)
        else:
            self.say(said.get("news") or f"{run.name}: {(run.state_name or '').lower()}: {self.run.page}")
            self._alive(None)

    def _unserved(self, run: FlowRun) -> None:
        """Says so while nobody runs it; takes it back before it surprises anybody."""
        waited = time.monotonic() - self.began
        if run.state_name == "AwaitingConcurrencySlot":
            self.say(f"other runs come first: {self.run.page}")
        elif waited > GIVEN_UP:
            why = f"nobody has picked up a run of {self.run.name} within {GIVEN_UP:.0f} s"
            self.api.cancel(self.run.id, why)
            if self.api.run(self.run.id).state_type == StateType.CANCELLED:
                raise TemporaryError(f"{why}; it was taken back", where=self.run.page, hint=UNSERVED_HINT)
        elif waited > UNSERVED:
            self.say(f"nobody has picked it up yet: {UNSERVED_HINT}: {self.run.page}")
        else:
            self.say(f"started {self.run.page}")

    def _alive(self, cause: TemporaryError | None) -> None:
        if time.monotonic() - self.signed > SILENT:
            why = f"no sign of the run for {SILENT:.0f} s{f': {cause}' if cause else ''}"
            raise TemporaryError(why, where=self.run.page, hint=CHECK) from cause


CHECK = "promotion status shows what is in Git by now"
UNSERVED_HINT = "is promotion serve running, or a worker of its pool?"


def _unanswered(run: FlowRun, known: Run) -> PromotionError:
    """What it means that a run ended and left no answer."""
    message = (run.state.message if run.state else None) or ""
    state = f"the run ended as {run.state_name}{f': {message}' if message else ''}"
    if run.state_type == StateType.CANCELLED:
        if "concurrency limit" in message:
            return ContendedError("another round is under way", where=known.name, hint="try again")
        return RefusedError(f"the run was cancelled{f': {message}' if message else ''}", where=known.page, hint=CHECK)
    if run.state_type == StateType.FAILED and "encountered an exception" in message:
        return as_bug(RuntimeError(message), known.page)
    return TemporaryError(state, where=known.page, hint=CHECK)
