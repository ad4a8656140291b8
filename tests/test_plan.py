"""The decision, driven by answers alone: which commit may land, why the others may not, and what a plan's name is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion.model import Application, Commit, Environment, Health, Person, Spec, Verdict
from promotion.plan import decide, plan_id
from promotion.state import EnvironmentState, Fact, Freeze, Hold, Observed, Release, Steady, Verification
from promotion.view import Gates, Merge, Merged, Plan, Question, View

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PERSON = Person("ann", "ann@example.com")
PASS, WAIT, BLOCK = (Verdict("window", word, word) for word in ("pass", "wait", "block"))


def oid(number: int) -> str:
    return f"{number:040x}"


def commit(number: int) -> Commit:
    return Commit(oid(number), oid(number), (oid(number - 1),), PERSON, PERSON, NOW, "a change")


def facts(**healths: str) -> dict[str, Fact]:
    """`c3="healthy"`: what was last said of commit 3."""
    return {oid(int(name[1:])): Fact(Health(health), NOW, NOW, NOW) for name, health in healths.items()}


def view(newest: int = 3, /, *, said: dict[str, Fact] | None = None, **more: Any) -> View:
    """qa stands for commit 0 of dev; dev has commits up to `newest`, all healthy unless `said`."""
    dev, qa = Environment("dev", "env/dev"), Environment("qa", "env/qa", "dev", deciding={"from": "dev"})
    known = facts(**{f"c{n}": "healthy" for n in range(newest + 1)}) if said is None else said
    keys: dict[str, Any] = {
        "application": Application("shop", "/shop.git", "refs/heads/promotion/shop", (dev, qa)),
        "environment": qa,
        "now": NOW,
        "state": EnvironmentState(Release(oid(100), oid(0)), epoch="e1"),
        "source_state": EnvironmentState(facts=known),
        "tip": oid(100),
        "base": oid(0),
        "source_tip": oid(newest),
        "chain": tuple(commit(n) for n in range(newest, 0, -1)),
        "contents": (oid(100), oid(0)),
    }
    return View(**{**keys, **more})


def merged(number: int, **more: Any) -> Merged:
    return replace(Merged(oid(1000 + number), oid(1000 + number)), **more)


def answered(
    of: View,
    gates: Callable[[int], tuple[Verdict, ...]] = lambda _: (PASS,),
    merge: Callable[[int], Merged] = merged,
) -> tuple[Plan, list[Question]]:
    """The plan, and the questions that led to it."""
    answers: dict[Question, Any] = {}
    while not isinstance(step := decide(of, answers), Plan):
        assert step not in answers, "asked twice"
        number = int(step.commit, 16)
        answers[step] = gates(number) if isinstance(step, Gates) else merge(number)
    return step, list(answers)


def words(plan: Plan) -> tuple[str, str | None]:
    return plan.verdict, plan.commit


# --- which candidate -----------------------------------------------------------------------------------------------


def test_the_newest_qualified_commit_lands() -> None:
    """Without asking about the older ones."""
    plan, asked = answered(view(3))
    assert words(plan) == ("pass", oid(3))
    assert {q.commit for q in asked} == {oid(3)}
    assert plan.passed_over == ()


@pytest.mark.parametrize(
    ("health", "word"),
    [("degraded", "block"), ("progressing", "wait"), ("unknown", "wait"), ("missing", "wait"), ("suspended", "wait")],
)
def test_a_commit_that_does_not_qualify_is_passed_over_with_its_reason(health: str, word: str) -> None:
    """The older one that does lands; without one the plan is for the newest and says what it is."""
    plan, _ = answered(view(2, said=facts(c1="healthy", c2=health)))
    assert words(plan) == ("pass", oid(1))
    (over,) = plan.passed_over
    assert (over.commit, over.verdict) == (oid(2), word)
    assert health in over.reason
    plan, _ = answered(view(2, said=facts(c1="degraded", c2=health)))
    assert words(plan) == (word, oid(2))
    assert health in plan.reason
    assert plan.plan_id is not None
    assert [p.commit for p in plan.passed_over] == [oid(1)]


def test_not_yet_observed_waits() -> None:
    """No fact is no permission (S3)."""
    plan, asked = answered(view(2, said={}))
    assert words(plan) == ("wait", oid(2))
    assert "not yet observed in dev" in plan.reason
    assert not any(isinstance(q, Gates) for q in asked)


def test_a_commit_that_waits_does_not_starve_an_older_one_that_passes() -> None:
    """Nor does one that a gate blocks."""
    for verdict in (WAIT, BLOCK):
        plan, _ = answered(view(3), lambda n, v=verdict: (v,) if n == 3 else (PASS,))  # type: ignore[misc]
        assert words(plan) == ("pass", oid(2))
        assert [(p.commit, p.verdict) for p in plan.passed_over] == [(oid(3), verdict.verdict)]


def test_when_none_passes_the_newest_that_only_waits_is_shown() -> None:
    """A blocked one above it is passed over, with the gate's name and reason."""
    plan, _ = answered(view(3), lambda n: (BLOCK,) if n == 3 else (WAIT,))
    assert words(plan) == ("wait", oid(2))
    assert plan.reason == "window: wait"
    assert ("window: block", "block") in [(p.reason, p.verdict) for p in plan.passed_over]
    plan, _ = answered(view(3), lambda _: (BLOCK,))
    assert words(plan) == ("block", oid(3))


