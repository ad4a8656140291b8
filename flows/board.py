"""The board: one artifact for each application, created once and updated in place; shows what `status` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flows import pages
from flows.api import Api
from promotion import report
from promotion.observe import Site
from promotion.reconcile import Round
from promotion.sites import utc_now

EVERY = timedelta(minutes=1)
"""How old the board's "read at" may become while nothing changes."""


@dataclass
class Board:
    """What the board shows now, as far as this process knows."""

    shown: Sequence[object] = ()
    at: datetime | None = None

    def show(self, api: Api, site: Site, done: Round, note: str = "") -> None:
        """Writes the board when something on it changed, and once a minute. Raises TemporaryError."""
        now, name = utc_now(), site.application.name
        decided = all(e.name in done.plans for e in site.application.environments if e.source)
        plans = done.plans if decided else {**report.plans(site, done.world), **done.plans}
        rows = pages.board_rows(report.status(site, done.world, plans), now)
        shown = [pages.steady(rows), note]
        if shown == self.shown and self.at is not None and now - self.at < EVERY:
            return
        text = pages.board(name, rows, now, note)
        api.show(pages.key("board", name), "table", description=text, data=pages.dumped(rows))
        self.shown, self.at = shown, now
