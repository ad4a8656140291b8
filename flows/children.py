"""Keeps processes running: starts them, starts them again when they end, ends them; knows nothing of what they do."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a process that ended is started again; doubled each time, and forgotten when it lived for a minute."""
PATIENCE = 15.0
"""Seconds that a process has to end by itself."""


@dataclass
class Child:
    """One process that is to be there."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    pause: float = FIRST_PAUSE
    since: float = 0.0
    """When it was started, or ended, in monotonic seconds."""

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches only us, and its whole group can be ended. Its standard input is how it
        # notices that we are gone.
        self.process = subprocess.Popen(self.argv, env=self.environ, stdin=subprocess.PIPE, start_new_session=True)
        self.since = time.monotonic()

    def look(self) -> None:
        """Starts it (again) when it is time to."""
        now = time.monotonic()
        if self.process is None:
            if now - self.since >= self.pause:
                self.start()
            return
        status = self.process.poll()
        if status is None:
            return
        self.kill()
        self.pause = FIRST_PAUSE if now - self.since > LONGEST_PAUSE else min(self.pause * 2, LONGEST_PAUSE)
        log.warning("%s ended (%s); starting it again in %.0f s", self.name, status, self.pause)
        self.process, self.since = None, now

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """What is left of its group, children that it forgot included."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


@dataclass
class Ending:
    """How often we were told to end."""

    told: int = 0


@contextmanager
def signals(ending: Ending) -> Iterator[None]:
    """SIGTERM, SIGINT and a closed terminal are counted while this lasts; under nohup a closed terminal is nothing."""

    def tell(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        ending.told += 1

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, tell) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep(children: Sequence[Child], ending: Ending) -> None:
    """Keeps these running until we are told to end."""
    while not ending.told:
        for child in children:
            child.look()
        time.sleep(0.2)


def end(children: Sequence[Child], ending: Ending) -> None:
    """Ends them all: each may finish its step; being told once more, or running out of patience, kills."""
    told, until = ending.told, time.monotonic() + PATIENCE
    for child in children:
        child.end()
    while time.monotonic() < until and ending.told == told:
        if all(child.process is None or child.process.poll() is not None for child in children):
            break
        time.sleep(0.05)
    for child in children:
        child.kill()


def become(options: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """Runs a foreign program, `argv` of the options, as if we were it; its chatter is nobody's answer.

    The signal that ends our group ends it first.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)
    quiet = subprocess.DEVNULL
    return subprocess.run(options["argv"], env=environ, stdin=quiet, stdout=quiet, check=False).returncode
