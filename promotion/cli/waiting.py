"""The verb of continuous integration: wait until a change is deployed and healthy. Reads Git only, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from promotion import observe, report
from promotion.cli.context import One, call_of, place_of, span_of
from promotion.cli.output import answer
from promotion.cli.progress import Progress
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Environment
from promotion.observe import Site
from promotion.report import Awaited
from promotion.texts import short

STATUS = {"arrived": 0, "waiting": 3, "refused": 4, "conflict": 5, "failed": 6}
PAUSES = (1.0, 10.0)
"""Seconds between two questions: at first, and at most."""


def wait(
    context: typer.Context,
    environment: One,
    commit: Annotated[
        str,
        typer.Option("--commit", metavar="SHA", help="The change: a commit of any environment.", show_default=False),
    ],
    patience: Annotated[
        str, typer.Option("--for", metavar="30m", help="How long at most; 0s asks once.", show_default=False)
    ],
) -> int:
    """Waits until a change is deployed and healthy in an environment, by what is recorded in Git.

    Exit status: 0 it is, 3 the time is over, 4 it is held or on no branch, 5 it conflicts, 6 its verification failed, 75 the
    remote was away all the time.
    """
    call = call_of(context)
    span = span_of(patience, "--for")
    assert span is not None
    with place_of(call, environment) as (site, target), Progress(call) as progress:
        said = _patiently(site, target, commit.lower(), span.total_seconds(), progress)
    data = _data(site, target, said)
    answer(call, data, _lines(data))
    return STATUS[said.outcome]


def _patiently(site: Site, target: Environment, commit: str, seconds: float, progress: Progress) -> Awaited:
    """Asks until it is over. Raises TemporaryError when nobody ever answered."""
    until, pause = time.monotonic() + seconds, PAUSES[0]
    last: Awaited | None = None
    while True:
        try:
            last = _asked(site, target, commit)
        except TemporaryError as exc:
            if last is None and time.monotonic() >= until:
                raise
            progress.say(str(exc))
        else:
            if last.outcome != "waiting":
                return last
            progress.say(f"{target.name} waits for {short(last.origin)}: {last.reason}")
        left = until - time.monotonic()
        if left <= 0 and last is not None:
            return last
        time.sleep(max(0.0, min(pause, left)))
        pause = min(PAUSES[1], pause * 1.5)


def _asked(site: Site, target: Environment, commit: str) -> Awaited:
    world = observe.survey(site, partly=True)
    if target.name in world.missing:
        raise ConfigError(world.missing[target.name])
    return report.awaited(site, world, target, site.repository.resolve(commit))


def _data(site: Site, target: Environment, said: Awaited) -> dict[str, Any]:
    return {
        "outcome": said.outcome,
        "application": site.application.name,
        "environment": target.name,
        "commit": said.commit,
        "origin": said.origin,
        "reason": said.reason,
        "since": said.place["since"],
        "as": said.place["as"],
        "deployed": said.deployed,
        "health": said.health.value,
    }


def _lines(data: dict[str, Any]) -> Iterator[str]:
    what = f"{data['application']}: {data['environment']} <- {short(data['origin'])}"
    yield f"{what}   {data['outcome'].upper()}   {data['reason']}"
    if data["outcome"] == "waiting":
        yield f"  next    promotion where {short(data['origin'])}"
    elif data["outcome"] == "conflict":
        yield f"  next    promotion plan {data['reason'].partition(':')[0]} --diff"
    elif data["outcome"] != "arrived":
        yield f"  next    promotion status {data['environment']}"
