"""Who has which branch, ledger, scope and directory, so that nobody has another's; pure, must not ask anybody."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from promotion.config import names
from promotion.config.document import Steps, plain
from promotion.config.written import Finding, Merged, Named

LEDGER = "the ledger"

Taken = dict[str, tuple[str, str, str]]
"""Names with `/` between their parts (refs, paths), and each above one of them: (the name, application, what has it)."""


@dataclass(frozen=True, slots=True)
class Places:
    """What the applications judged so far have."""

    base: Path
    """Relative directories are relative to it."""
    refs: defaultdict[str, Taken] = field(default_factory=lambda: defaultdict(dict))
    """By repository."""
    directories: dict[str, tuple[str, str, Steps]] = field(default_factory=dict)
    """By path: application, environment, and where it is written."""


def places_of(applications: Sequence[Named], base: Path) -> Places:
    """With every ledger, which no environment of the same repository may have."""
    places = Places(base)
    for each in applications:
        if not names.ledger(each.ledger):
            _claim(places.refs[names.same(each.place)], each.ledger, each.name, LEDGER)
    return places


def _above(name: str) -> Iterator[str]:
    """`a/b` is below `a`, and below everything."""
    parts = name.split("/")
    yield from ("/".join(parts[:i]) for i in range(len(parts)))


def _find(taken: Taken, name: str) -> tuple[str, str, str] | None:
    """Who has this name, one above or one below it."""
    if name in taken:
        return taken[name]
    return next((taken[each] for each in _above(name) if each in taken and taken[each][0] == each), None)


def _claim(taken: Taken, name: str, application: str, owner: str) -> None:
    for each in (name, *_above(name)):
        taken.setdefault(each, (name, application, owner))


def _whose(application: Named, name: str, owner: str) -> str:
    return owner if name == application.name else f"{owner} of {plain(name)}"


# --- repositories --------------------------------------------------------------------------------------------------


def of_scope(application: Named) -> Iterator[Finding]:
    """What is wrong with the paths of one application."""
    taken: Taken = {}
    for i, written in enumerate(application.paths or ()):
        path, steps = written.removesuffix("/"), (*application.steps, "paths", i)
        if wrong := names.scope(written):
            yield Finding(steps, wrong)
        elif path:
            if found := _find(taken, path):
                double = found[0] == path
                text = f"`{plain(path)}` stands here already" if double else f"overlaps with `{plain(found[0])}`"
                yield Finding(steps, f"{text}: name each directory or file once")
            _claim(taken, path, application.name, "")


def of_repositories(applications: Sequence[Named]) -> Iterator[Finding]:
    """What applications that share a repository have in common, and must not."""
    shared: defaultdict[str, list[Named]] = defaultdict(list)
    for each in applications:
        shared[names.same(each.place)].append(each)
    for these in shared.values():
        if len(these) > 1:
            yield from _of_ledgers(these)
            yield from _of_scopes(these)


def _of_ledgers(applications: Sequence[Named]) -> Iterator[Finding]:
    taken: Taken = {}
    for each in applications:
        found = _find(taken, each.ledger)
        if found and found[1] != each.name:
            other = plain(found[1])
            if found[0] == each.ledger:
                text = f"`{each.ledger}` is the ledger of {other} already: an application needs one of its own"
            else:
                text = f"`{each.ledger}` and the ledger of {other}, `{found[0]}`, cannot both exist in Git"
            yield Finding((*each.steps, "ledger"), text)
        _claim(taken, each.ledger, each.name, LEDGER)


def _of_scopes(applications: Sequence[Named]) -> Iterator[Finding]:
    """Files that belong to two applications on one branch. Those without `paths` come last: they are the ones to mend."""
    taken: defaultdict[str, Taken] = defaultdict(dict)
    without = {each.name for each in applications if each.paths is None}
    for each in sorted(applications, key=lambda one: one.paths is None):
        branches = [environment.filled["branch"] for environment in each.environments if "branch" in environment.filled]
        for steps, path in _scope(each):
            met = ((branch, found) for branch in branches if (found := _find(taken[branch], path)))
            if first := next(met, None):
                branch, (theirs, other, _) = first
                yield Finding(steps, _overlap(path, theirs, plain(other), plain(branch), other in without))
        for _, path in _scope(each):
            for branch in branches:
                _claim(taken[branch], path, each.name, "")


def _scope(application: Named) -> list[tuple[Steps, str]]:
    if application.paths is None:
        return [((*application.steps, "repository"), "")]
    written = ((i, path) for i, path in enumerate(application.paths) if path and not names.scope(path))
    return [((*application.steps, "paths", i), path.removesuffix("/")) for i, path in written]


def _overlap(path: str, theirs: str, other: str, branch: str, both: bool) -> str:
    if not path:
        where = "in both, the directories and files of each" if both else "here too, its own directories and files"
        return f"{other} has this repository already, and branch `{branch}` of it: write `paths` {where}"
    text = f"`{plain(path)}` is" if path == theirs else f"`{plain(path)}` overlaps with `{plain(theirs)}`,"
    return f"{text} in the scope of {other}, which has branch `{branch}` too: a file belongs to one application"


# --- environments --------------------------------------------------------------------------------------------------


def of_environments(application: Named, places: Places) -> Iterator[Finding]:
    """Branches and directories of one application; `places` grows by them."""
    taken = places.refs[names.same(application.place)]
    yield from _of_branches(application, taken)
    yield from _of_directories(application, places)


def _bare_first(application: Named, key: str) -> list[Merged]:
    """So that of two that collide the one that is overridden is blamed."""
    return sorted((e for e in application.environments if key in e.filled), key=lambda e: key in e.overridden)


def _of_branches(application: Named, taken: Taken) -> Iterator[Finding]:
    own: dict[str, str] = {}
    for each in _bare_first(application, "branch"):
        branch, steps = each.filled["branch"], each.at("branch")
        if wrong := names.branch(branch):
            yield Finding(steps, wrong)
            continue
        ref = f"refs/heads/{branch}"
        found = _find(taken, ref)
        is_same = ref in own or (found is not None and found[0] == ref)
        if found and is_same and (ref in own or found[2] == LEDGER):
            whose = own.get(ref) or _whose(application, found[1], LEDGER)
            yield Finding(steps, f"branch `{branch}` is {whose}'s already: an environment needs one of its own")
        elif found and not is_same:
            whose, other = _whose(application, found[1], found[2]), found[0].removeprefix("refs/heads/")
            yield Finding(steps, f"branch `{branch}` and {whose}'s `{other}` cannot both exist in Git")
        own.setdefault(ref, each.name)
        _claim(taken, ref, application.name, each.name)


def _of_directories(application: Named, places: Places) -> Iterator[Finding]:
    local = application.place.removeprefix("file://localhost").removeprefix("file://").rstrip("/")
    for each in application.environments:
        engine = each.filled.get("engine", {})
        path, steps = engine.get("path"), (*each.at("engine"), "path")
        if path is None:
            continue
        if engine.get("type") == "kubernetes":
            if wrong := names.scope(path):
                yield Finding(steps, wrong)
            continue
        if path.startswith("~"):
            yield Finding(steps, "`~` is not filled in here: write the whole path")
        place = directory(path, places.base)
        if place == local:
            yield Finding(steps, "this is the repository itself: releases go to a directory of their own")
        owner = (application.name, each.name, steps)
        if (first := places.directories.setdefault(place, owner)) != owner:
            whose = _whose(application, first[0], first[1])
            text = f"{whose} is deployed to this directory already: an environment needs one of its own"
            yield Finding(steps, text)


def directory(path: str, base: Path) -> str:
    """Where an engine deploys to; relative paths are relative to the file."""
    return os.path.normpath(base / path)
