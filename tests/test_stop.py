"""A wish for an end may come at any moment."""

from __future__ import annotations

import _thread
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import redirect_stderr
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from promotion.cli.context import Call
from promotion.cli.rounds import Turn, _ended
from promotion.cli.stopping import stopping
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


class Terminal(io.RawIOBase):
    """One that the signal comes upon while it takes what is written."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        signal.raise_signal(signal.SIGINT)
        return len(data)


def test_a_wish_that_comes_while_something_is_written_is_granted_unsaid() -> None:
    """A terminal that was stopped, a pipe that is full: Python refuses to write to it within a write to it."""
    call = Call(Path("environments.yaml"), None, json=False, quiet=False, verbose=False, environ=os.environ)
    with redirect_stderr(io.TextIOWrapper(io.BufferedWriter(Terminal()), "utf-8")), stopping(call) as wished:
        sys.stderr.write("a line of the log\n")
        sys.stderr.flush()
    assert wished.is_set()


def ended(seconds: float | None) -> object:
    return _ended({0: Future[list[Turn]]()}, seconds)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "waits", [lambda: Stop().wait(3600), lambda: ended(None), lambda: ended(0.01)], ids=["stop", "rounds", "first"]
)
def test_a_signal_that_comes_just_before_a_wait_is_seen(waits: Callable[[], object]) -> None:
    """It interrupts no system call then, and nobody comes to run its handler but whoever looks again."""
    threading.Timer(0.2, _thread.interrupt_main, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        waits()


def test_a_round_that_is_over_is_taken_out_while_others_go_on() -> None:
    """After the time that others get to come along; all at once where they do, however long where an end is wanted."""
    over, slow = Future[list[Turn]](), Future[list[Turn]]()
    over.set_result([])
    running = {0: over, 1: slow}
    assert _ended(running, 0.01) == {0: []}
    threading.Timer(0.2, slow.set_result, [[]]).start()
    assert _ended(running, None) == {1: []}
    assert running == {}
