"""The list of guards fits the code and docs/safety.md, and its judge tells noticed, not noticed and nonsense apart."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import MUTANTS
from tests.mutants.judge import Copy, ListError, copied, judge, node
from tests.mutants.mutant import ROOT, Mutant, StaleError, cut, mutated

SAFETY = (ROOT / "docs" / "safety.md").read_text("utf-8")
ROWS = {row[1]: row[2] for row in re.finditer(r"^\| (\S+) \|[^|]*\|[^|]*\| ?([^|]*)\|$", SAFETY, re.MULTILINE)}
"""Property -> the tests that its row names."""


def test_every_guard_is_in_the_code() -> None:
    """Whoever changes a guard changes the list: what it removes is there, once, and the rest still compiles."""
    for mutant in MUTANTS:
        for path, text in mutated(mutant).items():
            compile(text, path, "exec")
    twice = [key for key, count in Counter((m.property, m.name) for m in MUTANTS).items() if count > 1]
    assert not twice


def test_every_property_has_guards_and_every_guard_a_property() -> None:
    """As docs/safety.md lists them; what is not built yet names no tests."""
    counted = Counter(m.property for m in MUTANTS)
    assert counted.keys() == {name for name, tests in ROWS.items() if tests.strip()} - {"property"}
    assert {name for name, count in counted.items() if count < 2} == set()


def test_every_test_of_the_list_exists() -> None:
    """By module and name."""
    texts: dict[str, str] = {}
    for test in {test for mutant in MUTANTS for test in mutant.tests}:
        path, _, function = node(test).partition("::")
        text = texts.setdefault(path, (ROOT / path).read_text("utf-8"))
        assert f"def {function}(" in text, test


# --- the judge ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return copied(tmp_path_factory.mktemp("mutants") / "copy")


def rule(old: str, new: str) -> Mutant:
    return cut("S9", "a rule", "merge:_decide", old, new, "test_merge::test_rules")


@pytest.mark.xdist_group("mutants")
def test_a_guard_that_is_gone_is_noticed(copy: Copy) -> None:
    """By a test that fails; the working tree, and in the end the copy, are as they were."""
    before = (ROOT / "promotion" / "merge.py").read_bytes()
    assert judge(copy, rule("if kept:", "False")).noticed == "test_merge::test_rules"
    assert (ROOT / "promotion" / "merge.py").read_bytes() == before
    assert (copy.folder / "promotion" / "merge.py").read_bytes() == before


@pytest.mark.xdist_group("mutants")
def test_what_nobody_notices_survives(copy: Copy) -> None:
    """The same in other words is no mutant that a test could notice."""
    assert judge(copy, rule("if d == s:", "s == d")).noticed is None


@pytest.mark.xdist_group("mutants")
def test_what_cannot_be_imported_is_noticed_by_nobody(copy: Copy) -> None:
    """It is a mistake in the list, and so is a test that is not there."""
    broken = cut("S9", "nonsense", "merge:", "Entries: TypeAlias = Mapping[bytes, Entry | None]", "nonsense", *BROKEN)
    with pytest.raises(ListError, match="no mutant"):
        judge(copy, broken)
    with pytest.raises(ListError, match="no such test"):
        node("test_nowhere::test_x")


BROKEN = ("test_merge::test_rules",)


def test_a_guard_is_found_however_it_is_written(tmp_path: Path) -> None:
    """By its syntax: other lines and quotes are no other guard, and one that is gone is said."""
    (tmp_path / "promotion").mkdir()
    (tmp_path / "promotion" / "x.py").write_text(
        "class A:\n  def f(self, b):\n    if (b ==\n 'no'): return 1\n    return b == 'no'\n"
    )
    whole = cut("S1", "x", "x:A.f", 'if b == "no":', "False", "test_x::test_y")
    assert "if False:" in mutated(whole, tmp_path)["promotion/x.py"]
    for place, old in (("x:A.g", "b"), ("x:A.f", "b == 'yes'"), ("x:A.f", "b == 'no'"), ("y:", "b")):
        with pytest.raises(StaleError, match=r"guard not found: update the list in tests/mutants \(S1 'x'"):
            mutated(cut("S1", "x", place, old, "c", "test_x::test_y"), tmp_path)
