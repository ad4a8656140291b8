"""Rules written in CEL: compiled once, asked of one live object; must not do I/O.

An expression sees the object's top-level fields as variables, as Flux' healthCheckExprs do, the whole object as
`self`, and functions of ours that a missing field does not break:

`condition(TYPE)`: the status of a condition of the present generation (`True`, `False`, `Unknown`), or an empty text;
`reason(TYPE)`: its reason, or an empty text;
`proven(TYPE)`: the same status, but only of a condition that names the present generation;
`field(PATH)`, `field(PATH, DEFAULT)`: what stands at `status.phase`, or the default, by default null;
`each(PATH)`: of a list of entries with conditions of their own, such as the parents of a route, a mapping for each:
condition -> {status, reason}, `observed` (one of them names the present generation) and `stale` (one an older one);
`sum(LIST)`: the sum of whole numbers.
`condition` and `reason` take the path of other conditions than `status.conditions` as a second argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from promotion.health.live import Condition, MalformedError, conditions, entries, generation, observed, value
from promotion.model import Health, Reading
from promotion.spelling import nearest

EXPRESSIONS = ("degraded", "suspended", "progressing", "healthy")
"""In the order in which they are asked; the first that is true wins."""
VARIABLES = (
    *("apiVersion", "kind", "metadata", "spec", "status", "self"),
    *("data", "binaryData", "stringData", "type", "rules", "subjects", "roleRef", "parameters", "provisioner"),
)
"""Top-level fields that an expression may name; any other is reached by `self`."""
FUNCTIONS = ("condition", "reason", "proven", "field", "each", "sum")
STATUS = "status.conditions"
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
    malformed: str = ""
    """What could not be read; kept here, because an error that crosses the library is printed by it."""
    _conditions: dict[str, dict[str, Condition]] = field(default_factory=dict)

    def condition(self, name: str, path: str = STATUS) -> str:
        found = self._found(name, path)
        return found.status if found else ""

    def reason(self, name: str, path: str = STATUS) -> str:
        found = self._found(name, path)
        return found.reason if found else ""

    def proven(self, name: str) -> str:
        found = self._found(name, STATUS)
        return found.status if found and found.seen is not None and found.seen == generation(self.live) else ""

    def field(self, path: str, default: Any = None) -> Any:
        found = value(self.live, *path.split("."))
        if isinstance(found, str | int | float):
            self.said = f"{path} is {found}"
        return default if found is None else found

    def each(self, path: str) -> list[dict[str, Any]]:
        return [self._entry(entry) for entry in entries(self.live, *path.split("."))]

    def _entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        now = generation(self.live)
        within = {"metadata": {"generation": now}, "conditions": entry.get("conditions")}
        seen = [found for each in entries(entry, "conditions") if (found := observed({"status": each})) is not None]
        said = {name: {"status": c.status, "reason": c.reason} for name, c in conditions(within, "conditions").items()}
        return said | {"observed": now is None or now in seen, "stale": now is not None and any(s < now for s in seen)}

    def _found(self, name: str, path: str) -> Condition | None:
        if path not in self._conditions:
            self._conditions[path] = conditions(self.live, *path.split("."))
        if found := self._conditions[path].get(name):
            self.said = found.said
        return found

    def functions(self) -> dict[str, Callable[..., Any]]:
        return {name: partial(self._call, name) for name in FUNCTIONS}

    def _call(self, name: str, *args: Any) -> Any:
        try:
            return sum(*args) if name == "sum" else getattr(self, name)(*args)
        except (MalformedError, TypeError, AttributeError) as exc:
            self.malformed = str(exc)
            return None


def answer(expression: str, asked: Asked) -> Any:
    """The value of an expression. Raises whatever goes wrong as ValueError."""
    import cel

    try:
        compiled = program(expression)
        live = asked.live
        variables = {name: live[name] for name in compiled.variables() if name in live}
        if "self" not in variables and "self" in compiled.variables():
            variables["self"] = live
        got = compiled.execute(cel.Context(variables, asked.functions()))
    except Exception as exc:
        raise ValueError(f"`{expression}` cannot be answered ({type(exc).__name__}: {exc})") from exc
    if asked.malformed:
        raise ValueError(f"`{expression}` cannot be answered ({asked.malformed})")
    return got


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
