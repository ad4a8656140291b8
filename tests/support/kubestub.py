"""An API server over HTTP(S) with its objects in memory, and faults to inject; for what a real one cannot be made to do.

    with KubeStub(folder) as stub:
        stub.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": {}})
        stub.faults.append(Fault("GET /api/v1", status=429, retry_after=1, times=1))
        cluster = connect({"context": "stub"}, stub.environ)

Validates nothing, starts no controllers: whatever writes a status is the test, with `put` or `change`. There is no watch.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.support.applied import Owners, apply, fields, merged, shown, update
from tests.support.http_git import certificate

CORE = "Namespace! ConfigMap Secret Service Pod ServiceAccount PersistentVolumeClaim Event Node!"
KINDS = {
    "v1": CORE,
    "apps/v1": "Deployment StatefulSet DaemonSet ReplicaSet",
    "batch/v1": "Job CronJob",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "policy/v1": "PodDisruptionBudget",
    "networking.k8s.io/v1": "Ingress NetworkPolicy",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding ClusterRole! ClusterRoleBinding!",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition!",
    "admissionregistration.k8s.io/v1": "ValidatingWebhookConfiguration! MutatingWebhookConfiguration!",
    "argoproj.io/v1alpha1": "Application AppProject Rollout",
    "kustomize.toolkit.fluxcd.io/v1": "Kustomization",
    "source.toolkit.fluxcd.io/v1": "GitRepository OCIRepository HelmChart HelmRepository",
    "helm.toolkit.fluxcd.io/v2": "HelmRelease",
}
"""What it knows at first; `!` marks kinds without a namespace."""
NO_STATUS = {"Application", "ConfigMap", "Secret", "AppProject"}
"""Kinds whose status is written with the object, and moves its generation."""
Key = tuple[str, str, str, str]
"""(apiVersion, kind, namespace, name)."""


@dataclass
class Fault:
    """What happens in place of an answer to requests that begin with `match` (`GET /api/v1`; empty: all), so many times.

    `body` replaces the answer's; `cut` sends so many bytes of it and ends the connection; `reset` resets it at once;
    `drip` sends a byte, waits so many seconds, and so on; `stall` waits first, until the stub ends.
    """

    match: str = ""
    status: int | None = None
    retry_after: int | None = None
    body: bytes | None = None
    cut: int | None = None
    reset: bool = False
    drip: float | None = None
    stall: float = 0.0
    times: int = 1 << 30


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    authorization: str | None
    body: Any


def plural(kind: str) -> str:
    """As API servers name kinds in addresses."""
    low = kind.lower()
    return low[:-1] + "ies" if low.endswith("y") else low + ("es" if low.endswith(("s", "x")) else "s")


@dataclass
class KubeStub:
    """`tokens` are all that it accepts (empty: anybody); `denied` are beginnings of requests that get 403."""

    folder: Path
    tls: bool = True
    mutual: bool = False
    """Whether clients need a certificate: the server's own."""
    tokens: set[str] = field(default_factory=lambda: {"good"})
    denied: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    kinds: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)
    """(apiVersion, kind) -> (plural, namespaced)."""
    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    owners: dict[Key, Owners] = field(default_factory=dict)
    pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Tokens to go on with a list; empty it, and going on is answered with 410."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    over: threading.Event = field(default_factory=threading.Event)
    open: set[socket.socket] = field(default_factory=set)
    """Connections."""
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    """What happens between a request and what it does, and between that and its answer."""
    _version: int = 100
    _server: _Server | None = None

    def __enter__(self) -> KubeStub:
        for api_version, names in KINDS.items():
            for name in names.split():
                self.define(api_version, name.rstrip("!"), namespaced=not name.endswith("!"))
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        if self.tls:
            self.certificate, key = certificate(self.folder / "tls")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, key)
            if self.mutual:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    # --- what tests do with it ------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environ(self) -> dict[str, str]:
        """Variables that name a kubeconfig with the context `stub`; written when asked for."""
        return {"KUBECONFIG": str(self.kubeconfig()), "PATH": "/usr/bin:/bin"}

    def kubeconfig(self, name: str = "kubeconfig", *, namespace: str = "default", **user: Any) -> Path:
        """A file with one context, `stub`; `user` replaces its token."""
        path = self.folder / name
        cluster: dict[str, Any] = {"server": self.address}
        if self.tls:
            cluster["certificate-authority-data"] = base64.b64encode(self.certificate.read_bytes()).decode()
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": user or {"token": "good"}}],
                    "contexts": [{"name": "stub", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
                }
            )
        )
        return path

    def define(self, api_version: str, kind: str, *, namespaced: bool = True) -> None:
        """Installs a kind."""
        self.kinds[api_version, kind] = (plural(kind), namespaced)

    def put(self, obj: Mapping[str, Any], manager: str = "test") -> dict[str, Any]:
        """Creates or replaces an object; what the server keeps of metadata is filled in."""
        with self.lock:
            key = self._key(obj)
            before = self.objects.get(key)
            self.owners[key] = update(before, obj, self.owners.get(key, {}), manager)
            return self._store(key, copy.deepcopy(dict(obj)), before, (manager, "Update"))

    def find(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """A copy of an object as it is now."""
        with self.lock:
            for key, obj in self.objects.items():
                if key[1:] == (kind, namespace, name):
                    return copy.deepcopy(obj)
        return None

    def change(
        self, kind: str, name: str, namespace: str, patch: Mapping[str, Any], manager: str = "test"
    ) -> dict[str, Any]:
        """A merge patch by somebody else; status included, as its controller would write it."""
        with self.lock:
            found = self.find(kind, name, namespace)
            assert found is not None, f"no {kind} {namespace}/{name}"
            return self.put(merged(found, patch), manager)

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        with self.lock:
            for key in [key for key in self.objects if key[1:] == (kind, namespace, name)]:
                del self.objects[key], self.owners[key]

    def requests(self, method: str = "", path: str = "") -> list[Asked]:
        """What was asked so far."""
        return [each for each in self.asked if each.method.startswith(method) and each.path.startswith(path)]

    # --- how it keeps objects --------------------------------------------------------------------------------------------

    def _key(self, obj: Mapping[str, Any]) -> Key:
        namespaced = self.kinds[obj["apiVersion"], obj["kind"]][1]
        namespace = obj["metadata"].get("namespace", "default") if namespaced else ""
        return obj["apiVersion"], obj["kind"], namespace, obj["metadata"]["name"]

    def _store(
        self, key: Key, obj: dict[str, Any], before: Mapping[str, Any] | None, actor: tuple[str, str]
    ) -> dict[str, Any]:
        self._version += 1
        was = (before or {}).get("metadata", {})
        moved = before is not None and _generated(key[1], before) != _generated(key[1], obj)
        metadata = {**obj.get("metadata", {}), "name": key[3], **({"namespace": key[2]} if key[2] else {})}
        metadata["uid"] = was.get("uid") or metadata.get("uid") or str(uuid.uuid4())
        metadata["resourceVersion"] = str(self._version)
        metadata["creationTimestamp"] = was.get("creationTimestamp") or metadata.get("creationTimestamp") or _now()
        # a test may say which generation an object has
        said = metadata.get("generation")
        metadata["generation"] = said if said not in (None, was.get("generation")) else was.get("generation", 1) + moved
        times = {(e["manager"], e["operation"]): e["time"] for e in was.get("managedFields", ())}
        metadata["managedFields"] = [
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": key[0],
                "time": times.get((manager, operation)) or _now() if (manager, operation) != actor else _now(),
                "fieldsType": "FieldsV1",
                "fieldsV1": fields(paths),
            }
            for (manager, operation), paths in self.owners[key].items()
        ]
        self.objects[key] = {**obj, "apiVersion": key[0], "kind": key[1], "metadata": metadata}
        return copy.deepcopy(self.objects[key])


