"""What one read of a HelmRelease says of the spec that a Kustomization applied; pure.

Its own revisions are the chart's, never a commit: which commit it stands for is known by who applied it, so its status has to be
about the spec as it is now. One without a status is not fine, but new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from promotion.engines.flux.status import Live
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


def judge(live: Live) -> Reading:
    """Its own word. Whether the chart that it released is the one that it names now is for `chart` to say."""
    for rule in RULES:
        if found := rule(live):
            return found
    return Reading(Health.HEALTHY, f"{live} is released")


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


def _other_release(live: Live) -> Reading | None:
    """The newest release is not of the chart, or not of the values, that were tried last."""
    newest = live.status["history"][0]
    for key, tried in (
        ("chartVersion", "lastAttemptedRevision"),
        ("ociDigest", "lastAttemptedRevisionDigest"),
        ("configDigest", "lastAttemptedConfigDigest"),
    ):
        found, wanted = newest.get(key), live.status.get(tried)
        if found and wanted and found != wanted and _comparable(str(found), str(wanted)):
            return _said(live, f"Ready, but its newest release has the {key} {found}, not {wanted}", Health.UNKNOWN)
    return None


def _comparable(one: str, other: str) -> bool:
    """Digests of two algorithms say nothing of each other: one of the two may be set for the controller."""
    kinds = [text.partition(":")[0] if ":" in text else "" for text in (one, other)]
    return kinds[0] == kinds[1]


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
    _other_release,
)
