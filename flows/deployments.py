"""What Prefect is told of: the deployments of an environments.yaml, and the process that serves them; runs no flow itself."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment, VersionType  # type: ignore[attr-defined]
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.api import FLOWS, Api, full_name
from flows.approve import approve
from flows.promote import promote, propagate
from flows.undo import rollback
from promotion.config import load
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Pipeline

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds between two looks at what the server has."""
REGISTERED = 60.0
"""Seconds that registering may take."""
LIMIT = 10
"""How many runs one process serves at once; each stays until its verification is over."""


def run(options: Mapping[str, Any], environ: Mapping[str, str]) -> int:  # noqa: ARG001 - as every child
    """Registers and serves what the file `config` of the options says, by their `name`; returns when it is told to end.

    Waits for a server that is away. Ends, to be started again, when the server has lost what was registered.
    """
    pipeline = load(Path(options["config"]))
    _when_it_answers(lambda: check_name(pipeline, options.get("name")))
    made = keep_pauses(deployments(pipeline, options.get("name")))
    names = [f"{d.flow_name}/{d.name}" for d in made]
    log.info("serving %s with %d schedules", ", ".join(names), sum(len(d.schedules or []) for d in made))
    threading.Thread(target=_watch, args=(names,), name="registered", daemon=True).start()
    warnings.filterwarnings("ignore", message="coroutine 'Runner.astop'")  # Prefect's own, when it is told to end
    serve(*made, limit=LIMIT, pause_on_shutdown=False, print_starting_message=False)
    return 0


def check_name(pipeline: Pipeline, name: str | None) -> None:
    """Raises ConfigError where the deployments of this name are another file's, and TemporaryError without an answer.

    Of nobody's that are served now: files move, and servers remember.
    """
    config = str(pipeline.path.absolute())
    with Api() as api:
        for flow in FLOWS:
            found = api.deployment(full_name(flow, name))
            if found is None or found.config in (None, config):
                continue
            if found.served:
                hint = "give this one's deployments a name of their own: promotion serve --name NAME"
                raise ConfigError(f"{full_name(flow, name)} is served for {found.config}", where="Prefect", hint=hint)
            log.warning("%s was for %s, and is for %s from here on", full_name(flow, name), found.config, config)


def _when_it_answers(question: Callable[[], None]) -> None:
    """Asks until there is an answer: a new start each time would only take longer."""
    said = False
    while True:
        try:
            return question()
        except TemporaryError as exc:
            if not said:
                log.warning("%s: nothing is served until it does", exc)
            said = True
            time.sleep(AGAIN)


def _watch(names: Sequence[str]) -> None:
    """Ends this process once the server has lost a deployment, or has it under another id, as a new database has."""
    known, since = set[UUID](), time.monotonic()
    with Api() as api:
        while True:
            time.sleep(AGAIN)
            try:
                found = {d.id for name in names if (d := api.deployment(name)) is not None}
            except TemporaryError:
                continue
            if not known and len(found) == len(names):
                known = found
            if is_lost(found, known, time.monotonic() - since):
                log.warning("Prefect has lost %s: registering again", ", ".join(names))
                os.kill(os.getpid(), signal.SIGTERM)
                return


def is_lost(found: Set[UUID], known: Set[UUID], waited: float) -> bool:
    """Whether a server lacks what was registered there, or has it under other ids.

    While nothing is `known` it is still being registered, one after the other: for REGISTERED seconds any part of it is right.
    """
    return found != known if known else waited > REGISTERED


def deployments(pipeline: Pipeline, name: str | None = None) -> list[RunnerDeployment]:
    """`promote` with the environments' schedules, the others without any; all by this name, if there is one.

    Without a version type Prefect would ask git where it was started, with all our variables, and keep the address of that
    repository's remote: there may be a token in either.
    """
    config = {"config": str(pipeline.path.absolute())}
    applications = ", ".join(f"`{a.name}`" for a in pipeline.applications)
    hop = promote.to_deployment(
        name or "promote",
        parameters=config,
        tags=["promotion"],
        description=f"One hop into one environment, if every gate passes. Applications: {applications}.",
        entrypoint_type=EntrypointType.MODULE_PATH,
        version_type=VersionType.SIMPLE,
        schedules=list(schedules(pipeline)),
    )
    everything = propagate.to_deployment(
        name or "propagate",
        parameters=config,
        tags=["promotion"],
        description="One round over everything, now: observe, verify, and each hop that passes its gates.",
        entrypoint_type=EntrypointType.MODULE_PATH,
        version_type=VersionType.SIMPLE,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
    )
    request = approve.to_deployment(
        name or "approve",
        parameters=config,
        tags=["promotion"],
        description="Asks people whether one plan may land. The round loop starts it.",
        entrypoint_type=EntrypointType.MODULE_PATH,
        version_type=VersionType.SIMPLE,
    )
    back = rollback.to_deployment(
        name or "rollback",
        parameters=config,
        tags=["promotion"],
        description=f"Restores an earlier release as a new commit, in one environment or in several. Applications: {applications}.",
        entrypoint_type=EntrypointType.MODULE_PATH,
        version_type=VersionType.SIMPLE,
    )
    return [_plain(hop), _plain(everything), _plain(request), _plain(back)]


def _plain(deployment: Any) -> RunnerDeployment:
    """`to_deployment` is typed as either of its sync and async selves."""
    assert isinstance(deployment, RunnerDeployment)
    return deployment


def schedules(pipeline: Pipeline) -> Iterable[Schedule]:
    """One for each environment that has one. The slug keeps its id, and so whether people paused it."""
    for application in pipeline.applications:
        for e in application.environments:
            if e.schedule is not None and e.source is not None:
                parameters = {"application": application.name, "environment": e.name, "by_hand": False}
                slug = f"{application.name}-{e.name}"
                yield Cron(e.schedule.cron, timezone=e.schedule.timezone, slug=slug, parameters=parameters)


def keep_pauses(made: Sequence[RunnerDeployment]) -> Sequence[RunnerDeployment]:
    """The same deployments, paused where people paused them in Prefect: registering would set them going again."""
    with get_client(sync_client=True) as client:
        for deployment in made:
            try:
                old = client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
            except ObjectNotFound:
                continue
            deployment.paused = old.paused
            active = {s.slug: s.active for s in old.schedules}
            for schedule in deployment.schedules or []:
                if schedule.slug in active:
                    schedule.active = active[schedule.slug]
    return made
