"""What a schema cannot say of environments.yaml: how its values belong together; pure, and must not ask what is there.

It looks at values that the schema let pass; whatever else was written is left out of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promotion import calendar
from promotion.config import names
from promotion.config.document import Steps, plain
from promotion.config.schema import schema
from promotion.model import Verify, duration, span
from promotion.spelling import nearest

NOT_ON_A_ROOT = ("auto", "gates", "verify", "schedule")
FILLED = ("branch", "engine", "health", "gates")
"""Where `{application}` and `{environment}` may be used."""
PLACEHOLDERS = ("application", "environment")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w-]*)\}")

Environments = Mapping[int, Mapping[str, Any]]
"""By their index in the file; those that are no mappings are not there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a value, or with its key."""

    steps: Steps
    text: str
    at_key: bool = False


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


_NOBODY = Named((), "application", "", "", "")
"""Stands where no application can be read, so that its environments are judged all the same."""


def fill(value: Any, words: Mapping[str, str]) -> Any:
    """The same value with the placeholders in its texts filled in; unknown ones stay."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: words.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: fill(inner, words) for key, inner in value.items()}
    return [fill(inner, words) for inner in value] if isinstance(value, list) else value


def words_of(application: str, environment: str) -> Mapping[str, str]:
    return dict(zip(PLACEHOLDERS, (application, environment), strict=True))


def findings(
    data: Mapping[str, Any], raw: Mapping[str, Any], applications: list[Named], base: Path
) -> Iterator[Finding]:
    """Everything that does not fit together in `data`; `raw` is the same with what is wrong already."""
    yield from _of_applications(raw, applications)
    environments = {i: e for i, e in enumerate(data.get("environments") or []) if isinstance(e, dict)}
    yield from _of_names(environments, _names(raw.get("environments")))
    for i, environment in environments.items():
        yield from _of_environment(("environments", i), environment)
    paths: dict[str, tuple[str, str, Steps]] = {}
    for application in applications or [_NOBODY]:
        yield from _of_branches(environments, application)
        yield from _of_directories(environments, application, base, paths)
        yield from _of_addresses(environments, application)


def _names(written: Any) -> list[str]:
    listed = written if isinstance(written, list) else []
    return [e["name"] for e in listed if isinstance(e, dict) and isinstance(e.get("name"), str)]


# --- applications --------------------------------------------------------------------------------------------------


def _of_applications(raw: Mapping[str, Any], applications: list[Named]) -> Iterator[Finding]:
    if "applications" in raw:
        for key in ("repository", "name", "ledger"):
            if key in raw:
                yield Finding((key,), "cannot stand beside `applications`: write it into its entry", at_key=True)
    elif "repository" not in raw:
        yield Finding(("repository",), "missing: write where it is, or a list of `applications`")
    seen: dict[str, Named] = {}
    called: set[str] = set()
    for each in applications:
        yield from _of_application(each)
        if each.name in called:
            yield Finding((*each.steps, "name"), f"another application is called `{plain(each.name)}` already")
        called.add(each.name)
        other = seen.setdefault(names.same(each.place), each)
        if other is not each:
            text = f"`{plain(other.name)}` has this repository already: an application needs one of its own"
            yield Finding((*each.steps, "repository"), text)


def _of_application(each: Named) -> Iterator[Finding]:
    if wrong := names.repository(each.repository):
        yield Finding((*each.steps, "repository"), wrong)
        return
    rule = schema()["$defs"]["application-name"]
    if not re.fullmatch(rule["pattern"], each.name) or len(each.name) > rule["maxLength"]:
        text = f"missing, and the repository's last segment is no name: write one ({rule['description']})"
        yield Finding((*each.steps, "name"), text)
    elif wrong := names.ledger(each.ledger):
        yield Finding((*each.steps, "ledger"), wrong)


# --- environments --------------------------------------------------------------------------------------------------


