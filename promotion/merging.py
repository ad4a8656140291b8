"""What a candidate would give on the target, and whether a tree is just that: the entry table over real trees.

The objects of a merge are written into the clone, where they mean nothing until somebody pushes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from promotion import lineage, merge, scope
from promotion.model import Entry, Environment, Verdict
from promotion.observe import Site
from promotion.repository.objects import EMPTY_TREE
from promotion.state import Hold, State
from promotion.texts import short
from promotion.view import Change, Merged, View


def merged(site: Site, view: View, commit: str) -> Merged:
    """What a candidate would give: the entry table of B, D and S, and the tree that it describes.

    Conflicts are remembered: they stay until a person decides, and many candidates may be in one.
    """
    environment = view.environment
    sides = (view.base, view.tip, commit, view.application.roots)
    key = ("conflicts", *sides, environment.protect, environment.strategy, view.resolution and view.resolution.commit)
    known = cast("tuple[bytes, ...] | None", site.repository.memo.get(key))
    if known is None and not (made := _merged(site, view, commit)).conflicts:
        return made
    site.repository.memo[key] = known = known or made.conflicts
    return Merged(None, conflicts=known)


def _merged(site: Site, view: View, commit: str) -> Merged:
    objects, roots = site.repository.objects, view.application.roots
    target, source = objects.commit(view.tip).tree, objects.commit(commit).tree
    kept = merge.protected(view.environment.protect)
    table = table_of(site, view, commit)
    if conflicts := merge.conflicts(table):
        return Merged(None, conflicts=tuple(conflicts))
    tree = objects.write_tree(target, merge.gains(table))
    return Merged(
        tree=tree,
        digest=objects.digest(tree, roots),
        absorbed=tree == target,
        identical=merge.identical(table),
        empty=_is_empty(site, view, tree, kept) and not _is_empty(site, view, target, kept),
        changes=tuple(Change(c.path, c.change, c.rule.value) for c in merge.changes(table)),
        kept=tuple(Change(path, "kept", row.rule.value) for path, row in merge.deviations(table).items()),
        lost=_lost(site, table) if view.environment.strategy == "mirror" else (),
        held=_held(site, view, commit, tree, target, source),
    )


def _is_empty(site: Site, view: View, tree: str, kept: Callable[[bytes], bool]) -> bool:
    """Whether a tree has nothing but protected files in scope."""
    return all(kept(path) for path, _ in site.repository.objects.entries(tree, view.application.roots))


def table_of(site: Site, view: View, commit: str) -> merge.Table:
    """The settled entry table of one candidate, with what a person decided about its conflicts."""
    objects, roots = site.repository.objects, view.application.roots
    base, target, source = (objects.commit(oid).tree for oid in (view.base, view.tip, commit))
    kept = merge.protected(view.environment.protect)
    theirs, ours = (objects.diff(base, side, roots) for side in (target, source))
    table = merge.lay(theirs, ours, kept, mirror=view.environment.strategy == "mirror")
    if triples := merge.pending(table):
        results = site.repository.merge_files(list(triples.values()))
        table = merge.settle(table, dict(zip(triples, results, strict=True)))
    return merge.resolve(table, view.resolution.entries) if view.resolution else table


def _lost(site: Site, table: merge.Table) -> tuple[bytes, ...]:
    """What only the target has and would not have any more; a file whose changes the source's has among others is not lost."""
    rows = {path: table.rows[path] for path in merge.lost(table)}
    triples = {
        path: (row.b, row.d, row.s)
        for path, row in rows.items()
        if row.b and row.d and row.s and row.b.is_file and row.d.is_file and row.s.is_file
    }
    results = site.repository.merge_files(list(triples.values())) if triples else []
    there = {path for path, result in zip(triples, results, strict=True) if result == rows[path].s}
    return tuple(path for path in rows if path not in there)


def unexplained(site: Site, view: View, commit: str, tree: str) -> list[bytes]:
    """Paths at which a tree that is about to land is not what the entry table says (S9, S10): none, or there is a bug."""
    objects, roots = site.repository.objects, view.application.roots
    base, target = (objects.commit(oid).tree for oid in (view.base, view.tip))
    inside = merge.within(roots)
    strange = sorted(path for path in objects.diff(target, tree) if not inside(path))
    return strange + merge.unexplained(table_of(site, view, commit), objects.diff(base, tree, roots))


def change_of(site: Site, environment: Environment, commit: str) -> dict[bytes, Entry | None]:
    """What a commit changed against its first parent, outside protected paths: path -> entry, None where it deleted."""
    objects = site.repository.objects
    made = objects.commit(commit)
    before = objects.commit(made.parents[0]).tree if made.parents else EMPTY_TREE
    kept = merge.protected(environment.protect)
    changes = objects.diff(before, made.tree, site.application.roots)
    return {path: new for path, (_, new) in changes.items() if not kept(path)}


def _held(site: Site, view: View, commit: str, tree: str, target: str, source: str) -> Verdict | None:
    """The hold that this content runs into, of the target or of the source, unless a commit says that it is fixed."""
    objects = site.repository.objects
    for hold in (*view.state.holds, *view.rejections):
        brought = merge.held(hold.entries, lambda p: objects.look(tree, p), lambda p: objects.look(target, p))
        if brought and not _fixed(site, view, commit, hold):
            what = f"rejected by {hold.by}" if hold.plan_id else f"held for {view.environment.name}"
            does = "has" if hold.plan_id else "brings back"
            return Verdict("hold", "block", f"{does} {short(hold.commit)}, {what}: {hold.reason}")
    for hold in view.source_state.holds:
        if merge.contains(hold.entries, lambda p: objects.look(source, p)) and not _fixed(site, view, commit, hold):
            return Verdict(
                "hold", "block", f"has {short(hold.commit)}, held in {view.environment.source}: {hold.reason}"
            )
    return None


def _fixed(site: Site, view: View, commit: str, hold: Hold) -> bool:
    """Whether a commit that comes along says `Promotion-Fixes:` and names the held one, or what that stands for."""
    key = ("fixes", view.application.name, view.environment.name, view.base, commit, view.source_state.release)
    names = scope.remembered(site.repository, key, lambda: _fixes(site, view, commit))
    known = [hold.commit]
    while known[-1] and site.repository.objects.has(known[-1]):
        known.append(site.repository.objects.commit(known[-1]).trailers.get("Promotion-Source", ""))
    return any(len(name) >= 7 and held.startswith(name) for name in names for held in known)


def _fixes(site: Site, view: View, commit: str) -> list[str]:
    """What the commits that come along say that they fix; those of all environments before, which may only be named."""
    app, repository = view.application, site.repository
    source = app.environment(view.environment.source or "")
    state = State(app.name, environments={view.environment.name: view.state, source.name: view.source_state})
    sides = (lineage.upwards(repository, app, state, source, oid) for oid in (view.base, commit))
    found: list[str] = []
    for (_, old), (_, new) in zip(*sides, strict=False):
        if repository.find(old) and repository.find(new):
            between = repository.history.between(old, new, merges=True)
            found += [c.trailers.get("Promotion-Fixes", "") for c in between]
    return [name for name in found if name]
