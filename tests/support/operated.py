"""What tests of the operator have in common: objects, a round over some of them, and a client that dies at any call."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from promotion.engines.contract import Deployed
from promotion.engines.kubernetes import rounds, watch
from promotion.engines.kubernetes.documents import Written
from promotion.engines.kubernetes.inventory import Target, decoded
from promotion.engines.kubernetes.objects import judged, owner
from promotion.kube import Cluster, Kind
from promotion.kube.errors import MissingError
from promotion.model import Subject

Object = dict[str, Any]

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", True)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", True)
SERVICE = Kind("", "v1", "Service", "services", True)
A, B, C, D = ("abcd"[n] * 40 for n in range(4))


def config(name: str, *, annotations: Mapping[str, str] | None = None, **data: str) -> Object:
    """A ConfigMap."""
    metadata = {"name": name, **({"annotations": dict(annotations)} if annotations else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str = "web", image: str = "web:1", app: str = "", **annotations: str) -> Object:
    """A Deployment of two pods; `app` is what its selector, which cannot be changed, is about."""
    labels = {"app": app or name}
    spec = {
        "nodeName": "nowhere",
        "containers": [{"name": "main", "image": image, "resources": {"limits": {"cpu": "500m"}}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def target(cluster: Any, namespace: str, environment: str = "prod", **more: Any) -> Target:
    """An environment of the application `shop`."""
    subject = Subject("shop", environment, None)
    return Target(cluster, subject, namespace, owner("shop", environment, namespace), **more)


def deploy(target: Target, revision: str, *objects: Object) -> Deployed:
    """One round of the operator over a revision with these objects."""
    documents = [Written(f"{one['kind']}.yaml", copy.deepcopy(one)) for one in objects]
    found, problems = judged(documents)
    assert not problems
    return rounds.deploy(target, revision, lambda: found)


def observe(target: Target) -> Deployed:
    return watch.observe(target, ())


def kept(target: Target) -> Any:
    """What the inventory says, as JSON."""
    return decoded(target.cluster.get(CONFIG_MAP, target.where.partition("/")[2], target.namespace))


def names(target: Target) -> list[str]:
    """The objects of the inventory."""
    return sorted(f"{kind}/{name}" for _, _, kind, _, name, *_ in kept(target)["objects"])


def there(
    cluster: Cluster, namespace: str, kinds: Iterable[Kind] = (CONFIG_MAP, DEPLOYMENT, SERVICE)
) -> dict[str, Any]:
    """By name all objects of these kinds, without inventories and what the server itself makes."""
    found = [(kind.kind, live) for kind in kinds for live in cluster.list(kind, namespace)]
    return {
        f"{kind}/{name}": live
        for kind, live in found
        if not (name := live["metadata"]["name"]).startswith("promotion-") and name != "kube-root-ca.crt"
    }


def is_there(cluster: Cluster, kind: Kind, name: str, namespace: str) -> bool:
    try:
        cluster.get(kind, name, namespace)
    except MissingError:
        return False
    return True


class Killed(BaseException):
    """The operator's process is gone."""


@dataclass
class Doomed:
    """A client whose process is killed at its n-th request: before the server gets it, or before it has the answer."""

    cluster: Cluster
    at: int
    after: bool = False
    calls: int = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.cluster, name)

        def call(*args: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self.at and not self.after:
                raise Killed
            try:
                return real(*args, **more)
            finally:
                if self.calls == self.at:
                    raise Killed

        return real if name in ("kind", "kinds") else call
