"""How an expected number is written, `< 0.01`, and whether a number meets it; pure, and must not know who measured it."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_WRITTEN = re.compile(r"\s*(\S*?)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expectation:
    """An operator and the number on its right."""

    sign: str
    bound: float

    def met_by(self, value: float) -> bool:
        """Never by NaN or an infinity: nothing was measured, or something was divided by it."""
        return math.isfinite(value) and OPERATORS[self.sign](value, self.bound)

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def expectation(text: str) -> Expectation:
    """Reads `< 0.01`. Raises ValueError, in one line with what is allowed."""
    found = _WRITTEN.fullmatch(text)
    allowed = f"an operator ({', '.join(OPERATORS)}) and a number, such as `< 0.01`"
    if not found or not math.isfinite(float(found[2])):
        raise ValueError(f"`{text}` is nothing that a number can meet: write {allowed}")
    if found[1] not in OPERATORS:
        what = f"no operator `{found[1]}`" if found[1] else "an operator is missing"
        raise ValueError(f"{what}: write {allowed}")
    return Expectation(found[1], float(found[2]))