def _generated(kind: str, obj: Mapping[str, Any]) -> Any:
    left_out = {"metadata"} if kind in NO_STATUS else {"metadata", "status"}
    return {key: value for key, value in obj.items() if key not in left_out}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class RefusalError(Exception):
    """An answer that is no object."""

    def __init__(self, status: int, reason: str, message: str, **details: Any) -> None:
        self.status = status
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": status,
            "reason": reason,
            "message": message,
            "details": details,
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    stub: KubeStub

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError | ValueError):  # clients that go away, connections that we cut
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    @property
    def stub(self) -> KubeStub:
        return cast(_Server, self.server).stub

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        connection = self.connection
        self.stub.open.add(connection)
        with contextlib.suppress(OSError):
            super().handle()
        self.stub.open.discard(connection)

    def _serve(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(
            self.command, url.path, query, self.headers.get("Authorization"), json.loads(data) if data else None
        )
        stub, line = self.stub, f"{self.command} {url.path}"
        with stub.lock:
            stub.asked.append(asked)
            fault = next((f for f in stub.faults if f.times and line.startswith(f.match)), None)
            if fault:
                fault.times -= 1
        if fault and fault.stall:
            stub.over.wait(fault.stall)
        if fault and fault.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            os.close(self.connection.detach())
            return
        headers = {}
        stub.before()
        try:
            if fault and fault.status:
                headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
                raise RefusalError(fault.status, "Fault", "as the test wants it")
            with stub.lock:
                status, answer = 200, self._answer(asked)
        except RefusalError as exc:
            status, answer = exc.status, exc.body
        stub.after()
        body = json.dumps(answer).encode()
        self._send(status, fault.body if fault and fault.body is not None else body, headers, fault)

    do_GET = do_PATCH = do_POST = do_DELETE = do_PUT = _serve

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], fault: Fault | None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault and fault.cut is not None:
            body, self.close_connection = body[: fault.cut], True
        if fault and fault.drip is not None:
            for byte in body:
                self.wfile.write(bytes([byte]))
                if self.stub.over.wait(fault.drip):
                    break
            self.close_connection = True
        else:
            self.wfile.write(body)

    # --- the API ---------------------------------------------------------------------------------------------------------

    def _answer(self, asked: Asked) -> Any:
        stub, parts = self.stub, [unquote(part) for part in asked.path.strip("/").split("/")]
        if stub.tokens and (asked.authorization or "").removeprefix("Bearer ") not in stub.tokens:
            raise RefusalError(401, "Unauthorized", "Unauthorized")
        line = f"{asked.method} {asked.path}"
        if any(line.startswith(beginning) for beginning in stub.denied):
            raise RefusalError(403, "Forbidden", f'User "tester" cannot {asked.method} {asked.path}')
        if parts in (["api"], ["apis"]):
            return self._discovery(core=parts == ["api"])
        api_version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        kinds = {kind: found for (version, kind), found in stub.kinds.items() if version == api_version}
        if not kinds:
            raise RefusalError(404, "NotFound", "404 page not found")
        if not rest:
            return {
                "kind": "APIResourceList",
                "groupVersion": api_version,
                "resources": [
                    {
                        "name": name,
                        "singularName": kind.lower(),
                        "namespaced": namespaced,
                        "kind": kind,
                        "verbs": ["get"],
                    }
                    for kind, (name, namespaced) in kinds.items()
                ],
            }
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind = next((kind for kind, (name, _) in kinds.items() if name == rest[0]), None)
        if kind is None:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        if len(rest) == 1:
            if asked.method == "POST":
                return self._create(api_version, kind, namespace, asked)
            return self._list(api_version, kind, namespace, asked)
        return self._one((api_version, kind, namespace, rest[1]), rest[2:], asked)

    def _discovery(self, *, core: bool) -> dict[str, Any]:
        groups: dict[str, dict[str, list[Any]]] = {}
        for (api_version, kind), (name, namespaced) in self.stub.kinds.items():
            group, _, version = api_version.rpartition("/")
            if core is (not group):
                scope = "Namespaced" if namespaced else "Cluster"
                entry = {"resource": name, "responseKind": {"kind": kind}, "scope": scope}
                groups.setdefault(group, {}).setdefault(version, []).append(entry)
        items = [
            {
                "metadata": {"name": group},
                "versions": [{"version": v, "resources": r, "freshness": "Current"} for v, r in versions.items()],
            }
            for group, versions in groups.items()
        ]
        return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}

    def _list(self, api_version: str, kind: str, namespace: str, asked: Asked) -> dict[str, Any]:
        stub, limit = self.stub, int(asked.query.get("limit", 1 << 30))
        if token := asked.query.get("continue"):
            if token not in stub.pages:
                raise RefusalError(410, "Expired", "The provided continue parameter is too old")
            found = stub.pages.pop(token)
        else:
            found = [
                obj
                for key, obj in sorted(stub.objects.items())
                if key[:2] == (api_version, kind)
                and namespace in ("", key[2])
                and _selected(obj["metadata"].get("labels") or {}, asked.query.get("labelSelector", ""))
                and _selected(
                    {"metadata.name": key[3], "metadata.namespace": key[2]}, asked.query.get("fieldSelector", "")
                )
            ]
        more = ""
        if found[limit:]:
            more = str(uuid.uuid4())
            stub.pages[more] = found[limit:]
        items = [{k: v for k, v in obj.items() if k not in ("apiVersion", "kind")} for obj in found[:limit]]
        metadata = {"resourceVersion": str(stub._version), **({"continue": more} if more else {})}
        return {"kind": f"{kind}List", "apiVersion": api_version, "metadata": metadata, "items": items}

    def _create(self, api_version: str, kind: str, namespace: str, asked: Asked) -> dict[str, Any]:
        name = asked.body["metadata"]["name"]
        key = (api_version, kind, namespace, name)
        if key in self.stub.objects:
            raise RefusalError(409, "AlreadyExists", f'{plural(kind)} "{name}" already exists', name=name)
        metadata = {**asked.body["metadata"], **({"namespace": namespace} if namespace else {})}
        return self.stub.put({**asked.body, "metadata": metadata}, asked.query.get("fieldManager", "unknown"))

    def _one(self, key: Key, sub: list[str], asked: Asked) -> dict[str, Any]:
        stub, live = self.stub, self.stub.objects.get(key)
        kind_of = self.headers.get("Content-Type", "")
        if asked.method == "PATCH" and "apply-patch" in kind_of:
            return self._apply(key, live, asked)
        if live is None or (sub and sub != ["status"]) or (sub == ["status"] and key[1] in NO_STATUS):
            raise RefusalError(404, "NotFound", f'{plural(key[1])} "{key[3]}" not found', name=key[3], kind=key[1])
        if asked.method == "DELETE":
            wanted = ((asked.body or {}).get("preconditions") or {}).get("uid")
            if wanted and wanted != live["metadata"]["uid"]:
                raise RefusalError(409, "Conflict", "Precondition failed: UID in precondition", name=key[3])
            if live["metadata"].get("finalizers"):
                self.stub.change(key[1], key[3], key[2], {"metadata": {"deletionTimestamp": _now()}})
                return copy.deepcopy(self.stub.objects[key])
            del stub.objects[key], stub.owners[key]
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        if asked.method in ("PATCH", "PUT"):
            seen = (asked.body.get("metadata") or {}).get("resourceVersion")
            if seen not in (None, live["metadata"]["resourceVersion"]):
                raise RefusalError(409, "Conflict", "the object has been modified", name=key[3])
            wanted = merged(live, asked.body) if asked.method == "PATCH" else asked.body
            if sub:
                wanted = {**live, "status": wanted.get("status")}
            elif key[1] not in NO_STATUS and "status" in live:
                wanted = {**wanted, "status": live["status"]}
            return stub.put(wanted, asked.query.get("fieldManager", "unknown"))
        return copy.deepcopy(live)

    def _apply(self, key: Key, live: dict[str, Any] | None, asked: Asked) -> dict[str, Any]:
        stub, manager = self.stub, asked.query.get("fieldManager", "")
        if not manager:
            raise RefusalError(422, "Invalid", "fieldManager: Required value")
        if (asked.body.get("metadata") or {}).get("managedFields"):
            raise RefusalError(400, "BadRequest", "metadata.managedFields must be nil")
        force = asked.query.get("force") == "true"
        after, owners, conflicts = apply(live, stub.owners.get(key, {}), asked.body, manager, force)
        if conflicts:
            causes = [
                {"reason": "FieldManagerConflict", "message": f'conflict with "{other}"', "field": shown(path)}
                for other, path in conflicts
            ]
            said = f"Apply failed with {len(causes)} conflict(s)"
            raise RefusalError(409, "Conflict", said, name=key[3], causes=causes)
        if asked.query.get("dryRun"):
            return after
        if live is not None and _generated("ConfigMap", after) == _generated("ConfigMap", live):
            same = {k: v for k, v in live["metadata"].items() if k != "managedFields"}
            if (
                same == {k: v for k, v in after["metadata"].items() if k != "managedFields"}
                and owners == stub.owners[key]
            ):
                return copy.deepcopy(live)  # nothing changed: not even its resourceVersion
        stub.owners[key] = owners
        return stub._store(key, after, live, (manager, "Apply"))


def _selected(labels: Mapping[str, str], selector: str) -> bool:
    """`a=b,c!=d,e,!f`."""
    for each in filter(None, selector.split(",")):
        if "!=" in each:
            name, _, value = each.partition("!=")
            if labels.get(name) == value:
                return False
        elif "=" in each:
            name, _, value = each.replace("==", "=").partition("=")
            if labels.get(name) != value:
                return False
        elif (each.lstrip("!") in labels) is each.startswith("!"):
            return False
    return True
