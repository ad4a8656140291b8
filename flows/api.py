"""The door to Prefect's server for whoever must not wait for it: each question has a deadline, and its errors become ours."""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import DeploymentSchedule, DeploymentStatus, FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from promotion.errors import TemporaryError
from promotion.texts import instant

log = logging.getLogger(__name__)
T = TypeVar("T")


class DeniedError(TemporaryError):
    """Prefect answers, and lets us do nothing. The loop goes on without it; people who wait for an answer mend it."""


SECONDS = 5.0
"""A question's deadline in all."""
PAGE = 200
"""How many things the server gives at once."""
BUSY = (0.3, 1.0)
"""Seconds until a server that has no time is asked again."""
PAUSES = (0, 1, 2, 5, 10, 20)
"""Seconds between the tries of a run to reach a server that is away."""
FLOWS = ("promote", "propagate", "approve", "rollback")
"""What the deployments of a file are of, in the order in which they are served."""
OPEN_STATES = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED, StateType.CANCELLING, StateType.PAUSED]


def full_name(flow: str, name: str | None = None) -> str:
    """`promote/promote`; `promote/NAME` where a server has the deployments of several files."""
    return f"{flow}/{name or flow}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as the server has it."""

    id: UUID
    paused: bool
    config: str | None = None
    """The file that it is for."""
    served: bool = False
    """Whether somebody asked for its runs in the last minute."""
    scheduled: frozenset[str] = frozenset()
    """`APPLICATION-ENVIRONMENT` for each of its schedules, those that people paused too."""


@dataclass
class Api:
    """One connection, which is made anew after it failed."""

    seconds: float = SECONDS
    client: SyncPrefectClient | None = None
    artifacts: dict[str, UUID] = field(default_factory=dict)
    """Key of an artifact that is updated in place -> its id."""

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            client.__exit__(None, None, None)

    def ask(self, question: Callable[[SyncPrefectClient], T]) -> T:
        """The answer. Raises TemporaryError when there is none in time, ObjectNotFound when there is no such thing.

        A thread of its own, since a server that hangs, or trickles, passes every deadline of a socket.
        """
        answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()
        if self.client is None:
            settings = {"timeout": httpx.Timeout(self.seconds)}
            self.client = get_client(sync_client=True, httpx_settings=settings).__enter__()
        context, client = contextvars.copy_context(), self.client

        def work() -> None:
            for pause in (*BUSY, None):
                try:
                    answers.put((context.run(question, client), None))
                except Exception as exc:
                    if pause is not None and _is_busy(exc):
                        time.sleep(pause)
                        continue
                    answers.put((None, exc))
                return

        threading.Thread(target=work, name="prefect", daemon=True).start()
        try:
            answer, error = answers.get(timeout=self.seconds)
        except queue.Empty as exc:
            self.client = None  # the thread has it still
            raise TemporaryError(f"Prefect does not answer within {self.seconds:.0f} s") from exc
        if isinstance(error, ObjectNotFound):
            raise error
        if error is not None:
            self.close()
            raise _trouble(error) from error
        return answer  # type: ignore[return-value]

    # --- runs ------------------------------------------------------------------------------------------------------

    def deployment(self, name: str) -> Deployment | None:
        """None when there is none of that name (yet)."""
        try:
            found = self.ask(lambda c: c.read_deployment_by_name(name))
        except ObjectNotFound:
            return None
        served = found.status is DeploymentStatus.READY
        scheduled = frozenset(_what(s) for s in found.schedules)
        return Deployment(found.id, found.paused, found.parameters.get("config"), served, scheduled)

    def runs(
        self, deployment: UUID, *, tag: str | None = None, states: Sequence[StateType] | None = None
    ) -> list[FlowRun]:
        """The newest runs of a deployment, 200 at most; with a tag, or in these states."""
        wanted = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[tag]) if tag else None,
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))) if states else None,
        )
        of = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        newest = FlowRunSort.EXPECTED_START_TIME_DESC
        return self.ask(
            lambda c: c.read_flow_runs(flow_run_filter=wanted, deployment_filter=of, sort=newest, limit=200)
        )

    def tagged(self, flow: str, *tags: str, states: Sequence[StateType] | None = None) -> list[FlowRun]:
        """The newest runs of a flow with all of these tags, 200 at most, whoever serves it."""
        wanted = FlowRunFilter(
            tags=FlowRunFilterTags(all_=list(tags)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))) if states else None,
        )
        of, newest = FlowFilter(name=FlowFilterName(any_=[flow])), FlowRunSort.EXPECTED_START_TIME_DESC
        return self.ask(lambda c: c.read_flow_runs(flow_filter=of, flow_run_filter=wanted, sort=newest, limit=PAGE))

    def start(self, deployment: UUID, name: str, key: str, tags: list[str], parameters: dict[str, Any]) -> FlowRun:
        """The run of this idempotency key; made if there is none."""
        return self.ask(
            lambda c: c.create_flow_run_from_deployment(
                deployment, name=name, parameters=parameters, idempotency_key=key, tags=tags
            )
        )

    def run(self, run: UUID) -> FlowRun:
        """Raises ObjectNotFound when the server does not know it (any more)."""
        return self.ask(lambda c: c.read_flow_run(run))

    def cancel(self, run: UUID, why: str) -> None:
        """Takes back a run that nobody has begun; one that is under way is left alone."""
        self.ask(lambda c: c.set_flow_run_state(run, Cancelled(message=why)))

    def finish(self, run: UUID, state: State[Any]) -> None:
        """Sets a run's last state, whatever Prefect thinks of it."""
        self.ask(lambda c: c.set_flow_run_state(run, state, force=True))

    def rename(self, run: UUID, name: str) -> None:
        self.ask(lambda c: c.set_flow_run_name(run, name))

    # --- what is kept with a run ------------------------------------------------------------------------------------

    def kept(self, run: UUID) -> dict[str, str]:
        """All that is kept with a run by its key, as JSON: forms, what was typed into them, and what `keep` added."""
        known: dict[str, str] = {}
        while True:
            seen = set(known)
            page = self.ask(lambda c, s=seen: c.filter_flow_run_input(run, "", PAGE, s))  # type: ignore[misc]
            known |= {each.key: each.value for each in page}
            if len(page) < PAGE:
                return known

    def keep(self, run: UUID, key: str, value: str) -> bool:
        """Keeps a text with a run; False when there is one of this key already."""
        try:
            self.ask(lambda c: c.create_flow_run_input(run, key, value))
        except TemporaryError as exc:
            if _status(exc) != 409:
                raise
            return False
        return True

    # --- artifacts -------------------------------------------------------------------------------------------------

    def show(
        self, key: str, kind: Literal["markdown", "table", "json"], *, run: UUID | None = None, **content: str | None
    ) -> None:
        """Creates the artifact of this key (for a run: its own one), or updates it in place.

        By plain requests: the client's own functions also send an event with the whole text, each time.
        """
        mark = f"{key}/{run}"
        known = self.artifacts.get(mark) or self._find(key, run)
        if known is not None:
            try:
                self.ask(lambda c: c.request("PATCH", "/artifacts/{id}", json=content, path_params={"id": known}))
                self.artifacts[mark] = known
                return
            except TemporaryError as exc:
                if not _gone(exc):
                    raise
        made: dict[str, Any] = {"key": key, "type": kind, **content}
        if run is not None:
            made["flow_run_id"] = str(run)
        answer = self.ask(lambda c: c.request("POST", "/artifacts/", json=made))
        self.artifacts[mark] = UUID(answer.json()["id"])

    def _find(self, key: str, run: UUID | None) -> UUID | None:
        found = self.artifact(key, run)
        return UUID(found["id"]) if found else None

    def artifact(self, key: str, run: UUID | None = None) -> dict[str, Any] | None:
        """The newest artifact of a key (of a run: its own one)."""
        of_run = {"flow_run_id": {"any_": [str(run)]}} if run else {}
        return self._artifact({"key": {"any_": [key]}, **of_run}, "CREATED_DESC")

    def last_sign(self, run: FlowRun) -> datetime | None:
        """When a run last wrote its page, else when it began, else when it was to begin."""
        found = self._artifact({"flow_run_id": {"any_": [str(run.id)]}}, "UPDATED_DESC")
        return instant(found["updated"]) if found else run.start_time or run.expected_start_time

    def _artifact(self, wanted: dict[str, Any], sort: str) -> dict[str, Any] | None:
        """The first one of a filter; the client's own function sends nulls that the server refuses."""
        question = {"artifacts": wanted, "sort": sort, "limit": 1}
        answer = self.ask(lambda c: c.request("POST", "/artifacts/filter", json=question))
        return next(iter(answer.json()), None)


