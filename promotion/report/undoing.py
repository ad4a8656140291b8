"""What does not hold about one recorded rollback, judged by the state before it; reads Git only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from promotion import restoring, scope
from promotion.events import Event
from promotion.model import Application, Commit, Environment
from promotion.observe import Site
from promotion.state import State
from promotion.texts import short, shown


def problems(
    site: Site, application: Application, environment: Environment, state: State, event: Event
) -> Iterator[str]:
    """Its shape, its content, and that what it restores was a release there; all commits that it names are in the clone.

    `application` and `environment` are as the configuration in force had them, `state` is from before it.
    """
    data, name = event.data, environment.name
    made, by_hand = site.repository.objects.commit(data["commit"]), event.by == "git"
    who = short(made.oid)
    if made.parents[:1] != (data["target"],) or (not by_hand and len(made.parents) != 1):
        yield f"{who} does not have the one parent {short(data['target'])}"
    if made.tree != data["tree"]:
        yield f"{who} does not have the tree that its record names"
    if not by_hand:
        yield from _said(made, event)
        for frozen in (state.frozen, state.of(name).frozen):
            if frozen is not None and frozen.strict and frozen.holds(event.at):
                yield f"{name} was strictly frozen by {frozen.by} when it was rolled back"
    yield from _restored(site, application, environment, state, event)
    wrong = _misplaced(site, application, environment, event, by_hand=by_hand)
    if wrong:
        yield f"{who} does not restore {short(data['restores'])} at {', '.join(shown(path) for path in wrong[:5])}"


def _misplaced(
    site: Site, application: Application, environment: Environment, event: Event, *, by_hand: bool
) -> list[bytes]:
    data, then = event.data, Site(application, site.repository, site.clock, site.by)
    if by_hand:  # people may do with all else what they want
        return sorted(restoring.between(then, environment, data["restores"], data["commit"]))
    return restoring.misplaced(then, application, environment, data["target"], data["restores"], data["tree"])


def _said(made: Commit, event: Event) -> Iterator[str]:
    """What R says of itself."""
    data = event.data
    says = {
        "Plan": data["plan_id"],
        "Application": event.application,
        "Environment": event.environment,
        "Source": data["source"],
        "Restores": data["restores"],
        "Attempt": event.id,
    }
    wrong = [key for key, value in says.items() if made.trailers.get(f"Promotion-{key}") != value]
    if wrong:
        yield f"{short(made.oid)} says another {', '.join(f'Promotion-{key}' for key in wrong)} than its record"


def _restored(
    site: Site, application: Application, environment: Environment, state: State, event: Event
) -> Iterator[str]:
    """That it went back to a release, over all that its record says, and holds the release that it took back."""
    data, e, name = event.data, state.of(environment.name), environment.name
    restores, old = data["restores"], e.releases
    line = site.repository.first_parents(data["target"])
    passed = list(takewhile(lambda commit: commit.oid != restores, line))
    reached = passed[-1].parents[:1] if passed else (data["target"],)
    given = old.get(restores)
    said = site.repository.objects.commit(restores).trailers
    if reached != (restores,) or (given is None and said.get("Promotion-Environment") != name):
        yield f"{short(restores)}, which is restored, was no release of {name}"
        return
    stood_for = given.source if given is not None and given.source else data["source"]
    if stood_for != data["source"]:
        yield f"{short(restores)} stood for {short(stood_for)}, and not for {short(data['source'])}"
    # what was absorbed at a commit of others is known by it, and is nothing of ours that could be taken back
    ours = [c.oid for c in passed if not application.paths or scope.changed(site.repository, application.roots, c)]
    kept = [oid for oid in ours if oid in old and oid not in data["undone"]]
    yield from (f"{short(oid)} was taken back, and its record does not say so" for oid in kept)
    release = e.release.commit if e.release else ""
    plain = release in {c.oid for c in passed} and (g := old.get(release)) is not None and not (g.undone or g.restores)
    held = {h["commit"] for h in data["holds"]}
    if plain and release not in held and restoring.between(site, environment, restores, release):
        yield f"{short(release)} was taken back, and is not held"
