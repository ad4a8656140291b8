"""State, events and the ledger: what is written is read again, whatever it is, and the fold keeps what decisions need."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion import ledger
from promotion.errors import ConfigError, RefusedError
from promotion.events import KINDS, Event
from promotion.fold import FACTS, fold
from promotion.model import Entry, Health
from promotion.shapes import wrong
from promotion.state import EnvironmentState, Fact, Given, Hold, Observed, Release, State, Steady, Verification
from promotion.stored import COMPLETE, entries_from_json, entries_to_json, from_json, to_json
from promotion.texts import instant, iso
from tests.support.stage import START, Stage

BEAT = timedelta(minutes=10)


def oid(number: int) -> str:
    return f"{number:040x}"


def event(kind: str, environment: str | None, seconds: float = 0, **data: Any) -> Event:
    return Event(kind, "shop", environment, START + timedelta(seconds=seconds), "ann", data)


def observed(number: int, health: str, seconds: float, environment: str = "dev") -> Event:
    return event("observed", environment, seconds, revision=oid(number), health=health, reasons=[health])


def promoted(number: int, source: int, seconds: float, environment: str = "qa") -> Event:
    until = (START + timedelta(seconds=seconds + 900)).isoformat()
    keys = {**dict.fromkeys(KINDS["promoted"], oid(0)), "commit": oid(number), "source": oid(source), "until": until}
    return event("promoted", environment, seconds, **keys)


def folded(*events: Event, state: State | None = None) -> State:
    in_force = {"heartbeat": "10m", "environments": {"dev": {}, "qa": {"from": "dev"}, "prod": {"from": "qa"}}}
    state = state or State("shop", in_force)
    for each in events:
        state = fold(state, each)
    return state


# --- JSON ----------------------------------------------------------------------------------------------------------

text = st.text(max_size=12)
oids = st.integers(0, 50).map(oid)
times = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))
paths = st.binary(min_size=1, max_size=8).filter(lambda p: b"\0" not in p)
entries = st.dictionaries(
    paths, st.none() | st.builds(Entry, st.sampled_from([0o100644, 0o100755, 0o120000, 0o160000]), oids), max_size=5
)
healths = st.sampled_from(list(Health))
environments = st.builds(
    EnvironmentState,
    release=st.none() | st.builds(Release, oids, oids, st.none() | oids),
    since=st.none() | times,
    epoch=text,
    observed=st.none()
    | st.builds(
        Observed, st.none() | oids, healths, st.lists(text, max_size=3).map(tuple), times, times, st.none() | times
    ),
    steady=st.none() | st.builds(Steady, times, times),
    facts=st.dictionaries(oids, st.builds(Fact, healths, times, times, st.none() | times), max_size=5),
    verification=st.none()
    | st.builds(
        Verification,
        oids,
        times,
        st.sampled_from(["pending", "verified", "failed", "timed-out"]),
        st.none() | times,
        st.booleans(),
    ),
    releases=st.dictionaries(
        oids, st.builds(Given, st.none() | oids, st.booleans(), st.booleans(), st.none() | oids), max_size=3
    ),
    holds=st.lists(st.builds(Hold, oids, entries, text, text, times), max_size=3).map(tuple),
)
states = st.builds(
    State, text, st.none() | st.just({"heartbeat": "10m"}), st.dictionaries(text, environments, max_size=3)
)


@given(states)
def test_a_state_is_read_as_it_was_written(state: State) -> None:
    """Through the very bytes of state.json."""
    assert from_json(json.loads(ledger._dump(to_json(state)))) == state


@given(entries)
def test_paths_keep_all_their_bytes(found: dict[bytes, Entry | None]) -> None:
    """Not UTF-8, surrogates in disguise, quotes, newlines: in state.json and in the event."""
    data: dict[str, Any] = {"commit": oid(1), "entries": entries_to_json(found), "reason": "no"}
    read = Event.from_json(json.loads(ledger._dump(event("held", "qa", **data).to_json())))
    assert entries_from_json(read.data["entries"]) == found
    assert folded(read).of("qa").holds[0].entries == found


@given(st.sampled_from(sorted(KINDS)), text, text, times)
def test_an_event_is_read_as_it_was_written(kind: str, name: str, by: str, at: datetime) -> None:
    """Whatever people are called, and whatever they say."""
    fitting = [name, oid(1), iso(at), "healthy", [name], [], {}, True, 7, {"commit": oid(1), "entries": {}}]
    data = {
        key: next(value for value in fitting if not wrong({key: value}))
        for key in KINDS[kind] or ("revision", "health", "reasons")
    }
    written = Event(kind, "shop", name, at, by, data)
    assert Event.from_json(json.loads(ledger._dump(written.to_json()))) == written


@pytest.mark.parametrize(
    "change",
    [
        *({"event": "unheard-of"}, {"at": "yesterday"}, {"at": None}, {"id": ...}, {"by": ...}, {"environment": ...}),
        *({"commit": ...}, {"source": ...}, {"until": ...}, {"plan_id": ...}),
    ],
)
def test_a_record_that_lacks_something_is_refused(change: dict[str, Any]) -> None:
    """One clear line, exit status 4."""
    raw = {**promoted(1, 2, 0).to_json(), **change}
    with pytest.raises(RefusedError, match="ledger record"):
        Event.from_json({k: v for k, v in raw.items() if v is not ...})


WRONG: dict[str, tuple[Any, ...]] = {
    "commit": (None, 5, ["x"], "HEAD", oid(1)[:39], "A" * 40, oid(1) + "\n"),
    "source": (7, "main"),
    "until": (5, "soon", "2026-11-24T18:00", "9999-12-31T23:59:59-12:00"),
    "approvers": ("alice", [1], {}),
    "plan_id": (None, 5),
    "resolution": ({}, {"commit": oid(1)}, {"commit": oid(1), "entries": {"web": ["100644", 7]}}),
    "step": (True, 1.5, float("inf"), "1"),
    "holds": ({}, [{"commit": oid(1)}], [{"commit": oid(1), "entries": {"web": ["rw", oid(1)]}}]),
    "health": ("fine", None),
    "strict": ("yes", None),
    "by": (None, {"name": "x"}),
    "id": (5,),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_record_of_another_shape_is_refused(key: str, value: Any) -> None:
    """It would be told only when it is used, by a round that a bug ends."""
    with pytest.raises(
        RefusedError, match=f"a ledger record promoted has what is none as {'names' if key in ('by', 'id') else key}"
    ):
        Event.from_json({**promoted(1, 2, 0).to_json(), key: value})


@pytest.mark.parametrize("missing", ["revision", "health", "reasons"])
def test_an_observation_that_lacks_something_is_refused(missing: str) -> None:
    """It is either about one environment, or says which ones are as before."""
    raw = observed(1, "healthy", 0).to_json()
    del raw[missing]
    with pytest.raises(RefusedError, match="ledger record"):
        Event.from_json(raw)
    with pytest.raises(RefusedError, match="ledger record"):
        Event.from_json({**event("observed", None).to_json()})


@pytest.mark.parametrize(
    "text",
    [
        *("{}", "[]", "null", '{"format": 5}', '{"format": "1"}', '{"format": 1, "application": "shop"}'),
        '{"format": 1, "application": "shop", "in_force": null, "environments": {"qa": {}}}',
        '{"format": 1, "application": "shop", "in_force": null, "environments": {"qa": []}}',
        '{"format": 1, "application": "shop", "in_force": null, "environments": [1]}',
    ],
)
def test_a_state_that_is_none_of_ours_is_refused(text: str) -> None:
    """Never taken for an empty one; a newer format says so."""
    with pytest.raises(RefusedError, match="update Promotion" if "5" in text else "not readable"):
        from_json(json.loads(text))


# --- the fold ------------------------------------------------------------------------------------------------------


def test_the_last_word_counts_and_first_healthy_is_kept() -> None:
    """S1: each commit's own word, whoever came after it."""
    state = folded(observed(1, "progressing", 1), observed(1, "healthy", 2), observed(2, "degraded", 3)).of("dev")
    assert (state.facts[oid(1)].health, state.facts[oid(2)].health) == (Health.HEALTHY, Health.DEGRADED)
    again = folded(*(observed(1, h, n) for n, h in enumerate(["healthy", "degraded", "healthy"]))).of("dev")
    assert again.facts[oid(1)] == Fact(Health.HEALTHY, START, START + timedelta(seconds=2), START)


