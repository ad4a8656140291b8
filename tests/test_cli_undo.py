"""`promotion rollback`: what it prints, its JSON, globs, and what is asked wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shop import WELL, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A change that went all the way to prod."""
    made = Shop(tmp_path)
    made.round()
    made.push("dev", {"web": "1\n"}, "louder")
    for _ in range(3):
        made.round()
    return made


def test_rollback_says_what_is_restored_held_and_next(shop: Shop) -> None:
    bad = shop.tip("qa")
    dry = shop("rollback", "qa", "--reason", "too loud", "--dry-run")
    assert (dry.status, shop.tip("qa")) == (0, bad)
    assert "WOULD BE ROLLED-BACK" in dry.out
    said = shop("rollback", "qa", "--reason", "too loud")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert f"ROLLED-BACK   {shop.tip('qa')[:7]}" in lines[0]
    assert lines[1].startswith("  restores  ")
    assert lines[2].startswith(f"  holds     {bad[:7]} (1 file)")
    assert f"promotion lift qa {bad[:7]}" in said.out
    again = shop("rollback", "qa", "--reason", "too loud")
    assert (again.status, "NOTHING" in again.out, bad[:7] in again.out) == (0, True, True)
    assert f"to {shop.origin.log('env/qa')[-1].commit[:7]}" in shop("history", "--event", "rolled-back").out
    assert f"holds {bad[:7]}: too loud" in shop("status").out
    plan = shop("plan", "qa")
    assert "brings back" in plan.out
    assert f"next    promotion lift qa {bad[:7]}" in shop("promote", "qa").out
    assert shop("--json", "drift").json["applications"][0]["environments"][0]["drift"] == 0
    assert shop("audit").status == 0


def test_a_rollback_to_nowhere_names_no_plan(tmp_path: Path) -> None:
    """No plan says more of it."""
    shop = Shop(tmp_path)
    shop.round()
    said = shop("rollback", "qa", "--reason", "too loud")
    assert (said.status, "nothing to go back to" in said.out, "next" in said.out) == (4, True, False)


def test_rollback_as_json_and_forward_again(shop: Shop) -> None:
    bad, first = shop.tip("qa"), shop.origin.log("env/qa")[-1].commit
    data = shop("--json", "rollback", "qa", "--to", first[:10], "--reason", "too loud").json
    assert (data["outcome"], data["commit"], data["restores"]) == ("rolled-back", shop.tip("qa"), first)
    assert (data["verification"], len(data["plan_id"])) == ("pending", 64)
    assert data["holds"] == [{"commit": bad, "paths": ["web"]}]
    data = shop("--json", "rollback", "qa", "--to", bad, "--reason", "it was not that").json
    assert (data["restores"], data["holds"], data["lifts"]) == (bad, [], [bad])


def test_several_at_once_with_what_fails(shop: Shop) -> None:
    """The worst exit status counts, and the others go back."""
    assert shop("freeze", "prod", "--strict", "--reason", "quarter end").status == 0
    said = shop("--json", "rollback", "*", "--reason", "all of it")
    assert [hop["outcome"] for hop in said.json["hops"]] == ["rolled-back", "rolled-back", "refused"]
    assert said.status == 4
    assert "web" not in shop.origin.tree("env/qa")
    assert "web" in shop.origin.tree("env/prod")


def test_waiting_for_it(shop: Shop) -> None:
    (shop.folder / "deployed" / "qa" / "current").resolve()
    said = shop("--json", "rollback", "qa", "--reason", "too loud", "--wait", "0s")
    assert (said.status, said.json["verification"]) == (3, "pending")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["qa"], "--reason"),
        (["qa", "--reason", " "], "a reason is one that people can read"),
        (["qa", "--reason", "a\nPromotion-Plan: 1"], "control character"),
        (["qa", "--reason", "{{7*7}}"], "templates"),
        (["qaa", "--reason", "bad"], "did you mean `qa`?"),
        (["qa", "--to", "12345678", "--reason", "bad"], "no commit 12345678"),
    ],
)
def test_wrong_words_change_nothing(shop: Shop, words: list[str], told: str) -> None:
    before = shop.origin.refs()
    said = shop("rollback", *words)
    assert (said.status, said.out) == (2, "")
    assert told in said.err.splitlines()[0]
    assert shop.origin.refs() == before


def test_to_what_is_no_release_names_those_that_are(shop: Shop) -> None:
    source = shop.tip("dev")
    said = shop("rollback", "prod", "--to", source, "--reason", "bad")
    assert said.status == 2
    assert "is no release of prod (there are: " in said.err


def test_on_failure_rollback_needs_nobody(tmp_path: Path) -> None:
    """The whole of it, from the file: a change that is sick in qa alone goes back, and the round ends with 6."""
    shop = Shop(tmp_path, qa={"verify": {"on_failure": "rollback"}})
    shop.settings["qa"]["health"] = [{"type": "command", "command": ["false"]}]
    place = str(tmp_path / "deployed" / "qa" / "current")
    shop.settings["qa"]["health"] = [{"type": "command", "command": ["sh", "-c", f"! grep -q 2 {place}/web"]}]
    shop.write()
    shop.push("dev", {"web": "1\n", **WELL})
    for _ in range(3):
        shop.round()
    shop.push("dev", {"web": "2\n"})
    statuses = [shop("run", "--sync").status for _ in range(4)]
    assert 6 in statuses
    assert shop.origin.show("env/qa", "web") == shop.origin.show("env/prod", "web") == "1\n"
    assert "rolled-back qa" in shop.events()
