"""What happened: the events of a ledger, chosen by time, kind, person and environment. Reads no branch but the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from promotion import continuity, ledger, trust
from promotion.events import Event
from promotion.observe import Site
from promotion.report.hops import event as as_json
from promotion.repository import Snapshot

COLUMNS = (
    "at",
    "application",
    "environment",
    "event",
    "by",
    "commit",
    "source",
    "health",
    "reason",
    "plan_id",
    "record",
)
"""Of the table that `row` makes a line of."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events are wanted; what is None or empty leaves nothing out. `by` is a part of who did it, in any case of letters.

    Times are from `since` on, and before `until`.
    """

    since: datetime | None = None
    until: datetime | None = None
    kinds: Collection[str] = ()
    by: str | None = None
    environments: Collection[str] | None = None

    def wants(self, event: Event) -> bool:
        return (
            (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
            and (not self.kinds or event.event in self.kinds)
            and (self.by is None or self.by.casefold() in event.by.casefold())
            and (self.environments is None or not about(event).isdisjoint(self.environments))
        )


def about(event: Event) -> set[str]:
    """The environments that an event is about."""
    return {event.environment} if event.environment else set(event.data.get("environments", ()))


def history(site: Site, snapshot: Snapshot, asked: Asked, limit: int | None = None) -> list[dict[str, Any]]:
    """The objects of `history --json`, newest first in the ledger's order; the newest `limit` of them.

    The ledger is read to its end unless `limit` is reached: clocks differ, so an event's time does not end the search.
    """
    repository, app = site.repository, site.application
    tip = snapshot[app.ledger]
    continuity.check(repository, app, snapshot)
    trust.read(repository, app, tip)  # refuses what is no ledger, or another's
    wanted = (as_json(record, event) for record, event in ledger.events(repository, tip) if asked.wants(event))
    return list(islice(wanted, limit))


def row(event: Mapping[str, Any]) -> Iterator[str]:
    """One event as the cells of COLUMNS; what it has not is empty."""
    reasons = "; ".join(event.get("reasons", ()))
    known = {
        "environment": " ".join(event.get("environments", ())),
        "commit": event.get("revision"),
        "reason": reasons,
    }
    for column in COLUMNS:
        yield str(event.get(column) or known.get(column) or "")
