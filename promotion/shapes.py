"""What the values of a ledger's records look like; pure, and must not know what they mean.

Whoever may write a ledger may write anything into it: what has another shape is told when it is read, and not when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from promotion.model import Health
from promotion.texts import instant

Shape = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str)


def commit(value: Any) -> bool:
    """The id of a Git object."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{40}", value) is not None


def time(value: Any) -> bool:
    try:
        return bool(instant(value))
    except (TypeError, ValueError):
        return False


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def entries(value: Any) -> bool:
    """Paths, each with a mode in octal digits and an object id, or with nothing."""

    def one(entry: Any) -> bool:
        if entry is None:
            return True
        two = isinstance(entry, list) and len(entry) == 2 and text(entry[0]) and commit(entry[1])
        return two and re.fullmatch("[0-7]{1,7}", entry[0]) is not None

    return mapping(value) and all(map(one, value.values()))


def changed(value: Any) -> bool:
    """A commit with what it changed."""
    return mapping(value) and commit(value.get("commit")) and entries(value.get("entries"))


def commits(value: Any) -> bool:
    """Commits by name."""
    return mapping(value) and all(map(commit, value.values()))


def health(value: Any) -> bool:
    return text(value) and value in {word.value for word in Health}


def many(of: Shape) -> Shape:
    return lambda value: isinstance(value, list) and all(map(of, value))


def maybe(of: Shape) -> Shape:
    return lambda value: value is None or of(value)


SHAPES: Mapping[str, Shape] = {
    **dict.fromkeys(("commit", "base", "target", "tree", "restores"), commit),
    **dict.fromkeys(("reason", "how", "through", "plan_id", "epoch"), text),
    **dict.fromkeys(("reasons", "paths", "managers", "environments", "gates", "approvers", "contents"), many(text)),
    **dict.fromkeys(("undone", "lifts"), many(commit)),
    **dict.fromkeys(("until", "well_since", "degraded_since", "reverted_at"), maybe(time)),
    **dict.fromkeys(("revision", "found"), maybe(text)),
    "source": maybe(commit),
    "in_force": mapping,
    "elsewhere": commits,
    "health": health,
    "entries": entries,
    "holds": many(changed),
    "resolution": maybe(changed),
    "strict": flag,
    "step": whole,
}
"""Key -> what its value must be. What is not named here may be anything, and nothing is done with it."""


def wrong(data: Mapping[str, Any]) -> list[str]:
    """The keys whose values have another shape than they must have."""
    return [key for key, value in data.items() if key in SHAPES and not SHAPES[key](value)]
