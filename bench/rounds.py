"""A process that has rounds when it is told to, as `promotion run --every` has them by the clock: its time, its memory.

    python -m bench.rounds environments.yaml        a line on stdin is a round; its answer is one JSON object on stdout

Here is also the other side, which starts and asks it.
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promotion.cli.context import Call, sites_of
from promotion.cli.rounds import Loop


@dataclass(frozen=True, slots=True)
class Told:
    """One round: its seconds, those of processors (with what it started), and its hops.

    `memory` is the most that the process itself ever had (RSS, MB). What it starts comes to SIDE_BY_SIDE times a
    `git ls-remote`, 4 MB each.
    """

    seconds: float
    cpu: float
    memory: float
    hops: int
    errors: list[str]


@dataclass(frozen=True, slots=True)
class Rounds:
    """A process that has rounds."""

    process: subprocess.Popen[str]

    def once(self) -> Told:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told = Told(**json.loads(self.process.stdout.readline()))
        if told.errors:
            raise SystemExit(f"the round that is measured failed: {told.errors[0]}")
        return told


@contextmanager
def started(config: Path, environ: Mapping[str, str], *more: str) -> Iterator[Rounds]:
    """`--sync`: with our own sync loops."""
    words = [sys.executable, "-m", "bench.rounds", str(config), *more]
    with subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        try:
            yield Rounds(process)
        finally:
            process.stdin.close()


def main() -> None:
    call = Call(Path(sys.argv[1]), None, json=True, quiet=True, verbose=False, environ=os.environ)
    with sites_of(call) as found:
        loop = Loop(call, found, sync="--sync" in sys.argv, dry_run=False, scheduled=True)
        for _ in sys.stdin:
            print(json.dumps(_round(loop)), flush=True)


def _round(loop: Loop) -> dict[str, Any]:
    said = io.StringIO()
    began, worked = time.perf_counter(), cpu()
    with redirect_stdout(said):
        loop.once()
    seconds, answer = time.perf_counter() - began, json.loads(said.getvalue())
    return {
        "seconds": seconds,
        "cpu": cpu() - worked,
        "memory": _memory(),
        "hops": len(answer["hops"]),
        "errors": [error["message"] for error in answer["errors"]],
    }


def cpu() -> float:
    """Processor seconds of this process and of those that it started and that are over."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


def _memory() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
