"""`--remote`: the same output and exit status as here; and what is said when the run does not end as it should."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Crashed, Failed, Running

from flows import deployments, remote
from flows.api import Api
from flows.asked import Asked
from promotion.config import load
from promotion.errors import ConfigError, ContendedError, PromotionError, RefusedError, as_bug, as_data, of_data
from tests.support import prefect
from tests.support.shop import SICK, Said, Shop

pytestmark = pytest.mark.xdist_group("prefect-remote")


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    """One for all of them."""
    with prefect.prefect_server():
        yield


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """The server's API, and nothing of another test on it."""
    with get_client(sync_client=True) as client:
        prefect.forget(client)
        yield client


def register(shop: Shop, name: str | None = None) -> None:
    for deployment in deployments.deployments(load(shop.file), name):
        deployment.apply()


def registered(shop: Shop) -> None:
    """The deployments are there, and are this shop's."""
    with get_client(sync_client=True) as client:
        there = client.request("POST", "/deployments/filter", json={}).json()
        if not any(each["parameters"].get("config") == str(shop.file) for each in there):
            prefect.forget(client)
            register(shop)


def runs(client: SyncPrefectClient) -> list[FlowRun]:
    return client.read_flow_runs(limit=200, sort=FlowRunSort.ID_DESC)


# --- here and there --------------------------------------------------------------------------------------------------


def nothing(shop: Shop) -> None:
    """As it is: a change is healthy in dev."""


def landed(shop: Shop) -> None:
    assert shop("promote", "qa").status == 0


def unseen(shop: Shop) -> None:
    shop.push("dev", {"web": "3\n"})


def sick(shop: Shop) -> None:
    shop.push("dev", SICK)
    shop.round()


def decided(shop: Shop, name: str, **settings: Any) -> None:
    """Other settings, in force."""
    shop.set(name, **settings)
    assert shop("configure", "--reason", "a test").status == 0


def soaking(shop: Shop) -> None:
    decided(shop, "qa", gates=[{"type": "soak", "for": "30m"}])


def conflicting(shop: Shop) -> None:
    shop.push("qa", {"web": "qa\n"})
    shop.round()


def resolved(shop: Shop) -> None:
    """Somebody has decided a conflict, on the branch that was proposed for it."""
    conflicting(shop)
    branch = shop("--json", "resolve", "qa").json["branch"]
    shop.origin.commit(branch, {"web": "decided\n"})


def resolved_and_asked(shop: Shop) -> None:
    """People are asked all the same."""
    decided(shop, "qa", gates=[{"type": "approval", "from": ["bob@example.com"]}])
    resolved(shop)


def half_resolved(shop: Shop) -> None:
    """The markers are there still."""
    conflicting(shop)
    branch = shop("--json", "resolve", "qa").json["branch"]
    shop.origin.commit(branch, {"other": "x\n"})


def there_already(shop: Shop) -> None:
    shop.push("qa", {"web": "2\n"})
    shop.round()


def emptied(shop: Shop) -> None:
    assert shop("promote", "qa").status == 0
    shop.round()
    decided(shop, "dev", health=[{"type": "command", "command": ["true"]}])
    shop.push("dev", {"web": None, "health": None})
    shop("sync", "dev")


def automatic(shop: Shop) -> None:
    decided(shop, "qa", auto=True)


def recovering(shop: Shop) -> None:
    """qa and prod have had another release, which was healthy; dev is as it was."""
    assert shop("promote", "qa").status == 0
    shop.round()
    assert shop("promote", "prod").status == 0
    shop.round()


def hotfixed(shop: Shop) -> None:
    recovering(shop)
    shop.push("qa", {"hotfix": "1\n"})
    shop.round()


def refused_after_landing(shop: Shop) -> None:
    recovering(shop)
    refused_by_the_host(shop)


def strict(shop: Shop) -> None:
    """prod does not even go back."""
    recovering(shop)
    assert shop("freeze", "prod", "--reason", "an audit", "--strict").status == 0


def unreachable(shop: Shop) -> None:
    shop.origin.path.rename(shop.folder / "away.git")


def refused_by_the_host(shop: Shop) -> None:
    shop.origin.hook("pre-receive", "#!/bin/sh\necho no >&2\nexit 1\n")


