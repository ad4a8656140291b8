"""What several answers about one environment come to: they must agree; pure."""

from __future__ import annotations

from collections.abc import Sequence

from promotion.engines.contract import Deployed
from promotion.engines.flux.tree import WORST, worst
from promotion.model import Health, Reading
from promotion.texts import short


def together(answers: Sequence[tuple[str, Deployed]], expected: str | None) -> Deployed:
    """One answer of all, each with its name. Where they are not at one commit, nothing is deployed yet, unless it failed."""
    if len(answers) == 1:
        return answers[0][1]
    said = [
        (name, each.revision, each.reading or Reading(Health.UNKNOWN, "nothing is known")) for name, each in answers
    ]
    revisions = {revision for _, revision, _ in said}
    readings = [reading for _, _, reading in said]
    if len(revisions) == 1:
        return Deployed(revisions.pop(), worst(readings))
    failed = [reading for _, revision, reading in said if revision == expected and reading.health is Health.DEGRADED]
    if expected is not None and failed:
        return Deployed(expected, worst(failed))
    where = ", ".join(f"{name} is at {short(revision)}" for name, revision, _ in said)
    kept = [reading for reading in readings if reading.health in (Health.UNKNOWN, Health.SUSPENDED, Health.PROGRESSING)]
    health = min((reading.health for reading in kept), key=WORST.index, default=Health.PROGRESSING)
    more = f"; {worst(kept).reason}" if kept else ""
    # Said of what is expected: what one of them still runs was well, and stays so on record.
    return Deployed(expected or said[0][1], Reading(health, where + more))