def test_a_promotion_is_a_release_with_a_pending_verification() -> None:
    """`previous` is the release before it, the event's id its epoch; a judgement of another commit is not its own."""
    first, second = promoted(1, 2, 0), promoted(3, 4, 10)
    e = folded(first, event("verified", "qa", 5, commit=oid(1), reasons=[]), second).of("qa")
    assert e.release == Release(oid(3), oid(4), oid(1))
    assert (e.epoch, e.since) == (second.id, second.at)
    assert e.verification == Verification(oid(3), START + timedelta(seconds=910))
    late = folded(first, second, event("failed", "qa", 20, commit=oid(1), reasons=[])).of("qa")
    assert late.verification == e.verification


def test_absorbing_moves_what_the_release_stands_for_and_nothing_else() -> None:
    """No new release, no new epoch, no verification."""
    before = folded(promoted(1, 2, 0)).of("qa")
    after = folded(promoted(1, 2, 0), event("absorbed", "qa", 5, plan_id="x", source=oid(9), base="b", target="t"))
    assert after.of("qa").release == Release(oid(1), oid(9), None)
    assert (after.of("qa").since, after.of("qa").verification) == (before.since, before.verification)


def test_a_hold_is_kept_until_it_is_lifted() -> None:
    """Once per commit; the failed verification that led to it is done with, also after the lift."""
    held = {"entries": entries_to_json({b"web": None}), "reason": "no"}
    events = [promoted(1, 2, 0), event("failed", "qa", 1, commit=oid(1), reasons=[])]
    state = folded(*events, *(event("held", "qa", n, commit=oid(c), **held) for n, c in ((2, 1), (3, 5), (4, 1))))
    assert [h.commit for h in state.of("qa").holds] == [oid(5), oid(1)]
    lifted = fold(state, event("lifted", "qa", 5, commit=oid(1))).of("qa")
    assert [h.commit for h in lifted.holds] == [oid(5)]
    assert lifted.verification is not None
    assert lifted.verification.acted
    assert lifted.verification.state == "failed"


