"""Who may not have looked at its values since the commit changed or removed them; pure.

Of values that are in what the commit made, a change counts; of any other, that the commit may have removed them: it is gone from the
inventories by then, so only that it is there, or a look that began after all was applied, proves that nothing of the kind was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from promotion.engines.flux import passes, values
from promotion.engines.flux.inventory import HELM_RELEASE, KUSTOMIZATION, Ref
from promotion.engines.flux.status import Live, mapping, taken
from promotion.engines.flux.values import Named
from promotion.engines.flux.walk import Below, Walk
from promotion.errors import ConfigError
from promotion.model import Health, Reading
from promotion.said import one_line

ASK = "`refresh: annotate` asks for that; what kustomize names by its content needs no asking"
REMEDY = (
    "write `refresh: annotate` into the engine, which takes the right to patch HelmReleases and Kustomizations, "
    "or have kustomize name Secrets by their content (`secretGenerator`)"
)


@dataclass(frozen=True, slots=True)
class Applied:
    """When the commit was there: `settled`, when the last of it was applied and pruned at the latest (None: nobody knows), and
    `replaced`, when something else was applied for the last time."""

    revision: str
    settled: datetime | None
    replaced: datetime | None


def unsettled(below: Below, revision: str, walk: Walk) -> list[tuple[Ref, Reading]]:
    """Each with the Kustomization that it is below. Kustomizations first, for what they are built with changes what others read."""
    times = [passes.settled(each) for each in below.kustomizations]
    settled = max((time for time in times if time), default=None) if all(times) else None
    applied = Applied(revision, settled, passes.replaced(below.kustomizations))
    for kind in (KUSTOMIZATION[1], HELM_RELEASE[1]):
        found = [
            (top, reading)
            for top, read in below.readers
            if read["kind"] == kind
            for reading in _of(read, below, applied, walk)
        ]
        if found:
            return found
    return []


def advice(below: Below) -> list[tuple[str, str]]:
    """What only time proves, without requests of ours: Secrets are not read, so when they changed last nobody knows."""
    found = list(dict.fromkeys(told for _, read in below.readers for told in _in_secrets(taken(read), below)))
    if not found:
        return []
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    why = f"each commit may be healthy 20 minutes late, or later: values are in Secrets of fixed names: {', '.join(found[:3])}{more}"
    return [(why, REMEDY)]


def _in_secrets(live: Live, below: Below) -> list[str]:
    try:
        found = [each for each in values.named(live) if each.ref.kind == "Secret"]
    except ValueError:
        return []
    return [f"{each.ref.name} of {live}" for each in found if not (each.by_content and each.ref in below.made)]


def _of(read: Any, below: Below, applied: Applied, walk: Walk) -> Iterator[Reading]:
    live = taken(read)
    try:
        for each in values.named(live):
            if reading := _one(each, read, below, applied, walk):
                yield reading
    except ValueError as exc:
        yield Reading(Health.UNKNOWN, one_line(f"{live}: {exc}", 400))


def _one(each: Named, read: Any, below: Below, applied: Applied, walk: Walk) -> Reading | None:
    live, ref, made = taken(read), each.ref, each.ref in below.made
    if made and each.by_content:
        return None
    found, readable = _read(ref, walk)
    made = made or _is_released(found, below)
    if ref in walk.wanted:
        return _said(live, f"its {ref.kind} {ref.name} is not read yet")
    if _is_going(found):
        return _said(live, f"its {ref.kind} {ref.name} is being deleted")
    if readable and found is None and not each.optional:
        return _said(live, f"its {ref.kind} {ref.name} is not there, which Flux has not seen yet")
    if found is not None and not made:
        return None
    if _has_looked(read, found, applied):
        return None
    walk.unasked[str(live)] = live
    what = "as it is now" if made else "since the commit may have removed it"
    why = f"nothing says whether Flux has looked at its {ref.kind} {ref.name} {what} ({ASK})"
    return _said(live, why, Health.PROGRESSING if found is not None or applied.settled else Health.UNKNOWN)


def _read(ref: Ref, walk: Walk) -> tuple[Any, bool]:
    """What is there, and whether we may know: Secrets are not ours to read, and neither is what we are refused."""
    try:
        return (walk.take(ref, "v1"), True) if ref.kind == "ConfigMap" else (None, False)
    except ConfigError:
        return None, False


def _is_released(found: Any, below: Below) -> bool:
    """Whether a HelmRelease of the environment made it, by Flux's labels: before Flux 2.8 none of them lists what it made."""
    if found is None:
        return False
    labels = mapping(mapping(found.get("metadata"), "metadata").get("labels") or {}, "metadata.labels")
    owner = (str(labels.get(f"{HELM_RELEASE[0]}/{key}")) for key in ("namespace", "name"))
    return Ref(*HELM_RELEASE, *owner) in below.made


def _is_going(found: Any) -> bool:
    return found is not None and bool(mapping(found.get("metadata"), "metadata").get("deletionTimestamp"))


def _has_looked(read: Any, found: Any, applied: Applied) -> bool:
    """Since they were written, where they can be read, else since all was applied.

    A Kustomization that says when it began needs no other proof, and none counts: what it is built with may be made by one
    that was built anew after it.
    """
    live = taken(read)
    changed = applied.settled if found is None else values.written(found)
    if live.kind == KUSTOMIZATION[1] and changed is not None:
        begun = values.has_begun_after(live, changed if found is None else changed + values.SKEW)
        if begun is not None:
            return begun
    since = changed + passes.SECOND if found is not None and changed else applied.settled or applied.replaced
    if values.is_handled(live, applied.revision, since):
        return True
    return changed is not None and values.is_after(read, changed)


def _said(live: Live, why: str, health: Health = Health.PROGRESSING) -> Reading:
    return Reading(health, one_line(f"{live}: {why}", 400))
