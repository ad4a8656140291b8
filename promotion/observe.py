"""Reads Git: branches and the ledger's state, and says what a reading of the world counts for; writes nothing, asks no engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from promotion import continuity, scope, trust
from promotion.errors import ConfigError, PromotionError, RefusedError, TornError
from promotion.model import Application, Environment, Health, Observation, Subject, Verdict
from promotion.repository import Repository, Snapshot
from promotion.spelling import nearest
from promotion.state import Observed, State
from promotion.texts import span
from promotion.trust import Standing

READINGS = 3
"""How often a repository is read that moves while it is."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Late:
    """A branch's tip that could not be deployed, so many times, the last time at `at`; not tried again before `until`.

    0 times: nothing is wrong with it, it waits for something.
    """

    revision: str
    times: int
    at: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Hint:
    """An engine was asked so many times to look at Git for a branch's tip; not asked again before `until`."""

    revision: str
    times: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Site:
    """One application with the door to its repository, a clock, and whoever acts."""

    application: Application
    repository: Repository
    clock: Callable[[], datetime]
    by: str
    probed: dict[tuple[str, str, int], tuple[datetime, Verdict]] = field(default_factory=dict)
    """Recent answers of probes: (environment, commit, number of the gate)."""
    late: dict[str, Late] = field(default_factory=dict)
    """By environment: what the sync loops of this process could not deploy."""
    hinted: dict[str, Hint] = field(default_factory=dict)
    """By environment: what its engine was asked to look for by this process."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables in which secrets may be found."""


@dataclass(frozen=True, slots=True)
class World:
    """What was read at one moment. `unread` says why an environment could not be observed, `missing` that it has no branch."""

    snapshot: Snapshot
    ledger: str | None
    state: State
    observations: Mapping[str, Observation] = field(default_factory=dict)
    unread: Mapping[str, PromotionError] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    ahead: Mapping[str, str] = field(default_factory=dict)
    """By ref: tips that are about to be pushed, and are decided on as if they were there."""
    ignored: Mapping[str, str] = field(default_factory=dict)
    """The newest records of the ledger that change nothing, with why."""

    def tip(self, environment: Environment) -> str:
        """Raises ConfigError when the environment has no branch."""
        tip = self.ahead.get(environment.ref) or self.snapshot[environment.ref]
        if tip is None:
            raise ConfigError(self.missing[environment.name])
        return tip

    def moved(self, environment: Environment, tip: str) -> World:
        """This world with another tip of one branch: one that is about to be pushed."""
        return replace(self, ahead={environment.ref: tip})


def survey(site: Site, *, any_configuration: bool = False, partly: bool = False, any_history: bool = False) -> World:
    """The remote's branches and the ledger's state.

    Raises ConfigError for a file that decides differently from the configuration in force, and for a missing branch.
    With `partly` that is only said in `missing`, as long as there is anything to look at. Raises RefusedError for a ledger
    that is none of this application's, with `any_history` only for what cannot be read.
    """
    return worlds([site], any_configuration=any_configuration, partly=partly, any_history=any_history)[0]


def worlds(sites: Sequence[Site], **how: bool) -> list[World]:
    """What one look at a repository says of applications that share it. `how` and what is raised are those of `survey`.

    Looks again where refs that move together were read in between.
    """

    def read() -> list[World]:
        snapshot = look(sites)
        return [world(site, snapshot, **how) for site in sites]

    return _whole(read)


def ledgers(sites: Sequence[Site]) -> list[State]:
    """What the ledgers say of applications that share a repository, whatever the configuration in force; raises what `survey` does.

    Branches are looked at only where this clone has not read all of these ledgers before: then they are the witnesses.
    """

    def read() -> list[State]:
        snapshot = sites[0].repository.refresh([], [site.application.ledger for site in sites])
        if not all(continuity.knows(site.repository, site.application) for site in sites):
            snapshot = look(sites)
            return [world(site, snapshot, any_configuration=True, partly=True).state for site in sites]
        return [_standing(site, snapshot, any_history=False).state for site in sites]

    return _whole(read)


def _whole(read: Callable[[], T]) -> T:
    """What a reading gives that nothing moved in. Raises TornError where there is none."""
    for _ in range(READINGS - 1):
        with suppress(TornError):
            return read()
    return read()


def look(sites: Sequence[Site]) -> Snapshot:
    """The tips of all branches and ledgers of applications that share a repository, asked for once."""
    refs = dict.fromkeys(e.ref for site in sites for e in site.application.environments)
    return sites[0].repository.refresh(list(refs), [site.application.ledger for site in sites])


def looking(sites: Sequence[Site]) -> Callable[[Site], Snapshot]:
    """Asks each repository once for all of its applications, when the first of them is wanted; one that is away is so for all."""
    found: dict[int, Snapshot | PromotionError] = {}

    def one(site: Site) -> Snapshot:
        key = id(site.repository)
        if key not in found:
            try:
                found[key] = look([s for s in sites if s.repository is site.repository])
            except PromotionError as exc:
                found[key] = exc
        if isinstance(said := found[key], PromotionError):
            raise said
        return said

    return one


