"""What a way back would give: the line of a branch's releases, the restored tree, and whether a tree is just that.

Reads only; the objects of a rollback are written into the clone, where they mean nothing until somebody pushes them.
"""

from __future__ import annotations

from promotion import confirmed, lineage, merge, rollback, scope
from promotion.errors import RefusedError
from promotion.merge import Entries
from promotion.model import Application, Commit, Entry, Environment
from promotion.observe import Site, World
from promotion.rollback import Back, Rollback, Step
from promotion.state import EnvironmentState, Given
from promotion.texts import short, shown

FAR = 1000
"""How many commits of a branch are looked at for the release that is gone back to."""


def line(site: Site, world: World, environment: Environment, tip: str, to: str | None = None) -> list[Step]:
    """The commits of a branch about the scope, newest first, until all releases and `to` are among them, and at most FAR.

    Ours are those that the ledger tells of: people's commits may have the message of one, copied along.
    """
    repository, app, state = site.repository, site.application, world.state.of(environment.name)
    left, lot = {*state.releases, *([to] if to else [])}, list[Commit]()
    for number, commit in enumerate(repository.first_parents(tip)):
        if number == FAR or not left:
            break
        left.discard(commit.oid)
        if app.paths and not scope.changed(repository, app.roots, commit):
            continue
        lot.append(commit)
    told = confirmed.of(site, world, (c for c in lot if lineage.is_ours(c, app.name, environment.name)))
    return [
        Step(
            commit.oid,
            state.releases.get(commit.oid) or (_said(commit) if commit.oid in told else None),
            commit.oid in told,
            same(site, environment, lot[0].oid, commit.oid),
        )
        for commit in lot
    ]


def _said(commit: Commit) -> Given:
    """What a promotion or a rollback says of itself, where the ledger's state has forgotten it."""
    return Given(commit.trailers.get("Promotion-Source"), restores=commit.trailers.get("Promotion-Restores"))


def same(site: Site, environment: Environment, one: str, two: str) -> bool:
    """Whether two commits have the same content in scope, where nothing is protected."""
    return one == two or not between(site, environment, one, two)


def between(site: Site, environment: Environment, old: str, new: str) -> dict[bytes, Entry | None]:
    """What one commit has otherwise than another, in scope and unprotected: path -> entry, None where it has nothing."""
    objects, kept = site.repository.objects, merge.protected(environment.protect)
    changes = objects.diff(objects.commit(old).tree, objects.commit(new).tree, site.application.roots)
    return {path: entry for path, (_, entry) in changes.items() if not kept(path)}


def prepared(
    site: Site, environment: Environment, state: EnvironmentState, target: str, back: Back, reason: str
) -> Rollback:
    """What is to land on a branch's tip.

    Raises RefusedError where a protected file stands in a restored one's way, and where nobody knows what a release stands for.
    """
    objects, app = site.repository.objects, site.application
    if environment.source is not None and back.source is None:
        hint = f"promotion rollback {environment.name} --to COMMIT"
        raise RefusedError(f"nobody knows what {short(back.restores)} of {environment.name} stands for", hint=hint)
    tree = objects.write_tree(objects.commit(target).tree, between(site, environment, target, back.restores))
    if wrong := misplaced(site, app, environment, target, back.restores, tree):
        paths = ", ".join(shown(path) for path in wrong[:5])
        raise RefusedError(f"{environment.name} keeps what stands in the way of {paths}", where=site.repository.url)
    return made(site, environment, state, target, back, tree, reason)


def made(
    site: Site, environment: Environment, state: EnvironmentState, target: str, back: Back, tree: str, reason: str
) -> Rollback:
    """A rollback to a tree that is there, with what it holds, and the holds that end since their change is there again."""
    objects, app = site.repository.objects, site.application
    changes = {oid: between(site, environment, back.restores, oid) for oid in back.held}
    holds: dict[str, Entries] = {oid: entries for oid, entries in changes.items() if entries}
    lifting = [h for h in state.holds if back.forward and not h.plan_id]  # what was rejected stays so
    there = [h.commit for h in lifting if merge.contains(h.entries, lambda path: objects.look(tree, path))]
    contents = [*(scope.digest(site.repository, app, oid) for oid in (target, back.restores))]
    identity = rollback.plan_id(app, environment, back, [*contents, objects.digest(tree, app.roots)], state.epoch)
    return Rollback(app, environment, target, back, tree, holds, tuple(there), identity, reason)


def misplaced(
    site: Site, application: Application, environment: Environment, target: str, restores: str, tree: str
) -> list[bytes]:
    """Paths at which a tree is not what a rollback makes of D and X: the content of X, and D's where protected or out of scope."""
    objects, inside = site.repository.objects, merge.within(application.roots)
    kept = merge.protected(environment.protect)
    touched = objects.diff(objects.commit(target).tree, tree)
    missed = objects.diff(objects.commit(restores).tree, tree, application.roots)
    foreign = [path for path in touched if kept(path) or not inside(path)]
    return sorted({*foreign, *(path for path in missed if not kept(path))})


def taken_back_by_hand(site: Site, world: World, environment: Environment, head: str) -> tuple[str, Back] | None:
    """A commit that people made on top of the release and that has the content of an older one, and its way back.

    Found out once for each tip: what is known of older releases does not change without another release.
    """
    state = world.state.of(environment.name)
    if state.release is None or state.release.commit == head:
        return None
    key = ("by hand", site.application.name, environment.name, head, state.epoch)
    return scope.remembered(site.repository, key, lambda: _by_hand(site, world, environment, head))


def _by_hand(site: Site, world: World, environment: Environment, head: str) -> tuple[str, Back] | None:
    steps, release = line(site, world, environment, head), world.state.of(environment.name).release
    top = next((n for n, step in enumerate(steps) if release and step.commit == release.commit), None)
    if top is None:
        return None
    known = [step.commit for step in steps[top:] if step.given is not None]
    alike = [{oid for oid in known if same(site, environment, step.commit, oid)} for step in steps[:top]]
    found = rollback.by_hand(steps, steps[top].commit, alike)
    if found is None:
        return None
    made, restored = found
    return steps[made].commit, rollback.back(steps[made + 1 :], restored - made - 1, environment)
