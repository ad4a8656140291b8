"""What a long command is waiting for: one line that is written over on a terminal, a new line for each change elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from promotion.cli.context import Call
from promotion.cli.output import plain
from promotion.reconcile import Result, Steps
from promotion.stop import Stop


class Progress:
    """Use with `with`, so that the last line is cleared at the end. Goes to stderr; silent with `-q`."""

    def __init__(self, call: Call) -> None:
        self._quiet = call.quiet
        self._terminal = sys.stderr.isatty() and not call.verbose
        self._said = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal and self._said:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        text = plain(text).replace("\n", " ")
        if self._quiet or text == self._said:
            return
        self._said = text
        sys.stderr.write(f"\r\x1b[K{text[:150]}" if self._terminal else f"{text}\n")
        sys.stderr.flush()


def followed(call: Call, begin: Callable[[Callable[[], bool]], Steps], seconds: float, stop: Stop) -> Result:
    """Follows what is waited for, and says so, until it is over, time is, or somebody wants an end."""
    until, pause = time.monotonic() + seconds, 1.0
    steps = begin(lambda: time.monotonic() >= until or stop.is_set())
    with Progress(call) as progress:
        while True:
            try:
                progress.say(next(steps))
            except StopIteration as ended:
                result: Result = ended.value
                return result
            stop.wait(min(pause, max(0.0, until - time.monotonic())))
            pause = min(5.0, pause * 1.5)
