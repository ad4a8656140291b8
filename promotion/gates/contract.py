"""What a gate is: a question asked about one candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from promotion.model import Subject, Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """What a gate may know about a candidate."""

    subject: Subject
    """The application, the target environment, and the candidate's commit as `revision`."""
    source: str
    """The source environment's name."""
    now: datetime
    heartbeat: timedelta
    healthy_since: datetime | None
    """When the candidate was first healthy in the source; None if never."""
    steady_since: datetime | None
    """Since when the source was never degraded, missing or unobserved for over two heartbeats; None: it is not now."""
    deployed_since: datetime | None = None
    """Since when the candidate itself is the source's deployed revision; None: another one is."""


class Gate(Protocol):
    """Answers about one candidate; never raises for what the world says."""

    def __call__(self, settings: Mapping[str, Any], question: Question) -> Verdict: ...
