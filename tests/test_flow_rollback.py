"""The flow `rollback` as people start it in Prefect: what its state and page say, and what becomes of a run whose process is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.flow_engine import run_flow
from prefect.states import Running, Scheduled

from flows import deployments, runs
from flows.api import Api
from flows.promote import promote, propagate
from flows.rounds import Loop, Prefect, close_rounds, one_round
from flows.undo import rollback
from promotion import ledger, observe, reconcile, report
from promotion.config import load
from promotion.sites import open_sites
from tests.support.hosted import Hosted
from tests.support.prefect import forget, prefect_server

pytestmark = pytest.mark.xdist_group("prefect")  # one server for all of them


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_server():
        yield


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """Its API, and nothing of another test on it."""
    with get_client(sync_client=True) as client:
        forget(client)
        yield client


@pytest.fixture
def shop(tmp_path: Path, client: SyncPrefectClient) -> Hosted:  # noqa: ARG001 - a server on which nothing is left
    """dev -> qa -> prod; `web` 2 has come to both by hand and is healthy there."""
    made = Hosted.create(tmp_path / "shop", qa={"auto": False}, prod={"auto": False})
    propagate(config=made.config, return_state=True)
    made.commit("dev", {"web": "2\n"}, message="web | <b>2</b>")
    for name in ("qa", "prod"):
        state: Any = promote(application="shop", environment=name, config=made.config, return_state=True)  # type: ignore[call-overload]
        assert state.name.startswith("promoted")
    return made


def back(shop: Hosted, environment: str = "qa", **more: Any) -> Any:
    """The last state of one run."""
    asked = {"application": "shop", "environment": environment, "reason": "too slow", "by": "alice@example.com"}
    asked |= {"config": shop.config, **more}
    return rollback(**asked, return_state=True)  # type: ignore[call-overload]


def page(client: SyncPrefectClient, state: Any) -> str:
    run = str(state.state_details.flow_run_id)
    (found,) = client.request("POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run]}}}).json()
    return str(found["data"]).replace("\\", "")


def test_it_says_what_it_restored_and_how_it_arrived(shop: Hosted, client: SyncPrefectClient) -> None:
    """State, name and page are enough to know what happened; it stays until the target is verified."""
    bad = shop.tip("qa")
    state = back(shop)
    tip = shop.tip("qa")
    assert (state.type.value, state.name) == ("COMPLETED", f"rolled-back {tip[:7]}")
    assert shop.origin.log("env/qa")[0].parents == (bad,)
    assert shop.origin.show("env/qa", "health") == "ok\n"
    assert client.read_flow_run(state.state_details.flow_run_id).name == "shop: qa back"
    text = page(client, state)
    for line in (
        "## shop: qa back",
        "Asked for by **alice@example.com**, recorded by promotion@localhost.",
        "- **Why:** too slow",
        f"- **Verification:** verified: qa is healthy at {tip[:7]}",
        "- **Restores:** `",
        f"- **Holds:** `{bad[:7]}`",
        "1 file",
    ):
        assert line in text, text


def test_the_record_says_who_asked_and_who_serves(shop: Hosted) -> None:
    """A name that was typed is a claim; Prefect wants one before it starts anything."""
    back(shop)
    with open_sites(load(shop.file), os.environ) as (site,):
        world = observe.survey(site)
        _, event = next(e for e in ledger.events(site.repository, world.ledger) if e[1].event == "rolled-back")
        assert report.audit(site, world) == []
    assert (event.by, event.data["how"], event.data["through"]) == (
        "alice@example.com",
        "claimed",
        "promotion@localhost",
    )
    (made,) = [d for d in deployments.deployments(load(shop.file)) if d.name == "rollback"]
    assert {"environment", "reason", "by"} <= set(made._parameter_openapi_schema.required)


def test_the_form_asks_what_people_know_first(shop: Hosted) -> None:
    """What is filled in and what is not for them come last, and which release is a line to type into, empty for the last healthy one."""
    (made,) = [d for d in deployments.deployments(load(shop.file)) if d.name == "rollback"]
    fields = made._parameter_openapi_schema.properties
    asked = sorted(fields, key=lambda name: fields[name]["position"])
    assert asked == ["application", "environment", "reason", "by", "to", "dry_run", "config", "remote"]
    assert (fields["to"]["type"], fields["to"]["default"]) == ("string", "")
    before, first = shop.tip("qa"), shop.origin.log("env/qa")[1].commit
    assert back(shop, to="  ").name.startswith("rolled-back")
    assert before != shop.tip("qa")
    assert shop.origin.tree("env/qa") == shop.origin.tree(first)
    assert back(shop, to=f" {before[:10]} ").name.startswith("rolled-back")
    assert shop.origin.tree("env/qa") == shop.origin.tree(before)


def test_a_dry_run_writes_nothing(shop: Hosted) -> None:
    before = shop.origin.refs()
    assert back(shop, dry_run=True).name.startswith("dry run: rolled-back")
    assert shop.origin.refs() == before


def test_what_fails_in_one_does_not_stop_the_others(shop: Hosted, client: SyncPrefectClient) -> None:
    """A glob: one is strictly frozen, the other goes back; the state counts, the page says of each what became of it."""
    with open_sites(load(shop.file), os.environ) as (site,):
        reconcile.freeze(site, [site.application.environment("qa")], "an audit", None, strict=True)
    before = shop.tip("qa"), shop.tip("prod")
    state = back(shop, "[qp]*")
    assert (state.type.value, state.name) == ("FAILED", "1 of 2 failed")
    assert "shop: qa: Refused: qa is strictly frozen" in state.message
    assert (shop.tip("qa") == before[0], shop.tip("prod") == before[1]) == (True, False)
    text = page(client, state)
    assert "### shop: qa: Refused" in text
    assert f"### shop: prod: rolled-back {shop.tip('prod')[:7]}" in text
    assert "**Verification:** verified: prod is healthy" in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"reason": "{{7*7}}"}, "templates are not filled in"),
        ({"reason": " "}, "a reason is one that people can read"),
        ({"by": " "}, "by: a rollback is somebody's: say who asks for it"),
        ({"by": "a\nb"}, "by: a name holds the control character U+000A"),
        ({"by": "{{7*7}}"}, "by: a name holds `{{`"),
        ({"environment": "qaa"}, "no environment `qaa`; did you mean `qa`?"),
        ({"application": "shopp"}, "no application `shopp`"),
        ({"to": "ffffffff"}, "there is no commit ffffffff"),
        ({"remote": {"override": ["hold"]}}, "`override`"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_a_line(shop: Hosted, asked: dict[str, Any], said: str) -> None:
    """Nothing is written."""
    before = shop.origin.refs()
    state = back(shop, **asked)
    assert (state.type.value, state.name) == ("FAILED", "configuration")
    assert said in state.message
    assert shop.origin.refs() == before


# --- when its process is gone ----------------------------------------------------------------------------------------


@pytest.fixture
def loop(shop: Hosted) -> Iterator[Loop]:
    """The round loop beside it."""
    for deployment in deployments.deployments(load(shop.file)):
        deployment.apply()
    with open_sites(load(shop.file), os.environ) as (site,), Api(30) as api:
        yield Loop(site, Prefect(api, shop.config), sync=False)


@pytest.mark.usefixtures("loop")
def test_a_run_that_is_run_again_goes_no_further(shop: Hosted, client: SyncPrefectClient) -> None:
    """From the top, as after its process was killed."""
    shop.commit("dev", {"web": "3\n"})
    promote(application="shop", environment="qa", config=shop.config, return_state=True)  # type: ignore[call-overload]
    run, said = gone(client, "qa"), list[tuple[str, str]]()
    for _ in range(2):
        client.set_flow_run_state(run, Scheduled(), force=True)
        state: Any = run_flow(rollback, flow_run=client.read_flow_run(run), return_type="state")
        said.append((state.name, shop.tip("qa")))
    tip = shop.tip("qa")
    assert said == [(f"rolled-back {tip[:7]}", tip), ("nothing to do", tip)]


def gone(client: SyncPrefectClient, environment: str) -> Any:
    """A run of it that is shown as running, and has no process."""
    deployment = client.read_deployment_by_name("rollback/rollback").id
    asked = {"application": "shop", "environment": environment, "reason": "too slow", "by": "alice@example.com"}
    run = client.create_flow_run_from_deployment(deployment, parameters=asked)
    client.set_flow_run_state(run.id, Running(), force=True)
    return run.id


@pytest.mark.parametrize("landed", [True, False])
def test_a_run_whose_process_is_gone_is_closed_from_git(
    shop: Hosted, loop: Loop, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, landed: bool
) -> None:
    """As rolled back where its commit is there, as lost where it is not: a promotion in between is none of its doing."""
    run = gone(client, "qa")
    site = loop.site
    if landed:
        reconcile.roll_back(site, site.application.environment("qa"), reason="too slow")
    else:
        shop.commit("dev", {"web": "3\n"})
        promote(application="shop", environment="qa", config=shop.config, return_state=True)  # type: ignore[call-overload]
    monkeypatch.setattr(runs, "PICKED_UP", timedelta(0))
    monkeypatch.setattr(runs, "LOST", timedelta(0))
    loop.prefect.look()
    one_round([loop])
    state = client.read_flow_run(run).state_name
    assert state == (f"rolled-back {shop.tip('qa')[:7]}" if landed else "lost")


def test_one_about_several_is_closed_as_lost(
    loop: Loop,
    client: SyncPrefectClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After it gave no sign of life for long."""
    run = gone(client, "[qp]*")
    loop.prefect.look()
    close_rounds(loop.prefect)
    assert client.read_flow_run(run).state_name == "Running"
    monkeypatch.setattr(runs, "ROUND_LOST", timedelta(0))
    loop.prefect.closed_at = float("-inf")
    close_rounds(loop.prefect)
    assert client.read_flow_run(run).state_name == "lost"
