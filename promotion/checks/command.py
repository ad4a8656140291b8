"""The check `command`: a program's exit status is the answer; also runs programs for others, bounded in time and output.

No shell, nothing of our own environment but what is listed, and no decision beyond the exit status.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promotion.model import Health, Reading, Subject
from promotion.said import first_line
from promotion.texts import duration, span

CAP = 64 << 10
"""Bytes of each of a program's two outputs that count; one more is kept, to tell that there were more."""
PASSED = ("PATH", "HOME", "LANG", "TZ")
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit status (None: by no exit of its own), and what it said or why it has no status."""

    status: int | None
    said: str
    output: bytes = field(default=b"", compare=False, repr=False)
    """Its standard output; longer than CAP when there was more than that."""
    complaint: bytes = field(default=b"", compare=False, repr=False)
    """Its standard error, likewise."""


def ask(settings: Mapping[str, Any], subject: Subject) -> Reading:
    """Runs `command` within `timeout`: exit 0 is healthy, 1 degraded, whatever else unknown."""
    ended = run(settings["command"], subject, settings.get("timeout", "30s"), sweep=True)
    match ended.status:
        case 0:
            return Reading(Health.HEALTHY, ended.said or "exit 0")
        case 1:
            return Reading(Health.DEGRADED, ended.said or "exit 1")
        case None:
            return Reading(Health.UNKNOWN, ended.said)
        case status:
            return Reading(Health.UNKNOWN, f"exit {status}: {ended.said}" if ended.said else f"exit {status}")


def run(
    argv: Sequence[str],
    subject: Subject,
    timeout: str,
    *,
    sweep: bool = False,
    folder: Path | None = None,
    handed: Sequence[int] = (),
    variables: Mapping[str, str] | None = None,
) -> Ended:
    """Runs a program to its end, or kills its whole process group when `timeout` (a duration) has passed.

    With `sweep` whatever of the group outlives the program is killed too; without, a service it started stays.
    It works in `folder`, and is handed these file descriptors, and these variables beside those that each one gets.
    """
    limit = duration(timeout)
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**_environment(subject), **(variables or {})},
            cwd=folder,
            pass_fds=handed,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or str(exc)
        return Ended(None, first_line(f"cannot start {argv[0]}: {why}"))
    try:
        output = _drain(process, time.monotonic() + limit.total_seconds())
    except BaseException:
        _kill(process)
        raise
    if sweep or output is None:
        _kill(process)
    if output is None:
        return Ended(None, f"no end within {span(limit)}")
    if process.returncode < 0:
        return Ended(None, f"killed by {_signal(-process.returncode)}")
    said = next(filter(None, (first_line(data.decode("utf-8", "replace")) for data in output)), "")
    return Ended(process.returncode, said, *output)


def _environment(subject: Subject) -> dict[str, str]:
    # Not a setting of ours that is read here, but what a program cannot do without; all else may be a secret.
    kept = {name: os.environ[name] for name in PASSED if name in os.environ}
    known = {"PROMOTION_REPOSITORY": subject.repository, "PROMOTION_BRANCH": subject.branch}
    return {
        **kept,
        "PROMOTION_APPLICATION": subject.application,
        "PROMOTION_ENVIRONMENT": subject.environment,
        "PROMOTION_REVISION": subject.revision or "",
        **{name: value for name, value in known.items() if value},
    }


def _drain(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes] | None:
    """Reads both outputs until the program has ended; returns what was kept of stdout and stderr, None: too late.

    The program's end counts, not that of its outputs: a grandchild may hold them open for ever.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    streams = (process.stdout, process.stderr)
    kept = {stream.fileno(): bytearray() for stream in streams}
    with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        for stream in streams:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream.fileno(), selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            ended = process.poll() is not None
            for key, _ in selector.select(0 if ended else min(left, POLL_SECONDS)):
                _take(selector, key.fd, kept[key.fd])
            if ended:
                break
        else:
            return None
    out, err = kept.values()
    return bytes(out), bytes(err)


def _take(selector: selectors.BaseSelector, fd: int, kept: bytearray) -> None:
    data = os.read(fd, 1 << 16)
    if not data:
        selector.unregister(fd)
    kept += data[: CAP + 1 - len(kept)]


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
