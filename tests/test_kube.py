"""The door to Kubernetes, against a server that does all that servers do."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.kube import Cluster, ContestedError, DeniedError, InvalidError, Kind, MissingError, connect
from promotion.kube.access import read
from promotion.kube.connection import LIMITS, Connection
from promotion.web import Limits
from tests.support.kubestub import Fault, KubeStub

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", True)
SECRET = Kind("", "v1", "Secret", "secrets", True)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", False)
APPLICATION = Kind("argoproj.io", "v1alpha1", "Application", "applications", True)
CONTEXT = {"context": "stub"}


def config_map(name: str, namespace: str = "shop", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    """A server that speaks TLS and knows the token `good`."""
    with KubeStub(tmp_path) as stub:
        yield stub


@pytest.fixture
def cluster(stub: KubeStub) -> Cluster:
    return connect(CONTEXT, stub.environ)


@pytest.fixture
def hasty(stub: KubeStub) -> Iterator[Callable[[Limits], Cluster]]:
    """The same with other limits."""
    made: list[Cluster] = []

    def hasty(limits: Limits) -> Cluster:
        made.append(Cluster(Connection(lambda: read(CONTEXT, stub.environ), {}, limits)))
        return made[-1]

    yield hasty
    for each in made:
        each.close()


# --- what goes well --------------------------------------------------------------------------------------------------


def test_objects(cluster: Cluster) -> None:
    """Created, read, patched, applied, deleted; raw dictionaries all the way."""
    assert cluster.create(CONFIG_MAP, config_map("a", x="1"))["metadata"]["uid"]
    assert cluster.get(CONFIG_MAP, "a", "shop")["data"] == {"x": "1"}
    assert cluster.patch(CONFIG_MAP, "a", "shop", {"data": {"x": None, "y": "2"}}, manager="m")["data"] == {"y": "2"}
    assert cluster.apply(CONFIG_MAP, config_map("b", z="3"), manager="m")["data"] == {"z": "3"}
    assert cluster.apply(CONFIG_MAP, config_map("b", z="4"), manager="m", dry_run=True)["data"] == {"z": "4"}
    found = cluster.list(CONFIG_MAP, "shop")
    assert [(each["apiVersion"], each["kind"], each["data"]) for each in found] == [
        ("v1", "ConfigMap", {"y": "2"}),
        ("v1", "ConfigMap", {"z": "3"}),
    ]
    cluster.delete(CONFIG_MAP, "a", "shop", uid=found[0]["metadata"]["uid"])
    assert [each["metadata"]["name"] for each in cluster.list(CONFIG_MAP)] == ["b"]
    cluster.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})
    assert cluster.get(NAMESPACE, "new")["kind"] == "Namespace"


def test_names_are_quoted_and_namespaces_are_the_contexts(stub: KubeStub) -> None:
    """No name leads to another address; what says no namespace is in the context's."""
    path = stub.kubeconfig("other", namespace="team", token="good")
    cluster = connect({**CONTEXT, "kubeconfig": str(path)}, {})
    cluster.apply(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}, manager="m")
    assert cluster.get(CONFIG_MAP, "a")["metadata"]["namespace"] == "team"
    with pytest.raises(MissingError):
        cluster.get(CONFIG_MAP, "../../../v1/namespaces/x?y")
    assert stub.asked[-1].path == "/api/v1/namespaces/team/configmaps/..%2F..%2F..%2Fv1%2Fnamespaces%2Fx%3Fy"


def test_lists_are_paged(stub: KubeStub, cluster: Cluster) -> None:
    """500 at a time, with the selectors on each page."""
    for number in range(1203):
        stub.put(config_map(f"a{number:04}", x=str(number)))
    stub.put({**config_map("b"), "metadata": {"name": "b", "namespace": "shop", "labels": {"app": "b"}}})
    found = cluster.list(CONFIG_MAP, "shop", labels="app!=b")
    assert [each["data"]["x"] for each in found] == [str(number) for number in range(1203)]
    assert [(r.query["limit"], r.query["labelSelector"]) for r in stub.requests("GET")] == [("500", "app!=b")] * 3
    assert [each["metadata"]["name"] for each in cluster.list(CONFIG_MAP, labels="app=b")] == ["b"]
    assert [each["metadata"]["name"] for each in cluster.list(CONFIG_MAP, fields="metadata.name=a0007")] == ["a0007"]


