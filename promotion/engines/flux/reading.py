"""Reads what the judgement wants of one cluster: one list for each kind and namespace, and a get where only one is wanted; judges nothing.

ConfigMaps are asked for one by one: whoever may read those with values need not be allowed to read all others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from promotion.engines.flux.inventory import OWN, SOURCES, Ref
from promotion.engines.kept import Kept
from promotion.errors import PromotionError
from promotion.kube import Cluster, Kind, MissingError

VERSIONS = {"kustomize.toolkit.fluxcd.io": "v1", "source.toolkit.fluxcd.io": "v1", "helm.toolkit.fluxcd.io": "v2"}


def fill(cluster: Cluster, wanted: Mapping[Ref, str], shelf: dict[Ref, Any], kept: Kept | None = None) -> float:
    """Puts all that is wanted on the shelf, in the versions named: an object, None, or the error that kept it from being read.

    Returns how many seconds ago the oldest of it was read.
    """
    oldest = 0.0
    groups: dict[tuple[tuple[str, str], str, str, str], list[Ref]] = defaultdict(list)
    for ref, version in wanted.items():
        alone = ref.name if ref.what == ("", "ConfigMap") else ""
        groups[ref.what, version, ref.namespace, alone].append(ref)
    for (_, version, _, _), refs in groups.items():
        try:
            found, age = _read(cluster, kind_of(cluster, refs[0], version), refs, kept)
        except PromotionError as exc:
            gone = isinstance(exc, MissingError) and refs[0].what not in OWN and refs[0].group != SOURCES
            shelf.update(dict.fromkeys(refs, None if gone else exc))  # objects of a kind that is gone are gone
        else:
            shelf.update({ref: found.get(ref.name) for ref in refs})
            oldest = max(oldest, age)
    return oldest


def _read(cluster: Cluster, kind: Kind, refs: list[Ref], kept: Kept | None) -> tuple[dict[str, Any], float]:
    namespace = refs[0].namespace or None
    if kind.namespaced is (namespace is None):
        return {}, 0.0
    if kept and namespace and (refs[0].what in OWN or refs[0].group == SOURCES):
        place = ("flux", id(cluster), kind, namespace)
        if known := kept.everything(place, len(refs), lambda: _named(cluster.list(kind, namespace))):
            everything, age = known
            new = [ref for ref in refs if ref.name not in everything]  # it may have come since
            return {**everything, **(_asked(cluster, kind, new) if new else {})}, age
    return _asked(cluster, kind, refs), 0.0


def _asked(cluster: Cluster, kind: Kind, refs: list[Ref]) -> dict[str, Any]:
    namespace = refs[0].namespace or None
    if len(refs) > 1:
        return _named(cluster.list(kind, namespace))
    try:
        return {refs[0].name: cluster.get(kind, refs[0].name, namespace)}
    except MissingError:
        return {}


def _named(found: Iterable[Any]) -> dict[str, Any]:
    return {each["metadata"]["name"]: each for each in found}


def kind_of(cluster: Cluster, ref: Ref, version: str = "") -> Kind:
    """In the version named, else in whichever the cluster has. Raises MissingError for a kind that it does not know."""
    version = version or VERSIONS.get(ref.group, "v1")
    try:
        return cluster.kind(f"{ref.group}/{version}" if ref.group else version, ref.kind)
    except MissingError:
        others = [kind for kind in cluster.kinds() if (kind.group, kind.kind) == ref.what]
        if not others:
            raise
        return others[0]
