"""Promotions into environments that Flux deploys: what is recorded while it works, what counts, and what a command says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promotion.model import Environment, Health, Spec, Verify
from tests.support import flux
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
        settings["refresh"] = "annotate"
        deciding = {"branch": f"env/{name}", "health": "engine", **({"from": before} if before else {})}
        engine = Spec("flux", settings)
        return Environment(name, f"env/{name}", before, engine=engine, engine_says=True, deciding=deciding, **more)

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

    def health(self, name: str) -> tuple[str, Health]:
        """What is on record of an environment now."""
        observed = self.stage.world().state.of(name).observed
        assert observed is not None
        return observed.revision or "", observed.health

    def fact(self, name: str, commit: str) -> Health | None:
        fact = self.stage.world().state.of(name).facts.get(commit)
        return fact.health if fact else None


def test_a_change_is_promoted_and_verified_when_flux_is_done_with_it(build: Build, stub: KubeStub) -> None:
    """The source is asked to look after the push; progressing while it is applied; verified when it is applied and well."""
    there = Cluster(build, stub)
    stage = there.stage
    stage.round()
    before, commit = stage.tip("qa"), stage.commit("dev", {"web": "2\n"})
    assert stage.round().hops == ()
    there.deploy("dev")
    (hop,) = stage.round().hops
    landed = stage.tip("qa")
    assert hop.commit == landed
    assert stub.requests("PATCH")[-1].path.endswith("/gitrepositories/shop-qa")
    stage.round()
    assert there.fact("qa", before) is Health.HEALTHY
    there.source("qa", landed)
    for conditions, attempted in ((running(at(landed, "env/qa")), before), (running(at(landed, "env/qa")), landed)):
        there.put("qa", before, *conditions, attempted=attempted)
        stage.round()
        assert there.health("qa") == (landed, Health.PROGRESSING)
        assert "verified qa" not in stage.events()
    there.deploy("qa")
    stage.round()
    assert there.health("qa") == (landed, Health.HEALTHY)
    assert stage.events()[-1] == "verified qa"
    assert there.fact("dev", commit) is Health.HEALTHY


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
        assert there.fact("dev", before) is Health.HEALTHY
        assert there.fact("dev", after) is not Health.HEALTHY


def test_a_failed_commit_fails_the_verification_and_what_is_restored_does_not_inherit_it(
    build: Build, stub: KubeStub
) -> None:
    """Failed at the commit itself; the restored one is on its way while Flux still shows that failure, and then verified."""
    there = Cluster(build, stub, verify=Verify(on_failure="rollback"))
    stage = there.stage
    stage.round()
    before = stage.tip("qa")
    stage.commit("dev", {"web": "2\n"})
    there.deploy("dev")
    stage.round()
    bad = stage.tip("qa")
    there.source("qa", bad)
    there.put("qa", before, *failing(), attempted=bad)
    stage.round()
    restored = stage.tip("qa")
    assert restored != bad
    assert "failed qa" in stage.events()
    there.source("qa", restored)
    stage.round()
    assert there.health("qa") == (restored, Health.PROGRESSING)
    assert stage.events().count("failed qa") == 1
    there.deploy("qa")
    stage.round()
    assert there.health("qa") == (restored, Health.HEALTHY)
    assert stage.events()[-1] == "verified qa"


def test_the_failure_of_the_commit_before_fails_no_promotion(build: Build, stub: KubeStub) -> None:
    """Neither while the source has not fetched the promoted one, nor when it has."""
    there = Cluster(build, stub)
    stage = there.stage
    stage.round()
    before = stage.tip("qa")
    there.put("qa", "0" * 40, *failing(), attempted=before)
    stage.round()
    assert there.health("qa") == (before, Health.DEGRADED)
    stage.commit("dev", {"web": "2\n"})
    there.deploy("dev")
    stage.round()
    landed = stage.tip("qa")
    assert landed != before
    stage.round()
    there.source("qa", landed)
    stage.round()
    assert there.health("qa") == (landed, Health.PROGRESSING)
    assert "failed qa" not in stage.events()
    there.deploy("qa")
    stage.round()
    assert stage.events()[-1] == "verified qa"


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


def row(shop: Shop, **engine: Any) -> dict[str, Any]:
    """What `validate --online` says of qa."""
    shop.set("qa", engine={**shop.settings["qa"]["engine"], **engine})
    (found,) = [row for row in shop("--json", "validate", "--online").json["checks"] if row["what"] == "qa"]
    assert isinstance(found, dict)
    return found


def test_sync_is_for_loops_of_ours(shop: Shop) -> None:
    """What others deploy is left out, and refused when it is named."""
    said = shop("sync", "qa")
    assert said.status == 2
    assert "qa: flux deploys it, and no sync loop of ours" in said.err


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
    found = row(shop, **engine)
    assert found["verdict"] == "fault"
    assert words in found["reason"]
    assert found["fix"]
    assert {each.method for each in stub.asked} <= {"GET"}


def test_validate_online_where_flux_is_suspended(shop: Shop) -> None:
    """A note: somebody may want it so."""
    assert row(shop)["verdict"] == "ok"
    found = row(shop, kustomization="paused")
    assert found["verdict"] == "note"
    assert "suspended: Kustomization flux-system/paused: suspended" in found["reason"]


def test_validate_online_where_flux_is_not_installed(shop: Shop, stub: KubeStub) -> None:
    """Its definitions are not there."""
    del stub.kinds["kustomize.toolkit.fluxcd.io/v1", "Kustomization"]
    found = row(shop)
    assert found["verdict"] == "fault"
    assert "knows no Kustomization of kustomize.toolkit.fluxcd.io/v1" in found["reason"]
    assert "is its CRD installed?" in found["reason"]
