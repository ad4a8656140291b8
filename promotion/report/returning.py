"""Which changes a plan brings with it that were taken back or refused before, as they were or changed since; reads Git only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from promotion import merging
from promotion.model import Entry
from promotion.observe import Site
from promotion.texts import shown
from promotion.view import Plan

Entries = Mapping[bytes, Entry | None]


def brought_back(site: Site, plan: Plan) -> list[dict[str, Any]]:
    """One row for each: `why` is `rolled back`, `held` or `rejected`, `changed` has those of its `paths` that differ by now."""
    chain = [commit.oid for commit in plan.view.chain]
    if plan.merged is None or plan.merged.tree is None or plan.commit not in chain:
        return []
    return list(_rows(site, plan, plan.merged.tree, frozenset(chain[chain.index(plan.commit) :])))


def _rows(site: Site, plan: Plan, tree: str, along: frozenset[str]) -> Iterator[dict[str, Any]]:
    objects, state = site.repository.objects, plan.view.state
    target = objects.commit(plan.view.tip).tree
    for commit, why, reason, entries in _refused(site, plan, along):
        paths = [path for path in sorted(entries) if objects.look(tree, path) != objects.look(target, path)]
        changed = [path for path in paths if objects.look(tree, path) != entries[path]]
        if paths:
            made = objects.commit(commit)
            stands_for = state.releases.get(commit)
            said = objects.commit(stands_for.source) if stands_for and stands_for.source else made
            yield {
                "commit": commit,
                "author": said.author.name,
                "subject": said.subject,
                "why": why,
                "reason": reason,
                "paths": [shown(path) for path in paths],
                "changed": [shown(path) for path in changed],
            }


def _refused(site: Site, plan: Plan, along: frozenset[str]) -> Iterator[tuple[str, str, str, Entries]]:
    """What was taken back or refused of the commits that come along: which, why, the reason, and what it changed."""
    view, releases = plan.view, plan.view.state.releases
    holds = (*view.state.holds, *view.rejections)
    for hold in holds:
        given = releases.get(hold.commit)
        if (given.source if given else hold.commit) in along:
            why = "rejected" if hold.plan_id else "rolled back" if given and given.undone else "held"
            yield hold.commit, why, hold.reason, hold.entries
    known = {hold.commit for hold in holds}
    for commit, given in releases.items():
        if given.undone and given.source in along and commit not in known:
            yield commit, "rolled back", "", merging.change_of(site, view.environment, commit)
