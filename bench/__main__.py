"""Prints the table that stands in README. `--quick` is for a look, `--only NAME` for some of it (it may be given again)."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench import applications, commands, fleet, hop, judged, ledger, operator, shared, where
from bench.table import Row, note, printed


def _hop(quick: bool) -> Iterator[Row]:
    for files in (2_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            one = hop.measure(Path(folder), files, 5 if quick else 30)
        raw, whole, most = one.ours / one.raw, one.full / one.ours, one.full / one.raw
        words = (
            f"a hop {one.ours * 1e3:.0f} ms, raw commands {one.raw * 1e3:.0f} ms, clone + merge + push {one.full:.2f} s"
        )
        note(f"{files} files: {words}")
        yield Row(f"a hop against raw git commands, {files:,} files", f"{raw:.2f} x", "<= 1.5 x", raw <= 1.5)
        if files == 100_000:
            budget = f">= 100 x, or as the raw commands ({most:.0f} x)"
            as_much = whole >= 100 or raw <= 1.0 or whole >= most / 1.5
            yield Row(f"a hop against clone + merge + push, {files:,} files", f"{whole:.0f} x faster", budget, as_much)


def _commands(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = commands.measure(Path(folder), 5 if quick else 20)
    note(", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
    for name in ("status", "plan"):
        kept = seconds[name] <= 0.4
        yield Row(f"`promotion {name}`, whole process, warm", f"{seconds[name]:.2f} s", "<= 0.4 s", kept)


def _where(quick: bool) -> Iterator[Row]:
    commits = 10_000 if quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        seconds = where.measure(Path(folder), commits, 3 if quick else 10)
    note(", ".join(f"where the {name} {value:.2f} s" for name, value in seconds.items()))
    worst = max(seconds.values())
    yield Row(f"`promotion where`, {commits:,} commits, whole process, warm", f"{worst:.2f} s", "<= 1 s", worst <= 1)


def _ledger(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        short, long = ledger.measure(Path(folder), (10, 10_000), 5 if quick else 30)
    words = (
        f"read {long.read * 1e3:.0f} ms, append {long.append * 1e3:.0f} ms, state {short.state} and {long.state} bytes"
    )
    note(f"ledgers of 10 and 10,000 events: {words}")
    for name, ratio in (("read", long.read / short.read), ("append", long.append / short.append)):
        what = f"{name}, a ledger of 10,000 events against one of 10"
        yield Row(what, f"{ratio:.2f} x", "<= 1.5 x", ratio <= 1.5)
    with tempfile.TemporaryDirectory() as folder:
        seconds = where.look_back(Path(folder), 10_000, 2 if quick else 5)
    note("10,000 events: " + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))


BENCHES: Mapping[str, Callable[[bool], Iterator[Row]]] = {
    "hop": _hop,
    "commands": _commands,
    "where": _where,
    "ledger": _ledger,
    "fleet": fleet.rows,
    "shared": shared.rows,
    "operator": operator.rows,
    "judged": judged.rows,
    "applications": applications.rows,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures what README claims.")
    parser.add_argument("--quick", action="store_true", help="few rounds, small fleets")
    parser.add_argument("--only", action="append", choices=BENCHES, help="one of the measurements; may be given again")
    options = parser.parse_args()
    rows = [row for name in options.only or BENCHES for row in BENCHES[name](options.quick)]
    printed(rows)
    return 0 if all(row.kept for row in rows) else 1


sys.exit(main())
