"""hold, lift, adopt and configure: what is recorded, and that what is printed undoes it."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.shop import Said, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A change is in dev and healthy; qa takes it only by hand."""
    made = Shop(tmp_path, qa={"auto": False})
    made.round()
    made.push("dev", {"web": "2\n"})
    made.round()
    return made


def undo(shop: Shop, said: Said) -> Said:
    """Types what the command says undoes it."""
    (line,) = [line for line in said.out.splitlines() if line.startswith("  undo ")]
    return shop(*shlex.split(line.removeprefix("  undo").strip())[1:])


def test_hold_and_what_undoes_it(shop: Shop) -> None:
    """Held: the plan says why; lifted: it lands."""
    said = shop("hold", "qa", shop.tip("dev")[:7], "--reason", "leaks memory")
    assert said.status == 0
    assert "leaks memory" in said.out
    assert shop("plan", "qa").status == 4
    row = shop("--json", "status", "qa").json["applications"][0]["environments"][0]
    assert [hold["reason"] for hold in row["holds"]] == ["leaks memory"]
    assert "promotion lift qa" in shop("status").out
    refused = shop("promote", "qa")
    assert (refused.status, f"next    promotion lift qa {shop.tip('dev')[:7]}" in refused.out) == (4, True)
    assert undo(shop, said).status == 0
    assert shop("promote", "qa").status == 0
    assert [event for event in shop.events() if event.endswith(" qa")][-3:] == ["held qa", "lifted qa", "promoted qa"]


def test_hold_needs_a_reason(shop: Shop) -> None:
    """One that people can read."""
    assert shop("hold", "qa", shop.tip("dev")).status == 2
    said = shop("hold", "qa", shop.tip("dev"), "--reason", "  ")
    assert (said.status, "reason" in said.err) == (2, True)


def test_lift_of_what_is_not_held_says_what_is(shop: Shop) -> None:
    """And refuses a prefix that would name anything."""
    shop("hold", "qa", shop.tip("dev"), "--reason", "x")
    assert shop.tip("dev")[:7] in shop("lift", "qa", "0000000").err
    assert "hex digits" in shop("lift", "qa", "").err


