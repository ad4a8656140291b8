"""drift on the command line: what people and programs read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.git import Origin
from tests.support.shop import WELL, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Everything is deployed and recorded."""
    made = Shop(tmp_path)
    made.round()
    return made


# --- drift -----------------------------------------------------------------------------------------------------------


def test_drift_names_commits_and_files(shop: Shop) -> None:
    """A branch that drifts, one that does not, and a root, a line each; status leads there."""
    fix = shop.push("qa", {"db": "1\n"}, message="raise the limit")
    said = shop("drift")
    lines = said.out.splitlines()
    assert said.status == 0
    assert lines[0] == "shop: dev   people push here: nothing drifts"
    assert lines[1].startswith("shop: qa   1 file only here since ")
    assert f"  {fix[:7]}  " in lines[2]
    assert '"raise the limit" (dave), 1 file' in lines[2]
    assert "  added  db" in lines
    assert lines[-1].startswith("shop: prod   no drift")
    assert "promotion drift qa" in shop("status").out
    assert "+1" in shop("drift", "qa", "--diff").out.splitlines()


def test_drift_as_json(shop: Shop) -> None:
    fix = shop.push("qa", {"db": "1\n"})
    (application,) = shop("--json", "drift", "q*").json["applications"]
    (row,) = application["environments"]
    assert (application["application"], row["environment"], row["drift"]) == ("shop", "qa", 1)
    assert [c["commit"] for c in row["commits"]] == [fix]
    assert "diff" not in row
    assert any(
        "+1" in line
        for line in shop("--json", "drift", "qa", "--diff").json["applications"][0]["environments"][0]["diff"]
    )


def test_drift_of_what_the_root_has_needs_nothing(shop: Shop) -> None:
    """It ends by itself."""
    shop.push("prod", {"db": "1\n"})
    shop.push("dev", {"db": "1\n"})
    assert "next    nothing to do: dev has all of it" in shop("drift", "prod").out


def test_drift_says_what_cannot_be_read(shop: Shop) -> None:
    """The others are shown all the same; an environment that is none is an error."""
    assert shop("drift", "pord").status == 2
    shop.origin.set("env/prod", None)
    said = shop("drift")
    assert (said.status, "prod has no branch `env/prod`" in said.err) == (2, True)
    assert "shop: qa   no drift" in said.out
    shop.several(web=str(shop.origin.path), pay=str(Origin.create(shop.folder / "other.git", files=WELL).path))
    assert "pay: prod   no drift" in shop("drift").out
