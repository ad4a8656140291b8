"""A wish for an end may come at any moment."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from promotion.stop import Stop


def wished_at(stop: Stop, number: int) -> bool:
    """Waits for it, and wishes before the line of this number that is run meanwhile, as a signal's handler in this thread does; whether there was one."""
    lines = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == number:
                stop.set()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        stop.wait(0.01)
    finally:
        sys.settrace(before)
    return stop.is_set()


@pytest.mark.timeout(20)
def test_a_wish_comes_at_any_line_of_waiting_for_it() -> None:
    """threading.Event would wait for itself: whoever waits holds its lock at some of them."""
    number = 1
    while wished_at(Stop(), number):
        number += 1
    assert number > 3


def test_it_is_waited_for_no_longer_than_asked() -> None:
    """Set or not, it is told."""
    stop = Stop()
    assert not stop.wait(0.01)
    stop.set()
    assert stop.wait(3600)
