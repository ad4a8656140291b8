"""Who made what a candidate brings: the people of all commits behind it, followed to the root; reads Git, decides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from promotion import confirmed, lineage, scope
from promotion.model import Commit, Environment
from promotion.observe import Site, World
from promotion.texts import person

_TOGETHER = re.compile(r"^\s*co-authored-by:(?:.*<([^<>\n]*)>)?", re.IGNORECASE | re.MULTILINE)
_EMAIL = re.compile(r"[^\s<>]+@[^\s<>]+")


def of(site: Site, world: World, environment: Environment, base: str, commit: str) -> frozenset[str] | None:
    """The emails, in lower case, of authors, committers and co-authors of what `commit` has and `base` has not.

    Both are commits of the environment's source. Merges that people made count as theirs, promotions are nobody's. None
    where a commit cannot be followed to the root, or gives no address, so that nobody knows.
    """
    releases = tuple(world.state.of(e.name).release for e in site.application.environments)
    key = ("authors", site.application.name, environment.name, base, commit, releases)
    return scope.remembered(site.repository, key, lambda: _of(site, world, environment, base, commit))


def _of(site: Site, world: World, environment: Environment, base: str, commit: str) -> frozenset[str] | None:
    app, repository = site.application, site.repository
    source = app.environment(environment.source or "")

    def believed(made: Commit) -> bool:
        return bool(confirmed.of(site, world, [made]))

    ways = (lineage.upwards(repository, app, world.state, source, oid, believed) for oid in (base, commit))
    old, new = map(list, ways)
    if not (_is_whole(site, old) and _is_whole(site, new)):
        return None
    made: dict[str, Commit] = {}
    for (_, before), (_, after) in zip(old, new, strict=True):
        made |= {c.oid: c for c in repository.history.between(before, after, app.roots, merges=True)}
    ours = confirmed.of(site, world, made.values())
    return together(each for each in made.values() if each.oid not in ours)


def _is_whole(site: Site, way: list[tuple[str, str]]) -> bool:
    """Whether it leads to the root, and all of it is there."""
    ended = site.application.environment(way[-1][0]).source is None if way else False
    return ended and all(site.repository.find(oid) for _, oid in way)


def together(commits: Iterable[Commit]) -> frozenset[str] | None:
    """The authors, committers and co-authors of all of these; None where one of them gives no address."""
    emails = [email.strip() for each in commits for email in _emails(each)]
    return frozenset(map(person, emails)) if all(map(_EMAIL.fullmatch, emails)) else None


def _emails(commit: Commit) -> tuple[str, ...]:
    """As written; '' for a co-author who is named without any."""
    return (commit.author.email, commit.committer.email, *_TOGETHER.findall(commit.message))
