"""`python -m tests.mutants`: removes each guard in turn and shows that the tests notice; ends with 1 when one does not."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants import MUTANTS
from tests.mutants.judge import Copy, ListError, Verdict, baseline, copied, judge
from tests.mutants.mutant import Mutant, StaleError


def main() -> int:
    options = _options()
    wanted = [m for m in MUTANTS if _chosen(m, options.only)]
    if not wanted:
        sys.stderr.write(f"no guard is called {' or '.join(options.only)}\n")
        return 2
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [copied(Path(folder) / str(number)) for number in range(options.jobs)]
        try:
            baseline(copies[0], wanted, options.jobs)
        except ListError as exc:
            sys.stderr.write(f"{exc}\n")
            return 2
        sys.stdout.write(f"the tests pass while nothing is removed ({time.monotonic() - begun:.0f} s)\n\n")
        verdicts, wrong = _judged(wanted, copies)
    survivors = [v for v in verdicts if v.noticed is None]
    for verdict in survivors:
        sys.stdout.write(f"\nnobody noticed: {verdict.mutant.property} {verdict.mutant.name}\n")
    noticed = len(verdicts) - len(survivors)
    sys.stdout.write(
        f"\n{len(wanted)} guards removed: {noticed} noticed, {len(survivors)} survived, {wrong} errors of the list; "
        f"{time.monotonic() - begun:.0f} s\n"
    )
    return 2 if wrong else 1 if survivors else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-j", "--jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--only", action="append", default=[], help="a property (S4), or a word of a guard's name")
    return parser.parse_args()


def _chosen(mutant: Mutant, only: list[str]) -> bool:
    return not only or any(word.lower() == mutant.property.lower() or word in mutant.name for word in only)


def _judged(wanted: list[Mutant], copies: list[Copy]) -> tuple[list[Verdict], int]:
    """Every verdict, printed as it comes, and how many mutants were none."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for each in copies:
        free.put(each)

    def one(mutant: Mutant) -> Verdict | Exception:
        copy = free.get()
        try:
            return judge(copy, mutant)
        except (ListError, StaleError) as exc:
            return exc
        finally:
            free.put(copy)

    verdicts, wrong = [], 0
    sys.stdout.write("| property | guard that is removed | noticed by | s |\n|---|---|---|---|\n")
    with ThreadPoolExecutor(len(copies)) as pool:
        for mutant, verdict in zip(wanted, pool.map(one, wanted), strict=True):
            if isinstance(verdict, Exception):
                wrong += 1
                sys.stderr.write(f"{verdict}\n")
                continue
            verdicts.append(verdict)
            noticed = f"`{verdict.noticed}`" if verdict.noticed else "**nobody**"
            sys.stdout.write(f"| {mutant.property} | {mutant.name} | {noticed} | {verdict.seconds:.0f} |\n")
            sys.stdout.flush()
    return verdicts, wrong


if __name__ == "__main__":
    sys.exit(main())
