"""The shell around the core on a real Prefect server: what walks, what survives, and what people see of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.api import FLOWS
from tests.e2e.conftest import Server, Serving, descendants, hops_are_runs_again, promotions, told, until
from tests.support.hosted import Hosted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
Serve = Callable[..., Serving]
SLOW = """\
#!/bin/sh
while read old new ref; do case $ref in refs/heads/env/qa) touch '{flag}'; sleep 5;; esac; done
"""


def logs(server: Server, run: str) -> str:
    """What a run's page says below "Logs"."""
    found = server.ask("logs/filter", logs={"flow_run_id": {"any_": [run]}}, sort="TIMESTAMP_ASC")
    return "\n".join(line["message"] for line in found)


def in_mid_push(shop: Hosted) -> str:
    """A change of dev whose hop into qa is being pushed now, slowly."""
    flag = shop.folder / "pushing"
    shop.origin.hook("pre-receive", SLOW.format(flag=flag))
    commit = shop.commit("dev", {"web": "2\n"})
    until(flag.exists)
    return commit


def test_a_change_walks_to_prod_as_prefect_runs(
    server: Server, serve: Serve, tmp_path: Path, record_property: Any
) -> None:
    """dev -> qa -> prod with the embedded sync loop; each hop is a run whose name and state say what it did."""
    shop = Hosted.create(tmp_path / "walk", "walk", hook=False)
    serving = serve(shop, "--sync")
    until(lambda: server.artifacts("board-walk"))
    commit = shop.commit("dev", {"web": "2\n"}, message="web 2")
    began = time.monotonic()
    until(lambda: promotions(shop, "qa"))
    seconds = f"{time.monotonic() - began:.1f} s from the push to dev to the commit on qa"
    record_property("hop", seconds)
    sys.stdout.write(f"{seconds}\n")
    until(lambda: promotions(shop, "prod"))
    qa, prod = shop.tip("qa"), shop.tip("prod")
    expected = {
        f"walk: qa <- dev {commit[:7]}": f"promoted {qa[:7]}",
        f"walk: prod <- qa {qa[:7]}": f"promoted {prod[:7]}",
    }
    until(lambda: server.states("walk") == expected)
    (board,) = server.artifacts("board-walk")
    until(lambda: prod[:7] in server.artifacts("board-walk")[0]["description"])
    assert [a["id"] for a in server.artifacts("board-walk")] == [board["id"]]
    assert f"pushed {qa}" in logs(server, server.runs("walk", "qa")[0]["id"])
    assert serving.end() == 0


def test_a_round_in_which_nothing_happens_is_no_run(server: Server, serve: Serve, tmp_path: Path) -> None:
    """Ten rounds: no run."""
    shop = Hosted.create(tmp_path / "idle", "idle")
    serve(shop)
    until(lambda: server.artifacts("board-idle"))
    first = server.artifacts("board-idle")[0]["updated"]
    time.sleep(3)
    assert server.runs("idle") == []
    assert server.artifacts("board-idle")[0]["updated"] == first


def test_a_refusal_is_a_failed_run_without_a_traceback(server: Server, serve: Serve, tmp_path: Path) -> None:
    """A person starts a hop of something sick."""
    shop = Hosted.create(tmp_path / "sick", "sick")
    serve(shop)
    shop.commit("dev", {"health": "sick\n"})
    deployment = server.deployment("sick")["id"]
    question = {"parameters": {"application": "sick", "environment": "qa"}}
    run = server.ask(f"deployments/{deployment}/create_flow_run", **question)["id"]
    until(lambda: server.states("sick").get("sick: qa <- dev " + shop.tip("dev")[:7]) == "Refused")
    state = httpx.get(f"{server.url}/api/flow_runs/{run}").json()["state"]
    assert (state["type"], state["name"]) == ("FAILED", "Refused")
    assert "degraded in dev" in state["message"]
    time.sleep(3)  # logs come in batches
    assert "Traceback" not in logs(server, run)
    assert "degraded" in logs(server, run)


