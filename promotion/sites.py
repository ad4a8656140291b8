"""Opens what a command or a flow works on: one site for each application that is meant, from a pipeline and an environment of variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from promotion.errors import ConfigError
from promotion.model import Application, Environment, Pipeline
from promotion.observe import Site
from promotion.repository import Git, Repository
from promotion.spelling import nearest
from promotion.wording import line


def utc_now() -> datetime:
    return datetime.now(UTC)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where clones are kept: PROMOTION_CACHE, else `promotion` in the user's cache folder."""
    if chosen := environ.get("PROMOTION_CACHE"):
        return Path(chosen).absolute()
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", ".")) / ".cache"
    return Path(base).absolute() / "promotion"


def open_site(application: Application, environ: Mapping[str, str], clock: Callable[[], datetime] = utc_now) -> Site:
    """The caller closes `site.repository`. Whoever acts is PROMOTION_USER, else Git's author."""
    git = Git(environ, cache_folder(environ))
    return _site(application, environ, git, _repository(application, environ, git), clock)


def _repository(application: Application, environ: Mapping[str, str], git: Git) -> Repository:
    return Repository(application.repository, git, cache_folder(environ), application.credential)


def _site(
    application: Application,
    environ: Mapping[str, str],
    git: Git,
    repository: Repository,
    clock: Callable[[], datetime] = utc_now,
) -> Site:
    return Site(application, repository, clock, _who(environ, git), environ=environ)


def who(environ: Mapping[str, str]) -> str:
    """Whoever acts: PROMOTION_USER, else Git's author. Raises ConfigError for a name that is no plain line."""
    return _who(environ, Git(environ, cache_folder(environ)))


def _who(environ: Mapping[str, str], git: Git) -> str:
    named = line(environ.get("PROMOTION_USER", ""), "a name", "PROMOTION_USER")
    return named or line(git.people[0].email, "a name", "Git's author")


@contextmanager
def open_sites(
    pipeline: Pipeline, environ: Mapping[str, str], only: Callable[[Application], bool] = lambda _: True
) -> Iterator[list[Site]]:
    """Sites of all applications that `only` takes; those of one repository, read with one credential, share it.

    The repositories are closed at the end. One may be closed before, and opens itself again: many at once would be many
    processes.
    """
    git = Git(environ, cache_folder(environ))
    doors: dict[object, Repository] = {}
    with ExitStack() as stack:
        sites = []
        for application in filter(only, pipeline.applications):
            key = (application.repository, application.credential)
            if key not in doors:
                doors[key] = stack.enter_context(_repository(application, environ, git))
            sites.append(_site(application, environ, git, doors[key]))
        yield sites


def by_repository(sites: Iterable[Site]) -> list[list[Site]]:
    """Those that share a repository together, in their order."""
    groups: dict[int, list[Site]] = {}
    for site in sites:
        groups.setdefault(id(site.repository), []).append(site)
    return list(groups.values())


# --- which of them are meant ----------------------------------------------------------------------------------------


def only(pipeline: Pipeline, pattern: str, where: str | None = None) -> Pipeline:
    """The file with the applications that a name or glob means. Raises ConfigError when there is none."""
    chosen = tuple(a for a in pipeline.applications if fnmatchcase(a.name, pattern))
    if not chosen:
        names = [a.name for a in pipeline.applications]
        raise ConfigError(f"no application `{pattern}`{nearest(pattern, names)}", where=where)
    return replace(pipeline, applications=chosen)


def matching(application: Application, patterns: Sequence[str]) -> list[Environment]:
    """The environments that any of these names or globs means; all without patterns."""
    return [
        e for e in application.environments if not patterns or any(fnmatchcase(e.name, pattern) for pattern in patterns)
    ]


def check_names(applications: Iterable[Application], patterns: Sequence[str]) -> None:
    """Raises ConfigError for a name or glob that means no environment of any of these applications."""
    names = list(dict.fromkeys(e.name for a in applications for e in a.environments))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"no environment `{pattern}`{nearest(pattern, names)}")
