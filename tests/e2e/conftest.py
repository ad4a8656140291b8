"""One real Prefect server for all of them, and `promotion serve` processes against it; all on loopback, all ended by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from flows.rounds import RETRY
from flows.serve import free_port
from tests.conftest import home_variables
from tests.support.hosted import Hosted
from tests.support.shop import Shop

T = TypeVar("T")
CHROMIUM = "/usr/bin/chromium"
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screenshots")
    sys.stdout.write(f"screenshots: {folder}\n")
    return folder


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A window of the size of a small laptop, in Debian's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        window = browser.new_page(viewport={"width": 1280, "height": 900})
        window.set_default_timeout(30_000)
        yield window
        browser.close()


def press(button: Any, over: Callable[[float], object]) -> None:
    """Presses it until what is to come of it is there within so many milliseconds, as people do: SQLite says "database is locked" to one of several at once, and the page stays."""
    from playwright.sync_api import TimeoutError

    for patience in (15_000, 15_000):
        button.click()
        with suppress(TimeoutError):
            over(patience)
            return
    button.click()
    over(30_000)


def until(question: Callable[[], T], seconds: float = 60.0) -> T:
    """The first answer that is true; fails with the last one when there is none in time."""
    end = time.monotonic() + seconds
    answer = question()
    while not answer:
        assert time.monotonic() < end, f"still {answer!r} after {seconds:g} s"
        time.sleep(0.1)
        answer = question()
    return answer


def promotions(shop: Hosted, name: str) -> list[str]:
    """The sources of all promotions into an environment, oldest first."""
    log = shop.origin.log(f"env/{name}")[::-1]
    return [commit.trailers["Promotion-Source"] for commit in log if "Promotion-Plan" in commit.trailers]


def told(log: Path) -> None:
    """A failing test shows what the processes said."""
    sys.stdout.write(f"--- {log.name}\n{log.read_text()}\n")


def kill(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """The whole group of a process that we started in a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait(30)


@dataclass
class Server:
    """A real `prefect server`, which tests may kill and start again."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    """Settings beyond those."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            **os.environ,
            **home_variables(self.home),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_UI_API_URL": f"{self.url}/api",
            "PREFECT_CLI_PROMPT": "false",
            **self.more,
        }

    def start(self) -> None:
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until(self.ready, 120)

    def kill(self) -> None:
        assert self.process is not None
        kill(self.process)

    def ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/api/ready", timeout=2).is_success
        return False

    def ask(self, path: str, **question: Any) -> Any:
        for pause in (0.2, 0.5, 1, 2, 0):
            answer = httpx.post(f"{self.url}/api/{path}", json=question, timeout=30)
            if answer.status_code < 500:
                break
            time.sleep(pause)  # SQLite says "database is locked" to one of several at once
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str, flow: str = "promote") -> dict[str, Any]:
        """What is there of this name; nothing before it is registered."""
        answer = httpx.get(f"{self.url}/api/deployments/name/{flow}/{name}", timeout=30)
        return dict(answer.json()) if answer.is_success else {}

    def runs(self, application: str, environment: str | None = None) -> list[dict[str, Any]]:
        """The runs of one application that were not merely scheduled ahead, newest first."""
        found = self.ask("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", flows={"name": {"any_": ["promote"]}})
        return [
            run
            for run in found
            if run["parameters"].get("application") == application
            and environment in (None, run["parameters"].get("environment"))
            and run["state_name"] != "Scheduled"
        ]

    def states(self, application: str) -> dict[str, str]:
        """Names of runs -> the names of their states."""
        return {run["name"]: run["state_name"] for run in self.runs(application)}

    def artifacts(self, key: str) -> list[dict[str, Any]]:
        return list(self.ask("artifacts/filter", artifacts={"key": {"any_": [key]}}))


def hops_are_runs_again(server: Server, shop: Hosted, seconds: float = 120) -> None:
    """A change walks to prod, and its hop into qa was a run: a busy machine may need several, since the loop waits for nobody."""
    for number in range(5):
        before = len(promotions(shop, "prod"))
        commit = shop.commit("dev", {"web": f"again {number}\n"})
        until(lambda n=before: len(promotions(shop, "prod")) > n, seconds)  # type: ignore[misc]
        assert promotions(shop, "qa").count(commit) == 1
        name = f"{shop.name}: qa <- dev {commit[:7]}"
        if name in server.states(shop.name):
            until(lambda n=name: server.states(shop.name)[n].startswith("promoted"), seconds)  # type: ignore[misc]
            return
        time.sleep(RETRY)  # until then the loop does not ask again
    raise AssertionError(f"no hop of five was a run: {server.states(shop.name)}")


def descendants(pid: int) -> list[int]:
    """The processes that one started, and those that these started."""
    with suppress(OSError):
        found = [
            int(word) for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()
        ]
        return [*found, *(each for child in found for each in descendants(child))]
    return []


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Fresh: its database has never seen anything."""
    server = Server(tmp_path_factory.mktemp("prefect"))
    server.start()
    yield server
    server.kill()


@dataclass
class Serving:
    """A `promotion serve` with rounds every second."""

    server: Server
    shop: Hosted | Shop
    process: subprocess.Popen[bytes]
    log: Path

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def kill(self) -> None:
        """As the kernel does it: no process of it gets to do anything more."""
        self.process.kill()
        self.process.wait(30)

    def end(self) -> int:
        """As people do it."""
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture
def serve(server: Server, tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Starts `promotion serve` for a set-up, by its name; whatever still runs at the end is killed."""
    started: list[Serving] = []

    def start(shop: Hosted | Shop, *options: str) -> Serving:
        words = ["serve", "--every", "1s", "--name", shop.name, *options]
        argv = [sys.executable, "-m", "promotion.cli", "-c", str(shop.file), *words]
        log = tmp_path / f"serve{len(started)}.log"
        before = server.deployment(shop.name).get("updated")
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, env=server.environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        started.append(Serving(server, shop, process, log))
        until(lambda: started[-1].said(f"serving promote/{shop.name}") or process.poll() is not None)
        assert process.poll() is None

        until(lambda: server.deployment(shop.name).get("updated", before) != before)  # an earlier start's may be there
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
        told(one.log)
