"""What a commit of one environment stands for in the environments that it came from; reads Git and the state, asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from promotion import scope
from promotion.model import Application, Commit, Environment
from promotion.repository import Repository
from promotion.state import State

Believed = Callable[[Commit], bool]
"""Whether a commit that says that it is a promotion is one."""
FAR = 5000
"""How many commits of a branch are looked at for the promotion that a commit came with."""
BELOW = 200
"""How many of those before one that says that it is a promotion: a release there that is known gives it the lie."""


def is_ours(commit: Commit, application: str, environment: str) -> bool:
    """Whether a commit says that it is a promotion into this environment."""
    said = commit.trailers
    ours = (said.get("Promotion-Application"), said.get("Promotion-Environment")) == (application, environment)
    return ours and "Promotion-Plan" in said


def source_of(
    repository: Repository,
    application: Application,
    state: State,
    environment: Environment,
    commit: str,
    believed: Believed | None = None,
) -> str | None:
    """The commit of the source environment that a commit of this environment's branch stands for.

    A commit made by hand stands for what the nearest release before it stands for. None where history was reset away.
    What says that it is a promotion is taken for one, unless `believed` says no, or nobody knows it and a release before it
    is known: who copied its message along has made no promotion, and all newer ones are known, too.
    """
    if not repository.find(commit):
        return None
    known = state.of(environment.name)
    key = ("source", application.name, environment.name, commit, known.release, known.epoch, believed is None)
    return scope.remembered(
        repository, key, lambda: _source_of(repository, application, state, environment, commit, believed)
    )


def _source_of(
    repository: Repository,
    application: Application,
    state: State,
    environment: Environment,
    commit: str,
    believed: Believed | None,
) -> str | None:
    release, releases = state.of(environment.name).release, state.of(environment.name).releases
    claimed, last = None, FAR
    for number, made in enumerate(repository.first_parents(commit)):
        if release is not None and made.oid == release.commit:
            return release.source
        given = releases.get(made.oid)
        if given is not None and given.source and not (claimed and given.undone):
            return given.source
        if claimed is None and is_ours(made, application.name, environment.name) and (not believed or believed(made)):
            claimed, last = made.trailers.get("Promotion-Source"), min(FAR, number + BELOW)
        if number == last or (claimed and believed):
            break
    if claimed:
        return claimed
    # It is older than all that we know: it stands for what it has in common with the source.
    known = release is not None and repository.find(release.source)
    common = repository.merge_bases(commit, release.source) if release and known else []
    return common[0] if len(common) == 1 else None


def upwards(
    repository: Repository,
    application: Application,
    state: State,
    environment: Environment,
    commit: str,
    believed: Believed | None = None,
) -> Iterator[tuple[str, str]]:
    """(environment, commit that this one stands for there): itself, its source, and so on up to the root."""
    found: str | None = commit
    while found is not None:
        yield environment.name, found
        if environment.source is None:
            return
        found = source_of(repository, application, state, environment, found, believed)
        environment = application.environment(environment.source)


def has(
    repository: Repository, application: Application, state: State, environment: Environment, source: str, commit: str
) -> bool:
    """Whether an environment's present release stands for a commit of `source`, or for a descendant of it.

    Both are followed up to the nearest environment that they come from together.
    """
    release = state.of(environment.name).release
    if release is None:
        return False
    theirs = dict(upwards(repository, application, state, environment, release.commit))
    for name, wanted in upwards(repository, application, state, application.environment(source), commit):
        if name in theirs:
            return leads_to(repository, wanted, theirs[name])
    return False


def leads_to(repository: Repository, old: str, new: str | None) -> bool:
    """Whether `new` is `old`, or has it in its history."""
    if new is None or new == old:
        return new == old
    if not (repository.objects.has_commit(old) and repository.objects.has_commit(new)):
        return False  # branches are fetched whole: what is not there is in the history of none
    return scope.remembered(repository, ("leads", old, new), lambda: repository.is_ancestor(old, new))
