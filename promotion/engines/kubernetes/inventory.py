"""What an environment has in its cluster, as its ConfigMap keeps it: read, written, and only ever by whoever read it last.

    ConfigMap NAMESPACE/promotion-APPLICATION-ENVIRONMENT

It names every object before it is made and until it is gone, so that a kill anywhere loses none.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from promotion.engines.kubernetes.fields import MANAGER
from promotion.engines.kubernetes.objects import OWNER, Ref
from promotion.engines.kubernetes.pace import USUAL, Pace
from promotion.errors import ConfigError, ConflictError, TemporaryError
from promotion.kube import Cluster, Kind
from promotion.kube.errors import MissingError
from promotion.model import Reverted, Subject
from promotion.said import one_line
from promotion.texts import instant, iso

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", True)
PLAIN = 128 << 10
"""Bytes of an inventory that is kept as text; a longer one is compressed."""
LIMIT = 1_000_000
"""Bytes that a ConfigMap may have, but for a rest."""
RECORDS = 50
"""Of what was put back, the newest ones; at most as many paths in one."""


@dataclass(frozen=True, slots=True)
class Target:
    """An environment in its cluster. `label`: what its objects carry; `force`: fields of controllers are taken from them."""

    cluster: Cluster
    subject: Subject
    namespace: str
    label: str
    force: bool = False
    patience: timedelta = timedelta(seconds=15)
    """How long a round waits, in all, for definitions and for objects that are made again."""
    pace: Pace = USUAL
    """How long it is kept by objects for which the server has no answer."""

    @property
    def where(self) -> str:
        """Its inventory, as people and kubectl name it."""
        return f"configmap/{name_of(self.subject)}"


@dataclass(frozen=True, slots=True)
class Item:
    """One object. `digest` is of what was applied, `fields` of what was ours then; '' and no `uid`: not known to be there."""

    ref: Ref
    version: str
    uid: str = ""
    digest: str = ""
    fields: str = ""
    kept: bool = False
    """Gone from Git, and left where it is."""
    run: str = ""
    """Of a Job that its cluster removes once it has finished: `started TIME` (when it may at the earliest), `Complete` or `Failed`;
    of all else ''."""

    @property
    def api_version(self) -> str:
        return f"{self.ref.group}/{self.version}" if self.ref.group else self.version


@dataclass(frozen=True, slots=True)
class Failure:
    """A revision that could not be applied, and why, a line for each object or file."""

    revision: str
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """`applied`: the revision of which all was applied and pruned. `applying`: the one that is on its way."""

    items: Mapping[Ref, Item] = field(default_factory=dict)
    applied: str | None = None
    applying: str | None = None
    waits: tuple[str, ...] = ()
    failure: Failure | None = None
    records: tuple[Reverted, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """An inventory as it was read. `version` is the server's, '' when there is none yet."""

    inventory: Inventory
    version: str = ""
    annotations: Mapping[str, Any] = field(default_factory=dict)


def name_of(subject: Subject) -> str:
    """The ConfigMap's name."""
    name = f"promotion-{subject.application}-{subject.environment}"
    if (
        re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name)
        and ".-" not in name
        and "-." not in name
        and ".." not in name
    ):
        return name
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower())
    return f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"


def load(target: Target) -> Stored:
    """Raises ConfigError for one that is not this environment's, or that nobody can read."""
    subject = target.subject
    try:
        found = target.cluster.get(CONFIG_MAP, name_of(subject), target.namespace)
    except MissingError:
        return Stored(Inventory())
    where = f"{target.namespace}, {target.where}"
    if owner := (found["metadata"].get("labels") or {}).get(OWNER):
        raise ConfigError(f"is no inventory: {one_line(str(owner), 70)} applied it from Git", where=where)
    try:
        said = decoded(found)
        whose = (said["application"], said["environment"])
        inventory = parsed(said)
    except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error) as exc:
        hint = "restore it; without it nothing that is gone from Git can be pruned"
        raise ConfigError("is no inventory that can be read", where=where, hint=hint) from exc
    if whose != (subject.application, subject.environment):
        text = f"is the inventory of {whose[0]}'s {whose[1]}: two environments need two namespaces, or other names"
        raise ConfigError(text, where=where)
    metadata = found["metadata"]
    return Stored(inventory, metadata["resourceVersion"], metadata.get("annotations") or {})


def is_inventory(live: Mapping[str, Any]) -> bool:
    """Whether an object is where an operator keeps what it has, of whichever environment."""
    try:
        return (live["apiVersion"], live["kind"]) == ("v1", "ConfigMap") and "applying" in decoded(live)
    except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error):
        return False