def test_one_that_waits_and_one_gate_that_blocks_is_blocked() -> None:
    """The worst word of all gates is the plan's, and every verdict is kept in its order."""
    plan, _ = answered(view(1), lambda _: (PASS, WAIT, BLOCK, PASS))
    assert plan.verdict == "block"
    assert [v.gate for v in plan.verdicts] == ["source", *["window"] * 4]


def test_nothing_to_do_when_the_source_has_nothing_new() -> None:
    """No commit past B, no plan id, no question."""
    plan, asked = answered(view(0))
    assert (plan.verdict, plan.plan_id, asked) == ("nothing", None, [])
    assert plan.reason == "qa has all of dev"
    rewound, _ = answered(view(0, source_tip=oid(77), strayed=True))
    assert words(rewound) == ("block", oid(77))
    assert "rewound" in rewound.reason


def test_one_commit_may_be_asked_for_and_qualifies_the_same_way() -> None:
    """Only that one is looked at; one that is not there is no other one."""
    plan, asked = answered(view(3, chosen=oid(2)))
    assert words(plan) == ("pass", oid(2))
    assert {q.commit for q in asked} == {oid(2)}
    assert words(answered(view(3, chosen=oid(2), said=facts(c3="healthy", c2="degraded")))[0]) == ("block", oid(2))
    plan, _ = answered(view(3, chosen=oid(50)))
    assert words(plan) == ("block", oid(50))
    assert "no commit of dev" in plan.reason
    plan, _ = answered(view(3, chosen=oid(50), arrived=True))
    assert (plan.verdict, plan.commit) == ("nothing", None)


def test_what_could_not_be_read_is_no_permission() -> None:
    """The source is away in this round: everything waits, with why; what is known to be sick stays blocked."""
    plan, _ = answered(view(2, unread="dev could not be read: timeout"))
    assert words(plan) == ("wait", oid(2))
    assert "timeout" in plan.reason
    plan, _ = answered(view(1, unread="timeout", said=facts(c1="degraded")))
    assert plan.verdict == "block"


# --- the gates that no file has to name -----------------------------------------------------------------------------


def test_auto_false_waits_for_a_person() -> None:
    """And says the command; by hand it passes, and says so."""
    qa = replace(view().environment, auto=False)
    plan, _ = answered(view(1, environment=qa))
    assert plan.verdict == "wait"
    assert "promotion promote qa" in plan.reason
    plan, _ = answered(view(1, environment=qa, by_hand=True))
    assert plan.verdict == "pass"
    assert [v.gate for v in plan.verdicts] == ["source", "auto", "window"]
    plan, _ = answered(view(1, environment=qa, by_hand=True), lambda _: (WAIT,))
    assert plan.verdict == "wait"


def test_a_freeze_blocks_until_its_end() -> None:
    """Of this environment or of everything; one without an end holds until it is thawed."""
    for until, word in ((None, "block"), (NOW + timedelta(seconds=1), "block"), (NOW, "pass")):
        frozen = Freeze("quarter end", "ann", NOW - timedelta(hours=1), until)
        for of in (view(frozen=frozen), view(state=replace(view().state, frozen=frozen))):
            plan, _ = answered(of)
            assert (until, plan.verdict) == (until, word)
            assert word == "pass" or "quarter end" in plan.reason


@pytest.mark.parametrize(
    ("state", "seconds", "word"),
    [
        *(("pending", 60, "wait"), ("pending", 0, "pass"), ("pending", -1, "pass")),
        *(("failed", 60, "pass"), ("timed-out", 60, "pass"), ("verified", 60, "pass")),
    ],
)
def test_a_pending_verification_lets_newer_ones_wait(state: Any, seconds: int, word: str) -> None:
    """Until a known time, and never after it failed or timed out."""
    until = NOW + timedelta(seconds=seconds)
    watched = EnvironmentState(Release(oid(100), oid(0)), verification=Verification(oid(100), until, state))
    plan, _ = answered(view(2, state=watched))
    assert plan.verdict == word
    assert [v.until for v in plan.verdicts if v.verdict == "wait"] == ([until] if word == "wait" else [])