def test_a_list_that_the_server_forgets_is_begun_again(stub: KubeStub, cluster: Cluster) -> None:
    """410 on a later page; when it never ends, it is an error and no shorter list."""
    for number in range(600):
        stub.put(config_map(f"a{number:04}"))
    gone = Fault("GET /api/v1/namespaces/shop/configmaps", status=410, times=1)
    stub.faults.append(gone)
    assert len(cluster.list(CONFIG_MAP, "shop")) == 600
    gone.times = 1000
    with pytest.raises(TemporaryError, match="cannot list configmaps of shop: the server forgets its pages"):
        cluster.list(CONFIG_MAP, "shop")


def test_a_page_that_is_too_large_is_asked_for_in_parts(stub: KubeStub, hasty: Callable[[Limits], Cluster]) -> None:
    """Only one object alone may be too large."""
    for number in range(40):
        stub.put(config_map(f"a{number}", x="y" * 100_000))
    assert len(hasty(replace(LIMITS, cap=1 << 20)).list(CONFIG_MAP)) == 40
    with pytest.raises(TemporaryError, match="cannot list all configmaps: an answer of more than 0 MiB"):
        hasty(replace(LIMITS, cap=1 << 16)).list(CONFIG_MAP)
    with pytest.raises(TemporaryError, match="cannot get ConfigMap shop/a1: an answer of more than"):
        hasty(replace(LIMITS, cap=1 << 16)).get(CONFIG_MAP, "a1", "shop")


def test_kinds(stub: KubeStub, cluster: Cluster) -> None:
    """Found by discovery, which is kept; one that is installed later is found, one that lacks is said with what is near."""
    assert cluster.kind("apps/v1", "Deployment") == Kind("apps", "v1", "Deployment", "deployments", True)
    assert cluster.kind("apps/v1", "StatefulSet").plural == "statefulsets"
    assert len(stub.asked) == 1
    assert cluster.kind("v1", "Namespace") == NAMESPACE
    with pytest.raises(MissingError, match=r"knows no Deploymnt of apps/v1 \(is its CRD .*; did you mean `Deployment`"):
        cluster.kind("apps/v1", "Deploymnt")
    with pytest.raises(MissingError, match=r"knows no Deployment of apps/v9 .*; Deployment is there in apps/v1"):
        cluster.kind("apps/v9", "Deployment")
    stub.define("example.com/v1", "Shop")
    assert cluster.kind("example.com/v1", "Shop").plural == "shops"
    assert {k.kind for k in cluster.kinds()} >= {"Shop", "Deployment", "Namespace", "Application"}
    assert APPLICATION in cluster.kinds()


def test_connections_are_kept(stub: KubeStub, cluster: Cluster) -> None:
    """A thousand questions, one handshake; many threads share them."""
    stub.put(config_map("a"))
    begun = len(threading.enumerate())
    for _ in range(200):
        cluster.get(CONFIG_MAP, "a", "shop")
    assert len(threading.enumerate()) <= begun + 1  # the stub has one for each connection
    with ThreadPoolExecutor(32) as pool:
        assert len(list(pool.map(lambda _: cluster.get(CONFIG_MAP, "a", "shop"), range(200)))) == 200
    assert connect(CONTEXT, stub.environ) is cluster


# --- what goes wrong -------------------------------------------------------------------------------------------------

