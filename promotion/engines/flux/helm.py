"""What one read of a HelmRelease says of the spec that a Kustomization applied; pure.

Its own revisions are the chart's, never a commit: which commit it stands for is known by who applied it, so its status has to be
about the spec as it is now. One without a status is not fine, but new.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from promotion.engines.flux.source import Source
from promotion.engines.flux.status import Live, mapping
from promotion.model import Health, Reading
from promotion.said import one_line

FAILED = (
    "InstallFailed",
    "UpgradeFailed",
    "TestFailed",
    "RollbackFailed",
    "UninstallFailed",
    "RollbackSucceeded",
    "UninstallSucceeded",
    "HealthCheckFailed",
)


def judge(live: Live, source: Source, revision: str) -> Reading:
    """`source` and `revision` are those of the Kustomization that applied it."""
    for rule in RULES:
        if found := rule(live):
            return found
    return _other_chart(live, source, revision) or Reading(Health.HEALTHY, f"{live} is released")


def waits(live: Live) -> bool:
    """Whether Helm was told to wait until what it installs is ready, so that its word says something of it."""
    ways = [live.spec.get(key) for key in ("install", "upgrade")]
    return not any(isinstance(way, Mapping) and way.get("disableWait") for way in ways)


def _said(live: Live, why: str, health: Health = Health.PROGRESSING) -> Reading:
    return Reading(health, one_line(f"{live}: {why}", 400))


def _suspended(live: Live) -> Reading | None:
    return _said(live, "suspended", Health.SUSPENDED) if live.suspended else None


def _deleted(live: Live) -> Reading | None:
    return _said(live, "is being deleted") if live.deleted else None


def _stalled(live: Live) -> Reading | None:
    stalled = live.found("Stalled", "True")
    return _said(live, f"stalled: {stalled}", Health.DEGRADED) if stalled else None


def _remediated(live: Live) -> Reading | None:
    """What was asked for is not what runs, whatever Ready says."""
    back = live.found("Remediated", "True")
    return _said(live, f"gone back: {back}", Health.DEGRADED) if back else None


def _failed(live: Live) -> Reading | None:
    failure = live.found("Ready", "False")
    return _said(live, str(failure), Health.DEGRADED) if failure and failure.reason in FAILED else None


def _not_ready(live: Live) -> Reading | None:
    ready = live.conditions.get("Ready")
    if ready is None:
        return _said(live, "Flux has not looked at it yet")
    return None if ready.status == "True" else _said(live, str(ready))


def _other_spec(live: Live) -> Reading | None:
    return None if live.current and live.is_of_now("Ready") else Reading(Health.PROGRESSING, live.changed)


def _in_a_pass(live: Live) -> Reading | None:
    reconciling = live.conditions.get("Reconciling")
    return _said(live, str(reconciling)) if reconciling and reconciling.status != "False" else None


def _not_released(live: Live) -> Reading | None:
    history = live.status.get("history")
    newest = history[0] if isinstance(history, list) and history else None
    status = newest.get("status") if isinstance(newest, Mapping) else None
    if status == "deployed":
        return None
    return _said(live, f"Ready, but its newest release is {one_line(str(status or 'not there'), 40)}", Health.UNKNOWN)


def _other_chart(live: Live, source: Source, revision: str) -> Reading | None:
    """A chart that is packaged from our own repository anew for each commit carries the commit in its version.

    One that is packaged when its version changes says nothing: that changes no HelmRelease, and the old Ready stays.
    """
    wanted = _chart(live.spec)
    if _reference(wanted, live.namespace) != (source.live.kind, source.live.name, source.live.namespace):
        return None
    if wanted.get("reconcileStrategy") != "Revision":
        why = "its chart is in this repository, and only with `reconcileStrategy: Revision` it says of which commit"
        return _said(live, why, Health.UNKNOWN)
    tried = re.search(r"\+([0-9a-f]{12})\b", str(live.status.get("lastAttemptedRevision", "")))
    if tried and revision.startswith(tried[1]):
        return None
    return _said(live, "the chart of this commit is not released yet")


def _chart(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(spec.get("chart") or {}, "spec.chart").get("spec") or {}, "spec.chart.spec")


def _reference(wanted: Mapping[str, Any], namespace: str) -> tuple[Any, Any, Any]:
    ref = mapping(wanted.get("sourceRef") or {}, "spec.chart.spec.sourceRef")
    return ref.get("kind"), ref.get("name"), ref.get("namespace") or namespace


RULES: tuple[Callable[[Live], Reading | None], ...] = (
    _suspended,
    _deleted,
    _stalled,
    _remediated,
    _failed,
    _not_ready,
    _other_spec,
    _in_a_pass,
    _not_released,
)