def held(number: int) -> EnvironmentState:
    return EnvironmentState(Release(oid(100), oid(0)), holds=(Hold(oid(number), {}, "broke the till", "ann", NOW),))


def test_a_held_commit_is_refused_in_source_and_target() -> None:
    """By its id; the commit before it lands."""
    known = view().source_state.facts
    cases: list[dict[str, Any]] = [{"state": held(3)}, {"source_state": replace(held(3), facts=known)}]
    for more in cases:
        plan, _ = answered(view(3, **more))
        assert words(plan) == ("pass", oid(2))
        assert "broke the till" in plan.passed_over[0].reason
        plan, _ = answered(view(3, chosen=oid(3), **more))
        assert plan.verdict == "block"


def test_a_held_change_is_refused_by_content() -> None:
    """Every candidate is merged while there are holds, so that no older or newer one brings it in."""
    no = Verdict("hold", "block", "brings back it")
    cases: list[dict[str, Any]] = [
        {"state": held(50)},
        {"source_state": replace(held(50), facts=view().source_state.facts)},
    ]
    for more in cases:
        plan, asked = answered(view(3, **more), merge=lambda n: merged(n, held=no if n > 1 else None))
        assert words(plan) == ("pass", oid(1))
        assert [p.reason for p in plan.passed_over] == ["hold: brings back it"] * 2
        plan, _ = answered(view(3, **more), merge=lambda n: merged(n, held=no))
        assert words(plan) == ("block", oid(3))
        assert {q for q in asked if isinstance(q, Merge)} == {Merge(oid(n)) for n in (1, 2, 3)}


# --- what a merge gives ----------------------------------------------------------------------------------------------


def test_absorbed_passes_after_the_source_gate_alone() -> None:
    """Nothing is deployed, so neither windows nor people are asked."""
    qa = replace(view().environment, auto=False)
    plan, asked = answered(view(2, environment=qa), lambda _: (BLOCK,), lambda n: merged(n, absorbed=True))
    assert (plan.verdict, plan.absorbs) == ("pass", True)
    assert not any(isinstance(q, Gates) for q in asked)
    plan, _ = answered(view(1, said=facts(c1="degraded")), merge=lambda n: merged(n, absorbed=True))
    assert (plan.verdict, plan.absorbs) == ("block", False)


def test_what_is_required_counts_for_what_is_absorbed_too() -> None:
    """Nothing is deployed, and yet the target would stand for a commit that its wave does not have."""
    target = replace(view().environment, requires=("wave",))
    for word in (WAIT, PASS):
        of, known = view(1, environment=target), dict[Question, Any]()
        while not isinstance(step := decide(of, known), Plan):
            known[step] = merged(1, absorbed=True) if isinstance(step, Merge) else (word,)
        assert step.verdict == word.verdict


def test_a_mirror_that_would_lose_something_is_refused() -> None:
    """By the paths that only the target has."""
    plan, _ = answered(view(1), merge=lambda n: merged(n, lost=(b"only/here",)))
    assert plan.verdict == "block"
    assert "only/here" in plan.reason


def test_a_conflict_is_a_verdict_of_its_own() -> None:
    """No plan id, the paths named, whatever bytes they have."""
    clash = Merged(None, conflicts=(b"web", b"\xff"))
    plan, _ = answered(view(1), merge=lambda _: clash)
    assert (plan.verdict, plan.plan_id, plan.commit) == ("conflict", None, oid(1))
    assert "web, \\xff" in plan.reason


def test_a_conflict_does_not_keep_an_older_candidate_that_has_none() -> None:
    """The newest one without; with it the base moves, and the conflict may be none any more. Else the newest conflict is told."""
    clash = Merged(None, conflicts=(b"web",))
    for absorbed in (True, False):
        plan, _ = answered(view(4), merge=lambda n, absorbed=absorbed: clash if n > 2 else merged(n, absorbed=absorbed))
        assert words(plan) == ("pass", oid(2))
        assert [(p.commit, p.reason, p.verdict) for p in plan.passed_over] == [
            (oid(n), "both sides changed web", "conflict") for n in (4, 3)
        ]
    plan, _ = answered(view(3), lambda n: (WAIT if n == 1 else PASS,), lambda _: clash)
    assert (plan.verdict, plan.commit, plan.plan_id) == ("conflict", oid(3), None)
    assert [p.commit for p in plan.passed_over] == [oid(2), oid(1)]
    plan, asked = answered(view(3, chosen=oid(3)), merge=lambda n: clash if n > 2 else merged(n))
    assert (plan.verdict, plan.commit) == ("conflict", oid(3))
    assert asked.count(Merge(oid(2))) == 0


