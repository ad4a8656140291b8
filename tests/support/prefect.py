"""A Prefect server for a module of tests, and a worker of it as a thread: runs what is scheduled, one after the other."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.promote import promote, propagate
from flows.undo import rollback


@contextmanager
def prefect_server() -> Iterator[None]:
    """Its heartbeat threads would cost a second a run; a busy machine may take a minute to start it."""
    with (
        prefect_test_harness(server_startup_timeout=110),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


def forget(client: SyncPrefectClient) -> None:
    """Deletes deployments, runs and artifacts of other tests."""
    for deployment in client.request("POST", "/deployments/filter", json={}).json():
        client.delete_deployment(UUID(deployment["id"]))
    for run in client.read_flow_runs(limit=200, sort=FlowRunSort.ID_DESC):
        client.delete_flow_run(run.id)
    for artifact in client.request("POST", "/artifacts/filter", json={}).json():
        client.delete_artifact(UUID(artifact["id"]))


@contextmanager
def says(*statuses: int) -> Iterator[None]:
    """A server that is none: it answers with these statuses, and from then on with the last."""
    left = list(statuses)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}):
            yield
        server.shutdown()


@contextmanager
def worker() -> Iterator[None]:
    """While this lasts, runs of `promote`, `propagate` and `rollback` are run here."""
    done = threading.Event()

    def work() -> None:
        with get_client(sync_client=True) as client:
            while not done.wait(0.05):
                for run in _scheduled(client):
                    run_flow(_flow(run), flow_run=run, return_type="state")

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _flow(run: FlowRun) -> Flow[Any, Any]:
    if "reason" in run.parameters:
        return rollback
    return promote if "application" in run.parameters else propagate


def _scheduled(client: SyncPrefectClient) -> list[FlowRun]:
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state), limit=200, sort=FlowRunSort.ID_DESC)
