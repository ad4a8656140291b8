"""A round of the operator: looks, decides, says what it is about to do, does it, and says what came of it.

Whatever it is killed at, the inventory names all that may be there, and a revision is only said to be applied when
everything was applied and pruned. It judges no health.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from promotion.engines.contract import Deployed
from promotion.engines.kubernetes import inventory, live
from promotion.engines.kubernetes.conflicts import put_back
from promotion.engines.kubernetes.inventory import Failure, Inventory, Item, Stored, Target
from promotion.engines.kubernetes.objects import Manifest, Ref, defined, doubles, ordered, placed
from promotion.engines.kubernetes.steps import Live, Steps, is_news, run_of, steps, too_much
from promotion.engines.kubernetes.work import Kinds, Outcome, apply_all, delete_all, summary
from promotion.errors import ConfigError, RefusedError, TemporaryError
from promotion.kube import Cluster, Kind
from promotion.kube.errors import MissingError
from promotion.model import Health, Reading
from promotion.texts import short

log = logging.getLogger(__name__)

ALLOW = "promotion.dev/allow-prune"
"""The annotation of the inventory that allows one revision to prune as much as it likes."""
ERRORS, LONGEST = 10, 300
"""Lines of a failure that are kept, and their characters."""


def deploy(target: Target, revision: str, render: Callable[[], Iterable[Manifest]]) -> Deployed:
    """Makes the cluster have exactly the objects of a revision. Raises PromotionErrors, after it kept why."""
    stored = inventory.load(target)
    before = stored.inventory
    try:
        manifests, kinds = _placed(target, list(render()))
        known, began = _known(target.cluster, manifests, before, kinds), datetime.now(UTC)
        there = live.read(target.cluster, known, target.label)
        before = _with_runs(before, there.objects, began)
        todo = steps(manifests, before, there.objects, target.label, datetime.now(UTC))
        _check(target, stored, todo, revision, manifests)
        todo = put_back(target.force, before, revision, datetime.now(UTC), todo, there.denied)
    except (ConfigError, RefusedError) as exc:
        lines = exc.problems if isinstance(exc, ConfigError) and exc.problems else (exc.message,)
        _save(target, stored, replace(before, failure=_failure(revision, lines)))
        raise
    stored = _save(target, stored, _widened(before, revision, todo))
    outcome = Outcome(stored.inventory.items)
    if todo.apply:
        deadline = time.monotonic() + target.patience.total_seconds()
        fought = replace(stored.inventory, records=before.records)  # the one that is about this round is no reason yet
        outcome = apply_all(target, fought, todo, kinds, there, deadline)
    try:
        if not (outcome.errors or outcome.waits):
            if todo.delete:
                _check_alone(target, stored)
            gone = outcome.items.keys() - {manifest.ref for manifest in manifests}
            outcome = delete_all(target, outcome, gone, todo, there, kinds)
        _save(target, stored, _after(stored.inventory, revision, outcome))
    except TemporaryError:
        _disown(target, todo)
        raise
    return _said(before, revision, outcome, todo)


# --- before anything is done ---------------------------------------------------------------------------------------


def _placed(target: Target, manifests: Sequence[Manifest]) -> tuple[list[Manifest], Kinds]:
    """The objects as they are applied, in order, and their kinds. Raises ConfigError with all that is wrong with them."""
    kinds = Kinds({}, defined(manifests))
    for key in dict.fromkeys((m.api_version, m.ref.kind) for m in manifests):
        if kind := _kind(target.cluster, *key):
            kinds.served[key] = kind
    found, problems = list[Manifest](), list[str]()
    for manifest in manifests:
        key = manifest.api_version, manifest.ref.kind
        kind = kinds.served.get(key) or kinds.coming.get((manifest.ref.group, manifest.ref.kind))
        namespaced = kind is None or kind.namespaced
        try:
            found.append(placed(manifest, namespaced=namespaced, namespace=target.namespace, label=target.label))
        except ValueError as exc:
            problems.append(f"{manifest.where}: {exc}")
    own = Ref("", "ConfigMap", target.namespace, inventory.name_of(target.subject))
    problems += [
        f"{m.where}: {m.ref} is this environment's inventory, and no object of it" for m in found if m.ref == own
    ]
    problems += doubles(found)
    if problems:
        raise trouble(problems)
    return ordered(found), kinds


def trouble(problems: Sequence[str]) -> ConfigError:
    """One error for all that is wrong with a revision."""
    if len(problems) == 1:
        return ConfigError(f"{problems[0]}; nothing was applied")
    text = f"{len(problems)} things are wrong with what is to be deployed; nothing was applied"
    return ConfigError(text, problems=tuple(problems))


def _kind(cluster: Cluster, api_version: str, kind: str) -> Kind | None:
    try:
        return cluster.kind(api_version, kind)
    except MissingError:
        return None


def _known(cluster: Cluster, manifests: Iterable[Manifest], before: Inventory, kinds: Kinds) -> dict[Ref, Kind]:
    """The kind of each object that may be there. What is gone from Git gets its kind into `kinds` too."""
    keys = {m.ref: (m.api_version, m.ref.kind) for m in manifests}
    for ref, item in before.items.items():
        if ref not in keys:
            keys[ref] = key = item.api_version, ref.kind
            if key not in kinds.served and (kind := _kind(cluster, *key) or _other_version(cluster, ref)):
                kinds.served[key] = kind
    return {ref: kinds.served[key] for ref, key in keys.items() if key in kinds.served}


def _other_version(cluster: Cluster, ref: Ref) -> Kind | None:
    return next((kind for kind in cluster.kinds() if (kind.group, kind.kind) == (ref.group, ref.kind)), None)


def _check(target: Target, stored: Stored, todo: Steps, revision: str, manifests: Sequence[Manifest]) -> None:
    """Raises RefusedError for a revision in which suspiciously much is gone, unless somebody allowed this one."""
    if not manifests and not stored.inventory.items:
        raise ConfigError(f"{short(revision)} has no objects: nothing was applied")
    allowed = str(stored.annotations.get(ALLOW, ""))
    much = too_much(stored.inventory, todo)
    if much and not (len(allowed) >= 7 and revision.startswith(allowed)):
        command = f"kubectl -n {target.namespace} annotate --overwrite {target.where} {ALLOW}={revision}"
        raise RefusedError(
            f"{short(revision)} would prune {much}: nothing was applied",
            where=f"{target.namespace}, {target.where}",
            hint=f"if that is wanted: {command}",
        )


def _check_alone(target: Target, stored: Stored) -> None:
    """Raises TemporaryError when another operator wrote since: what is gone from our revision may be wanted by its."""
    if inventory.load(target).version != stored.version:
        where = f"{target.namespace}, {target.where}"
        raise TemporaryError("another operator is at work on this environment: nothing was pruned", where=where)


# --- what is kept of it --------------------------------------------------------------------------------------------


def _save(target: Target, stored: Stored, now: Inventory) -> Stored:
    return inventory.save(target, stored, now)


def _failure(revision: str, lines: Iterable[str]) -> Failure:
    return Failure(revision, tuple(line[:LONGEST] for line in list(lines)[:ERRORS]))


def _widened(before: Inventory, revision: str, todo: Steps) -> Inventory:
    """With all that is about to be there, and with what is about to be put back."""
    if not (todo.apply or todo.delete):
        return before
    new = {m.ref: _unknown(before.items.get(m.ref) or Item(m.ref, m.version)) for m in todo.apply}
    new |= {item.ref: _unknown(item) for item in todo.delete}
    failure = before.failure if before.failure and before.failure.revision == revision else None
    now = replace(before, items={**before.items, **new}, applying=revision, failure=failure)
    return inventory.with_record(now, datetime.now(UTC), revision, _unrecorded(before, revision, todo.drift))


def _with_runs(before: Inventory, there: Mapping[Ref, Live], now: datetime) -> Inventory:
    """With how far what its cluster removes once it has finished has come: afterwards nobody can tell."""
    seen = {
        ref: replace(item, run=run)
        for ref, item in before.items.items()
        if (found := there.get(ref))
        and found["metadata"]["uid"] == item.uid
        and is_news(run := run_of(found, now), item.run, now)
    }
    return replace(before, items={**before.items, **seen}) if seen else before


def _unrecorded(before: Inventory, revision: str, drift: Mapping[Ref, list[tuple[str, str]]]) -> dict[Ref, Any]:
    """Drift, but for what an earlier round was to put back and could not: that was changed once, and is on record."""
    pending = {ref for ref, item in before.items.items() if not item.digest and before.applying == revision}
    said = {path for record in before.records if record.revision == revision for path in record.paths}
    return {
        ref: [(path, by) for path, by in found if ref not in pending or inventory.named(ref, path) not in said]
        for ref, found in drift.items()
    }


def _unknown(item: Item) -> Item:
    """From now on nobody knows what is applied: killed, we may have to apply what was there before."""
    return replace(item, digest="")


def _disown(target: Target, todo: Steps) -> None:
    """What we applied while another operator was at work is not what that one knows to be there."""
    stored = inventory.load(target)
    items = dict(stored.inventory.items)
    items |= {m.ref: _unknown(items[m.ref]) for m in todo.apply if m.ref in items}
    _save(target, stored, replace(stored.inventory, items=items))


def _after(before: Inventory, revision: str, outcome: Outcome) -> Inventory:
    now = replace(before, items=outcome.items, waits=outcome.waits[:ERRORS])
    if outcome.errors:
        return replace(now, applying=revision, failure=_failure(revision, outcome.errors))
    if outcome.waits:
        return replace(now, applying=revision, failure=None)
    return replace(now, applied=revision, applying=None, failure=None)


def _said(before: Inventory, revision: str, outcome: Outcome, todo: Steps) -> Deployed:
    """What a round came to. What is told of a failure for the first time is told in full."""
    back = [
        f"{inventory.named(ref, path)}{f' ({by})' if by else ''}"
        for ref, found in todo.drift.items()
        if outcome.items[ref].digest  # else it is to be put back still
        for path, by in found
    ]
    if outcome.errors:
        if before.failure != _failure(revision, outcome.errors):
            for line in outcome.errors[:ERRORS]:
                log.warning("%s", line)
        reading = Reading(Health.DEGRADED, summary(outcome.errors))
    elif outcome.waits:
        reading = Reading(Health.PROGRESSING, summary(outcome.waits))
    else:
        return Deployed(revision, None, tuple(back))
    return Deployed(before.applied, reading, tuple(back), waits=not (outcome.errors or outcome.unanswered))
