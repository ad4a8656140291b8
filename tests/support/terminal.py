"""A command on a terminal of its own, as somebody types it and looks at it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

CTRL_C = "\x03"


class Terminal:
    """Starts a command that leads a session on a new terminal, so that Ctrl-C reaches it as it reaches people's. Use `with`."""

    def __init__(self, argv: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.master, self._slave = pty.openpty()
        self.said = ""
        """What is on the screen so far."""
        opened = 'exec "$@" 0<>"$0" 1>&0 2>&0'  # whoever leads a session and opens a terminal has it
        self.process = subprocess.Popen(
            ["sh", "-c", opened, os.ttyname(self._slave), *argv], cwd=folder, env=environ, start_new_session=True
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        os.close(self._slave)
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, pattern: str, seconds: float = 240) -> re.Match[str]:
        """What matches on the screen, once it does (MULTILINE). Fails when the command ends before, or takes longer."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said, re.MULTILINE)):
            ended = self.process.poll() is not None
            if not self._read() and (ended or time.monotonic() > end):
                raise AssertionError(f"no {pattern!r} on the screen:\n{self.said}")
        return found

    def ended(self, seconds: float = 60) -> int:
        """Its exit status, once there is one; reads on meanwhile, since a full terminal lets nobody write."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            self._read()
            assert time.monotonic() < end, f"it goes on after {seconds:g} s:\n{self.said}"
        while self._read(0):
            pass
        return self.process.wait()

    def _read(self, seconds: float = 0.1) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        with suppress(OSError):
            self.said += os.read(self.master, 1 << 16).decode(errors="replace").replace("\r\n", "\n")
        return True
