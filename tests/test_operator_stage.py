"""Our operator in a pipeline: a change arrives, a bad one fails its verification at once, what a person changes is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from promotion import ledger
from promotion.model import Environment, Health, Spec, Verify
from tests.support.kubestub import Fault, KubeStub
from tests.support.stage import WELL, Stage, environment

NS = "shop"
WEB = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {version: '%s'}\n"


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path, tls=False) as stub:
        yield stub


@pytest.fixture
def stage(tmp_path: Path, stub: KubeStub) -> Iterator[Stage]:
    folder = tmp_path / "stage"
    settings = {"context": "stub", "kubeconfig": str(stub.kubeconfig()), "namespace": NS, "path": "k8s"}
    dev, verify = environment(folder, "dev"), Verify()
    prod = Environment("prod", "env/prod", "dev", engine=Spec("kubernetes", settings), engine_says=True, verify=verify)
    stage = Stage.create(folder, [dev, prod], {**WELL, "k8s/web.yaml": WEB % 1})
    yield stage
    stage.close()


def test_what_waits_is_no_fault_and_is_looked_at_again_soon(
    stage: Stage, stub: KubeStub, caplog: pytest.LogCaptureFixture
) -> None:
    """It says what it waits for: once in the log, and whenever it is observed. What has no answer is a fault."""
    caplog.set_level("INFO")
    stage.round()
    stub.change("ConfigMap", "web", NS, {"metadata": {"deletionTimestamp": "2026-11-28T20:00:00Z"}})
    stage.commit("prod", {"k8s/web.yaml": WEB % 2})
    for seconds in (0, 1, 6):
        stage.wait(seconds=seconds)
        done = stage.round()
        assert (done.errors, done.world.unread) == ((), {})
        seen = done.world.observations["prod"]
        assert seen.health is Health.PROGRESSING
        assert "ConfigMap/shop/web: is being deleted" in seen.reasons[0]
    assert (
        len([line for line in caplog.messages if "is not all there yet: k8s/web.yaml: ConfigMap/shop/web" in line]) == 1
    )
    stub.remove("ConfigMap", "web", NS)
    stub.faults.append(Fault(f"PATCH /api/v1/namespaces/{NS}/configmaps/web", status=500))
    stage.wait(seconds=6)
    (error,) = stage.round().errors
    assert "prod: " in str(error)
    assert "could not be deployed: k8s/web.yaml: ConfigMap/shop/web: cannot apply" in str(error)
    assert error.exit_status == 75
    stub.faults.clear()
    stage.wait(seconds=31)
    done = stage.round()
    assert (done.errors, version(stub), stage.site.late) == ((), "2", {})


def version(stub: KubeStub) -> str:
    return (stub.find("ConfigMap", "web", NS) or {"data": {"version": ""}})["data"]["version"]


def test_a_change_arrives_and_a_bad_one_fails_its_verification(stage: Stage, stub: KubeStub) -> None:
    """Which does not have to wait for its end; what runs goes on running."""
    stage.round()
    stage.commit("dev", {"k8s/web.yaml": WEB % 2})
    for _ in range(3):
        stage.round()
    assert (version(stub), stage.events()[-1]) == ("2", "verified prod")
    stage.commit("dev", {"k8s/more.yaml": "kind: ConfigMap\n"})
    for _ in range(3):
        stage.round()
    assert (version(stub), stage.events()[-1]) == ("2", "failed prod")


def test_what_a_person_changed_is_recorded_with_their_tool(stage: Stage, stub: KubeStub) -> None:
    """By the orchestrator's next round, once."""
    stage.round()
    stub.change("ConfigMap", "web", NS, {"data": {"version": "9"}}, "kubectl-edit")
    stage.sync("prod")
    for _ in range(2):
        stage.round()
    assert (version(stub), stage.events().count("reverted prod")) == ("1", 1)
    stage.world()
    found = ledger.events(stage.site.repository, stage.origin.refs()[stage.application.ledger])
    data = next(event.data for _, event in found if event.event == "reverted")
    assert (data["paths"], data["managers"]) == (["ConfigMap/shop/web:.data.version"], ["kubectl-edit"])
