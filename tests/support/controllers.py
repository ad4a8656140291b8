"""What Argo CD and Flux do, on a real cluster and a real branch: they apply its files, watch what comes of it, and write it down.

Not their code, but their order of writes, races included: Argo CD's health is the old one right after a sync, and it looks
again only when its time comes; a push moves Flux's source long before the Kustomization, whose Ready stays until its pass begins.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import yaml

from tests.support.apiserver import MERGE, ApiServer
from tests.support.flux import artifact, at, condition, inventory, running
from tests.support.git import Origin

Object = dict[str, Any]
PATHS = {"Deployment": "/apis/apps/v1/namespaces/{}/deployments", "ConfigMap": "/api/v1/namespaces/{}/configmaps"}
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/{}/applications"
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{}/kustomizations"
REPOSITORIES = "/apis/source.toolkit.fluxcd.io/v1/namespaces/{}/gitrepositories"
REQUESTED = "reconcile.fluxcd.io/requestedAt"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass
class Cluster:
    """A client as an administrator, and the branch that everything comes from."""

    client: httpx.Client
    origin: Origin
    namespace: str

    def files(self, commit: str) -> list[Object]:
        """The objects of a commit."""
        texts = [text for path, text in self.origin.files(commit).items() if path.endswith(".yaml")]
        return [one for text in texts for one in yaml.safe_load_all(text) if one]

    def apply(self, objects: list[Object], namespace: str, manager: str) -> None:
        for one in objects:
            self.client.patch(
                f"{PATHS[one['kind']].format(namespace)}/{one['metadata']['name']}",
                params={"fieldManager": manager, "force": "true"},
                content=json.dumps(one),
                headers={"Content-Type": "application/apply-patch+yaml"},
            ).raise_for_status()

    def live(self, objects: list[Object], namespace: str) -> list[Object | None]:
        """What there is of these."""
        answers = [self.client.get(f"{PATHS[o['kind']].format(namespace)}/{o['metadata']['name']}") for o in objects]
        return [None if answer.status_code == 404 else answer.raise_for_status().json() for answer in answers]

    def health(self, objects: list[Object], namespace: str) -> str:
        """As Argo CD calls it."""
        words = [_health(one) for one in self.live(objects, namespace)]
        return next((word for word in ("Degraded", "Missing", "Progressing") if word in words), "Healthy")

    def listed(self, path: str) -> list[Object]:
        found = self.client.get(path.format(self.namespace)).raise_for_status().json()
        return list(found["items"])

    def write(self, path: str, name: str, body: Mapping[str, Any], sub: str = "") -> None:
        address = f"{path.format(self.namespace)}/{name}{sub}"
        self.client.patch(address, content=json.dumps(body), headers={"Content-Type": MERGE}).raise_for_status()


def _health(live: Object | None) -> str:
    if live is None:
        return "Missing"
    if live["kind"] != "Deployment":
        return "Healthy"
    spec, status = live["spec"], live.get("status") or {}
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "Progressing"
    if any(c.get("reason") == "ProgressDeadlineExceeded" for c in status.get("conditions") or []):
        return "Degraded"
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return "Healthy" if counts == [spec["replicas"]] * 3 else "Progressing"


def within(wanted: Any, there: Any) -> bool:
    """Whether all that is wanted is there; what else there is does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(key in there and within(v, there[key]) for key, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and len(wanted) == len(there) and all(map(within, wanted, there))
    return bool(wanted == there)


# --- Argo CD ---------------------------------------------------------------------------------------------------------


@dataclass
class ArgoCd:
    """One Application's loops, a write at a time."""

    cluster: Cluster
    attempted: dict[str, str] = field(default_factory=dict)
    """By Application the commit of the last sync: auto-sync tries each once."""

    loops: dict[str, Iterator[None]] = field(default_factory=dict)

    def step(self) -> None:
        """What each Application's loop does until it waits; whoever asks meanwhile sees what is written so far."""
        for app in self.cluster.listed(APPLICATIONS):
            name = app["metadata"]["name"]
            if next(self.loops.setdefault(name, self._round(app)), self) is self:
                del self.loops[name]

    def _round(self, app: Object) -> Iterator[None]:
        self._compare(app)
        yield
        yield from self._sync(app)

    def _compare(self, app: Object) -> None:
        """Looks at Git and at what there is; its time is taken before, and a request to look goes by a second write."""
        began, source = now(), app["spec"]["source"]
        tip, namespace = self.cluster.origin.tip(source["targetRevision"]), app["spec"]["destination"]["namespace"]
        wanted = self.cluster.files(tip)
        live = self.cluster.live(wanted, namespace)
        synced = all(map(within, wanted, live))
        compared = {"source": source, "destination": app["spec"]["destination"]}
        status = {
            "sync": {"status": "Synced" if synced else "OutOfSync", "revision": tip, "comparedTo": compared},
            "health": {"status": self.cluster.health(wanted, namespace)},
            "reconciledAt": began,
            "resources": [_row(one, there, namespace) for one, there in zip(wanted, live, strict=True)],
        }
        self._write(app, {"status": status})
        if "argocd.argoproj.io/refresh" in (app["metadata"].get("annotations") or {}):
            self._write(app, {"metadata": {"annotations": {"argocd.argoproj.io/refresh": None}}})
        app["status"] = status

    def _sync(self, app: Object) -> Iterator[None]:
        """Once a commit. When it is over, what is said of health and sync is still that of before."""
        name, tip = app["metadata"]["name"], app["status"]["sync"]["revision"]
        if app["status"]["sync"]["status"] == "Synced" or self.attempted.get(name) == tip:
            return
        self.attempted[name] = tip
        operation = {"sync": {"revision": tip}, "initiatedBy": {"automated": True}}
        state = {"phase": "Running", "startedAt": now(), "operation": operation, "message": "", "finishedAt": None}
        self._write(app, {"operation": operation})
        yield
        self._write(app, {"status": {"operationState": state}})
        yield
        self.cluster.apply(self.cluster.files(tip), app["spec"]["destination"]["namespace"], "argocd-controller")
        result = {"revision": tip, "source": app["spec"]["source"]}
        yield
        state |= {"phase": "Succeeded", "finishedAt": now(), "syncResult": result}
        self._write(app, {"operation": None, "status": {"operationState": state}})
        yield

    def _write(self, app: Object, body: Mapping[str, Any]) -> None:
        self.cluster.write(APPLICATIONS, app["metadata"]["name"], body)


def _row(wanted: Object, live: Object | None, namespace: str) -> Object:
    """What is said of one object; a ConfigMap has no health."""
    group, _, version = wanted["apiVersion"].rpartition("/")
    row = {"group": group, "version": version, "kind": wanted["kind"], "name": wanted["metadata"]["name"]}
    row |= {"namespace": namespace, "status": "Synced" if within(wanted, live) else "OutOfSync"}
    return {**row, **({"health": {"status": _health(live)}} if wanted["kind"] == "Deployment" else {})}


# --- Flux ------------------------------------------------------------------------------------------------------------


@dataclass
class Flux:
    """A source-controller and a kustomize-controller, a write at a time."""

    cluster: Cluster
    timeout: float = 30.0
    passes: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By Kustomization: the revision that it is at work on, and since when."""
    failed: dict[str, float] = field(default_factory=dict)
    """When its last pass failed, which is tried again after a while."""
    retry: float = 10.0

    def step(self) -> None:
        sources = {one["metadata"]["name"]: self._source(one) for one in self.cluster.listed(REPOSITORIES)}
        for one in self.cluster.listed(KUSTOMIZATIONS):
            self._kustomization(one, sources[one["spec"]["sourceRef"]["name"]])

    def _source(self, one: Object) -> str:
        branch = one["spec"]["ref"]["branch"]
        revision = at(self.cluster.origin.tip(branch), branch)
        if ((one.get("status") or {}).get("artifact") or {}).get("revision") != revision or _asked(one):
            said = f"stored artifact for revision '{revision}'"
            self._write(REPOSITORIES, one, artifact=artifact(revision), conditions=[_about(one, "Ready", "True", said)])
        return revision

    def _kustomization(self, one: Object, revision: str) -> None:
        name, status = one["metadata"]["name"], one.get("status") or {}
        working, since = self.passes.get(name, ("", 0.0))
        again = name in self.failed and time.monotonic() > self.failed[name] + self.retry
        if working != revision and (status.get("lastAttemptedRevision") != revision or _asked(one) or again):
            self.failed.pop(name, None)
            self.passes[name] = (revision, time.monotonic())
            self._write(KUSTOMIZATIONS, one, seen=False, conditions=running(revision))
            self._write(KUSTOMIZATIONS, one, seen=False, lastAttemptedRevision=revision)
            wanted = self._wanted(revision)
            self.cluster.apply(wanted, one["spec"]["targetNamespace"], "kustomize-controller")
        elif working == revision:
            self._watch(one, revision, since)

    def _watch(self, one: Object, revision: str, since: float) -> None:
        """The end of a pass: all is well, something has failed, or it took too long."""
        namespace, name = one["spec"]["targetNamespace"], one["metadata"]["name"]
        wanted = self._wanted(revision)
        health, late = self.cluster.health(wanted, namespace), time.monotonic() - since > self.timeout
        if health == "Healthy":
            del self.passes[name]
            kinds = {"Deployment": "apps_Deployment", "ConfigMap": "_ConfigMap"}
            entries = [f"{namespace}_{o['metadata']['name']}_{kinds[o['kind']]}" for o in wanted]
            ready = _about(one, "Ready", "True", f"Applied revision: {revision}", "ReconciliationSucceeded")
            told = {"lastAppliedRevision": revision, "inventory": inventory(entries), "conditions": [ready]}
            self._write(KUSTOMIZATIONS, one, **told)
        elif health == "Degraded" or late:
            del self.passes[name]
            self.failed[name] = time.monotonic()
            ready = _about(one, "Ready", "False", f"health check failed: {health}", "HealthCheckFailed")
            again = _about(one, "Reconciling", "True", "health check failed", "ProgressingWithRetry")
            self._write(KUSTOMIZATIONS, one, seen=False, conditions=[ready, again])

    def _wanted(self, revision: str) -> list[Object]:
        return self.cluster.files(revision.rpartition(":")[2])

    def _write(self, path: str, one: Object, *, seen: bool = True, **status: Any) -> None:
        """A status that is about the object as it was read; what was asked for is handled when a pass is over."""
        if seen:
            status["observedGeneration"] = one["metadata"]["generation"]
        if _asked(one) and (seen or path == KUSTOMIZATIONS):
            status["lastHandledReconcileAt"] = one["metadata"]["annotations"][REQUESTED]
        self.cluster.write(path, one["metadata"]["name"], {"status": status}, "/status")


def _asked(one: Object) -> bool:
    asked = (one["metadata"].get("annotations") or {}).get(REQUESTED)
    return bool(asked) and asked != (one.get("status") or {}).get("lastHandledReconcileAt")


def _about(one: Object, type: str, status: str, message: str, reason: str = "Succeeded") -> Object:
    return condition(type, status, reason, message, one["metadata"]["generation"])


# --- both, at work ---------------------------------------------------------------------------------------------------


@contextmanager
def at_work(server: ApiServer, origin: Origin, namespace: str) -> Iterator[None]:
    """Both, on all that is in one namespace, until the end; what goes wrong in them is the test's failure."""
    over, failures = threading.Event(), list[BaseException]()

    def work(make: Callable[[Cluster], ArgoCd | Flux]) -> None:
        try:
            with server.client() as client:
                controller = make(Cluster(client, origin, namespace))
                while not over.wait(0.3):
                    with suppress(httpx.TransportError):
                        controller.step()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(make,), daemon=True) for make in (ArgoCd, Flux)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    if failures:
        raise failures[0]
