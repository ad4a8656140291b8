"""The same flows on a process work pool: PostgreSQL, one server, two workers, and our own prefect.yaml."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flows.api import FLOWS
from flows.serve import free_port
from tests.e2e.conftest import Server, descendants, hops_are_runs_again, kill, promotions, told, until
from tests.support.hosted import Hosted
from tests.support.postgres import Postgres

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
PROJECT = Path(__file__).parents[2]
OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "90"))
"""How long the server is away in mid-run; 600 is the other length that was asked for."""
HELD = """\
#!/bin/sh
while read old new ref; do
  case $ref in refs/heads/env/qa) touch '{folder}/pushing'; while [ ! -e '{folder}/go' ]; do sleep 0.1; done;; esac
done
"""


@dataclass
class Pool:
    """A server on PostgreSQL, with a pool and whatever was started for it."""

    server: Server
    folder: Path
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def prefect(self, *words: str, cwd: Path | None = None) -> None:
        argv = [sys.executable, "-m", "prefect", "--no-prompt", *words]
        done = subprocess.run(argv, env=self.server.environ, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def deploy(self, shop: Hosted) -> None:
        """As people do it: the file copied, with the path of their environments.yaml; a name, since others are there."""
        text = (PROJECT / "prefect.yaml").read_text()
        assert text.count("/etc/promotion/environments.yaml") == 1
        text = text.replace("/etc/promotion/environments.yaml", shop.config)
        for flow in FLOWS:
            text = text.replace(f"name: {flow}\n", f"name: {shop.name}\n")
        (shop.folder / "prefect.yaml").write_text(text)
        self.prefect("deploy", "--all", cwd=shop.folder)

    def start(self, name: str, *argv: str, **environ: str) -> Path:
        """A process of its own session; returns its log."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as file:
            self.started[name] = subprocess.Popen(
                [sys.executable, "-m", *argv],
                env={**self.server.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return log

    def worker(self, name: str) -> None:
        self.start(
            name, "prefect", "worker", "start", "--pool", "promotion", "--name", name, PREFECT_WORKER_QUERY_SECONDS="1"
        )

    def rounds(self, shop: Hosted, name: str = "rounds", *options: str) -> Path:
        words = ["-c", shop.config, "serve", "--rounds-only", "--every", "1s", "--name", shop.name, *options]
        return self.start(f"{shop.name}-{name}", "promotion.cli", *words)

    def kill(self, name: str) -> None:
        kill(self.started.pop(name))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One PostgreSQL, one server, one pool, two workers."""
    folder = tmp_path_factory.mktemp("pool")
    with ExitStack() as stack:
        postgres = Postgres.start(free_port())
        stack.callback(postgres.stop)
        server = Server(folder, more={"PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url})
        until(lambda: _listens(postgres.port))
        server.start()
        stack.callback(lambda: server.kill())
        pool = Pool(server, folder)
        stack.callback(lambda: [pool.kill(name) for name in list(pool.started)])
        pool.prefect("work-pool", "create", "promotion", "--type", "process")
        for name in ("worker1", "worker2"):
            pool.worker(name)
        yield pool


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pool(everything: Pool) -> Iterator[Pool]:
    """The same, without what a test started; a failing one shows what was said."""
    before = set(everything.started)
    yield everything
    for name in set(everything.started) - before:
        everything.kill(name)
    for log in sorted(everything.folder.glob("*.log")):
        if log.name != "server.log":
            told(log)


@contextmanager
def held(shop: Hosted, folder: Path) -> Iterator[Path]:
    """The host keeps pushes to qa waiting until this is over; the file is there as soon as one waits."""
    folder.mkdir(exist_ok=True)
    shop.origin.hook("pre-receive", HELD.format(folder=folder))
    try:
        yield folder / "pushing"
    finally:
        (folder / "go").touch()


def test_a_change_walks_to_prod_by_the_pool(pool: Pool, tmp_path: Path) -> None:
    """Each hop is a run that a worker of the pool runs, with the same names and states as under `serve`."""
    shop = Hosted.create(tmp_path / "walk", "walk")
    pool.deploy(shop)
    log = pool.rounds(shop)
    until(lambda: "each hop is a run there" in log.read_text())
    commit = shop.commit("dev", {"web": "2\n"})
    until(lambda: promotions(shop, "prod"), 120)
    qa, prod = shop.tip("qa"), shop.tip("prod")
    expected = {
        f"walk: qa <- dev {commit[:7]}": f"promoted {qa[:7]}",
        f"walk: prod <- qa {qa[:7]}": f"promoted {prod[:7]}",
    }
    until(lambda: pool.server.states("walk") == expected)
    assert all(run["work_pool_name"] == "promotion" for run in pool.server.runs("walk"))
    assert "landed here" not in log.read_text()


def test_many_at_once_make_one_commit(pool: Pool, tmp_path: Path) -> None:
    """Two round loops, the same run fired twice, and a person with `--remote`: everybody ends well, one commit lands."""
    shop = Hosted.create(tmp_path / "many", "many")
    pool.deploy(shop)
    logs = [pool.rounds(shop, f"rounds{n}") for n in (1, 2)]
    until(lambda: all("each hop is a run there" in log.read_text() for log in logs))
    deployment = pool.server.deployment("many")["id"]
    with held(shop, tmp_path / "held") as pushing:
        commit = shop.commit("dev", {"web": "2\n"})
        until(pushing.exists)
        parameters = {"application": "many", "environment": "qa"}
        for key in ("a", "b"):
            pool.server.ask(f"deployments/{deployment}/create_flow_run", parameters=parameters, idempotency_key=key)
        argv = [sys.executable, "-m", "promotion.cli", "--json", "-c", shop.config, "promote", "qa", "--remote"]
        environ = {**pool.server.environ, "PROMOTION_DEPLOYMENT": "many"}
        person = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until(lambda: len([r for r in pool.server.runs("many", "qa") if r["state_type"] == "RUNNING"]) == 4)
    out, err = person.communicate(timeout=120)
    assert person.returncode == 0, out + err
    assert json.loads(out)["outcome"] in ("promoted", "nothing")
    until(lambda: promotions(shop, "prod"), 60)
    until(lambda: {r["state_type"] for r in pool.server.runs("many")} == {"COMPLETED"}, 60)
    assert promotions(shop, "qa") == [commit]
    assert len(promotions(shop, "prod")) == 1


def test_a_killed_worker_and_its_run(pool: Pool, tmp_path: Path) -> None:
    """Both workers and what they run, at once, in the middle of a push: the loop closes the run by what Git says, and goes on."""
    shop = Hosted.create(tmp_path / "gone", "gone")
    pool.deploy(shop)
    log = pool.rounds(shop)
    until(lambda: "each hop is a run there" in log.read_text())
    with held(shop, tmp_path / "held") as pushing:
        commit = shop.commit("dev", {"web": "2\n"})
        until(pushing.exists)
        workers = [pool.started[name].pid for name in ("worker1", "worker2")]
        runs = [child for worker in workers for child in descendants(worker)]
        for name in ("worker1", "worker2"):
            pool.kill(name)
        for child in runs:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    (shop.origin.path / "hooks/pre-receive").unlink()
    assert [run["state_type"] for run in pool.server.runs("gone", "qa")] == ["RUNNING"]
    until(lambda: promotions(shop, "prod"), 150)  # with nobody there to run anything
    for name in ("worker1", "worker2"):
        pool.worker(name)
    assert promotions(shop, "qa") == [commit]
    until(lambda: {r["state_type"] for r in pool.server.runs("gone")} <= {"COMPLETED", "CRASHED"}, 120)
    true_to_git(log, shop, pool.server.states("gone"))


def true_to_git(log: Path, shop: Hosted, states: Mapping[str, str]) -> None:
    """What runs and the loop's log say was promoted is on the branches."""
    known = {c.commit[:7] for name in ("qa", "prod") for c in shop.origin.log(f"env/{name}")}
    for name in states.values():
        assert not name.startswith("promoted") or name.split()[1] in known, states
    for line in log.read_text().splitlines():
        words = line.split()
        if "promoted" in words[:-1] and "landed" not in words:
            assert words[words.index("promoted") + 1][:7] in known, line
        if "closed from Git as promoted" in line:
            assert words[-1] in known, line


def test_the_server_is_away_in_mid_run(pool: Pool, tmp_path: Path) -> None:
    """A run of the pool and one of `serve` push while the server dies: Git is right at once, the records once it is back."""
    shops = [Hosted.create(tmp_path / name, name) for name in ("pooled", "served")]
    pool.deploy(shops[0])
    words = ["-c", shops[1].config, "serve", "--every", "1s", "--name", "served"]
    logs = [pool.rounds(shops[0]), pool.start("served-serve", "promotion.cli", *words)]
    until(lambda: all("each hop is a run there" in log.read_text() for log in logs))
    until(lambda: pool.server.deployment("served"))
    with ExitStack() as stack:
        waiting = [stack.enter_context(held(shop, tmp_path / f"held-{shop.name}")) for shop in shops]
        commits = [shop.commit("dev", {"web": "2\n"}) for shop in shops]
        until(lambda: all(file.exists() for file in waiting))
        pool.server.kill()
        back = time.monotonic() + OUTAGE
    try:
        for shop, commit in zip(shops, commits, strict=True):
            until(lambda s=shop: promotions(s, "prod"), 120)  # type: ignore[misc]
            assert promotions(shop, "qa") == [commit]
            (shop.origin.path / "hooks/pre-receive").unlink()
        assert all("hops are landed here, without Prefect" in log.read_text() for log in logs)
        time.sleep(max(0.0, back - time.monotonic()))
    finally:
        pool.server.start()
    for name in ("worker1", "worker2"):  # as whatever supervises them does
        if pool.started[name].poll() is not None:
            pool.worker(name)
    until(lambda: all(log.read_text().count("each hop is a run there") == 2 for log in logs))
    for shop, log in zip(shops, logs, strict=True):
        goes_on(pool, shop, log)


def goes_on(pool: Pool, shop: Hosted, log: Path) -> None:
    """After an outage: no run stays open, the next change is runs again, and nothing that is said is wrong."""
    over = {"COMPLETED", "CRASHED", "FAILED"}
    until(lambda: {r["state_type"] for r in pool.server.runs(shop.name)} <= over, 240)
    hops_are_runs_again(pool.server, shop)
    true_to_git(log, shop, pool.server.states(shop.name))
