"""YAML text -> plain JSON values, with the place of each; must not know what they mean, and never builds other objects.

It reads events and composes them itself: a composer would lose tags, keep the last of two equal keys, follow anchors
without end and recurse as deep as a file asks it to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from promotion.errors import ConfigError

SIZE = 256 << 10
"""Bytes of a file."""
DEPTH = 50
"""Levels of nesting."""
EXPANDED = 1000
"""Values that all aliases together may stand for."""
SHOWN = 50
"""Problems that are told at once."""

Steps = tuple[str | int, ...]
"""The way from the top to a value: keys and indexes."""
Place = tuple[int, int]
"""Line and column, both from 1."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()
_READING = yaml.constructor.SafeConstructor()
_YAML = "tag:yaml.org,2002:"
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at one place. `steps` is None when it is about the text and not about a value."""

    place: Place
    steps: Steps | None
    text: str

    def line(self, name: str) -> str:
        path = "" if self.steps is None else f" {path_of(self.steps)}:"
        return f"{name}:{self.place[0]}:{self.place[1]}:{path} {self.text}"


@dataclass(frozen=True, slots=True)
class Document:
    """One file as plain values: dict, list, str, int, float, bool, None."""

    data: Any
    values: Mapping[Steps, Place]
    keys: Mapping[Steps, Place]
    written: Mapping[Steps, str]
    """What stands in the file where YAML took a plain word for something else than a text."""
    problems: tuple[Problem, ...]

    def problem(self, steps: Steps, text: str, *, at_key: bool = False) -> Problem:
        """A problem at a value's place (or its key's); at the mapping's for a key that is not there."""
        known = steps
        while known not in self.values:
            known = known[:-1]
        place = self.keys.get(steps) if at_key else None
        return Problem(place or self.values[known], steps, text)


def read(text: bytes, name: str) -> Document:
    """Reads a whole file. Raises ConfigError when it is no YAML document; smaller faults are in `problems`."""
    try:
        return _expand(_compose(_decoded(text)))
    except _UnreadableError as exc:
        raise failure(name, [exc.problem]) from exc


def failure(name: str, problems: Iterable[Problem]) -> ConfigError:
    """The one error that tells all problems of a file, in the order of the file."""
    found = list(dict.fromkeys(sorted(problems, key=lambda p: (p.place, path_of(p.steps or ()), p.text))))
    count = f"{len(found)} error{'s' if len(found) > 1 else ''}"
    more = f", the first {SHOWN} are shown" if len(found) > SHOWN else ""
    return ConfigError(f"{count}{more}", where=name, problems=tuple(p.line(name) for p in found[:SHOWN]))


def path_of(steps: Steps) -> str:
    """`$.environments[1].gates[0]`."""
    return "$" + "".join(f"[{s}]" if isinstance(s, int) else _member(s) for s in steps)


def _member(key: str) -> str:
    return f".{key}" if re.fullmatch(r"[\w-]{1,60}", key) else f'["{plain(key)}"]'


def plain(text: str, cap: int = 60) -> str:
    """A text for one line of a message, cut short, with what a terminal must not get spelled out."""
    cut = text if len(text) <= cap else text[: cap - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


# --- text -> nodes -------------------------------------------------------------------------------------------------


class _UnreadableError(Exception):
    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(place, None, text)


@dataclass(slots=True)
class _Node:
    """A scalar (`children` is None), a list, or a mapping, whose children are keys and values in turn."""

    place: Place
    text: str = ""
    is_plain: bool = False
    tag: str | None = None
    is_mapping: bool = False
    children: list[_Node] | None = None
    size: int = 1
    open: bool = False


def _decoded(text: bytes) -> str:
    if len(text) > SIZE:
        raise _UnreadableError((1, 1), f"larger than {SIZE >> 10} KiB")
    for mark, encoding in ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"\xef\xbb\xbf", "UTF-8")):
        if text.startswith(mark):
            raise _UnreadableError((1, 1), f"begins with a byte order mark of {encoding}: save it as UTF-8 without one")
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as exc:
        place = _place(text[: exc.start].decode("utf-8"))
        raise _UnreadableError(place, f"byte 0x{text[exc.start]:02x} is not UTF-8: save the file as UTF-8") from exc
    if found := _UNPRINTABLE.search(decoded):
        what = f"U+{ord(found[0]):04X}" + (" (NUL)" if found[0] == "\0" else "")
        raise _UnreadableError(_place(decoded[: found.start()]), f"control character {what} is not allowed")
    return decoded


def _place(before: str) -> Place:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _compose(text: str) -> _Node:
    roots: list[_Node] = []
    stack: list[_Node] = []
    anchors: dict[str, _Node] = {}
    expanded = 0
    for event in _events(text):
        match event:
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                node = stack.pop()
                node.size, node.open = 1 + sum(child.size for child in node.children or ()), False
                continue
            case yaml.AliasEvent():
                node = _aliased(event, anchors)
                expanded += node.size
                if expanded > EXPANDED:
                    raise _UnreadableError(
                        _start(event), f"aliases stand for more than {EXPANDED} values: write them out"
                    )
            case yaml.NodeEvent():
                node = _begun(event)
                if event.anchor is not None:
                    anchors[event.anchor] = node
            case _:
                continue
        if not stack and roots:
            raise _UnreadableError(_start(event), "a second document (`---`): a file holds one")
        into = stack[-1].children if stack else roots
        assert into is not None
        into.append(node)
        if node.open:
            stack.append(node)
        if len(stack) > DEPTH:
            raise _UnreadableError(_start(event), f"nested deeper than {DEPTH} levels")
    if not roots:
        raise _UnreadableError((1, 1), "the file is empty: `version: 1` is its first line")
    return roots[0]