def test_only_what_can_matter_is_merged() -> None:
    """200 commits that wait cost no 200 merges."""
    plan, asked = answered(view(200), lambda _: (WAIT,))
    assert words(plan) == ("wait", oid(200))
    assert len([q for q in asked if isinstance(q, Merge)]) == 1


gate_words = st.sampled_from([PASS, WAIT, BLOCK])
healths = st.none() | st.sampled_from([*[Health.HEALTHY] * 4, *Health])


@given(st.lists(st.tuples(healths, gate_words, st.booleans()), min_size=1, max_size=8))
def test_the_decision_is_what_the_rules_say(commits: list[tuple[Health | None, Verdict, bool]]) -> None:
    """Against the rules in one line each: S1, newest that passes, nothing that is held, a reason for each passed over."""
    said = {oid(n): Fact(h, NOW, NOW, NOW) for n, (h, _, _) in enumerate(commits, 1) if h}
    no = Verdict("hold", "block", "held")
    of = view(len(commits), state=held(50), source_state=EnvironmentState(facts=said))
    plan, _ = answered(of, lambda n: (commits[n - 1][1],), lambda n: merged(n, held=no if commits[n - 1][2] else None))
    fit = [
        n
        for n, (health, gate, is_held) in enumerate(commits, 1)
        if health is Health.HEALTHY and gate.verdict == "pass" and not is_held
    ]
    if fit:
        assert words(plan) == ("pass", oid(max(fit)))
        assert [p.commit for p in plan.passed_over] == [oid(n) for n in range(len(commits), max(fit), -1)]
    else:
        assert plan.verdict in ("wait", "block")
        assert {plan.commit, *(p.commit for p in plan.passed_over)} == {oid(n) for n in range(1, len(commits) + 1)}
    assert all(p.reason for p in plan.passed_over)
    assert plan.reason


# --- plan_id -------------------------------------------------------------------------------------------------------


def identity(of: View, **more: Any) -> str:
    plan, _ = answered(of, merge=lambda n: merged(n, **more))
    assert plan.plan_id is not None
    assert len(plan.plan_id) == 64
    return plan.plan_id


def test_a_plan_keeps_its_name_while_time_passes() -> None:
    """The same before and after waiting, observing, verifying and being asked for by hand."""
    base = view(1)
    seen = Observed(oid(1), Health.HEALTHY, ("ok",), NOW, NOW)
    watched = Verification(oid(100), NOW + timedelta(minutes=1))
    others = [
        replace(base, now=NOW + timedelta(days=3)),
        replace(base, source_state=replace(base.source_state, observed=seen, steady=Steady(NOW, NOW))),
        replace(base, state=replace(base.state, observed=seen, verification=watched, since=NOW)),
        replace(base, state=replace(base.state, holds=held(1).holds)),
        replace(base, by_hand=True),
        replace(base, chosen=oid(1)),
        replace(base, unread="away"),
        replace(base, source_state=EnvironmentState(facts=facts(c1="degraded"))),
        replace(
            base, environment=replace(base.environment, dwell=timedelta(5), engine=Spec("directory", {"path": "/x"}))
        ),
    ]
    assert {identity(other) for other in others} == {identity(base)}
    plan, _ = answered(base, lambda _: (BLOCK,))
    assert plan.plan_id == identity(base)


def test_every_deciding_input_changes_a_plans_name() -> None:
    """S8 rests on it: source, the contents of D, B and T, the deciding keys, the epoch, whose it is."""
    base = view(1)
    qa, app = base.environment, base.application
    others = [
        identity(base),
        identity(view(2)),
        identity(view(2), digest=oid(1001)),  # another commit with the same content
        identity(replace(base, contents=(oid(101), oid(0)))),
        identity(replace(base, contents=(oid(100), oid(9)))),
        identity(base, digest=oid(5)),
        identity(replace(base, environment=replace(qa, deciding={"from": "dev", "protect": ["x"]}))),
        identity(replace(base, environment=replace(qa, deciding={}))),
        identity(replace(base, environment=replace(qa, name="prod"))),
        identity(replace(base, application=replace(app, name="billing"))),
        identity(replace(base, state=replace(base.state, epoch="e2"))),
    ]
    assert len(set(others)) == len(others)


def test_a_plans_name_does_not_depend_on_the_order_of_keys() -> None:
    """One file, written in another order, is the same file."""
    one, two = ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    base = view(1)
    ids = {
        plan_id(replace(base, environment=replace(base.environment, deciding=d)), oid(1), merged(1)) for d in (one, two)
    }
    assert len(ids) == 1
