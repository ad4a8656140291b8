"""Whether enough people have approved exactly this plan; pure, with `now` and all that was said as arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from promotion.calendar import told
from promotion.gates.contract import Question
from promotion.model import HowWord, Verdict
from promotion.state import Answer
from promotion.texts import duration, person
from promotion.view import Approved, Barred, Standing, Unknown

EXPIRES = "24h"
PROVES: Mapping[str, tuple[HowWord, ...]] = {
    "claimed": ("claimed", "code", "signed"),
    "code": ("code", "signed"),
    "signed": ("signed",),
}
"""What counts for each `identity`."""
AHEAD = timedelta(minutes=5)
"""How far ahead of ours the clock may be by which somebody answered: what is dated later does not count, or it would not expire."""
UNKNOWN = "who wrote it is not known"
NAMED = 5
"""How many people are named in one line."""


def unasked(settings: Mapping[str, Any], question: Question) -> Verdict:  # noqa: ARG001
    """What stands in this gate's place until people are asked: what they approve is a plan, and there is none yet."""
    return Verdict("approval", "wait", "people are asked when nothing else is in the way", unasked=True)


def standing(
    settings: Mapping[str, Any],
    said: Iterable[Answer],
    granted: Iterable[Answer],
    authors: Collection[str] | Unknown,
    now: datetime,
) -> Standing:
    """How it stands with one plan. `said` is about this very plan; what was `granted` has let the same commit in elsewhere.

    `authors` are emails in lower case. Settings: `from`, emails in lower case; `count`, `not_author`, `identity`, `expires`.
    """
    asked, count = tuple(settings["from"]), int(settings.get("count", 1))
    expires, proofs = duration(settings.get("expires", EXPIRES)), PROVES[settings.get("identity", "claimed")]
    barred = tuple(Barred(who, why) for who in asked if (why := _why_not(who, settings, authors)))
    excluded = {each.who for each in barred}
    lasting = {person(a.by): Approved(person(a.by), a.at, None, a.how) for a in granted}
    last: dict[str, Answer] = {}
    for answer in sorted(said, key=lambda each: each.at):
        last[person(answer.by)] = answer
    for who, answer in last.items():
        lasting.pop(who, None)
        if answer.word == "approved" and -AHEAD <= now - answer.at < expires:
            lasting[who] = Approved(who, answer.at, answer.at + expires, answer.how)
    counted = (a for a in lasting.values() if a.by in asked and a.by not in excluded and a.how in proofs)
    approved = tuple(sorted(counted, key=lambda each: (each.at, each.by)))
    done = {each.by for each in approved}
    may = tuple(who for who in asked if who not in excluded and who not in done)
    verdict = _verdict(count, approved, may, barred, now)
    return Standing(count, approved, may, barred, expires, settings.get("identity", "claimed"), verdict)


def _why_not(who: str, settings: Mapping[str, Any], authors: Collection[str] | Unknown) -> str | None:
    if not settings.get("not_author", False):
        return None
    if isinstance(authors, Unknown):
        return f"{UNKNOWN}: {authors.why}"
    return "author" if who in authors else None


def _verdict(
    count: int, approved: Sequence[Approved], may: Sequence[str], barred: Sequence[Barred], now: datetime
) -> Verdict:
    names = called([*(a.by for a in approved), *may, *(b.who for b in barred)])
    parts = [", ".join(f"{names[a.by]} {told(a.at, now)}" for a in approved[:NAMED])] if approved else []
    enough = len(approved) >= count
    if barred:
        who = _listed([names[b.who] for b in barred])
        unknown = barred[0].why.partition(": ")[2]
        parts.append(f"{UNKNOWN} ({unknown}), so nobody may" if unknown else f"{who} {_are(barred)}")
    if not enough and not (barred and not may):
        parts.append(f"{_listed([names[who] for who in may])} may" if may else "nobody else may")
    elif not enough and barred[0].why == "author":
        parts.append("nobody else may")
    reason = f"{len(approved)} of {count}" + (f": {'; '.join(parts)}" if parts else "")
    return Verdict("approval", "pass" if enough else "wait", reason)


def _are(barred: Sequence[Barred]) -> str:
    return "are authors" if len(barred) > 1 else "is an author"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def called(emails: Iterable[str]) -> dict[str, str]:
    """How people are named where there is little room: by what stands before the `@`, where that is only one."""
    known = list(dict.fromkeys(emails))
    first = [email.partition("@")[0] for email in known]
    return {email: name if first.count(name) == 1 else email for email, name in zip(known, first, strict=True)}
