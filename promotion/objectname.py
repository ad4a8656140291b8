"""How an object of Kubernetes is named in environments.yaml; pure, and must not know which kinds there are."""

from __future__ import annotations

import re
from dataclasses import dataclass

WAYS = "write `deployment/shop`, `rollouts.argoproj.io/shop` or `apps/v1/Deployment/shop`"
_WORD = r"[A-Za-z][A-Za-z0-9-]{0,62}"
_GROUP = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?"
_SHORT = re.compile(rf"({_WORD})(?:\.({_GROUP}))?/({_NAME})")
_FULL = re.compile(rf"(?:({_GROUP})/)?(v[0-9][a-z0-9]*)/({_WORD})/({_NAME})")


@dataclass(frozen=True, slots=True)
class ObjectName:
    """What was written: a kind (or its plural, in any case), its group and version where they are said (else None), a name."""

    kind: str
    name: str
    group: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


def object_name(text: str) -> ObjectName:
    """Reads one. Raises ValueError, in one line with what is allowed."""
    if found := _FULL.fullmatch(text):
        return ObjectName(found[3], found[4], found[1] or "", found[2])
    if found := _SHORT.fullmatch(text):
        return ObjectName(found[1], found[3], found[2])
    raise ValueError(f"`{text}` names no object: {WAYS}")