CASES: list[tuple[State, tuple[str, ...], int]] = [
    (nothing, ("promote", "qa"), 0),
    (landed, ("promote", "qa"), 0),
    (unseen, ("promote", "qa", "--commit", "HEAD-OF-DEV"), 3),
    (soaking, ("promote", "qa"), 3),
    (sick, ("promote", "qa", "--commit", "HEAD-OF-DEV"), 4),
    (conflicting, ("promote", "qa"), 5),
    (resolved, ("promote", "qa", "--resolution", "THE-RESOLUTION"), 0),
    (resolved, ("promote", "qa", "--resolution", "THE-RESOLUTION", "--dry-run"), 0),
    (resolved_and_asked, ("promote", "qa", "--resolution", "THE-RESOLUTION"), 3),
    (half_resolved, ("promote", "qa", "--resolution", "THE-RESOLUTION"), 4),
    (conflicting, ("promote", "qa", "--resolution", "HEAD-OF-DEV"), 4),
    (conflicting, ("promote", "qa", "--resolution", "nonsense"), 2),
    (there_already, ("promote", "qa"), 0),
    (emptied, ("promote", "qa"), 4),
    (emptied, ("promote", "qa", "--allow-empty"), 0),
    (nothing, ("promote", "qa", "--dry-run"), 0),
    (nothing, ("promote", "qa", "--plan", "0000"), 4),
    (nothing, ("promote", "qa", "--plan", "THE-PLAN"), 0),
    (nothing, ("promote", "qa", "--plan", "no plan"), 2),
    (nothing, ("promote", "qa", "--commit", "ffffffff"), 2),
    (nothing, ("promote", "qaa"), 2),
    (nothing, ("promote", "dev"), 2),
    (nothing, ("promote", "*"), 2),
    (nothing, ("promote", "qa", "--wait", "soon"), 2),
    (nothing, ("promote", "qa", "--wait", "0s"), 3),
    (soaking, ("promote", "qa", "--wait", "1s"), 3),
    (unreachable, ("promote", "qa"), 2),
    (refused_by_the_host, ("promote", "qa"), 2),
    (nothing, ("run",), 0),
    (nothing, ("run", "qaa"), 2),
    (automatic, ("run", "--dry-run"), 0),
    (automatic, ("run", "qa"), 0),
    (automatic, ("run", "dev", "--sync"), 0),
    (conflicting, ("run", "qa"), 5),
    (unreachable, ("run",), 2),
    (recovering, ("rollback", "qa", "--reason", "slow"), 0),
    (recovering, ("rollback", "qa", "--reason", "slow", "--dry-run"), 0),
    (recovering, ("rollback", "qa", "--reason", "slow", "--to", "FIRST-OF-QA"), 0),
    (recovering, ("rollback", "qa", "--reason", "slow", "--to", "HEAD-OF-DEV"), 2),
    (recovering, ("rollback", "qa", "--reason", "slow", "--wait", "0s"), 3),
    (recovering, ("rollback", "*", "--reason", "slow"), 0),
    (recovering, ("rollback", "[qp]*", "--reason", "slow"), 0),
    (strict, ("rollback", "[qp]*", "--reason", "slow"), 4),
    (strict, ("rollback", "prod", "--reason", "slow"), 4),
    (hotfixed, ("rollback", "qa", "--reason", "slow"), 0),
    (landed, ("rollback", "prod", "--reason", "slow"), 4),
    (nothing, ("rollback", "qaa", "--reason", "slow"), 2),
    (nothing, ("rollback", "qa", "--reason", " "), 2),
    (nothing, ("rollback", "qa", "--reason", "slow", "--to", "ffffffff"), 2),
    (nothing, ("rollback", "qa", "--reason", "slow", "--wait", "soon"), 2),
    (unreachable, ("rollback", "qa", "--reason", "slow"), 2),
    (unreachable, ("rollback", "[qp]*", "--reason", "slow"), 2),
    (refused_after_landing, ("rollback", "qa", "--reason", "slow"), 2),
]
LINES = {
    (("promote", "qa"),),
    (("promote", "qaa"),),
    (("promote", "dev"),),
    (("run",),),
    (("run", "--dry-run"),),
    (("run", "qa"),),
    (("rollback", "qa", "--reason", "slow"),),
    (("rollback", "[qp]*", "--reason", "slow"),),
}


def decision(shop: Shop) -> str:
    (branch,) = (ref for ref in shop.origin.refs() if "promotion/resolve/" in ref)
    return shop.origin.refs()[branch]


KNOWN: dict[str, Callable[[Shop], str]] = {
    "HEAD-OF-DEV": lambda shop: shop.tip("dev"),
    "THE-PLAN": lambda shop: str(shop("--json", "plan", "qa").json["plan_id"]),
    "THE-RESOLUTION": decision,
    "FIRST-OF-QA": lambda shop: shop.origin.git("rev-list", "--max-parents=0", "env/qa"),
}


def changed(folder: Path) -> Shop:
    """dev -> qa -> prod by hand; a change is healthy in dev."""
    made = Shop(folder, qa={"auto": False}, prod={"auto": False})
    made.round()
    made.push("dev", {"web": "2\n"})
    made.round()
    return made


