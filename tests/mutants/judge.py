"""Runs tests on a copy of the project that lacks a guard, and says whether they noticed; never edits the working tree."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant, mutated

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "docs", "*.md", "bench")
SECONDS = 60
"""For one test: a mutant may hang, and that is noticed too."""
LONGEST = 600
"""For all tests of one mutant."""


class ListError(Exception):
    """The list is wrong: no such test, or a mutant that cannot even be imported."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`noticed` is the test that failed; None: the mutant survived."""

    mutant: Mutant
    noticed: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the project that mutants are made in, one after the other."""

    folder: Path

    @contextmanager
    def lacking(self, mutant: Mutant) -> Iterator[None]:
        """The copy without the mutant's guard."""
        texts = mutated(mutant, self.folder)
        whole = {path: (self.folder / path).read_text("utf-8") for path in texts}
        try:
            self._write(texts)
            yield
        finally:
            self._write(whole)

    def _write(self, texts: dict[str, str]) -> None:
        for name, text in texts.items():
            path = self.folder / name
            path.write_text(text, "utf-8")
            for old in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
                old.unlink()  # it is told from another only by second and size

    def run(self, *args: str, seconds: float | None = None) -> tuple[int | None, str]:
        """pytest's exit status in the copy, and what it printed; None: it had to be killed."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
        environ |= {"PYTHONPATH": str(self.folder)}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=line", *args]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except BaseException as exc:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            if not isinstance(exc, subprocess.TimeoutExpired):
                raise
            return None, said
        return process.returncode, said


def copied(folder: Path) -> Copy:
    """Copies the working tree, without what Git would not have and no test needs."""
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    return Copy(folder)


@cache
def files() -> dict[str, str]:
    """The modules of tests, by name: their paths."""
    return {path.stem: path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("tests/**/test_*.py"))}


def node(test: str) -> str:
    """pytest's name of a test. Raises ListError."""
    module, _, function = test.partition("::")
    if module not in files() or not function:
        raise ListError(f"no such test: {test}")
    return f"{files()[module]}::{function}"


def baseline(copy: Copy, mutants: Sequence[Mutant], jobs: int) -> None:
    """Raises ListError unless every named test passes while nothing is removed."""
    nodes = dict.fromkeys(node(test) for mutant in mutants for test in mutant.tests)
    spread = ["-n", str(jobs), "--dist", "loadgroup"] if jobs > 1 else []
    status, said = copy.run(*spread, "--timeout", "300", *nodes)
    if status != 0:
        raise ListError(f"the tests do not pass although nothing is removed (pytest ended with {status}):\n{said}")


def judge(copy: Copy, mutant: Mutant) -> Verdict:
    """Whether the mutant's tests notice it. Raises ListError, StaleError."""
    begun = time.monotonic()
    with copy.lacking(mutant):
        status, said = copy.run("-x", "--timeout", str(SECONDS), *map(node, mutant.tests), seconds=LONGEST)
    failed = re.search(r"^FAILED (?:\S*/)?(test_\w+)\.py::(\w+)", said, re.MULTILINE)
    if status == 0:
        noticed = None
    elif status is None:
        noticed = "a test that never ends"
    elif status == 1 and failed:
        noticed = f"{failed[1]}::{failed[2]}"
    else:
        raise ListError(f"{mutant.property} {mutant.name!r} is no mutant: pytest ended with {status}:\n{said[-4000:]}")
    return Verdict(mutant, noticed, time.monotonic() - begun)
