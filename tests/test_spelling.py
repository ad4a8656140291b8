"""Did you mean."""

from __future__ import annotations

import pytest

from promotion.spelling import nearest, similar


@pytest.mark.parametrize(
    ("word", "allowed", "said"),
    [
        ("dv", ["dev", "qa"], "; did you mean `dev`? (dev, qa)"),
        ("staging", ["dev", "qa"], " (dev, qa)"),
        ("dev", [], ""),
    ],
)
def test_nearest(word: str, allowed: list[str], said: str) -> None:
    """The most similar word, if one is similar, and what there is."""
    assert nearest(word, allowed) == said


def test_of_many_words_some_are_listed_and_all_are_compared() -> None:
    """A repository may have thousands of branches."""
    branches = [f"feature/{n}" for n in range(20)] + ["production"]
    assert nearest("prodution", branches, 2) == "; did you mean `production`? (feature/0, feature/1, ...)"
    assert nearest("prodution", branches[-2:], 2) == "; did you mean `production`? (feature/19, production)"


def test_similar() -> None:
    """One word or none."""
    assert similar("heath", ["health", "branch"]) == "health"
    assert similar("xyz", ["health", "branch"]) is None
