"""The main job, once on each engine: dev on Flux, qa on Argo CD, prod on our operator; only what truly runs well moves on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Server, Serving, until
from tests.support.apiserver import CRDS, ApiServer
from tests.support.controllers import APPLICATIONS, KUSTOMIZATIONS, REPOSITORIES, at_work
from tests.support.git import Origin
from tests.support.shop import Said, Shop

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(not CRDS.is_dir(), reason=f"no {CRDS}")]

URL = "https://git.example.com/deploy/shop.git"
"""How Argo CD and Flux call the repository."""
BRANCHES = {"dev": "env/dev", "qa": "env/qa", "prod": "env/prod"}


def manifests(image: str) -> str:
    """A Deployment and a ConfigMap that says the same: sync alone moves neither."""
    pod = {"containers": [{"name": "main", "image": image}], "terminationGracePeriodSeconds": 0}
    labels = {"app": "shop"}
    spec = {
        "replicas": 2,
        "progressDeadlineSeconds": 20,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"}, "spec": spec}
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"image": image}}
    return "\n---\n".join(json.dumps(one) for one in (data, deployment))


@dataclass
class Stage:
    """A file, a repository, and the three namespaces of a cluster that its environments are."""

    cluster: ApiServer
    shop: Shop
    origin: Origin
    namespace: str

    def place(self, environment: str) -> str:
        return f"{self.namespace}-{environment}"

    def push(self, image: str) -> str:
        return self.origin.commit(BRANCHES["dev"], {"app.yaml": manifests(image)}, message=f"run {image}")

    def tips(self) -> dict[str, str]:
        return {name: self.origin.tip(branch) for name, branch in BRANCHES.items()}

    def runs(self, environment: str) -> tuple[str, bool]:
        """The image that is meant to run in an environment, and whether all of it does and nothing else."""
        with self.cluster.client() as client:
            path = f"/apis/apps/v1/namespaces/{self.place(environment)}/deployments/shop"
            found = client.get(path)
            if found.status_code == 404:
                return "", False
            live = found.raise_for_status().json()
            pods = client.get(f"/api/v1/namespaces/{self.place(environment)}/pods").raise_for_status().json()["items"]
        image = live["spec"]["template"]["spec"]["containers"][0]["image"]
        running = [p["spec"]["containers"][0]["image"] for p in pods if _ready(p)]
        return image, running.count(image) == 2

    def image(self, environment: str) -> str:
        """What the branch says."""
        text = self.origin.show(BRANCHES[environment], "app.yaml") or ""
        return str(json.loads(text.split("\n---\n")[0])["data"]["image"])

    def round(self) -> Said:
        """One, and a look at whatever it let through: that ran, and was well, in the environment that it came from."""
        before = self.tips()
        said = self.shop("--json", "run")
        after = self.tips()
        for source, target in (("dev", "qa"), ("qa", "prod")):
            if before[target] != after[target]:
                assert self.runs(source) == (self.image(target), True), said
        return said

    def until(self, image: str, environment: str, seconds: float = 200.0) -> None:
        """Rounds until an environment's branch and its namespace have that image."""
        end, said = time.monotonic() + seconds, None
        while self.image(environment) != image or self.runs(environment) != (image, True):
            assert time.monotonic() < end, (self.tips(), said, self.shop("status", "--live"))
            said = self.round()
            time.sleep(0.5)


def _ready(pod: dict[str, Any]) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])


@pytest.fixture
def stage(cluster: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Stage]:
    """Everything set up, and nothing deployed yet."""
    shop = Shop(tmp_path)
    origin = Origin.create(tmp_path / "deploy.git", BRANCHES.values(), {"app.yaml": manifests("shop:1")})
    stage = Stage(cluster, shop, origin, namespace)
    access = {"kubeconfig": str(cluster.kubeconfig(tmp_path / "kubeconfig")), "context": "admin"}
    engines: dict[str, dict[str, Any]] = {
        "dev": {"type": "flux", "kustomization": "shop", "namespace": namespace, "repository": URL},
        "qa": {"type": "argocd", "application": "shop-qa", "namespace": namespace, "repository": URL},
        "prod": {"type": "kubernetes", "namespace": stage.place("prod")},
    }
    shop.top["repository"] = str(origin.path)
    for name, engine in engines.items():
        shop.set(name, engine={**engine, **access}, health="engine")
    with cluster.client() as client:
        for name in BRANCHES:
            client.post("/api/v1/namespaces", json={"metadata": {"name": stage.place(name)}}).raise_for_status()
        for path, body in objects(stage):
            client.post(path.format(namespace), json=body).raise_for_status()
    with at_work(cluster, origin, namespace), operator(shop):
        yield stage


