"""Argo Rollouts: their own word `phase` where there is one, and proofs that it is about the newest template; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from promotion.health.contract import degraded, healthy, progressing, suspended
from promotion.health.live import conditions, entries, flag, generation, mapping, number, text, value
from promotion.model import Reading

WORKLOAD = "rollout.argoproj.io/workload-generation"
FAILED = ("RolloutAborted", "ProgressDeadlineExceeded")


def rollout(live: Mapping[str, Any], _: datetime) -> Reading:
    """Fully rolled out and stable: an aborted one serves the old version and is degraded, a paused one suspended."""
    if waiting := _unseen(live):
        return suspended("it is paused") if flag(live, "spec", "paused") else waiting
    said = conditions(live)
    if "InvalidSpec" in said and said["InvalidSpec"].status != "False":
        return degraded(said["InvalidSpec"].said)
    if "Progressing" in said and said["Progressing"].reason in FAILED:
        return degraded(said["Progressing"].said)
    phase, message = text(live, "status", "phase"), text(live, "status", "message")
    told = f"its phase is {phase}" + (f": {message}" if message else "")
    if phase == "Degraded" or flag(live, "status", "abort"):
        return degraded(told if phase else "it was aborted")
    paused = flag(live, "spec", "paused") or bool(entries(live, "status", "pauseConditions"))
    if phase == "Paused" or (paused and not phase):
        return suspended(told if phase else "it is paused")
    if flag(live, "status", "controllerPause") and not paused:
        return progressing("it goes on after a pause")
    if phase and phase != "Healthy":
        return progressing(told)
    return _unfinished(live) or healthy(told if phase else "it is fully rolled out")


def _unseen(live: Mapping[str, Any]) -> Reading | None:
    """Both generations, its own and that of the workload it refers to, are observed."""
    seen, now = value(live, "status", "observedGeneration"), generation(live)
    if seen is None:
        return progressing("nothing says yet that its generation is observed")
    # Before 0.10 it was a hash of the spec, which may consist of digits alone; phases came later.
    digits = re.fullmatch("-?[0-9]{1,18}", str(seen))
    hashed = not text(live, "status", "phase") and (digits is None or now is None or int(str(seen)) > now)
    if now is not None and str(seen) != str(now) and not hashed:
        return progressing(f"generation {now} is not observed yet, only {seen}")
    workload = text(mapping(live, "metadata", "annotations"), WORKLOAD)
    observed = text(live, "status", "workloadObservedGeneration")
    if value(live, "spec", "workloadRef") is not None and workload != observed:
        return progressing(
            f"generation {workload or 'none'} of its workload is not observed yet, only {observed or 'none'}"
        )
    return None


def _unfinished(live: Mapping[str, Any]) -> Reading | None:
    names = ("replicas", "updatedReplicas", "availableReplicas")
    has, updated, available = (number(live, "status", name) for name in names)
    wanted, pods = number(live, "spec", "replicas", default=1), text(live, "status", "currentPodHash")
    if not pods:
        return progressing("nothing says yet which pods are current")
    if updated < wanted:
        return progressing(f"{updated} of {wanted} replicas are updated")
    if available < wanted:
        return progressing(f"{available} of {wanted} replicas are available")
    stable = text(live, "status", "stableRS") or text(live, "status", "canary", "stableRS")
    if value(live, "spec", "strategy", "blueGreen") is not None:
        if text(live, "status", "blueGreen", "activeSelector") != pods:
            return progressing("the active service does not select the new pods yet")
        return progressing("the new pods are not the stable ones yet") if stable not in ("", pods) else None
    if has > updated:
        return progressing(f"{has - updated} old replicas are still there")
    return None if stable == pods else progressing("the new pods are not the stable ones yet")
