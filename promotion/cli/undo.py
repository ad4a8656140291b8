"""The verb that goes back: rollback. It may be about several environments; what fails in one does not stop the others."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

import typer

from promotion import reconcile, report, wording
from promotion.cli import remote, render
from promotion.cli.context import Call, One, Remote, call_of, commit_of, each, sites_of, span_of
from promotion.cli.look import complained
from promotion.cli.output import answer, worst
from promotion.cli.progress import followed
from promotion.cli.stopping import stopping
from promotion.errors import ContendedError, PromotionError
from promotion.model import Environment
from promotion.observe import Site
from promotion.stop import Stop


def rollback(
    context: typer.Context,
    environment: One,
    reason: Annotated[str, typer.Option("--reason", metavar="R", help="Why; it is recorded.", show_default=False)],
    to: Annotated[
        str | None, typer.Option("--to", metavar="COMMIT", help="Which release, also one that was rolled back.")
    ] = None,
    wait: Annotated[str | None, typer.Option("--wait", metavar="15m", help="Wait for the verification.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    on_prefect: Remote = False,
) -> int:
    """Restores the last healthy release with other content as a new commit, whatever gates and freezes say (but strict ones).

    What is taken back is held until it is fixed or lifted. ENV may be a glob.
    """
    call, why = call_of(context), wording.reason(reason, "--reason")
    patience = span_of(wait, "--wait")
    if on_prefect:
        alone, done, errors = remote.rollback(call, environment, to=to, reason=why, wait=wait, dry_run=dry_run)
    else:
        seconds = None if patience is None or dry_run else patience.total_seconds()
        alone, done, errors = _here(call, environment, (to, why, dry_run), seconds)
    rows = [data for data, _, _ in done]
    answer(call, rows[0] if alone and rows else {"hops": rows}, [line for _, lines, _ in done for line in lines])
    return worst(complained(errors), *(status for _, _, status in done))


def _here(
    call: Call, environment: str, what: tuple[str | None, str, bool], seconds: float | None
) -> tuple[bool, list[remote.Done], list[PromotionError]]:
    """Whether one environment is meant, what was done, and what went wrong."""
    with sites_of(call, [environment]) as found, stopping(call) as stop:
        alone = sum(len(environments) for _, environments in found) == 1

        def one(site: Site, environments: list[Environment]) -> tuple[list[remote.Done], list[PromotionError]]:
            done, errors = list[remote.Done](), list[PromotionError]()
            for target in environments:
                try:
                    done.append(_went_back(call, site, target, what, seconds, stop))
                except PromotionError as exc:
                    if alone:
                        raise
                    errors.append(exc)
            return done, errors

        answers, errors = each(found, one)
    done = [each for of_one, _ in answers for each in of_one]
    return alone, done, [*errors, *(exc for _, of_one in answers for exc in of_one)]


def _went_back(
    call: Call,
    site: Site,
    target: Environment,
    what: tuple[str | None, str, bool],
    seconds: float | None,
    stop: Stop,
) -> remote.Done:
    (to, reason, dry_run), began = what, time.monotonic()
    try:
        chosen = commit_of(site, to) if to else None
        result = reconcile.roll_back(site, target, to=chosen, reason=reason, dry_run=dry_run)
        if seconds is not None and result.outcome == "rolled-back":
            result = followed(call, partial(reconcile.verified, site, target, result), seconds, stop)
    except ContendedError as exc:
        result = reconcile.contended(site, target, exc)
    data = report.result(result)
    took = time.monotonic() - began
    lines = [*render.result(data, took, dry_run=dry_run), *render.rollback(data, report.subjects(site, data))]
    return data, [*lines, *report.advice(result, dry_run=dry_run)], result.status
