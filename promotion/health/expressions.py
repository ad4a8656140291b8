"""Rules written in CEL: compiled once, asked of one live object; must not do I/O.

An expression sees the object's top-level fields as variables, as Flux' healthCheckExprs do, the whole object as
`self`, and functions of ours that a missing field does not break:

`condition(TYPE)`: the status of a condition of the present generation (`True`, `False`, `Unknown`), or an empty text;
`reason(TYPE)`: its reason, or an empty text;
`field(PATH)`, `field(PATH, DEFAULT)`: what stands at `status.phase`, or the default, by default null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from promotion.health.live import Condition, conditions, value
from promotion.model import Health, Reading
from promotion.spelling import nearest

EXPRESSIONS = ("degraded", "suspended", "progressing", "healthy")
"""In the order in which they are asked; the first that is true wins."""
VARIABLES = (
    *("apiVersion", "kind", "metadata", "spec", "status", "self"),
    *("data", "binaryData", "stringData", "type", "rules", "subjects", "roleRef", "parameters", "provisioner"),
)
"""Top-level fields that an expression may name; any other is reached by `self`."""
FUNCTIONS = ("condition", "reason", "field")
LONGEST = 4000
"""Characters of an expression."""

_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")


@dataclass(frozen=True, slots=True)
class Written:
    """One rule as written: an expression for each health that it can give, and one for the message."""

    degraded: str = ""
    suspended: str = ""
    progressing: str = ""
    healthy: str = ""
    message: str = ""


@lru_cache(maxsize=2048)
def program(expression: str) -> Any:
    """A compiled expression. Raises ValueError when it is none."""
    # Here and not at the top: most who import this package judge no kind that needs it.
    import cel

    if len(expression) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    return cel.compile(expression)


def wrong(expression: str) -> str | None:
    """What is wrong with an expression as far as it can be told without an object, in one line."""
    try:
        compiled = program(expression)
    except ValueError as exc:
        found = re.search(r"<input>:1?\d*:?(\d+): (.+)", str(exc))
        return f"no CEL expression: {found[2]} (at character {found[1]})" if found else f"no CEL expression: {exc}"
    bound = set(_BOUND.findall(expression))
    known = {*VARIABLES, *bound}
    for name in compiled.variables():
        if name not in known and name not in _TYPES:
            return f"no variable `{name}`{nearest(name, VARIABLES)}"
    return None


_TYPES = (
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "duration",
    "type",
    "uint",
)


@dataclass(slots=True)
class Asked:
    """What the expressions of one rule asked of one object, so that a message can be taken from the last answer."""

    live: Mapping[str, Any]
    said: str = ""
    _conditions: dict[str, Condition] | None = field(default=None)

    def condition(self, name: str) -> str:
        found = self._found(name)
        return found.status if found else ""

    def reason(self, name: str) -> str:
        found = self._found(name)
        return found.reason if found else ""

    def field(self, path: str, default: Any = None) -> Any:
        found = value(self.live, *path.split("."))
        if isinstance(found, str | int | float):
            self.said = f"{path} is {found}"
        return default if found is None else found

    def _found(self, name: str) -> Condition | None:
        if self._conditions is None:
            self._conditions = conditions(self.live)
        if found := self._conditions.get(name):
            self.said = found.said
        return found


def answer(expression: str, asked: Asked) -> Any:
    """The value of an expression. Raises whatever goes wrong as ValueError."""
    import cel

    try:
        compiled = program(expression)
        live = asked.live
        variables = {name: live[name] for name in compiled.variables() if name in live}
        if "self" not in variables and "self" in compiled.variables():
            variables["self"] = live
        functions: dict[str, Callable[..., Any]] = {
            "condition": asked.condition,
            "reason": asked.reason,
            "field": asked.field,
        }
        return compiled.execute(cel.Context(variables, functions))
    except Exception as exc:
        raise ValueError(f"`{expression}` cannot be answered ({type(exc).__name__}: {exc})") from exc


def judged(rule: Written, live: Mapping[str, Any], stale: str) -> Reading:
    """The first expression that is true decides, none: progressing; one that cannot be answered: unknown.

    `stale` says why the status is about an older spec, if it is: then only `suspended` may decide.
    """
    asked = Asked(live)
    try:
        for word in EXPRESSIONS:
            expression = getattr(rule, word)
            if not expression or (stale and word != "suspended"):
                continue
            got = answer(expression, asked)
            if not isinstance(got, bool):
                return Reading(Health.UNKNOWN, f"`{expression}` is neither true nor false")
            if got:
                return Reading(Health(word), _message(rule, asked, word))
    except ValueError as exc:
        return Reading(Health.UNKNOWN, str(exc))
    return Reading(Health.PROGRESSING, stale or _message(rule, asked, "progressing"))


def _message(rule: Written, asked: Asked, word: str) -> str:
    if rule.message:
        try:
            got = answer(rule.message, asked)
        except ValueError:
            got = None
        if isinstance(got, str) and got:
            return got
    if asked.said:
        return asked.said
    return "it has no status yet" if not value(asked.live, "status") else f"it is {word}"
