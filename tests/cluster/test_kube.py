"""The door to Kubernetes against a real server."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from promotion.errors import TemporaryError
from promotion.kube import Cluster, ContestedError, DeniedError, InvalidError, Kind, MissingError, connect
from tests.support.apiserver import ApiServer, until

pytestmark = pytest.mark.cluster

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", True)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", True)
CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", False)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(image: str) -> dict[str, Any]:
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def connected(cluster: ApiServer, folder: Path, namespace: str, context: str, **tokens: str) -> Cluster:
    path = cluster.kubeconfig(folder / f"kubeconfig-{context}", {**cluster.tokens, **tokens}, namespace)
    return connect({"context": context, "kubeconfig": str(path)}, {})


@pytest.fixture
def admin(cluster: ApiServer, namespace: str, tmp_path: Path) -> Cluster:
    return connected(cluster, tmp_path, namespace, "admin")


def test_objects(admin: Cluster, namespace: str) -> None:
    """Created, read, patched, applied, deleted."""
    made = admin.create(CONFIG_MAP, config_map("a", x="1"))
    assert admin.patch(CONFIG_MAP, "a", None, {"data": {"x": None, "y": "2"}}, manager="m")["data"] == {"y": "2"}
    assert admin.get(CONFIG_MAP, "a", namespace)["data"] == {"y": "2"}
    with pytest.raises(ContestedError, match="already exists"):
        admin.create(CONFIG_MAP, config_map("a"))
    with pytest.raises(ContestedError, match="UID"):
        admin.delete(CONFIG_MAP, "a", uid="0000")
    admin.delete(CONFIG_MAP, "a", uid=made["metadata"]["uid"])
    with pytest.raises(MissingError, match=f"there is no ConfigMap {namespace}/a$"):
        admin.get(CONFIG_MAP, "a")
    with pytest.raises(MissingError, match=f"there is no ConfigMap {namespace}/a$"):
        admin.delete(CONFIG_MAP, "a")


def test_a_list_of_many_pages(admin: Cluster, namespace: str) -> None:
    """All of them, once each, with what lists leave out."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: admin.create(CONFIG_MAP, config_map(f"a{n:04}")), range(1203)))
    found = admin.list(CONFIG_MAP, namespace)
    assert [each["metadata"]["name"] for each in found] == [f"a{n:04}" for n in range(1203)]
    assert {(each["apiVersion"], each["kind"]) for each in found} == {("v1", "ConfigMap")}
    assert len(admin.list(CONFIG_MAP, namespace, fields="metadata.name=a0700")) == 1


