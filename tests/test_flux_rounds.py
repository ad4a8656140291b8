"""Promotions into environments that Flux deploys: what is recorded while it works, what counts, and what a command says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promotion.model import Environment, Health, Verify
from tests.support import elsewhere, flux
from tests.support.flux import at, condition, failing, running
from tests.support.kubestub import KubeStub
from tests.support.shop import Shop
from tests.support.stage import Stage

Build = Callable[..., Stage]
QA = {"type": "flux", "context": "stub", "kustomization": "shop-qa"}


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with KubeStub(folder) as made:
        yield made


class Cluster:
    """dev -> qa in Flux's hands, that does what a test says."""

    def __init__(self, build: Build, stub: KubeStub, **qa: Any) -> None:
        self.stub = stub
        self.stage = build(self.environment("dev"), self.environment("qa", "dev", **qa))
        for name in ("dev", "qa"):
            self.deploy(name)

    def environment(self, name: str, before: str | None = None, **more: Any) -> Environment:
        settings = {"context": "stub", "kubeconfig": str(self.stub.kubeconfig()), "kustomization": f"shop-{name}"}
        return elsewhere.watched("flux", {**settings, "refresh": "annotate"}, name, before, **more)

    def source(self, name: str, commit: str, *conditions: dict[str, Any]) -> None:
        spec = {"url": self.stage.application.repository, "ref": {"branch": f"env/{name}"}}
        self.stub.put(flux.repository(commit, *conditions, name=f"shop-{name}", spec=spec))

    def put(self, name: str, applied: str | None, *conditions: dict[str, Any], **more: Any) -> None:
        spec = {"sourceRef": {"kind": "GitRepository", "name": f"shop-{name}"}, **more.pop("spec", {})}
        self.stub.put(flux.kustomization(applied, *conditions, name=f"shop-{name}", spec=spec, **more))

    def deploy(self, name: str) -> None:
        """What the branch has now is fetched, applied, and well."""
        self.source(name, self.stage.tip(name))
        self.put(name, self.stage.tip(name))


def test_a_change_is_promoted_and_verified_when_flux_is_done_with_it(build: Build, stub: KubeStub) -> None:
    """The source is asked to look after the push; progressing while it is applied; verified when it is applied and well."""
    there = Cluster(build, stub)
    stage = there.stage
    before, commit, landed = elsewhere.promoted(stage, there.deploy)
    assert stub.requests("PATCH")[-1].path.endswith("/gitrepositories/shop-qa")
    stage.round()
    assert stage.fact("qa", before) is Health.HEALTHY
    there.source("qa", landed)
    for conditions, attempted in ((running(at(landed, "env/qa")), before), (running(at(landed, "env/qa")), landed)):
        there.put("qa", before, *conditions, attempted=attempted)
        elsewhere.on_its_way(stage, landed)
    elsewhere.arrives(stage, there.deploy, landed)
    assert stage.fact("dev", commit) is Health.HEALTHY


def test_what_ran_before_stays_well_on_record_while_the_next_one_is_on_its_way(build: Build, stub: KubeStub) -> None:
    """Else a commit that was waited for would lose its place each time that somebody pushes."""
    there = Cluster(build, stub)
    stage = there.stage
    stage.round()
    before, after = stage.tip("dev"), stage.commit("dev", {"web": "2\n"})
    for fetched, conditions, more in (
        (before, [condition("Ready", "False", "GitOperationFailed", "no answer")], {}),
        (after, [], {}),
        (after, [], {"conditions": running(at(after, "env/dev"))}),
        (after, [], {"conditions": running(at(after, "env/dev")), "attempted": after}),
        (after, [], {"conditions": [condition("Ready", "False", "DependencyNotReady", "infra")]}),
        (after, [], {"conditions": [condition("Ready", "False", "HealthCheckCanceled", "x")], "attempted": after}),
        (after, [], {"conditions": failing("ArtifactFailed", "timeout")}),
    ):
        there.source("dev", fetched, *conditions)
        there.put("dev", before, *more.pop("conditions", []), **more)
        stage.round()
        assert stage.fact("dev", before) is Health.HEALTHY
        assert stage.fact("dev", after) is not Health.HEALTHY


def test_a_failed_commit_fails_the_verification_and_what_is_restored_does_not_inherit_it(
    build: Build, stub: KubeStub
) -> None:
    """Failed at the commit itself; the restored one is on its way while Flux still shows that failure, and then verified."""
    there = Cluster(build, stub, verify=Verify(on_failure="rollback"))
    stage = there.stage
    before, _, bad = elsewhere.promoted(stage, there.deploy)
    there.source("qa", bad)
    there.put("qa", before, *failing(), attempted=bad)
    restored = elsewhere.rolled_back(stage, bad)
    there.source("qa", restored)
    elsewhere.on_its_way(stage, restored)
    assert stage.events().count("failed qa") == 1
    elsewhere.arrives(stage, there.deploy, restored)


