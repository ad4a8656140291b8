"""From a commit of any environment to the root's commits that it stands for, by following sources; asks nobody."""

from __future__ import annotations

from promotion.model import Commit, Environment
from promotion.observe import Site
from promotion.plan import DEPTH
from promotion.state import State


def origin(site: Site, state: State, environment: Environment, commit: str) -> str | None:
    """The root's commit that a commit of an environment's branch stands for; None where nobody knows."""
    stands_for: str | None = commit
    while environment.source is not None and stands_for is not None:
        stands_for = source_of(site, state, environment, stands_for)
        environment = site.application.environment(environment.source)
    return stands_for


def source_of(site: Site, state: State, environment: Environment, commit: str) -> str | None:
    """The commit of the source environment that a commit of this environment's branch stands for.

    A commit made by hand stands for what the nearest release before it stands for. None where history was reset away.
    """
    if not site.repository.find(commit):
        return None
    release = state.of(environment.name).release
    for number, made in enumerate(site.repository.first_parents(commit)):
        if release is not None and made.oid == release.commit:
            return release.source
        if is_ours(made, site.application.name, environment.name):
            return made.trailers.get("Promotion-Source")
        if number == DEPTH:
            break
    # It is older than all that we know: it stands for what it has in common with the source.
    known = release is not None and site.repository.find(release.source)
    common = site.repository.merge_bases(commit, release.source) if release and known else []
    return common[0] if len(common) == 1 else None


def is_ours(commit: Commit, application: str, environment: str) -> bool:
    """Whether a commit says that it is a promotion into this environment."""
    said = commit.trailers
    ours = (said.get("Promotion-Application"), said.get("Promotion-Environment")) == (application, environment)
    return ours and "Promotion-Plan" in said


def origins(site: Site, state: State, environment: Environment, base: str, commit: str) -> list[Commit]:
    """The root's commits, newest first and without merges, that `commit` has and `base` has not; both are of one branch."""
    old, new = (origin(site, state, environment, oid) for oid in (base, commit))
    if new is None or old is None or not (site.repository.find(old) and site.repository.find(new)):
        return []
    return site.repository.between(old, new)
