"""An idle round over a fleet: many applications with a repository each, against as many raw `git ls-remote` side by side."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.hop import PLAIN, git, repository
from bench.rounds import Told, cpu, started
from bench.table import Row, note
from promotion.cli.rounds import SIDE_BY_SIDE

NAMES = ("dev", "qa", "prod")

FILE = """\
version: 1
environments:
  - {{name: dev, branch: env/dev, engine: &place {{type: directory, path: "run/{{application}}/{{environment}}"}}, health: {health}}}
  - {{name: qa, from: dev, branch: env/qa, engine: *place, health: {health}}}
  - {{name: prod, from: qa, branch: env/prod, engine: *place, health: {health}}}
applications:
"""


class Cost(NamedTuple):
    """Seconds, and those of processors."""

    seconds: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s (cpu {self.cpu:.2f})"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Medians of an idle round without and with health checks, and of the raw commands; the loop's memory (RSS) at most, MB."""

    ours: Cost
    asking: Cost
    raw: Cost
    memory: float


def rows(quick: bool) -> Iterator[Row]:
    applications = 100 if quick else 1_000
    with tempfile.TemporaryDirectory() as folder:
        one = measure(Path(folder), applications, 3 if quick else 5)
        note(
            f"{applications} applications in {folder}: an idle round {one.ours}, with an http check for each environment"
            f" {one.asking}; raw ls-remote {one.raw}; {one.memory:.0f} MB"
        )
    ratio, asking = one.ours.seconds / one.raw.seconds, one.asking.seconds / one.raw.seconds
    what = f"an idle round over {applications:,} applications x {len(NAMES)} environments"
    text = f"{ratio:.2f} x, {asking:.2f} x with {applications * len(NAMES):,} http checks"
    yield Row(f"{what}, against as many raw `git ls-remote`", text, "<= 2 x without checks", ratio <= 2)
    yield Row(f"{what}: memory", f"{one.memory:.0f} MB", "<= 150 MB", one.memory <= 150)


def measure(folder: Path, applications: int, rounds: int) -> Fleet:
    """Both ways, and rounds with checks and without, take turns, so that what else the machine does hits all of them."""
    names = [f"a{number:04d}" for number in range(applications)]
    _repositories(folder, names)
    times: dict[str, list[Cost]] = {"ours": [], "asking": [], "raw": []}
    with service() as url:
        quiet, asking = (
            _file(folder, "quiet", names, "none"),
            _file(folder, "asking", names, f'[{{type: http, url: "{url}"}}]'),
        )
        with started(quiet, _environ(folder, "quiet")) as one, started(asking, _environ(folder, "asking")) as other:
            for door in (one, other):
                for _ in range(2):
                    told = door.once()
                    note(f"{applications} applications, the first rounds: {told.seconds:.1f} s")
            for _ in range(rounds):
                times["raw"].append(_raw(folder, names))
                times["ours"].append(_cost(one.once()))
                told = other.once()
                times["asking"].append(_cost(told))
    return Fleet(
        **{name: Cost(*map(median, zip(*found, strict=True))) for name, found in times.items()}, memory=told.memory
    )


def _cost(told: Told) -> Cost:
    return Cost(told.seconds, told.cpu)


def _repositories(folder: Path, names: list[str]) -> None:
    """Copies of one small repository, with what a sync loop would have deployed already."""
    template = repository(folder / "template.git", 20)
    git(template, "branch", "env/prod", "env/dev")
    tip = git(template, "rev-parse", "env/dev")
    shutil.rmtree(template / "hooks", ignore_errors=True)
    for name in names:
        shutil.copytree(template, folder / f"{name}.git")
        for environment in NAMES:
            place = folder / "run" / name / environment
            (place / "releases" / tip).mkdir(parents=True)
            (place / "current").symlink_to(Path("releases") / tip)


def _file(folder: Path, kind: str, names: list[str], health: str) -> Path:
    path = folder / f"{kind}.yaml"
    lines = [f"  - {{name: {name}, repository: {name}.git, ledger: {kind}/{name}}}\n" for name in names]
    path.write_text(FILE.format(health=health) + "".join(lines))
    return path


def _environ(folder: Path, kind: str) -> dict[str, str]:
    return {**PLAIN, "HOME": str(folder), "PROMOTION_CACHE": str(folder / f"cache-{kind}")}


def _raw(folder: Path, names: list[str]) -> Cost:
    """Each in a session of its own, as ours are: on a busy machine the system gives each session its share."""

    def one(name: str) -> None:
        refs = [*(f"refs/heads/env/{environment}" for environment in NAMES), f"refs/heads/quiet/{name}"]
        words = ["git", "ls-remote", str(folder / f"{name}.git"), *refs]
        subprocess.run(words, env=PLAIN, stdout=subprocess.DEVNULL, check=True, start_new_session=True)

    began, worked = time.perf_counter(), cpu()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(one, names))
    return Cost(time.perf_counter() - began, cpu() - worked)


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def service() -> Iterator[str]:
    """A service that is always healthy."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