def test_the_failure_of_the_commit_before_fails_no_promotion(build: Build, stub: KubeStub) -> None:
    """Neither while the source has not fetched the promoted one, nor when it has."""
    there = Cluster(build, stub)
    stage = there.stage
    stage.round()
    before = stage.tip("qa")
    there.put("qa", "0" * 40, *failing(), attempted=before)
    stage.round()
    assert stage.health("qa") == (before, Health.DEGRADED)
    _, _, landed = elsewhere.promoted(stage, there.deploy)
    stage.round()
    there.source("qa", landed)
    elsewhere.on_its_way(stage, landed)
    assert "failed qa" not in stage.events()
    elsewhere.arrives(stage, there.deploy, landed)


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, stub: KubeStub) -> Shop:
    """qa is Flux's."""
    made = Shop(tmp_path, qa={"engine": {**QA, "kubeconfig": str(stub.kubeconfig())}, "health": "engine"})
    stub.put(flux.repository(made.tip("qa"), name="shop-qa", spec={"url": str(made.origin.path)}))
    for name in ("shop-qa", "paused"):
        spec = {"sourceRef": {"kind": "GitRepository", "name": "shop-qa"}, "suspend": name == "paused"}
        stub.put(flux.kustomization(made.tip("qa"), name=name, spec=spec))
    for name, more in (("main", {"ref": {"branch": "main"}}), ("foreign", {"url": "https://git.example.com/else.git"})):
        stub.put(flux.repository(name=name, spec={"url": str(made.origin.path), **more}))
        stub.put(flux.kustomization(name=name, spec={"sourceRef": {"kind": "GitRepository", "name": name}}))
    return made


def test_sync_is_for_loops_of_ours(shop: Shop) -> None:
    """What others deploy is left out, and refused when it is named."""
    elsewhere.is_no_loop_of_ours(shop, "flux")


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"kustomization": "shop-qaa"}, "there is no Kustomization flux-system/shop-qaa; did you mean `shop-qa`?"),
        ({"kustomization": "main"}, "it follows branch `main`, but env/qa is the branch of qa"),
        ({"kustomization": "foreign"}, "its content comes from https://git.example.com/else.git, not from"),
        ({"context": "stab"}, "did you mean `stub`?"),
    ],
    ids=str,
)
def test_validate_online_says_what_is_wrong(shop: Shop, stub: KubeStub, engine: dict[str, str], words: str) -> None:
    """Each in one line, and nothing is changed."""
    elsewhere.is_fault(elsewhere.told(shop, **engine), words)
    assert {each.method for each in stub.asked} <= {"GET"}


def test_validate_online_where_flux_is_suspended(shop: Shop) -> None:
    """A note: somebody may want it so."""
    assert elsewhere.told(shop)["verdict"] == "ok"
    found = elsewhere.told(shop, kustomization="paused")
    assert found["verdict"] == "note"
    assert "suspended: Kustomization flux-system/paused: suspended" in found["reason"]


def test_validate_online_where_flux_is_not_installed(shop: Shop, stub: KubeStub) -> None:
    """Its definitions are not there."""
    del stub.kinds["kustomize.toolkit.fluxcd.io/v1", "Kustomization"]
    found = elsewhere.told(shop)
    elsewhere.is_fault(found, "knows no Kustomization of kustomize.toolkit.fluxcd.io/v1")
    assert "is its CRD installed?" in found["reason"]


def test_validate_online_says_where_only_time_proves_a_commit(shop: Shop, stub: KubeStub) -> None:
    """Values in a Secret of a fixed name, applied by the same Kustomizations or not: one line, with the remedy."""
    tip, settings = shop.tip("qa"), shop.settings["qa"]["engine"]
    entries = ["flux-system_web_helm.toolkit.fluxcd.io_HelmRelease", "flux-system_gen-2g5k7h9mtc__Secret"]
    spec = {"sourceRef": {"kind": "GitRepository", "name": "shop-qa"}}
    stub.remove("Kustomization", "shop-qa", "flux-system")
    stub.put(flux.kustomization(tip, name="shop-qa", spec=spec, entries=entries))
    stub.put(flux.image())

    def advised(*names: str, **engine: str) -> list[tuple[str, str]]:
        stub.put(flux.imaged(spec={"valuesFrom": [{"kind": "Secret", "name": name} for name in names]}))
        shop.set("qa", engine={**settings, **engine})
        rows = [row for row in shop("--json", "validate", "--online").json["checks"] if row["what"] == "qa"]
        assert {row["verdict"] for row in rows} <= {"ok", "note"}
        return [(row["reason"], row["fix"]) for row in rows if row["fix"]]

    ((why, fix),) = advised("passwords", "gen-2g5k7h9mtc")
    assert "20 minutes late, or later: values are in Secrets of fixed names: passwords of HelmRelease" in why
    assert "gen-" not in why
    assert "write `refresh: annotate` into the engine" in fix
    assert "d, and 1 more" in advised("a", "b", "c", "d")[0][0].replace("flux-system/web", "d")
    assert advised("gen-2g5k7h9mtc") == []
    assert advised("passwords", refresh="annotate") == []