TYPED = json.dumps(
    {"kind": "Status", "message": "failed to create typed patch object (x): .spec.replicas: expected numeric"}
).encode()
TABLE: list[tuple[Fault, type[PromotionError], str]] = [
    (Fault(status=400), InvalidError, "cannot get ConfigMap shop/a: as the test wants it"),
    (Fault(status=403), DeniedError, "may not get ConfigMap shop/a: as the test wants it"),
    (Fault(status=404), MissingError, "the server does not know this kind; is its CRD installed"),
    (Fault(status=404, body=b"404 page not found\n"), MissingError, "the server does not know this kind"),
    (Fault(status=404, body=b"<html>"), TemporaryError, "cannot get ConfigMap shop/a: the answer is a 404, and not of"),
    (Fault(status=404, body=b'{"code": 404}'), TemporaryError, "the answer is a 404, and not of an API server"),
    (Fault(status=409), ContestedError, "cannot get ConfigMap shop/a: as the test wants it"),
    (Fault(status=410), TemporaryError, "cannot get ConfigMap shop/a: as the test wants it"),
    (Fault(status=418), InvalidError, "cannot get ConfigMap shop/a: as the test wants it"),
    (Fault(status=422), InvalidError, "cannot get ConfigMap shop/a: as the test wants it"),
    (Fault(status=302), InvalidError, "an answer of 302 is not an API server's"),
    (Fault(status=429, retry_after=3600), TemporaryError, "the server answers 429"),
    (Fault(status=500), TemporaryError, "the server answers 500: as the test wants it"),
    (Fault(status=500, body=TYPED), InvalidError, "expected numeric"),
    (Fault(status=503), TemporaryError, "the server answers 503"),
    (Fault(status=503, retry_after=3600), TemporaryError, "the server answers 503"),
    (Fault(status=504, body=b"<html>"), TemporaryError, "the server answers 504$"),
    (
        Fault(reset=True),
        TemporaryError,
        "cannot get ConfigMap shop/a: (connection reset by peer|the answer .* was cut off)",
    ),
    (Fault(cut=0), TemporaryError, "the answer is not HTTP, or was cut off"),
    (Fault(cut=50), TemporaryError, "the answer is not HTTP, or was cut off"),
    (Fault(body=b'{"kind": "Conf'), TemporaryError, "the answer is not JSON, or was cut off"),
    (Fault(body=b"<html>"), TemporaryError, "the answer is not JSON, or was cut off"),
    (Fault(body=b"[" * 100_000), TemporaryError, "the answer is not JSON, or was cut off"),
    (Fault(body=b"[]"), TemporaryError, "the answer is not JSON, or was cut off"),
    (Fault(body=b""), TemporaryError, "the answer is not JSON, or was cut off"),
    (Fault(drip=0.05), TemporaryError, "cannot get ConfigMap shop/a: no complete answer within 5s"),
    (Fault(stall=30), TemporaryError, "cannot get ConfigMap shop/a: nothing heard for 3s"),
]


@pytest.mark.parametrize(("fault", "error", "said"), TABLE, ids=lambda v: "" if isinstance(v, type) else None)
def test_answers(
    fault: Fault, error: type[PromotionError], said: str, stub: KubeStub, hasty: Callable[[Limits], Cluster]
) -> None:
    """Each is an error of ours that says what was asked of whom, and the next question has an answer."""
    stub.put(config_map("a"))
    stub.faults.append(replace(fault, times=1))
    cluster = hasty(Limits(connect=20, idle=3, total=5) if fault.drip or fault.stall else LIMITS)
    with pytest.raises(error, match=said) as raised:
        cluster.get(CONFIG_MAP, "a", "shop")
    assert type(raised.value) is error or error is TemporaryError
    assert raised.value.where == stub.address.removeprefix("https://")
    assert cluster.get(CONFIG_MAP, "a", "shop")["kind"] == "ConfigMap"


VERBS: dict[str, Callable[[Cluster], Any]] = {
    "list configmaps of shop": lambda cluster: cluster.list(CONFIG_MAP, "shop"),
    "patch ConfigMap shop/a": lambda cluster: cluster.patch(CONFIG_MAP, "a", "shop", {"data": {}}, manager="m"),
    "apply ConfigMap shop/a": lambda cluster: cluster.apply(CONFIG_MAP, config_map("a"), manager="m"),
    "create ConfigMap shop/b": lambda cluster: cluster.create(CONFIG_MAP, config_map("b")),
    "delete ConfigMap shop/a": lambda cluster: cluster.delete(CONFIG_MAP, "a", "shop"),
}


def all_late(cluster: Cluster, said: str) -> None:
    """Each verb ends with that; all at once, since each waits."""

    def late(asked: tuple[str, Callable[[Cluster], Any]]) -> None:
        with pytest.raises(TemporaryError, match=f"cannot {asked[0]}: {said}$"):
            asked[1](cluster)

    with ThreadPoolExecutor(len(VERBS)) as pool:
        list(pool.map(late, VERBS.items()))


@pytest.mark.parametrize(
    ("fault", "said"),
    [(Fault(drip=0.05, body=b" " * 1000), "no complete answer within 5s"), (Fault(stall=30), "nothing heard for 3s")],
)
def test_deadlines_are_every_verbs(fault: Fault, said: str, stub: KubeStub, hasty: Callable[[Limits], Cluster]) -> None:
    """As those of `get`."""
    stub.put(config_map("a"))
    stub.faults.append(fault)
    all_late(hasty(Limits(connect=20, idle=3, total=5)), said)


