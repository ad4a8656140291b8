"""What only one environment's branch has, since when, and who brought it: the objects of `drift --json`. Reads Git only."""

from __future__ import annotations

from typing import Any

from promotion import observe
from promotion.drifting import Hotfix, drifted, hotfixes
from promotion.merge import Difference
from promotion.model import Environment
from promotion.observe import Site, World
from promotion.report.standing import assumed
from promotion.texts import iso, shown

WAYS = {(False, True): "added", (True, True): "modified", (True, False): "deleted"}


def drift(site: Site, world: World, environment: Environment) -> tuple[dict[str, Any], Difference]:
    """One environment's object, and its drift: path -> (the release's entry, the branch's).

    `in_root`: whether the root has this very content, so that promotions bring it and the drift ends by itself.
    """
    state = assumed(site, world).of(environment.name)
    tip = observe.head(site, world, environment)
    found = drifted(site, environment, state, tip)
    commits = hotfixes(site, environment, tip, found)
    root = root_of(site, environment)
    there = world.snapshot[root.ref]
    tree = site.repository.objects.commit(there).tree if there else None
    paths = []
    for path, (old, new) in found.items():
        arriving = tree is not None and site.repository.objects.look(tree, path) == new
        way = WAYS[old is not None, new is not None]
        paths.append({"path": shown(path), "change": way, "in_root": arriving})
    return {
        "environment": environment.name,
        "branch": environment.branch,
        "from": environment.source,
        "root": root.name,
        "tip": tip,
        "base": state.release.source if state.release and environment.source else None,
        "drift": len(found),
        "since": iso(min(hotfix.commit.at for hotfix in commits)) if commits else None,
        "paths": paths,
        "commits": [_commit(hotfix) for hotfix in commits],
    }, found


def root_of(site: Site, environment: Environment) -> Environment:
    """Where the commits of an environment come from at last."""
    while environment.source is not None:
        environment = site.application.environment(environment.source)
    return environment


def _commit(hotfix: Hotfix) -> dict[str, Any]:
    commit = hotfix.commit
    said = {"commit": commit.oid, "author": commit.author.name, "email": commit.author.email}
    return {**said, "subject": commit.subject, "at": iso(commit.at), "paths": [shown(p) for p in hotfix.paths]}