def surely(question: Callable[[], T]) -> T:
    """The answer of a server, Prefect's or Git's, that may be away for a moment. Raises TemporaryError when it stays away."""
    for pause in PAUSES:
        try:
            return question()
        except TemporaryError as exc:
            log.warning("%s", exc)
            time.sleep(pause)
    return question()


def _what(schedule: DeploymentSchedule) -> str:
    """What a schedule fires for: Prefect forgets the parameters of one that is paused, and never its slug."""
    known = schedule.parameters
    return (
        f"{known['application']}-{known['environment']}"
        if {"application", "environment"} <= set(known)
        else schedule.slug or ""
    )


def _trouble(error: Exception) -> TemporaryError:
    """What a question came to that got no answer, or none that helps."""
    if not isinstance(error, httpx.HTTPStatusError):
        return TemporaryError(f"Prefect does not answer ({_gist(error)})")
    said = f"{error.response.status_code} {error.response.reason_phrase}".strip()
    if error.response.status_code in (401, 403):
        return DeniedError(f"Prefect refuses us ({said}): PREFECT_API_AUTH_STRING is not there, or wrong")
    return TemporaryError(f"Prefect answers {said} ({_gist(error)})")


def _is_busy(error: Exception) -> bool:
    """Whether the server is there and has no time: SQLite is locked for one of several that write at once."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 503


def _gist(error: Exception) -> str:
    first = (str(error) or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {first}"[:200]


def _gone(error: TemporaryError) -> bool:
    """Whether the server has lost what it is asked about, as a new database has."""
    return _status(error) == 404


def _status(error: TemporaryError) -> int | None:
    cause = error.__cause__
    return cause.response.status_code if isinstance(cause, httpx.HTTPStatusError) else None
