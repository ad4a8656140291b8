"""Writes what people say, with what proves who they are: a one-time code is used once, in whatever application of the file.

No push writes two repositories, so a code is claimed first: `identified` takes its step in this ledger, and only who finds
it in no other ledger afterwards goes on. Of two at once the later one sees the claim of the other; both may, never neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from promotion import codes, observe
from promotion.errors import ConfigError, PromotionError, RefusedError, TemporaryError
from promotion.events import Event
from promotion.model import Application, HowWord, Pipeline
from promotion.observe import Site, World
from promotion.reconcile.people import record
from promotion.sites import by_repository, open_sites
from promotion.texts import person

SIDE_BY_SIDE = 8
"""How many repositories are asked at once."""


def written(
    site: Site, make: Callable[[World], Event], who: str, how: HowWord = "claimed", code: str | None = None
) -> Event:
    """Writes the event that `make` makes of the world as it is; with a code only if that is right, and used nowhere yet.

    Raises RefusedError for a code that is wrong or used, also TemporaryError where another application cannot be asked.
    """
    if how != "code":
        return _recorded(site, make)
    step = _step(site, who, code)  # before anything is read: that may take longer than a code counts
    if not (beside := _asking(site.application, who)):
        return _recorded(site, lambda world: _unused(site, world, {}, who, _with(make(world), step)))
    with open_sites(Pipeline(Path(), beside), site.environ) as others:
        return _once(site, make, others, who, step)


def _once(site: Site, make: Callable[[World], Event], others: Sequence[Site], who: str, step: int) -> Event:
    """Claims a code, looks whether anybody else did, and only then says what it is for."""
    used = _used(others, who)

    def claim(world: World) -> Event:
        event = make(world)
        data = {**{k: event.data[k] for k in ("plan_id", "source")}, "step": step}
        return _unused(site, world, used, who, replace(event, event="identified", data=data))

    _recorded(site, claim)
    _check_unused(_used(others, who), who, step)
    return _recorded(site, lambda world: _with(make(world), step))


def _step(site: Site, who: str, code: str | None) -> int:
    """The step that a one-time code belongs to. Raises RefusedError for a wrong one."""
    where = site.application.approvers.get(person(who))
    if where is None:
        raise ConfigError(f"`approvers` names no seed of {who}, so no code of theirs can be told")
    step = codes.step(codes.seed(where, who, site.environ), code or "", site.clock(), who)
    if step is None:
        raise RefusedError(f"this is not the code of {who} at this time: six digits, at most 30 s old")
    return step


def _unused(site: Site, world: World, elsewhere: Mapping[str, int], who: str, event: Event) -> Event:
    """The event, if its code is used nowhere. Raises RefusedError."""
    used = {site.application.name: world.state.codes.get(person(who), -1), **elsewhere}
    _check_unused(used, who, event.data["step"])
    return event


def _check_unused(used: Mapping[str, int], who: str, step: int) -> None:
    """Older codes than one that was used count no more either: a ledger keeps the newest step only."""
    if place := next((name for name, newest in used.items() if step <= newest), None):
        raise RefusedError(f"this code of {who} was used already, for {place}: wait for the next one")


def _asking(application: Application, who: str) -> tuple[Application, ...]:
    """The other applications of the file that ask this person, too."""
    others = (a for a in application.family if (a.repository, a.ledger) != (application.repository, application.ledger))
    return tuple(a for a in others if any(person(who) in (e.approval or {}).get("from", ()) for e in a.environments))


def _used(others: Iterable[Site], who: str) -> dict[str, int]:
    """By application: the newest step of this person that was used there. Raises TemporaryError or RefusedError."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = list(pool.map(lambda sites: _used_in(sites, who), by_repository(others)))
    return {name: step for used in found for name, step in used.items()}


def _used_in(sites: Sequence[Site], who: str) -> dict[str, int]:
    """The same of applications that share a repository: one for each thread."""
    try:
        states = observe.ledgers(sites)
    except PromotionError as exc:
        names = ", ".join(site.application.name for site in sites)
        kind = TemporaryError if isinstance(exc, TemporaryError) else RefusedError
        what = f"whether this code of {who} was used for {names} cannot be known"
        raise kind(f"{what}: {exc}", hint=exc.hint or "try again, with the next code") from exc
    finally:
        sites[0].repository.close()  # many repositories would keep many processes
    return {site.application.name: state.codes.get(person(who), -1) for site, state in zip(sites, states, strict=True)}


def _with(event: Event, step: int) -> Event:
    return replace(event, data={**event.data, "step": step})


def _recorded(site: Site, make: Callable[[World], Event]) -> Event:
    made = record(site, make)
    assert made is not None
    return made
