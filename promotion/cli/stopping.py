"""Ctrl-C and SIGTERM as a wish that is granted between two steps; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from promotion.cli.context import Call
from promotion.cli.output import note
from promotion.stop import Stop


@contextmanager
def stopping(call: Call) -> Iterator[Stop]:
    """What is set when somebody wants an end. Raises KeyboardInterrupt where they insist."""
    wished = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield wished
        return

    def wish(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if wished.is_set():
            raise KeyboardInterrupt
        wished.set()
        with suppress(RuntimeError):  # it came upon this very thread while it wrote to stderr
            note(call, "ending after this step; once more stops at once")

    before = [(number, signal.signal(number, wish)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield wished
    finally:
        for number, handler in before:
            signal.signal(number, handler)
