"""An idle round of our operator over 1,000 objects on a real API server, against `kubectl apply --server-side` of the same."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench.commands import whole
from bench.hop import PLAIN, git
from bench.rounds import started
from bench.table import Row, note
from tests.support.apiserver import ApiServer, missing

KUBECTL = Path(sys.executable).parent / "kubectl"
NAMESPACE = "bench"


def rows(quick: bool) -> Iterator[Row]:
    if why := missing(os.environ) or ("" if KUBECTL.exists() else "no kubectl beside this Python"):
        note(f"our operator is not measured: {why}")
        return
    count = 100 if quick else 1_000
    server = ApiServer.start(Path(os.environ["KUBEBUILDER_ASSETS"]))
    try:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs, memory = _measured(Path(folder), server, count, 3 if quick else 7)
    finally:
        server.stop()
    note(f"{count} objects: an idle round {ours:.2f} s, kubectl apply --server-side {theirs:.2f} s, {memory:.0f} MB")
    what = f"an idle round of our operator over {count:,} objects"
    faster = theirs / ours
    yield Row(
        f"{what}, against `kubectl apply --server-side`", f"{faster:.1f} x faster", ">= 5 x", faster >= 5 or quick
    )
    yield Row(f"{what}: memory", f"{memory:.0f} MB", "<= 200 MB", memory <= 200)


def _measured(folder: Path, server: ApiServer, count: int, rounds: int) -> tuple[float, float, float]:
    with server.client() as client:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        client.post("/api/v1/namespaces", json=body).raise_for_status()
    origin, objects = folder / "shop.git", [_object(number) for number in range(count)]
    _repository(origin, objects)
    kubeconfig = server.kubeconfig(folder / "kubeconfig", namespace=NAMESPACE)
    place = f'{{type: kubernetes, context: admin, kubeconfig: "{kubeconfig}", namespace: {NAMESPACE}}}'
    config = folder / "environments.yaml"
    environment = f"  - {{name: prod, branch: prod, engine: {place}, health: engine}}"
    config.write_text(f"version: 1\nname: shop\nrepository: shop.git\nenvironments:\n{environment}\n")
    environ = {**PLAIN, "HOME": str(folder), "PROMOTION_CACHE": str(folder / "cache")}
    with started(config, environ, "--sync") as door:
        note(f"{count} objects, the first round: {door.once().seconds:.1f} s")
        told = [door.once() for _ in range(rounds + 1)][1:]
    file = folder / "all.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    words = [str(KUBECTL), f"--kubeconfig={kubeconfig}", "--context=admin", "apply", "--server-side", "-f", str(file)]
    theirs = [whole([*words, "--force-conflicts", "--field-manager=bench"], environ) for _ in range(4)][1:]
    return median(one.seconds for one in told), median(theirs), told[-1].memory


def _object(number: int) -> dict[str, Any]:
    """Of four kinds; a Deployment has no pods, since nobody would run them."""
    labels = {"app.kubernetes.io/name": f"web-{number}", "app.kubernetes.io/part-of": "shop"}
    named = {"metadata": {"name": f"web-{number}", "labels": labels}}
    container = {"name": "web", "image": f"web:{number}", "ports": [{"containerPort": 8080}]}
    container |= {"env": [{"name": f"SETTING_{n}", "value": f"value {n}"} for n in range(10)]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", **named, "data": {f"key-{n}": "a line\n" * 5 for n in range(5)}},
        {"apiVersion": "v1", "kind": "Service", **named, "spec": {"selector": labels, "ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "ServiceAccount", **named},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            **named,
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        },
    ][number % 4]


def _repository(path: Path, objects: list[dict[str, Any]]) -> None:
    path.mkdir()
    git(path, "init", "-q", "--bare", "-b", "main")
    lines = [b"commit refs/heads/prod\ncommitter b <b@example.com> 1767225600 +0000\ndata 5\nstart\n"]
    for each in objects:
        data = json.dumps(each, indent=2).encode()
        name = f"{each['kind'].lower()}s/{each['metadata']['name']}.yaml"
        lines.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(data), data))
    git(path, "fast-import", "--quiet", stdin=b"".join(lines))
