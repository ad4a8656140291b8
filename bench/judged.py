"""How long it takes to judge the health of a namespace's objects."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bench.table import Row
from promotion.health import judge, rules

COUNT = 1000


def rows(quick: bool) -> Iterator[Row]:
    seconds = min(measure() for _ in range(1 if quick else 5))
    yield Row(
        "health of 1,000 Kubernetes objects, a fifth by expressions", f"{seconds:.2f} s", "<= 0.5 s", seconds <= 0.5
    )


def measure() -> float:
    """Seconds for 1,000 objects of ten kinds, two of them judged by expressions; the rules are read before."""
    known, now, objects = rules(), datetime.now(UTC), _objects()
    for live in objects:
        judge(live, known, now)
    begun = time.perf_counter()
    for live in objects * (COUNT // len(objects)):
        judge(live, known, now)
    return time.perf_counter() - begun


def _objects() -> list[dict[str, Any]]:
    ready = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
    counts = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "fullyLabeledReplicas"), 1
    )
    available = {"observedGeneration": 1, **counts, "conditions": [{"type": "Available", "status": "True"}]}
    bound, running = {"phase": "Bound"}, {"phase": "Running", "conditions": ready["conditions"]}
    written: list[tuple[str, str, dict[str, Any]]] = [
        ("apps/v1", "Deployment", available),
        ("apps/v1", "ReplicaSet", available),
        ("v1", "Pod", running),
        ("v1", "PersistentVolumeClaim", bound),
        ("v1", "Service", {}),
        ("v1", "ConfigMap", {}),
        ("v1", "Secret", {}),
        ("rbac.authorization.k8s.io/v1", "Role", {}),
        ("cert-manager.io/v1", "Certificate", ready),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", ready),
    ]
    return [
        {"apiVersion": v, "kind": k, "metadata": {"name": "one", "generation": 1}, "status": s} for v, k, s in written
    ]
