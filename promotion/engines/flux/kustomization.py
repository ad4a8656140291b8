"""What one read of a Kustomization and its source proves: the commit that is deployed, and Flux's word on it; pure.

A push changes the source and not the Kustomization: its Ready stays as it was until the next pass begins. So Ready alone
proves nothing, and the commit that Flux applied last is the deployed one. Whatever is not settled is said of the commit that is on
its way: what ran before it was well, and stays so on record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from promotion.engines.contract import Deployed
from promotion.engines.flux.freshness import too_old
from promotion.engines.flux.revision import commit
from promotion.engines.flux.source import Source
from promotion.engines.flux.status import Condition, Live
from promotion.model import Health, Reading
from promotion.said import one_line
from promotion.texts import short

FAILED = ("HealthCheckFailed", "BuildFailed", "ReconciliationFailed", "PruneFailed")
"""Reasons of an attempt that ended badly. Others are of passes that did not come so far."""
NO_PATH = "kustomization path not found"
FETCHED = re.compile(r"Fetching manifests for revision (\S+) with ")
APPLIED = re.compile(r"Applied revision: (\S+)")


@dataclass(frozen=True, slots=True)
class Seen:
    """One read. `attempted` and `applied` are as Flux writes them."""

    live: Live
    source: Source
    attempted: Any
    applied: Any
    now: datetime

    @property
    def ready(self) -> Condition | None:
        return self.live.conditions.get("Ready")

    @property
    def deployed(self) -> str | None:
        """The commit that was applied last, as a whole and well."""
        if self.source.names_commits:
            return commit(self.applied)
        return commit(self.live.status.get("lastAppliedOriginRevision"))

    @property
    def coming(self) -> str | None:
        """The commit that Flux is on the way to."""
        return self.source.commit or self.deployed


def judge(live: Live, source: Source, now: datetime) -> Deployed:
    """Flux's own word. Healthy says that a commit is applied, and that Flux found well whatever it was told to look at."""
    seen = Seen(live, source, live.status.get("lastAttemptedRevision"), live.status.get("lastAppliedRevision"), now)
    for rule in RULES:
        if found := rule(seen):
            return found
    return Deployed(seen.deployed, Reading(Health.HEALTHY, _well(seen)))


def _well(seen: Seen) -> str:
    more = [
        f"{live} was asked to look again, and has not yet" for live in (seen.source.live, seen.live) if live.pending
    ]
    more += [seen.source.trouble] if seen.source.trouble else []
    return "; ".join([f"{seen.live} applied {short(seen.deployed)}", *more])


def _unsettled(seen: Seen, why: str, health: Health = Health.PROGRESSING) -> Deployed:
    return Deployed(seen.coming, Reading(health, one_line(f"{seen.live}: {why}", 400)))


# --- the rules, in their order ---------------------------------------------------------------------------------------


def _suspended(seen: Seen) -> Deployed | None:
    """First: a suspended one looks green, and its status moves to generations that were never applied."""
    return _unsettled(seen, "suspended", Health.SUSPENDED) if seen.live.suspended else None


def _deleted(seen: Seen) -> Deployed | None:
    return _unsettled(seen, "is being deleted") if seen.live.deleted else None


def _stalled(seen: Seen) -> Deployed | None:
    """No commit gets past what stalls it: it is about its spec."""
    stalled = seen.live.found("Stalled", "True")
    return _unsettled(seen, f"stalled: {stalled}", Health.DEGRADED) if stalled else None


def _failed(seen: Seen) -> Deployed | None:
    """An attempt at what the source has now; a failure of the commit before is none of this one."""
    failure = seen.live.found("Ready", "False")
    if failure is None or failure.reason not in FAILED:
        return None
    if not seen.source.is_at(seen.attempted):
        what = short(commit(seen.attempted)) if seen.source.names_commits else "another image"
        return _unsettled(seen, f"{short(seen.coming)} is next, after {what} failed: {failure}")
    if seen.source.commit is None:
        return None  # said by _no_commit
    return _unsettled(seen, str(failure), Health.DEGRADED)


def _no_path(seen: Seen) -> Deployed | None:
    """Found before Flux says that it attempts anything; which revision it looked into stands in a message only."""
    failure = seen.live.found("Ready", "False")
    if failure is None or not failure.message.startswith(NO_PATH):
        return None
    about = seen.live.found("Reconciling", "True")
    fetched = FETCHED.match(about.message) if about else None
    if fetched is None or not seen.source.is_at(fetched[1]) or seen.source.commit is None:
        return None
    return _unsettled(seen, str(failure), Health.DEGRADED)


def _not_ready(seen: Seen) -> Deployed | None:
    """In the middle of a pass, waiting for what it depends on, cancelled, or not begun."""
    if seen.ready is None:
        return _unsettled(seen, "Flux has not looked at it yet")
    return None if seen.ready.status == "True" else _unsettled(seen, str(seen.ready))


def _other_spec(seen: Seen) -> Deployed | None:
    """A Ready that is about an older spec."""
    if seen.live.current and seen.live.is_of_now("Ready"):
        return None
    return Deployed(seen.coming, Reading(Health.PROGRESSING, seen.live.changed))


def _in_a_pass(seen: Seen) -> Deployed | None:
    """Ready as it was, while something else in the same status says that more is to come."""
    if seen.live.conditions.get("Reconciling", Condition("False", "", "", None)).status != "False":
        return _unsettled(seen, f"{seen.live.conditions['Reconciling']}")
    healthy = seen.live.conditions.get("Healthy")
    if healthy is not None and healthy.status != "True":
        return _unsettled(seen, f"Ready, and yet {healthy}")
    about = APPLIED.fullmatch(seen.ready.message) if seen.ready else None
    for other in (seen.attempted, about[1] if about else seen.applied):
        if other != seen.applied:
            return _unsettled(seen, f"Ready, and yet about {one_line(str(other), 100)} as well")
    return None


def _no_commit(seen: Seen) -> Deployed | None:
    if seen.deployed is not None:
        return None
    told = seen.applied if seen.source.names_commits else seen.live.status.get("lastAppliedOriginRevision")
    what = f"`{one_line(str(told), 100)}`, which is no commit" if told else "nothing that tells a commit"
    if not seen.source.names_commits and not told:
        what += "; push the artifact with --revision=BRANCH@sha1:COMMIT"
    return _unsettled(seen, f"applied {what}", Health.UNKNOWN)


def _too_old(seen: Seen) -> Deployed | None:
    why = too_old(seen.live, seen.now)
    return Deployed(seen.deployed, Reading(Health.UNKNOWN, f"{seen.live}: {why}")) if why else None


RULES: tuple[Callable[[Seen], Deployed | None], ...] = (
    _suspended,
    _deleted,
    _stalled,
    _failed,
    _no_path,
    _not_ready,
    _other_spec,
    _in_a_pass,
    _no_commit,
    _too_old,
)
