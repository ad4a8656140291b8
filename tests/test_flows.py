"""Prefect around the core: states, names and pages of runs, the round loop beside them, and what people paused."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import DeploymentStatus, FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import FailedRun
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Crashed, Running

from flows import asked, deployments, runs
from flows.api import Api
from flows.promote import _round, promote, propagate
from flows.rounds import Loop, Prefect, close_rounds, one_round
from flows.serve import Options, _server, serve
from promotion.config import load
from promotion.errors import ConfigError, TemporaryError
from promotion.sites import open_sites
from tests.support.canary import spies, told
from tests.support.hosted import Hosted
from tests.support.prefect import prefect_server, says

pytestmark = pytest.mark.xdist_group("prefect")  # one server for all of them
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """One for the module."""
    with prefect_server():
        yield


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """Its API, and nothing of another test on it."""
    with get_client(sync_client=True) as client:
        for deployment in client.request("POST", "/deployments/filter", json={}).json():
            client.delete_deployment(UUID(deployment["id"]))
        for run in promote_runs(client):
            client.delete_flow_run(run.id)
        for artifact in artifacts(client):
            client.delete_artifact(UUID(artifact["id"]))
        yield client


@pytest.fixture
def shop(tmp_path: Path) -> Hosted:
    """dev -> qa -> prod, whatever is pushed is deployed."""
    return Hosted.create(tmp_path / "shop")


def artifacts(client: SyncPrefectClient, **wanted: Any) -> list[dict[str, Any]]:
    """All artifacts, or those of a key or run."""
    filters = {name: {"any_": [value]} for name, value in wanted.items()}
    return list(client.request("POST", "/artifacts/filter", json={"artifacts": filters}).json())


def hop(shop: Hosted, environment: str = "qa", **more: Any) -> Any:
    """The last state of one run of `promote`."""
    return promote(application="shop", environment=environment, config=shop.config, **more, return_state=True)


def run_of(client: SyncPrefectClient, state: Any) -> FlowRun:
    return client.read_flow_run(state.state_details.flow_run_id)


# --- promote -------------------------------------------------------------------------------------------------------


def test_a_hop_says_what_it_promoted_and_how_it_arrived(shop: Hosted, client: SyncPrefectClient) -> None:
    """State, name and page of a run are enough to know what happened."""
    commit = shop.commit("dev", {"web": "2\n"}, message="web | <b>2</b> `x` {{7*7}}")
    state = hop(shop)
    tip = shop.tip("qa")
    assert (state.type.value, state.name) == ("COMPLETED", f"promoted {tip[:7]}")
    assert f"qa is healthy at {tip[:7]}" in state.message
    run = run_of(client, state)
    assert run.name == f"shop: qa <- dev {commit[:7]}"
    (page,) = artifacts(client, flow_run_id=str(run.id))
    assert page["data"].startswith(f"## shop: qa ← dev {commit[:7]}\n")
    for line in (f"**Pushed:** `{tip[:7]}` to `env/qa`", "**Verification:** verified: qa is healthy"):
        assert line in page["data"]
    assert "| source | pass | healthy in dev" in page["data"]
    assert "web \\| &lt;b&gt;2&lt;/b&gt; \\`x\\` {{7\\*7}}" in page["data"]
    assert hop(shop).name == "nothing to do"


def test_a_hop_that_waits_says_for_what_and_until_when(tmp_path: Path) -> None:
    """Waiting is no failure."""
    shop = Hosted.create(tmp_path / "shop", qa={"gates": [{"type": "soak", "for": "30m"}]})
    shop.commit("dev", {"web": "2\n"})
    state = hop(shop)
    assert state.type.value == "COMPLETED"
    assert state.name.startswith("waiting: soak until ")
    assert state.name.endswith(" UTC")


def test_auto_false_waits_for_a_person_and_not_for_a_schedule(tmp_path: Path) -> None:
    """A run that people start lands; one that a schedule or the loop starts does not."""
    shop = Hosted.create(tmp_path / "shop", qa={"auto": False})
    shop.commit("dev", {"web": "2\n"})
    before = shop.tip("qa")
    assert hop(shop, by_hand=False).name == "waiting: auto"
    assert shop.tip("qa") == before
    assert hop(shop).name == f"promoted {shop.tip('qa')[:7]}"


def test_a_refusal_is_an_answer_and_no_traceback(shop: Hosted, caplog: pytest.LogCaptureFixture) -> None:
    """Failed, named Refused, with the reason; nothing in the log that looks like a bug."""
    shop.commit("dev", {"health": "sick\n"})
    state = hop(shop)
    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "degraded in dev" in state.message
    assert [record for record in caplog.records if record.exc_info] == []


def test_only_refusals_are_kept_out_of_the_log() -> None:
    """A bug keeps its traceback."""
    log = logging.getLogger("prefect.flow_runs")
    kept = [
        bool(log.filter(log.makeRecord("x", logging.ERROR, "x", 0, "ended", (), (type(error), error, None))))
        for error in (ValueError("a bug"), FailedRun("Refused"))
    ]
    assert kept == [True, False]


def test_a_failed_verification_fails_the_run(shop: Hosted) -> None:
    """Healthy in dev, sick in qa."""
    shop.commit("dev", {"quality": "bad\n"})
    state = hop(shop)
    assert (state.type.value, state.name) == ("FAILED", "verification failed")
    assert shop.tip("qa")[:7] in state.message


def test_a_conflict_names_the_path(shop: Hosted) -> None:
    """Nothing is written."""
    shop.commit("qa", {"web": "qa\n"})
    hop(shop)
    shop.commit("dev", {"web": "dev\n"})
    before = shop.tip("qa")
    state = hop(shop)
    assert (state.type.value, state.name) == ("FAILED", "conflict")
    assert "web" in state.message
    assert shop.tip("qa") == before


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"environment": "qaa"}, "did you mean `qa`?"),
        ({"application": "shpo"}, "did you mean `shop`?"),
        ({"environment": "dev"}, "people push to env/dev"),
        ({"commit": "zz"}, "is no commit"),
        ({"config": "nowhere.yaml"}, "nowhere.yaml"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_a_line(shop: Hosted, parameters: dict[str, str], said: str) -> None:
    """An error of ours is a failed run with one line, and no traceback."""
    asked = {"application": "shop", "environment": "qa", "config": shop.config, **parameters}
    state = promote(**asked, return_state=True)  # type: ignore[call-overload]
    assert (state.type.value, state.name) == ("FAILED", "configuration")
    assert said in state.message
    assert "Traceback" not in state.message


def test_a_commit_is_chosen_by_its_prefix(shop: Hosted) -> None:
    """The older of two that qualify, when a person asks for it."""
    older = shop.commit("dev", {"web": "2\n"})
    hop(shop, "prod")
    assert hop(shop, commit=older[:8]).name.startswith("promoted")
    assert shop.origin.log("env/qa")[0].parents[1] == older


def test_one_round_over_everything(shop: Hosted) -> None:
    """`propagate` is one round: one hop, then the next, then nothing."""
    names = []
    shop.commit("dev", {"web": "2\n"})
    for _ in range(3):
        names.append(propagate(config=shop.config, return_state=True).name)  # type: ignore[call-overload]
    tips = {name: shop.tip(name)[:7] for name in ("qa", "prod")}
    assert names == [f"promoted qa {tips['qa']}", f"promoted prod {tips['prod']}", "nothing to do"]


def test_a_round_over_many_repositories_keeps_no_processes(tmp_path: Path) -> None:
    """Each repository has one that reads objects: a thousand of them at once would be too many."""
    shops = [Hosted.create(tmp_path / name, name) for name in ("shop", "till", "depot")]
    applications = tuple(load(shop.file).applications[0] for shop in shops)
    pipeline = replace(load(shops[0].file), applications=applications)
    with open_sites(pipeline, os.environ) as sites:
        results, errors, _, raised = _round(sites, asked.Round(), lambda _: None)
        assert (results, errors, raised) == ([], [], False)
        assert [site.repository.objects._store._process for site in sites] == [None] * 3


# --- the round loop ------------------------------------------------------------------------------------------------


@pytest.fixture
def loop(shop: Hosted, client: SyncPrefectClient) -> Iterator[Loop]:
    """The loop of one application, with its deployments registered."""
    assert promote_runs(client) == []
    for deployment in deployments.deployments(load(shop.file)):
        deployment.apply()
    with open_sites(load(shop.file), os.environ) as (site,), Api(30) as api:
        loop = Loop(site, Prefect(api, shop.config), sync=False)
        yield loop


def rounds(loop: Loop, count: int = 1) -> None:
    for _ in range(count):
        loop.prefect.look()
        loop.closed_at = 0.0
        one_round([loop])


def promote_runs(client: SyncPrefectClient) -> list[FlowRun]:
    return client.read_flow_runs(limit=200, sort=FlowRunSort.ID_DESC)


def test_a_hop_that_passes_is_one_run(shop: Hosted, loop: Loop, client: SyncPrefectClient) -> None:
    """Nothing when nothing passes; one run however many rounds see it pass; none lands in the loop itself."""
    rounds(loop)
    assert promote_runs(client) == []
    commit = shop.commit("dev", {"web": "2\n"})
    before = shop.tip("qa")
    rounds(loop, 3)
    (run,) = promote_runs(client)
    assert run.name == f"shop: qa <- dev {commit[:7]}"
    assert run.parameters["by_hand"] is False
    assert shop.tip("qa") == before


def test_a_run_that_crashed_is_followed_by_another(
    shop: Hosted, loop: Loop, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of ended runs is part of the key; and there is a pause between them."""
    shop.commit("dev", {"web": "2\n"})
    rounds(loop)
    (run,) = promote_runs(client)
    client.set_flow_run_state(run.id, Crashed(), force=True)
    rounds(loop, 2)
    assert len(promote_runs(client)) == 1
    monkeypatch.setattr(runs, "FIRST_PAUSE", timedelta(0))
    rounds(loop, 2)
    assert len(promote_runs(client)) == 2


