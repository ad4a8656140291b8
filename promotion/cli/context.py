"""What one call of the command line works with: its options, the file, and the applications and environments it means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from promotion import config, observe
from promotion.errors import ConfigError, PromotionError
from promotion.model import Application, Environment, Pipeline
from promotion.observe import Site
from promotion.repository.signing import TO_SIGN
from promotion.sites import cache_folder, check_names, matching, only, open_sites
from promotion.texts import duration

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """The global options, and the environment of variables."""

    config: Path
    application: str | None
    """A glob; None means all."""
    json: bool
    quiet: bool
    verbose: bool
    environ: Mapping[str, str]


def call_of(context: typer.Context) -> Call:
    call = context.obj
    assert isinstance(call, Call)
    return call


def pipeline_of(call: Call, *, anew: bool = False) -> Pipeline:
    """The file, with only the applications that `-a` names; with `anew` nothing that was found before is believed.

    Raises ConfigError.
    """
    pipeline = config.load(call.config, None if anew else cache_folder(call.environ))
    return pipeline if call.application is None else only(pipeline, call.application, "-a")


@contextmanager
def sites_of(
    call: Call, patterns: Sequence[str] = (), *, sign: bool = False
) -> Iterator[list[tuple[Site, list[Environment]]]]:
    """The chosen applications that have any of the named environments, opened, each with those.

    Raises ConfigError, with `sign` also where there is no key to sign with.
    """
    pipeline = pipeline_of(call)
    check_names(pipeline.applications, patterns)
    with open_sites(pipeline, call.environ, lambda a: bool(matching(a, patterns))) as sites:
        _can_sign(sites if sign else ())
        yield [(site, matching(site.application, patterns)) for site in sites]


def each(
    found: Sequence[tuple[Site, list[Environment]]], ask: Callable[[Site, list[Environment]], T], *, strict: bool = True
) -> tuple[list[T], list[PromotionError]]:
    """Asks every application in turn. One that fails does not stop the others; with `strict` an only one's error is raised."""
    answers: list[T] = []
    errors: list[PromotionError] = []
    last = {id(site.repository): site for site, _ in found}
    for site, environments in found:
        try:
            answers.append(ask(site, environments))
        except PromotionError as exc:
            if strict and len(found) == 1:
                raise
            errors.append(exc)
        finally:
            if last[id(site.repository)] is site:
                site.repository.close()  # many repositories would keep many processes
    return answers, errors


def named(pipeline: Pipeline, name: str) -> tuple[Application, Environment]:
    """The one environment of the one application that is meant. Raises ConfigError when there are several."""
    check_names(pipeline.applications, [name])
    found = [(a, e) for a in pipeline.applications for e in matching(a, [name])]
    names = list(dict.fromkeys(a.name for a, _ in found))
    if len(names) > 1:
        hint = f"promotion -a {names[0]} ..."
        raise ConfigError(f"which application? ({', '.join(names)})", where=name, hint=hint)
    if len(found) > 1:
        several = ", ".join(e.name for _, e in found)
        raise ConfigError(f"`{name}` means several environments, and this is about one ({several})")
    return found[0]


@contextmanager
def place_of(call: Call, name: str, *, sign: bool = False) -> Iterator[tuple[Site, Environment]]:
    """The one environment of the one application that is meant, opened.

    Raises ConfigError when there are several, with `sign` also where there is no key to sign with.
    """
    pipeline = pipeline_of(call)
    application, environment = named(pipeline, name)
    with open_sites(pipeline, call.environ, lambda a: a.name == application.name) as (site,):
        _can_sign([site] if sign else ())
        yield site, environment


def _can_sign(sites: Iterable[Site]) -> None:
    for site in sites:
        if site.repository.signatures.key is None:
            raise ConfigError("there is no key to sign with", where="--sign", hint=TO_SIGN)


def commit_of(site: Site, prefix: str) -> str:
    """The full id of what a person wrote; the remote's commits are fetched first. Raises ConfigError."""
    observe.survey(site)
    return site.repository.resolve(prefix)


def span_of(text: str | None, option: str, least: timedelta = timedelta(0)) -> timedelta | None:
    """A duration as a person wrote it. Raises ConfigError."""
    if text is None:
        return None
    try:
        found = duration(text)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(str(exc), where=option) from exc
    if found < least:
        raise ConfigError(f"{text} is too short: {least.total_seconds():g}s at least", where=option)
    return found


# --- arguments that several verbs have -----------------------------------------------------------------------------


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """Names of environments in the file, for the shell."""
    path = (context.parent.params if context.parent else {}).get("config") or "environments.yaml"
    try:
        applications = config.load(Path(path), cache_folder(os.environ)).applications
    except (ConfigError, OSError):
        return []
    names = dict.fromkeys(e.name for a in applications for e in a.environments)
    return [name for name in names if name.startswith(incomplete)]


One = Annotated[
    str, typer.Argument(metavar="ENV", help="An environment of the file.", autocompletion=_complete, show_default=False)
]
Some = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ENV]...", help="Environments, or globs; all without.", autocompletion=_complete, show_default=False
    ),
]
Remote = Annotated[
    bool, typer.Option("--remote", help="Not here, but as a run of the Prefect deployment: needs PREFECT_API_URL only.")
]
