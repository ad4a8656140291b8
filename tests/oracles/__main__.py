"""`python -m tests.oracles [-v]`: the table; with -v each case that does not agree."""

from __future__ import annotations

import sys

from tests.oracles.cases import cases, folder, table


def main() -> int:
    if folder() is None:
        sys.stderr.write("no ../shared/oracles/health beside this checkout\n")
        return 2
    for line in table():
        sys.stdout.write(f"{line}\n")
    if "-v" in sys.argv[1:]:
        for case in cases():
            if not case.agrees:
                mark = "FALSE HEALTHY" if case.false_healthy else "missed" if case.missed_healthy else "other"
                told = f"{case.expected} expected, {case.reading.health}: {case.reading.reason}"
                sys.stdout.write(f"{mark}: {case.id}: {told}\n")
    return int(any(case.false_healthy for case in cases()))


if __name__ == "__main__":
    sys.exit(main())