def save(target: Target, stored: Stored, inventory: Inventory) -> Stored:
    """Writes it if nobody else did since it was read, and if anything in it is new. Raises TemporaryError, ConfigError."""
    if inventory == stored.inventory:
        return stored
    name, namespace = name_of(target.subject), target.namespace
    data = encoded(inventory, target.subject)
    try:
        if stored.version:
            body = {"metadata": {"resourceVersion": stored.version}, **data}
            made = target.cluster.patch(CONFIG_MAP, name, namespace, body, manager=MANAGER)
        else:
            metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": MANAGER}}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **data}
            made = target.cluster.create(CONFIG_MAP, body)
    except MissingError as exc:
        if stored.version:
            raise TemporaryError("the inventory was deleted while it was used", where=target.where) from exc
        raise ConfigError(
            f"there is no namespace `{namespace}`: make it, and give the operator its Role there"
        ) from exc
    except ConflictError as exc:
        where = f"{namespace}, {target.where}"
        raise TemporaryError("another operator is at work on this environment", where=where) from exc
    return replace(stored, inventory=inventory, version=made["metadata"]["resourceVersion"])


# --- as it is kept -------------------------------------------------------------------------------------------------


def encoded(inventory: Inventory, subject: Subject) -> dict[str, Any]:
    """`data` and `binaryData`. Raises ConfigError when there are more objects than a ConfigMap can name."""
    text = json.dumps(_as_json(inventory, subject), separators=(",", ":"))
    revision = inventory.applied or ""
    if len(text) <= PLAIN:
        return {"data": {"revision": revision, "inventory": text}, "binaryData": None}
    packed = base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)).decode("ascii")
    if len(packed) > LIMIT:
        raise ConfigError(f"{len(inventory.items)} objects are too many for one inventory: split the environment")
    return {"data": {"revision": revision, "inventory": None}, "binaryData": {"inventory.gz": packed}}


def decoded(found: Mapping[str, Any]) -> Any:
    """The JSON of a ConfigMap. Raises KeyError, ValueError, OSError."""
    if packed := (found.get("binaryData") or {}).get("inventory.gz"):
        return json.loads(gzip.decompress(base64.b64decode(packed)))
    return json.loads(found["data"]["inventory"])


def _as_json(inventory: Inventory, subject: Subject) -> dict[str, Any]:
    failure = inventory.failure
    records = [
        {"at": iso(r.at), "revision": r.revision, "paths": list(r.paths), "managers": list(r.managers)}
        for r in inventory.records
    ]
    return {
        "application": subject.application,
        "environment": subject.environment,
        "applied": inventory.applied,
        "applying": inventory.applying,
        "waits": list(inventory.waits),
        "failure": {"revision": failure.revision, "errors": list(failure.errors)} if failure else None,
        "reverted": records,
        "objects": [
            [i.ref.group, i.version, i.ref.kind, i.ref.namespace, i.ref.name, i.uid, i.digest, i.fields, i.kept]
            + ([i.run] if i.run else [])
            for i in inventory.items.values()
        ],
    }


def parsed(said: Mapping[str, Any]) -> Inventory:
    """What `decoded` gave. Raises KeyError, TypeError, ValueError."""
    items = {}
    for group, version, kind, namespace, name, *rest in said["objects"]:
        ref = Ref(group, kind, namespace, name)
        items[ref] = Item(ref, version, *rest)
    failure = said["failure"]
    return Inventory(
        items,
        said["applied"],
        said["applying"],
        tuple(said["waits"]),
        Failure(failure["revision"], tuple(failure["errors"])) if failure else None,
        tuple(
            Reverted(instant(r["at"]), r["revision"], tuple(r["paths"]), None, tuple(r["managers"]))
            for r in said["reverted"]
        ),
    )


def named(ref: Ref, path: str) -> str:
    """What was changed, as records name it: a field, or all of an object."""
    return f"{ref}:{path}" if path else str(ref)


def with_record(
    inventory: Inventory, at: datetime, revision: str, drift: Mapping[Ref, list[tuple[str, str]]]
) -> Inventory:
    """With what is about to be put back: `Deployment/shop/web:.spec.replicas`, and by whom it was changed."""
    lines = [(named(ref, path), manager) for ref, found in drift.items() for path, manager in found]
    if not lines:
        return inventory
    paths = tuple(dict.fromkeys(path for path, _ in lines))[:RECORDS]
    managers = tuple(sorted({manager for _, manager in lines if manager}))
    return replace(inventory, records=(*inventory.records, Reverted(at, revision, paths, None, managers))[-RECORDS:])
