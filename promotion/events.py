"""The events of a ledger; pure. What they do to the folded state is in `fold`.

An event is one JSON object: `event`, `application`, `environment` (null when it is about several), `at`, `by`, `id`, and
the keys of its kind, which are listed at `KINDS`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from promotion import shapes
from promotion.errors import RefusedError
from promotion.texts import instant, iso, short

KINDS: Mapping[str, tuple[str, ...]] = {
    "configured": ("in_force", "reason"),
    "adopted": ("commit", "source"),
    "observed": (),  # either revision, health, reasons; or `environments`: still as recorded
    "promoted": ("plan_id", "commit", "source", "base", "target", "tree", "until"),
    "rolled-back": (
        *("plan_id", "commit", "restores", "source", "target", "tree"),  # `source` is None on a root
        *("holds", "lifts", "undone", "reason", "until"),  # asked for elsewhere: also `how` and `through`
    ),
    "absorbed": ("plan_id", "source", "base", "target"),
    "verified": ("commit", "reasons"),
    "failed": ("commit", "reasons"),
    "timed-out": ("commit", "reasons"),
    "held": ("commit", "entries", "reason"),
    "lifted": ("commit",),
    "frozen": ("reason", "until", "strict"),  # of one environment, or of everything
    "thawed": (),
    "identified": ("plan_id", "source", "step"),  # a code is used up by this person, to say something of a plan
    "approved": ("plan_id", "source", "reason", "how"),  # with a code also `step`
    "rejected": ("plan_id", "source", "entries", "reason", "how"),
    "withdrawn": ("plan_id", "source", "how"),
    "overridden": ("plan_id", "gates", "reason"),
    "reverted": ("revision", "paths", "reverted_at"),
}
"""Kind -> the keys it must have beside the common ones."""
_OBSERVED = (("revision", "health", "reasons"), ("environments",))
"""The keys of an `observed` about one environment, and about several."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the ledger. `id` is random; a promotion's commit carries it as `Promotion-Attempt`."""

    event: str
    application: str
    environment: str | None
    at: datetime
    by: str
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    def to_json(self) -> dict[str, Any]:
        common = {"event": self.event, "application": self.application, "environment": self.environment}
        return {**common, "at": iso(self.at), "by": self.by, "id": self.id, **self.data}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Event:
        """Raises RefusedError when a key is missing or wrong."""
        try:
            common = {key: raw[key] for key in ("event", "application", "environment", "by", "id")}
            data = {k: v for k, v in raw.items() if k not in common and k != "at"}
            event = Event(**common, at=instant(raw["at"]), data=data)
            keys = _OBSERVED[event.environment is None] if event.event == "observed" else KINDS[event.event]
            missing = [key for key in keys if key not in data]
            names = [event.event, event.application, event.by, event.id, event.environment or ""]
            strange = [*shapes.wrong(data), *(["names"] if not all(map(shapes.text, names)) else [])]
        except (KeyError, TypeError, ValueError) as exc:
            raise RefusedError(f"a ledger record is not readable ({type(exc).__name__}: {exc})") from exc
        if missing:
            raise RefusedError(f"a ledger record {event.event} lacks {', '.join(missing)}")
        if strange:
            raise RefusedError(f"a ledger record {event.event} has what is none as {', '.join(strange)}")
        return event

    @property
    def subject(self) -> str:
        """The first line of the event's commit, for people."""
        what = {
            "observed": f"{self.data.get('health', 'as before')} {short(self.data.get('revision'))}".strip(" -"),
            "promoted": f"{short(self.data.get('source'))} as {short(self.data.get('commit'))}",
            **dict.fromkeys(
                ("absorbed", "identified", "approved", "rejected", "withdrawn"), short(self.data.get("source"))
            ),
            "overridden": ", ".join(map(str, self.data.get("gates", ()))),
            "rolled-back": f"to {short(self.data.get('restores'))} as {short(self.data.get('commit'))}",
            "reverted": short(self.data["found"])
            if "found" in self.data
            else f"{len(self.data.get('paths', ()))} files",
        }.get(self.event, short(self.data["commit"]) if "commit" in self.data else "")
        return f"{self.application}: {self.environment or 'all'} {self.event} {what}".strip()


def first_epoch(application: str, environment: str, commit: str, source: str) -> str:
    """The id of the event that records an environment at first sight: known before it is written, so plan ids hold."""
    return sha256(f"adopted {application} {environment} {commit} {source}".encode()).hexdigest()[:32]
