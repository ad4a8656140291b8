"""The check `metric` against a real Prometheus that scrapes a service: what it answers to good, bad, gone and odd numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from promotion.checks import metric
from promotion.gates import GATES
from promotion.gates.contract import Question
from promotion.model import Health, Reading, Subject
from tests.support.apiserver import until
from tests.support.prometheus import Measured, missing, prometheus

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SHA = "9f8e7d6" + "0" * 33
OLD = "1a2b3c4" + "0" * 33
HEALTHY, DEGRADED, UNKNOWN, PROGRESSING = Health.HEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.PROGRESSING
RATE = 'errors{app="shop"}'


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    if why := missing():
        pytest.skip(why)
    with prometheus(tmp_path_factory.mktemp("prometheus")) as started:
        yield started


def ask(measured: Measured, query: str = RATE, expect: str = "< 0.01", **more: Any) -> Reading:
    settings = {"server": measured.url, "query": query, "expect": expect} | {k.rstrip("_"): v for k, v in more.items()}
    return metric.ask(settings, Subject("shop", "qa", SHA))


def test_numbers_of_now(measured: Measured) -> None:
    """One series, several, a scalar; of several all must meet it, and the line names those that do not."""
    measured.set({'errors{app="shop",pod="a"}': "0.001", 'errors{app="shop",pod="b"}': "0.002"})
    until(lambda: ask(measured) == Reading(HEALTHY, "all 2 series < 0.01"))
    until(lambda: ask(measured, f"sum({RATE})") == Reading(HEALTHY, "0.003 < 0.01"))
    until(lambda: ask(measured, f"scalar(sum({RATE}))", ">= 0.003") == Reading(HEALTHY, "0.003 >= 0.003"))
    measured.set({'errors{app="shop",pod="a"}': "0.001", 'errors{app="shop",pod="b"}': "0.5"})
    until(lambda: 'pod="b"} is 0.5, expected < 0.01' in (reason := ask(measured).reason) and 'pod="a"' not in reason)
    until(lambda: ask(measured).health is DEGRADED)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("nowhere", "the query finds nothing"),
        ("vector(0) / 0", "nan, which is no number to compare"),
        ("scalar(nowhere)", "nan, which is no number to compare"),
        ("vector(1) / 0", "inf, which is no number to compare"),
        ("-vector(1) / 0", "-inf, which is no number to compare"),
        ('"0"', "the query gives a string"),
        ("up[1m]", "the query gives a matrix: it must end in one number for each series"),
        ("sum(", "400: invalid parameter"),
        ("up + on(nowhere) group_left() up + 1", "422: "),
    ],
)
@pytest.mark.parametrize("more", [{}, {"for_": "1s"}], ids=["now", "for"])
def test_odd_answers_are_unknown(measured: Measured, query: str, why: str, more: dict[str, str]) -> None:
    """In Prometheus' own words where it has some."""
    measured.set({'up_a{x="1"}': "1"})
    if query.startswith("up +"):
        measured.set({'a{x="1"}': "1", 'a{x="2"}': "1"})
        query = "a + on() a"
    reading = ask(measured, query, "< 5", **more)
    assert reading.health is UNKNOWN
    assert why in reading.reason


def test_a_while(measured: Measured) -> None:
    """Too young at first, then long enough; one bad number begins it anew, and a hole is unknown until it is out of sight."""
    series = 'errors{app="shop"}'
    measured.set({})
    until(lambda: ask(measured).health is UNKNOWN)
    measured.set({series: "0"})
    until(lambda: ask(measured, for_="6s").health is PROGRESSING)
    until(lambda: ask(measured, for_="6s") == Reading(HEALTHY, "0 < 0.01 for 6s"))
    measured.set({series: "1"})
    until(lambda: ask(measured, for_="6s").health is DEGRADED)
    measured.wait(1)
    measured.set({series: "0"})
    until(lambda: ask(measured, for_="6s").health is PROGRESSING)
    until(lambda: ask(measured, for_="6s").health is HEALTHY)


def test_a_service_that_is_gone(measured: Measured) -> None:
    """Its numbers are gone with it, and what they were before is not what they are; back again, there is a hole."""
    series = 'errors{app="shop"}'
    measured.set({series: "0"})
    until(lambda: ask(measured, for_="5s").health is HEALTHY)
    measured.up = False
    until(lambda: ask(measured).reason.endswith("the query finds nothing"))
    assert ask(measured, for_="5s").health is UNKNOWN
    measured.wait(2)
    measured.up = True
    until(lambda: ask(measured).health is HEALTHY)
    assert ask(measured, for_="5s").reason.endswith("has a hole within 5s")
    until(lambda: ask(measured, for_="5s").health is HEALTHY)


def test_pods_that_come_and_go(measured: Measured) -> None:
    """A series that has ended, and one that is new, never held; their sum did."""
    old, new = (f'errors{{app="shop",pod="{name}"}}' for name in "ab")
    measured.set({old: "0"})
    until(lambda: ask(measured, for_="5s").health is HEALTHY)
    measured.set({old: "0", new: "0"})
    until(lambda: ask(measured, for_="5s").health is PROGRESSING)
    measured.set({new: "0"})
    until(lambda: ask(measured, for_="5s").health is UNKNOWN)
    until(lambda: ask(measured, f"sum({RATE})", for_="5s").health is HEALTHY)
    until(lambda: ask(measured, for_="5s").health is HEALTHY)


def test_only_the_revision_that_is_asked_about(measured: Measured) -> None:
    """What the version before it measured is not about it."""
    query = 'errors{revision="{revision}"}'
    measured.set({f'errors{{revision="{OLD}"}}': "0"})
    assert ask(measured, query).health is UNKNOWN
    measured.set({f'errors{{revision="{OLD}"}}': "1", f'errors{{revision="{SHA}"}}': "0"})
    until(lambda: ask(measured, query) == Reading(HEALTHY, "0 < 0.01"))


def test_as_a_gate(measured: Measured) -> None:
    """It passes, blocks and waits."""
    settings = {"server": measured.url, "query": RATE, "expect": "< 0.01"}
    question = Question(Subject("shop", "qa", SHA), "dev", datetime.now(UTC), timedelta(minutes=10), None, None)
    for value, verdict in (("0", "pass"), ("1", "block"), (None, "wait")):
        measured.set({RATE: value} if value else {})
        until(lambda verdict=verdict: GATES["metric"](settings, question).verdict == verdict)  # type: ignore[misc]
