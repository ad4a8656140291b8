"""`--remote` of promote, run and rollback: asks for a run of the Prefect deployment, and prints what it answers as if it had run here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from promotion.cli import render
from promotion.cli.context import Call, named, pipeline_of
from promotion.cli.output import answer, complain, note, worst
from promotion.cli.progress import Progress
from promotion.cli.rounds import calm
from promotion.errors import PromotionError, of_data
from promotion.sites import check_names, matching, who

if TYPE_CHECKING:
    from flows.api import Api
    from flows.remote import Run

DEPLOYMENT = "PROMOTION_DEPLOYMENT"
"""Names this file's deployments where a Prefect server has those of several files."""


def promote(call: Call, environment: str, *, commit: str | None, **options: Any) -> int:
    """One hop as a run of the deployment; the options are those of `flows.asked.Asked`."""
    application, target = named(pipeline_of(call), environment)
    began = time.monotonic()
    from flows import remote  # Prefect takes a second to load
    from flows.asked import Asked

    wanted = Asked(by=who(call.environ), **options)
    name = call.environ.get(DEPLOYMENT)
    said = _followed(call, lambda api: remote.promote(api, name, application.name, target.name, commit, wanted))
    data, dry_run = said["result"], wanted.dry_run
    lines = [*render.result(data, time.monotonic() - began, dry_run=dry_run), *said["next"]]
    answer(call, data, lines)
    return int(said["status"])


def run(call: Call, patterns: Sequence[str], *, sync: bool, dry_run: bool) -> int:
    """One round as a run of the deployment."""
    pipeline = pipeline_of(call)
    check_names(pipeline.applications, patterns)
    everything = not patterns and call.application is None
    chosen = {a.name: [e.name for e in matching(a, patterns)] for a in pipeline.applications}
    began = time.monotonic()
    from flows import remote
    from flows.asked import Round

    some = None if everything else {name: names for name, names in chosen.items() if names}
    wanted = Round(by=who(call.environ), environments=some, sync=sync, dry_run=dry_run)
    name = call.environ.get(DEPLOYMENT)
    said = _followed(call, lambda api: remote.propagate(api, name, wanted))
    errors = [of_data(data) for data in said["errors"]]
    if len(chosen) == 1 and said["raised"]:
        raise errors[0]
    for exc in errors:
        complain(exc)
    took = time.monotonic() - began
    lines = [line for hop in said["hops"] for line in render.result(hop, took)]
    lines = lines or list(render.waits(said["waits"])) or calm(sync=sync, errors=errors)
    answer(call, {"hops": said["hops"], "errors": said["errors"]}, lines)
    return worst(0, *said["statuses"])


Done = tuple[dict[str, Any], list[str], int]
"""The object of one environment, its lines, and its exit status."""


def rollback(
    call: Call, environment: str, *, to: str | None, reason: str, wait: str | None, dry_run: bool
) -> tuple[bool, list[Done], list[PromotionError]]:
    """One rollback as a run of the deployment: whether one environment is meant, what was done, and what went wrong."""
    pipeline = pipeline_of(call)
    check_names(pipeline.applications, [environment])
    began = time.monotonic()
    from flows import remote
    from flows.asked import Back

    wanted, name = Back(wait=wait), call.environ.get(DEPLOYMENT)
    meant = [a.name for a in pipeline.applications if matching(a, [environment])]
    application = meant[0] if len(meant) == 1 else call.application or "*"
    parameters: dict[str, Any] = {"application": application, "environment": environment, "reason": reason}
    parameters |= {"by": who(call.environ), "to": to or "", "dry_run": dry_run}
    said = _followed(call, lambda api: remote.rollback(api, name, parameters, wanted))
    took, done = time.monotonic() - began, list[Done]()
    for hop in said["hops"]:
        data = hop["result"]
        lines = [*render.result(data, took, dry_run=dry_run), *render.rollback(data, hop["subjects"]), *hop["next"]]
        done.append((data, lines, int(hop["status"])))
    return said["alone"], done, [of_data(data) for data in said["errors"]]


def _followed(call: Call, starting: Callable[[Api], Callable[[], Run]]) -> Mapping[str, Any]:
    """What the run answers. Raises the error that it ended with; Ctrl-C ends following only."""
    from flows import remote
    from flows.api import Api

    pages: list[str] = []
    try:
        with Api(remote.SECONDS) as api, Progress(call) as progress:
            said = remote.follow(api, starting(api), lambda run: pages.append(run.page), progress.say)
    except KeyboardInterrupt:
        if pages:
            note(call, f"not followed any more; the run goes on there: {pages[-1]}")
        raise
    if "error" in said:
        raise of_data(said["error"])
    return said
