"""What a person decided about a conflict, on a branch that we proposed: of it only the paths in conflict count. Reads Git only."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from hashlib import sha256

from promotion import merge, merging, observe
from promotion.config.names import RESOLVE
from promotion.errors import RefusedError
from promotion.model import Commit, Entry
from promotion.observe import Site
from promotion.repository.formats import TREE
from promotion.texts import short, shown
from promotion.view import DEPTH, Resolution, View

log = logging.getLogger(__name__)

TRAILER = "Promotion-Conflict"
_MARKER = re.compile(rb"(<{7}|>{7}|\|{7}|={7})(?= |$)")


def conflict_id(view: View, commit: str) -> str:
    """64 hex digits over what a conflict is about: S, and the content of D and B. While they are the same, so is the conflict."""
    inputs = [view.application.name, view.environment.name, commit, *view.contents]
    return sha256(json.dumps(inputs).encode()).hexdigest()


def branch_of(identity: str) -> str:
    """Where a conflict is resolved."""
    return f"{RESOLVE}/{identity[:8]}"


def resolution_of(site: Site, prefix: str) -> str:
    """The full id of a resolution that a person names; the branches that hold some are fetched first. Raises ConfigError."""
    observe.survey(site)
    branches = [f"refs/heads/{branch}" for branch in site.repository.branches() if branch.startswith(f"{RESOLVE}/")]
    site.repository.refresh(branches)
    return site.repository.resolve(prefix.lower())


def resolved(site: Site, view: View, commit: str) -> View:
    """The view with a person's decision about one candidate, and with that candidate as the only one.

    Raises RefusedError for a commit that does not come from a proposal of this environment, that is about another S, D or B,
    or in which a file still holds markers.
    """
    target = view.environment.name
    proposal = _proposal(site, view, commit)
    said = proposal.trailers
    source, identity = said.get("Promotion-Source", ""), said[TRAILER]
    if view.chosen not in (None, source):
        raise RefusedError(f"{short(commit)} resolves {short(source)}, not {short(view.chosen)}", where="--resolution")
    known = site.repository.objects.has_commit(source)
    if known and site.repository.is_ancestor(source, view.base):
        return replace(view, chosen=source, arrived=True)
    if not known or conflict_id(view, source) != identity:
        what = f"{short(commit)} is superseded: {target} is not what it was when {short(source)} was resolved"
        raise RefusedError(what, where="--resolution", hint=f"promotion plan {target}")
    if commit == proposal.oid or not _is_pushed(site, commit, branch_of(identity)):
        what = "is the proposal itself" if commit == proposal.oid else f"is not on {branch_of(identity)}"
        hint = f"commit on {branch_of(identity)} and push it"
        raise RefusedError(f"{short(commit)} {what}: nobody has resolved it there", where="--resolution", hint=hint)
    return replace(view, chosen=source, resolution=_decided(site, view, source, proposal, commit))


def _proposal(site: Site, view: View, commit: str) -> Commit:
    """The commit of ours that a resolution stands on."""
    if not site.repository.find(commit):
        raise RefusedError(f"there is no commit {short(commit)} in {site.repository.url}", where="--resolution")
    for number, found in enumerate(site.repository.first_parents(commit)):
        if TRAILER in found.trailers:
            about = (found.trailers.get("Promotion-Application"), found.trailers.get("Promotion-Environment"))
            if about != (view.application.name, view.environment.name):
                what = f"{short(commit)} resolves a conflict of {about[0]} in {about[1]}"
                raise RefusedError(what, where="--resolution")
            return found
        if number == DEPTH:
            break
    what = f"{short(commit)} does not come from a branch of promotion resolve"
    raise RefusedError(what, where="--resolution", hint=f"promotion resolve {view.environment.name}")


def _is_pushed(site: Site, commit: str, branch: str) -> bool:
    ref = f"refs/heads/{branch}"
    tip = site.repository.refresh([ref])[ref]
    return tip is not None and site.repository.is_ancestor(commit, tip)


def _decided(site: Site, view: View, source: str, proposal: Commit, commit: str) -> Resolution:
    """The entries at the paths in conflict."""
    objects, roots = site.repository.objects, view.application.roots
    rows = merge.conflicts(merging.table_of(site, replace(view, resolution=None), source))
    made = objects.commit(commit).tree
    entries = {path: leaf(site, made, path) for path in rows}
    site.repository.prefetch([e.oid for e in entries.values() if e and e.is_file and not objects.has(e.oid)])
    for path, entry in entries.items():
        if entry is None and any(below not in rows for below, _ in objects.entries(made, [path])):
            what = f"{shown(path)} is a directory there, with files that are in no conflict"
            raise RefusedError(what, where=short(commit))
        if line := _marker(site, entry, rows[path]):
            raise RefusedError(f"{shown(path)} still holds conflict markers, in line {line}", where=short(commit))
    ignored = sorted(objects.diff(proposal.tree, made, roots).keys() - rows.keys())
    if ignored:
        paths = ", ".join(shown(path) for path in ignored[:5])
        log.warning("not taken from %s, where nothing conflicts: %s", short(commit), paths)
    return Resolution(commit, entries)


def leaf(site: Site, tree: str, path: bytes) -> Entry | None:
    """What a tree has at a path; a directory is nothing, what is below it has paths of its own."""
    found = site.repository.objects.look(tree, path)
    return None if found is None or found.mode == TREE else found


def _marker(site: Site, entry: Entry | None, row: merge.Row) -> int | None:
    """The first line that looks like a marker and is in none of the versions that conflicted."""
    if entry is None or not entry.is_file or entry in (row.d, row.s):
        return None
    sides = {
        line for side in (row.d, row.s) if side and side.is_file for line in site.repository.blob(side.oid).splitlines()
    }
    for number, line in enumerate(site.repository.blob(entry.oid).splitlines(), 1):
        if _MARKER.match(line) and line not in sides:
            return number
    return None
