"""`promotion serve`: keeps the processes that Prefect needs running: a local server (if asked for), the runner, the round loop."""

from __future__ import annotations

import json
import logging
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect.settings import get_current_settings

from flows.children import Child, Ending, end, keep, signals
from flows.deployments import check_name
from promotion.config import load
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Pipeline

log = logging.getLogger(__name__)

READY = 120.0
"""Seconds that a local server has to start; a new database takes it ten."""
PORT = 4200
"""Where Prefect is by default; another one is taken when it is in use."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is served."""

    every: timedelta
    """Between two rounds."""
    sync: bool = False
    """Whether the embedded sync loops run too."""
    with_server: bool = False
    """Whether to start a local Prefect server when none is configured."""
    name: str | None = None
    """Of the deployments; None: each is named like its flow."""
    rounds_only: bool = False
    """The workers of a pool run the deployments, and `prefect deploy` registers them."""


def serve(config: Path, options: Options, *, environ: Mapping[str, str]) -> int:
    """Serves the deployments of a file and runs its rounds, until SIGTERM or SIGINT; a second one kills.

    Raises ConfigError before anything is started, and TemporaryError when the local server does not come up.
    """
    pipeline = load(config)
    api = environ.get("PREFECT_API_URL") or get_current_settings().api.url
    if not api and not options.with_server:
        hint = "set PREFECT_API_URL, or start one here: promotion serve --with-server"
        raise ConfigError("no Prefect server is configured", hint=hint)
    if api and not options.rounds_only:
        with suppress(TemporaryError):  # the runner asks again, as soon as the server answers
            check_name(pipeline, options.name)
    ending, children = Ending(), list[Child]()
    with signals(ending):
        try:
            if not api:
                api, server = _server(pipeline, environ)
                children.append(server)
                _wait_until_ready(api, server, ending)
            children += _workers(pipeline, options, {**environ, "PREFECT_API_URL": api})
            names = ", ".join(a.name for a in pipeline.applications)
            log.info("%s: rounds every %gs; Prefect: %s", names, options.every.total_seconds(), page_of(api))
            keep(children, ending)
        finally:
            log.info("ending; once more kills")
            end(children, ending)
    return 0


def page_of(api: str) -> str:
    """The address for people of a server's API."""
    return api.rstrip("/").removesuffix("/api")


def _workers(pipeline: Pipeline, options: Options, environ: Mapping[str, str]) -> list[Child]:
    known = {"config": str(pipeline.path.absolute()), "name": options.name}
    seconds = options.every.total_seconds()
    polls = str(min(10, max(1, int(seconds))))
    runner = {
        "PREFECT_RUNNER_POLL_FREQUENCY": polls,
        "PREFECT_LOGGING_EXTRA_LOGGERS": "promotion,flows",  # what we say is on the run's page
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    loop = {"PREFECT_CLIENT_MAX_RETRIES": "0", "PREFECT_LOGGING_LEVEL": "ERROR"}
    rounds = {**known, "every": seconds, "sync": options.sync, "rounds_only": options.rounds_only}
    children = [_child("rounds", rounds, {**environ, **loop})]
    return children if options.rounds_only else [_child("runner", known, {**runner, **environ}), *children]


def _child(kind: str, options: Mapping[str, Any], environ: Mapping[str, str]) -> Child:
    options = {"level": log.getEffectiveLevel(), **options}
    return Child(kind, [sys.executable, "-m", "flows.entry", kind, json.dumps(options)], environ)


# --- a local server ------------------------------------------------------------------------------------------------


def _server(pipeline: Pipeline, environ: Mapping[str, str]) -> tuple[str, Child]:
    """A server of our own: on this machine only, its database beside the file, telling nobody about us."""
    home = Path(environ.get("PREFECT_HOME") or _own_folder(pipeline.path.absolute().parent) / "prefect")
    home.mkdir(parents=True, exist_ok=True)
    port = environ.get("PREFECT_SERVER_API_PORT") or str(free_port(PORT))
    api = f"http://127.0.0.1:{port}/api"
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_API_URL": api,  # else every page of the UI looks for the server at the default port
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }
    argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    options = {"config": str(pipeline.path), "argv": argv}
    return api, _child("server", options, {**_without_tokens(pipeline, environ), **settings})


def _without_tokens(pipeline: Pipeline, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The server talks to no repository."""
    used = {
        c.token_env for a in pipeline.applications for c in (a.credential, *(e.credential for e in a.environments)) if c
    }
    return {key: value for key, value in environ.items() if key not in used}


def _own_folder(parent: Path) -> Path:
    """`.promotion` beside the file, which Git is told to leave alone."""
    folder = parent / ".promotion"
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder


def free_port(preferred: int = 0) -> int:
    """The preferred port if nobody listens there, else a free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise TemporaryError("no free port on 127.0.0.1")


def _wait_until_ready(api: str, server: Child, ending: Ending) -> None:
    until = time.monotonic() + READY
    log.info("starting a Prefect server at %s", page_of(api))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until and not ending.told:
        server.look()
        try:
            with opener.open(f"{api}/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    if not ending.told:
        raise TemporaryError(f"the Prefect server at {page_of(api)} does not come up within {READY:.0f} s")
