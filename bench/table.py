"""One line of README's table, and how it is printed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `budget` is '' where there is none."""

    what: str
    measured: str
    budget: str
    kept: bool = True


def printed(rows: Iterable[Row]) -> None:
    print("\n| what | measured | budget | |\n|---|---|---|---|")
    for row in rows:
        judged = "kept" if row.kept else "MISSED"
        print(f"| {row.what} | {row.measured} | {row.budget} | {judged if row.budget else ''} |")


def note(text: str) -> None:
    """What is seen while it runs."""
    print(text, file=sys.stderr, flush=True)
