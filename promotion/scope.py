"""Which commits of a branch are about an application's scope; reads objects only, and decides nothing.

Without paths everything is in scope, and every commit is about it. What was found out is remembered with the clone:
a commit's history never changes, so a round costs what came since the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from promotion.model import Application, Commit
from promotion.repository import Repository
from promotion.repository.objects import EMPTY_TREE

T = TypeVar("T")

WALKED = 500
"""How many commits are looked at here before git itself is asked to walk."""
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Chain:
    """The candidates of a source branch, newest first; `reached` says whether the base is on its first-parent line."""

    commits: tuple[Commit, ...]
    reached: bool


def remembered(repository: Repository, key: tuple[object, ...], find: Callable[[], T]) -> T:
    """What `find` found out the first time; only for what is true of commits for ever."""
    if key not in repository.memo:
        found = find()
        if len(repository.memo) >= REMEMBERED:
            repository.memo.clear()
        repository.memo[key] = found
    return cast(T, repository.memo[key])


def digest(repository: Repository, application: Application, commit: str) -> str:
    """Of what a commit holds in scope."""
    objects = repository.objects
    return objects.digest(objects.commit(commit).tree, application.roots)


def newest(repository: Repository, application: Application, commit: str) -> str:
    """The newest commit at or before this one, by first parents, that changed the scope: what a deployment of it is of.

    A commit that the clone does not have stands for itself.
    """
    roots = application.roots
    if not roots or not repository.objects.has_commit(commit):
        return commit
    return remembered(repository, ("newest", roots, commit), lambda: _newest(repository, roots, commit))


def _newest(repository: Repository, roots: Sequence[bytes], commit: str) -> str:
    for number, made in enumerate(repository.first_parents(commit)):
        if known := repository.memo.get(("newest", roots, made.oid)):
            return cast(str, known)
        if changed(repository, roots, made):
            return made.oid
        if number == WALKED:
            break
    found = repository.history.changes(commit, None, roots, 1)
    return found[0].oid if found else commit


def changed(repository: Repository, roots: Sequence[bytes], commit: Commit) -> bool:
    """Whether a commit changed something at these paths against its first parent."""
    objects = repository.objects
    before = objects.commit(commit.parents[0]).tree if commit.parents else EMPTY_TREE
    return before != commit.tree and objects.digest(before, roots) != objects.digest(commit.tree, roots)


def chain(repository: Repository, application: Application, tip: str, base: str, most: int) -> Chain:
    """The first-parent commits of a branch that descend from `base` and changed the scope, `most` at most."""
    key = ("chain", application.roots, tip, base, most)
    return remembered(repository, key, lambda: _chain(repository, application.roots, tip, base, most))


def _chain(repository: Repository, roots: Sequence[bytes], tip: str, base: str, most: int) -> Chain:
    found: list[Commit] = []
    for number, commit in enumerate(repository.first_parents(tip)):
        if commit.oid == base:
            return Chain(tuple(found), reached=True)
        if len(found) == most or number == WALKED:
            break
        if not roots or changed(repository, roots, commit):
            found.append(commit)
    if roots:
        found = repository.history.changes(tip, base, roots, most)
    # B is not among them: it was merged in, or lies far back. Descending from B is monotonic along first parents.
    low, high = 0, len(found)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if repository.is_ancestor(base, found[middle].oid) else (low, middle)
    return Chain(tuple(found[:low]), reached=False)
