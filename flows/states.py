"""What became of a hop, as the last state of a Prefect run: its name is what the list of runs shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed, Failed

from flows.pages import clock
from promotion.errors import ConfigError, ConflictError, PromotionError, RefusedError
from promotion.model import Verdict, VerificationWord
from promotion.reconcile import Result
from promotion.texts import short
from promotion.view import Standing


def of_result(result: Result, now: datetime) -> State[Any]:
    """The state of a hop whose verification is not waited for (or that has none)."""
    message = _lines(result.reason, result.hint)
    match result.outcome:
        case "promoted" | "rolled-back":
            return Completed(name=f"{result.outcome} {short(result.commit)}", message=message)
        case "absorbed":
            source = result.plan.commit if result.plan else None
            return Completed(name=f"absorbed {short(source)}", message=message)
        case "nothing":
            return Completed(name="nothing to do", message=message)
        case "waiting":
            plan = result.plan
            return Completed(name=waiting(plan.verdicts, now, plan.asked) if plan else "waiting", message=message)
        case "conflict":
            return Failed(name="conflict", message=message)
        case "contended":
            return Failed(name="contended", message=message)
        case _:
            return Failed(name="Refused", message=message)


def waiting(verdicts: Sequence[Verdict], now: datetime, asked: Standing | None = None) -> str:
    """`waiting: soak until 13:58 UTC`."""
    waits = gates([v for v in verdicts if v.verdict == "wait"], now, asked)
    return f"waiting: {waits}"[:100] if waits else "waiting"


def gates(verdicts: Sequence[Verdict], now: datetime, asked: Standing | None = None) -> str:
    """The gates of these verdicts, and until when they wait: `auto, soak until 13:58 UTC, approval 1 of 2 (alice)`."""
    return ", ".join(dict.fromkeys(_gate(v, now, asked) for v in verdicts))


def _gate(verdict: Verdict, now: datetime, asked: Standing | None) -> str:
    if verdict.gate == "approval" and asked is not None:
        return f"approval {asked.brief}"
    return f"{verdict.gate} until {clock(verdict.until, now)}" if verdict.until else verdict.gate


def of_verification(word: VerificationWord, commit: str, message: str, done: str = "promoted") -> State[Any]:
    """The state of what landed, by how its verification turned out; `done` is the word for it where it did not fail."""
    match word:
        case "failed":
            return Failed(name="verification failed", message=f"{short(commit)}: {message}")
        case "timed-out":
            return Failed(name="verification timed out", message=f"{short(commit)}: {message}")
        case _:
            return Completed(name=f"{done} {short(commit)}", message=message)


def of_error(error: PromotionError) -> State[Any]:
    """A failed run without a traceback: one line, and what to do."""
    name = "failed, try again"
    if isinstance(error, RefusedError):
        name = "Refused"
    elif isinstance(error, ConflictError):
        name = "conflict"
    elif isinstance(error, ConfigError):
        name = "configuration"
    return Failed(name=name, message=_lines(str(error), error.hint))


def lost(message: str) -> State[Any]:
    """A run that gives no sign of life and left nothing in Git."""
    return Crashed(name="lost", message=message)


def _lines(message: str, hint: str | None) -> str:
    return f"{message}\n{hint}" if hint else message
