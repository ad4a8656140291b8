"""Where answers, errors and log lines go, and how they are made harmless; must not know what they are about."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from promotion.cli.context import Call
from promotion.errors import ConfigError, PromotionError, as_bug, as_data

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What could move a cursor, ring a bell, or turn the direction of a line around."""

COLOURS = {
    **dict.fromkeys(("healthy", "pass", "promoted", "verified"), 32),
    **dict.fromkeys(("degraded", "missing", "block", "failed", "conflict", "refused", "timed-out"), 31),
    **dict.fromkeys(("unknown", "progressing", "wait", "waiting", "pending", "contended"), 33),
}
COLOURED = re.compile(rf"(?<![\w-])(?:{'|'.join(COLOURS)})(?![\w-])", re.IGNORECASE)

ADVICE = ("  next ", "  undo ", "! ")
"""How a line begins that says what to type."""
ADVISED = re.compile(r"(?<=  )promotion (?=[a-z])|(?<=then )promotion (?=[a-z])")


def plain(text: object) -> str:
    """Text from Git, a ledger or a server without control characters."""
    return CONTROL.sub("", re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", str(text)))


def printed(text: str) -> None:
    """One answer on stdout, whatever it holds."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def answer(call: Call, data: Mapping[str, Any], lines: Iterable[str]) -> None:
    """What the command was asked for: one JSON object, or lines."""
    if call.json:
        printed(json.dumps(data))
    elif text := shown(call, lines):
        printed(text)


def shown(call: Call, lines: Iterable[str]) -> str:
    """Lines made harmless, with advice that may be typed as it is; on a terminal the words that matter are coloured."""
    text = "\n".join(addressed(plain(line), call.application) for line in lines)
    return COLOURED.sub(_colour, text) if has_colour(call.environ) else text


def addressed(line: str, application: str | None) -> str:
    """Advice names the application too, where there are several: typed as it is, it is about the same one."""
    if application is None or not line.startswith(ADVICE):
        return line
    return ADVISED.sub(f"promotion -a {shlex.quote(application)} ", line)


def _colour(word: re.Match[str]) -> str:
    return f"\x1b[{COLOURS[word[0].lower()]}m{word[0]}\x1b[0m"


def note(call: Call, text: str) -> None:
    """Something on the side, for people: on stderr, not with `-q`."""
    if not call.quiet:
        print(plain(text), file=sys.stderr, flush=True)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def has_colour(environ: Mapping[str, str]) -> bool:
    return is_terminal() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


# --- errors ----------------------------------------------------------------------------------------------------------


def failed(exc: PromotionError, *, as_json: bool) -> int:
    """Says what went wrong, and gives the exit status that it means."""
    if as_json:
        printed(json.dumps({"error": as_data(exc)}))
        return exc.exit_status
    complain(exc)
    return exc.exit_status


def complain(exc: PromotionError) -> None:
    """An error for people, on stderr: each problem on its line, or the message; then what to do."""
    problems = exc.problems if isinstance(exc, ConfigError) else ()
    lines = [*problems] if problems else [str(exc)]
    if len(problems) > 1:
        lines.append(f"{len(problems)} errors")
    if exc.hint:
        lines.append(f"  next    {exc.hint}")
    print("\n".join(plain(line) for line in lines), file=sys.stderr, flush=True)


RANK = (0, 3, 4, 2, 75, 5, 6, 1)
"""Exit statuses, from harmless to worst: after a bug nobody knows anything."""


def worst(*statuses: int) -> int:
    return max(statuses, key=RANK.index)


def bug(exc: Exception, *, as_json: bool, verbose: bool) -> int:
    """An error that is ours."""
    if verbose:
        logging.getLogger("promotion").error("", exc_info=exc)
    said = as_bug(exc)
    if as_json:
        return failed(said, as_json=True)
    text = said.message if verbose else f"{said.message} ({said.hint})"
    print(plain(text).replace("\n", " "), file=sys.stderr, flush=True)
    return said.exit_status


# --- log lines -------------------------------------------------------------------------------------------------------


def set_up_log(*, verbose: bool, quiet: bool) -> None:
    """Log lines of ours go to stderr; only here is logging configured."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_clean)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if verbose else "%(message)s", "%H:%M:%S"))
    for name in ("promotion", "flows"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False  # Prefect, once it is loaded, prints what reaches the root too
        logger.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO)


def give_back_log() -> None:
    """After a command in a process that goes on, as that of the tests does."""
    for name in ("promotion", "flows"):
        logging.getLogger(name).propagate = True


class Repeats:
    """Lets through once what is wrong or waits, until a round passes without it; warnings in the log too, but with `-v`."""

    def __init__(self) -> None:
        self._before: set[str] = set()
        self._now: set[str] = set()
        logger = logging.getLogger("promotion")
        if not logger.isEnabledFor(logging.DEBUG):
            for handler in logger.handlers:
                handler.addFilter(lambda r: r.levelno < logging.WARNING or self.is_news(r.getMessage()))

    def next_round(self) -> None:
        self._before, self._now = self._now, set()

    def is_news(self, text: str) -> bool:
        known = text in self._before or text in self._now
        self._now.add(text)
        return not known


def _clean(record: logging.LogRecord) -> bool:
    record.msg, record.args = plain(record.getMessage()), ()
    return True
