"""Reads the world: branches, ledger, engines and health checks; decides nothing and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from promotion import continuity, lineage, scope, trust
from promotion.checks import CHECKS
from promotion.engines import ENGINES
from promotion.errors import ConfigError, PromotionError, RefusedError, TemporaryError
from promotion.model import Application, Environment, Health, Observation, Reading, Subject, Verdict
from promotion.repository import Repository, Snapshot
from promotion.spelling import nearest
from promotion.state import Observed, State
from promotion.texts import short, span
from promotion.trust import Standing

# The worst answer wins; what is plainly bad is said before what is not known.
_WORST = (Health.DEGRADED, Health.MISSING, Health.UNKNOWN, Health.PROGRESSING, Health.SUSPENDED, Health.HEALTHY)


@dataclass(frozen=True, slots=True)
class Late:
    """A branch's tip that could not be deployed, so many times, the last time at `at`; not tried again before `until`."""

    revision: str
    times: int
    at: datetime
    until: datetime
    reason: str


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
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables in which secrets may be found."""


@dataclass(frozen=True, slots=True)
class World:
    """What was read at one moment. `unread` says why an environment could not be observed, `missing` that it has no branch."""

    snapshot: Snapshot
    ledger: str | None
    state: State
    observations: Mapping[str, Observation] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
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
    return world(site, look([site]), any_configuration=any_configuration, partly=partly, any_history=any_history)


def look(sites: Sequence[Site]) -> Snapshot:
    """The tips of all branches and ledgers of applications that share a repository, asked for once."""
    refs = dict.fromkeys(e.ref for site in sites for e in site.application.environments)
    return sites[0].repository.refresh(list(refs), [site.application.ledger for site in sites])


def looking(sites: Sequence[Site]) -> Callable[[Site], Snapshot]:
    """Asks each repository once for all of its applications, when the first of them is wanted."""
    found: dict[int, Snapshot] = {}

    def one(site: Site) -> Snapshot:
        key = id(site.repository)
        if key not in found:
            found[key] = look([s for s in sites if s.repository is site.repository])
        return found[key]

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
    return [f"{sign} {path}: {json.dumps(value)}" for sign, value in (("-", old), ("+", new)) if value is not None]


def head(site: Site, world: World, environment: Environment) -> str:
    """The newest commit of a branch that changed the scope: what the environment has of this application."""
    return scope.newest(site.repository, site.application, world.tip(environment))


# --- engines and checks --------------------------------------------------------------------------------------------


def watch(site: Site, world: World, environments: Sequence[Environment]) -> World:
    """Observes these environments side by side. One that cannot be reached is in `unread` and gets no observation."""
    return watch_all([(site, world, environments)])[0]


def watch_all(asked: Sequence[tuple[Site, World, Sequence[Environment]]]) -> list[World]:
    """The same for several applications, all side by side.

    Others may share a branch: what is observed is the newest commit at or before the deployed one that changed the scope.
    """
    questions = [(n, e) for n, (_, _, environments) in enumerate(asked) for e in environments]
    worlds = [world for _, world, _ in asked]
    heads = {(n, e.name): head(asked[n][0], worlds[n], e) for n, e in questions}

    def one(question: tuple[int, Environment]) -> Observation | str:
        number, environment = question
        try:
            return observe(asked[number][0], environment, heads[number, environment.name])
        except PromotionError as exc:
            return f"{environment.name} could not be read: {exc}"

    with ThreadPoolExecutor(max_workers=8) as pool:
        for (number, environment), seen in zip(questions, pool.map(one, questions), strict=True):
            before, name = worlds[number], environment.name
            if isinstance(seen, Observation):
                worlds[number] = _with(asked[number][0], before, environment, heads[number, name], seen)
            else:
                worlds[number] = replace(before, unread={**before.unread, name: seen})
    return worlds


def _with(site: Site, world: World, environment: Environment, head: str, seen: Observation) -> World:
    """A world with one more observation."""
    if seen.revision:
        revision = scope.newest(site.repository, site.application, seen.revision)
        astray = _astray(site, world, environment, head, revision)
        seen = replace(seen, revision=revision, reasons=(*seen.reasons, *astray))
    return replace(world, observations={**world.observations, environment.name: seen})


def _astray(site: Site, world: World, environment: Environment, head: str, revision: str) -> tuple[str, ...]:
    """What is to be said where another commit runs than the branch's, and not because the branch's is new."""
    if revision == head:
        return ()
    if ran_before(world, environment, head, revision):
        return (_in_its_place(environment, head, revision),)
    if lineage.leads_to(site.repository, revision, head):
        return ()
    return (
        f"runs {short(revision)}, which is not on {environment.branch}: deployed by hand, or the branch was rewound?",
    )


def ran_before(world: World, environment: Environment, head: str, revision: str) -> bool:
    """Whether a branch's head was deployed before this other revision, as far as the ledger knows."""
    state = world.state.of(environment.name)
    said = state.observed.reasons if state.observed else ()  # facts are forgotten, the last reading is not
    return head in state.facts or _in_its_place(environment, head, revision) in said


def _in_its_place(environment: Environment, head: str, revision: str) -> str:
    return f"runs {short(revision)}, which is not {environment.branch}'s {short(head)}: deployed by hand?"


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


def observe(site: Site, environment: Environment, head: str) -> Observation:
    """One reading of the engine and of all health checks, which are about the revision that it names.

    Raises TemporaryError when the engine cannot be reached, and when what it answers is gone before the answers are in.
    """
    engine, settings = ENGINES[environment.engine.type], environment.engine.settings
    expected = subject(site, environment, head)
    deployed = engine.observe(settings, expected)
    readings = [deployed.reading] if deployed.reading else []
    if deployed.revision is None:  # whatever is said of it, it is not healthy
        bad = [reading for reading in readings if reading.health is not Health.HEALTHY]
        readings = bad or [Reading(Health.MISSING, "nothing is deployed")]
    elif environment.engine_says:
        readings = readings or [Reading(Health.UNKNOWN, "health: engine, and the engine says nothing about health")]
    elif not environment.health:
        readings.append(Reading(Health.UNKNOWN, "health: none, so nothing says that it is healthy"))
    else:
        asked = replace(expected, revision=deployed.revision)
        readings += [CHECKS[check.type](check.settings, asked) for check in environment.health]
        again = engine.observe(settings, expected)
        if again.revision != deployed.revision:  # S2: what was asked is gone already
            raise TemporaryError("the deployed revision changed while it was read")
        readings += [again.reading] if again.reading else []
    health = min((r.health for r in readings), key=_WORST.index)
    reasons = tuple(dict.fromkeys(r.reason for r in readings if r.health is health))
    return Observation(deployed.revision, health, reasons, site.clock(), deployed.records)


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
