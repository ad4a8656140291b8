"""Which Applications of an Argo CD follow branches of a repository, and the environments they make; pure, must not ask it.

Only what follows a branch of a repository is placed; whatever is not is told with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from promotion.config import names
from promotion.engines.addresses import same_repository
from promotion.said import one_line

ORDER: tuple[tuple[str, ...], ...] = (
    ("dev", "develop", "development", "sandbox"),
    ("ci", "int", "integration"),
    ("test", "tst", "testing", "qa"),
    ("uat", "acc", "acceptance"),
    ("stage", "stg", "staging", "preprod", "preproduction"),
    ("prod", "prd", "production", "live"),
)
"""Words that well-known environments begin with, in the order in which changes move through them."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tracking:
    """An Application that follows one branch of one repository, from these directories of it ('': all of it)."""

    name: str
    repository: str
    branch: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One environment of one application: a branch, and the Applications that deploy it."""

    name: str
    branch: str
    deployed: tuple[Tracking, ...]
    source: str | None = None
    guessed: bool = False
    """Nothing but the order of the list says where it belongs."""


@dataclass(frozen=True, slots=True)
class Group:
    """What becomes one application."""

    name: str
    repository: str
    stages: tuple[Stage, ...]
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What was placed, and by Application why the others were not."""

    groups: tuple[Group, ...]
    left: Mapping[str, str] = field(default_factory=dict)


def placed(applications: Sequence[Json]) -> Found:
    """Groups the Applications that follow branches of one repository, and orders the branches of each."""
    left, following = dict[str, str](), list[Tracking]()
    for each in sorted(applications, key=_name):
        found = tracking(each)
        if isinstance(found, str):
            left[_name(each)] = found
        else:
            following.append(found)
    by_key: dict[tuple[str, str], list[tuple[str, Tracking]]] = {}
    for one in following:
        stem, environment = split(one.name, one.branch)
        alike = (each.repository for each in following if same_repository(each.repository, one.repository))
        first = next(alike, one.repository)
        by_key.setdefault((first, stem), []).append((environment, one))
    groups, taken = list[Group](), set[str]()
    for (repository, stem), members in by_key.items():
        name = _free(stem or names.last_segment(repository), repository, taken)
        groups.append(Group(name, repository, _ordered(_stages(members))))
    sound = [group for group in groups if _fits(group, groups, left)]
    return Found(tuple(_scoped(group, sound) for group in sound if _begins(group, sound, left)), left)


# --- one Application ------------------------------------------------------------------------------------------------


def tracking(application: Json) -> Tracking | str:
    """What it follows, or why that is no branch."""
    spec = application.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    hydrator = spec.get("sourceHydrator")
    written = [hydrator.get("drySource")] if isinstance(hydrator, dict) else spec.get("sources") or [spec.get("source")]
    sources: list[Json] = [each for each in written if isinstance(each, dict)]
    git = [each for each in sources if not each.get("chart")]
    if not git:
        return "only Helm charts, no branch of a Git repository" if sources else "it has no source"
    followed = {(str(each.get("repoURL")), str(each.get("targetRevision") or "HEAD")) for each in git}
    if len(followed) > 1:
        return "several candidates: " + ", ".join(f"{_shown(rev)} of {_shown(url)}" for url, rev in sorted(followed))
    ((repository, revision),) = followed
    branch = revision.removeprefix("refs/heads/")
    if wrong := _no_branch(branch) or names.branch(branch) or names.repository(repository):
        return wrong
    paths = sorted({str(each.get("path") or "").strip("/").removeprefix("./") for each in git})
    whole = any(path in ("", ".") for path in paths)
    if not whole and (wrongs := [why for path in paths if (why := names.scope(path))]):
        return wrongs[0]
    return Tracking(_name(application), repository, branch, () if whole else tuple(paths))


def _no_branch(revision: str) -> str | None:
    if revision == "HEAD":
        return "tracks HEAD: name the branch in its targetRevision"
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return "tracks one commit, not a branch"
    if revision.startswith("refs/") or re.fullmatch(r"v?[0-9]+(\.[0-9x*]+)+.*|.*[*<>=~^].*", revision):
        return f"tracks the version {_shown(revision)}, not a branch"
    return None


def _name(application: Json) -> str:
    metadata = application.get("metadata")
    return _shown(metadata.get("name") if isinstance(metadata, dict) else "?")


def _shown(value: Any) -> str:
    return one_line(str(value), 120)


