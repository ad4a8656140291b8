"""`run`: rounds over several applications, what they print, and the exit status that they end with."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from promotion import report
from promotion.cli import render
from promotion.cli.context import Call
from promotion.cli.output import Repeats, answer, complain, error, note, printed
from promotion.errors import PromotionError, TemporaryError
from promotion.model import Environment
from promotion.observe import Site
from promotion.reconcile import Round, Ticks, reconcile
from promotion.reconcile.rounds import always

RANK = (0, 3, 4, 2, 75, 5, 6)
"""Exit statuses, from harmless to worst."""


def worst(*statuses: int) -> int:
    return max(statuses, key=RANK.index)


@dataclass
class Loop:
    """What several rounds remember."""

    call: Call
    found: list[tuple[Site, list[Environment]]]
    sync: bool
    dry_run: bool
    scheduled: bool
    """Whether an environment's schedule counts: a single round attempts every hop."""
    ticks: dict[str, Ticks] = field(default_factory=dict)
    said: dict[str, set[str]] = field(default_factory=dict)
    """What was complained of, and what environments wait for, in the round before."""

    def once(self) -> int:
        """One round. The error of an only application is raised."""
        data, status, errors = self._round(strict=len(self.found) == 1)
        waits = [line for _, line in self._waiting]
        lines = data["lines"] or waits or ["nothing to do"]
        for exc in errors:
            complain(exc)
        answer(self.call, {"hops": data["hops"], "errors": [error(e) for e in errors]}, lines)
        return status

    def until(self, stop: threading.Event, seconds: float) -> int:
        """Rounds until somebody wants an end. A verification that failed is never forgotten, other trouble once it is over."""
        failed, status, repeats = 0, 0, Repeats()
        while not stop.is_set():
            repeats.next_round()
            due = time.monotonic() + seconds
            data, status, errors = self._round(strict=False)
            failed = 6 if 6 in (failed, status) else 0
            self._told(data, errors)
            stop.wait(max(0.0, due - time.monotonic()))
        return worst(failed, status)

    def _round(self, *, strict: bool) -> tuple[dict[str, Any], int, list[PromotionError]]:
        """One round over every application, one after the other; one that fails does not stop the others."""
        hops: list[dict[str, Any]] = []
        lines: list[str] = []
        statuses, errors = [0], list[PromotionError]()
        self._waiting: list[tuple[str, str]] = []
        for site, environments in self.found:
            began = time.monotonic()
            try:
                done = reconcile(
                    site,
                    [e.name for e in environments],
                    due=self._due(site),
                    sync=self.sync,
                    dry_run=self.dry_run,
                )
            except PromotionError as exc:
                if strict:
                    raise
                errors.append(exc)
                continue
            errors += [*done.errors, *(TemporaryError(why) for why in done.world.unread.values())]
            statuses += [hop.status for hop in done.hops]
            hops += [report.result(hop) for hop in done.hops]
            seconds = time.monotonic() - began
            lines += [line for hop in done.hops for line in render.result(report.result(hop), seconds)]
            self._waiting += self._waits(site, done)
        statuses += [exc.exit_status for exc in errors]
        return {"hops": hops, "lines": lines}, worst(*statuses), errors

    def _due(self, site: Site) -> Callable[[Environment], bool]:
        if not self.scheduled:
            return always
        return self.ticks.setdefault(site.application.name, Ticks(site.clock)).due

    def _waits(self, site: Site, done: Round) -> Iterator[tuple[str, str]]:
        """What each environment waits for, or, in a dry run, what would land."""
        for name, plan in done.plans.items():
            place = f"{site.application.name}: {name}"
            if plan.verdict in ("wait", "block"):
                yield place, f"{place} {'waits' if plan.verdict == 'wait' else 'is blocked'}: {plan.reason}"
            elif plan.verdict == "pass" and self.dry_run:
                yield (
                    place,
                    f"{render.hop(site.application.name, name, report.plan(site, plan)['source'])}   would land",
                )

    def _told(self, data: dict[str, Any], errors: list[PromotionError]) -> None:
        """A line for each hop; what waits, and what is wrong, once until it changes."""
        known = self.said.get("errors", set())
        self.said["errors"] = {str(exc) for exc in errors}
        for exc in errors:
            if str(exc) not in known:
                complain(exc)
        if self.call.json:
            printed(json.dumps({"hops": data["hops"]}))
            return
        if data["lines"]:
            answer(self.call, {}, data["lines"])
        waiting = self.said.get("waits", set())
        self.said["waits"] = {line for _, line in self._waiting}
        for _, line in self._waiting:
            if line not in waiting:
                note(self.call, line)
