"""From a commit of any environment to the root's commits that it stands for, by following sources; asks nobody."""

from __future__ import annotations

from promotion import lineage
from promotion.lineage import Believed
from promotion.model import Commit, Environment
from promotion.observe import Site
from promotion.state import State


def origin(
    site: Site, state: State, environment: Environment, commit: str, believed: Believed | None = None
) -> str | None:
    """The root's commit that a commit of an environment's branch stands for; None where nobody knows."""
    *_, (name, found) = lineage.upwards(site.repository, site.application, state, environment, commit, believed)
    return found if site.application.environment(name).source is None else None


def origins(site: Site, state: State, environment: Environment, base: str, commit: str) -> list[Commit]:
    """The root's commits, newest first and without merges, that `commit` has and `base` has not; both are of one branch."""
    old, new = (origin(site, state, environment, oid) for oid in (base, commit))
    if new is None or old is None or not (site.repository.find(old) and site.repository.find(new)):
        return []
    return site.repository.history.between(old, new, site.application.roots)
