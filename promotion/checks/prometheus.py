"""What Prometheus answers, read and judged; pure, must not ask it.

An answer counts only when it is whole: whatever is missing, marked, of another kind or not a number is unclear (S3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from promotion.expectation import Expectation
from promotion.model import Health, Reading
from promotion.said import one_line
from promotion.texts import span

STEPS = 240
"""At how many moments of a window it is looked, at least..."""
STEP = 60
"""...and how many seconds may lie between two of them."""
LONGEST = 7 * 86400
"""Seconds of a window: Prometheus answers with at most 11,000 moments."""
NAMED = 3
"""How many series are named in one line."""


class UnclearError(Exception):
    """There was no answer that could be compared."""


@dataclass(frozen=True, slots=True)
class Window:
    """The moments that are asked about, in whole seconds: from `start` to `end`, every `step`."""

    start: int
    end: int
    step: int

    @property
    def moments(self) -> range:
        return range(self.start, self.end + 1, self.step)


@dataclass(frozen=True, slots=True)
class Series:
    """A series by its labels (empty: it has none), and its values by second."""

    name: str
    values: Mapping[float, float]


def window(end: float, seconds: int) -> Window:
    """At least `seconds` long, up to the last whole second before `end`."""
    step = min(STEP, max(1, math.ceil(seconds / STEPS)))
    last = int(end)
    return Window(last - math.ceil(seconds / step) * step, last, step)


# --- reading --------------------------------------------------------------------------------------------------------


def now(body: bytes) -> tuple[float, tuple[Series, ...]]:
    """An instant query's answer: the server's time, in seconds, and the series. Raises UnclearError."""
    kind, result = _result(body)
    if kind == "scalar":
        at, value = _point(result)
        return at, (Series("", {at: value}),)
    if kind != "vector":
        hint = ": it must end in one number for each series" if kind == "matrix" else ""
        raise UnclearError(f"the query gives a {one_line(str(kind), 20)}{hint}")
    found = tuple(_series(each, [each["value"]]) for each in _listed(result, "value"))
    times = {at for each in found for at in each.values}
    if not found:
        raise UnclearError("the query finds nothing")
    if len(times) != 1:
        raise UnclearError("the answer is about several moments")
    _distinct(found)
    return times.pop(), found


def over(body: bytes) -> tuple[Series, ...]:
    """A range query's answer. Raises UnclearError."""
    kind, result = _result(body)
    if kind != "matrix":
        raise UnclearError("the answer about the window is no matrix")
    found = tuple(_series(each, each["values"]) for each in _listed(result, "values"))
    _distinct(found)
    return found


