"""What the outside world says, made fit for one line on a terminal; knows nothing of where it came from."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s]*@")


def first_line(text: str, cap: int = 200) -> str:
    """The first line that says something, at most `cap` characters, without control characters and URL passwords."""
    for line in _ESCAPES.sub("", text).splitlines():
        if cleaned := one_line(line, cap):
            return cleaned
    return ""


def one_line(text: str, cap: int = 200) -> str:
    """All of `text` in one line, under the same rules."""
    # Not only control characters: an override of the writing direction makes a terminal lie too.
    kept = "".join(char if char.isprintable() else " " for char in _ESCAPES.sub("", text[: cap * 20]))
    line = _USER_INFO.sub(r"\1", " ".join(kept.split()))
    return line if len(line) <= cap else line[: cap - 1] + "…"
