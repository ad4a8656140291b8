"""What somebody may have meant by a word that does not exist; pure, and must not know where words come from."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def similar(word: str, allowed: Sequence[str]) -> str | None:
    """The most similar of the allowed words, when one is similar at all."""
    return next(iter(difflib.get_close_matches(word, allowed, 1)), None)


def nearest(word: str, allowed: Sequence[str], most: int | None = None) -> str:
    """`; did you mean `dev`? (dev, qa)`, or only what there is; of many words at most so many are listed."""
    near = similar(word, allowed)
    listed = ", ".join([*allowed[:most], *(["..."] if most is not None and len(allowed) > most else [])])
    return (f"; did you mean `{near}`?" if near else "") + (f" ({listed})" if allowed else "")
