"""Files -> the documents in them, as kubectl would read them; pure, must not know what a document means.

Read from events and without recursion: PyYAML itself keeps the last of two equal keys, takes `22:22` for a number and a day
for a date, and follows aliases and nesting as far as a file asks it to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from promotion.said import one_line

DEPTH = 100
VALUES = 1_000_000
"""Of one file, with all that aliases stand for."""

_NULL = re.compile(r"~?|null|Null|NULL")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_INT = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Written:
    """One document, and where it stands: `web.yaml`, or `web.yaml, document 2` where there are several."""

    where: str
    data: Any


class UnreadableError(Exception):
    """What is wrong with a file, in words, and the line (from 1) if it has one."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


def read(name: str, data: bytes) -> list[Written]:
    """The documents of a file but empty ones. Raises UnreadableError: then nothing of the file counts."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UnreadableError(f"byte 0x{data[exc.start]:02x} is not UTF-8", data[: exc.start].count(b"\n") + 1) from exc
    found = [_json(text)] if name.endswith(".json") else list(_yaml(text))
    many = len(found) > 1
    numbered = ((f"{name}, document {n}" if many else name, data) for n, data in enumerate(found, 1))
    return [Written(where, data) for where, data in numbered if data is not None]


# --- JSON ----------------------------------------------------------------------------------------------------------


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as exc:
        raise UnreadableError(f"no JSON: {exc.msg}", exc.lineno) from exc
    except RecursionError as exc:
        raise UnreadableError("nested too deeply") from exc
    except ValueError as exc:  # a number that is thousands of digits long
        raise UnreadableError(one_line(str(exc))) from exc


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UnreadableError(f"key `{one_line(key, 60)}` is written twice")
        found[key] = value
    return found


def _constant(word: str) -> Any:
    raise UnreadableError(f"{word} is no JSON")


# --- YAML ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A list or a mapping that is being read; `key` is that of the value to come, `merged` what `<<` brings."""

    value: Any
    anchor: str | None
    key: str | None = None
    size: int = 1
    merged: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Reading:
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int] | None] = field(default_factory=dict)
    """By name: a value and how many values it is; None while it is being read."""
    total: int = 0


def _yaml(text: str) -> Iterator[Any]:
    import yaml

    event: Any
    reading, line, top = _Reading(), 1, None
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                reading.anchors, top = {}, None
            elif isinstance(event, yaml.DocumentEndEvent):
                yield top
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                done = _step(yaml, reading, event)
                top = done if not reading.stack else top
    except yaml.MarkedYAMLError as exc:
        mark: Any = exc.problem_mark or exc.context_mark
        line = mark.line + 1 if mark else 0
        raise UnreadableError(f"not YAML: {one_line(str(exc.problem or exc.context))}", line) from exc
    except yaml.YAMLError as exc:
        raise UnreadableError(f"not YAML: {one_line(str(exc))}") from exc
    except UnreadableError as exc:
        raise UnreadableError(str(exc), line) from exc


def _step(yaml: Any, reading: _Reading, event: Any) -> Any:
    """Takes one event; returns the value that it completes."""
    stack = reading.stack
    match event:
        case yaml.ScalarEvent():
            if stack and isinstance(stack[-1].value, dict) and stack[-1].key is None:
                return _keyed(stack[-1], event)
            value, size = _scalar(event), 1
        case yaml.AliasEvent():
            known = reading.anchors.get(event.anchor)
            if known is None:
                raise UnreadableError(f"no `&{one_line(event.anchor, 40)}` that is complete before this alias")
            value, size = known
        case yaml.CollectionEndEvent():
            ended = stack.pop()
            value, size = _merged(ended), ended.size
            if ended.anchor is not None:
                reading.anchors[ended.anchor] = value, size
            return _placed(reading, value, size)
        case _:
            _opened(reading, event, {} if isinstance(event, yaml.MappingStartEvent) else [])
            return None
    if isinstance(event, yaml.ScalarEvent) and event.anchor is not None:
        reading.anchors[event.anchor] = value, size
    return _placed(reading, value, size)


def _opened(reading: _Reading, event: Any, value: Any) -> None:
    if event.tag not in (None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
        raise UnreadableError(f"tag `{one_line(event.tag, 40)}` is not known")
    if len(reading.stack) >= DEPTH:
        raise UnreadableError(f"nested deeper than {DEPTH} levels")
    if reading.stack and isinstance(reading.stack[-1].value, dict) and reading.stack[-1].key is None:
        raise UnreadableError("a key must be a text")
    if event.anchor is not None:
        reading.anchors[event.anchor] = None
    reading.stack.append(_Open(value, event.anchor))


def _keyed(into: _Open, event: Any) -> None:
    key = event.value
    if not event.style and key == "<<":
        into.key = "<<"
        return
    if event.tag is None and not event.style and _NULL.fullmatch(key):
        raise UnreadableError("a key must be a text")
    if key in into.value:
        raise UnreadableError(f"key `{one_line(key, 60)}` is written twice")
    into.key = key
    into.value[key] = None  # keeps its place


def _placed(reading: _Reading, value: Any, size: int) -> Any:
    reading.total += size
    if reading.total > VALUES:
        raise UnreadableError(f"holds more than {VALUES:,} values")
    if not reading.stack:
        return value
    into = reading.stack[-1]
    into.size += size
    if isinstance(into.value, list):
        into.value.append(value)
    elif into.key is None:
        raise UnreadableError("a key must be a text")
    elif into.key == "<<" and "<<" not in into.value:
        into.merged += value if isinstance(value, list) else [value]
        into.key = None
    else:
        into.value[into.key], into.key = value, None
    return value


def _merged(ended: _Open) -> Any:
    for more in ended.merged:
        if not isinstance(more, dict):
            raise UnreadableError("`<<` needs a mapping")
        ended.value |= {key: value for key, value in more.items() if key not in ended.value}
    return ended.value


def _scalar(event: Any) -> Any:
    text, tag = event.value, event.tag
    if tag == "tag:yaml.org,2002:str" or (tag is None and event.style) or tag == "!":
        return text
    if tag is not None and tag not in {f"tag:yaml.org,2002:{word}" for word in ("null", "bool", "int", "float")}:
        raise UnreadableError(f"tag `{one_line(tag, 40)}` is not known")
    return plain(text)


def plain(text: str) -> Any:
    """What a word without quotes is. Raises UnreadableError for a number that JSON cannot hold."""
    if _NULL.fullmatch(text):
        return None
    if text.lower() in (*_TRUE, *_FALSE) and text in (text.lower(), text.upper(), text.capitalize()):
        return text.lower() in _TRUE
    if _NO_NUMBER.fullmatch(text):
        raise UnreadableError(f"`{text}` is a number that JSON cannot hold: write it in quotes")
    if _INT.fullmatch(text) and len(text) < 100:
        digits = text.replace("_", "").lstrip("+")
        octal = re.fullmatch(r"(-?)0([0-7]+)", digits)
        whole = int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
        if -(2**63) <= whole < 2**64:
            return whole
    elif not _FLOAT.fullmatch(text):
        return text
    elif abs(number := float(text.replace("_", ""))) != float("inf"):
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    raise UnreadableError(f"`{one_line(text, 40)}` is a number that JSON cannot hold: write it in quotes")