def test_a_server_that_accepts_nobody_is_not_waited_for(stub: KubeStub) -> None:
    """Whatever is asked of it: the connect deadline."""
    path = stub.kubeconfig()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        full = listener.getsockname()
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full)
        path.write_text(path.read_text().replace(stub.address, f"https://127.0.0.1:{full[1]}"))
        access = read({**CONTEXT, "kubeconfig": str(path)}, {})
        connection = Connection(lambda: access, {}, Limits(connect=1, idle=30, total=30))
        cluster = stack.enter_context(closing(Cluster(connection)))
        all_late(cluster, "no connection within 1s")


def test_what_is_discovered_is_kept_in_no_file(stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the home nor where it is run: another cluster at that address would be taken for this one."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    cluster = connect(CONTEXT, {**stub.environ, "HOME": str(home)})
    assert cluster.kind("apps/v1", "Deployment") in cluster.kinds()
    assert list(home.iterdir()) == []


def test_what_is_not_there(cluster: Cluster) -> None:
    """An object, another uid, a namespace's object that is there already."""
    with pytest.raises(MissingError, match="there is no ConfigMap shop/none"):
        cluster.get(CONFIG_MAP, "none", "shop")
    with pytest.raises(MissingError, match="there is no ConfigMap shop/none"):
        cluster.delete(CONFIG_MAP, "none", "shop")
    with pytest.raises(MissingError, match="does not know this kind"):
        cluster.list(Kind("example.com", "v1", "Shop", "shops", True), "shop")
    cluster.create(CONFIG_MAP, config_map("a"))
    with pytest.raises(ContestedError, match="already exists"):
        cluster.create(CONFIG_MAP, config_map("a"))
    with pytest.raises(ContestedError, match="UID"):
        cluster.delete(CONFIG_MAP, "a", "shop", uid="other")
    assert cluster.get(CONFIG_MAP, "a", "shop")


def test_conflicts_name_managers_and_fields(cluster: Cluster) -> None:
    """Nothing is taken from others unless it is forced."""
    cluster.apply(CONFIG_MAP, config_map("a", x="1", y="1"), manager="they")
    with pytest.raises(ContestedError, match=r"they manages \.data\.x, \.data\.y") as raised:
        cluster.apply(CONFIG_MAP, config_map("a", x="2", y="2", z="3"), manager="we")
    assert raised.value.causes == (("they", ".data.x"), ("they", ".data.y"))
    assert cluster.get(CONFIG_MAP, "a", "shop")["data"] == {"x": "1", "y": "1"}
    assert cluster.apply(CONFIG_MAP, config_map("a", x="2"), manager="we", force=True)["data"] == {"x": "2", "y": "1"}
    with pytest.raises(InvalidError, match="fieldManager"):
        cluster.apply(CONFIG_MAP, config_map("a"), manager="")


def test_a_busy_server_is_asked_again(stub: KubeStub, cluster: Cluster) -> None:
    """After as long as it says, a few times; but no create after a 503, which may have happened."""
    stub.put(config_map("a"))
    stub.faults += [Fault(status=429, retry_after=0, times=2), Fault(status=503, retry_after=0, times=1)]
    assert cluster.get(CONFIG_MAP, "a", "shop")
    assert len(stub.asked) == 4
    stub.faults[:] = [Fault("POST", status=429, retry_after=0, times=1)]
    assert cluster.create(CONFIG_MAP, config_map("b"))
    stub.faults[:] = [Fault("POST", status=503, retry_after=0, times=1)]
    with pytest.raises(TemporaryError):
        cluster.create(CONFIG_MAP, config_map("c"))
    stub.faults[:] = [Fault(status=429, retry_after=0)]
    before = len(stub.asked)
    with pytest.raises(TemporaryError, match="429"):
        cluster.get(CONFIG_MAP, "a", "shop")
    assert len(stub.asked) == before + 5


def test_a_token_that_ends_while_a_busy_server_is_waited_for(stub: KubeStub, cluster: Cluster) -> None:
    """Is renewed all the same, and the server is not asked for ever."""
    stub.put(config_map("a"))
    busy, ended = Fault(status=429, retry_after=0, times=4), Fault(status=401, times=1)
    stub.faults += [busy, ended]
    assert cluster.get(CONFIG_MAP, "a", "shop")
    assert (busy.times, ended.times) == (0, 0)


def test_a_server_that_is_too_old_does_not_look_empty(stub: KubeStub, cluster: Cluster) -> None:
    """It answers with another list, which has no kinds."""
    stub.faults.append(Fault("GET /api", body=b'{"kind": "APIVersions", "versions": ["v1"]}', times=1))
    with pytest.raises(ConfigError, match="is older than Kubernetes"):
        cluster.kinds()


def test_secrets_are_not_said(stub: KubeStub, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a token, nor what a server repeats of a Secret."""
    caplog.set_level(logging.DEBUG)
    said = {
        "kind": "Status",
        "reason": "Invalid",
        "message": "canary is bad",
        "details": {"causes": [{"field": "data.x"}]},
    }
    stub.tokens.add("canary")
    stub.faults.append(Fault(status=422, body=json.dumps(said).encode(), times=1))
    path = stub.kubeconfig("other", token="canary")
    cluster = connect({**CONTEXT, "kubeconfig": str(path)}, {})
    with pytest.raises(InvalidError, match=r"cannot get Secret shop/a: Invalid, data\.x$") as raised:
        cluster.get(SECRET, "a", "shop")
    stub.tokens.clear()
    stub.tokens.add("good")
    with pytest.raises(DeniedError) as denied:
        cluster.get(SECRET, "a", "shop")
    texts = [caplog.text, str(raised.value), str(denied.value), repr(cluster._connection.access)]
    assert "canary" not in "".join(texts)


def test_a_secret_of_the_wrong_type_is_wrong_and_not_said(stub: KubeStub, cluster: Cluster) -> None:
    """Servers answer that with a 500, which would else be tried for ever."""
    text = "failed to create typed patch object (shop/a; /v1, Kind=Secret): .data.pin: expected string, got 5432"
    stub.faults.append(Fault(status=500, body=json.dumps({"kind": "Status", "message": text}).encode(), times=1))
    with pytest.raises(InvalidError) as raised:
        cluster.apply(SECRET, {"metadata": {"name": "a", "namespace": "shop"}}, manager="promotion")
    assert "5432" not in str(raised.value)


def test_no_server(tmp_path: Path) -> None:
    """One that is not there, and a name that does not exist."""
    with KubeStub(tmp_path) as stub:
        cluster = connect(CONTEXT, stub.environ)
    with pytest.raises(TemporaryError, match="cannot get ConfigMap shop/a: connection refused"):
        cluster.get(CONFIG_MAP, "a", "shop")


def test_a_server_that_comes_back(tmp_path: Path) -> None:
    """At the same address: kept connections are no hindrance."""
    with KubeStub(tmp_path) as stub:
        cluster = connect(CONTEXT, stub.environ)
        cluster.kinds()
        for connection in list(stub.open):
            connection.shutdown(socket.SHUT_RDWR)
        assert cluster.kinds()


def test_a_certificate_nobody_vouches_for(stub: KubeStub, tmp_path: Path) -> None:
    """Refused, and not asked again and again; with `insecure-skip-tls-verify` it is taken."""
    text = stub.kubeconfig().read_text()
    lines = [line for line in text.splitlines() if "certificate-authority-data" not in line]
    (tmp_path / "bare").write_text("\n".join(lines))
    settings = {**CONTEXT, "kubeconfig": str(tmp_path / "bare")}
    with pytest.raises(
        ConfigError, match=r"the server's certificate is not trusted \(self-signed certificate\)"
    ) as raised:
        connect(settings, {}).kinds()
    assert raised.value.hint == "the authority comes from context `stub`"
    assert not stub.asked
    (tmp_path / "open").write_text("\n".join(lines).replace("server:", "insecure-skip-tls-verify: true\n    server:"))
    assert connect({**CONTEXT, "kubeconfig": str(tmp_path / "open")}, {}).kinds()
    (tmp_path / "named").write_text(text.replace("server:", "tls-server-name: other.example.com\n    server:"))
    with pytest.raises(ConfigError, match="not trusted"):
        connect({**CONTEXT, "kubeconfig": str(tmp_path / "named")}, {}).kinds()


def test_nothing_heavy_is_imported_for_it() -> None:
    """Until a cluster is connected to."""
    code = "import promotion.kube, sys; sys.exit(bool({'httpx', 'httpcore', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
