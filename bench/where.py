"""`where`, `history` and `audit` as whole processes: on 100,000 commits of which some hundred were promoted, and 10,000 events."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench import records
from bench.commands import FILE
from bench.hop import PLAIN
from promotion.config import load

STEP = 250
"""Commits between two promotions."""
EVENTS_A_CHANGE = 8


def measure(folder: Path, commits: int, rounds: int) -> dict[str, float]:
    """Median seconds of `where`, by the commit that is asked for: the oldest, a middle and the newest, and a promotion; warm."""
    past = _past(folder, commits // STEP, STEP)
    middle = past.promoted[len(past.promoted) // 2]
    asked = {"oldest": past.first, "middle": middle[0], "newest": past.promoted[-1][0], "promotion": middle[2]}
    return {name: _median(folder, ["where", commit], rounds) for name, commit in asked.items()}


def look_back(folder: Path, events: int, rounds: int) -> dict[str, float]:
    """Median seconds of `history --limit 20`, `history --since` (the whole ledger is read) and `audit`; warm."""
    _past(folder, events // EVENTS_A_CHANGE, 1)
    verbs = {"limit": ["history", "--limit", "20"], "since": ["history", "--since", "1d"], "audit": ["audit"]}
    return {name: _median(folder, words, rounds) for name, words in verbs.items()}


def _past(folder: Path, changes: int, step: int) -> records.Past:
    past = records.promoted(folder / "shop.git", changes, step)
    file = folder / "environments.yaml"
    file.write_text(FILE.format(repository=past.origin))
    (application,) = load(file).applications
    records.write(past.origin, application.name, records.walk(application, past))
    return past


def _median(folder: Path, words: list[str], rounds: int) -> float:
    promotion = [sys.executable, "-m", "promotion.cli", "-c", str(folder / "environments.yaml"), *words]
    environ = {**PLAIN, "HOME": str(folder), "PROMOTION_CACHE": str(folder / "cache")}
    took: list[float] = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(promotion, env=environ, stdout=subprocess.DEVNULL, check=True)
        took.append(time.perf_counter() - began)
    return median(took[1:])  # the first makes the clone, and what git writes beside it
