"""Flux's objects as its controllers write them, and a scripted source-controller and kustomize-controller."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

P, M, N = "1" * 40, "2" * 40, "3" * 40
BRANCH = "env/qa"
URL = "https://git.example.com/deploy/shop.git"
OBJECTS = ("shop_web_apps_Deployment",)
WHEN = "2026-11-24T12:00:00Z"
DIGEST = "sha256:" + "0" * 64


def at(commit: str, branch: str = BRANCH) -> str:
    """A revision of Flux's."""
    return f"{branch}@sha1:{commit}"


def condition(
    type: str, status: str, reason: str = "", message: str = "", generation: int | None = 1
) -> dict[str, Any]:
    about = {} if generation is None else {"observedGeneration": generation}
    made = {"type": type, "status": status, "reason": reason or "Succeeded", "message": message}
    return {**made, "lastTransitionTime": WHEN, **about}


def live(kind: str, name: str, spec: Mapping[str, Any], status: Mapping[str, Any], **meta: Any) -> dict[str, Any]:
    group, version = {"Kustomization": ("kustomize", "v1"), "HelmRelease": ("helm", "v2")}.get(kind, ("source", "v1"))
    return {
        "apiVersion": f"{group}.toolkit.fluxcd.io/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": "flux-system", "generation": 1, **meta},
        "spec": dict(spec),
        "status": dict(status),
    }


def inventory(entries: Sequence[str] = OBJECTS) -> dict[str, Any]:
    return {"entries": [{"id": each, "v": "v1"} for each in entries]}


def artifact(revision: str) -> dict[str, Any]:
    """What a source has fetched."""
    url = "http://source-controller.example/shop.tar.gz"
    return {"revision": revision, "digest": DIGEST, "lastUpdateTime": WHEN, "path": "shop.tar.gz", "url": url}


def repository(commit: str = M, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A GitRepository that has fetched a commit."""
    spec = {"url": URL, "interval": "1m", "ref": {"branch": BRANCH}, **more.pop("spec", {})}
    status = {
        "observedGeneration": 1,
        "conditions": list(conditions)
        or [condition("Ready", "True", "Succeeded", f"stored artifact for revision '{at(commit)}'")],
        "artifact": artifact(at(commit)),
        **more.pop("status", {}),
    }
    return live("GitRepository", more.pop("name", "shop"), spec, status, **more)


def kustomization(
    applied: str | None = M, *conditions: dict[str, Any], attempted: str | None = None, **more: Any
) -> dict[str, Any]:
    """A Kustomization that has applied a commit, and waits for what it applies; Ready unless `conditions` say otherwise."""
    spec = {
        "interval": "10m",
        "prune": True,
        "wait": True,
        "sourceRef": {"kind": "GitRepository", "name": "shop"},
        **more.pop("spec", {}),
    }
    told = more.get("status", {}).get("lastAppliedRevision") or at(applied or M)
    ready = condition("Ready", "True", "ReconciliationSucceeded", f"Applied revision: {told}")
    status: dict[str, Any] = {
        "observedGeneration": 1,
        "conditions": list(conditions) or [ready],
        "inventory": inventory(more.pop("entries", OBJECTS)),
        "lastAttemptedRevision": at(attempted or applied or M),
        **({"lastAppliedRevision": at(applied)} if applied else {}),
        **more.pop("status", {}),
    }
    return live(
        "Kustomization",
        more.pop("name", "shop"),
        spec,
        {key: value for key, value in status.items() if value is not None},
        **more,
    )


def release(*conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A HelmRelease that is released."""
    spec = {
        "interval": "10m",
        "chart": {"spec": {"chart": "web", "sourceRef": {"kind": "HelmRepository", "name": "charts"}}},
        **more.pop("spec", {}),
    }
    status: dict[str, Any] = {
        "observedGeneration": 1,
        "conditions": list(conditions)
        or [condition("Ready", "True", "UpgradeSucceeded"), condition("Released", "True", "UpgradeSucceeded")],
        "history": [
            {
                "name": "web",
                "namespace": "shop",
                "version": 3,
                "status": "deployed",
                "digest": DIGEST,
                "chartName": "web",
                "chartVersion": "1.0.0",
                "configDigest": DIGEST,
                "firstDeployed": WHEN,
                "lastDeployed": WHEN,
            }
        ],
        "lastAttemptedRevision": "1.0.0",
        **more.pop("status", {}),
    }
    return live(
        "HelmRelease",
        more.pop("name", "web"),
        spec,
        {key: value for key, value in status.items() if value is not None},
        **more,
    )


def packed(version: str = "1.0.0", source: str = "charts", **more: Any) -> list[dict[str, Any]]:
    """The HelmChart of that release, and the HelmRepository that it is from, both through with it."""
    settled = {"observedGeneration": 1, "conditions": [condition("Ready", "True")]}
    ref = {"kind": "HelmRepository", "name": source}
    status = {**settled, "artifact": artifact(version), "observedSourceArtifactRevision": DIGEST}
    chart = {"chart": "web", "version": version, "sourceRef": ref}
    return [
        live(
            "HelmChart",
            more.pop("name", "flux-system-web"),
            chart | more.pop("spec", {}),
            status | more.pop("status", {}),
            **more,
        ),
        live(
            "HelmRepository", source, {"url": "https://charts.example.com"}, {**settled, "artifact": artifact(DIGEST)}
        ),
    ]


def image(version: str = "1.0.0", digest: str = DIGEST, **more: Any) -> dict[str, Any]:
    """An OCIRepository that has fetched a chart."""
    status = {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "True")],
        "artifact": artifact(f"{version}@{digest}"),
        **more.pop("status", {}),
    }
    spec = {"url": "oci://registry.example.com/web", "interval": "10m", "ref": {"tag": version}, **more.pop("spec", {})}
    return live("OCIRepository", more.pop("name", "web"), spec, status, **more)


def imaged(version: str = "1.0.0", digest: str = DIGEST, **more: Any) -> dict[str, Any]:
    """A HelmRelease of the chart in that OCIRepository."""
    whole = f"{version}+{digest.partition(':')[2][:12]}"
    chart = {"chartRef": {"kind": "OCIRepository", "name": "web"}}
    made = release(spec={**chart, **more.pop("spec", {})}, **more)
    del made["spec"]["chart"]
    newest = {**made["status"]["history"][0], "chartVersion": whole, "ociDigest": digest}
    return changed(made, lastAttemptedRevision=whole, lastAttemptedRevisionDigest=digest, history=[newest])


def failing(
    reason: str = "HealthCheckFailed",
    message: str = "Deployment/shop/web status: 'Failed'",
    revision: str | None = None,
    generation: int | None = 1,
) -> list[dict[str, Any]]:
    """The conditions of a pass that ended badly: Reconciling stays, so that it is no end to whoever goes by that."""
    said = f"Fetching manifests for revision {revision} with a timeout of 5m0s" if revision else "Running health checks"
    return [
        condition("Ready", "False", reason, message, generation),
        condition("Reconciling", "True", "ProgressingWithRetry", said, generation),
    ]


def running(revision: str) -> list[dict[str, Any]]:
    """The conditions in the middle of a pass."""
    return [
        condition("Ready", "Unknown", "Progressing", "Reconciliation in progress"),
        condition(
            "Reconciling", "True", "Progressing", f"Fetching manifests for revision {revision} with a timeout of 5m0s"
        ),
    ]


def changed(object: Mapping[str, Any], **status: Any) -> dict[str, Any]:
    """A copy with some of its status written anew."""
    made = copy.deepcopy(dict(object))
    made["status"].update(status)
    return made
