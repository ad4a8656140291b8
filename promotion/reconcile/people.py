"""What people decide: the configuration in force, baselines, holds, freezes. Events, written until they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from promotion import answers, continuity, observe
from promotion.errors import ConfigError
from promotion.events import Event
from promotion.model import Environment
from promotion.observe import Site, World
from promotion.reconcile.again import until_made
from promotion.reconcile.draft import Draft, event_for, hold_of
from promotion.reconcile.write import write
from promotion.state import Hold
from promotion.texts import iso, short


def configure(site: Site, reason: str, *, accept_loss: bool = False) -> list[str]:
    """Makes this file the configuration in force; returns what differs from the one before (nothing: it was already).

    With `accept_loss` a ledger that was rewound, deleted or replaced is gone on from as it is, and what is lost is recorded.
    """
    app = site.application
    differences: list[str] = []

    def event(world: World) -> Event | None:
        nonlocal differences
        gone = continuity.lost(site.repository, app, world.snapshot, by_all=True) if accept_loss else []
        said = [f"lost: {continuity.said(app, world.snapshot, loss)}" for loss in gone]
        differences = [*said, *observe.differences(world.state.in_force or {}, app.in_force)]
        data: dict[str, Any] = {"in_force": app.in_force, "reason": reason}
        data |= {"lost": [loss.record for loss in gone]} if gone else {}
        return Event("configured", app.name, None, site.clock(), site.by, data) if differences else None

    record(site, event, any_configuration=True, any_history=accept_loss)
    return differences


def adopt(site: Site, environment: Environment, source: str | None) -> Event:
    """Records the branch as it is as the release that stands for `source` (else: for the one merge base).

    Raises ConfigError for a root, for a commit that is not on the source's branch, and without `source` where promotions
    leave no common history: their merge base is from before them all.
    """
    if environment.source is None:
        raise ConfigError(f"{environment.name} takes commits from nobody, so there is nothing that it stands for")
    origin = site.application.environment(environment.source)

    def event(world: World) -> Event:
        recorded = world.state.of(environment.name).release
        if source is None and recorded is not None and not site.application.merges(environment):
            what = f"{environment.branch} has no merges of {origin.branch} that would tell what it stands for"
            raise ConfigError(what, hint=f"promotion adopt {environment.name} --source COMMIT")
        stands_for = source or answers.first_base(site, world, environment)
        if stands_for not in (c.oid for c in site.repository.first_parents(world.tip(origin))):
            raise ConfigError(f"{short(stands_for)} is not on {origin.branch}, the branch of {origin.name}")
        return event_for(
            site, "adopted", environment, {"commit": observe.head(site, world, environment), "source": stands_for}
        )

    written = record(site, event)
    assert written is not None
    return written


def hold(site: Site, environment: Environment, commit: str, reason: str) -> Event:
    """Refuses a change for an environment until it is fixed or lifted. `commit` is a full id."""
    written = record(site, lambda _: event_for(site, "held", environment, hold_of(site, environment, commit, reason)))
    assert written is not None
    return written


def lift(site: Site, environment: Environment, prefix: str) -> Event:
    """Lifts the hold of the commit that `prefix` names, as held or as the source it came from. Raises ConfigError."""

    def event(world: World) -> Event:
        found = {h.commit: h for h in world.state.of(environment.name).holds if _names(site, h, prefix)}
        if len(found) != 1:
            held = ", ".join(short(h.commit) for h in world.state.of(environment.name).holds) or "nothing"
            what = "names several holds" if found else "is not held"
            raise ConfigError(f"{prefix} {what} for {environment.name} (held: {held})")
        return event_for(site, "lifted", environment, {"commit": next(iter(found))})

    written = record(site, event)
    assert written is not None
    return written


def _names(site: Site, hold: Hold, prefix: str) -> bool:
    if hold.commit.startswith(prefix) or not site.repository.find(hold.commit):
        return hold.commit.startswith(prefix)
    return site.repository.objects.commit(hold.commit).trailers.get("Promotion-Source", "").startswith(prefix)


def freeze(
    site: Site, environments: Sequence[Environment], reason: str, until: datetime | None, *, strict: bool
) -> list[Event]:
    """Lets nothing into these environments, or into any without some, until they are thawed. Raises ConfigError."""
    if until is not None and until <= site.clock():
        raise ConfigError(f"{iso(until)} is over: a freeze ends later than it begins", where="--until")
    data = {"reason": reason, "until": iso(until) if until else None, "strict": strict}
    return _decide_all(site, lambda _: _about(site, "frozen", environments, data))


def thaw(site: Site, environments: Sequence[Environment]) -> list[Event]:
    """Ends the freeze of these environments, or that of everything without some. Raises ConfigError where there is none."""

    def events(world: World) -> list[Event]:
        now, everything = site.clock(), world.state.frozen
        if not environments and not (everything and everything.holds(now)):
            named = [e.name for e in site.application.environments if world.state.of(e.name).frozen]
            hint = f"promotion thaw {' '.join(named)}" if named else None
            raise ConfigError(f"{site.application.name} is not frozen as a whole", hint=hint)
        frozen = [e for e in environments if (f := world.state.of(e.name).frozen) and f.holds(now)]
        if environments and not frozen:
            names = ", ".join(e.name for e in environments)
            hint = "promotion thaw   ends that of everything" if everything and everything.holds(now) else None
            raise ConfigError(f"{names} is not frozen", where=site.application.name, hint=hint)
        return _about(site, "thawed", frozen, {})

    return _decide_all(site, events)


def _about(site: Site, kind: str, environments: Sequence[Environment], data: Mapping[str, Any]) -> list[Event]:
    """One event for each of these environments, or one about everything."""
    if environments:
        return [event_for(site, kind, environment, data) for environment in environments]
    return [Event(kind, site.application.name, None, site.clock(), site.by, data)]


def record(
    site: Site,
    event: Callable[[World], Event | None],
    *,
    any_configuration: bool = False,
    any_history: bool = False,
) -> Event | None:
    """Writes the event that a decision makes of the world as it is, if any; makes it again when somebody was faster."""

    def events(world: World) -> list[Event]:
        made = event(world)
        return [made] if made else []

    made = _decide_all(site, events, any_configuration=any_configuration, any_history=any_history)
    return made[0] if made else None


def _decide_all(
    site: Site,
    events: Callable[[World], list[Event]],
    *,
    any_configuration: bool = False,
    any_history: bool = False,
) -> list[Event]:
    """Writes the events that a decision makes of the world as it is; makes them again when somebody was faster."""

    def attempt() -> list[Event] | None:
        world = observe.survey(site, any_configuration=any_configuration, any_history=any_history)
        draft = Draft(world, world.state)
        if world.state.in_force is None and not any_configuration:
            data = {"in_force": site.application.in_force, "reason": "first use"}
            draft = draft.plus(Event("configured", site.application.name, None, site.clock(), site.by, data))
        made = events(world)
        return made if not made or write(site, draft.plus(*made)) is not None else None

    return until_made(attempt, site.application.ledger)
