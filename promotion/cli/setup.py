"""The verbs that set things up but init: validate, demo, serve. The last two are the only ones that load Prefect."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from promotion import config
from promotion.cli import render
from promotion.cli.access import HEAD, cells
from promotion.cli.checkup import checkup
from promotion.cli.context import call_of, pipeline_of, sites_of, span_of
from promotion.cli.look import status_lines
from promotion.cli.output import answer, is_terminal, note, printed
from promotion.cli.remote import DEPLOYMENT
from promotion.errors import ConfigError

DEMO = Path(".demo")


def validate(
    context: typer.Context,
    online: Annotated[bool, typer.Option("--online", help="Also ask repositories, engines and checks.")] = False,
) -> int:
    """Checks the file; each fault with its place and a fix. Exit status 2: something is wrong."""
    call = call_of(context)
    pipeline = pipeline_of(call, anew=True)
    found: list[dict[str, Any]] = []
    rights: list[dict[str, Any]] = []
    if online:
        with sites_of(call) as sites:
            for site, _ in sites:
                rows, of_site = checkup(site)
                found, rights = [*found, *rows], [*rights, *of_site]
    bad = [row for row in found if row["verdict"] == "fault"] or [r for r in rights if r["may_write"] is False]
    names = "; ".join(f"{a.name} ({', '.join(e.name for e in a.environments)})" for a in pipeline.applications)
    signed = "signed" if pipeline.applications[0].trust else "unsigned"
    lines = [f"{call.config}: no errors: {names}; ledger: {signed}"] if not bad else []
    answer(
        call,
        {"valid": not bad, "ledger": signed, "checks": found, "access": rights},
        [*lines, *_rows(found, rights), *_rights(rights, found)],
    )
    return ConfigError.exit_status if bad else 0


def _rows(found: list[dict[str, Any]], rights: list[dict[str, Any]]) -> list[str]:
    """The table of what was asked. What is a credential's fault is mended below, by its name."""
    if not found:
        return []
    head = ("APPLICATION", "WHAT", "VERDICT", "WHY")
    cells = [[row["application"], row["what"], row["verdict"], row["reason"]] for row in found]
    theirs = {right["reason"] for right in rights if right["fix"]}
    fixes = [f"! {row['what']}: {row['fix']}" for row in found if row["fix"] and row["reason"] not in theirs]
    return [*render.table(head, cells), *fixes]


def _rights(rights: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[str]:
    if not rights:
        return []
    told = {row["reason"] for row in found}
    fixes = [
        f"! {row['credential']}: {row['fix']}" + (f" ({row['reason']})" if row["reason"] not in told else "")
        for row in rights
        if row["fix"]
    ]
    return ["", *render.table(HEAD, [cells(row) for row in rights]), *dict.fromkeys(fixes)]


def demo(context: typer.Context) -> int:
    """A complete playground in `.demo`, which is made anew: a repository, three services, Prefect, and a change that walks through them."""
    call = call_of(context)
    os.environ["DO_NOT_TRACK"] = "1"  # a playground tells nobody, and Prefect asks as soon as it is loaded
    from flows.demo import demo as play  # Prefect takes a second to load

    def table(path: Path) -> None:
        environ = {**call.environ, "PROMOTION_CACHE": str(DEMO / "cache")}
        printed(status_lines(replace(call, config=path, application=None, json=False, environ=environ)))

    return play(DEMO, environ=call.environ, say=printed, table=table, stay=is_terminal())


def serve(
    context: typer.Context,
    every: Annotated[str, typer.Option("--every", metavar="30s", help="How long between two rounds.")] = "30s",
    with_server: Annotated[
        bool, typer.Option("--with-server", help="Also start a local Prefect server when none is configured.")
    ] = False,
    sync: Annotated[bool, typer.Option("--sync", help="Run the embedded sync loops too.")] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", envvar=DEPLOYMENT, help="Name the deployments, beside another file's."),
    ] = None,
    rounds_only: Annotated[
        bool, typer.Option("--rounds-only", help="Only the round loop: workers of a pool run the deployments.")
    ] = False,
) -> int:
    """Serves this file's Prefect deployments, and runs the round loop beside them, until Ctrl-C."""
    call = call_of(context)
    between = span_of(every, "--every")
    if call.application is not None:
        raise ConfigError("serves everything in the file", where="-a")
    config.load(call.config)
    if not between:
        raise ConfigError("rounds need some time between them: 1s at least", where="--every")
    note(call, f"serving {call.config}")
    if rounds_only and with_server:
        raise ConfigError("a pool's workers need a server that stays: not with --rounds-only", where="--with-server")
    from flows.serve import Options  # Prefect takes a second to load
    from flows.serve import serve as keep

    options = Options(between, sync=sync, with_server=with_server, name=name, rounds_only=rounds_only)
    return keep(call.config, options, environ=call.environ)
