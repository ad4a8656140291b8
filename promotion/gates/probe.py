"""Every check as a gate: it asks the check once about the candidate; must not judge beyond what the check says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promotion.checks import CHECKS
from promotion.checks.contract import Check
from promotion.gates.contract import Gate, Question
from promotion.model import Health, Verdict, VerdictWord

_WORDS: dict[Health, VerdictWord] = {Health.HEALTHY: "pass", Health.DEGRADED: "block"}


def gate(kind: str, check: Check) -> Gate:
    """A gate that passes on healthy, blocks on degraded and waits on everything else, which includes no answer (S3)."""

    def ask(settings: Mapping[str, Any], question: Question) -> Verdict:
        reading = check(settings, question.subject)
        return Verdict(kind, _WORDS.get(reading.health, "wait"), reading.reason)

    return ask


GATES: dict[str, Gate] = {kind: gate(kind, check) for kind, check in CHECKS.items()}