def world(
    site: Site,
    snapshot: Snapshot,
    *,
    any_configuration: bool = False,
    partly: bool = False,
    any_history: bool = False,
) -> World:
    """What a snapshot says of one application. Raises what `survey` does."""
    app = site.application
    gone = {e.name: _no_branch(site, e) for e in app.environments if snapshot[e.ref] is None}
    if gone and not (partly and snapshot.tips):
        raise next(iter(gone.values()))
    standing = _standing(site, snapshot, any_history=any_history)
    if not any_configuration:
        check_configuration(app, standing.state)
    said = {name: str(exc) for name, exc in gone.items()}
    return World(snapshot, snapshot[app.ledger], standing.state, missing=said, ignored=standing.ignored)


def _no_branch(site: Site, environment: Environment) -> ConfigError:
    branches = sorted(site.repository.branches())
    if not branches:
        return ConfigError("the repository is empty: push the environments' branches first", where=site.repository.url)
    message = f"{environment.name} has no branch `{environment.branch}`{nearest(environment.branch, branches, 8)}"
    return ConfigError(message, where=site.repository.url)


def _standing(site: Site, snapshot: Snapshot, *, any_history: bool) -> Standing:
    """What the ledger comes to, if it is the one that there was; with `any_history` as far as it can be read."""
    app, repository, tip = site.application, site.repository, snapshot[site.application.ledger]
    if any_history:
        try:
            return trust.read(repository, app, tip)
        except RefusedError:
            return Standing(State(app.name), None)
    continuity.check(repository, app, snapshot)
    standing = trust.read(repository, app, tip)
    check_begun(app, tip, standing)
    continuity.keep(repository, app, standing.sound)
    return standing


def check_begun(application: Application, tip: str | None, standing: Standing) -> None:
    """Raises RefusedError for a ledger in which nothing counts, though it was kept by others who sign."""
    if tip is not None and standing.sound is None and standing.state.in_force is None:
        raise RefusedError(
            "no record of its ledger is signed by an orchestrator that this file trusts",
            where=application.name,
            hint="keep the old keys in allowed_signers, with valid-before, until a new one has signed",
        )


def check_configuration(application: Application, state: State) -> None:
    """Raises ConfigError when this file decides differently from the configuration in force (S14)."""
    if state.in_force is None or state.in_force == application.in_force:
        return
    lines = [f"  {line}" for line in differences(state.in_force, application.in_force)]
    raise ConfigError(
        f"{application.name}: this file decides differently from the configuration in force (- in force, + this file):\n"
        + "\n".join(lines[:40]),
        hint="promotion configure --reason R   makes this file the one in force",
    )


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """What differs between two JSON documents, a line a value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    if old == new:
        return []
    return [
        f"{sign} {path}: {json.dumps(value, sort_keys=True)}"
        for sign, value in (("-", old), ("+", new))
        if value is not None
    ]


def head(site: Site, world: World, environment: Environment) -> str:
    """The newest commit of a branch that changed the scope: what the environment has of this application."""
    return scope.newest(site.repository, site.application, world.tip(environment))


# --- readings ------------------------------------------------------------------------------------------------------


def carried(world: World, fresh: World, recorded: State) -> World:
    """`fresh` with the readings of `world`, which were made when the ledger said `recorded`.

    Where somebody recorded another reading since, ours may be the older one: it is no news, unless it is a later bad one.
    """

    def counts(name: str, seen: Observation) -> bool:
        now = fresh.state.of(name).deciding().observed
        said = fresh.state.of(name).observed
        same = now == recorded.of(name).deciding().observed
        return same or said is None or (seen.health is not Health.HEALTHY and seen.at > said.at)

    readings = {name: seen for name, seen in world.observations.items() if counts(name, seen)}
    return replace(fresh, observations=readings, unread=world.unread)


def subject(site: Site, environment: Environment, revision: str | None) -> Subject:
    """What engines, checks and gates are asked about."""
    app = site.application
    return Subject(app.name, environment.name, revision, app.repository, environment.branch, site.environ)


def settle(seen: Observation, last: Observed | None, dwell: timedelta) -> tuple[Observation, datetime | None]:
    """What is recorded: healthy only after `dwell` of nothing but healthy readings; and since when they are."""
    if seen.health is not Health.HEALTHY or not dwell:
        return seen, None
    same = last is not None and last.revision == seen.revision
    if same and last is not None and last.health is Health.HEALTHY:
        return seen, None
    since = last.well_since if same and last is not None and last.well_since else seen.at
    if seen.at - since >= dwell:
        return seen, None
    reason = f"every check is healthy for {span(seen.at - since)} of {span(dwell)}"
    return replace(seen, health=Health.PROGRESSING, reasons=(reason,)), since
