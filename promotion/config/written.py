"""What the file says of each application, its overrides laid over the environments; pure, and must not judge.

Each value keeps the way to where it was written, so that whatever is wrong with it is said there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promotion.config import names
from promotion.config.document import Steps

FILLED = ("branch", "engine", "health", "gates")
"""Where `{application}` and `{environment}` may be used."""
PLACEHOLDERS = ("application", "environment")
PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w-]*)\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a value, or with its key."""

    steps: Steps
    text: str
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """An environment of one application: as in the list, with the settings that the application's entry overrides."""

    name: str
    values: Mapping[str, Any]
    filled: Mapping[str, Any]
    """The values that may hold placeholders, filled in."""
    listed: Steps
    """The way to it in the list of environments."""
    entry: Steps
    """The way to what overrides it, which may be nothing."""
    overridden: frozenset[str]

    def at(self, key: str) -> Steps:
        """The way to where a key is written, or would be."""
        return (*(self.entry if key in self.overridden else self.listed), key)


@dataclass(frozen=True, slots=True)
class Named:
    """An application as written, with its defaults; `steps` leads to it."""

    steps: Steps
    name: str
    repository: str
    """As written."""
    place: str
    """Ready for Git."""
    ledger: str
    """The full name of the ref."""
    paths: tuple[str, ...] | None
    """The scope as written, with an empty text for what is none; None when it has everything."""
    environments: tuple[Merged, ...]
    """In the order of the file, whatever the order of its own entries is."""
    selected: frozenset[str] | None
    """The environments that it names, the others are left out; None when it has all."""


def applications(data: Mapping[str, Any], raw: Mapping[str, Any], base: Path) -> Iterator[Named]:
    """Those that can be read; `raw` is the same as `data` with what the schema does not allow."""
    entries: list[tuple[Steps, Any, Any]] = [((), data, raw)]
    if "applications" in data:
        both = zip(data["applications"], raw["applications"], strict=True)
        entries = [(("applications", i), entry, as_written) for i, (entry, as_written) in enumerate(both)]
    for steps, entry, as_written in entries:
        if entry and "repository" in entry:
            repository = entry["repository"]
            name = entry.get("name", names.last_segment(repository))
            ledger = entry.get("ledger", f"promotion/{name}")
            ref = ledger if ledger.startswith("refs/") else f"refs/heads/{ledger}"
            paths = tuple(path or "" for path in entry.get("paths", ())) if "paths" in as_written else None
            chosen = (
                (entry.get("environments", {}), as_written["environments"]) if _chooses(steps, as_written) else None
            )
            merged = tuple(_merged(data, name, (*steps, "environments"), chosen))
            selected = frozenset(chosen[1] if isinstance(chosen[1], dict) else ()) if chosen else None
            yield Named(steps, name, repository, names.place(repository, base), ref, paths, merged, selected)


def _chooses(steps: Steps, entry: Mapping[str, Any]) -> bool:
    return bool(steps) and "environments" in entry


def nobody(data: Mapping[str, Any], used: Set[Steps]) -> Named:
    """Stands where an environment is no application's, so that it is judged all the same."""
    unused = tuple(each for each in _merged(data, "application", (), None) if each.listed not in used)
    return Named((), "application", "", "", "", None, unused, None)


def _merged(data: Mapping[str, Any], name: str, steps: Steps, chosen: tuple[Any, Any] | None) -> Iterator[Merged]:
    for i, listed in enumerate(data.get("environments") or ()):
        if not isinstance(listed, dict):
            continue
        own = listed.get("name")
        over: frozenset[str] = frozenset()
        values: Mapping[str, Any] = listed
        if chosen is not None:
            overrides, as_written = chosen
            if not isinstance(as_written, dict) or own not in as_written:
                continue
            over = frozenset(as_written[own]) if isinstance(as_written[own], dict) else over
            # A setting that is overridden by something wrong is not there at all, instead of what it was before.
            values = {key: value for key, value in listed.items() if key not in over} | overrides.get(own, {})
        words = words_of(name, own or "environment")
        filled = {key: fill(values[key], words) for key in FILLED if key in values}
        yield Merged(own or "environment", values, filled, ("environments", i), (*steps, own or ""), over)


def fill(value: Any, words: Mapping[str, str]) -> Any:
    """The same value with the placeholders in its texts filled in; unknown ones stay."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: words.get(found[1], found[0]), value) if "{" in value else value
    if isinstance(value, dict):
        return {key: fill(inner, words) for key, inner in value.items()}
    return [fill(inner, words) for inner in value] if isinstance(value, list) else value


def words_of(application: str, environment: str) -> Mapping[str, str]:
    return dict(zip(PLACEHOLDERS, (application, environment), strict=True))