def test_a_rollback_is_a_run(server: Server, serve: Serve, tmp_path: Path) -> None:
    """`--remote` over two environments, one of which is strictly frozen: the answer, its status, and one commit; then one by hand in the UI."""
    shop = Hosted.create(tmp_path / "back", "back")
    serve(shop)
    until(lambda: server.artifacts("board-back"))
    shop.commit("dev", {"web": "2\n"})
    until(lambda: promotions(shop, "prod"))
    words = [sys.executable, "-m", "promotion.cli", "-c", shop.config]

    def command(*more: str) -> subprocess.CompletedProcess[str]:
        environ = {**server.environ, "PROMOTION_DEPLOYMENT": "back", "PROMOTION_USER": "alice@example.com"}
        return subprocess.run([*words, *more], env=environ, capture_output=True, text=True, check=False)

    until(lambda: "verified" in command("history", "prod", "--event", "verified").stdout)
    assert command("freeze", "prod", "--strict", "--reason", "an audit").returncode == 0
    before, qa = shop.tip("prod"), shop.tip("qa")
    said = command("rollback", "[qp]*", "--reason", "too slow", "--remote")
    assert (said.returncode, shop.tip("prod")) == (4, before), said.stderr
    assert "strictly frozen" in said.stdout
    assert f"holds     {qa[:7]}" in said.stdout
    assert shop.origin.log("env/qa")[0].trailers["Promotion-Environment"] == "qa"
    assert shop.origin.log("env/qa")[0].parents == (qa,)
    assert "alice@example.com" in command("history", "qa", "--event", "rolled-back").stdout
    assert command("thaw", "prod").returncode == 0
    deployment = server.deployment("back", "rollback")["id"]
    asked = {"application": "back", "environment": "prod", "reason": "too slow, too", "by": "bob@example.com"}
    run = server.ask(f"deployments/{deployment}/create_flow_run", parameters=asked)["id"]
    place = f"{server.url}/api/flow_runs/{run}"
    until(lambda: httpx.get(place).json()["state_name"].startswith("rolled-back"), 90)
    assert httpx.get(place).json()["state_name"] == f"rolled-back {shop.tip('prod')[:7]}"
    assert "bob@example.com (through " in command("history", "prod", "--event", "rolled-back").stdout
    assert "Traceback" not in logs(server, run)


def test_killed_in_the_middle_of_a_hop(server: Server, serve: Serve, tmp_path: Path) -> None:
    """kill -9 while it pushes, then a new start: one commit, the change goes on, no run stays open."""
    shop = Hosted.create(tmp_path / "killed", "killed")
    serving = serve(shop)
    commit = in_mid_push(shop)
    serving.kill()
    (shop.origin.path / "hooks/pre-receive").unlink()
    assert [run["state_type"] for run in server.runs("killed")] == ["RUNNING"]
    serve(shop)
    until(lambda: promotions(shop, "prod"), 90)
    assert promotions(shop, "qa") == [commit]
    assert len(promotions(shop, "prod")) == 1
    until(lambda: all(name.startswith(("promoted", "lost")) for name in server.states("killed").values()), 120)


