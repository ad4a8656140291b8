"""One read of an object of Flux's, taken apart: what all of its kinds have in common; pure.

Which generation a condition is about stands in the condition: `status.observedGeneration` moves when all went well only, so
it cannot tell whether a failure is of now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promotion.said import one_line

REQUESTED = "reconcile.fluxcd.io/requestedAt"


@dataclass(frozen=True, slots=True)
class Condition:
    """`generation` is None where it does not say what it is about."""

    status: str
    reason: str
    message: str
    generation: int | None

    def __str__(self) -> str:
        said = one_line(self.message, 300)
        return f"{self.reason}: {said}" if said else self.reason


@dataclass(frozen=True, slots=True)
class Live:
    """`asked` is the newest request to look again, `handled` the newest one that a look began after."""

    kind: str
    namespace: str
    name: str
    generation: int | None
    observed: int | None
    deleted: bool
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    conditions: Mapping[str, Condition]
    asked: str | None
    handled: str | None

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    @property
    def current(self) -> bool:
        """Whether the last good word is about the spec as it is now."""
        return self.generation is not None and self.generation == self.observed

    @property
    def pending(self) -> bool:
        """Whether it was asked to look again and did not begin to yet."""
        return self.asked is not None and self.asked != self.handled

    def found(self, type: str, status: str) -> Condition | None:
        """The condition of this type, if it has this status, and says so of the spec as it is now."""
        condition = self.conditions.get(type)
        return condition if condition and condition.status == status and self.is_of_now(type) else None

    def is_of_now(self, type: str) -> bool:
        """Whether a condition is about the spec as it is now, whatever it says."""
        condition = self.conditions.get(type)
        if condition is None or condition.generation is None:
            return condition is not None and self.current
        return condition.generation == self.generation

    @property
    def changed(self) -> str:
        """What is to be said of one that is not current."""
        seen = "no" if self.observed is None or self.observed < 0 else f"generation {self.observed}"
        return f"{self}: its spec is at generation {self.generation}, and Flux has applied {seen}" + (
            " generation yet" if seen == "no" else ""
        )


def taken(read: Any) -> Live:
    """Raises ValueError for what no object of Flux's looks like: nothing is to be made of such a one."""
    whole = mapping(read, "the object")
    meta, status = mapping(whole.get("metadata"), "metadata"), mapping(whole.get("status") or {}, "status")
    notes = mapping(meta.get("annotations") or {}, "metadata.annotations")
    return Live(
        kind=str(whole.get("kind", "?")),
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        generation=_number(meta.get("generation"), "metadata.generation"),
        observed=_number(status.get("observedGeneration"), "status.observedGeneration"),
        deleted=meta.get("deletionTimestamp") is not None,
        spec=mapping(whole.get("spec"), "spec"),
        status=status,
        conditions=_conditions(status.get("conditions")),
        asked=_text(notes.get(REQUESTED)),
        handled=_text(status.get("lastHandledReconcileAt")),
    )


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is no object")
    return value


def _number(value: Any, where: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{where} is no whole number")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _conditions(value: Any) -> dict[str, Condition]:
    if value is not None and not isinstance(value, list):
        raise ValueError("status.conditions is no list")
    found: dict[str, Condition] = {}
    for each in (mapping(one, "a condition") for one in value or ()):
        type_, status = each.get("type"), each.get("status")
        if not isinstance(type_, str) or not isinstance(status, str) or type_ in found:
            raise ValueError("status.conditions has one without a type or a status, or two of one type")
        said = str(each.get("reason") or ""), str(each.get("message") or "")
        found[type_] = Condition(
            status, *said, _number(each.get("observedGeneration"), "a condition's observedGeneration")
        )
    return found