def split(name: str, branch: str) -> tuple[str, str]:
    """What an Application's name says without its environment, and the environment: by its branch, else by a known word."""
    last = re.sub(r"[^a-z0-9]+", "-", branch.rsplit("/", 1)[-1].lower()).strip("-")[:63].strip("-") or "environment"
    words, wanted = re.split(r"[-._]", name), last.split("-")
    for i in range(len(words) - len(wanted) + 1):
        if words[i : i + len(wanted)] == wanted:
            return "-".join(words[:i] or words[i + len(wanted) :]), last
    for i, word in enumerate(words):
        if rank(word) is not None:
            return "-".join(words[:i] or words[1:]), "-".join(words[i:] if i else words[:1])
    return name, last


def rank(environment: str) -> int | None:
    """Where a well-known name stands; None for any other."""
    first = environment.split("-")[0]
    return next((i for i, words in enumerate(ORDER) if first in words), None)


# --- one group ------------------------------------------------------------------------------------------------------


def _free(name: str, repository: str, taken: set[str]) -> str:
    choices = [name, f"{names.last_segment(repository)}-{name}", *(f"{name}-{i}" for i in range(2, 1000))]
    taken.add(free := next(each for each in choices if each not in taken))
    return free


def _stages(members: Sequence[tuple[str, Tracking]]) -> Iterator[Stage]:
    """One for each branch; two branches of one name are told apart by the whole name of the branch."""
    by_branch: dict[str, list[tuple[str, Tracking]]] = {}
    for environment, one in members:
        by_branch.setdefault(one.branch, []).append((environment, one))
    used: set[str] = set()
    for branch, these in by_branch.items():
        long = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[:60]
        name = next(n for n in (these[0][0], long, *(f"{long}-{i}" for i in range(2, 1000))) if n not in used)
        used.add(name)
        yield Stage(name, branch, tuple(one for _, one in these))


def _ordered(stages: Iterator[Stage]) -> tuple[Stage, ...]:
    """Each takes commits from the first one of the rank before it; those of no rank come last, one after the other."""
    there = list(stages)
    known = sorted((s for s in there if rank(s.name) is not None), key=lambda s: rank(s.name) or 0)
    made: list[Stage] = []
    for stage in (*known, *(s for s in there if rank(s.name) is None)):
        mine = rank(stage.name)
        before = [s for s in made if mine is None or rank(s.name) != mine]
        ranks = [rank(s.name) for s in before]
        source = None
        if before:
            source = before[-1].name if mine is None else before[ranks.index(ranks[-1])].name
        made.append(replace(stage, source=source, guessed=mine is None and bool(made)))
    return tuple(made)


def _fits(group: Group, groups: Sequence[Group], left: dict[str, str]) -> bool:
    """Whether nothing of it belongs to one before it: a file of a branch is of one application."""
    for other in groups[: groups.index(group)]:
        if other.repository != group.repository:
            continue
        for mine in group.stages:
            shared = [stage for stage in other.stages if stage.branch == mine.branch]
            if shared and any(_overlap(a, b) for a in _paths(group) for b in _paths(other)):
                why = (
                    f"shares {mine.branch} and its files with {shared[0].deployed[0].name}: one application has a file"
                )
                left.update({one.name: why for stage in group.stages for one in stage.deployed})
                return False
    return True


def _paths(group: Group) -> list[str]:
    found = {path for stage in group.stages for one in stage.deployed for path in one.paths or ("",)}
    return [path for path in sorted(found) if not any(path != other and _below(path, other) for other in found)]


def _below(path: str, other: str) -> bool:
    return not other or f"{path}/".startswith(f"{other}/")


def _overlap(one: str, other: str) -> bool:
    return _below(one, other) or _below(other, one)


def _scoped(group: Group, groups: Sequence[Group]) -> Group:
    """With `paths`, where another one has the same branch."""
    mine = {stage.branch for stage in group.stages}
    shares = any(
        other is not group and other.repository == group.repository and mine & {stage.branch for stage in other.stages}
        for other in groups
    )
    return replace(group, paths=tuple(_paths(group)) if shares else ())


def _begins(group: Group, groups: Sequence[Group], left: dict[str, str]) -> bool:
    """Whether what is a root here is one wherever it is: an application may change a source, and not take it away."""
    for stage in group.stages:
        others = [s for g in groups for s in g.stages if s.name == stage.name]
        if stage.source is None and others[0].source is not None:
            why = f"begins with {stage.name}, where {others[0].deployed[0].name} takes it from {others[0].source}"
            left.update({one.name: why for each in group.stages for one in each.deployed})
            return False
    return True
