"""What only one environment's branch has, proposed to the root: nothing of the root is lost, and nobody's decision is made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from promotion import answers, merge, observe
from promotion.config.names import BACKPORT
from promotion.drifting import Hotfix, drifted, hotfixes
from promotion.errors import ConfigError
from promotion.merge import Difference
from promotion.model import Entry, Environment, Person
from promotion.observe import Site, World
from promotion.reconcile.again import until_made
from promotion.reconcile.proposals import Proposal, Sketch, create, in_one_line, left_for_people, sketch, some, there
from promotion.report import assumed, origin
from promotion.report.drift import root_of
from promotion.texts import short
from promotion.view import DEPTH


def backport(site: Site, environment: Environment, *, reason: str = "", dry_run: bool = False) -> Proposal:
    """Proposes to the root what only this environment's branch has, on top of the root's tip; typed again, the same branch.

    Raises ConfigError for a root, and where a branch of that name is none of ours.
    """
    if environment.source is None:
        raise ConfigError(f"{environment.name} is a root: what it has is where changes begin already")

    def attempt() -> Proposal | None:
        world = observe.survey(site)
        answers.check_branch(site, world, environment)
        return _backport(site, world, environment, reason, dry_run=dry_run)

    return until_made(attempt, site.repository.url)


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
        tip = there(site, branch, f"Promotion-Backport: {key}")
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
    landed = create(site, branch, commit, root.credential)
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
    parts += ["\n".join(some(lines)), *left_for_people(said.marked, said.undecided or {})]
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
