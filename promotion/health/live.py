"""One live object, read with care: every value is looked at before it is believed; pure, knows no kind.

Whatever is of another type than Kubernetes says is a MalformedError, which a judgement turns into `unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class MalformedError(Exception):
    """A value is not of the type that the API has there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `status.conditions`; what it lacks is empty."""

    type: str
    status: str
    reason: str
    message: str
    since: str
    """lastTransitionTime."""
    seen: int | None
    """The generation that it is about, where it says one."""

    @property
    def said(self) -> str:
        """`Ready is False (Failed): what the controller says`."""
        because = f" ({self.reason})" if self.reason else ""
        return f"{self.type} is {self.status}{because}" + (f": {self.message}" if self.message else "")


def value(body: Any, *path: str) -> Any:
    """What stands at a path, None when nothing does. Raises MalformedError when the way leads through no mapping."""
    for i, name in enumerate(path):
        if body is None:
            return None
        if not isinstance(body, Mapping):
            raise MalformedError(f"{'.'.join(path[:i]) or 'the object'} is no mapping")
        body = body.get(name)
    return body


def text(body: Any, *path: str) -> str:
    """A string, empty when there is none."""
    found = value(body, *path)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise MalformedError(f"{'.'.join(path)} is no text")
    return found


def flag(body: Any, *path: str) -> bool:
    """A boolean, False when there is none."""
    found = value(body, *path)
    if found is None:
        return False
    if not isinstance(found, bool):
        raise MalformedError(f"{'.'.join(path)} is neither true nor false")
    return found


def number(body: Any, *path: str, default: int = 0) -> int:
    """A whole number; `default` when there is none."""
    found = value(body, *path)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found // 1:
        raise MalformedError(f"{'.'.join(path)} is no whole number")
    return int(found)


def mapping(body: Any, *path: str) -> Mapping[str, Any]:
    """A mapping, empty when there is none."""
    found = value(body, *path)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise MalformedError(f"{'.'.join(path)} is no mapping")
    return found


def entries(body: Any, *path: str) -> Sequence[Mapping[str, Any]]:
    """A list of mappings, empty when there is none."""
    found = value(body, *path)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise MalformedError(f"{'.'.join(path)} is no list of mappings")
    return found


# --- generations and conditions ------------------------------------------------------------------------------------


def generation(body: Mapping[str, Any]) -> int | None:
    """`metadata.generation`, None when there is none."""
    found = value(body, "metadata", "generation")
    return None if found is None else number(body, "metadata", "generation")


def observed(body: Mapping[str, Any]) -> int | None:
    """`status.observedGeneration`, also where it is written as a text; None when there is none, or a text of another kind."""
    return _generation(value(body, "status"), "status")


def _generation(within: Any, where: str) -> int | None:
    found = value(within, "observedGeneration")
    if found is None:
        return None
    if isinstance(found, str):  # a hash of the spec proves nothing that could be compared
        return int(found) if re.fullmatch("-?[0-9]{1,18}", found) else None
    try:
        return number(within, "observedGeneration")
    except MalformedError as exc:
        raise MalformedError(f"{where}.observedGeneration is no whole number") from exc


def stated(body: Mapping[str, Any], *path: str) -> list[Condition]:
    """All conditions, by default those of `status.conditions`; those of an older generation are left out."""
    now, found = generation(body), list[Condition]()
    for entry in entries(body, *(path or ("status", "conditions"))):
        seen = _generation(entry, "a condition")
        if seen is None or now is None or seen >= now:
            said = [text(entry, key) for key in ("type", "status", "reason", "message", "lastTransitionTime")]
            found.append(Condition(said[0], said[1], said[2], said[3], said[4], seen))
    return found


def conditions(body: Mapping[str, Any], *path: str) -> dict[str, Condition]:
    """The same by type. Raises MalformedError when one type is said to be several things at once."""
    found: dict[str, Condition] = {}
    for each in stated(body, *path):
        if found.setdefault(each.type, each).status != each.status:
            raise MalformedError(f"condition {each.type} is said to be {found[each.type].status} and {each.status}")
    return found
