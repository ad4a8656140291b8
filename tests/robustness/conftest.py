"""One number scales every test here, seeds are printed and can be given again, and the figures are told at the end.

ROBUSTNESS=1 is the long form (`make robustness`); without it everything is a short form. ROBUSTNESS_SEED replays.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import MACHINE

SCALE = float(MACHINE.get("ROBUSTNESS", "0.02"))
SEED = MACHINE.get("ROBUSTNESS_SEED")


@dataclass(frozen=True, slots=True)
class Figures:
    """What a test counts; all of it is added up and shown at the end of the run."""

    seed: int
    tell: Callable[[str, object], None]

    def __call__(self, **counted: int) -> None:
        for name, number in counted.items():
            self.tell(f"robustness {name}", number)

    @property
    def chance(self) -> random.Random:
        return random.Random(self.seed)


def scaled(number: int, least: int = 1) -> int:
    """How many of what the long form has so many of."""
    return max(least, round(number * SCALE))


@pytest.fixture
def figures(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Figures:
    """The test's seed and its counters; each test has a seed of its own, derived from the run's."""
    seed = int(SEED) if SEED else random.randrange(1 << 32)
    print(f"replay with ROBUSTNESS={SCALE:g} ROBUSTNESS_SEED={seed} pytest -m robustness '{request.node.nodeid}'")  # noqa: T201
    record_property("robustness seed", f"{request.node.name}={seed}")
    return Figures(seed, record_property)


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The clone cache is beside the repository, so that a play is put back with it."""
    monkeypatch.setenv("PROMOTION_CACHE", str(tmp_path / "play" / "cache"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of all tests, from whatever process ran them."""
    counted: Counter[str] = Counter()
    seeds: list[str] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
                kind, _, what = str(name).partition(" ")
                if kind == "robustness" and what == "seed":
                    seeds.append(str(value))
                elif kind == "robustness":
                    counted[what] += int(value)
    if counted:
        terminalreporter.section("robustness")
        terminalreporter.write_line(", ".join(f"{number} {what}" for what, number in sorted(counted.items())))
        terminalreporter.write_line("seeds: " + " ".join(sorted(seeds)))
