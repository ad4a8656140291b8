"""A wish for an end, which a signal's handler may set at any moment."""

from __future__ import annotations

import time

SLICE = 0.1
"""Seconds after which whoever waits looks again."""


class Stop:
    """What `threading.Event` is, but without a lock: a handler runs in the thread that waits, and may come upon it holding one."""

    def __init__(self) -> None:
        self._wished = False

    def set(self) -> None:
        self._wished = True

    def is_set(self) -> bool:
        return self._wished

    def wait(self, seconds: float) -> bool:
        """Returns after so many seconds, or as soon as it is set; whether it is."""
        until = time.monotonic() + seconds
        while not self._wished and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE))
        return self._wished
