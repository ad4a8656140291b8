"""The embedded sync loops: makes what runs match its branch, and says of what it cannot deploy why; must not write to Git."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from promotion import observe, watching
from promotion.engines import ENGINES
from promotion.engines.contract import Deployed, Loop
from promotion.errors import PromotionError, TemporaryError
from promotion.model import Environment, Reverted
from promotion.observe import Late, Site, World
from promotion.texts import short

log = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
"""After a deployment that failed, in one process: a program is not to be started every few seconds for a night."""
SOON = timedelta(seconds=5)
"""After one that waits for something: it has waited for it a while already."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What people have to mend, and by environment what was put back since somebody had deployed another revision.

    `away` has those that could not be reached for now.
    """

    errors: tuple[PromotionError, ...] = ()
    away: Mapping[str, TemporaryError] = field(default_factory=dict)
    put_back: Mapping[str, Reverted] = field(default_factory=dict)


def deploy(site: Site, world: World, environments: Collection[Environment]) -> Synced:
    """Runs the embedded sync loop of these environments once; what others deploy is left to them.

    One that cannot be reached for now is no error of this: its observation says what is wrong with it.
    """
    errors: list[PromotionError] = []
    away: dict[str, TemporaryError] = {}
    put_back: dict[str, Reverted] = {}
    for environment in environments:
        engine = ENGINES[environment.engine.type]
        if not isinstance(engine, Loop):
            continue
        head = observe.head(site, world, environment)
        if late := _waiting(site, environment, head):
            errors += _undeployed(environment, late)
            continue
        subject = observe.subject(site, environment, head)
        try:
            content = site.repository.content(head, site.application.roots)
            deployed = engine.sync(environment.engine.settings, subject, content)
        except TemporaryError as exc:
            away[environment.name] = exc
        except PromotionError as exc:
            errors.append(exc)
        else:
            errors += _ended(site, environment, head, deployed)
            if record := _put_back(site, world, environment, head, deployed):
                put_back[environment.name] = record
    return Synced(tuple(errors), away, put_back)


def with_synced(world: World, synced: Synced) -> World:
    """A world that was read after it, with what it put back. Says what was away meanwhile, and can be read by now."""
    for name, why in synced.away.items():
        if str(why) not in str(world.unread.get(name)):
            log.warning("%s: %s", name, why)
    observations = dict(world.observations)
    for name, record in synced.put_back.items():
        if seen := observations.get(name):
            observations[name] = replace(seen, reverted=(*seen.reverted, record))
    return replace(world, observations=observations)


def _put_back(site: Site, world: World, environment: Environment, head: str, deployed: Deployed) -> Reverted | None:
    """Says what was put back; what a whole deployment put back is also to be recorded."""
    if deployed.reverted:
        log.warning("%s: put back %s, changed by hand", environment.name, ", ".join(deployed.reverted[:5]))
    if deployed.replaced and watching.ran_before(world, environment, head, deployed.replaced):
        log.warning("%s: put back %s, where %s ran", environment.name, short(head), short(deployed.replaced))
        return Reverted(site.clock(), head, (), deployed.replaced)
    return None


def is_loop(environment: Environment) -> bool:
    """Whether a sync loop of ours deploys it."""
    return isinstance(ENGINES[environment.engine.type], Loop)


# --- what could not be deployed ------------------------------------------------------------------------------------


def _waiting(site: Site, environment: Environment, head: str) -> Late | None:
    late = site.late.get(environment.name)
    return late if late and late.revision == head and late.at <= site.clock() < late.until else None


def _ended(site: Site, environment: Environment, head: str, deployed: Deployed) -> list[PromotionError]:
    """Remembers a deployment that failed or waits, for as long as this process lives and the branch stays."""
    before = site.late.pop(environment.name, None)
    if deployed.revision == head:
        return []
    why = deployed.reading.reason if deployed.reading else "something else runs"
    times, pause = 0, SOON
    if not deployed.waits:
        times = before.times + 1 if before and before.revision == head else 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(times - 1, 10))
    elif before is None or (before.revision, before.times, before.reason) != (head, 0, why):
        log.info("%s: %s is not all there yet: %s", environment.name, short(head), why)
    site.late[environment.name] = late = Late(head, times, site.clock(), site.clock() + pause, why)
    return _undeployed(environment, late)


def _undeployed(environment: Environment, late: Late) -> list[PromotionError]:
    """What is wrong with it: nothing, while it waits."""
    why = f"{short(late.revision)} could not be deployed: {late.reason}"
    return [TemporaryError(why, where=environment.name)] if late.times else []
