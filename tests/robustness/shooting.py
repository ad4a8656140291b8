"""A `git` found through PATH that counts its calls, and kills or stops its caller at the one it was told."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

WRAPPER = """\
#!/bin/sh
here='{here}'
read -r n < "$here/count"
n=$((n + 1))
echo "$n" > "$here/count"
if [ -e "$here/order" ] && read -r at how < "$here/order" && [ "$n" = "$at" ]; then
  case "$how $*" in
    after\\ *cat-file*--batch*) how=during;;  # it ends when its caller does
  esac
  case $how in
    before) kill -9 $PPID; exit 1;;
    during) kill -9 $PPID;;
    after) '{git}' "$@"; kill -9 $PPID; exit 0;;
    stop) kill -STOP $PPID;;
    stopped) '{git}' "$@"; status=$?; kill -STOP $PPID; exit $status;;
  esac
fi
exec '{git}' "$@"
"""
MODES = ("before", "during", "after")
"""Its caller dies before git ran, git goes on alone (a push lands after its client died), or dies when git is done."""


@dataclass(frozen=True, slots=True)
class Gun:
    """The wrapper in a folder of its own; `path` is what the shot process is to find git with."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Gun:
        folder.mkdir(parents=True)
        git = shutil.which("git")
        assert git
        (folder / "count").write_text("0\n")
        (folder / "git").write_text(WRAPPER.format(here=folder, git=git))
        (folder / "git").chmod(0o755)
        return cls(folder)

    @property
    def path(self) -> str:
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    def aim(self, call: int, how: str) -> None:
        (self.folder / "count").write_text("0\n")
        (self.folder / "order").write_text(f"{call} {how}\n")

    @property
    def calls(self) -> int:
        return int((self.folder / "count").read_text() or 0)


def quiet(folder: Path, seconds: float = 600) -> None:
    """Waits until no process whose command line names `folder` is left but ours: orphans finish what they were told."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(os.fsencode(folder) in line for line in _commands()):
            return
        time.sleep(0.01)
    raise AssertionError(f"processes below {folder} do not end")


def _commands() -> list[bytes]:
    lines: list[bytes] = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                lines.append((process / "cmdline").read_bytes())
    return lines


def killed(process: subprocess.Popen[str]) -> bool:
    """Waits for a process to end; whether it was killed."""
    process.communicate(timeout=600)
    return process.returncode == -signal.SIGKILL
