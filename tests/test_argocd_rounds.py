"""Promotions into environments that Argo CD deploys: what is recorded while it works, what counts, and what a command says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promotion.model import Environment, Health, Verify
from tests.support import elsewhere
from tests.support.argocd import application, changed, source, stamp
from tests.support.argoserver import ArgoServer, argo_server
from tests.support.shop import Shop
from tests.support.stage import Stage
from tests.test_house import fresh

Build = Callable[..., Stage]


@pytest.fixture
def argo() -> Iterator[ArgoServer]:
    with argo_server() as server:
        server.token = None
        yield server


def environment(argo: ArgoServer, name: str, before: str | None = None, **more: Any) -> Environment:
    settings = {"server": argo.url, "application": f"shop-{name}", "refresh": "annotate"}
    return elsewhere.watched("argocd", settings, name, before, **more)


class Cluster:
    """dev -> qa in Argo CD's hands, that does what a test says."""

    def __init__(self, build: Build, argo: ArgoServer, **qa: Any) -> None:
        self.argo = argo
        self.stage = build(environment(argo, "dev"), environment(argo, "qa", "dev", **qa))
        self.seconds = 100
        for name in ("dev", "qa"):
            self.deploy(name)

    def app(self, name: str, revision: str, **changes: Any) -> dict[str, Any]:
        mine = source(repoURL=self.stage.application.repository, targetRevision=f"env/{name}")
        made = application(revision, f"shop-{name}", spec__source=mine, status__sync__comparedTo__source=mine)
        return changed(made, **changes)

    def put(self, name: str, revision: str, **changes: Any) -> None:
        self.argo.put(self.app(name, revision, **changes))

    def deploy(self, name: str) -> None:
        """What the branch has now is synced, looked at after that, and well."""
        self.seconds += 10
        times = {
            "status__reconciledAt": stamp(self.seconds),
            "status__operationState__finishedAt": stamp(self.seconds - 5),
        }
        self.put(name, self.stage.tip(name), **times)


def test_a_change_is_promoted_and_verified_when_argo_cd_is_done_with_it(build: Build, argo: ArgoServer) -> None:
    """Asked to look after the push; progressing while it syncs; verified only after a look that came after the sync."""
    there = Cluster(build, argo)
    stage = there.stage
    before, commit, landed = elsewhere.promoted(stage, there.deploy)
    assert argo.asked[-1] == ("GET", "/api/v1/applications/shop-qa", {"refresh": "normal"})
    there.put("qa", landed, status__sync__status="OutOfSync", status__operationState__syncResult__revision=before)
    elsewhere.on_its_way(stage, landed)
    there.put("qa", landed, status__reconciledAt=stamp(9))
    elsewhere.on_its_way(stage, landed)
    elsewhere.arrives(stage, there.deploy, landed)
    assert stage.fact("dev", commit) is Health.HEALTHY


def test_what_ran_before_stays_well_on_record_while_the_next_one_is_on_its_way(build: Build, argo: ArgoServer) -> None:
    """Else a commit that was waited for would lose its place each time that somebody pushes."""
    there = Cluster(build, argo)
    stage = there.stage
    stage.round()
    before = stage.tip("dev")
    assert stage.fact("dev", before) is Health.HEALTHY
    after = stage.commit("dev", {"web": "2\n"})
    for changes in (
        {"metadata__annotations": {"argocd.argoproj.io/refresh": "normal"}},
        {"operation": {"sync": {"revision": after}}},
        {"status__conditions": [{"type": "ComparisonError", "message": "no answer"}]},
        {"status__sync__revision": "env/dev"},
    ):
        there.put("dev", before, **changes)
        stage.round()
        assert stage.fact("dev", before) is Health.HEALTHY, changes
        assert stage.fact("dev", after) is not Health.HEALTHY