@pytest.fixture(autouse=True)
def alice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who types."""
    monkeypatch.setenv("PROMOTION_USER", "alice@example.com")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return changed(tmp_path / "shop")


State = Callable[[Shop], None]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Callable[[State], Shop]:
    """A shop in a state, always at the same place; each state is made once, and copied."""
    folder = tmp_path_factory.mktemp("shops")
    place, made = folder / "shop", dict[str, Shop]()

    def at(state: State) -> Shop:
        name = state.__name__
        shutil.rmtree(place, ignore_errors=True)
        if name in made:
            shutil.copytree(folder / name, place, symlinks=True)
        else:
            made[name] = changed(place)
            state(made[name])
            shutil.copytree(place, folder / name, symlinks=True)
        return deepcopy(made[name])

    return at


@pytest.mark.parametrize(
    ("state", "words", "status", "as_json"),
    [(*case, True) for case in CASES] + [(*case, False) for case in CASES if case[1:2] in LINES],
    ids=lambda v: getattr(v, "__name__", None) or str(v),
)
def test_remote_is_as_here(
    state: State,
    words: tuple[str, ...],
    status: int,
    as_json: bool,
    at: Callable[[State], Shop],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same command on the same repository, once here and once as a run: stdout, complaints and exit status are equal."""
    shop = at(state)
    words = (
        *(["--json"] if as_json else []),
        *(KNOWN[word](shop)[:9].upper() if word in KNOWN else word for word in words),
    )
    monkeypatch.setenv("PROMOTION_CACHE", str(tmp_path / "here"))
    here = shop(*words)
    shop = at(state)
    monkeypatch.setenv("PROMOTION_CACHE", str(tmp_path / "there"))
    registered(shop)
    with prefect.worker():
        there = shop(*words, "--remote")
    assert (here.status, there.status) == (status, status), there
    assert steady(there.out) == steady(here.out)
    if status == 2 and not as_json:
        assert there.err.endswith(here.err)
    by = {e["by"] for e in shop("--json", "history").json.get("events", [])}
    assert by <= {"alice@example.com"}


def steady(out: str) -> str:
    """Without what differs between two equal answers: new ids, and how long things took."""
    if out.startswith("{"):
        data = json.loads(out)
        for hop in data.get("hops", [data]):
            if hop.get("commit"):
                hop["commit"] = "new"
        out = json.dumps(data)
    return re.sub(r"\b[0-9a-f]{7}\b(?=   )|\d+\.\d s$|\b(\d+[smh])+\b", "*", out, flags=re.MULTILINE)


# --- when it does not end as it should -------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is short in these tests."""
    monkeypatch.setattr(remote, "UNSERVED", 0.2)
    monkeypatch.setattr(remote, "GIVEN_UP", 2.0)
    monkeypatch.setattr(remote, "SILENT", 4.0)
    monkeypatch.setattr(remote, "BUSY", 0.0)


def trouble(said: Said) -> Any:
    return said.json["error"]


@pytest.mark.usefixtures("impatient")
def test_what_nobody_picks_up_is_taken_back(shop: Shop, client: SyncPrefectClient) -> None:
    """It says so, with what to do, and does not run by surprise later: 75."""
    register(shop)
    said = shop("--json", "promote", "qa", "--remote")
    assert said.status == 75
    assert "nobody has picked it up yet: is promotion serve running" in said.err
    assert "taken back" in trouble(said)["message"]
    assert [run.state_type.value for run in runs(client)] == ["CANCELLED"]


def test_without_a_deployment(shop: Shop, client: SyncPrefectClient) -> None:
    """Nothing is started; the name is what PROMOTION_DEPLOYMENT says: 75."""
    register(shop, "other")
    said = shop("--json", "promote", "qa", "--remote")
    assert (said.status, runs(client)) == (75, [])
    assert trouble(said)["message"] == "Prefect has no deployment promote/promote"
    assert "promotion serve" in trouble(said)["hint"]