def test_what_nobody_picks_up_the_loop_lands(
    shop: Hosted, loop: Loop, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that waits too long is done without, and closed with what became of it."""
    shop.commit("dev", {"web": "2\n"})
    rounds(loop)
    monkeypatch.setattr(runs, "PICKED_UP", timedelta(0))
    rounds(loop)
    (run,) = [run for run in promote_runs(client) if run.parameters["environment"] == "qa"]
    assert run.state_name == f"promoted {shop.tip('qa')[:7]}"
    assert shop.origin.log("env/qa")[0].trailers["Promotion-Environment"] == "qa"


def test_a_run_whose_process_is_gone_is_closed_from_git(
    shop: Hosted, loop: Loop, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Landed: promoted. Not landed: lost, and the next round starts another."""
    rounds(loop)
    shop.commit("dev", {"web": "2\n"})
    rounds(loop)
    (run,) = promote_runs(client)
    client.set_flow_run_state(run.id, Running(), force=True)
    rounds(loop)
    assert client.read_flow_run(run.id).state_name == "Running"
    hop(shop)
    monkeypatch.setattr(runs, "PICKED_UP", timedelta(0))
    monkeypatch.setattr(runs, "LOST", timedelta(0))
    rounds(loop)
    assert client.read_flow_run(run.id).state_name == f"promoted {shop.tip('qa')[:7]}"
    other = client.create_flow_run_from_deployment(
        loop.prefect.deployment.id,  # type: ignore[union-attr]
        parameters={"application": "shop", "environment": "prod", "config": shop.config},
        tags=["plan-0000000000000000"],
    )
    client.set_flow_run_state(other.id, Running(), force=True)
    rounds(loop)
    assert client.read_flow_run(other.id).state_name == "lost"


def test_a_round_that_gives_no_sign_of_life_is_closed(
    loop: Loop, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is open no other begins; one that may be alive is left alone."""
    rounds(loop)
    everything = client.read_deployment_by_name("propagate/propagate").id
    run = client.create_flow_run_from_deployment(everything)
    client.set_flow_run_state(run.id, Running(), force=True)
    close_rounds(loop.prefect)
    assert client.read_flow_run(run.id).state_name == "Running"
    monkeypatch.setattr(runs, "ROUND_LOST", timedelta(0))
    close_rounds(loop.prefect)
    assert client.read_flow_run(run.id).state_name == "Running"  # not each second
    loop.prefect.closed_at -= 60
    close_rounds(loop.prefect)
    assert client.read_flow_run(run.id).state_name == "lost"


def test_a_round_over_many_gives_signs_of_life(shop: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its page, as it goes."""
    monkeypatch.setattr("flows.promote.SIGNS", -1.0)
    seen: list[str] = []
    monkeypatch.setattr("flows.page.Page.show", lambda _, headline, text: seen.append(f"{headline}: {text}"))
    propagate(config=shop.config, return_state=True)  # type: ignore[call-overload]
    assert seen[0] == "under way: 0 hops so far; shop is next"


def test_a_pause_by_a_person_stops_hops(shop: Hosted, loop: Loop, client: SyncPrefectClient) -> None:
    """Neither a run nor a hop of the loop's own, until it is resumed; also while the server is away."""
    rounds(loop)
    shop.commit("dev", {"web": "2\n"})
    before = shop.tip("qa")
    deployment = loop.prefect.deployment
    assert deployment is not None
    client.pause_deployment(deployment.id)
    rounds(loop)
    assert promote_runs(client) == []
    loop.prefect.away(TemporaryError("away"))
    one_round([loop])
    assert shop.tip("qa") == before


def test_an_environment_with_a_schedule_is_left_to_it(tmp_path: Path, client: SyncPrefectClient) -> None:
    """The loop starts nothing for it while Prefect answers; its schedule has its own parameters."""
    shop = Hosted.create(tmp_path / "shop", qa={"schedule": "0 8 * * 1-5"})
    deployments.deployments(load(shop.file))[0].apply()
    (schedule,) = client.read_deployment_by_name("promote/promote").schedules
    assert (schedule.slug, schedule.parameters) == (
        "shop-qa",
        {"application": "shop", "environment": "qa", "by_hand": False},
    )
    with open_sites(load(shop.file), os.environ) as (site,), Api(30) as api:
        loop = Loop(site, Prefect(api, shop.config), sync=False)
        shop.commit("dev", {"web": "2\n"})
        rounds(loop)
        assert [run for run in promote_runs(client) if not run.auto_scheduled] == []


def test_the_loop_lands_hops_while_prefect_is_away(shop: Hosted, client: SyncPrefectClient, caplog: Any) -> None:
    """One round, no server; it says so."""
    shop.commit("dev", {"web": "2\n"})
    with open_sites(load(shop.file), os.environ) as (site,), Api(30) as api:
        loop = Loop(site, Prefect(api, shop.config), sync=False)
        loop.prefect.away(TemporaryError("Prefect does not answer"))
        one_round([loop])
        assert shop.origin.log("env/qa")[0].trailers["Promotion-Environment"] == "qa"
        assert "landed here, without Prefect" in caplog.text
        assert promote_runs(client) == []


def test_a_server_that_hangs_costs_its_deadline() -> None:
    """It accepts and never answers: the question ends, and so does the next one."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            api = Api(0.3)
            for _ in range(2):  # the client of the first one is abandoned with its thread
                with pytest.raises(TemporaryError, match="does not answer"):
                    api.deployment("promote/promote")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"Prefect refuses us \(401 Unauthorized\): PREFECT_API_AUTH_STRING is not there, or wrong"),
        (403, r"Prefect refuses us \(403 Forbidden\)"),
        (500, r"Prefect answers 500 Internal Server Error"),
    ],
)
def test_a_server_that_refuses_is_not_away(status: int, said: str) -> None:
    """What it says is said: a password is not waited for."""
    with says(status), Api(30) as api, pytest.raises(TemporaryError, match=said):
        api.deployment("promote/promote")


def test_a_server_that_has_no_time_is_asked_again() -> None:
    """A database that is locked for a moment is no server that is away; one that stays so is."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        with says(503, 503, 204), Api(30) as api:
            assert api.ask(lambda c: c.request("GET", "/ready")).status_code == 204
        with says(503), Api(30) as api, pytest.raises(TemporaryError, match="Prefect answers 503"):
            api.deployment("promote/promote")


def test_the_board_is_one_artifact_updated_in_place(shop: Hosted, loop: Loop, client: SyncPrefectClient) -> None:
    """The same one after a change, and after a restart that remembers nothing."""
    rounds(loop)
    (first,) = artifacts(client, key="board-shop")
    assert "| dev | " in first["description"]
    shop.commit("dev", {"health": "sick\n"})
    rounds(loop)
    with Api(30) as api:
        rounds(Loop(loop.site, Prefect(api, shop.config), sync=False))
    (board,) = artifacts(client, key="board-shop")
    assert board["id"] == first["id"]
    assert "degraded" in board["description"]
    assert "degraded" in str(board["data"])


# --- serving -------------------------------------------------------------------------------------------------------


def test_pauses_of_people_survive_registering_again(tmp_path: Path, client: SyncPrefectClient) -> None:
    """A paused deployment stays paused, a paused schedule too."""
    shop = Hosted.create(tmp_path / "shop", qa={"schedule": "0 8 * * *"}, prod={"schedule": "0 9 * * *"})

    def register() -> None:
        for deployment in deployments.keep_pauses(deployments.deployments(load(shop.file))):
            deployment.apply()

    register()
    hops, everything = (client.read_deployment_by_name(name) for name in ("promote/promote", "propagate/propagate"))
    client.pause_deployment(everything.id)
    paused = next(s for s in hops.schedules if s.slug == "shop-prod")
    client.update_deployment_schedule(hops.id, paused.id, active=False)
    register()
    hops, everything = (client.read_deployment_by_name(name) for name in ("promote/promote", "propagate/propagate"))
    assert (hops.paused, everything.paused) == (False, True)
    assert {s.slug: s.active for s in hops.schedules} == {"shop-qa": True, "shop-prod": False}


def test_two_files_on_one_server(shop: Hosted, tmp_path: Path, client: SyncPrefectClient, caplog: Any) -> None:
    """The second is refused while the first is served, and may have a name of its own; a file that moved takes over."""
    other = Hosted.create(tmp_path / "other", "other")
    made = [deployment.apply() for deployment in deployments.deployments(load(shop.file))]
    deployments.check_name(load(shop.file), None)
    deployments.check_name(load(other.file), None)
    assert f"promote/promote was for {shop.config}, and is for {other.config} from here on" in caplog.text
    client.request("POST", "/deployments/get_scheduled_flow_runs", json={"deployment_ids": [str(i) for i in made]})
    wait(lambda: client.read_deployment_by_name("promote/promote").status == DeploymentStatus.READY)
    with pytest.raises(ConfigError, match=f"promote/promote is served for {shop.config}") as caught:
        deployments.check_name(load(other.file), None)
    assert "--name" in (caught.value.hint or "")
    deployments.check_name(load(shop.file), None)
    deployments.check_name(load(other.file), "other")


def wait(question: Callable[[], bool]) -> None:
    while not question():  # the test's own timeout ends it
        time.sleep(0.05)


def test_the_loop_does_not_use_another_files_deployments(
    shop: Hosted, tmp_path: Path, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count as not served; a pool's have a path of their own to the file, and are used."""
    other = Hosted.create(tmp_path / "other", "other")
    for deployment in deployments.deployments(load(other.file)):
        deployment.apply()
    shop.commit("dev", {"web": "2\n"})
    monkeypatch.setattr(runs, "PICKED_UP", timedelta(0))
    with open_sites(load(shop.file), os.environ) as (site,), Api(30) as api:
        pooled = Loop(site, Prefect(api, shop.config, in_pool=True), sync=False)
        rounds(pooled)
        (run,) = promote_runs(client)
        assert run.parameters["application"] == "shop"
        client.set_flow_run_state(run.id, Crashed(), force=True)
        rounds(Loop(site, Prefect(api, shop.config), sync=False))
    assert len(promote_runs(client)) == 1
    assert shop.origin.log("env/qa")[0].trailers["Promotion-Environment"] == "qa"


def test_the_loop_starts_what_no_schedule_there_starts(tmp_path: Path, client: SyncPrefectClient) -> None:
    """A pool's deployment without the file's schedules: the loop has the hop run at each tick, and not before."""
    shop = Hosted.create(tmp_path / "shop", qa={"schedule": "0 8 * * *"})
    hops = deployments.deployments(load(shop.file))[0]
    hops.schedules = []
    hops.apply()
    shop.commit("dev", {"web": "2\n"})
    with open_sites(load(shop.file), os.environ) as (site,), Api(30) as api:
        loop = Loop(site, Prefect(api, shop.config), sync=False)
        rounds(loop)
        assert promote_runs(client) == []
        loop.ticks.started -= timedelta(days=1)
        rounds(loop, 2)
        (run,) = promote_runs(client)
        assert run.parameters["environment"] == "qa"


def test_prefect_starts_no_git(
    shop: Hosted, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would give git all our variables, and send the address of that folder's remote: a CI's has a token in it (S15)."""
    assert promote_runs(client) == []
    monkeypatch.setenv("PATH", f"{spies(tmp_path / 'spies', 'git')}:{os.environ['PATH']}")
    for deployment in deployments.deployments(load(shop.file)):
        deployment.apply()
    assert told(tmp_path / "spies", []) == {}


def test_the_server_of_our_own_gets_no_token(shop: Hosted) -> None:
    """It talks to no repository, and what it starts is not ours."""
    config = json.loads(shop.file.read_text())
    config |= {"repository": "https://git.example.com/shop.git", "credentials": {"token_env": "READ_TOKEN"}}
    config["environments"][1]["credentials"] = {"token_env": "QA_TOKEN"}
    shop.file.write_text(json.dumps(config))
    given = {"READ_TOKEN": "a", "QA_TOKEN": "b", "OTHER": "c", "PREFECT_HOME": str(shop.folder / "prefect")}
    _, child = _server(load(shop.file), given)
    assert set(child.environ) & set(given) == {"OTHER", "PREFECT_HOME"}


def test_without_a_server_serve_says_what_to_do(shop: Hosted) -> None:
    """Before anything is started."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(ConfigError) as caught:
        serve(shop.file, Options(timedelta(seconds=1)), environ={})
    assert "--with-server" in (caught.value.hint or "")


def test_children_end_with_their_parent(tmp_path: Path) -> None:
    """SIGKILL leaves no time for anything; still nothing is left running."""
    code = (
        "import os, sys\n"
        "from flows.children import Child, Ending, keep\n"
        "argv = [sys.executable, '-m', 'flows.entry', 'server',"
        ' \'{"config": "x", "argv": ["sh", "-c", "echo $$ > pid; exec sleep 600"]}\']\n'
        "keep([Child('sleeper', argv, os.environ)], Ending())\n"
    )
    root = str(Path(__file__).resolve().parent.parent)
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    try:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert parent.poll() is None
    finally:
        parent.kill()
        parent.wait()
    sleeper = int((tmp_path / "pid").read_text())
    while running(sleeper):
        pass


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    """With a pause that grows; being told to end ends it."""
    from flows.children import Child, Ending, end, keep

    ending = Ending()
    log = tmp_path / "starts"
    child = Child("short", ["sh", "-c", f"echo x >> {log}; [ $(wc -l < {log}) -lt 2 ] || kill -TERM {os.getpid()}"], {
        "PATH": os.environ["PATH"]
    })  # fmt: skip
    from flows.children import signals

    with signals(ending):
        keep([child], ending)
        end([child], ending)
    assert log.read_text() == "x\nx\n"
    assert child.pause == 2.0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
