"""Opens what a command or a flow works on: one site for each application, from a pipeline and an environment of variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from promotion.model import Application, Pipeline
from promotion.observe import Site
from promotion.repository import Git, Repository


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
    return _site(application, environ, Git(environ, cache_folder(environ)), clock)


def _site(application: Application, environ: Mapping[str, str], git: Git, clock: Callable[[], datetime]) -> Site:
    by = environ.get("PROMOTION_USER") or git.people[0].email
    return Site(
        application, Repository(application.repository, git, cache_folder(environ), application.credential), clock, by
    )


@contextmanager
def open_sites(
    pipeline: Pipeline, environ: Mapping[str, str], only: Callable[[Application], bool] = lambda _: True
) -> Iterator[list[Site]]:
    """Sites of all applications that `only` takes; their repositories are closed at the end.

    A repository may be closed before, and opens itself again: many at once would be many processes.
    """
    git = Git(environ, cache_folder(environ))
    with ExitStack() as stack:
        sites = [_site(a, environ, git, utc_now) for a in pipeline.applications if only(a)]
        for site in sites:
            stack.enter_context(site.repository)
        yield sites