def test_the_runner_alone_is_killed_in_the_middle_of_a_hop(server: Server, serve: Serve, tmp_path: Path) -> None:
    """`serve` starts another one: one commit, the change goes on, no run stays open."""
    shop = Hosted.create(tmp_path / "runner", "runner")
    serving = serve(shop)
    commit = in_mid_push(shop)
    (runner,) = [
        pid
        for pid in descendants(serving.process.pid)
        if b"flows.entry\0runner" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(runner, signal.SIGKILL)
    (shop.origin.path / "hooks/pre-receive").unlink()
    until(lambda: serving.said("runner ended"))
    until(lambda: promotions(shop, "prod"), 150)
    assert promotions(shop, "qa") == [commit]
    assert len(promotions(shop, "prod")) == 1
    closed = ("promoted", "lost", "Crashed")
    until(lambda: all(name.startswith(closed) for name in server.states("runner").values()), 150)
    hops_are_runs_again(server, shop)


def test_the_loop_goes_on_without_the_server(server: Server, serve: Serve, tmp_path: Path) -> None:
    """The server is killed: hops are landed by the loop, which says so; with the server they are runs again."""
    shop = Hosted.create(tmp_path / "alone", "alone")
    serving = serve(shop)
    until(lambda: server.artifacts("board-alone"))
    server.kill()
    try:
        shop.commit("dev", {"web": "2\n"})
        until(lambda: promotions(shop, "prod"))
        assert serving.said("hops are landed here, without Prefect")
    finally:
        server.start()
    until(lambda: serving.log.read_text().count("Prefect answers: each hop is a run there") == 2)
    assert server.runs("alone") == []
    hops_are_runs_again(server, shop)


def test_a_scheduled_run_completes(server: Server, serve: Serve, tmp_path: Path) -> None:
    """The schedule of an environment fires on a server like every new one: with a newer SQLAlchemy none ever does."""
    shop = Hosted.create(tmp_path / "ticks", "ticks", qa={"schedule": "* * * * *"})
    serve(shop)
    commit = shop.commit("dev", {"web": "2\n"})
    until(lambda: promotions(shop, "qa") == [commit], 150)
    run = until(lambda: [r for r in server.runs("ticks", "qa") if r["state_name"].startswith("promoted")])[0]
    assert run["auto_scheduled"] is True
    assert run["name"] == f"ticks: qa <- dev {commit[:7]}"


def test_a_pause_by_a_person_survives_a_restart(server: Server, serve: Serve, tmp_path: Path) -> None:
    """Paused in the UI, served again: still paused, and nothing moves until it is resumed."""
    shop = Hosted.create(tmp_path / "paused", "paused")
    serving = serve(shop)
    deployment = server.deployment("paused")["id"]
    server.ask(f"deployments/{deployment}/pause_deployment")
    try:
        assert serving.end() == 0
        again = serve(shop)
        assert server.deployment("paused")["paused"] is True
        shop.commit("dev", {"web": "2\n"})
        until(lambda: again.said("is paused in Prefect"))
        time.sleep(3)
        assert promotions(shop, "qa") == []
    finally:
        server.ask(f"deployments/{deployment}/resume_deployment")
    until(lambda: promotions(shop, "qa"))


def test_what_the_server_lost_is_registered_again(server: Server, serve: Serve, tmp_path: Path) -> None:
    """As after the loss of its database: without anybody doing anything, hops are runs there again."""
    shop = Hosted.create(tmp_path / "lost", "lost")
    serving = serve(shop)
    until(lambda: server.artifacts("board-lost"))
    before = server.deployment("lost")["id"]
    time.sleep(6)  # the runner knows by then what it registered
    for flow in FLOWS:
        place = f"{server.url}/api/deployments/{server.deployment('lost', flow)['id']}"
        until(lambda place=place: httpx.delete(place).status_code in (204, 404))  # it may be busy
    until(lambda: server.deployment("lost").get("id", before) != before)
    assert serving.said("Prefect has lost promote/lost, propagate/lost, approve/lost, rollback/lost: registering again")
    hops_are_runs_again(server, shop)


def test_a_server_of_its_own(tmp_path: Path) -> None:
    """`--with-server`: everything out of nothing, and nothing left when it ends."""
    shop = Hosted.create(tmp_path / "own", "own")
    environ = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    argv = [sys.executable, "-m", "promotion.cli", "-c", shop.config, "serve", "--every", "1s", "--with-server"]
    log = tmp_path / "own.log"
    with log.open("wb") as file:
        process = subprocess.Popen(argv, env=environ, stdout=file, stderr=file, start_new_session=True)
    try:
        until(lambda: "each hop is a run there" in log.read_text() or process.poll() is not None, 120)
        shop.commit("dev", {"web": "2\n"})
        until(lambda: promotions(shop, "prod"))
        assert (shop.folder / ".promotion/.gitignore").exists() or "PREFECT_HOME" in environ
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    finally:
        process.kill()
        process.wait()
        told(log)
