"""The engine `flux` on a real API server with Flux's real definitions; its controllers are the test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion.engines import flux as engine
from promotion.engines.flux.status import REQUESTED
from promotion.errors import ConfigError
from promotion.kube import DeniedError
from promotion.model import Health, Subject
from promotion.texts import iso
from tests.cluster.test_apiserver import deployment
from tests.support import flux
from tests.support.apiserver import CRDS, MERGE, ApiServer, until
from tests.support.flux import BRANCH, URL, WHEN, M, P, at, condition, failing, running

pytestmark = pytest.mark.cluster

PATHS = {
    "Kustomization": "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{}/kustomizations",
    "GitRepository": "/apis/source.toolkit.fluxcd.io/v1/namespaces/{}/gitrepositories",
    "OCIRepository": "/apis/source.toolkit.fluxcd.io/v1/namespaces/{}/ocirepositories",
    "HelmRelease": "/apis/helm.toolkit.fluxcd.io/v2/namespaces/{}/helmreleases",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}
READER = [
    {
        "apiGroups": ["kustomize.toolkit.fluxcd.io", "source.toolkit.fluxcd.io", "apps"],
        "resources": ["*"],
        "verbs": ["get", "list"],
    },
]


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace with Flux's objects in it, and what the engine says of them."""

    server: ApiServer
    namespace: str
    kubeconfig: Path

    def post(self, live: Mapping[str, Any]) -> None:
        """Creates it, and then writes its status as a controller does."""
        body = {key: value for key, value in live.items() if key != "status"}
        meta = {key: value for key, value in live["metadata"].items() if key != "generation"}
        with self.server.client() as client:
            path = PATHS[live["kind"]].format(self.namespace)
            client.post(path, json={**body, "metadata": {**meta, "namespace": self.namespace}}).raise_for_status()
        if live.get("status"):
            self.status(live)

    def status(self, live: Mapping[str, Any]) -> None:
        self.patch(live["kind"], live["metadata"]["name"], {"status": live["status"]}, "/status")

    def patch(self, kind: str, name: str, body: Mapping[str, Any], sub: str = "") -> None:
        with self.server.client() as client:
            path = f"{PATHS[kind].format(self.namespace)}/{name}{sub}"
            client.patch(path, content=json.dumps(body), headers={"Content-Type": MERGE}).raise_for_status()

    def get(self, kind: str, name: str = "shop") -> dict[str, Any]:
        with self.server.client() as client:
            found: dict[str, Any] = client.get(f"{PATHS[kind].format(self.namespace)}/{name}").raise_for_status().json()
        return found

    def settings(self, user: str = "admin") -> dict[str, Any]:
        return {
            "context": user,
            "kubeconfig": str(self.kubeconfig),
            "namespace": self.namespace,
            "kustomization": "shop",
            "refresh": "annotate",
        }

    @property
    def subject(self) -> Subject:
        return Subject("shop", "qa", M, URL, BRANCH, {})

    def seen(self, user: str = "admin") -> tuple[str | None, Health]:
        said = engine.observe(self.settings(user), self.subject)
        assert said.reading is not None
        return said.revision, said.reading.health


@pytest.fixture
def place(cluster: ApiServer, namespace: str, tmp_path: Path) -> Place:
    if not CRDS.is_dir():
        pytest.skip(f"no {CRDS}")
    return Place(cluster, namespace, cluster.kubeconfig(tmp_path / "kubeconfig"))


def test_a_whole_pass_as_flux_writes_it(place: Place) -> None:
    """Born, source fetched, begun, attempted, failed, tried again, ended; and then the next spec."""
    place.post({**flux.repository(P), "status": {}})
    place.post({**flux.kustomization(None), "status": {}})
    assert place.get("Kustomization")["status"] == {"observedGeneration": -1}
    assert place.seen() == (None, Health.PROGRESSING)
    place.status(flux.repository(M))
    assert place.seen() == (M, Health.PROGRESSING)
    born = {"observedGeneration": -1}
    place.status(flux.kustomization(None, *running(at(M)), status=born))
    assert place.seen() == (M, Health.PROGRESSING)
    place.status(flux.kustomization(None, *failing(), status=born))
    assert place.seen() == (M, Health.DEGRADED)
    place.status(flux.kustomization(None, *running(at(M)), status=born))
    assert place.seen() == (M, Health.PROGRESSING)
    place.status(flux.kustomization(M))
    assert place.seen() == (M, Health.HEALTHY)
    place.patch("Kustomization", "shop", {"spec": {"path": "./elsewhere"}})
    assert place.get("Kustomization")["metadata"]["generation"] == 2
    assert place.seen() == (M, Health.PROGRESSING)
    two = {"observedGeneration": 2}
    place.status(flux.kustomization(M, condition("Ready", "True", generation=2), status=two))
    assert place.seen() == (M, Health.HEALTHY)
    place.patch("Kustomization", "shop", {"spec": {"suspend": True}})
    assert place.seen() == (M, Health.SUSPENDED)


