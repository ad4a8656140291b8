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
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

from promotion.health.live import Condition, MalformedError, conditions, entries, generation, stated, value
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
DEPTH = 200
"""Levels of what an expression is given."""
LONGEST = 4000
"""Characters of an expression."""

_TYPES = frozenset(
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "timestamp", "duration", "type", "uint"]
)
_BUILT_IN = frozenset(
    [
        "bool",
        "bytes",
        "contains",
        "double",
        "duration",
        "dyn",
        "endsWith",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
        "int",
        "matches",
        "max",
        "min",
        "size",
        "startsWith",
        "string",
        "timestamp",
        "type",
        "uint",
    ]
)
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
    if len(expression) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    return _library().compile(expression)


def _library() -> Any:
    # Here and not at the top: most who import this package judge no kind that needs it. It always loads its own command
    # line, and with it 280 modules (prompt_toolkit, pygments): 0.2 s of CPU, where the library itself takes 2 ms. Every
    # command that reads a file with `health_rules` would pay for it, `status` too: an empty module stands there instead.
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    import cel

    return cel


def wrong(expression: str) -> str | None:
    """What is wrong with an expression as far as it can be told without an object, in one line."""
    try:
        compiled = program(expression)
    except ValueError as exc:
        found = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n|]+)", str(exc))
        return (
            f"not CEL: {found[3].strip()} (character {found[2]})"
            if found
            else f"not CEL: {' '.join(str(exc).split())[:120]}"
        )
    bound = set(_BOUND.findall(expression))
    for name in compiled.variables():
        if name not in {*VARIABLES, *bound, *_TYPES}:
            return f"no variable `{name}`{nearest(name, VARIABLES)}"
    for name in compiled.functions():
        if name.isidentifier() and not name.startswith("_") and name not in {*FUNCTIONS, *_BUILT_IN}:
            return f"no function `{name}`{nearest(name, FUNCTIONS)}"
    return None


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
        _shallow(found)
        return default if found is None else found

    def each(self, path: str) -> list[dict[str, Any]]:
        return [self._entry(entry) for entry in entries(self.live, *path.split("."))]

    def _entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        now = generation(self.live)
        fresh, every = (
            [*conditions({**entry, "metadata": {"generation": now}}, "conditions").values()],
            stated({**entry, "metadata": None}, "conditions"),
        )
        seen = [each.seen for each in every if each.seen is not None]
        # Bad news counts until somebody says better, good news only of the present generation.
        counts = {each.type: each for each in (*(each for each in every if each.status != "True"), *fresh)}
        said = {name: {"status": each.status, "reason": each.reason} for name, each in counts.items()}
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


def _shallow(found: Any) -> None:
    """Raises MalformedError for what is nested so deeply that the library's recursion would end the process."""
    level = [found]
    for _ in range(DEPTH):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return
    raise MalformedError(f"it is nested deeper than {DEPTH} levels")


def _inner(found: Any) -> Iterable[Any]:
    if isinstance(found, Mapping):
        return found.values()
    return found if isinstance(found, list) else ()


def answer(expression: str, asked: Asked) -> Any:
    """The value of an expression. Raises whatever goes wrong as ValueError."""
    try:
        compiled = program(expression)
        live = asked.live
        named = compiled.variables()
        variables = {name: live[name] for name in named if name in live} | ({"self": live} if "self" in named else {})
        _shallow(variables)
        got = compiled.execute(_library().Context(variables, asked.functions()))
    except Exception as exc:
        raise ValueError(f"`{_cut(expression)}` cannot be answered ({type(exc).__name__}: {exc})") from exc
    if asked.malformed:
        raise ValueError(f"`{_cut(expression)}` cannot be answered ({asked.malformed})")
    return got


def _cut(expression: str) -> str:
    return expression if len(expression) <= 80 else expression[:77] + "..."


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
                return Reading(Health.UNKNOWN, f"`{_cut(expression)}` is neither true nor false")
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
