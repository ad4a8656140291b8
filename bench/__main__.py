"""Prints the table that stands in README; `--quick` for a look."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import commands, hop

QUICK = "--quick" in sys.argv


def main() -> int:
    rows: list[tuple[str, str, str, bool]] = []
    for files in (2_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            one = hop.measure(Path(folder), files, 5 if QUICK else 30)
        raw, whole = one.ours / one.raw, one.full / one.ours
        note(
            f"{files} files: a hop {one.ours * 1e3:.0f} ms, raw commands {one.raw * 1e3:.0f} ms, clone + merge + push {one.full:.2f} s"
        )
        rows.append((f"a hop against raw git commands, {files:,} files", f"{raw:.2f} x", "<= 1.5 x", raw <= 1.5))
        if files < 100_000:
            continue
        budget = f">= 100 x, or as the raw commands ({one.full / one.raw:.0f} x)"
        as_much = whole >= 100 or raw <= 1.0 or whole >= one.full / one.raw / 1.5
        rows.append((f"a hop against clone + merge + push, {files:,} files", f"{whole:.0f} x faster", budget, as_much))
    with tempfile.TemporaryDirectory() as folder:
        seconds = commands.measure(Path(folder), 5 if QUICK else 20)
    note(", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    for name in ("status", "plan"):
        rows.append(
            (f"`promotion {name}`, whole process, warm", f"{seconds[name]:.2f} s", "<= 0.4 s", seconds[name] <= 0.4)
        )
    print("\n| what | measured | budget | |\n|---|---|---|---|")
    for what, measured, budget, kept in rows:
        print(f"| {what} | {measured} | {budget} | {'kept' if kept else 'MISSED'} |")
    return 0 if all(row[3] for row in rows) else 1


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


raise SystemExit(main())
