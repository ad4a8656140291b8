"""schema.json, and what it finds in a document, in plain words; must not know how values belong together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promotion.config.document import Document, Problem, Steps, plain, said
from promotion.spelling import nearest, similar

if TYPE_CHECKING:
    from jsonschema import ValidationError

_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


@cache
def written() -> bytes:
    """schema.json as it stands there."""
    return Path(__file__).parents[1].joinpath("schema.json").read_bytes()


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of environments.yaml; editors complete from it."""
    loaded: dict[str, Any] = json.loads(written())
    return loaded


def problems(document: Document) -> dict[Steps, Problem]:
    """What does not follow the schema, one problem a place; a value that could not be read keeps its own problem."""
    unread = {p.steps: p for p in document.problems}
    found: dict[Steps, Problem] = {}
    for error in _validator().iter_errors(document.data):
        for steps, problem in _translated(document, tuple(error.absolute_path), error):
            found.setdefault(steps, unread.get(steps, problem) if error.instance is None else problem)
    return found


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, ValidationError  # a tenth of a second
    from jsonschema.validators import extend

    def whole(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            yield ValidationError("pattern")

    # Whole texts only (`$` alone would let a newline follow), and whole numbers written as such.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict = extend(Draft202012Validator, {"pattern": whole}, type_checker=types)  # type: ignore[no-untyped-call]
    return strict(schema())


def _translated(document: Document, steps: Steps, error: ValidationError) -> Iterator[tuple[Steps, Problem]]:
    value: Any = error.instance
    required: Any = error.validator_value
    rule: Any = error.schema
    match error.validator:
        case "additionalProperties" if rule["additionalProperties"] is False:
            for key in value.keys() - rule["properties"].keys():
                below = (*steps, key)
                yield below, document.problem(below, unknown_key(key, list(rule["properties"])), at_key=True)
        case "required":
            for key in required:
                if key not in value:
                    yield (*steps, key), document.problem((*steps, key), _missing(key, rule))
        case _:
            yield steps, document.problem(steps, _said(document, steps, error, rule))


def unknown_key(key: str, allowed: Sequence[str]) -> str:
    """What is said of a key that does not exist."""
    near = similar(key, allowed)
    return f"unknown key; did you mean `{near}`?" if near else f"unknown key; allowed: {', '.join(allowed)}"


def _missing(key: str, rule: Mapping[str, Any]) -> str:
    if key == "health":
        return "missing: write a list of checks, or `health: none` when there is none"
    if key == "version":
        return "missing: write `version: 1`"
    choices = rule["properties"][key].get("enum")
    return "missing" + (f" ({', '.join(choices)})" if choices else "")


def _said(document: Document, steps: Steps, error: ValidationError, rule: Mapping[str, Any]) -> str:
    value: Any = error.instance
    limit: Any = error.validator_value
    match error.validator:
        case "type" if "credentials" in steps:
            return f"{_KINDS[limit]} belongs here"  # what stands there may be the token
        case "type":
            return _other_type(document.written.get(steps), value, [limit] if isinstance(limit, str) else limit, rule)
        case "enum" | "const":
            choices = [str(choice) for choice in (limit if isinstance(limit, list) else [limit])]
            if error.validator == "const" and not isinstance(limit, str):
                return f"{said(limit)} belongs here, not {said(value)}"
            word = value if isinstance(value, str) else document.written.get(steps)
            return (
                f"`{plain(word)}` is not known here{nearest(word, choices)}"
                if word
                else f"missing{nearest('', choices)}"
            )
        case "pattern":
            return f"`{plain(value)}` is not a {rule['title']}: {rule['description']}"
        case "minimum" | "maximum":
            return f"{value} is not allowed: {'at least' if error.validator == 'minimum' else 'at most'} {limit}"
        case "minItems" | "minLength" | "minProperties":
            return f"empty: at least one {'character' if error.validator == 'minLength' else 'entry'} is needed"
        case _:
            return f"longer than {limit} characters"


def _other_type(written: str | None, value: Any, allowed: list[str], rule: Mapping[str, Any]) -> str:
    words = " or ".join(f"`{word}`" for word in rule.get("then", {}).get("enum", ()))
    wanted = " or ".join(f"the word {words}" if words and kind == "string" else _KINDS[kind] for kind in allowed)
    if written is not None and value is not None and "string" in allowed:
        taken = f"`{plain(written)}` is read by YAML as {said(value)}"
        if "pattern" in rule and not re.fullmatch(rule["pattern"], written):
            return f"{taken}, and is not a {rule['title']}: {rule['description']}"
        taken += f", but {wanted} belongs here"
        return f'{taken}: write "{plain(written)}" in quotes' if allowed == ["string"] else taken
    if "string" in allowed and isinstance(value, dict) and value and set(map(str, value.values())) == {"None"}:
        return f"{wanted} belongs here, not a mapping: what begins with `{{` must be in quotes"
    return f"{wanted} belongs here, not {said(value)}"
