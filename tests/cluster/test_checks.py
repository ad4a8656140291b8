"""The check `kubernetes` on a real API server: rollouts that are on their way, ill and well, and since when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promotion.checks import kubernetes
from promotion.model import Health, Reading, Subject
from tests.cluster.test_apiserver import deployment
from tests.support.apiserver import MERGE, ApiServer, until

pytestmark = pytest.mark.cluster


def ask(cluster: ApiServer, folder: Path, namespace: str, *objects: str, user: str = "admin", **more: Any) -> Reading:
    settings = {"context": user, "namespace": namespace, "objects": list(objects)}
    settings |= {key.rstrip("_"): value for key, value in more.items()}
    environ = {"KUBECONFIG": str(cluster.kubeconfig(folder / "kubeconfig"))}
    return kubernetes.ask(settings, Subject("shop", "qa", "1" * 40, environ=environ))


def create(cluster: ApiServer, namespace: str, body: dict[str, Any]) -> str:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    with cluster.client() as client:
        client.post(path, json=body).raise_for_status()
    return f"{path}/{body['metadata']['name']}"


def test_a_rollout(cluster: ApiServer, namespace: str, tmp_path: Path) -> None:
    """Missing, on its way, well; then well for a while, until anything is changed; then broken."""
    assert ask(cluster, tmp_path, namespace, "deployment/web").health is Health.MISSING
    path = create(cluster, namespace, deployment("web", "shop:1"))
    until(
        lambda: ask(cluster, tmp_path, namespace, "deployment/web") == Reading(Health.HEALTHY, "deployment/web healthy")
    )
    young = ask(cluster, tmp_path, namespace, "deployment/web", for_="1h")
    assert (young.health, young.reason[-6:]) == (Health.PROGRESSING, " of 1h")
    until(lambda: ask(cluster, tmp_path, namespace, "deployments.apps/web", for_="3s").health is Health.HEALTHY)
    with cluster.client() as client:
        body = b'{"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "shop:2"}]}}}}'
        client.patch(path, content=body, headers={"Content-Type": MERGE}).raise_for_status()
        # What the rollout writes is younger, whatever it is: well again is not yet well for long.
        until(lambda: ask(cluster, tmp_path, namespace, "deployment/web").health is Health.HEALTHY)
        assert ask(cluster, tmp_path, namespace, "deployment/web", for_="1h").health is Health.PROGRESSING
        broken = body.replace(b"shop:2", b"broken:3")
        client.patch(path, content=broken, headers={"Content-Type": MERGE}).raise_for_status()
        assert ask(cluster, tmp_path, namespace, "deployment/web").health is not Health.HEALTHY


def test_a_pod_that_falls_ill_begins_the_while_anew(cluster: ApiServer, namespace: str, tmp_path: Path) -> None:
    """Each write to the status is one, though the generation stays and it is well before and after."""
    create(cluster, namespace, deployment("web", "shop:1"))
    until(lambda: ask(cluster, tmp_path, namespace, "deployment/web", for_="4s").health is Health.HEALTHY)
    with cluster.client() as client:
        pods = f"/api/v1/namespaces/{namespace}/pods"
        name = client.get(pods).json()["items"][0]["metadata"]["name"]
        client.delete(f"{pods}/{name}").raise_for_status()
    until(lambda: ask(cluster, tmp_path, namespace, "deployment/web", for_="4s").health is not Health.HEALTHY)
    until(lambda: ask(cluster, tmp_path, namespace, "deployment/web", for_="4s").health is Health.HEALTHY)


def test_whoever_may_not_look_sees_nothing(cluster: ApiServer, namespace: str, tmp_path: Path) -> None:
    """Not that it is missing: unknown."""
    create(cluster, namespace, deployment("web", "shop:1"))
    reading = ask(cluster, tmp_path, namespace, "deployment/web", user="outsider")
    assert reading.health is Health.UNKNOWN
    assert "403" in reading.reason or "may not" in reading.reason


@pytest.mark.parametrize(
    ("written", "health"),
    [
        ("configmap/kube-root-ca.crt", Health.MISSING),  # its controller is not started here
        ("rollouts.argoproj.io/web", Health.MISSING),
        ("v1/Pod/x", Health.MISSING),
        ("clusterrole/cluster-admin", Health.HEALTHY),  # it is there, and there is nothing else to it
        ("event/x", Health.MISSING),  # a kind of two groups, one of which is the core
        ("gadget/x", Health.UNKNOWN),
    ],
)
def test_kinds(cluster: ApiServer, namespace: str, tmp_path: Path, written: str, health: Health) -> None:
    """As the server's own discovery has them."""
    reading = ask(cluster, tmp_path, namespace, written)
    assert reading.health is health, reading
