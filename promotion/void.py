"""Why a plan that somebody was shown is not the plan any more, from what it was made of; pure, and must not decide anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promotion.texts import short

Inputs = Mapping[str, Any]
"""As `plan.inputs` gives them."""


def why(then: Inputs, now: Inputs | None, *, arrived: bool = False) -> str:
    """What changed, in one line. `now` is what a plan for the same commit is made of; None when it is no candidate any more."""
    name, commit = then["environment"], short(then["source"])
    if now is None:
        return f"candidate superseded: {name} has {commit}" if arrived else f"{commit} cannot be promoted any more"
    return "; ".join(_changes(then, now)) or "one of its inputs changed"


def _changes(then: Inputs, now: Inputs) -> Iterator[str]:
    before, after = then["deciding"], now["deciding"]
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            old, new = before.get(key), after.get(key)
            changes = "; ".join(_of_gates(old or (), new or ())) if key == "gates" else f"{_said(old)} -> {_said(new)}"
            yield f"{key} changed: {changes}"
    name = then["environment"]
    if then["epoch"] != now["epoch"]:
        yield f"{name} was promoted, rolled back or adopted since"
    both = zip(
        ("target moved", f"what {name} stands for changed", "result changed"),
        then["contents"],
        now["contents"],
        strict=True,
    )
    words = [word for word, old, new in both if old != new]
    if words:
        yield words[0]


def _of_gates(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """`soak 2h -> 1h`, a gate by its kind and its place among those of its kind."""
    before, after = _numbered(old), _numbered(new)
    for key in [*before, *(key for key in after if key not in before)]:
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            yield f"{key[0]} {'added' if one is None else 'left out'}"
            continue
        for setting in sorted(one.keys() | other.keys()):
            if one.get(setting) != other.get(setting):
                word = "" if setting in ("for", "allow") else f" {setting}"
                yield f"{key[0]}{word} {_said(one.get(setting))} -> {_said(other.get(setting))}"


def _numbered(gates: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Mapping[str, Any]]:
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for gate in gates:
        number = sum(1 for kind, _ in found if kind == gate["type"])
        found[gate["type"], number] = gate
    return found


def _said(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str | int | float):
        return str(value)
    return ", ".join(map(str, value))[:60] if isinstance(value, list | tuple) else str(value)[:60]