def test_a_name_of_its_own(shop: Shop, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files on one server: each is asked for by its name."""
    register(shop, "other")
    monkeypatch.setenv("PROMOTION_DEPLOYMENT", "other")
    with prefect.worker():
        assert shop("promote", "qa", "--remote").status == 0
    assert len(runs(client)) == 1


@pytest.mark.parametrize("words", [("promote", "qa"), ("run",), ("rollback", "qa", "--reason", "slow")])
def test_a_paused_deployment_refuses(shop: Shop, client: SyncPrefectClient, words: tuple[str, ...]) -> None:
    """People paused it so that nothing is promoted: 4."""
    register(shop)
    for name in ("promote/promote", "propagate/propagate", "rollback/rollback"):
        client.pause_deployment(client.read_deployment_by_name(name).id)
    said = shop("--json", *words, "--remote")
    assert (said.status, runs(client)) == (4, [])
    assert "paused in Prefect" in trouble(said)["message"]


def test_a_server_that_is_away(shop: Shop) -> None:
    """75, and nothing is waited for."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        said = shop("--json", "promote", "qa", "--remote")
    assert said.status == 75
    assert "does not answer" in trouble(said)["message"]


def test_a_server_that_refuses(shop: Shop) -> None:
    """A password that is missing does not come by waiting: 2."""
    with prefect.says(401):
        said = shop("--json", "promote", "qa", "--remote")
    assert said.status == 2
    assert "PREFECT_API_AUTH_STRING" in trouble(said)["message"]


def test_no_server_is_configured(shop: Shop) -> None:
    """None is started for the occasion: 2."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        said = shop("--json", "promote", "qa", "--remote")
    assert said.status == 2
    assert "PREFECT_API_URL" in trouble(said)["hint"]


@pytest.mark.parametrize(
    ("state", "status", "text"),
    [
        (Cancelled(message="by alice"), 4, "the run was cancelled: by alice"),
        (Cancelled(message="Deployment concurrency limit reached."), 75, "another round is under way"),
        (Crashed(name="lost", message="its process was gone"), 75, "ended as lost: its process was gone"),
        (Failed(message="Flow run encountered an exception: KeyError: 'x'"), 1, "promotion has a bug"),
        (Failed(name="failed, try again", message="x"), 75, "ended as failed, try again"),
        (Running(), 75, "no sign of the run"),
    ],
    ids=lambda v: getattr(v, "name", None),
)
def test_a_run_that_leaves_no_answer(
    shop: Shop,
    client: SyncPrefectClient,
    impatient: None,  # noqa: ARG001 - a setting
    monkeypatch: pytest.MonkeyPatch,
    state: Any,
    status: int,
    text: str,
) -> None:
    """What became of it decides the exit status, and people are told where to look."""
    register(shop)
    start = remote._start

    def started(*args: Any) -> Any:
        run = start(*args)
        client.set_flow_run_state(run.id, state, force=True)
        return run

    monkeypatch.setattr(remote, "_start", started)
    said = shop("--json", "promote", "qa", "--remote")
    assert said.status == status, said
    assert text in trouble(said)["message"]
    assert status == 1 or trouble(said)["hint"]


def test_ctrl_c_ends_following_only(shop: Shop, client: SyncPrefectClient) -> None:
    """The run is not touched; its page is said."""
    register(shop)
    url = {"PREFECT_API_URL": str(client.api_url)}
    process = shop.start("promote", "qa", "--remote", **url)
    assert process.stderr is not None
    first = process.stderr.readline()
    assert "started http" in first
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    (run,) = runs(client)
    assert process.returncode == 130
    assert "not followed any more; the run goes on there: http" in rest
    assert str(run.id) in rest
    assert run.state_type is not None
    assert run.state_type.value == "SCHEDULED"


@pytest.mark.usefixtures("client")
def test_the_event_says_who_typed_it(shop: Shop) -> None:
    """And not who runs the worker."""
    register(shop)
    with Api() as api, prefect.worker():
        start = remote.promote(api, None, "shop", "qa", None, Asked(by="bob@example.com"))
        remote.follow(api, start, lambda _: None, lambda _: None)
    (event,) = shop("--json", "history", "qa", "--event", "promoted").json["events"]
    assert event["by"] == "bob@example.com"


def test_every_is_for_the_loop(shop: Shop) -> None:
    """2."""
    said = shop("run", "--remote", "--every", "5s")
    assert said.status == 2
    assert "promotion serve" in said.err


@pytest.mark.usefixtures("client")
def test_a_caller_of_another_version_is_told(shop: Shop) -> None:
    """What the side that serves does not know is refused, never left out."""
    register(shop)
    asked = {"remote": {"dry_run": True, "override": ["soak"]}}
    with Api() as api, prefect.worker():
        run = remote._start(api, "promote", None, "x", {"application": "shop", "environment": "qa", **asked})
        said = remote.follow(api, lambda: run, lambda _: None, lambda _: None)
    assert "`override`" in said["error"]["message"]


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("x", where="y", hint="z", problems=("a:1:1: b",)),
        RefusedError("x"),
        ContendedError("x", where="y"),
        as_bug(KeyError("x"), "shop"),
        PromotionError("x"),
    ],
    ids=lambda e: e.kind,
)
def test_errors_survive_the_way(error: PromotionError) -> None:
    """As JSON and back: the same kind, text and exit status."""
    back = of_data(json.loads(json.dumps(as_data(error))))
    assert (as_data(back), back.exit_status) == (as_data(error), error.exit_status)
