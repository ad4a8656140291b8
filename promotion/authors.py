"""Who made what a candidate brings: the people of all commits behind it, followed to the root; reads Git, decides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from promotion import confirmed, lineage, scope
from promotion.model import Commit, Environment
from promotion.observe import Site, World
from promotion.said import one_line
from promotion.texts import person, short
from promotion.view import Unknown

_TOGETHER = re.compile(r"^\s*co-authored-by:(.*)", re.IGNORECASE | re.MULTILINE)
_ADDRESS = re.compile(r"<([^<>]*)>")
_EMAIL = re.compile(r"[^\s<>]+@[^\s<>]+")


def of(site: Site, world: World, environment: Environment, base: str, commit: str) -> frozenset[str] | Unknown:
    """The emails, in lower case, of authors, committers and co-authors of what `commit` has and `base` has not.

    Both are commits of the environment's source. Merges that people made count as theirs, promotions are nobody's.
    Unknown where a commit cannot be followed to the root, or gives no address.
    """
    releases = tuple(world.state.of(e.name).release for e in site.application.environments)
    key = ("authors", site.application.name, environment.name, base, commit, releases)
    return scope.remembered(site.repository, key, lambda: _of(site, world, environment, base, commit))


def _of(site: Site, world: World, environment: Environment, base: str, commit: str) -> frozenset[str] | Unknown:
    app, repository = site.application, site.repository
    source = app.environment(environment.source or "")

    def believed(made: Commit) -> bool:
        return bool(confirmed.of(site, world, [made]))

    ways = (lineage.upwards(repository, app, world.state, source, oid, believed) for oid in (base, commit))
    old, new = map(list, ways)
    if broken := _broken(site, old) or _broken(site, new):
        return Unknown(broken)
    made: dict[str, Commit] = {}
    for (_, before), (_, after) in zip(old, new, strict=True):
        made |= {c.oid: c for c in repository.history.between(before, after, app.roots, merges=True)}
    ours = confirmed.of(site, world, made.values())
    return together(each for each in made.values() if each.oid not in ours)


def _broken(site: Site, way: list[tuple[str, str]]) -> str:
    """Why it does not lead to the root; '' when it does, and all of it is there."""
    name, last = way[-1]
    if gone := next((oid for _, oid in way if not site.repository.find(oid)), None):
        return f"{short(gone)} is not in the repository any more"
    ended = site.application.environment(name).source is None
    return "" if ended else f"nobody knows what {short(last)} of {name} stands for"


def together(commits: Iterable[Commit]) -> frozenset[str] | Unknown:
    """The authors, committers and co-authors of all of these; Unknown where one of them gives no address."""
    people = [(made, *each) for made in commits for each in _people(made)]
    for made, role, written, email in people:
        if not _EMAIL.fullmatch(email):
            return Unknown(f"{short(made.oid)} has the {role} `{one_line(written, 80)}`, without an address")
    return frozenset(person(email) for *_, email in people)


def _people(commit: Commit) -> Iterator[tuple[str, str, str]]:
    """Role, as written, and the email of it; '' where there is none."""
    for role, one in (("author", commit.author), ("committer", commit.committer)):
        yield role, f"{one.name} <{one.email}>", one.email.strip()
    for written in _TOGETHER.findall(commit.message):
        yield "co-author", written, ["", *_ADDRESS.findall(written)][-1].strip()
