"""What a Kustomization or a HelmRelease made, as its status lists it, and what of it Flux itself looks after; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promotion.engines.flux.status import Live, mapping

KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io", "Kustomization")
HELM_RELEASE = ("helm.toolkit.fluxcd.io", "HelmRelease")
OWN = (KUSTOMIZATION, HELM_RELEASE)
"""What makes objects, and says itself how they are."""
SOURCES = "source.toolkit.fluxcd.io"

RBAC = "rbac.authorization.k8s.io"
LIFELESS = {
    ("", "Secret"),
    ("", "ConfigMap"),
    ("", "ServiceAccount"),
    *((RBAC, kind) for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")),
}
"""Kinds that are well when they are there, which Flux has just seen to. Not read: that would take rights nobody should need."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names an object; `version` is how it is read, and no part of what it is. Cluster-wide ones have no namespace."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def what(self) -> tuple[str, str]:
        return self.group, self.kind


def entries(live: Live) -> dict[Ref, str]:
    """The versions of all that it made. Raises ValueError for an inventory that is not there, or cannot be read."""
    inventory = live.status.get("inventory")
    if inventory is None:
        raise ValueError("its status has no inventory")
    listed = mapping(inventory, "status.inventory").get("entries") or []
    if not isinstance(listed, list):
        raise ValueError("status.inventory.entries is no list")
    return dict(_entry(mapping(each, "an entry of status.inventory")) for each in listed)


def _entry(each: Mapping[str, Any]) -> tuple[Ref, str]:
    """`NAMESPACE_NAME_GROUP_KIND`: no part but the name may hold `_`, where `__` stands for a `:`."""
    id_, version = str(each.get("id", "")), each.get("v")
    namespace, first, rest = id_.partition("_")
    parts = rest.rsplit("_", 2)
    if not first or len(parts) != 3 or not all((parts[0], parts[2])) or not isinstance(version, str) or not version:
        raise ValueError(f"status.inventory has an entry that names no object: {id_}")
    return Ref(parts[1], parts[2], namespace, parts[0].replace("__", ":")), version


def left(live: Live, made: Mapping[Ref, str]) -> list[Ref]:
    """What nobody but us looks after. Flux's word on another of its objects is about that object's spec, so that is ours too."""
    covered: set[Ref] | None = set()
    if live.kind == "Kustomization":
        covered = None if live.spec.get("wait") else _checked(live)
    return [
        ref
        for ref in made
        if ref.what in OWN or (covered is not None and ref.what not in LIFELESS and ref not in covered)
    ]


def _checked(live: Live) -> set[Ref]:
    found: set[Ref] = set()
    for each in live.spec.get("healthChecks") or ():
        check = mapping(each, "an entry of spec.healthChecks")
        group, slash, _ = str(check.get("apiVersion", "")).partition("/")
        found.add(
            Ref(
                group if slash else "",
                str(check.get("kind")),
                str(check.get("namespace") or ""),
                str(check.get("name")),
            )
        )
    return found
