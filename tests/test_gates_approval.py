"""Who counts for one plan, by a table: the list, the last word, what proves it, authors, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from promotion.gates.approval import called, standing
from promotion.state import Answer
from promotion.view import Unknown

NOW = datetime(2026, 11, 24, 13, 31, tzinfo=UTC)
ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
NOBODY = Unknown("4f2a91c has none")
RULES: dict[str, Any] = {"from": [ALICE, BOB, CAROL]}


def said(by: str = ALICE, word: Any = "approved", how: Any = "claimed", **ago: float) -> Answer:
    return Answer("p1", "s1", by, word, NOW - timedelta(**ago), how)


def brief(
    *answers: Answer, granted: tuple[Answer, ...] = (), authors: Any = frozenset(), **rules: Any
) -> tuple[str, str]:
    found = standing({**RULES, **rules}, answers, granted, authors, NOW)
    return found.verdict.verdict, found.brief


@pytest.mark.parametrize(
    ("answers", "rules", "expected"),
    [
        ([], {}, ("wait", "0 of 1")),
        ([said()], {}, ("pass", "1 of 1 (alice)")),
        ([said("ALICE@EXAMPLE.COM")], {}, ("pass", "1 of 1 (alice)")),
        ([said("mallory@example.com")], {}, ("wait", "0 of 1")),
        ([said(word="rejected")], {}, ("wait", "0 of 1")),
        ([said(hours=2), said(word="rejected", hours=1)], {}, ("wait", "0 of 1")),
        ([said(word="rejected", hours=2), said(hours=1)], {}, ("pass", "1 of 1 (alice)")),
        ([said(), said()], {"count": 2}, ("wait", "1 of 2 (alice)")),
        ([said(), said(BOB)], {"count": 2}, ("pass", "2 of 2 (alice, bob)")),
        ([said(hours=23, minutes=59)], {}, ("pass", "1 of 1 (alice)")),
        ([said(hours=24)], {}, ("wait", "0 of 1")),
        ([said(minutes=-5)], {}, ("pass", "1 of 1 (alice)")),
        ([said(days=-300)], {}, ("wait", "0 of 1")),
        ([said(minutes=30)], {"expires": "30m"}, ("wait", "0 of 1")),
        ([said()], {"identity": "code"}, ("wait", "0 of 1")),
        ([said(how="code")], {"identity": "code"}, ("pass", "1 of 1 (alice)")),
        ([said(how="signed")], {"identity": "code"}, ("pass", "1 of 1 (alice)")),
        ([said(how="code")], {"identity": "signed"}, ("wait", "0 of 1")),
        ([said(how="signed")], {"identity": "signed"}, ("pass", "1 of 1 (alice)")),
        ([said(how="code")], {}, ("pass", "1 of 1 (alice)")),
        ([said()], {"not_author": True, "authors": {ALICE}}, ("wait", "0 of 1")),
        ([said()], {"not_author": True, "authors": {BOB}}, ("pass", "1 of 1 (alice)")),
        ([said()], {"not_author": True, "authors": NOBODY}, ("wait", "0 of 1")),
        ([said()], {"not_author": False, "authors": NOBODY}, ("pass", "1 of 1 (alice)")),
        ([], {"granted": (said(days=9),)}, ("pass", "1 of 1 (alice)")),
        ([], {"granted": (said("mallory@example.com"),)}, ("wait", "0 of 1")),
        ([said(word="rejected")], {"granted": (said(days=9),)}, ("wait", "0 of 1")),
    ],
)  # fmt: skip
def test_who_counts(answers: list[Answer], rules: dict[str, Any], expected: tuple[str, str]) -> None:
    assert brief(*answers, **rules) == expected


def test_what_is_said_of_it() -> None:
    """As people read it: who, when, who may still, and why others may not."""
    found = standing({**RULES, "count": 2, "not_author": True}, [said()], (), {CAROL}, NOW)
    assert found.verdict.reason == "1 of 2: alice 13:31:00 UTC; carol is an author; bob may"
    assert (found.may, [b.who for b in found.barred]) == ((BOB,), [CAROL])
    assert [a.until for a in found.approved] == [NOW + timedelta(hours=24)]
    assert standing({**RULES, "not_author": True}, [], (), NOBODY, NOW).verdict.reason == (
        "0 of 1: who wrote it is not known (4f2a91c has none), so nobody may"
    )
    assert standing({**RULES, "not_author": True}, [], (), {ALICE, BOB, CAROL}, NOW).verdict.reason == (
        "0 of 1: alice, bob, carol are authors; nobody else may"
    )


def test_names_that_two_have_are_told_apart() -> None:
    assert called([ALICE, "alice@example.org", BOB]) == {
        ALICE: ALICE,
        "alice@example.org": "alice@example.org",
        BOB: "bob",
    }
