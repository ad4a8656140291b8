"""A real Kubernetes API server with etcd and its controllers, on loopback, in a folder that goes away; no nodes, no containers.

Its programs are those of KUBEBUILDER_ASSETS (see CONTRIBUTING.md). Pods run as far as anybody can tell: `Kubelet` says so.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

T = TypeVar("T")
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
CRDS = Path(__file__).resolve().parents[3] / "shared/crds"
CONTROLLERS = (
    "deployment",
    "replicaset",
    "statefulset",
    "daemonset",
    "job",
    "cronjob",
    "namespace",
    "ttl-after-finished",
)
USERS = ("admin", "somebody", "outsider")
"""`admin` may do everything, the others nothing until a test gives them rights."""
MERGE = "application/merge-patch+json"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def missing(environ: Mapping[str, str]) -> str:
    """Why no server can be started; '' when one can."""
    folder = environ.get("KUBEBUILDER_ASSETS", "")
    if not folder:
        return "KUBEBUILDER_ASSETS names no folder with kube-apiserver"
    gone = [name for name in PROGRAMS if not os.access(Path(folder, name), os.X_OK)]
    return f"{', '.join(gone)}: not in {folder}" if gone else ""


def until(question: Callable[[], T], seconds: float = 60.0) -> T:
    """The first answer that is true; fails with the last one when there is none in time."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, f"still {answer!r} after {seconds:g} s"
        time.sleep(0.05)
    return answer


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class ApiServer:
    """The processes of one cluster."""

    assets: Path
    folder: Path
    port: int
    etcd: tuple[int, int]
    tokens: Mapping[str, str] = field(default_factory=lambda: {name: secrets.token_hex(16) for name in USERS})
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def start(cls, assets: Path) -> ApiServer:
        """Ready to be asked, with the custom resource definitions of ../shared/crds where they are there."""
        folder = Path(tempfile.mkdtemp(prefix="promotion-cluster-"))
        port, *etcd = free_ports(3)
        server = cls(assets, folder, port, (etcd[0], etcd[1]))
        try:
            server._keys()
            server._run("etcd", *server._etcd())
            server.run_apiserver()
            server._run("kube-controller-manager", *server._controllers())
            server._define()
        except BaseException:
            server.stop()
            raise
        return server

    def stop(self) -> None:
        """Ends what was started, at once: SIGTERM waits for open watches."""
        for name in reversed(self.processes):
            self.processes[name].kill()
            self.processes[name].wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill_apiserver(self) -> None:
        """As if its machine lost power; `run_apiserver` brings it back with all that it had."""
        self.processes["kube-apiserver"].kill()
        self.processes["kube-apiserver"].wait(30)

    def run_apiserver(self) -> None:
        self._run("kube-apiserver", *self._apiserver())
        certificate = self.folder / "certs/apiserver.crt"

        def ready() -> bool:
            assert self.processes["kube-apiserver"].poll() is None, self.log("kube-apiserver")
            if not certificate.exists():
                return False
            try:
                with self.client() as client:
                    return client.get("/readyz").is_success and _served(client)
            except (httpx.HTTPError, OSError):  # an OSError: half a certificate
                return False

        until(ready)

    def log(self, name: str) -> str:
        """The end of what a program said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """The authority that clients are to trust."""
        return self.folder / "certs/apiserver.crt"

    def client(self, user: str = "admin", token: str | None = None) -> httpx.Client:
        """What tests themselves talk with, and not by the code that they test."""
        head = {"Authorization": f"Bearer {token or self.tokens[user]}"}
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(base_url=self.url, headers=head, verify=trusted, timeout=30, trust_env=False)

    def kubeconfig(self, path: Path, tokens: Mapping[str, str] | None = None, namespace: str = "default") -> Path:
        """Writes one with a context of each user's name."""
        tokens = self.tokens if tokens is None else tokens
        cluster = {"server": self.url, "certificate-authority": str(self.certificate)}
        context = {"cluster": "test", "namespace": namespace}
        written = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}} for name, token in tokens.items()],
            "contexts": [{"name": name, "context": {**context, "user": name}} for name in tokens],
        }
        path.write_text(yaml.safe_dump(written))
        return path

    # --- how it is started --------------------------------------------------------------------------------------------

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(self.assets / name), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _keys(self) -> None:
        """The key that signs service account tokens, and the tokens of people. Go derives the public half."""
        head, tail = bytes.fromhex("30310201010420"), bytes.fromhex("a00a06082a8648ce3d030107")
        scalar = (secrets.randbits(250) + 1).to_bytes(32, "big")
        (self.folder / "accounts.key").write_text(
            ssl.DER_cert_to_PEM_cert(head + scalar + tail).replace("CERTIFICATE", "EC PRIVATE KEY")
        )
        groups = {"admin": "system:masters"}
        lines = [f'{token},{name},{name},"{groups.get(name, "people")}"' for name, token in self.tokens.items()]
        (self.folder / "tokens.csv").write_text("\n".join(lines) + "\n")

    def _etcd(self) -> list[str]:
        clients, peers = (f"http://127.0.0.1:{port}" for port in self.etcd)
        return [
            *("--unsafe-no-fsync", f"--data-dir={self.folder}/etcd", "--name=test", "--log-level=warn"),
            *(f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}"),
            *(
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=test={peers}",
            ),
        ]

    def _apiserver(self) -> list[str]:
        key = self.folder / "accounts.key"
        return [
            *(f"--etcd-servers=http://127.0.0.1:{self.etcd[0]}", f"--cert-dir={self.folder}/certs"),
            *(f"--secure-port={self.port}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"),
            *("--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC"),
            *(f"--token-auth-file={self.folder}/tokens.csv", "--service-account-issuer=https://localhost"),
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            "--disable-admission-plugins=ServiceAccount",
        ]

    def _controllers(self) -> list[str]:
        names = [f"{name}-controller" for name in CONTROLLERS]
        config = self.kubeconfig(self.folder / "controllers.yaml")
        document = yaml.safe_load(config.read_text())
        config.write_text(yaml.safe_dump({**document, "current-context": "admin"}))
        return [
            *(f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0"),
            *(
                f"--service-account-private-key-file={self.folder}/accounts.key",
                "--use-service-account-credentials=false",
            ),
            f"--controllers={','.join([*names, 'garbage-collector-controller'])}",
        ]

    def _define(self) -> None:
        path = DEFINITIONS
        with self.client() as client:
            for file in sorted(CRDS.glob("*.yaml")):
                definition = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                client.post(path, json=definition).raise_for_status()

            def established() -> bool:
                found = client.get(path).raise_for_status().json()["items"]
                return all(
                    any(
                        c["type"] == "Established" and c["status"] == "True"
                        for c in d["status"].get("conditions") or []
                    )
                    for d in found
                )

            until(established)


def _served(client: httpx.Client) -> bool:
    """Whether the objects of all definitions can be asked for: after a start that is later than all else (429)."""
    found = client.get(DEFINITIONS).raise_for_status().json()["items"]
    paths = [
        f"/apis/{d['spec']['group']}/{d['spec']['versions'][0]['name']}/{d['spec']['names']['plural']}" for d in found
    ]
    return all(client.get(path, params={"limit": "1"}).status_code not in (429, 503) for path in paths)


@contextmanager
def kubelet(server: ApiServer) -> Iterator[None]:
    """Says of every pod that it runs and is ready, but of one whose image has `broken` in its name; lets deleted ones go."""
    over = threading.Event()

    def work() -> None:
        with server.client() as client:
            while not over.wait(0.1):
                with suppress(httpx.HTTPError):
                    for pod in client.get("/api/v1/pods").json().get("items", []):
                        _tend(client, pod)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def _tend(client: httpx.Client, pod: Mapping[str, Any]) -> None:
    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
    if "deletionTimestamp" in meta:
        gone = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
        client.request("DELETE", path, json=gone)
    elif pod["status"].get("phase") == "Pending" and not pod["status"].get("containerStatuses"):
        body = json.dumps({"status": _status(pod)})
        client.patch(f"{path}/status", content=body, headers={"Content-Type": MERGE})


def _status(pod: Mapping[str, Any]) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    containers = pod["spec"]["containers"]
    broken = [c["name"] for c in containers if "broken" in c["image"]]
    running, waiting = {"running": {"startedAt": now}}, {"waiting": {"reason": "ImagePullBackOff"}}
    ready = "False" if broken else "True"
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Pending" if broken else "Running",
        "startTime": now,
        "conditions": [
            {"type": kind, "status": ready if kind.endswith("Ready") else "True", "lastTransitionTime": now}
            for kind in kinds
        ],
        "containerStatuses": [
            {
                "name": c["name"],
                "image": c["image"],
                "imageID": "",
                "ready": c["name"] not in broken,
                "restartCount": 0,
                "started": c["name"] not in broken,
                "state": waiting if c["name"] in broken else running,
            }
            for c in containers
        ],
    }
