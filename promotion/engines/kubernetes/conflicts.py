"""Who may be overruled when a field of ours is not as it shall be: people are, controllers are not; pure.

A controller would do it again: two that put back each other's changes are worse than a field that is told of.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from promotion.engines.kubernetes.fields import MANAGER
from promotion.engines.kubernetes.inventory import Inventory
from promotion.engines.kubernetes.objects import Ref
from promotion.engines.kubernetes.steps import Steps

_HANDS = re.compile(r"kubectl.*|before-first-apply")
_LOOPS = re.compile(
    r"argocd.*|argo-?cd.*|(.*-)?controller(-manager)?|manager|helm.*|flux.*|(.*-)?operator|fleet.*|"
    r"horizontal-pod-autoscaler|vpa.*|keda.*|cluster-autoscaler|rancher.*|pulumi.*|[Tt]erraform.*|crossplane.*"
)
FOUGHT, RECENT = 3, timedelta(hours=1)
"""Whoever changes an object again after it was put back so often, so recently, is no person."""


def is_hand(manager: str) -> bool:
    """Whether people change things under this name. Our own means that admission changed what we sent."""
    return manager == MANAGER or _HANDS.fullmatch(manager) is not None


def is_loop(manager: str) -> bool:
    """Whether a controller does."""
    return not is_hand(manager) and _LOOPS.fullmatch(manager) is not None


def may_take(force: bool, before: Inventory, ref: Ref, now: datetime, manager: str) -> bool:
    """Whether fields are taken from this manager. One that is neither known as a hand nor as a loop is watched."""
    if force or is_hand(manager):
        return True
    again = [r for r in before.records if r.at > now - RECENT and manager in r.managers and _is_about(r.paths, ref)]
    return not is_loop(manager) and len(again) < FOUGHT


def put_back(
    force: bool, before: Inventory, revision: str, now: datetime, todo: Steps, unseen: Container[Ref] = ()
) -> Steps:
    """The steps, and of the drift what is put back now: not what a controller has, nor what could not be before."""
    failed = before.failure.errors if before.failure and before.failure.revision == revision else ()
    drift = {
        ref: found
        for ref, found in todo.drift.items()
        if ref not in unseen
        and all(may_take(force, before, ref, now, manager) for _, manager in found if manager)
        and not any(f" {ref}: " in line for line in failed)
    }
    return replace(todo, drift=drift)


def _is_about(paths: Sequence[str], ref: Ref) -> bool:
    return any(path == str(ref) or path.startswith(f"{ref}:") for path in paths)
