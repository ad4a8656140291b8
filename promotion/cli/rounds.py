"""`run`: rounds over several applications, what they print, and the exit status that they end with."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from promotion import report
from promotion.cli import render
from promotion.cli.context import Call
from promotion.cli.output import Repeats, answer, complain, note, printed, worst
from promotion.engines.kept import Kept
from promotion.errors import PromotionError, as_bug, as_data
from promotion.model import Environment
from promotion.observe import Site
from promotion.reconcile import Result, Round, Task, Ticks, together
from promotion.reconcile.rounds import always
from promotion.sites import by_repository
from promotion.stop import SLICE, Stop

log = logging.getLogger(__name__)

SIDE_BY_SIDE = 8


def calm(*, sync: bool, errors: Sequence[PromotionError]) -> list[str]:
    """What a round says that has nothing to say; after an error nobody knows, and something may have been deployed."""
    return [] if errors else ["nothing to promote" if sync else "nothing to do"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a round over one application came to."""

    hops: tuple[dict[str, Any], ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    """A line for each hop, and what it is about; '' when it happened just now."""
    waits: tuple[str, ...] = ()
    errors: tuple[PromotionError, ...] = ()
    status: int = 0
    raised: Exception | None = None
    """What ended it early; also in `errors`."""


@dataclass
class Loop:
    """What several rounds remember. Repositories have their rounds side by side, all applications of one together."""

    call: Call
    found: list[tuple[Site, list[Environment]]]
    sync: bool
    dry_run: bool
    scheduled: bool
    """Whether an environment's schedule counts: a single round attempts every hop."""
    ticks: dict[str, Ticks] = field(init=False)
    groups: list[list[Site]] = field(init=False)
    """The applications of each repository."""
    chosen: dict[str, list[str]] = field(init=False)
    """By application: the environments that are meant."""
    places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(SIDE_BY_SIDE))

    def __post_init__(self) -> None:
        self.ticks = {site.application.name: Ticks(site.clock) for site, _ in self.found}
        self.groups = by_repository(site for site, _ in self.found)
        self.chosen = {site.application.name: [e.name for e in environments] for site, environments in self.found}

    def once(self) -> int:
        """One round. The error of an only application is raised."""
        turns = [turn for ended in self._all_begun() for turn in ended.result()]
        if len(turns) == 1 and turns[0].raised:
            raise turns[0].raised
        waits = [line for turn in turns for line in turn.waits]
        errors = [exc for turn in turns for exc in turn.errors]
        lines = [line for turn in turns for _, line in turn.lines] or waits or calm(sync=self.sync, errors=errors)
        for exc in {(str(exc), exc.hint): exc for exc in errors}.values():
            complain(exc)
        hops = [hop for turn in turns for hop in turn.hops]
        answer(self.call, {"hops": hops, "errors": [as_data(e) for e in errors]}, lines)
        return worst(0, *(turn.status for turn in turns))

    def until(self, stop: Stop, seconds: float) -> int:
        """Rounds until somebody wants an end. A verification that failed is never forgotten, other trouble once it is over.

        A repository that takes longer than a round is left out of the rounds until it is done.
        """
        failed, statuses, repeats = 0, dict[int, int](), Repeats()
        running: dict[int, Future[list[Turn]]] = {}
        while running or not stop.is_set():
            if not running:
                repeats.next_round()
            due, kept = time.monotonic() + seconds, Kept()
            for number, group in enumerate(self.groups):
                if number not in running and not stop.is_set():
                    running[number] = self._begin(group, kept)
            ended = _ended(running, None if stop.is_set() else seconds)
            statuses |= {number: worst(*(turn.status for turn in turns)) for number, turns in ended.items()}
            failed = 6 if 6 in (failed, *(t.status for turns in ended.values() for t in turns)) else 0
            self._told([turn for turns in ended.values() for turn in turns], repeats)
            stop.wait(max(0.0, due - time.monotonic()))
        return worst(failed, *statuses.values())

    def _all_begun(self) -> list[Future[list[Turn]]]:
        kept = Kept()
        return [self._begin(group, kept) for group in self.groups]

    def _begin(self, group: list[Site], kept: Kept) -> Future[list[Turn]]:
        """Starts the round of one repository; an only one's is over at once.

        Not in a pool: somebody who insists on an end does not wait for the deadlines of what hangs.
        """
        ended: Future[list[Turn]] = Future()

        def work() -> None:
            with self.places:
                ended.set_result(self._turns(group, kept if len(self.groups) > 1 else None))

        if len(self.groups) == 1:
            work()
        else:
            threading.Thread(target=work, name=group[0].application.name, daemon=True).start()
        return ended

    def _turns(self, group: list[Site], kept: Kept | None = None) -> list[Turn]:
        """One round over the applications of one repository. Never raises: its trouble is not that of the others."""
        began = time.monotonic()
        try:
            done = together([self._task(site) for site in group], sync=self.sync, dry_run=self.dry_run, kept=kept)
            seconds = time.monotonic() - began
            return [self._turn(site, one, seconds) for site, one in zip(group, done, strict=True)]
        except PromotionError as exc:
            return [_failed(exc)] + [Turn(status=exc.exit_status)] * (len(group) - 1)
        except Exception as exc:
            names = ", ".join(site.application.name for site in group)
            log.debug("%s", names, exc_info=exc)
            return [replace(_failed(as_bug(exc, names)), raised=exc)]
        finally:
            group[0].repository.close()  # many repositories would keep many processes

    def _task(self, site: Site) -> Task:
        name = site.application.name
        return Task(site, self.chosen[name], self.ticks[name].due if self.scheduled else always)

    def _turn(self, site: Site, done: Round | PromotionError, seconds: float) -> Turn:
        if isinstance(done, PromotionError):
            return _failed(done)
        self.ticks[site.application.name].used(done.plans)
        lines = tuple(_lines(done, seconds))
        waits = tuple(render.waits(report.waits(site, done.plans, dry_run=self.dry_run)))
        status = worst(0, *(hop.status for hop in done.hops), *(exc.exit_status for exc in done.trouble))
        return Turn(tuple(report.result(hop) for hop in done.hops), lines, waits, done.trouble, status)

    def _told(self, turns: list[Turn], repeats: Repeats) -> None:
        """A line for each hop; what is stuck, waits or is wrong once until it changes."""
        for exc in (exc for turn in turns for exc in turn.errors):
            if repeats.is_news(str(exc)):
                complain(exc)
        if self.call.json:
            printed(json.dumps({"hops": [hop for turn in turns for hop in turn.hops]}))
            return
        lines = [line for turn in turns for about, line in turn.lines if not about or repeats.is_news(about)]
        now = f"{datetime.now():%H:%M:%S}"
        if lines:
            answer(self.call, {}, [line if line.startswith(" ") else f"{now}  {line}" for line in lines])
        for line in (line for turn in turns for line in turn.waits):
            if repeats.is_news(line):
                note(self.call, f"{now}  {line}")


def _failed(why: PromotionError) -> Turn:
    return Turn(errors=(why,), status=why.exit_status, raised=why)


def _lines(done: Round, seconds: float) -> Iterator[tuple[str, str]]:
    for hop in done.hops:
        yield from ((_about(hop), line) for line in render.result(report.result(hop), seconds))


def _about(hop: Result) -> str:
    """What a hop that is stuck is about: it is stuck again in the next round."""
    stuck = hop.status and not hop.verification
    return f"{hop.application}: {hop.environment} {hop.outcome}: {hop.reason}" if stuck else ""


def _ended(running: dict[int, Future[list[Turn]]], seconds: float | None) -> dict[int, list[Turn]]:
    """Takes out the rounds that are over in so many seconds (None: all, however long they take), one at least.

    In slices: Python sees a signal that came just before it waits for a lock only when it has it.
    """
    turns, until = running.values(), math.inf if seconds is None else time.monotonic() + seconds
    while wait(turns, timeout=min(SLICE, max(0.0, until - time.monotonic()))).not_done:
        if time.monotonic() >= until and wait(turns, timeout=SLICE, return_when=FIRST_COMPLETED).done:
            break
    over = [number for number, turns in running.items() if turns.done()]
    return {number: running.pop(number).result() for number in over}
