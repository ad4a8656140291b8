"""What only one environment's branch has: at which paths, and by which commits. Reads Git only, and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from promotion import merge
from promotion.lineage import is_ours
from promotion.merge import Difference
from promotion.model import Commit, Entry, Environment
from promotion.observe import Site
from promotion.repository.objects import EMPTY_TREE
from promotion.state import EnvironmentState

PATHS = 500
"""For how many drifting paths the commits are looked for; all of them are counted."""
COMMITS = 200
"""How many commits that touched them are read."""


@dataclass(frozen=True, slots=True)
class Hotfix:
    """A commit that people made on an environment's branch, and what of the drift it touched."""

    commit: Commit
    paths: tuple[bytes, ...]


def drifted(site: Site, environment: Environment, state: EnvironmentState, tip: str) -> Difference:
    """Where a tip differs from what its release stands for, in scope and unprotected: path -> (B's entry, D's), by path.

    Empty for a root, and for a release whose source is not there any more.
    """
    if environment.source is None or state.release is None or not site.repository.find(state.release.source):
        return {}
    objects, kept = site.repository.objects, merge.protected(environment.protect)
    base = objects.commit(state.release.source).tree
    changes = objects.diff(base, objects.commit(tip).tree, site.application.roots)
    return {path: changes[path] for path in sorted(changes) if not kept(path)}


def hotfixes(site: Site, environment: Environment, tip: str, drift: Difference) -> list[Hotfix]:
    """The commits on the first-parent line that drift came by, newest first; one walk of git, however many paths.

    A path is followed back to where the branch had B's entry there, or a promotion brought what its source had.
    """
    left, found = list(drift)[:PATHS], list[Hotfix]()
    if not left:
        return []
    for commit in site.repository.history.changes(tip, None, left, COMMITS):
        touched = _touched(site, commit, left)
        promoted = is_ours(commit, site.application.name, environment.name)
        if touched and not promoted:
            found.append(Hotfix(commit, tuple(touched)))
        tested = _entries_of_source(site, commit, left) if promoted else {}
        left = [
            path
            for path in left
            if path not in touched
            or not (touched[path][0] == drift[path][0] or (path in tested and tested[path] == touched[path][1]))
        ]
        if not left:
            break
    return found


def _touched(site: Site, commit: Commit, paths: list[bytes]) -> Difference:
    """What a commit changed at these paths against its first parent."""
    objects = site.repository.objects
    before = objects.commit(commit.parents[0]).tree if commit.parents else EMPTY_TREE
    pairs = {path: (objects.look(before, path), objects.look(commit.tree, path)) for path in paths}
    return {path: (old, new) for path, (old, new) in pairs.items() if old != new}


def _entries_of_source(site: Site, promotion: Commit, paths: list[bytes]) -> Mapping[bytes, Entry | None]:
    objects, source = site.repository.objects, promotion.trailers.get("Promotion-Source", "")
    if not objects.has_commit(source):
        return {}
    tree = objects.commit(source).tree
    return {path: objects.look(tree, path) for path in paths}
