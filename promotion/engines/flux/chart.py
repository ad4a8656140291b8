"""Whether what a HelmRelease released is the chart that it names as that is now; pure.

A commit that changes only what holds the chart (a tag in an OCIRepository, a version in a HelmChart, the address of a HelmRepository)
leaves the HelmRelease as it is, Ready and of its own generation, until helm-controller looks at it again. So each of the chain has to
be through with its own spec, and to have what the one before it holds now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from promotion.engines.flux.inventory import SOURCES, Ref
from promotion.engines.flux.source import GIT, OCI, Source
from promotion.engines.flux.status import Live, mapping
from promotion.model import Health, Reading
from promotion.said import one_line

CHART, REPOSITORY = "HelmChart", "HelmRepository"
ORIGINS = (REPOSITORY, GIT, "Bucket")


def holder(release: Live) -> Ref:
    """What holds its chart: what `chartRef` names, else the HelmChart that helm-controller makes of `chart`.

    Raises ValueError for a kind that does not tell which chart it holds."""
    if release.spec.get("chartRef"):
        wanted = mapping(release.spec["chartRef"], "spec.chartRef")
        return _ref(wanted, release.namespace, (OCI, CHART))
    template = mapping(mapping(release.spec.get("chart"), "spec.chart").get("spec"), "spec.chart.spec")
    named = _ref(mapping(template.get("sourceRef"), "spec.chart.spec.sourceRef"), release.namespace, ORIGINS)
    return Ref(SOURCES, CHART, named.namespace, f"{release.namespace}-{release.name}")


def origin(chart: Live) -> Ref | None:
    """What a HelmChart is made from; None for an OCIRepository, which holds its chart itself. Raises ValueError."""
    if chart.kind == OCI:
        return None
    return _ref(mapping(chart.spec.get("sourceRef"), "spec.sourceRef"), chart.namespace, ORIGINS)


def _ref(wanted: Mapping[str, Any], namespace: str, kinds: tuple[str, ...]) -> Ref:
    kind, name = str(wanted.get("kind")), str(wanted.get("name"))
    if kind not in kinds:
        raise ValueError(f"its chart is in the {kind} {name}, which is none of {', '.join(kinds)}")
    return Ref(SOURCES, kind, str(wanted.get("namespace") or namespace), name)


def unsettled(held: Source, *, holds: bool) -> Reading | None:
    """Why nothing is known of the chart that one of the chain holds: it is not through with its own spec.

    An origin of what `holds` the chart may fail later: what it fetched for that spec is there still.
    """
    live = held.live
    if _is_address(live):
        return None
    if live.suspended:
        return Reading(Health.SUSPENDED, f"{live}: suspended, so no other chart comes")
    ready = live.conditions.get("Ready")
    if ready is None or (holds and ready.status != "True") or not live.is_of_now("Ready"):
        return _said(live, str(ready) if ready else "Flux has not looked at it yet")
    if stalled := live.found("Stalled", "True"):
        return _said(live, f"stalled: {stalled}")
    if not live.current:
        return Reading(Health.PROGRESSING, live.changed)
    return None if held.revision else _said(live, "has no chart yet")


def other(release: Live, held: Source) -> Reading | None:
    """Where the release is of another chart than the one held now."""
    tried, found = release.status.get("lastAttemptedRevision"), held.revision or ""
    if held.live.kind == OCI:
        tried, found = release.status.get("lastAttemptedRevisionDigest"), found.rpartition("@")[2]
    if isinstance(tried, str) and tried.removeprefix("v") == found.removeprefix("v"):
        return None
    return _said(release, f"the chart {held.revision} of {held.live} is not released yet")


def unpacked(chart: Source, from_: Source) -> Reading | None:
    """Where a HelmChart was not made of what its own source has now."""
    seen = chart.live.status.get("observedSourceArtifactRevision")
    return (
        None
        if _is_address(from_.live) or seen == from_.revision
        else _said(chart.live, f"has not looked at {from_.live} as it is now")
    )


def of_commit(release: Live, chart: Live, revision: str) -> Reading | None:
    """A chart that is packaged from our own repository anew for each commit carries the commit in its version.

    One that is packaged when its version changes says nothing: its files change, and neither it nor its HelmRelease does.
    """
    if chart.spec.get("reconcileStrategy") != "Revision":
        why = "its chart is in this repository, and only with `reconcileStrategy: Revision` it says of which commit"
        return _said(release, why, Health.UNKNOWN)
    tried = re.search(r"\+([0-9a-f]{12})\b", str(release.status.get("lastAttemptedRevision", "")))
    if tried and revision.startswith(tried[1]):
        return None
    return _said(release, "the chart of this commit is not released yet")


def _is_address(live: Live) -> bool:
    """A HelmRepository of type `oci`: nothing is fetched for it, and Flux writes no status."""
    return live.kind == REPOSITORY and live.spec.get("type") == "oci"


def _said(live: Live, why: str, health: Health = Health.PROGRESSING) -> Reading:
    return Reading(health, one_line(f"{live}: {why}", 400))
