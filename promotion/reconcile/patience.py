"""A hop that is waited for, first for its gates and then for its verification; says what it waits for and never sleeps itself."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from promotion.errors import ContendedError, TemporaryError
from promotion.model import Environment
from promotion.observe import Site, World
from promotion.reconcile.hop import Result, promote
from promotion.reconcile.rounds import watch_only
from promotion.state import Verification
from promotion.texts import short

PENDING = 3
"""The exit status of what still waits: for a gate, or for its verification."""
FAILED = 6

Steps = Generator[str, None, Result]
"""What is waited for, each time before it is looked at again; the caller sleeps in between."""


def patiently(site: Site, target: Environment, over: Callable[[], bool], **options: Any) -> Steps:
    """Tries until it lands and is verified, is refused, or `over` says that time is. `options` are those of `promote`."""
    while True:
        try:
            result = promote(site, target, **options)
        except TemporaryError as exc:
            if over():
                raise
            yield str(exc)
        else:
            if result.outcome != "waiting":
                return (yield from verified(site, target, result, over))
            yield f"{target.name} waits: {result.reason}"
            if over():
                return result


def contended(site: Site, target: Environment, error: ContendedError) -> Result:
    """The outcome of a hop for which somebody else was faster each time."""
    names = (site.application.name, target.name)
    return Result("contended", *names, error.message, status=error.exit_status, hint="try again")


def verified(site: Site, target: Environment, result: Result, over: Callable[[], bool]) -> Steps:
    """Watches what landed, now or shortly before, until its verification is over or time is."""
    if result.outcome not in ("promoted", "rolled-back", "nothing"):
        return result
    ours = result.commit is not None
    while True:
        try:
            world = watch_only(site, [target.name])
        except TemporaryError as exc:
            news = str(exc)
        else:
            watched = world.state.of(target.name).verification
            if watched is None or (result.commit and watched.commit != result.commit):
                return result  # somebody promoted again meanwhile
            if watched.state != "pending":
                return _ended(result, watched, world, target) if ours else result
            ours = True
            news = f"{short(watched.commit)} in {target.name}: {_seen(world, target)}"
        if over():
            return replace(result, verification="pending", status=PENDING)
        yield news


def _ended(result: Result, watched: Verification, world: World, target: Environment) -> Result:
    status = 0 if watched.state == "verified" else FAILED
    reason = result.reason if not status else f"{short(watched.commit)} {_seen(world, target)}"
    return replace(result, verification=watched.state, status=status, reason=reason)


def _seen(world: World, target: Environment) -> str:
    seen = world.state.of(target.name).observed
    if seen is None:
        return str(world.unread.get(target.name, "not observed yet"))
    why = f": {'; '.join(seen.reasons)}" if seen.health != "healthy" else ""
    return f"{short(seen.revision)} is {seen.health}{why}"
