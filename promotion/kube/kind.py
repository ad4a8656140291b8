"""Kinds of objects and where they are; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version. `group` is empty for the core ones, `plural` its name in addresses."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Where one object is, or all of a namespace, or all."""
        parts = [*(["namespaces", namespace] if self.namespaced and namespace else []), self.plural]
        parts += [name] if name is not None else []
        return "/".join([root(self.api_version), *(quote(part, safe="") for part in parts)])

    def said(self, name: str, namespace: str | None = None) -> str:
        """An object for people: `Deployment shop/web`."""
        return f"{self.kind} {namespace}/{name}" if self.namespaced and namespace else f"{self.kind} {name}"


def root(api_version: str) -> str:
    """Where a group in one version is."""
    return f"/{'apis' if '/' in api_version else 'api'}/{quote(api_version)}"


def listed(answer: Mapping[str, Any]) -> Iterator[Kind]:
    """The kinds of an APIResourceList: one group in one version, without its subresources."""
    group, _, version = str(answer.get("groupVersion", "")).rpartition("/")
    for each in answer.get("resources") or []:
        if "/" not in each["name"]:
            yield Kind(group, version, each["kind"], each["name"], bool(each["namespaced"]))


def discovered(answer: Mapping[str, Any]) -> Iterator[Kind]:
    """The kinds of an APIGroupDiscoveryList: all groups in all versions, the preferred one first."""
    for group in answer.get("items") or []:
        name = group["metadata"].get("name", "")
        for version in group.get("versions") or []:
            for each in version.get("resources") or []:
                kind = each.get("responseKind") or {}
                if kind.get("kind"):
                    yield Kind(name, version["version"], kind["kind"], each["resource"], each["scope"] == "Namespaced")