@pytest.mark.parametrize(("image", "well"), [("shop:1", True), ("broken:1", False)])
def test_what_flux_does_not_wait_for(place: Place, image: str, well: bool) -> None:
    """A real Deployment, as its controller brings it up; or not."""
    entry = [f"{place.namespace}_web_apps_Deployment"]
    place.post(flux.repository(M))
    place.post(flux.kustomization(M, spec={"wait": False}, entries=entry))
    assert place.seen() == (M, Health.MISSING)
    place.post(deployment("web", image))
    if well:
        until(lambda: place.seen() == (M, Health.HEALTHY))
    else:
        until(lambda: place.get("Deployment", "web")["status"].get("unavailableReplicas") == 2)
        assert place.seen()[1] is not Health.HEALTHY
    place.patch(
        "Deployment", "web", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "broken:2"}]}}}}
    )
    assert place.seen()[1] is not Health.HEALTHY


def test_a_release_that_flux_takes_for_current(place: Place) -> None:
    """A HelmRelease without a status under a Kustomization that waits."""
    place.post(flux.repository(M))
    place.post(flux.kustomization(M, entries=[f"{place.namespace}_web_helm.toolkit.fluxcd.io_HelmRelease"]))
    place.post({**flux.imaged(), "status": {}})
    assert place.seen() == (M, Health.PROGRESSING)
    place.post(flux.image())
    place.status(flux.imaged())
    assert place.seen() == (M, Health.HEALTHY)


def test_a_commit_that_changes_the_chart_only(place: Place) -> None:
    """The tag of an OCIRepository: its HelmRelease stays Ready, of its own generation, until helm-controller looks."""
    place.post(flux.repository(M))
    place.post(flux.kustomization(M, entries=[f"{place.namespace}_web_helm.toolkit.fluxcd.io_HelmRelease"]))
    place.post(flux.imaged())
    place.post(flux.image())
    assert place.seen() == (M, Health.HEALTHY)
    place.patch("OCIRepository", "web", {"spec": {"ref": {"tag": "1.1.0"}}})
    assert place.seen() == (M, Health.PROGRESSING)
    other = "sha256:" + "1" * 64
    fetched = {"observedGeneration": 2, "conditions": [condition("Ready", "True", generation=2)]}
    place.status(flux.changed(flux.image("1.1.0", other), **fetched))
    assert place.get("HelmRelease", "web")["metadata"]["generation"] == 1
    assert place.seen() == (M, Health.PROGRESSING)
    place.status(flux.imaged("1.1.0", other))
    assert place.seen() == (M, Health.HEALTHY)


def test_a_commit_that_changes_values_only(place: Place) -> None:
    """A ConfigMap: its HelmRelease is asked to look, and counts when it has."""
    place.post(flux.repository(M))
    entries = [f"{place.namespace}_web_helm.toolkit.fluxcd.io_HelmRelease", f"{place.namespace}_conf__ConfigMap"]
    place.post(flux.kustomization(M, entries=entries))
    with place.server.client() as client:
        path = f"/api/v1/namespaces/{place.namespace}/configmaps"
        client.post(path, json={"metadata": {"name": "conf"}, "data": {"values.yaml": "a: 1"}}).raise_for_status()
    place.post(flux.image())
    place.post(flux.imaged())
    assert place.seen() == (M, Health.HEALTHY)
    place.patch("HelmRelease", "web", {"spec": {"valuesFrom": [{"kind": "ConfigMap", "name": "conf"}]}})
    looked = {"observedGeneration": 2, "conditions": [condition("Ready", "True", generation=2)]}
    place.status(flux.changed(flux.imaged(), **looked))
    assert place.seen() == (M, Health.PROGRESSING)
    written = datetime.now(UTC)
    until(lambda: datetime.now(UTC) > written + timedelta(seconds=1), 10)  # not in the same second
    engine.refresh(place.settings(), place.subject)
    request = place.get("HelmRelease", "web")["metadata"]["annotations"][REQUESTED]
    assert place.seen() == (M, Health.PROGRESSING)
    place.status(flux.changed(flux.imaged(), **looked, lastHandledReconcileAt=request))
    assert place.seen() == (M, Health.HEALTHY)


