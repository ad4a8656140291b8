"""What the flows decide by themselves, without any server: what to do about a run, how a request ends, what a form lets through, what a page shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled, Completed, Crashed, Pending, Running, Scheduled, Suspended

from flows import asked, form, pages, requests, runs
from flows.approve import gather
from flows.deployments import is_lost
from promotion.errors import ConfigError, RefusedError
from promotion.model import Spec
from promotion.reconcile import approve, hold, reject
from promotion.view import Plan
from tests.support.stage import Stage, environment

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ALICE, BOB = "alice@example.com", "bob@example.com"


# --- what was registered: pure ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "known", "waited", "lost"),
    [
        (0, 0, 5, False),
        (2, 0, 5, False),  # being registered, one after the other
        (2, 0, 61, True),
        (0, 0, 61, True),
        (4, 4, 5, False),
        (4, 4, 3600, False),
        (3, 4, 5, True),
        (0, 4, 3600, True),
    ],
)
def test_what_was_registered_is_lost_when_some_of_it_is_gone(found: int, known: int, waited: float, lost: bool) -> None:
    ids = [uuid4() for _ in range(4)]
    assert is_lost(set(ids[:found]), set(ids[:known]), waited) is lost


def test_another_of_the_same_name_is_none_of_ours() -> None:
    ours = uuid4()
    assert is_lost({uuid4()}, {ours}, 5)
    assert not is_lost({ours}, {ours}, 5)


# --- what to do about a run: pure ----------------------------------------------------------------------------------


def seen(state: Any, age: float, ended: float | None = None) -> runs.Seen:
    """A run that was made `age` seconds ago, and ended `ended` seconds ago."""
    made = NOW - timedelta(seconds=age)
    end = NOW - timedelta(seconds=ended) if ended is not None else None
    return runs.Seen(
        FlowRun(id=uuid4(), flow_id=uuid4(), state=state, expected_start_time=made, created=made, end_time=end)
    )


@pytest.mark.parametrize(
    ("known", "what", "number"),
    [
        ([], "start", 0),
        ([seen(Scheduled(), 29)], "wait", 0),
        ([seen(Scheduled(), 31)], "land", 0),
        ([seen(Pending(), 31)], "land", 0),
        ([seen(Running(), 5)], "wait", 0),
        ([seen(Crashed(), 60, 4)], "wait", 1),
        ([seen(Crashed(), 60, 6)], "start", 1),
        ([seen(Crashed(), 60, 9), seen(Completed(), 60, 50)], "wait", 2),
        ([seen(Crashed(), 60, 11), seen(Completed(), 60, 50)], "start", 2),
        ([seen(Crashed(), 60, 299)] * 30, "wait", 30),
        ([seen(Crashed(), 60, 301)] * 30, "start", 30),
    ],
)
def test_what_to_do_about_a_hop_that_passes(known: list[runs.Seen], what: str, number: int) -> None:
    """Start once, wait for it, do without it, and never hammer."""
    step = runs.step(known, NOW)
    assert (step.what, step.number) == (what, number)


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("plain text, 1.4", "plain text, 1.4"),
        ("a | b", "a \\| b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[click](https://evil.example)", "\\[click\\](https:\\/\\/evil.example)"),
        ("`code` *bold* _it_ ~no~ # no ! \\", "\\`code\\` \\*bold\\* \\_it\\_ \\~no\\~ \\# no \\! \\\\"),
        ("two\nlines\r\n\n# title", "two lines \\# title"),
        ("bell\x07 esc\x1b[31m rtl\u202e", "bell esc \\[31m rtl"),
        ("{{ 7*7 }}", "{{ 7\\*7 }}"),
        ("mail@example.com www.example.com", "mail\\@example.com www\\.example.com"),
        ("&lt;", "&amp;lt;"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_text_is_text(text: str, page: str) -> None:
    """What authors and forms write is shown, and never is markup, a tag, a link or another line."""
    assert pages.escape(text) == page


@pytest.mark.parametrize("text", ["a`b", "a|b", "a\nb", "a<b"])
def test_code_cannot_be_broken_out_of(text: str) -> None:
    """A path that would end its code span is text."""
    assert not pages.code(text).startswith("`")


def test_keys_fit_and_stay_apart() -> None:
    """Prefect allows lower-case letters, digits and dashes; other names differ still."""
    assert pages.key("board", "shop") == "board-shop"
    made = {pages.key("board", name) for name in ("Shop", "shop", "shop_", "shop.")}
    assert len(made) == 4
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for key in made)


def test_a_table_is_no_longer_than_people_read() -> None:
    """Twenty rows, and how many there are more."""
    lines = pages.table(("a", "b"), [["1", "2"]] * 25)
    assert len(lines) == 3 + 20 + 1
    assert lines[-1] == "| 5 more | |"


# --- when to ask people, and when nobody works on that any more -----------------------------------------------------


@pytest.mark.parametrize(
    ("known", "what", "number"),
    [
        ([], "ask", 0),
        ([seen(Suspended(), 9000)], "wait", 0),
        ([seen(Scheduled(), 9000)], "wait", 0),
        ([seen(Cancelled(), 60, 4)], "wait", 1),
        ([seen(Cancelled(), 60, 6)], "ask", 1),
        ([seen(Cancelled(), 60, 50), seen(Suspended(), 40)], "wait", 1),
        ([seen(Cancelled(), 60, 301)] * 30, "ask", 30),
    ],
)
def test_people_are_asked_once(known: list[runs.Seen], what: str, number: int) -> None:
    """Again only once a request has ended, with the next number, and never in a hurry."""
    step = requests.step([each.run for each in known], NOW)
    assert (step.what, step.number) == (what, number)


def at(state: State[Any], age: timedelta) -> FlowRun:
    """A run that has been in a state for so long."""
    return FlowRun(
        id=uuid4(), flow_id=uuid4(), state=state.model_copy(update={"timestamp": NOW - age}), created=NOW - age
    )


def test_who_is_lost_and_who_waits() -> None:
    """A process that works says more within minutes; a form that is up may wait for days."""
    long, soon = timedelta(minutes=4), timedelta(seconds=29)
    assert [requests.is_lost(at(s, long), NOW) for s in (Running(), Pending(), Suspended(), Scheduled())] == [
        True,
        True,
        False,
        False,
    ]
    assert [requests.is_lost(at(s, soon), NOW) for s in (Running(), Pending())] == [False, False]
    assert [requests.is_waiting(at(s, long), NOW) for s in (Scheduled(), Running(), Suspended())] == [
        True,
        False,
        False,
    ]
    assert not requests.is_waiting(at(Scheduled(), soon), NOW)


# --- how a request ends ----------------------------------------------------------------------------------------------


@pytest.fixture
def stage(build: Callable[..., Stage], tmp_path: Path) -> Stage:
    """dev -> qa, which asks two people about a change that is healthy in dev."""
    gate = Spec("approval", {"from": [ALICE, BOB], "count": 2})
    made = build(environment(tmp_path, "dev"), environment(tmp_path, "qa", "dev", gates=(gate,)))
    made.round()
    made.commit("dev", {"web": "2\n"})
    made.round()
    return made


def ends(
    stage: Stage, then: Plan, age: timedelta = timedelta(0), current: Plan | None = None
) -> tuple[str, str] | None:
    """How a request about a plan ends that was made so long ago; None while it does not."""
    plan = stage.plan("qa", chosen=then.commit)
    facts = gather(stage.site, stage.world(), plan, then.plan_id or "", {}, current)
    state = requests.over(facts, stage.now - age, stage.now)
    return (state.name or "", state.message or "") if state else None


def test_a_request_stays_until_enough_have_said_yes(stage: Stage) -> None:
    """One is not enough."""
    plan = stage.plan("qa")
    assert ends(stage, plan) is None
    approve(stage.site, plan, who=ALICE)
    assert ends(stage, plan) is None
    approve(stage.site, plan, who=BOB)
    assert ends(stage, plan) == ("Approved", "approval 2 of 2 (alice, bob)")


def test_a_no_ends_it(stage: Stage) -> None:
    plan = stage.plan("qa")
    reject(stage.site, plan, who=BOB, reason="no")
    assert ends(stage, plan) == ("Rejected", f"by {BOB}: no")


def test_a_hold_ends_it(stage: Stage) -> None:
    plan = stage.plan("qa")
    hold(stage.site, stage.env("qa"), plan.commit or "", "wait for the fix")
    assert (ends(stage, plan) or ("",))[0] == "Void"


def test_another_target_voids_it(stage: Stage) -> None:
    plan = stage.plan("qa")
    stage.commit("qa", {"hotfix": "1\n"})
    name, why = ends(stage, plan) or ("", "")
    assert (name, why.startswith(f"plan {(plan.plan_id or '')[:8]} is void: ")) == ("Void", True)


def test_a_newer_one_supersedes_it_unless_somebody_said_yes(stage: Stage) -> None:
    plan = stage.plan("qa")
    stage.commit("dev", {"web": "3\n"})
    stage.round()
    newer = stage.plan("qa")
    assert (ends(stage, plan, current=newer) or ("",))[0] == "Superseded"
    approve(stage.site, plan, who=ALICE)
    assert ends(stage, plan, current=newer) is None


def test_it_expires(stage: Stage) -> None:
    plan = stage.plan("qa")
    assert ends(stage, plan, timedelta(hours=23)) is None
    assert (ends(stage, plan, timedelta(hours=24)) or ("",))[0] == "Expired"


def test_what_landed_is_no_void_plan(stage: Stage) -> None:
    plan = stage.plan("qa")
    approve(stage.site, plan, who=ALICE)
    approve(stage.site, plan, who=BOB)
    stage.round()
    assert ends(stage, plan) == ("Approved", f"landed as {stage.tip('qa')[:7]}")


def test_people_are_asked_where_only_they_are_missing(stage: Stage) -> None:
    """Not about what is blocked, nor about what has been approved."""
    plan = stage.plan("qa")
    assert requests.wanted(plan)
    assert not requests.wanted(replace(plan, verdict="block"))
    assert not requests.wanted(replace(plan, asked=None))
    approve(stage.site, plan, who=ALICE)
    approve(stage.site, plan, who=BOB)
    assert not requests.wanted(stage.plan("qa"))


# --- the form --------------------------------------------------------------------------------------------------------


def test_a_form_fails_closed() -> None:
    """Who and what must be chosen, from lists; nothing is filled in, and nothing more is taken."""
    people = {BOB: "", ALICE: "an author: may only reject"}
    schema = form.model(people, code=True, description="x").model_json_schema()
    assert schema["required"] == ["decision", "who", "code"]
    assert [each for each in schema["properties"].values() if "default" in each] == []
    assert schema["properties"]["decision"]["enum"] == ["approve", "reject"]
    assert schema["properties"]["who"]["enum"] == [BOB, f"{ALICE} (an author: may only reject)"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("[]", "other fields"),
        ("no json", "not readable"),
        ({"decision": "approve"}, "other fields"),
        ({"decision": "approve", "who": ALICE, "more": "x"}, "other fields"),
        ({"decision": "approve", "who": [ALICE]}, "who is no text"),
        ({"decision": "maybe", "who": ALICE}, "none of approve, reject"),
        ({"decision": "approve", "who": ALICE, "reason": "x" * 2001}, "2001 characters"),
    ],
    ids=str,
)
def test_what_no_form_of_ours_sends_is_refused(typed: Any, said: str) -> None:
    """Whoever can reach the API can send anything."""
    with pytest.raises(RefusedError, match=said):
        form.read(typed if isinstance(typed, str) else json.dumps(typed))


def test_an_answer_is_what_was_typed() -> None:
    """Text stays text; why an answer may not count is no part of a name."""
    typed = {"decision": "reject", "who": f"{ALICE} (an author: may only reject)", "reason": " {{7*7}} "}
    assert form.read(json.dumps(typed)) == form.Answer("reject", ALICE, "{{7*7}}", "")


@pytest.mark.parametrize("kind", [asked.Asked, asked.Round, asked.Back])
def test_what_another_version_asks_is_refused(kind: Any) -> None:
    """And never left out."""
    with pytest.raises(ConfigError, match="`override`, which the version that serves does not know"):
        kind.of({"override": ["soak"]})
