"""What Prefect is told of: the deployments of an environments.yaml, and the process that serves them; runs no flow itself."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.promote import promote, propagate
from promotion.config import load
from promotion.model import Pipeline

log = logging.getLogger(__name__)

PROMOTE = "promote/promote"
"""The full name of the deployment that makes one hop."""
LIMIT = 10
"""How many runs one process serves at once; each stays until its verification is over."""


def run(options: Mapping[str, Any], environ: Mapping[str, str]) -> int:  # noqa: ARG001 - as every child
    """Registers and serves what the file `config` of the options says; returns when it is told to end."""
    made = keep_pauses(deployments(load(Path(options["config"]))))
    names = ", ".join(f"{d.flow_name}/{d.name}" for d in made)
    log.info("serving %s with %d schedules", names, sum(len(d.schedules or []) for d in made))
    warnings.filterwarnings("ignore", message="coroutine 'Runner.astop'")  # Prefect's own, when it is told to end
    serve(*made, limit=LIMIT, pause_on_shutdown=False, print_starting_message=False)
    return 0


def deployments(pipeline: Pipeline) -> list[RunnerDeployment]:
    """`promote` with the environments' schedules, and `propagate` without any."""
    config = {"config": str(pipeline.path.absolute())}
    applications = ", ".join(f"`{a.name}`" for a in pipeline.applications)
    hop = promote.to_deployment(
        "promote",
        parameters=config,
        tags=["promotion"],
        description=f"One hop into one environment, if every gate passes. Applications: {applications}.",
        entrypoint_type=EntrypointType.MODULE_PATH,
        schedules=list(schedules(pipeline)),
    )
    everything = propagate.to_deployment(
        "propagate",
        parameters=config,
        tags=["promotion"],
        description="One round over everything, now: observe, verify, and each hop that passes its gates.",
        entrypoint_type=EntrypointType.MODULE_PATH,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
    )
    return [_plain(hop), _plain(everything)]


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
