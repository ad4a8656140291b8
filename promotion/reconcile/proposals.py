"""Branches that are proposed to people: created on the remote, never moved by us, and never merged by us."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from promotion import answers, merge, observe
from promotion.config.names import BACKPORT
from promotion.drifting import Hotfix, drifted, hotfixes
from promotion.errors import ConfigError, TemporaryError
from promotion.merge import Difference
from promotion.model import Credential, Entry, Environment, Person, short, shown
from promotion.observe import Site, World
from promotion.reconcile.write import TRIES, rejected
from promotion.report import assumed, origin
from promotion.report.drift import root_of
from promotion.repository import Update
from promotion.view import DEPTH

LISTED = 20
"""How many files or commits a message names."""
KINDS = {0o100644: "a file", 0o100755: "an executable file", 0o120000: "a symlink", 0o160000: "a submodule"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed. `branch` is None when there is nothing to propose, for `reason`."""

    outcome: Literal["proposed", "nothing"]
    application: str
    environment: str
    onto: str
    """The environment whose branch people merge it into, or that it is made of."""
    reason: str
    branch: str | None = None
    commit: str | None = None
    """The branch's tip. None in a dry run."""
    created: bool = False
    """False: it was there already."""
    brings: tuple[bytes, ...] = ()
    marked: tuple[bytes, ...] = ()
    """Files that hold markers."""
    undecided: Mapping[bytes, str] | None = None
    """What no markers can show, and what both sides have there."""
    left: tuple[bytes, ...] = ()
    """Protected on the way: it is not brought, or never arrives."""
    hotfixes: tuple[Hotfix, ...] = ()


@dataclass(frozen=True, slots=True)
class Sketch:
    """A proposal's content: a tree, and what is left for people."""

    tree: str
    brings: tuple[bytes, ...]
    marked: tuple[bytes, ...]
    undecided: Mapping[bytes, str]

    @property
    def is_empty(self) -> bool:
        return not (self.brings or self.marked or self.undecided)


# --- backport --------------------------------------------------------------------------------------------------------


def backport(site: Site, environment: Environment, *, reason: str = "", dry_run: bool = False) -> Proposal:
    """Proposes to the root what only this environment's branch has, on top of the root's tip; typed again, the same branch.

    Raises ConfigError for a root, and where a branch of that name is none of ours.
    """
    if environment.source is None:
        raise ConfigError(f"{environment.name} is a root: what it has is where changes begin already")
    for _ in range(TRIES):
        world = observe.survey(site)
        answers.check_branch(site, world, environment)
        made = _backport(site, world, environment, reason, dry_run=dry_run)
        if made is not None:
            return made
    raise TemporaryError(f"somebody was faster {TRIES} times", where=site.repository.url)


def _backport(site: Site, world: World, environment: Environment, reason: str, *, dry_run: bool) -> Proposal | None:
    """One try; None: somebody was faster."""
    app, name, root = site.application, environment.name, root_of(site, environment)
    state = assumed(site, world)
    drift = drifted(site, environment, state.of(name), world.tip(environment))
    nothing = Proposal("nothing", app.name, name, root.name, f"{name} has no drift")
    release = state.of(name).release
    if not drift or release is None:
        return nothing
    source = app.environment(environment.source or "")
    base = origin(site, state, source, release.source)
    base = base if base and site.repository.find(base) else release.source
    sketch = _sketched(site, world, environment, drift, base)
    left = tuple(path for path in drift if _is_kept(site, environment, path))
    said = replace(nothing, left=left, hotfixes=tuple(hotfixes(site, environment, world.tip(environment), drift)))
    if sketch.is_empty:
        return replace(said, reason=_why_nothing(root.name, drift, left))
    for number in range(DEPTH):
        key = _key(app.name, name, drift, number)
        branch = f"{BACKPORT}/{name}-{key[:8]}"
        tip = _there(site, branch, f"Promotion-Backport: {key}")
        merged = tip is not None and site.repository.is_ancestor(tip, world.tip(root))
        if merged and not sketch.brings:
            return replace(said, reason=f"{branch} was merged into {root.branch}, and decided there", commit=tip)
        if not merged:
            break
    said = replace(said, outcome="proposed", branch=branch, reason=reason, brings=sketch.brings)
    said = replace(said, marked=sketch.marked, undecided=sketch.undecided)
    if tip is not None or dry_run:
        return replace(said, commit=tip)
    message = _message(site, said, f"Promotion-Backport: {key}")
    commit = site.repository.commit_tree(sketch.tree, [world.tip(root)], message, site.clock())
    landed = _create(site, branch, commit, root.credential)
    return replace(said, commit=commit, created=True) if landed else None


def _sketched(site: Site, world: World, environment: Environment, drift: Difference, base: str) -> Sketch:
    """The entry table of a promotion the other way: from this branch into the root, of what drifts and nothing else."""
    objects, roots, root = site.repository.objects, site.application.roots, root_of(site, environment)
    protects = merge.protected(root.protect)
    before, ours, theirs = (objects.commit(oid).tree for oid in (base, world.tip(root), world.tip(environment)))
    table = merge.lay(
        objects.diff(before, ours, roots),
        objects.diff(before, theirs, roots),
        lambda path: path not in drift or protects(path),
    )
    if triples := merge.pending(table):
        results = site.repository.merge_files(list(triples.values()))
        table = merge.settle(table, dict(zip(triples, results, strict=True)))
    return sketch(site, ours, table, (root.name, environment.name))


