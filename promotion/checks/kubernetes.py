"""The check `kubernetes`: looks at named objects of a cluster, each judged by promotion.health; must not change any.

for: nothing that anybody wrote into an object for so long, as its managedFields tell, and it is well by what they wrote.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from promotion.errors import ConfigError, PromotionError
from promotion.model import WORST_FIRST, Health, Reading, Subject
from promotion.objectname import ObjectName, object_name
from promotion.said import one_line
from promotion.spelling import nearest
from promotion.texts import duration, span

if TYPE_CHECKING:
    from promotion.kube import Cluster, Kind

TICK = timedelta(seconds=1)
"""The API server's times are whole seconds, rounded down: what was written may be so much younger."""
NAMED = 3
"""How many objects are named in one line."""


def ask(settings: Mapping[str, Any], subject: Subject) -> Reading:
    """The worst of the objects: what is not there is missing, what cannot be looked at unknown."""
    try:
        return _ask(settings, subject)
    except PromotionError as exc:
        return Reading(Health.UNKNOWN, one_line(str(exc)))
    except Exception as exc:  # a check never raises (S3), whatever a server says
        return Reading(Health.UNKNOWN, f"failed ({type(exc).__name__})")


def _ask(settings: Mapping[str, Any], subject: Subject) -> Reading:
    # Here and not at the top: `promotion status` asks nobody.
    from promotion.kube import connect

    total = duration(settings.get("timeout", "10s"))
    deadline = time.monotonic() + total.total_seconds()
    cluster, readings = connect(settings, subject.environ), list[tuple[ObjectName, Reading]]()
    for written in settings["objects"]:
        readings.append((name := object_name(written), _look(cluster, name, settings)))
        if time.monotonic() > deadline:
            return Reading(Health.UNKNOWN, f"{cluster.host}: no complete answer within {span(total)}")
    return worst(readings, settings.get("for"))


def _look(cluster: Cluster, name: ObjectName, settings: Mapping[str, Any]) -> Reading:
    from promotion.health import judge, rules
    from promotion.kube import MissingError

    try:
        kind = _kind(cluster, name)
    except PromotionError as exc:
        return Reading(Health.UNKNOWN, str(exc))
    try:
        live = cluster.get(kind, name.name, settings["namespace"])
    except MissingError:
        where = f" in {settings['namespace']}" if kind.namespaced else ""
        return Reading(Health.MISSING, f"{name} is not there{where}")
    except PromotionError as exc:
        return Reading(Health.UNKNOWN, str(exc))
    now = datetime.now(UTC)
    reading = judge(live, rules(settings.get("health_rules", ())), now)
    if reading.health is Health.HEALTHY and "for" in settings:
        reading = unchanged(live, duration(settings["for"]), now) or reading
    return Reading(reading.health, f"{name}: {reading.reason}")


def _kind(cluster: Cluster, name: ObjectName) -> Kind:
    """The kind that was meant. Raises ConfigError for one that is not there, or that is there in several groups."""
    if name.version is not None:
        return cluster.kind(f"{name.group}/{name.version}" if name.group else name.version, name.kind)
    kinds, said = cluster.kinds(), name.kind.lower()
    meant = [k for k in kinds if said in (k.kind.lower(), k.plural) and name.group in (None, k.group)]
    groups = sorted({kind.group for kind in meant})
    if not meant:
        known = sorted({k.kind.lower() for k in kinds if name.group in (None, k.group)})
        group = f" of {name.group}" if name.group is not None else ""
        raise ConfigError(f"knows no kind `{name.kind}`{group}{nearest(said, known, 8)}", where=cluster.host)
    if len(groups) > 1 and "" not in groups:  # a core kind is what everybody means by its name
        ways = ", ".join(f"{said}.{group}/{name.name}" for group in groups)
        raise ConfigError(f"`{name.kind}` is a kind of several groups: write one of {ways}", where=cluster.host)
    return next(kind for kind in meant if kind.group == groups[0])


# --- pure ------------------------------------------------------------------------------------------------------------


def worst(readings: Sequence[tuple[ObjectName, Reading]], lasting: str | None) -> Reading:
    """Healthy when every object is, else the worst that one of them is, with what those say."""
    health = min((reading.health for _, reading in readings), key=WORST_FIRST.index)
    if health is Health.HEALTHY:
        which = str(readings[0][0]) if len(readings) == 1 else f"all {len(readings)} objects"
        return Reading(health, f"{which} healthy" + (f" for {lasting}" if lasting else ""))
    said = list(dict.fromkeys(reading.reason for _, reading in readings if reading.health is health))
    more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return Reading(health, one_line("; ".join(said[:NAMED]) + more, 400))


def unchanged(live: Mapping[str, Any], wanted: timedelta, now: datetime) -> Reading | None:
    """Why an object that is well now is not known to have been so for as long as `wanted`; None: it is.

    Its health follows from what is in it, and every write that changes anything in it leaves its time in managedFields.
    """
    metadata = live.get("metadata")
    fields = metadata.get("managedFields") if isinstance(metadata, dict) else None
    try:
        times = [datetime.fromisoformat(each["time"]) for each in fields or ()]
        newest = max(times) + TICK
        age = now - newest
    except (KeyError, TypeError, ValueError):
        return Reading(Health.UNKNOWN, "nothing tells since when it is as it is: it has no managedFields")
    if age >= wanted:
        return None
    return Reading(Health.PROGRESSING, f"healthy, and unchanged for {span(age)} of {span(wanted)}")