def objects(stage: Stage) -> Iterator[tuple[str, dict[str, Any]]]:
    """What people write for Flux and for Argo CD."""
    source = {"interval": "1m", "url": URL, "ref": {"branch": BRANCHES["dev"]}}
    group = "toolkit.fluxcd.io/v1"
    yield REPOSITORIES, _object(f"source.{group}", "GitRepository", "shop", source)
    reference = {"kind": "GitRepository", "name": "shop"}
    kustomization = {"interval": "10m", "prune": True, "wait": True, "sourceRef": reference}
    kustomization["targetNamespace"] = stage.place("dev")
    yield KUSTOMIZATIONS, _object(f"kustomize.{group}", "Kustomization", "shop", kustomization)
    application = {
        "project": "default",
        "source": {"repoURL": URL, "path": ".", "targetRevision": BRANCHES["qa"]},
        "destination": {"server": "https://cluster.example.com", "namespace": stage.place("qa")},
        "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
    }
    yield APPLICATIONS, _object("argoproj.io/v1alpha1", "Application", "shop-qa", application)


def _object(api_version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


@contextmanager
def operator(shop: Shop) -> Iterator[None]:
    """`promotion sync prod`, a process of its own."""
    command = [sys.executable, "-m", "promotion.cli", "-c", str(shop.file), "sync", "prod", "--every", "1s"]
    log = shop.folder / "operator.log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(60)


def test_a_change_walks_from_flux_by_argo_cd_to_our_operator(stage: Stage) -> None:
    """A good one arrives; one that never gets well goes no further than dev; the next one that is well takes its place."""
    stage.until("shop:1", "prod")
    stage.push("shop:2")
    stage.until("shop:2", "prod")
    assert stage.runs("dev") == stage.runs("qa") == ("shop:2", True)
    assert {stage.image(name) for name in BRANCHES} == {"shop:2"}

    bad, before = stage.push("broken:3"), stage.tips()
    end = time.monotonic() + 200
    while (dev := _environment(stage, "dev"))["health"] != "degraded":
        assert time.monotonic() < end, dev
        stage.round()
    assert dev["deployed"] == bad
    assert stage.runs("dev") == ("broken:3", False)
    for _ in range(3):
        stage.round()
    assert stage.tips() == before

    stage.push("shop:4")
    stage.until("shop:4", "prod")
    events = [event for event in stage.shop.events() if event.startswith("promoted")]
    assert events == ["promoted qa", "promoted prod"] * 2


def test_the_same_as_runs_of_prefect(stage: Stage, server: Server, serve: Callable[..., Serving]) -> None:
    """`promotion serve` on a real server: each hop is a run, started once what it takes is truly well where it comes from."""
    serve(stage.shop)
    commit = stage.push("shop:2")
    until(lambda: stage.image("prod") == "shop:2" and stage.runs("prod") == ("shop:2", True), 200)
    tips = stage.tips()
    expected = {
        f"shop: qa <- dev {commit[:7]}": f"promoted {tips['qa'][:7]}",
        f"shop: prod <- qa {tips['qa'][:7]}": f"promoted {tips['prod'][:7]}",
    }
    until(lambda: server.states("shop") == expected, 120)
    assert stage.runs("dev") == stage.runs("qa") == ("shop:2", True)


def _environment(stage: Stage, name: str) -> dict[str, Any]:
    said = stage.shop("--json", "status", name, "--live").json
    (found,) = said["applications"][0]["environments"]
    return dict(found)