def test_a_commit_that_removes_values(place: Place) -> None:
    """The HelmRelease still names them, and is Ready until its controller looks: with a Secret that was there, too."""
    place.post(flux.repository(M))
    entries = [f"{place.namespace}_web_helm.toolkit.fluxcd.io_HelmRelease"]

    def top(when: str) -> dict[str, Any]:
        """Since when what is applied is applied."""
        times = {"firstReconciled": when, "lastReconciled": when, "lastReconciledDuration": "1.5s"}
        word = {"lastReconciledStatus": "ReconciliationSucceeded", "totalReconciliations": 1}
        history = {"history": [{"digest": "sha256:1", **times, **word}]}
        return flux.kustomization(M, entries=entries, spec={"wait": False}, status=history)

    place.post(top(WHEN))
    place.post(flux.image())
    place.post(flux.imaged(spec={"valuesFrom": [{"kind": "ConfigMap", "name": "conf"}]}))
    assert place.seen() == (M, Health.PROGRESSING)
    with place.server.client() as client:
        path = f"/api/v1/namespaces/{place.namespace}/configmaps"
        client.post(path, json={"metadata": {"name": "conf"}, "data": {"values.yaml": "a: 1"}}).raise_for_status()
    assert place.seen() == (M, Health.HEALTHY)
    values = [{"kind": "Secret", "name": "passwords"}, {"kind": "ConfigMap", "name": "gone", "optional": True}]
    place.patch("HelmRelease", "web", {"spec": {"valuesFrom": values}})
    ready = condition("Ready", "True", generation=2)
    looked = flux.changed(flux.imaged(), observedGeneration=2, conditions=[ready])
    place.status(looked)
    assert place.seen() == (M, Health.HEALTHY)  # looked at long after all was applied
    place.status(top(iso(datetime.now(UTC) - timedelta(seconds=2))))
    assert place.seen() == (M, Health.PROGRESSING)
    engine.refresh(place.settings(), place.subject)
    request = place.get("HelmRelease", "web")["metadata"]["annotations"][REQUESTED]
    place.status(flux.changed(looked, lastHandledReconcileAt=request))
    assert place.seen() == (M, Health.HEALTHY)


def test_asking_flux_to_look_at_git(place: Place) -> None:
    """An annotation of ours, first on the source, which changes no generation."""
    place.post(flux.repository(P))
    place.post(flux.kustomization(P))
    engine.refresh(place.settings(), place.subject)
    asked = place.get("GitRepository")["metadata"]
    assert asked["generation"] == 1
    assert asked["annotations"][REQUESTED].endswith(f" promotion {M}")
    assert "annotations" not in place.get("Kustomization")["metadata"]
    merged = flux.changed(flux.repository(M), lastHandledReconcileAt=asked["annotations"][REQUESTED])
    place.status(merged)
    engine.refresh(place.settings(), place.subject)
    assert REQUESTED in place.get("Kustomization")["metadata"]["annotations"]


def test_rights(place: Place) -> None:
    """Reading takes get and list; asking Flux to look takes patch, and is refused without it; and so is everything to others."""
    place.post(flux.repository(P))
    place.post(flux.kustomization(P))
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{}"
    who = [{"kind": "User", "name": "somebody", "apiGroup": "rbac.authorization.k8s.io"}]
    ref = {"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
    with place.server.client() as client:
        client.post(
            rbac.format(place.namespace, "roles"), json={"metadata": {"name": "reader"}, "rules": READER}
        ).raise_for_status()
        binding = {"metadata": {"name": "reader"}, "subjects": who, "roleRef": ref}
        client.post(rbac.format(place.namespace, "rolebindings"), json=binding).raise_for_status()
    until(lambda: _allowed(place))
    assert place.seen("somebody") == (P, Health.HEALTHY)
    with pytest.raises(DeniedError, match="GitRepository"):
        engine.refresh(place.settings("somebody"), place.subject)
    with pytest.raises(DeniedError, match="Kustomization"):
        place.seen("outsider")


def _allowed(place: Place) -> bool:
    with place.server.client("somebody") as client:
        return client.get(PATHS["Kustomization"].format(place.namespace)).is_success


def test_one_that_is_not_there(place: Place) -> None:
    """Nearest, and in one line."""
    place.post(flux.kustomization(M, name="shop-db"))
    with pytest.raises(ConfigError, match=r"there is no Kustomization .*; did you mean `shop-db`\?"):
        engine.observe({**place.settings(), "kustomization": "shop-bd"}, place.subject)
