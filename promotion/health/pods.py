"""Pods and jobs: what runs, has run, cannot start; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from promotion.health.contract import degraded, healthy, progressing, suspended, unknown
from promotion.health.live import conditions, entries, flag, text, value
from promotion.health.workloads import stale
from promotion.model import Reading

UNSCHEDULABLE = timedelta(seconds=15)
"""So long a pod may wait for a node before it counts as failed."""
IGNORED = "argocd.argoproj.io/ignore-restart-policy"


def pod(live: Mapping[str, Any], now: datetime) -> Reading:
    """Ready, or ended well; a container that cannot start, or has failed, is degraded."""
    phase = text(live, "status", "phase")
    if phase == "Succeeded":
        return healthy("it has ended well")
    if phase == "Failed":
        return degraded(_failure(live))
    if stuck := next(_stuck(live), None):
        return degraded(stuck)
    if phase in ("Pending", ""):
        return _pending(live, now) if phase else progressing("it has no status yet")
    if phase != "Running":
        return unknown(f"its phase is {phase}")
    return stale(live) or _running(live)


def _running(live: Mapping[str, Any]) -> Reading:
    ready = conditions(live).get("Ready")
    policy = text(live, "spec", "restartPolicy") or "Always"
    ignored = value(live, "metadata", "annotations", IGNORED) == "true"
    if policy != "Always" and not ignored:
        return progressing(f"it runs, and is to end (restartPolicy {policy})")
    if ready and ready.status == "True":
        return healthy("it is ready")
    for container in entries(live, "status", "containerStatuses"):
        if value(container, "lastState", "terminated") is not None:
            why = text(container, "lastState", "terminated", "reason") or "ended"
            return degraded(f"container {text(container, 'name')} was started again ({why}) and is not ready")
    return progressing(ready.said if ready else "it runs, and does not say that it is ready")


def _stuck(live: Mapping[str, Any]) -> Iterator[str]:
    """The containers that cannot start: CrashLoopBackOff, ImagePullBackOff, ErrImagePull, CreateContainerError ..."""
    always = (text(live, "spec", "restartPolicy") or "Always") == "Always"
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in entries(live, "status", kind):
            why = text(container, "state", "waiting", "reason")
            hopeless = why.startswith("Err") or why.endswith(("Error", "BackOff", "InvalidImageName"))
            if why == "CrashLoopBackOff" or (always and hopeless):
                message = text(container, "state", "waiting", "message")
                yield f"container {text(container, 'name')}: {why}" + (f": {message}" if message else "")


def _pending(live: Mapping[str, Any], now: datetime) -> Reading:
    scheduled = conditions(live).get("PodScheduled")
    if scheduled is None or scheduled.status != "False" or scheduled.reason != "Unschedulable":
        return progressing("it is pending")
    since = _time(scheduled.since)
    return degraded(scheduled.said) if since and now - since > UNSCHEDULABLE else progressing(scheduled.said)


def _time(written: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _failure(live: Mapping[str, Any]) -> str:
    said = text(live, "status", "message") or text(live, "status", "reason")
    if said:
        return f"it has failed: {said}"
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in entries(live, "status", kind):
            code = value(container, "state", "terminated", "exitCode")
            if code not in (None, 0):
                return f"it has failed: container {text(container, 'name')} ended with {code}"
    return "it has failed"


def job(live: Mapping[str, Any], _: datetime) -> Reading:
    """Only what is complete is healthy: one that was suspended and runs again is not."""
    said = conditions(live)
    for name in ("Failed", "FailureTarget"):
        if name in said and said[name].status == "True":
            return degraded(said[name].said)
    if "Complete" in said and said["Complete"].status == "True":
        return healthy("it is complete")
    if flag(live, "spec", "suspend") or ("Suspended" in said and said["Suspended"].status == "True"):
        return suspended("it is suspended")
    return progressing("it runs" if value(live, "status", "startTime") else "it has not started")


def cron_job(live: Mapping[str, Any], _: datetime) -> Reading:
    """Healthy while it may start jobs, unless the last one that has ended did not succeed."""
    if flag(live, "spec", "suspend"):
        return suspended("it is suspended")
    if value(live, "status") is None:
        return progressing("it has no status yet")
    started, succeeded = text(live, "status", "lastScheduleTime"), text(live, "status", "lastSuccessfulTime")
    if not started:
        return healthy("nothing was due yet")
    if entries(live, "status", "active") or not succeeded:
        return healthy(f"last started at {started}")
    first, last = _time(started), _time(succeeded)
    if first is None or last is None:
        return unknown("its times cannot be read")
    return degraded(f"the job of {started} did not succeed") if last < first else healthy(f"succeeded at {succeeded}")