def _of_names(environments: Environments, known: list[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for i, environment in environments.items():
        name, source = environment.get("name"), environment.get("from")
        if name is not None and name in seen:
            yield Finding(("environments", i, "name"), f"another environment is called `{name}` already")
        seen.add(name or "")
        if source is not None and source not in known:
            text = f"no environment `{plain(source)}`{nearest(source, [other for other in known if other != name])}"
            yield Finding(("environments", i, "from"), text)
    sources = {e["name"]: e["from"] for e in environments.values() if "name" in e and "from" in e}
    indexes = {e["name"]: i for i, e in environments.items() if "name" in e}
    for cycle in cycles(sources):
        text = f"a cycle, in which nothing can begin: {' -> '.join(cycle)}"
        yield Finding(("environments", indexes[cycle[0]], "from"), text)


def cycles(sources: Mapping[str, str]) -> Iterator[list[str]]:
    """Each cycle once, in the direction of promotion, from its first environment back to it."""
    told: set[str] = set()
    for start in sources:
        way, at = [start], sources.get(start)
        while at is not None and at not in way:
            way.append(at)
            at = sources.get(at)
        if at == start and start not in told:
            told.update(way)
            yield [start, *reversed(way)]


def _of_environment(steps: Steps, environment: Mapping[str, Any]) -> Iterator[Finding]:
    if "from" not in environment:
        for key in NOT_ON_A_ROOT:
            if key in environment:
                text = "not on a root: nothing is promoted into an environment without `from`"
                yield Finding((*steps, key), text, at_key=True)
    else:
        yield from _of_verification(steps, environment)
    for key in FILLED:
        for below, text in _texts(environment.get(key), (*steps, key)):
            for found in _PLACEHOLDER.finditer(text):
                if found[1] not in PLACEHOLDERS:
                    choices = nearest(found[1], [f"{{{word}}}" for word in PLACEHOLDERS])
                    yield Finding(below, f"no placeholder `{plain(found[0])}`{choices}")
    yield from _all(names.pattern, environment.get("protect"), (*steps, "protect"))
    schedule = environment.get("schedule")
    if isinstance(schedule, str):
        yield from _all(names.cron, schedule, (*steps, "schedule"))
    elif schedule:
        yield from _all(names.cron, schedule.get("cron"), (*steps, "schedule", "cron"))
        yield from _all(_reads(calendar.zone), schedule.get("timezone"), (*steps, "schedule", "timezone"))
    for i, gate in enumerate(environment.get("gates") or []):
        if gate and gate.get("type") == "window":
            yield from _all(_reads(calendar.hours), gate.get("allow"), (*steps, "gates", i, "allow"))
            yield from _all(_reads(calendar.zone), gate.get("timezone"), (*steps, "gates", i, "timezone"))
            yield from _all(_reads(calendar.dates), gate.get("except"), (*steps, "gates", i, "except"))


def _of_verification(steps: Steps, environment: Mapping[str, Any]) -> Iterator[Finding]:
    """Spans that leave a verification no time for one of its ends."""
    verify, dwell = environment.get("verify") or {}, environment.get("dwell", "0s")
    grace = verify.get("grace", "0s")
    within = duration(verify["within"]) if "within" in verify else Verify().within
    if duration(dwell) >= within:
        text = f"{dwell} is not shorter than `verify.within` ({span(within)}): each promotion would time out"
        yield Finding((*steps, "dwell"), text)
    if duration(grace) >= within:
        text = f"{grace} is not shorter than `within` ({span(within)}): no promotion could fail, only time out"
        yield Finding((*steps, "verify", "grace"), text)


def _all(rule: Callable[[str], str | None], value: Any, steps: Steps) -> Iterator[Finding]:
    for below, text in _texts(value, steps):
        if wrong := rule(text):
            yield Finding(below, wrong)


def _reads(read: Callable[[str], object]) -> Callable[[str], str | None]:
    """A rule from what reads a text or raises ValueError."""

    def rule(text: str) -> str | None:
        try:
            read(text)
        except ValueError as wrong:
            return plain(str(wrong), 200)
        return None

    return rule


def _texts(value: Any, steps: Steps) -> Iterator[tuple[Steps, str]]:
    """Every text in a value, with the way to it."""
    if isinstance(value, str):
        yield steps, value
    elif isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*steps, step))


# --- places --------------------------------------------------------------------------------------------------------


def _filled(environments: Environments, application: Named, key: str) -> Iterator[tuple[Steps, str, Any]]:
    for i, environment in environments.items():
        name = environment.get("name") or "environment"
        if environment.get(key) is not None:
            yield ("environments", i, key), name, fill(environment[key], words_of(application.name, name))


def _of_branches(environments: Environments, application: Named) -> Iterator[Finding]:
    taken = {application.ledger: "the ledger"}
    for steps, name, branch in _filled(environments, application, "branch"):
        if wrong := names.branch(branch):
            yield Finding(steps, wrong)
            continue
        ref = f"refs/heads/{branch}"
        for other, owner in taken.items():
            if ref == other:
                yield Finding(steps, f"branch `{branch}` is {owner}'s already: an environment needs one of its own")
            elif f"{ref}/".startswith(f"{other}/") or f"{other}/".startswith(f"{ref}/"):
                text = f"branch `{branch}` and {owner}'s `{other.removeprefix('refs/heads/')}` cannot both exist in Git"
                yield Finding(steps, text)
        taken.setdefault(ref, name)


def _of_directories(
    environments: Environments, application: Named, base: Path, paths: dict[str, tuple[str, str, Steps]]
) -> Iterator[Finding]:
    local = application.place.removeprefix("file://localhost").removeprefix("file://").rstrip("/")
    for steps, name, engine in _filled(environments, application, "engine"):
        path = engine.get("path")
        if path is None:
            continue
        if path.startswith("~"):
            yield Finding((*steps, "path"), "`~` is not filled in here: write the whole path")
        place = directory(path, base)
        if place == local:
            yield Finding((*steps, "path"), "this is the repository itself: releases go to a directory of their own")
        owner = (application.name, name, steps)
        if (first := paths.setdefault(place, owner)) != owner:
            whose = first[1] if first[0] == application.name else f"{first[1]} of {plain(first[0])}"
            text = f"{whose} is deployed to this directory already: an environment needs one of its own"
            yield Finding((*steps, "path"), text)


def _of_addresses(environments: Environments, application: Named) -> Iterator[Finding]:
    for key in ("health", "gates"):
        for steps, _, asked in _filled(environments, application, key):
            for i, check in enumerate(asked if isinstance(asked, list) else []):
                if check and check.get("type") == "http" and (wrong := names.url(check.get("url", "http://unknown"))):
                    yield Finding((*steps, i, "url"), wrong)


def directory(path: str, base: Path) -> str:
    """Where an engine deploys to; relative paths are relative to the file."""
    return os.path.normpath(base / path)