def test_heartbeats_carry_a_stretch_on_and_silence_breaks_it() -> None:
    """Never degraded, missing, or unobserved for more than two heartbeats."""

    def beat(minutes: float) -> Event:
        return event("observed", None, 60 * minutes, environments=["dev", "qa"])

    start = observed(1, "healthy", 0)
    assert folded(start, beat(10), beat(30)).of("dev").steady == Steady(START, START + timedelta(minutes=30))
    broken = folded(start, beat(10), beat(31)).of("dev").steady
    assert broken == Steady(START + timedelta(minutes=31), START + timedelta(minutes=31))
    for health in ("degraded", "missing"):
        assert folded(start, observed(1, health, 5)).of("dev").steady is None
        assert folded(start, observed(1, health, 5), beat(1)).of("dev").steady is None
    unknown = folded(start, observed(1, "unknown", 5), beat(10), beat(21), observed(1, "healthy", 22 * 60)).of("dev")
    assert unknown.steady == Steady(START + timedelta(minutes=22), START + timedelta(minutes=22))
    assert folded(start, beat(10)).of("qa") == EnvironmentState()


@given(st.lists(st.tuples(st.integers(0, 9), healths), min_size=1, max_size=30))
def test_a_heartbeat_is_no_part_of_what_is_decided_on(readings: list[tuple[int, Health]]) -> None:
    """S4: the read-set is the same before and after one that is in time, whatever was read before."""
    state = folded(*(observed(n, h, i) for i, (n, h) in enumerate(readings)))
    beat = event("observed", None, len(readings) + 30, environments=["dev"])
    assert fold(state, beat).of("dev").deciding() == state.of("dev").deciding()


@pytest.mark.parametrize("health", [h for h in Health if h is not Health.HEALTHY])
@pytest.mark.parametrize("number", [1, None])
def test_every_other_reading_is_part_of_what_is_decided_on(number: int | None, health: Health) -> None:
    """S4: of another health, or of nothing that can be named, which leaves no fact behind."""
    state = folded(observed(1, Health.HEALTHY, 0))
    later = fold(state, event("observed", "dev", 1, revision=number and oid(number), health=health, reasons=[]))
    assert later.of("dev").deciding() != state.of("dev").deciding()


@given(st.lists(st.tuples(st.integers(1, 30), healths, st.booleans()), max_size=60))
def test_the_fold_never_loses_a_fact_that_a_decision_needs(steps: list[tuple[int, Health, bool]]) -> None:
    """Commits come in order, each observed several times: all after the release keep their last word and first healthy."""
    said: dict[int, list[Health]] = {}
    state, base, tip = folded(observed(0, "healthy", 0), promoted(100, 0, 0)), 0, 0
    for number, (ahead, health, promote) in enumerate(steps):
        tip = min(tip + ahead % 3, 30)
        said.setdefault(tip, []).append(health)
        state = fold(state, observed(tip, health, number + 1))
        if promote and health is Health.HEALTHY:
            base = tip
            state = fold(state, promoted(100 + tip, base, number + 1))
    facts = state.of("dev").facts
    for commit, healths_said in said.items():
        if commit > base:
            assert facts[oid(commit)].health is healths_said[-1]
            assert (facts[oid(commit)].healthy_since is not None) is (Health.HEALTHY in healths_said)
    assert all(fact.health is said[int(name, 16)][-1] for name, fact in facts.items() if int(name, 16) in said)


