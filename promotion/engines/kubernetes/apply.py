"""Makes one object as Git wants it, removes one, and waits for a definition: the writes of a round, one object each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from promotion.engines.kubernetes import fields
from promotion.engines.kubernetes.fields import MANAGER
from promotion.engines.kubernetes.inventory import Target, is_inventory
from promotion.engines.kubernetes.objects import RECREATE, Manifest, Ref
from promotion.engines.kubernetes.steps import Live, foreign, leaving
from promotion.errors import ConfigError, ConflictError
from promotion.kube import Cluster, Kind
from promotion.kube.errors import ContestedError, InvalidError, MissingError

PAUSE_SECONDS = 0.1
TRIAL = "promotion-trial"
"""What an object is called that is only tried, and never made."""


class WaitError(ConfigError):
    """Nothing is wrong: a later round will do it."""


def put(
    target: Target,
    kind: Kind,
    manifest: Manifest,
    live: Live | None,
    may_take: Callable[[str], bool],
    deadline: float,
    until: float,
) -> dict[str, Any]:
    """Applies one object; returns it as it is then. `may_take(manager)` says whether a field is taken from somebody.

    The server is to answer until `until`; what has to go first, to be made again, may take until `deadline`.
    Raises ConfigError and ConflictError when this object cannot be applied, WaitError when it cannot be yet.
    """
    cluster, ref = target.cluster, manifest.ref
    if live is not None:
        if leaves := leaving(live):
            raise WaitError(f"{leaves}; it is made again once it is gone")
        if is_inventory(live):
            raise ConflictError("is the inventory of an environment, which only its operator writes")
        if (other := foreign(live, target.label)) and not target.force:
            raise ConflictError(f"belongs to {other}: one object cannot be in two environments")
        if patch := fields.taken_over(live):
            live = cluster.patch(kind, ref.name, ref.namespace or None, patch, manager=MANAGER, until=until)
    try:
        return _applied(cluster, kind, manifest, may_take, until)
    except InvalidError:
        recreated = live is not None and manifest.annotations.get(RECREATE) == "enabled"
        if live is None or not recreated or not _would_be_new(cluster, kind, manifest, until):
            raise
    uid = live["metadata"]["uid"]
    remove(cluster, kind, ref, uid, until)
    _await(lambda: _left(cluster, kind, ref, uid) is None, deadline, "is being deleted, to be made again")
    return _applied(cluster, kind, manifest, may_take, None)  # it was gone for long enough


def _applied(
    cluster: Cluster, kind: Kind, manifest: Manifest, may_take: Callable[[str], bool], until: float | None
) -> dict[str, Any]:
    body = dict(manifest.body)
    try:
        return cluster.apply(kind, body, manager=MANAGER, until=until)
    except ContestedError as exc:
        if not exc.causes or not all(may_take(manager) for manager, _ in exc.causes):
            raise
    return cluster.apply(kind, body, manager=MANAGER, force=True, until=until)


def _would_be_new(cluster: Cluster, kind: Kind, manifest: Manifest, until: float) -> bool:
    """Whether only what is there keeps the object from being applied: as a new one it would be valid."""
    body = {**manifest.body, "metadata": {**manifest.body["metadata"], "name": TRIAL}}
    try:
        cluster.apply(kind, body, manager=MANAGER, dry_run=True, until=until)
    except (ConfigError, ConflictError):
        return False
    return True


def remove(cluster: Cluster, kind: Kind, ref: Ref, uid: str, until: float) -> Live | None:
    """Deletes exactly this object, if it is still there. What is left of it: somebody has to finish something first."""
    try:
        if cluster.delete(kind, ref.name, ref.namespace or None, uid=uid, until=until):
            return None
    except MissingError:
        return None
    return _left(cluster, kind, ref, uid, until)


def _left(cluster: Cluster, kind: Kind, ref: Ref, uid: str, until: float | None = None) -> Live | None:
    try:
        found = cluster.get(kind, ref.name, ref.namespace or None, until=until)
    except MissingError:
        return None
    return found if found["metadata"]["uid"] == uid else None


def served(cluster: Cluster, manifest: Manifest, deadline: float) -> Kind:
    """Waits until the kind of an object is served, whose definition was just applied. Raises WaitError at the deadline."""
    while True:
        try:
            return cluster.kind(manifest.api_version, manifest.ref.kind)
        except MissingError as exc:
            if time.monotonic() >= deadline:
                raise WaitError(f"waits until its definition is established ({manifest.api_version})") from exc
        time.sleep(PAUSE_SECONDS)


def _await(is_over: Callable[[], bool], deadline: float, what: str) -> None:
    while not is_over():
        if time.monotonic() >= deadline:
            raise WaitError(what)
        time.sleep(PAUSE_SECONDS)
