"""Asks engines to look at Git now: after our own push, and where what runs is not what is expected.

Nothing rests on it: what an engine says later counts, and a hint that failed is only logged. Must not read Git or decide.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from promotion import observe
from promotion.engines import ENGINES
from promotion.engines.contract import Hinted
from promotion.errors import PromotionError
from promotion.model import Environment, Health
from promotion.observe import Hint, Site, World

log = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
"""Between two hints about one commit: one may be lost, and one that is not heard is not to be repeated all night."""
SIDE_BY_SIDE = 8

Wanted = tuple[Site, Environment, str]
"""An environment, and the newest commit of its branch."""


def ask(wanted: Iterable[Wanted]) -> None:
    """Asks the engines that can be asked, each once in a while for one commit."""
    due = [each for each in wanted if _is_due(*each)]
    if due:
        with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(due))) as pool:
            list(pool.map(_ask, due))


def unsettled(site: Site, world: World, environments: Sequence[Environment]) -> list[Wanted]:
    """Those of which another commit runs than the newest one of its branch, or of which nothing final is said of it."""
    found = []
    for environment in environments:
        seen = world.observations.get(environment.name)
        if seen is None or not isinstance(ENGINES[environment.engine.type], Hinted):
            continue
        head = observe.head(site, world, environment)
        if seen.revision != head or seen.health in (Health.PROGRESSING, Health.UNKNOWN):
            found.append((site, environment, head))
        else:
            site.hinted.pop(environment.name, None)
    return found


def _is_due(site: Site, environment: Environment, head: str) -> bool:
    if not isinstance(ENGINES[environment.engine.type], Hinted):
        return False
    last, now = site.hinted.get(environment.name), site.clock()
    times = last.times if last and last.revision == head else 0
    if last and times and now < last.until:
        return False
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(times, 10))
    site.hinted[environment.name] = Hint(head, times + 1, now + pause)
    return True


def _ask(wanted: Wanted) -> None:
    site, environment, head = wanted
    engine = ENGINES[environment.engine.type]
    assert isinstance(engine, Hinted)
    try:
        engine.refresh(environment.engine.settings, observe.subject(site, environment, head))
    except PromotionError as exc:
        log.warning("%s was not asked to look at Git: %s", environment.name, exc)