def test_a_failed_sync_fails_the_verification_and_what_is_restored_is_healthy_in_the_end(
    build: Build, argo: ArgoServer
) -> None:
    """An invalid object: nothing was applied, the rollback is in sync at once, and the failure is not its own."""
    there = Cluster(build, argo, verify=Verify(on_failure="rollback"))
    stage = there.stage
    _, _, bad = elsewhere.promoted(stage, there.deploy)
    row = {"kind": "Deployment", "name": "web", "status": "SyncFailed", "message": "is invalid"}
    failed = {
        "phase": "Failed",
        "finishedAt": stamp(200),
        "message": "one or more objects failed to apply",
        "syncResult": {"revision": bad, "resources": [row]},
    }
    there.put("qa", bad, status__operationState=failed, status__sync__status="OutOfSync")
    restored = elsewhere.rolled_back(stage, bad)
    there.put("qa", restored, status__operationState=failed, status__reconciledAt=stamp(250))
    elsewhere.well(stage, restored)


def test_it_is_asked_again_while_its_revision_does_not_move(build: Build, argo: ArgoServer) -> None:
    """A request may be lost; more and more rarely, for one commit."""
    there = Cluster(build, argo)
    stage = there.stage
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    for _ in range(120):
        stage.round()
    assert len([query for _, _, query in argo.asked if query == {"refresh": "normal"}]) == 3


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, argo: ArgoServer) -> Shop:
    """qa is Argo CD's."""
    engine = {"type": "argocd", "server": argo.url, "application": "shop-qa"}
    made = Shop(tmp_path, qa={"engine": engine, "health": "engine"})
    mine = source(repoURL=str(made.origin.path))
    argo.put(application(made.tip("qa"), spec__source=mine, status__sync__comparedTo__source=mine))
    return made


def test_sync_is_for_loops_of_ours(shop: Shop) -> None:
    """What others deploy is left out, and refused when it is named."""
    elsewhere.is_no_loop_of_ours(shop, "argocd")


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"application": "shop-qaa"}, "no such Application `shop-qaa`; did you mean `shop-qa`?"),
        ({"application": "other"}, "the Application tracks `main`, but env/qa is the branch of qa"),
        ({"application": "foreign"}, "the Application deploys from https://git.example.com/else.git, not from"),
        ({"token_env": "ARGOCD_TOKEN"}, "no such variable"),
    ],
    ids=str,
)
def test_validate_online_says_what_is_wrong(shop: Shop, argo: ArgoServer, engine: dict[str, str], words: str) -> None:
    """Each in one line, and nothing is changed."""
    argo.put(application(name="other", spec__source=source(repoURL=str(shop.origin.path), targetRevision="main")))
    argo.put(application(name="foreign", spec__source=source(repoURL="https://git.example.com/else.git")))
    elsewhere.is_fault(elsewhere.told(shop, **engine), words)
    assert shop("validate", "--online").status == 2
    assert {method for method, _, _ in argo.asked} <= {"GET"}


def test_validate_online_with_an_expired_token(shop: Shop, argo: ArgoServer) -> None:
    argo.token = "another"
    assert "does not accept the token, if any (401): invalid session" in elsewhere.told(shop)["reason"]


@pytest.mark.parametrize(
    "engine",
    [
        None,
        {"type": "argocd", "context": "none", "application": "shop-qa"},
        {"type": "flux", "context": "none", "kustomization": "shop-qa"},
        {"type": "kubernetes", "context": "none", "namespace": "shop"},
    ],
    ids=lambda engine: engine["type"] if engine else "server",
)
def test_looking_loads_nothing_that_asks(shop: Shop, engine: dict[str, str] | None) -> None:
    """`status` and `plan` read Git: neither the judge of Applications, nor a library that speaks HTTP, nor the door to Kubernetes;
    nor whatever another verb is made of, nor, for a file that was read before, what judges its shape."""
    shop.round()
    if engine:
        shop.set("qa", engine=engine)
    shop("status")
    code = (
        "import sys\n"
        "from promotion.cli import main\n"
        "assert main() in (0, 3, 4)\n"
        "heavy = {'httpx', 'httpcore', 'promotion.kube', 'promotion.engines.argocd.fleet', 'jsonschema', 'rich', 'prefect',"
        " 'kubernetes', 'promotion.cli.act', 'promotion.cli.people', 'promotion.reconcile', 'promotion.watching'}\n"
        "from importlib.metadata import requires\n"
        "if not any(each.startswith('pydantic') for each in requires('typer')): heavy.add('pydantic')  # as 0.29 does\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    for verb in (["status"], ["plan", "qa"]):
        fresh(code, *verb, cwd=shop.folder)
