"""What `metadata.managedFields` says: which fields are ours, who changed one, and what another tool is to hand over; pure.

Ownership tells drift where values cannot: the server writes `1000m` as `1`, fills in defaults, and admission may change what
was sent. Whoever changes a field of ours takes it from us, and so what we own is no longer what we owned after applying.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from promotion.engines.kubernetes.objects import digest

MANAGER = "promotion"
CLIENT_SIDE = "kubectl-client-side-apply"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Step = str | int
"""A key, or an index of the list as it is in the live object."""


def _entries(live: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = live["metadata"].get("managedFields") or ()
    return [entry for entry in found if isinstance(entry, dict) and not entry.get("subresource")]


def _is_ours(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply"


def ours(live: Mapping[str, Any]) -> str:
    """A digest of the fields of an object that are ours, and of when we last changed one; '' when none is.

    The time tells of another operator, or of somebody who uses our name: then the fields are ours still.
    """
    found = [[entry.get("fieldsV1"), entry.get("time")] for entry in _entries(live) if _is_ours(entry)]
    return digest(found) if found else ""


# --- drift ---------------------------------------------------------------------------------------------------------


def drift(wanted: Mapping[str, Any], live: Mapping[str, Any], *, deleted: bool) -> list[tuple[str, str]]:
    """Fields that were ours and are not as applied: a path (`.spec.replicas`) and who has it now, '' for nobody.

    Without `deleted` only what somebody else has: Git itself may have added the rest.
    """
    own = [entry.get("fieldsV1") or {} for entry in _entries(live) if _is_ours(entry)]
    others = sorted(
        (e for e in _entries(live) if not _is_ours(e)), key=lambda e: str(e.get("time") or ""), reverse=True
    )
    found = []
    for steps in _differing(wanted, live, ()):
        if any(_has(fields, live, steps) for fields in own):
            continue
        holders = (str(e.get("manager")) for e in others if _has(e.get("fieldsV1") or {}, live, steps))
        holder = next(holders, "")
        if holder != MANAGER and (holder or deleted):
            found.append((shown(steps, live), holder))
    return found


def _differing(wanted: Any, live: Any, steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """The ways to what is wanted and not so; a list is one value unless its elements have names."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            if not (steps == () and key in ("apiVersion", "kind")):
                yield from _differing(value, live.get(key), (*steps, key))
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) <= len(live):
        for number, value in enumerate(wanted):
            at = _counterpart(value, live, number)
            yield from _differing(value, live[at], (*steps, at)) if at is not None else [steps]
    elif not _same(wanted, live):
        yield steps


def _counterpart(value: Any, live: Sequence[Any], number: int) -> int | None:
    if isinstance(value, dict) and "name" in value:
        named = (i for i, each in enumerate(live) if isinstance(each, dict) and each.get("name") == value["name"])
        return next(named, None)
    return number


def _same(wanted: Any, live: Any) -> bool:
    """As far as the server, which leaves out what is empty and writes quantities its own way, lets one tell."""
    if wanted == live or (live is None and wanted in ({}, [], "", None, 0, False)):
        return True
    one, other = _quantity(wanted), _quantity(live)
    return one is not None and one == other


_SUFFIX = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{prefix}i": 1024**power for power, prefix in enumerate("KMGTPE", 1)}


def _quantity(value: Any) -> Decimal | None:
    found = re.fullmatch(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]{1,3})?)(|[numkMGTPE]|[KMGTPE]i)", str(value))
    if isinstance(value, bool) or not found:
        return None
    try:
        number = Decimal(found[1])
    except InvalidOperation:
        return None
    return number * _BINARY[found[2]] if found[2] in _BINARY else number.scaleb(_SUFFIX[found[2]])


def _has(fields: Any, live: Any, steps: Sequence[Step]) -> bool:
    """Whether a set of fields has this one, itself or as a part of something that is owned as a whole."""
    for step in steps:
        if not fields:
            return True
        key: str | None = f"f:{step}"
        if isinstance(step, str):
            live = live.get(step) if isinstance(live, dict) else None
        else:
            live = live[step]
            key = next((key for key in fields if _is_element(key, live)), None)
        if key is None or key not in fields:
            return False
        fields = fields[key]
    return True


def _is_element(key: str, element: Any) -> bool:
    kind, _, said = key.partition(":")
    try:
        value: Any = json.loads(said) if kind in ("k", "v") else None
    except ValueError:
        return False
    if kind == "k":
        return isinstance(element, dict) and all(element.get(name) == one for name, one in value.items())
    return kind == "v" and value == element


def shown(steps: Sequence[Step], live: Any) -> str:
    """`.spec.template.spec.containers[web].image`."""
    text = ""
    for step in steps:
        if isinstance(step, str):
            text += f".{step}" if re.fullmatch(r"[\w-]+", step) else f'["{step}"]'
            live = live.get(step) if isinstance(live, dict) else None
        else:
            live = live[step] if isinstance(live, list) else None
            text += f"[{live['name'] if isinstance(live, dict) and 'name' in live else step}]"
    return text


# --- taking over ---------------------------------------------------------------------------------------------------


def taken_over(live: Mapping[str, Any]) -> dict[str, Any] | None:
    """The patch with which what `kubectl apply` made becomes ours, once; None when there is nothing to take over.

    Else what Git no longer has would stay for ever: nobody but kubectl would own it.
    """
    entries = [dict(entry) for entry in live["metadata"].get("managedFields") or ()]
    theirs = [e for e in entries if e.get("manager") == CLIENT_SIDE and not e.get("subresource")]
    if not theirs or any(_is_ours(entry) for entry in entries):
        return None
    first = theirs[0]
    for entry in theirs[1:]:
        first["fieldsV1"] = _union(first.get("fieldsV1") or {}, entry.get("fieldsV1") or {})
    first |= {"manager": MANAGER, "operation": "Apply"}
    kept = [entry for entry in entries if entry is first or entry not in theirs]
    metadata = {"managedFields": kept, "resourceVersion": live["metadata"]["resourceVersion"]}
    return {"metadata": {**metadata, "annotations": {_LAST_APPLIED: None}}}


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, **{key: _union(one.get(key, {}), value) for key, value in other.items()}}
