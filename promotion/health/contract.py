"""What a rule is, and the words that rules share; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from promotion.model import Health, Reading

Rule = Callable[[Mapping[str, Any], datetime], Reading]
"""Judges one live object that is not being deleted; may raise MalformedError."""


def healthy(why: str) -> Reading:
    return Reading(Health.HEALTHY, why)


def progressing(why: str) -> Reading:
    return Reading(Health.PROGRESSING, why)


def degraded(why: str) -> Reading:
    return Reading(Health.DEGRADED, why)


def suspended(why: str) -> Reading:
    return Reading(Health.SUSPENDED, why)


def unknown(why: str) -> Reading:
    return Reading(Health.UNKNOWN, why)
