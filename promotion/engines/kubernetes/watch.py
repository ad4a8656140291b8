"""What the inventory says is deployed, and how each object of it does; reads only, and may run far from the operator.

One reading is of one state: when the operator was at work while it was read, it is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from promotion import health
from promotion.engines.contract import Deployed
from promotion.engines.kubernetes import inventory, live
from promotion.engines.kubernetes.inventory import Inventory, Item, Target
from promotion.engines.kubernetes.objects import Ref
from promotion.engines.kubernetes.steps import has_run, is_untouched, run_of
from promotion.engines.kubernetes.work import summary
from promotion.errors import TemporaryError
from promotion.kube import Cluster, Kind
from promotion.kube.errors import MissingError
from promotion.model import WORST_FIRST, Health, Reading
from promotion.texts import short

SECRET = ("", "Secret")
"""Has no health, and is left to the operator: whoever judges needs no right to read any."""


def observe(target: Target, written: Sequence[Mapping[str, Any]]) -> Deployed:
    """`written` are users' own rules of health. Raises ConfigError, and TemporaryError when no reading is to be had now."""
    stored = inventory.load(target)
    found = stored.inventory
    if not stored.version:
        return Deployed(None, Reading(Health.MISSING, f"nothing deployed: no {target.where} in {target.namespace}"))
    if found.failure:
        why = f"{short(found.failure.revision)} could not be applied: {summary(found.failure.errors)}"
        return Deployed(found.failure.revision, Reading(Health.DEGRADED, why), records=found.records)
    if found.applying:
        waits = f": {summary(found.waits)}" if found.waits else ""
        reading = Reading(Health.PROGRESSING, f"{short(found.applying)} is being applied{waits}")
        return Deployed(found.applying, reading, records=found.records)
    reading = _judged(target, found, health.rules(written))
    if inventory.load(target).version != stored.version:
        raise TemporaryError(
            "the operator was at work while it was looked at", where=f"{target.namespace}, {target.where}"
        )
    return Deployed(found.applied, reading, records=found.records)


def _judged(target: Target, found: Inventory, rules: health.Rules) -> Reading:
    items = {ref: item for ref, item in found.items.items() if not item.kept and (ref.group, ref.kind) != SECRET}
    if not items:
        return Reading(Health.UNKNOWN, "no objects, so nothing says that it is healthy")
    kinds = {ref: kind for ref, item in items.items() if (kind := _kind(target.cluster, item))}
    there = live.read(target.cluster, kinds, target.label)
    if there.denied:
        raise next(iter(there.denied.values()))
    readings = dict(_readings(items, there.objects, rules))
    worst = min((reading.health for reading in readings.values()), key=WORST_FIRST.index)
    if worst is Health.HEALTHY:
        return Reading(worst, f"{len(items)} object{'s are' if len(items) > 1 else ' is'} as applied, and healthy")
    lines = [f"{ref}: {reading.reason}" for ref, reading in readings.items() if reading.health is worst]
    return Reading(worst, summary(lines))


def _readings(
    items: Mapping[Ref, Item], there: Mapping[Ref, Any], rules: health.Rules
) -> Iterator[tuple[Ref, Reading]]:
    now = datetime.now(UTC)
    for ref, item in items.items():
        found = there.get(ref)
        if has_run(item, found, now):
            yield ref, _ran((run_of(found, now) if found else "") or item.run)
        elif found is None:
            yield ref, Reading(Health.MISSING, "is gone")
        elif is_untouched(item, found):
            yield ref, health.judge(found, rules, now)
        else:  # how ever it does, it is not how the revision does
            yield ref, Reading(Health.PROGRESSING, "was changed since it was applied")


def _ran(run: str) -> Reading:
    """What is known of a Job that was removed by its ttlSecondsAfterFinished."""
    if run == "Complete":
        return Reading(Health.HEALTHY, "has run, and was removed afterwards")
    if run == "Failed":
        return Reading(Health.DEGRADED, "has failed, and was removed afterwards")
    why = "was removed before anybody saw it end: give it a ttlSecondsAfterFinished longer than the time between two rounds"
    return Reading(Health.UNKNOWN, why)


def _kind(cluster: Cluster, item: Item) -> Kind | None:
    """None when there is no such kind any more, and so no such object."""
    try:
        return cluster.kind(item.api_version, item.ref.kind)
    except MissingError:
        return None