def test_conflicts_name_managers_and_fields(admin: Cluster) -> None:
    """As the server tells them; a dry run changes nothing."""
    admin.apply(DEPLOYMENT, deployment("shop:1"), manager="they")
    with pytest.raises(
        ContestedError, match=r'they manages \.spec\.template\.spec\.containers\[name="main"\]\.image'
    ) as raised:
        admin.apply(DEPLOYMENT, deployment("shop:2"), manager="we")
    assert raised.value.causes == (("they", '.spec.template.spec.containers[name="main"].image'),)
    admin.apply(DEPLOYMENT, deployment("shop:2"), manager="we", force=True, dry_run=True)
    image = admin.get(DEPLOYMENT, "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "shop:1"
    admin.apply(DEPLOYMENT, deployment("shop:2"), manager="we", force=True)
    with pytest.raises(ContestedError):
        admin.apply(DEPLOYMENT, deployment("shop:1"), manager="they")


def test_what_is_not_valid(admin: Cluster) -> None:
    """With the server's reason; a namespace that lacks is said."""
    body = deployment("shop:1")
    body["spec"]["replicas"] = "many"
    with pytest.raises(InvalidError, match=r"cannot apply Deployment .*/web: .*spec\.replicas: expected numeric"):
        admin.apply(DEPLOYMENT, body, manager="m")
    admin.apply(DEPLOYMENT, deployment("shop:1"), manager="m")
    body = deployment("shop:1")
    body["spec"]["selector"]["matchLabels"] = body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with pytest.raises(InvalidError, match=r"spec\.selector: Invalid value.*field is immutable"):
        admin.apply(DEPLOYMENT, body, manager="m")
    with pytest.raises(MissingError, match='namespaces "nowhere" not found'):
        admin.apply(CONFIG_MAP, {**config_map("a"), "metadata": {"name": "a", "namespace": "nowhere"}}, manager="m")


def test_who_may_not_and_who_is_nobody(cluster: ApiServer, namespace: str, tmp_path: Path) -> None:
    """A user without rights is told which lacks; a token that is not known, or has ended, is not accepted."""
    with pytest.raises(DeniedError, match=f"may not list configmaps of {namespace}: .*cannot list resource") as raised:
        connected(cluster, tmp_path, namespace, "outsider").list(CONFIG_MAP, namespace)
    assert cluster.tokens["outsider"] not in str(raised.value)
    for name, token in (("stranger", "0" * 32), ("late", expired(cluster, namespace))):
        with pytest.raises(DeniedError, match=r"the credentials are not accepted \(401\)") as denied:
            connected(cluster, tmp_path, namespace, name, **{name: token}).get(CONFIG_MAP, "a")
        assert token not in str(denied.value)


def expired(cluster: ApiServer, namespace: str) -> str:
    """A service account's token, signed as the server signs, that has ended."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with cluster.client() as client:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        client.post(path, json={"metadata": {"name": "robot"}}).raise_for_status()
        asked = client.post(f"{path}/robot/token", json={"spec": {"expirationSeconds": 600}}).raise_for_status()
        head, claims, _ = asked.json()["status"]["token"].split(".")
        with cluster.client(token=asked.json()["status"]["token"]) as robot:
            assert robot.get("/version").status_code == 200

    def coded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    told |= {"iat": int(time.time()) - 7200, "nbf": int(time.time()) - 7200, "exp": int(time.time()) - 3600}
    signed = f"{head}.{coded(json.dumps(told).encode())}"
    key = load_pem_private_key((cluster.folder / "accounts.key").read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(signed.encode(), ECDSA(hashes.SHA256())))
    return f"{signed}.{coded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@pytest.fixture
def definition(admin: Cluster) -> Iterator[Any]:
    """One that may be installed in the middle of a test, and goes with it."""
    group = f"x{time.time_ns()}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Shop", "plural": "shops", "singular": "shop", "listKind": "ShopList"}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": f"shops.{group}"}
    yield {"apiVersion": CRD.api_version, "kind": CRD.kind, "metadata": metadata, "spec": spec}
    admin.delete(CRD, metadata["name"])


def test_a_definition_that_is_installed_later(admin: Cluster, definition: dict[str, Any]) -> None:
    """Is found without a new connection; what lacks is said with what is near."""
    api_version = f"{definition['spec']['group']}/v1"
    with pytest.raises(MissingError, match=rf"knows no Shop of {api_version} \(is its CRD installed\?\)"):
        admin.kind(api_version, "Shop")
    with pytest.raises(MissingError, match="does not know this kind; is its CRD installed"):
        admin.list(Kind(definition["spec"]["group"], "v1", "Shop", "shops", True))
    admin.create(CRD, definition)

    def found() -> Kind | None:
        try:
            return admin.kind(api_version, "Shop")
        except MissingError:
            return None

    kind = until(found)
    body = {"apiVersion": api_version, "kind": "Shop", "metadata": {"name": "a"}}
    until(lambda: _applied(admin, kind, body))
    assert [each["kind"] for each in admin.list(kind)] == ["Shop"]
    with pytest.raises(MissingError, match="did you mean `Deployment`"):
        admin.kind("apps/v1", "Deploiment")
    with pytest.raises(MissingError, match="Deployment is there in apps/v1"):
        admin.kind("extensions/v1beta1", "Deployment")
    assert {DEPLOYMENT, CONFIG_MAP, CRD, kind} <= set(admin.kinds())


def _applied(admin: Cluster, kind: Kind, body: dict[str, Any]) -> bool:
    """A moment after it is listed a kind's objects may not be served yet."""
    try:
        return bool(admin.apply(kind, body, manager="m"))
    except MissingError:
        return False


def test_a_server_that_dies_and_comes_back(cluster: ApiServer, admin: Cluster) -> None:
    """While it is away that is said, and afterwards kept connections are no hindrance."""
    admin.create(CONFIG_MAP, config_map("kept", x="1"))
    cluster.kill_apiserver()
    try:
        with pytest.raises(TemporaryError, match=r"cannot get ConfigMap .*/kept: connection refused"):
            until(lambda: _nothing(admin))
    finally:
        cluster.run_apiserver()
    assert admin.get(CONFIG_MAP, "kept")["data"] == {"x": "1"}


def _nothing(admin: Cluster) -> None:
    """The first answer after it died may be that a kept connection was cut."""
    try:
        admin.get(CONFIG_MAP, "kept")
    except TemporaryError as exc:
        if "refused" in str(exc):
            raise