def test_facts_are_bounded_and_the_same_when_replayed() -> None:
    """At most so many, the newest; the ones that decisions stand on stay; equal times fall the same way twice."""
    state = read = folded()
    for number in range(FACTS + 50):
        each = observed(999 - number, "healthy", number // 7)
        state, read = fold(state, each), from_json(json.loads(ledger._dump(to_json(fold(read, each)))))
        assert state == read
    facts = state.of("dev").facts
    assert len(facts) <= FACTS + 2
    assert oid(999 - FACTS - 49) in facts


def test_an_unknown_event_is_refused() -> None:
    """A newer version's ledger is not half understood."""
    for each in (event("unheard-of", "qa"), event("promoted", None)):
        with pytest.raises(RefusedError, match="not known"):
            folded(each)


def test_an_event_about_an_environment_that_nobody_knows_is_refused() -> None:
    """By name, alone or among others; one that the file does not have any more is known still."""
    state = folded(observed(1, "healthy", 0))
    for each in (
        observed(1, "healthy", 1, "staging"),
        event("held", "staging", commit=oid(1), entries={}, reason="no"),
        event("observed", None, environments=["dev", "staging"]),
    ):
        with pytest.raises(RefusedError, match="staging"):
            folded(each, state=state)
    without = {"heartbeat": "10m", "environments": {"qa": {}}}
    state = folded(event("configured", None, in_force=without, reason="less"), state=state)
    assert folded(observed(2, "healthy", 2), state=state).of("dev").observed
    assert folded(observed(2, "healthy", 2, "staging"), state=State("shop")).of("staging").observed


# --- the ledger in Git ---------------------------------------------------------------------------------------------


def test_a_record_is_a_commit_whose_tree_is_the_state(stage: Stage) -> None:
    """Readable without us: subject for people, `[skip ci]`, one JSON object; state.json and nothing else in the tree of one with few holds."""
    stage.round()
    commits = stage.origin.log(stage.application.ledger)
    assert [c.subject for c in commits][-1] == "shop: all configured"
    for commit in commits:
        assert set(stage.origin.tree(commit.commit)) == {"state.json"}
        _, _, body = commit.message.partition("[skip ci]\n")
        assert json.loads(body)["application"] == "shop"
        assert json.loads(stage.origin.show(commit.commit, "state.json") or "")["format"] == COMPLETE


@pytest.mark.parametrize("files", [{}, {"state.json": "not json"}, {"state.json": '{"format": 99}'}])
def test_a_ledger_that_is_none_is_refused(stage: Stage, files: dict[str, str]) -> None:
    """Whatever lies on that branch is never taken for an empty ledger, nor overwritten."""
    name = stage.application.ledger.removeprefix("refs/heads/")
    tip = stage.origin.commit(name, {"x": "1\n"} | files)  # type: ignore[arg-type]
    with pytest.raises(RefusedError):
        stage.round()
    assert stage.origin.tip(name) == tip


def test_another_applications_ledger_is_refused(stage: Stage) -> None:
    """Two files that name one ledger do not mix."""
    stage.round()
    stage.application = replace(stage.application, name="billing")
    stage.site = stage.open("billing")
    with pytest.raises(RefusedError, match="belongs to 'shop'"):
        stage.round()


@pytest.mark.parametrize("year", [1980, 9999])
def test_a_clock_that_is_far_off_records_nothing(build: Callable[..., Stage], year: int) -> None:
    """Nobody could read its record: not even to put it right."""
    event = Event(
        "configured", "shop", None, datetime(year, 12, 31, tzinfo=UTC), "alice", {"in_force": {}, "reason": "x"}
    )
    with pytest.raises(ConfigError, match=f"this machine's clock says {year}-12-31"):
        ledger.append(build().site.repository, None, State("shop"), [event])


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_nobody_can_write_again_is_not_read(at: str) -> None:
    with pytest.raises(ValueError, match="none that anything of ours happens at"):
        instant(at)
