"""What Prometheus answers: only a whole, unmarked answer of finite numbers, all as expected, is healthy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion.checks.prometheus import LONGEST, Series, UnclearError, Window, fault, judge, lasting, now, over, window
from promotion.expectation import expectation
from promotion.model import Health

BELOW = expectation("< 0.01")
HEALTHY, DEGRADED, UNKNOWN, PROGRESSING = Health.HEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.PROGRESSING
AT = 1_700_000_000


def body(result: Any, kind: str = "vector", **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}).encode()


def vector(*values: str, **more: Any) -> bytes:
    return body([{"metric": {"n": str(i)}, "value": [AT + 0.25, v]} for i, v in enumerate(values)], **more)


@pytest.mark.parametrize(
    ("answer", "health", "reason"),
    [
        (vector("0.003"), HEALTHY, "0.003 < 0.01"),
        (vector("0.003", "0"), HEALTHY, "all 2 series < 0.01"),
        (body([AT, "0"], "scalar"), HEALTHY, "0 < 0.01"),
        (vector("0.5"), DEGRADED, "0.5, expected < 0.01"),
        (vector("0", "0.5"), DEGRADED, '{n="1"} is 0.5, expected < 0.01'),
        (
            vector(*"999990"),
            DEGRADED,
            '{n="0"} is 9, {n="1"} is 9, {n="2"} is 9 and 2 more of 6 series, expected < 0.01',
        ),
        (vector("NaN", "0.5"), DEGRADED, '{n="1"} is 0.5, expected < 0.01'),
        (vector("NaN"), UNKNOWN, "nan, which is no number to compare"),
        (vector("0", "NaN"), UNKNOWN, '{n="1"} is nan, which is no number to compare'),
        (vector("-Inf"), UNKNOWN, "-inf, which is no number to compare"),
        (vector("+Inf"), UNKNOWN, "inf, which is no number to compare"),
    ],
)
def test_a_moment(answer: bytes, health: Health, reason: str) -> None:
    """All series must meet the expectation; the line names those that do not."""
    at, found = now(answer)
    assert at in (AT, AT + 0.25)
    reading = judge(found, BELOW)
    assert (reading.health, reading.reason) == (health, reason)


def test_no_series_is_no_answer() -> None:
    """Whoever asks about nothing is told so, and a judge without series says nothing good."""
    assert judge([], BELOW).health is UNKNOWN


UNCLEAR: list[tuple[bytes, str]] = [
    (body([]), "the query finds nothing"),
    (body([AT, "x"], "string"), "the query gives a string"),
    (body([{"metric": {}, "values": [[AT, "0"]]}], "matrix"), "a matrix: it must end in one number for each series"),
    (body([{"metric": {}, "histogram": [AT, {"count": "1"}]}]), "the query gives histograms"),
    (body([{"metric": {}, "value": [AT, "0"], "histogram": [AT, {}]}]), "the query gives histograms"),
    (vector("0", warnings=["a store is away"]), "answered with warnings: a store is away"),
    (vector("0", warnings="odd"), "answered with warnings: odd"),
    (vector("0", infos=["PromQL info: ignored histograms"]), "answered with infos: PromQL info: ignored histograms"),
    (vector("0", isPartial=True), "a part of the answer is missing"),
    (b'{"status":"error","errorType":"timeout","error":"query timed out"}', "no success: query timed out"),
    (vector("0").replace(b"success", b"error"), "the answer is not Prometheus'"),
    (vector("0")[:-20], "the answer is not JSON"),
    (b"<html>", "the answer is not JSON"),
    (b"[" * 200_000, "the answer is not JSON"),
    (b"null", "the answer is not Prometheus'"),
    (b'{"status":"success"}', "the answer is not Prometheus'"),
    (body({"a": 1}), "the answer is not Prometheus'"),
    (body([1]), "the answer is not Prometheus'"),
    (body([{"metric": {}}]), "the answer is not Prometheus'"),
    (body([{"value": [AT, "0"]}]), "the answer is not Prometheus'"),
    (body([{"metric": {}, "value": [AT, 0]}]), "the answer is not Prometheus'"),
    (body([{"metric": {}, "value": [AT]}]), "the answer is not Prometheus'"),
    (body([{"metric": {}, "value": ["0", "0"]}]), "the answer is not Prometheus'"),
    (body([True, "0"], "scalar"), "the answer is not Prometheus'"),
    (body([AT, "0,5"], "scalar"), "`0,5` is no number"),
    (body([{"metric": {}, "value": [AT, "0"]}] * 2), "the answer has a series twice"),
    (
        body([{"metric": {}, "value": [AT, "0"]}, {"metric": {"a": "1"}, "value": [AT + 1, "0"]}]),
        "the answer is about several moments",
    ),
    (b'{"status":"error","status":"success","data":{"resultType":"scalar","result":[1,"0"]}}', "not JSON"),
]


@pytest.mark.parametrize(("answer", "why"), UNCLEAR)
def test_what_is_no_whole_answer(answer: bytes, why: str) -> None:
    """Another kind, a mark, an error, a half: nothing that could pass."""
    with pytest.raises(UnclearError) as caught:
        now(answer)
    assert why in str(caught.value)


def test_an_error_is_told_in_its_own_words() -> None:
    """In one line, whatever the server wrote; what is no error of Prometheus' says nothing."""
    assert fault(b'{"status":"error","error":"parse error\\n at \\u001b[31mchar 5"}') == "parse error at char 5"
    assert [fault(b"<html>"), fault(b"[]"), fault(b'{"error": 5}')] == ["", "", ""]


