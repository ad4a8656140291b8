"""Kinds of other projects that an expression cannot judge; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from promotion.health.contract import Rule, degraded, healthy, progressing, suspended
from promotion.health.live import number, text, value
from promotion.health.rollouts import rollout
from promotion.health.workloads import stale
from promotion.model import Reading


def collector(live: Mapping[str, Any], _: datetime) -> Reading:
    """An OpenTelemetry collector, whose replicas are a text, `2/3`; as a sidecar it has none."""
    if waiting := stale(live):
        return waiting
    mode, counted = text(live, "spec", "mode"), text(live, "status", "scale", "statusReplicas")
    if mode == "sidecar" and not counted and value(live, "status") is not None:
        return healthy("it is a sidecar of others")
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", counted)
    if found is None:
        return progressing("it does not say yet how many replicas are ready")
    ready, due = int(found[1]), int(found[2])
    if ready == due and (due or mode == "daemonset"):
        return healthy(f"{counted} replicas are ready")
    return (progressing if ready else degraded)(f"{counted} replicas are ready")


def spot_deployment(live: Mapping[str, Any], now: datetime) -> Reading:
    """Like a Rollout; where it gives its phase it does not name its pods."""
    phase = text(live, "status", "phase")
    if phase != "Healthy" or text(live, "status", "currentPodHash"):
        return suspended("its phase is Paused") if phase == "Paused" else rollout(live, now)
    ready, wanted = number(live, "status", "readyReplicas"), number(live, "spec", "replicas", default=1)
    return stale(live) or (healthy if ready >= wanted else progressing)(f"{ready} of {wanted} replicas are ready")


RULES: Mapping[tuple[str, str], Rule] = {
    ("argoproj.io", "Rollout"): rollout,
    ("opentelemetry.io", "OpenTelemetryCollector"): collector,
    ("spot.io", "SpotDeployment"): spot_deployment,
}