def frozen(shop: Shop, environment: str) -> dict[str, Any] | None:
    """What `status --json` says of a freeze."""
    (row,) = shop("--json", "status", environment).json["applications"][0]["environments"]
    return row["frozen"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("names", [("qa",), ("qa", "prod"), ("p*", "q*"), ()])
def test_freeze_and_what_undoes_it(shop: Shop, names: tuple[str, ...]) -> None:
    """Frozen: refused, with who and why, and what ends it; thawed: it lands."""
    said = shop("freeze", *names, "--reason", "quarter end")
    assert said.status == 0
    refused = shop("promote", "qa")
    assert refused.status == 4
    assert '"quarter end"' in refused.out
    assert f"  next    promotion thaw{' qa' if names else ''}" in refused.out.splitlines()
    there = frozen(shop, "qa")
    assert there is not None
    assert (there["reason"], there["until"], there["strict"], there["everything"]) == (
        "quarter end",
        None,
        False,
        not names,
    )
    assert "promotion thaw" in shop("status").out
    assert undo(shop, said).status == 0
    assert frozen(shop, "qa") is None
    assert shop("promote", "qa").status == 0
    assert shop("audit").status == 0


def test_a_freeze_ends_by_itself(shop: Shop) -> None:
    """By a time or a span; one that would be over is refused."""
    assert shop("freeze", "qa", "--until", "1s", "--reason", "x").status == 0
    there = frozen(shop, "qa")
    assert there is None or there["until"]
    time.sleep(1.1)
    assert frozen(shop, "qa") is None
    assert shop("promote", "qa").status == 0
    assert shop("audit").status == 0
    said = shop("freeze", "qa", "--until", "2020-01-01T00:00Z", "--reason", "x")
    assert (said.status, said.err.startswith("--until: 2020-01-01T00:00:00Z is over")) == (2, True)
    assert shop("freeze", "qa", "--until", "tomorrow", "--reason", "x").status == 2


def test_thaw_of_what_is_not_frozen_says_what_is(shop: Shop) -> None:
    """And changes nothing."""
    assert shop("thaw").err == "shop is not frozen as a whole\n"
    shop("freeze", "qa", "--reason", "x", "--strict")
    assert shop("thaw").err == "shop is not frozen as a whole\n  next    promotion thaw qa\n"
    assert shop("thaw", "prod").err == "shop: prod is not frozen\n"
    shop("freeze", "--reason", "y")
    assert shop("thaw", "prod").err == "shop: prod is not frozen\n  next    promotion thaw   ends that of everything\n"
    assert shop("thaw", "pord").status == 2
    assert shop("freeze", "pro*", "--reason", " ").status == 2


def test_a_glob_thaws_those_that_are_frozen(shop: Shop) -> None:
    """And says which; it is wrong only when none is."""
    shop("freeze", "qa", "--reason", "x")
    said = shop("--json", "thaw", "*")
    assert (said.status, [e["environment"] for e in said.json["recorded"]]) == (0, ["qa"])
    assert shop("thaw", "*").err == "shop: dev, qa, prod is not frozen\n"


def test_a_promotion_into_a_frozen_environment_is_found(shop: Shop) -> None:
    """By an audit, whoever wrote it."""
    shop("freeze", "qa", "--reason", "x")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("promotion.state.Freeze.holds", lambda *_: False)
        assert shop("promote", "qa").status == 0
    said = shop("audit")
    assert said.status == 4
    assert "qa was frozen by" in said.out


def test_adopt_and_what_undoes_it(shop: Shop) -> None:
    """qa is said to stand for dev's change; then again for what it stood for."""
    before = shop("--json", "status", "qa").json["applications"][0]["environments"][0]["release"]
    said = shop("adopt", "qa", "--source", shop.tip("dev")[:8])
    assert said.status == 0
    assert shop("--json", "plan", "qa").json["verdict"] == "nothing"
    assert undo(shop, said).status == 0
    assert shop("--json", "status", "qa").json["applications"][0]["environments"][0]["release"] == before
    assert shop("plan", "qa").status == 3


def test_adopt_of_a_root_and_of_a_foreign_commit(shop: Shop) -> None:
    """Exit status 2, nothing recorded."""
    shop.origin.commit("other", {"x": "1\n"})
    events = shop.events()
    assert "takes commits from nobody" in shop("adopt", "dev").err
    assert shop("adopt", "qa", "--source", shop.origin.tip("other")).status == 2
    assert shop.events() == events


def test_configure_shows_the_difference(shop: Shop) -> None:
    """Once; then there is none."""
    shop.set("qa", auto=True)
    assert shop("run").status == 2
    said = shop("configure", "--reason", "trust")
    assert "- environments.qa.auto: false" in said.out
    shop.set("qa", gates=[{"type": "soak", "for": "2h"}])
    assert '+ environments.qa.gates: [{"for": "2h", "type": "soak"}]' in shop("configure", "--reason", "soak").out
    assert shop("--json", "configure", "--reason", "again").json["applications"][0]["differences"] == []
    assert shop("run").status == 0
    assert shop("--json", "history", "--limit", "9").json["events"][-1]["event"] is not None
    assert shop.events().count("configured None") == 3


@pytest.mark.parametrize(
    ("who", "what"),
    [
        ("{{7*7}}", "holds `{{`"),
        ("a\x1b[31m", "control character U+001B"),
        ("a\nPromotion-Plan: x", "control character U+000A"),
        ("Promotion-Plan: x", "holds `Promotion-Plan:`"),
    ],
)
@pytest.mark.parametrize("variable", ["PROMOTION_USER", "GIT_AUTHOR_EMAIL"])
def test_a_name_that_is_no_plain_line_does_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, variable: str, who: str, what: str
) -> None:
    """Whatever the verb, and wherever the name comes from."""
    shop.push("dev", {"web": "2\n"})
    commit, before = shop.tip("dev"), shop.origin.refs()
    monkeypatch.setenv(variable, who)
    for words in (
        ("hold", "qa", commit, "--reason", "x"),
        ("freeze", "--reason", "x"),
        ("rollback", "dev", "--reason", "x"),
        ("run",),
    ):
        said = shop(*words)
        assert (said.status, len(said.err.splitlines())) == (2, 1), said
        assert what in said.err
    assert shop.origin.refs() == before


def test_who_acts_is_recorded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """PROMOTION_USER, else Git's author."""
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "carol@example.com")
    shop("hold", "qa", shop.tip("dev"), "--reason", "x")
    monkeypatch.setenv("PROMOTION_USER", "alice@example.com")
    shop("lift", "qa", shop.tip("dev"))
    events = shop("--json", "history", "--limit", "2").json["events"]
    assert [event["by"] for event in events] == ["alice@example.com", "carol@example.com"]
