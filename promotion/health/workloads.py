"""Deployments and their like: replicas that must be of the newest template, ready and available; pure.

The answers are those of kstatus and of Argo CD taken together: an object is healthy when both say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from promotion.health.contract import degraded, healthy, progressing, suspended
from promotion.health.live import Condition, conditions, flag, generation, number, observed, text, value
from promotion.model import Reading

NEVER = (1 << 31) - 1
"""The progressDeadlineSeconds that means no deadline."""


def unseen(live: Mapping[str, Any]) -> Reading | None:
    """The proof that the status is about the newest spec: what lacks it is never healthy.

    Only what has no generation needs none; the API server gives one to all objects of these kinds.
    """
    now, seen = generation(live), observed(live)
    if now is None or now == seen:
        return None
    return progressing(f"generation {now} is not observed yet" + ("" if seen is None else f", only {seen}"))


def stale(live: Mapping[str, Any]) -> Reading | None:
    """The same for kinds that need not say which generation they have seen."""
    return None if observed(live) is None else unseen(live)


def deployment(live: Mapping[str, Any], _: datetime) -> Reading:
    """Paused, its deadline, all replicas updated, ready and available, no old ones left, Available and complete."""
    if flag(live, "spec", "paused"):
        return suspended("it is paused")
    if waiting := unseen(live):
        return waiting
    said = conditions(live)
    rollout = said.get("Progressing")
    if rollout and rollout.reason == "ProgressDeadlineExceeded":
        return degraded(rollout.said)
    wanted, has, updated, ready, available = _replicas(live)
    if has < wanted or updated < wanted:
        return progressing(f"{min(has, updated)} of {wanted} replicas are updated")
    if has > wanted or has > updated:
        return progressing(f"{has - min(wanted, updated)} old replicas are still there")
    if available < max(updated, wanted) or ready < wanted:
        return progressing(f"{min(available, ready)} of {wanted} replicas are available")
    if "Available" not in said or said["Available"].status != "True":
        return progressing(said["Available"].said if "Available" in said else "nothing says yet that it is Available")
    limited = value(live, "spec", "progressDeadlineSeconds") is not None
    if limited and number(live, "spec", "progressDeadlineSeconds") != NEVER and not _complete(rollout):
        return progressing(rollout.said if rollout else "nothing says yet that the rollout is complete")
    return healthy(f"{wanted} of {wanted} replicas are updated and available")


def _complete(rollout: Condition | None) -> bool:
    return bool(rollout and rollout.status == "True" and rollout.reason == "NewReplicaSetAvailable")


def _replicas(live: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
    """Wanted, there, updated, ready, available."""
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    has, updated, ready, available = (number(live, "status", name) for name in names)
    return number(live, "spec", "replicas", default=1), has, updated, ready, available


def stateful_set(live: Mapping[str, Any], _: datetime) -> Reading:
    """All replicas there and ready, and those above the partition updated; with OnDelete people replace pods."""
    if waiting := unseen(live):
        return waiting
    wanted, has, updated, ready, available = _replicas(live)
    if has < wanted or ready < wanted:
        return progressing(f"{min(has, ready)} of {wanted} replicas are ready")
    if has > wanted:
        return progressing(f"{has - wanted} replicas too many are still there")
    if value(live, "status", "availableReplicas") is not None and available < wanted:
        return progressing(f"{available} of {wanted} replicas are available")
    if text(live, "spec", "updateStrategy", "type") == "OnDelete":
        return healthy(f"{wanted} of {wanted} replicas are ready; pods are replaced by hand (OnDelete)")
    partition = value(live, "spec", "updateStrategy", "rollingUpdate", "partition")
    due = wanted - number(live, "spec", "updateStrategy", "rollingUpdate", "partition")
    if partition is not None and updated < due:
        return progressing(f"{updated} of {due} replicas are updated")
    if partition is None and (number(live, "status", "currentReplicas") < wanted or not _one_revision(live)):
        return progressing("not all replicas are of the newest revision")
    return healthy(f"{wanted} of {wanted} replicas are updated and ready")


def _one_revision(live: Mapping[str, Any]) -> bool:
    return text(live, "status", "currentRevision") == text(live, "status", "updateRevision")


def daemon_set(live: Mapping[str, Any], _: datetime) -> Reading:
    """A pod on each node that is due, all updated (but with OnDelete), available and ready."""
    if waiting := unseen(live):
        return waiting
    if value(live, "status", "desiredNumberScheduled") is None:
        return progressing("it is not known yet how many pods are due")
    by_hand = text(live, "spec", "updateStrategy", "type") == "OnDelete"
    due = number(live, "status", "desiredNumberScheduled")
    counted = {
        "scheduled": "currentNumberScheduled",
        **({} if by_hand else {"updated": "updatedNumberScheduled"}),
        "available": "numberAvailable",
        "ready": "numberReady",
    }
    for word, name in counted.items():
        if (has := number(live, "status", name)) < due:
            return progressing(f"{has} of {due} pods are {word}")
    return healthy(f"{due} of {due} pods are available" + ("; replaced by hand (OnDelete)" if by_hand else ""))


def replica_set(live: Mapping[str, Any], _: datetime) -> Reading:
    """Replica sets and replication controllers: all replicas there, labelled, ready and available."""
    if waiting := unseen(live):
        return waiting
    failure = conditions(live).get("ReplicaFailure")
    if failure and failure.status == "True":
        return degraded(failure.said)
    wanted, has, _updated, ready, available = _replicas(live)
    few = min(number(live, "status", "fullyLabeledReplicas"), ready, available)
    if few < wanted:
        return progressing(f"{few} of {wanted} replicas are available")
    if has > wanted:
        return progressing(f"{has - wanted} replicas too many are still there")
    return healthy(f"{wanted} of {wanted} replicas are available")