def _is_kept(site: Site, environment: Environment, path: bytes) -> bool:
    """Whether an environment between this one and the root, or the root itself, protects a path."""
    while environment.source is not None:
        environment = site.application.environment(environment.source)
        if merge.protected(environment.protect)(path):
            return True
    return False


def _why_nothing(root: str, drift: Difference, left: Sequence[bytes]) -> str:
    if len(left) == len(drift):
        return f"all of it is protected on the way from {root}, so that no promotion would bring it"
    return f"{root} has all of it: it is drift no more once promotions arrive"


def _key(application: str, environment: str, drift: Difference, number: int) -> str:
    """What tells one backport from another: what drifts, and how often the same was proposed and merged before."""

    def said(entry: Entry | None) -> list[object] | None:
        return [entry.mode, entry.oid] if entry else None

    entries = [[path.decode("utf-8", "surrogateescape"), said(b), said(d)] for path, (b, d) in sorted(drift.items())]
    return sha256(json.dumps([application, environment, entries, number]).encode()).hexdigest()


def _message(site: Site, said: Proposal, trailer: str) -> str:
    """Names the hotfixes and credits their authors. What people wrote stays out of the last paragraph: that is ours."""
    parts = [f"{said.application}: what only {said.environment} has", in_one_line(said.reason)]
    lines = [f"  {short(h.commit.oid)} {in_one_line(h.commit.subject)} ({h.commit.author.name})" for h in said.hotfixes]
    parts += ["\n".join(_some(lines)), *left_for_people(said.marked, said.undecided or {})]
    trailers = [f"Promotion-Application: {said.application}", trailer]
    trailers += [f"Co-authored-by: {person.name} <{person.email}>" for person in _authors(site, said.hotfixes)]
    return "\n\n".join([*filter(None, parts), "\n".join(trailers)])


def _authors(site: Site, found: Iterable[Hotfix]) -> list[Person]:
    """The authors of hotfixes, and of what people merged on the branch; each address once."""
    people: dict[str, Person] = {}
    for hotfix in found:
        commits = [hotfix.commit]
        if len(hotfix.commit.parents) > 1:
            commits += site.repository.history.between(hotfix.commit.parents[0], hotfix.commit.oid, hotfix.paths)
        for person in (commit.author for commit in commits):
            name, email = (re.sub(r"[\x00-\x1f\x7f<>]", "", text).strip() for text in (person.name, person.email))
            if email:
                people.setdefault(email.casefold(), Person(name or email, email))
    return list(people.values())


# --- what proposals have in common -----------------------------------------------------------------------------------


def sketch(site: Site, target: str, table: merge.Table, names: tuple[str, str]) -> Sketch:
    """A tree with what the table brings, and with markers where files conflict; other conflicts stay as the target has them."""
    objects = site.repository.objects
    markable = merge.markable(table, Entry(0o100644, objects.write_blob(b"")))
    files = site.repository.mark_conflicts(list(markable.values()), names) if markable else []
    marked = {path: entry for path, entry in zip(markable, files, strict=True) if entry is not None}
    conflicts = merge.conflicts(table)
    gains = {path: entry for path, entry in merge.gains(table).items() if path not in conflicts}
    undecided = {
        path: f"{names[0]} has {kind(row.d)}, {names[1]} has {kind(row.s)}"
        for path, row in conflicts.items()
        if path not in marked
    }
    return Sketch(objects.write_tree(target, {**gains, **marked}), tuple(gains), tuple(marked), undecided)


def kind(entry: Entry | None) -> str:
    """What an entry is, for people."""
    return KINDS.get(entry.mode, "something") if entry else "nothing"


def left_for_people(marked: Sequence[bytes], undecided: Mapping[bytes, str]) -> list[str]:
    """Paragraphs of a message that say what is left to decide."""
    parts = []
    if marked:
        parts.append("These files hold conflict markers:\n" + "\n".join(_some([f"  {shown(p)}" for p in marked])))
    if undecided:
        lines = [f"  {shown(path)}: {what}" for path, what in undecided.items()]
        parts.append("These cannot hold markers, and are to be decided:\n" + "\n".join(_some(lines)))
    return parts


def in_one_line(text: str) -> str:
    """What people wrote, without line breaks and control characters."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())[:200]


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - LISTED
    return [in_line(line) for line in lines[:LISTED]] + ([f"  and {more} more"] if more > 0 else [])


def in_line(text: str) -> str:
    """The same for a line that is indented: it must not begin another paragraph."""
    return "  " + in_one_line(text)


def _there(site: Site, branch: str, trailer: str) -> str | None:
    """The tip of a proposal's branch, which must hold our commit; None where there is none yet. Raises ConfigError."""
    ref = f"refs/heads/{branch}"
    tip = site.repository.refresh([ref])[ref]
    if tip is None:
        return None
    for number, commit in enumerate(site.repository.first_parents(tip)):
        if trailer in commit.message.rstrip().rpartition("\n\n")[2].splitlines():
            return tip
        if number == DEPTH:
            break
    hint = f"git push {site.repository.url} :{ref}   deletes it"
    raise ConfigError(f"there is a branch `{branch}` already, and it is no proposal", hint=hint)


def _create(site: Site, branch: str, commit: str, credential: Credential | None) -> bool:
    """Whether the branch is there now and ours (S6): it must not have been there. Raises what the remote's refusal means."""
    ref = f"refs/heads/{branch}"
    said = site.repository.push([Update(ref, None, commit)], credential)
    there = site.repository.refresh([ref])[ref]
    if there is None:
        raise rejected(site, said, credential)
    return there == commit
