"""Nothing exists that the documentation does not name, and README stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from promotion.checks import CHECKS
from promotion.cli.verbs import VERBS
from promotion.engines import ENGINES
from promotion.events import KINDS
from promotion.gates import GATES

ROOT = Path(__file__).parents[1]
DOCS = {path.name: path.read_text("utf-8") for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]}


@pytest.mark.parametrize("verb", sorted(verb.name for verb in VERBS))
def test_every_verb_is_documented(verb: str) -> None:
    assert re.search(rf"^\| [^|]*`{verb}`", DOCS["commands.md"], re.MULTILINE)


@pytest.mark.parametrize("event", sorted(KINDS))
def test_every_event_is_documented(event: str) -> None:
    assert re.search(rf"^\| [^|]*`{event}`", DOCS["commands.md"], re.MULTILINE)


@pytest.mark.parametrize("kind", sorted({*GATES, *CHECKS, *ENGINES}))
def test_every_kind_is_documented(kind: str) -> None:
    assert f"`{kind}`" in DOCS["configuration.md"]


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert DOCS["README.md"].count("\n") < 150
    for name, text in DOCS.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (folder / link).exists(), f"{name}: {link}"


def test_every_test_that_safety_names_exists() -> None:
    """`test_x` is a module or a function, `test_x_*` a family of functions."""
    tests = {path.stem: path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py")}
    named = set(re.findall(r"`(test_\w+)(\*?)`", DOCS["safety.md"]))
    assert len(named) > 20
    for name, star in named:
        found = name in tests or any(re.search(rf"def {name}{'' if star else '[(]'}", text) for text in tests.values())
        assert found, name
