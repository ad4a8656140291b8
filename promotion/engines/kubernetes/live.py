"""Reads what is there of the objects of an environment: one list a kind and namespace, and a question for each that is in none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from promotion.engines.kubernetes.objects import OWNER, Ref
from promotion.engines.kubernetes.steps import Live
from promotion.kube import Cluster, Kind
from promotion.kube.errors import DeniedError, MissingError

FEW = 10
"""So many objects are asked for one by one; more are looked for in a list of all that are there."""


@dataclass(frozen=True, slots=True)
class There:
    """Objects that are there, and those that we may not look at, with what the server says."""

    objects: dict[Ref, Live] = field(default_factory=dict)
    denied: dict[Ref, DeniedError] = field(default_factory=dict)


def read(cluster: Cluster, wanted: Mapping[Ref, Kind], label: str) -> There:
    """Raises TemporaryError."""
    there = There()
    groups: defaultdict[tuple[Kind, str], set[Ref]] = defaultdict(set)
    for ref, kind in wanted.items():
        groups[kind, ref.namespace].add(ref)
    for (kind, namespace), refs in groups.items():
        left = refs - _listed(cluster, kind, namespace, refs, f"{OWNER}={label}", there)
        if len(left) > FEW:
            left -= _listed(cluster, kind, namespace, left, "", there)
        for ref in left:
            _asked(cluster, kind, ref, there)
    return there


def _listed(cluster: Cluster, kind: Kind, namespace: str, refs: Iterable[Ref], labels: str, there: There) -> set[Ref]:
    """Which of them a list has. Whoever may not list may still be allowed to get each."""
    names = {ref.name: ref for ref in refs}
    try:
        found = cluster.list(kind, namespace or None, labels=labels)
    except (DeniedError, MissingError):
        return set()
    seen = {names[live["metadata"]["name"]]: live for live in found if live["metadata"]["name"] in names}
    there.objects.update(seen)
    return set(seen)


def _asked(cluster: Cluster, kind: Kind, ref: Ref, there: There) -> None:
    try:
        there.objects[ref] = cluster.get(kind, ref.name, ref.namespace or None)
    except MissingError:
        return
    except DeniedError as exc:
        there.denied[ref] = exc
