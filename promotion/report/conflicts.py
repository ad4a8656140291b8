"""Both sides of a conflict: who changed a path last in the target and in the source, what they made of it, and how to resolve it."""

from __future__ import annotations

from typing import Any

from promotion.events import first_epoch
from promotion.model import Entry
from promotion.observe import Site
from promotion.texts import shown
from promotion.view import DEPTH, Plan


def sides(site: Site, plan: Plan) -> list[dict[str, Any]]:
    """One object for each path: `path`, and under `target` and `source` the commit that changed it there last."""
    if plan.merged is None or plan.commit is None:
        return []
    view = plan.view
    return [
        {
            "path": shown(path),
            "target": _last(site, view.tip, view.base, path),
            "source": _last(site, plan.commit, view.base, path),
        }
        for path in plan.merged.conflicts
    ]


def entries(site: Site, plan: Plan, path: bytes) -> tuple[Entry | None, Entry | None, Entry | None]:
    """What base, target and source have at a path."""
    objects = site.repository.objects
    commits = (plan.view.base, plan.view.tip, plan.commit or plan.view.base)
    base, target, source = (objects.look(objects.commit(oid).tree, path) for oid in commits)
    return base, target, source


def resolution(plan: Plan) -> list[str]:
    """What a person types: both sides to be edited on a branch of their own, or the target's lines to the source first.

    The latter is absorbed, and what follows merges cleanly.
    """
    view = plan.view
    if plan.merged is None or not plan.merged.conflicts or view.environment.source is None:
        return []
    source = view.application.environment(view.environment.source)
    paths = " ".join(shown(path) for path in plan.merged.conflicts[:5])
    name = view.environment.name
    return [
        f"promotion resolve {name}   pushes a branch with both sides in these files: edit, commit and push there, then",
        f"promotion promote {name} --resolution COMMIT",
        f"or give {source.name} what {name} has: git switch {source.branch} && git fetch && git checkout origin/{view.environment.branch} -- {paths} && git commit",
        f"push it: it is absorbed by {view.environment.name} without a commit; then make your change on top of it",
        *([_adoption(view.environment.name, source.name)] if _is_first(plan) else []),
    ]


def _is_first(plan: Plan) -> bool:
    """Whether what the target has is still what their histories said at first sight."""
    name, environment, release = plan.view.application.name, plan.view.environment.name, plan.view.state.release
    return release is None or plan.view.state.epoch == first_epoch(name, environment, release.commit, release.source)


def _adoption(target: str, source: str) -> str:
    """After squash merges and the like, whose commits say nothing of where they came from."""
    return f"or, where {target} has a later commit of {source} already: promotion adopt {target} --source COMMIT"


def _last(site: Site, tip: str, base: str, path: bytes) -> dict[str, str] | None:
    objects = site.repository.objects
    newer = None
    for number, commit in enumerate(site.repository.first_parents(tip)):
        if newer is not None and objects.look(newer.tree, path) != objects.look(commit.tree, path):
            break
        newer = commit
        if commit.oid == base or number == DEPTH:
            return None
    if newer is None:
        return None
    return {"commit": newer.oid, "author": newer.author.name, "subject": newer.subject}