def _begun(event: Any) -> _Node:
    tag = event.tag.replace(_YAML, "!!") if event.tag else None
    if isinstance(event, yaml.ScalarEvent):
        return _Node(_start(event), event.value, not event.style, tag)
    return _Node(_start(event), tag=tag, is_mapping=isinstance(event, yaml.MappingStartEvent), children=[], open=True)


def _aliased(event: Any, anchors: Mapping[str, _Node]) -> _Node:
    node = anchors.get(event.anchor)
    if node is None:
        raise _UnreadableError(_start(event), f"no anchor `&{plain(event.anchor)}` before this alias")
    if node.open:
        raise _UnreadableError(
            _start(event), f"alias `*{plain(event.anchor)}` stands for something that it is a part of"
        )
    return node


def _start(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _UnreadableError(place, _in_words(text, place, str(exc.problem or exc.context))) from exc
    except yaml.YAMLError as exc:
        raise _UnreadableError((1, 1), f"not YAML: {plain(str(exc), 100)}") from exc


def _in_words(text: str, place: Place, problem: str) -> str:
    lines = text.split("\n")
    line = lines[place[0] - 1] if place[0] <= len(lines) else ""
    if re.match(r" *\t", line):
        return "a tab: indent with spaces"
    if re.search(r"\{\w+\}", line):
        return f"not YAML: {problem} (a text with `{{` in it needs quotes)"
    return f"not YAML: {plain(problem, 100)}"


# --- nodes -> values -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    values: dict[Steps, Place] = field(default_factory=dict)
    keys: dict[Steps, Place] = field(default_factory=dict)
    written: dict[Steps, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def _expand(root: _Node) -> Document:
    found = _Found()
    data = _value(root, (), found)
    return Document(data, found.values, found.keys, found.written, tuple(found.problems))


def _value(node: _Node, steps: Steps, found: _Found) -> Any:
    found.values[steps] = node.place
    if len(steps) > DEPTH:  # aliases within aliases
        raise _UnreadableError(node.place, f"nested deeper than {DEPTH} levels")
    if node.tag is not None:
        found.problems.append(Problem(node.place, steps, f"tag `{plain(node.tag)}`: tags are not allowed"))
        return None
    if node.children is None:
        try:
            value, odd = _scalar(node)
        except ValueError as exc:
            found.problems.append(Problem(node.place, steps, str(exc)))
            return None
        if odd:
            found.written[steps] = node.text
        return value
    if node.is_mapping:
        return _mapping(node.children, steps, found)
    return [_value(child, (*steps, i), found) for i, child in enumerate(node.children)]


def _mapping(children: list[_Node], steps: Steps, found: _Found) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, child in zip(children[::2], children[1::2], strict=True):
        name = plain(key.text)
        below = (*steps, key.text)
        if wrong := _wrong_key(key):
            found.problems.append(Problem(key.place, steps, wrong))
        elif key.text in data:
            both = f"first on line {found.keys[below][0]}, again on line {key.place[0]}"
            found.problems.append(Problem(key.place, below, f"key `{name}` is written twice: {both}"))
        else:
            found.keys[below] = key.place
            data[key.text] = _value(child, below, found)
    return data


def _wrong_key(key: _Node) -> str | None:
    if key.children is not None or key.tag is not None:
        return "a key must be a plain word"
    if key.is_plain and key.text == "<<":
        return "merge keys (`<<`) are not allowed: write the keys out"
    try:
        value, odd = _scalar(key)
    except ValueError as exc:
        return str(exc)
    return f"key `{plain(key.text)}` is read by YAML as {said(value)}: write it in quotes" if odd else None


def _scalar(node: _Node) -> tuple[Any, bool]:
    """The value, and whether YAML took a plain word for something else than a text. Raises ValueError, in words."""
    if found := _CONTROL.search(node.text):
        raise ValueError(f"control character U+{ord(found[0]):04X} in a text")
    if not node.is_plain:
        return node.text, False
    tag = _RESOLVER.resolve(yaml.ScalarNode, node.text, (True, False)).removeprefix(_YAML)  # type: ignore[no-untyped-call]
    if tag not in ("null", "bool", "int", "float"):
        return node.text, False  # dates stay as they are written: JSON has none
    scalar = yaml.ScalarNode(_YAML + tag, node.text)
    try:
        value = getattr(_READING, f"construct_yaml_{tag}")(scalar)
        fits = value is None or abs(value) < 2**63  # not so of .inf and .nan
    except (ValueError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(f"`{plain(node.text)}` is a number that JSON cannot hold: write it in quotes")
    return value, True


def said(value: Any) -> str:
    """A value as a message names it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text `{plain(value)}`"
        case _:
            return "a mapping" if isinstance(value, dict) else "a list"
