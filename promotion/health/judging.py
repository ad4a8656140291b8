"""One live object -> its health; the only way in, and whatever goes wrong on the way is `unknown` (S3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from promotion.health import builtin, others
from promotion.health.contract import degraded, progressing, unknown
from promotion.health.expressions import judged
from promotion.health.live import MalformedError, conditions, generation, observed, text, value
from promotion.health.rules import Rules
from promotion.model import Reading

LONGEST = 300
"""Characters of a reason."""
OURS = {**builtin.RULES, **others.RULES}


def judge(live: Mapping[str, Any], rules: Rules, now: datetime) -> Reading:
    """The health of one object as the API server gave it, and why, in one line that does not name the object.

    Never raises, and is never HEALTHY by default: a kind without a rule, and an object that is not what the API says
    it is, are UNKNOWN; one that is being deleted, or whose status is about an older generation, is PROGRESSING.
    """
    try:
        reading = _judge(live, rules, now)
    except MalformedError as exc:
        reading = unknown(f"it cannot be read: {exc}")
    return Reading(reading.health, _line(reading.reason))


def _line(reason: str) -> str:
    """What controllers say may be long, of several lines, and hold what a terminal must not get."""
    kept = "".join(char if char.isprintable() else " " for char in reason[: 4 * LONGEST])
    line = " ".join(kept.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _judge(live: Mapping[str, Any], rules: Rules, now: datetime) -> Reading:
    group, slash, _ = text(live, "apiVersion").partition("/")
    group, kind = group if slash else "", text(live, "kind")
    if value(live, "metadata", "deletionTimestamp") is not None:
        return progressing("it is being deleted")
    if own := rules.own.find(group, kind):
        return judged(own, live, _stale(live, tolerant=True))
    if rule := OURS.get((group, kind)):
        return rule(live, now)
    if (group, kind) in builtin.THERE:
        return builtin.there(live, now)
    if stored := rules.stored.find(group, kind):
        return judged(stored, live, _stale(live))
    return _conventional(live) or unknown(f"there is no rule for {f'{group}/' if group else ''}{kind or 'no kind'}")


def _stale(live: Mapping[str, Any], *, tolerant: bool = False) -> str:
    """Why the status is about an older spec; empty when it is not, or when it does not say.

    `tolerant`: so it is, too, when the generations are no numbers; users' expressions may then judge them, as with Flux.
    """
    try:
        now, seen = generation(live), observed(live)
    except MalformedError:
        if not tolerant:
            raise
        return ""
    return "" if None in (now, seen) or now == seen else f"generation {now} is not observed yet, only {seen}"


def _conventional(live: Mapping[str, Any]) -> Reading | None:
    """What the conventions of kstatus say of a kind without a rule; only bad news is believed.

    Ready alone is no proof: there are kinds whose Ready says that they were read, while what they are about is failing.
    """
    if stale := _stale(live):
        return progressing(stale)
    said = conditions(live)
    for name in ("Stalled", "Degraded", "Failed"):
        if name in said and said[name].status == "True":
            return degraded(said[name].said)
    wanted = {"Reconciling": "False", **dict.fromkeys(("Ready", "Available", "Succeeded", "Synced"), "True")}
    return next((progressing(said[n].said) for n, w in wanted.items() if n in said and said[n].status != w), None)