# --- windows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "step"), [(1, 1), (30, 1), (240, 1), (241, 2), (600, 3), (3600, 15), (14400, 60), (LONGEST, 60)]
)
def test_a_window_is_whole(seconds: int, step: int) -> None:
    """Never shorter than what is asked for, with steps that fit it, and no more moments than are answered."""
    asked = window(AT + 0.9, seconds)
    assert asked.end == AT
    assert asked.step == step
    assert seconds <= asked.end - asked.start < seconds + step
    assert asked.moments[0] == asked.start
    assert asked.moments[-1] == asked.end
    assert len(asked.moments) <= 11_000


WINDOW = Window(AT - 10, AT, 2)


def held(*series: dict[int, str], at_once: int = 1) -> tuple[Health, str]:
    """What the answer about a window of six moments comes to; a series is given by its values, by seconds before the end."""
    result = [
        {"metric": {"n": str(i)}, "values": [[AT - ago, v] for ago, v in sorted(each.items(), reverse=True)]}
        for i, each in enumerate(series)
    ]
    found = over(body(result, "matrix"))
    present = [Series(f'{{n="{i}"}}', {AT + 0.25: 0.0}) for i in range(at_once)]
    reading = lasting(WINDOW, present, found, BELOW)
    return reading.health, reading.reason


ALL: dict[int, str] = dict.fromkeys((10, 8, 6, 4, 2, 0), "0")


@pytest.mark.parametrize(
    ("series", "health", "reason"),
    [
        ([ALL], HEALTHY, "0 < 0.01 for 10s"),
        ([ALL, ALL], HEALTHY, "all 2 series < 0.01 for 10s"),
        ([ALL | {0: "1"}], DEGRADED, "1, expected < 0.01"),
        ([ALL, ALL | {0: "1"}], DEGRADED, '{n="1"} is 1, expected < 0.01'),
        ([ALL | {6: "1"}], PROGRESSING, "< 0.01 for 4s of 10s"),
        ([ALL | {10: "1"}], PROGRESSING, "< 0.01 for 8s of 10s"),
        ([ALL | {2: "NaN"}], PROGRESSING, "< 0.01 for 0s of 10s"),
        ([ALL | {2: "+Inf"}], PROGRESSING, "< 0.01 for 0s of 10s"),
        ([ALL | {0: "NaN"}], UNKNOWN, "nan, which is no number to compare"),
        ([{4: "0", 2: "0", 0: "0"}], PROGRESSING, "< 0.01 for 4s of 10s"),  # younger than the window
        ([ALL, {0: "0"}], PROGRESSING, "< 0.01 for 0s of 10s"),
        ([{k: v for k, v in ALL.items() if k != 6}], UNKNOWN, '{n="0"} has a hole within 10s'),
        ([{k: v for k, v in ALL.items() if k != 0}], UNKNOWN, '{n="0"} has a hole within 10s'),  # it has ended
        ([ALL, {10: "0"}], UNKNOWN, '{n="1"} has a hole within 10s'),
        ([ALL, {}], UNKNOWN, '{n="1"} has a hole within 10s'),
        ([], UNKNOWN, '{n="0"} has no past'),
    ],
)
def test_a_window(series: list[dict[int, str]], health: Health, reason: str) -> None:
    """Every series at every moment; what was bad and is good now is on its way, what nobody knows is unknown."""
    assert held(*series) == (health, reason)


def test_a_series_that_the_window_does_not_know() -> None:
    """What is there now has to have been there all the time."""
    assert held(ALL, at_once=2) == (UNKNOWN, '{n="1"} has no past')


def test_moments_that_were_not_asked_for() -> None:
    """Something between us and Prometheus answers another question."""
    with pytest.raises(UnclearError, match="moments that were not asked for"):
        held(ALL | {1: "0"})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (vector("0"), "the answer about the window is no matrix"),
        (body([{"metric": {}, "values": [[AT, "0"]], "histograms": []}], "matrix"), "the query gives histograms"),
        (body([{"metric": {}, "values": 0}], "matrix"), "the answer is not Prometheus'"),
        (body([{"metric": {}, "values": [[AT, "0"], [AT, "1"]]}], "matrix"), "two values for one moment"),
        (body([{"metric": {}, "values": []}] * 2, "matrix"), "a series twice"),
        (body([{"metric": {}, "values": [[AT, "0"]]}], "matrix", warnings=["x"]), "answered with warnings: x"),
    ],
)
def test_what_is_no_answer_about_a_window(answer: bytes, why: str) -> None:
    """As for a moment."""
    with pytest.raises(UnclearError, match=why):
        over(answer)


def test_no_series_at_all_never_held() -> None:
    """Not even when nobody asked for one."""
    assert lasting(WINDOW, [], [], BELOW).health is UNKNOWN


@given(
    st.lists(
        st.dictionaries(st.sampled_from([10, 8, 6, 4, 2, 0]), st.sampled_from(["0", "0.009", "1", "NaN", "+Inf"])),
        max_size=3,
    )
)
def test_healthy_is_said_of_whole_windows_only(series: list[dict[int, str]]) -> None:
    """Whatever the window holds: healthy exactly when each series has a number that meets it at each moment."""
    whole = bool(series) and all(each.keys() == ALL.keys() and {*each.values()} <= {"0", "0.009"} for each in series)
    assert (held(*series)[0] is HEALTHY) == whole
