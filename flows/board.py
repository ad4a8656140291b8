"""The board: one artifact for each application, created once and updated in place; shows what `status` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from flows import pages, states
from flows.api import Api
from promotion import report
from promotion.errors import PromotionError
from promotion.observe import Site
from promotion.reconcile import Round
from promotion.sites import utc_now
from promotion.view import Plan

EVERY = timedelta(minutes=1)
"""How old the board's "read at" may become while nothing changes."""


@dataclass
class Board:
    """What the board shows now, as far as this process knows."""

    shown: str = ""
    at: datetime | None = None

    def show(
        self, api: Api, site: Site, done: Round, note: str = "", links: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Writes the board when something on it changed, and once a minute. Raises TemporaryError.

        `links` are by environment where people answer what it waits for.
        """
        now, name = utc_now(), site.application.name
        decided = all(e.name in done.plans for e in site.application.environments if e.source)
        plans = done.plans if decided else {**report.plans(site, done.world), **done.plans}
        status = report.status(site, done.world, plans)
        rows = pages.board_rows(status, {target: brief(plan, now) for target, plan in plans.items()}, now)
        text = pages.board(name, rows, [*pages.reasons(status), *([f"- **{note}**"] if note else [])], links)
        shown = pages.steady(text)
        if shown == self.shown and self.at is not None and now - self.at < EVERY:
            return
        text = f"{text}\n\nRead at {now:%Y-%m-%d %H:%M:%S} UTC."
        api.show(pages.key("board", name), "table", description=text, data=pages.dumped(rows))
        self.shown, self.at = shown, now


def brief(plan: Plan | PromotionError, now: datetime) -> str:
    """What keeps an environment from its next release, in as few words as a table has room for."""
    if isinstance(plan, PromotionError):
        return "a person"
    if plan.verdict in ("pass", "nothing"):
        return ""
    if plan.verdict == "conflict":
        return "conflict"
    gates = states.gates([v for v in plan.verdicts if v.verdict == plan.verdict], now, plan.asked)
    return f"blocked by {gates}" if plan.verdict == "block" else gates