def fault(body: bytes) -> str:
    """What Prometheus says in an answer that is an error; empty when it says nothing."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = answer.get("error") if isinstance(answer, dict) else None
    return one_line(said, 150) if isinstance(said, str) else ""


def _result(body: bytes) -> tuple[Any, Any]:
    try:
        answer = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise UnclearError("the answer is not JSON") from exc
    if not isinstance(answer, dict) or answer.get("status") != "success" or not isinstance(answer.get("data"), dict):
        raise UnclearError(f"no success: {fault(body)}" if fault(body) else "the answer is not Prometheus'")
    for key in ("warnings", "infos"):
        if marks := answer.get(key):
            said = marks[0] if isinstance(marks, list) else marks
            raise UnclearError(f"answered with {key}: {one_line(str(said), 150)}")
    if answer.get("isPartial"):
        raise UnclearError("a part of the answer is missing")
    return answer["data"].get("resultType"), answer["data"].get("result")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("two equal keys")
    return found


def _listed(result: Any, key: str) -> list[dict[str, Any]]:
    if not isinstance(result, list) or not all(isinstance(each, dict) for each in result):
        raise UnclearError("the answer is not Prometheus'")
    if any("histogram" in each or "histograms" in each for each in result):
        raise UnclearError("the query gives histograms: it must end in one number for each series")
    if not all(key in each for each in result):
        raise UnclearError("the answer is not Prometheus'")
    return result


def _series(written: Mapping[str, Any], points: Any) -> Series:
    labels = written.get("metric")
    if not isinstance(labels, dict) or not isinstance(points, list):
        raise UnclearError("the answer is not Prometheus'")
    metric = labels.get("__name__", "")
    inner = ", ".join(f"{key}={json.dumps(labels[key])}" for key in sorted(labels) if key != "__name__")
    pairs = [_point(point) for point in points]
    if len(values := dict(pairs)) != len(pairs):
        raise UnclearError("the answer has two values for one moment")
    return Series(f"{metric}{{{inner}}}" if inner else str(metric), values)


def _point(point: Any) -> tuple[float, float]:
    """A time and a number, which Prometheus writes as text."""
    match point:
        case [int() | float() as at, str() as value] if not isinstance(at, bool) and math.isfinite(at):
            try:
                return at, float(value)
            except ValueError as exc:
                raise UnclearError(f"`{one_line(value, 30)}` is no number") from exc
    raise UnclearError("the answer is not Prometheus'")


def _distinct(found: Sequence[Series]) -> None:
    if len({each.name for each in found}) != len(found):
        raise UnclearError("the answer has a series twice")


# --- judging --------------------------------------------------------------------------------------------------------


def judge(found: Sequence[Series], expected: Expectation) -> Reading:
    """One moment: every series must meet what is expected; what is no number meets nothing, and is no clear no either."""
    values = [(each.name, value) for each in found for value in each.values.values()]
    bad = [(name, value) for name, value in values if math.isfinite(value) and not expected.met_by(value)]
    odd = [(name, value) for name, value in values if not math.isfinite(value)]
    if bad:
        return Reading(Health.DEGRADED, f"{_which(bad, len(values))}, expected {expected}")
    if odd or not values:
        return Reading(Health.UNKNOWN, f"{_which(odd, len(values))}, which is no number to compare")
    if len(values) == 1:
        return Reading(Health.HEALTHY, f"{values[0][1]:g} {expected}")
    return Reading(Health.HEALTHY, f"all {len(values)} series {expected}")


def lasting(asked: Window, at_once: Sequence[Series], found: Sequence[Series], expected: Expectation) -> Reading:
    """A whole window: the expectation was met at every moment of it, by every series that was there at any of them.

    Progressing: it is met by now, but not for so long yet. A hole in a series is unknown: nobody knows what was in it.
    """
    last = [Series(each.name, {at: v for at, v in each.values.items() if at == asked.end}) for each in found]
    if (reading := judge([each for each in last if each.values], expected)).health is Health.DEGRADED:
        return reading
    there = {each.name: each.values for each in found}
    if gone := [each.name for each in at_once if each.name not in there]:
        return Reading(Health.UNKNOWN, one_line(f"{gone[0] or 'the series'} has no past"))
    since = asked.start
    for name, values in there.items():
        if values.keys() - set(asked.moments):
            raise UnclearError("the answer has moments that were not asked for")
        moments = [at for at in asked.moments if at in values]
        if not moments or moments != list(range(moments[0], asked.end + 1, asked.step)):
            return Reading(Health.UNKNOWN, one_line(f"{name or 'the series'} has a hole within {_long(asked)}"))
        since = max([since, moments[0], *(at + asked.step for at in moments if not expected.met_by(values[at]))])
    if reading.health is not Health.HEALTHY:
        return reading
    if since > asked.start:
        return Reading(Health.PROGRESSING, f"{expected} for {_span(asked.end - since)} of {_long(asked)}")
    return Reading(Health.HEALTHY, f"{reading.reason} for {_long(asked)}")


def _long(asked: Window) -> str:
    return _span(asked.end - asked.start)


def _span(seconds: int) -> str:
    return span(timedelta(seconds=seconds))


def _which(values: Iterable[tuple[str, float]], count: int) -> str:
    listed = list(values)
    shown = [f"{one_line(name, 80)} is {value:g}" if count > 1 else f"{value:g}" for name, value in listed[:NAMED]]
    more = f" and {len(listed) - NAMED} more of {count} series" if len(listed) > NAMED else ""
    return ", ".join(shown) + more
