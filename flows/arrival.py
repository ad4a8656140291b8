"""How what was pushed arrives: watches a target until its verification is over; writes down what it observes, decides nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

from prefect.client.schemas.objects import State

from flows import asked, pages, states
from flows.page import Page
from promotion import reconcile
from promotion.errors import TemporaryError
from promotion.model import Environment, VerificationWord
from promotion.observe import Site, World
from promotion.reconcile import Result, Steps
from promotion.texts import short

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # a run's page begins with its log


def verification(
    site: Site, target: Environment, commit: str, done: str = "promoted"
) -> Iterator[tuple[State[Any], str]]:
    """Watches the target: a state and news in markdown, at least one, until its verification is over.

    `done` is what has become of the commit if it is not failed.
    """
    until = None
    for pause in chain((1, 1, 2, 3), repeat(5)):
        try:
            world = reconcile.watch_only(site, [target.name])
        except TemporaryError as exc:
            yield states.of_verification("pending", commit, "", done), f"not read: {pages.escape(exc)}"
        else:
            word, news = _verified(world, target, commit)
            log.info("verification: %s", news)
            watched = world.state.of(target.name).verification
            until = watched.until if watched else until
            yield states.of_verification(word or "pending", commit, news, done), pages.escape(news)
            if word is None or word != "pending":
                return
        if until is not None and (site.clock() - until).total_seconds() > 60:
            return
        time.sleep(pause)


def _verified(world: World, target: Environment, commit: str) -> tuple[VerificationWord | None, str]:
    """The verification's word, None when it is about something newer by now; and what was seen last."""
    state = world.state.of(target.name)
    watched, seen = state.verification, state.observed
    if watched is None or watched.commit != commit:
        newer = f"{target.name} has {short(state.release.commit)} by now" if state.release else "it is not watched"
        return None, newer
    now = f"{target.name} is {seen.health} at {short(seen.revision)}" if seen else f"{target.name} was not read yet"
    why = f" ({'; '.join(seen.reasons)})" if seen and seen.reasons and seen.health != "healthy" else ""
    end = f", until {pages.clock(watched.until)}" if watched.state == "pending" else ""
    unread = f"; {world.unread[target.name]}" if target.name in world.unread else ""
    return watched.state, f"{watched.state}{end}: {now}{why}{unread}"


def followed(begin: Callable[[Callable[[], bool]], Steps], patience: timedelta, page: Page) -> Result:
    """Follows what is waited for until it is over or time is; whoever follows the run is told."""
    until = time.monotonic() + patience.total_seconds()
    steps = begin(lambda: time.monotonic() >= until)
    for pause in chain((1, 1.5, 2, 3), repeat(5)):
        try:
            news = next(steps)
        except StopIteration as ended:
            result: Result = ended.value
            return result
        log.info("%s", news)
        asked.news(page.api, page.run, news)
        time.sleep(min(pause, max(0.0, until - time.monotonic())))
    raise AssertionError("repeat never ends")
