"""What holds for every test: nothing of the tester's machine, account or terminal decides an outcome."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from promotion.engines import ENGINES
from promotion.model import Environment
from tests.support.git import Origin
from tests.support.shared import Memory, Shared
from tests.support.stage import Stage

settings.register_profile(
    "default", deadline=None, max_examples=50, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile("default")  # `--hypothesis-profile=thorough` searches longer

MACHINE = dict(os.environ)
SCRUBBED = ("GIT_", "PROMOTION_", "PREFECT_", "XDG_", "LC_")
DROPPED = {"NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS", "CI", "EMAIL"}
DROPPED |= {"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}
DROPPED |= {"LINES", "LANGUAGE", "SSH_ASKPASS", "SSH_AUTH_SOCK"}
DROPPED |= {f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO", "FTP")}
FIXED = {
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "COLUMNS": "120",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def home_variables(home: Path) -> dict[str, str]:
    """The variables that make `home` the whole account: configuration, caches, Prefect's database."""
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),  # not there: an empty one
        "PREFECT_HOME": str(home / ".prefect"),
    }


def pytest_configure(config: pytest.Config) -> None:
    """Isolate the process before anything is imported: Prefect reads its settings at its import."""
    home = Path(tempfile.mkdtemp(prefix="promotion-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in [name for name in os.environ if name.startswith(SCRUBBED) or name.upper() in DROPPED]:
        del os.environ[name]
    os.environ.update(FIXED | home_variables(home))
    time.tzset()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new and empty home for each test, so that no cache or setting of one test is seen by another."""
    path = tmp_path_factory.mktemp("home")
    for name, value in home_variables(path).items():
        monkeypatch.setenv(name, value)
    return path


@pytest.fixture(scope="session")
def machine_environment() -> Mapping[str, str]:
    """The environment before it was scrubbed, for the tests that install from the machine's package index."""
    return MACHINE


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A bare repository with env/dev, env/qa and env/prod on one first commit."""
    return Origin.create(tmp_path / "origin.git")


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Builds stages below the test's folder, and closes them; `environment` in tests.support.stage makes their parts."""
    stages: list[Stage] = []

    def stage(*environments: Environment, **more: Any) -> Stage:
        stages.append(Stage.create(tmp_path / f"stage{len(stages) or ''}", environments, **more))
        return stages[-1]

    yield stage
    for each in stages:
        each.close()


@pytest.fixture
def stage(build: Callable[..., Stage]) -> Stage:
    """dev -> qa -> prod."""
    return build()


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Shared]]:
    """Builds applications that share a repository and run in memory, and closes them."""
    made: list[Shared] = []

    def shared(**more: Any) -> Shared:
        memory = Memory()
        monkeypatch.setitem(ENGINES, "memory", memory)
        made.append(Shared(tmp_path / f"shared{len(made) or ''}", memory, **more))
        return made[-1]

    yield shared
    for each in made:
        each.close()


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """What a command makes of our loggers ends with its test."""
    ours = [logging.getLogger(name) for name in ("promotion", "flows")]
    before = [(logger, logger.level, [*logger.handlers]) for logger in ours]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers
        # else pytest hangs its own handler on it, and leaves it there when a command changes the list
        logger.propagate = True


@pytest.fixture(autouse=True)
def _clusters() -> Iterator[None]:
    """Connections to clusters end with their test."""
    yield
    if kube := sys.modules.get("promotion.kube.cluster"):
        for cluster in kube._CLUSTERS.values():
            cluster.close()
        kube._CLUSTERS.clear()
