"""That the cluster of these tests is one: its controllers work, its pods run, its users have no rights, it comes back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.apiserver import CRDS, ApiServer, until

pytestmark = pytest.mark.cluster


def deployment(name: str, image: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(("image", "available"), [("shop:1", 2), ("broken:1", 0)])
def test_a_deployment_rolls_out_unless_its_image_is_broken(
    cluster: ApiServer, namespace: str, image: str, available: int
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    pods = f"/api/v1/namespaces/{namespace}/pods"
    with cluster.client() as client:
        client.post(path, json=deployment("web", image)).raise_for_status()
        until(lambda: [p for p in client.get(pods).json()["items"] if p["status"].get("containerStatuses")][1:])
        until(lambda: client.get(f"{path}/web").json()["status"].get("availableReplicas", 0) == available)


def test_whoever_was_given_no_rights_has_none(cluster: ApiServer, namespace: str) -> None:
    with cluster.client("outsider") as client:
        assert client.get(f"/api/v1/namespaces/{namespace}/configmaps").status_code == 403


def test_the_definitions_are_there(cluster: ApiServer) -> None:
    if not CRDS.is_dir():
        pytest.skip(f"no {CRDS}")
    with cluster.client() as client:
        assert client.get("/apis/argoproj.io/v1alpha1/applications").is_success
        assert client.get("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations").is_success


def test_it_comes_back_with_all_that_it_had(cluster: ApiServer, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}}
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    with cluster.client() as client:
        client.post(path, json=body).raise_for_status()
    cluster.kill_apiserver()
    cluster.run_apiserver()
    with cluster.client() as client:
        assert client.get(f"{path}/kept").json()["data"] == {"a": "b"}
