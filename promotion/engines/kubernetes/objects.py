"""Documents -> the objects that a revision consists of, judged, and in the order in which they are applied; pure.

Whatever is wrong is said of all of them at once: one bad document, and nothing of the revision is applied.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from promotion.engines.kubernetes.documents import Written
from promotion.kube import Kind
from promotion.said import one_line

OWNER = "promotion.dev/owner"
"""The label by which the objects of an environment are listed. It proves nothing: controllers copy labels."""
PRUNE = "promotion.dev/prune"
RECREATE = "promotion.dev/recreate"

_SERVER_SIDE = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
_DEEP = 30
"""Levels of lists within lists."""

_ORDER = (
    ("Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "RuntimeClass", "IngressClass"),
    ("ServiceAccount", "ResourceQuota", "LimitRange", "NetworkPolicy"),
    ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"),
    ("Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim"),
    ("Service", "EndpointSlice", "Endpoints"),
    (
        *("PodDisruptionBudget", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"),
        *("Pod", "Job", "CronJob", "HorizontalPodAutoscaler", "Ingress"),
    ),
    (),  # whatever else: custom resources
    (
        *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "APIService"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
        *("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"),
    ),
)
_RANK = {kind: (phase, place) for phase, kinds in enumerate(_ORDER) for place, kind in enumerate(kinds)}
_CUSTOM = (_ORDER.index(()), 0)


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object. Two versions of a kind are the same objects, so it has none."""

    group: str
    kind: str
    namespace: str
    """'' for what has none."""
    name: str

    def __str__(self) -> str:
        return "/".join(filter(None, (self.kind, self.namespace, self.name)))


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as it is to be; `digest` is of `body`."""

    ref: Ref
    version: str
    body: Mapping[str, Any]
    where: str
    digest: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.ref.group}/{self.version}" if self.ref.group else self.version

    @property
    def annotations(self) -> Mapping[str, Any]:
        return self.body["metadata"].get("annotations") or {}


def owner(application: str, environment: str, namespace: str) -> str:
    """What the label says: a name of at most 63 characters, the same for nobody else in the cluster."""
    name = f"{application}.{environment}.{namespace}"
    return name if len(name) <= 63 else f"{name[:50].rstrip('-_.')}-{sha256(name.encode()).hexdigest()[:12]}"


# --- judged --------------------------------------------------------------------------------------------------------


def judged(documents: Iterable[Written]) -> tuple[list[Manifest], list[str]]:
    """The objects, lists taken apart, and a line for each that is none."""
    manifests, problems = list[Manifest](), list[str]()
    for where, data in (each for document in documents for each in _unrolled(document.where, document.data, 0)):
        if wrong := _wrong(data):
            problems.append(f"{where}: {wrong}")
        else:
            group, _, version = data["apiVersion"].rpartition("/")
            metadata = data["metadata"]
            ref = Ref(group, data["kind"], metadata.get("namespace") or "", metadata["name"])
            manifests.append(Manifest(ref, version, data, where))
    return manifests, problems


def _unrolled(where: str, data: Any, depth: int) -> Iterator[tuple[str, Any]]:
    is_list = isinstance(data, dict) and str(data.get("kind", "")).endswith("List")
    if is_list and isinstance(data.get("items"), list) and depth < _DEEP:
        for number, item in enumerate(data["items"], 1):
            yield from _unrolled(f"{where}, item {number}", item, depth + 1)
    else:
        yield where, data


def _wrong(data: Any) -> str | None:
    """Why this is no object that can be applied. Values are not repeated: it may be a Secret."""
    if not isinstance(data, dict):
        return f"no object, but {'a list' if isinstance(data, list) else 'a single value'}"
    for key in ("apiVersion", "kind"):
        if not isinstance(data.get(key), str) or not data[key]:
            return f"no `{key}`: {_shown(data)} is no Kubernetes object"
        if not data[key].isprintable():  # it ends up in addresses, and on terminals
            return f"`{key}` of {_shown(data)} is none that an object can have"
    if "sops" in data:
        return f"{_shown(data)} is encrypted with SOPS, and nothing is decrypted here"
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        return f"no `metadata` in {_shown(data)}"
    if metadata.get("generateName"):
        return f"`generateName` in {_shown(data)}: each round would make another one; write a `name`"
    if not isinstance(metadata.get("name"), str) or not metadata["name"]:
        return f"no `metadata.name` in {_shown(data)}"
    if re.search(r"[/%\s]|^\.{1,2}$", metadata["name"]) or not metadata["name"].isprintable():
        return f"`metadata.name` of {_shown(data)} is none that an object can have"
    for key, kind in (("namespace", str), ("labels", dict), ("annotations", dict)):
        if not isinstance(metadata.get(key) or kind(), kind):
            return f"`metadata.{key}` of {_shown(data)} is no {'text' if kind is str else 'mapping'}"
    return None


def _shown(data: Mapping[str, Any]) -> str:
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    words = [word for word in (data.get("kind"), name) if isinstance(word, str) and word]
    return one_line("/".join(words), 100) or "this"


def doubles(manifests: Iterable[Manifest]) -> Iterator[str]:
    """A line for each object that stands there twice."""
    first: dict[Ref, Manifest] = {}
    for manifest in manifests:
        known = first.setdefault(manifest.ref, manifest)
        if known is not manifest:
            yield f"{manifest.where}: {manifest.ref} stands in {known.where} already"


def in_the_clear(manifests: Iterable[Manifest]) -> Iterator[str]:
    """A line for each Secret that anybody who reads the repository can read, without anything of it."""
    for manifest in manifests:
        is_secret = manifest.ref.kind == "Secret" and not manifest.ref.group
        if is_secret and (manifest.body.get("data") or manifest.body.get("stringData")):
            yield f"{manifest.where}: {manifest.ref} has its values in the clear, for whoever reads the repository"


# --- placed --------------------------------------------------------------------------------------------------------


def defined(manifests: Iterable[Manifest]) -> dict[tuple[str, str], Kind]:
    """The kinds that the definitions among these objects bring, by group and kind, in any version."""
    found: dict[tuple[str, str], Kind] = {}
    for manifest in manifests:
        if manifest.ref.kind == "CustomResourceDefinition":
            spec = manifest.body.get("spec")
            names = spec.get("names") if isinstance(spec, dict) else None
            if isinstance(spec, dict) and isinstance(names, dict):
                group, kind, plural = str(spec.get("group")), str(names.get("kind")), str(names.get("plural"))
                found[group, kind] = Kind(group, "", kind, plural, spec.get("scope") == "Namespaced")
    return found


def placed(manifest: Manifest, *, namespaced: bool, namespace: str, label: str) -> Manifest:
    """The object as it is applied: in its namespace, with our label, without what only the server writes.

    Raises ValueError, in words, for a namespace that is not the one served.
    """
    # What is empty is not ours: a controller that adds the first annotation would take the empty mapping from us.
    metadata = {key: value for key, value in manifest.body["metadata"].items() if value and key not in _SERVER_SIDE}
    written = metadata.pop("namespace", None)
    if namespaced:
        if written not in (None, "", namespace):
            shown = one_line(str(written), 70)
            raise ValueError(f"{manifest.ref} is for namespace `{shown}`, and only `{namespace}` is served here")
        metadata["namespace"] = namespace
    metadata["labels"] = {**(metadata.get("labels") or {}), OWNER: label}
    body = {key: value for key, value in manifest.body.items() if key != "status"} | {"metadata": metadata}
    if body["kind"] == "Secret" and not manifest.ref.group:
        body = _plain_secret(body)
    ref = replace(manifest.ref, namespace=namespace if namespaced else "")
    return replace(manifest, ref=ref, body=body, digest=digest(body))


def _plain_secret(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without `stringData`, which servers keep as `data`: of what is only there a key that is gone would stay."""
    texts, data = body.get("stringData"), body.get("data") or {}
    if not (isinstance(texts, dict) and isinstance(data, dict) and all(isinstance(t, str) for t in texts.values())):
        return dict(body)  # the server says what is wrong
    coded = {key: b64encode(text.encode("utf-8", "surrogatepass")).decode() for key, text in texts.items()}
    return {**{k: v for k, v in body.items() if k != "stringData"}, "data": {**data, **coded}}


def digest(value: Any) -> str:
    """Of any JSON value, however its keys are ordered."""
    return sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
    ).hexdigest()[:16]


# --- ordered -------------------------------------------------------------------------------------------------------


def rank(ref: Ref) -> tuple[int, int]:
    """When an object is applied: what others need first, what could keep others away last."""
    return _RANK.get(ref.kind, _CUSTOM) if "." not in ref.group or ref.group.endswith(".k8s.io") else _CUSTOM


def ordered(manifests: Iterable[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=lambda one: (rank(one.ref), one.ref))
