"""approve, reject and withdraw on the command line, and promote --override: what is shown, asked, recorded and refused."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests.support.git import Origin
from tests.support.shop import WELL, Said, Shop
from tests.test_cli_usage import on_a_terminal

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
MANAGERS = {"groups": {"managers": [ALICE, BOB, CAROL]}}


def made(folder: Path, gates: list[dict[str, Any]] | None = None, /, **top: Any) -> Shop:
    """A change is in dev and healthy; qa asks people about it."""
    asks = {"type": "approval", "from": ["managers"], "count": 2, "not_author": True}
    shop = Shop(folder, qa={"gates": gates or [asks]})
    shop.top |= {**MANAGERS, **top}
    shop.write()
    shop.round()
    shop.push("dev", {"web": "2\n"}, "web 2")
    shop.round()
    return shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return made(tmp_path)


def by(monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    monkeypatch.setenv("PROMOTION_USER", who)


def plan_of(shop: Shop, environment: str = "qa") -> str:
    return str(shop("--json", "plan", environment).json["plan_id"])


def unchanged(shop: Shop, *words: str) -> Said:
    """The command says no in one line, and nothing is changed anywhere."""
    before = shop.origin.refs()
    said = shop(*words)
    assert said.status in (2, 4), said
    assert shop.origin.refs() == before
    assert all(line.startswith("  next ") for line in said.err.splitlines()[1:])
    return said


def test_the_whole_way(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for me; shown, asked, recorded; status, plan and where say how it stands; it lands."""
    by(monkeypatch, ALICE)
    plan = plan_of(shop)
    waits = shop("approve")
    assert waits.status == 0
    assert f"approval 0 of 2   plan {plan[:8]}" in waits.out
    assert f"  next    promotion approve {plan[:8]}" in waits.out
    said = shop("approve", plan[:8], "--yes", "--reason", "read it")
    assert said.status == 0, said
    assert f"plan {plan[:8]} approved by {ALICE}: 1 of 2 (alice)" in said.out
    assert "web 2" in said.out  # the plan was shown
    assert f"  undo    promotion withdraw {plan[:8]}" in said.out
    assert "approval 1 of 2 (alice)" in shop("status").out
    assert f"promotion approve {plan[:8]}" in shop("status").out
    shown = shop("plan", "qa")
    assert (shown.status, f"  next    promotion approve {plan[:8]}" in shown.out) == (3, True)
    assert "1 of 2: alice" in shown.out
    assert "approval 1 of 2 (alice)" in shop("where", shop.tip("dev")).out
    waiting = shop("promote", "qa")
    assert (waiting.status, f"promotion approve {plan[:8]}" in waiting.out) == (3, True)
    assert f"nothing waits for {ALICE}" in shop("approve").out
    by(monkeypatch, BOB)
    last = shop("approve", plan[:6], "--yes")
    assert "2 of 2 (alice, bob)" in last.out
    assert f"promotion promote qa --plan {plan[:8]}" in last.out
    assert shop("promote", "qa", "--plan", plan[:8]).status == 0
    assert shop.events()[-3:] == ["approved qa", "approved qa", "promoted qa"]
    assert shop("audit").status == 0
    over = unchanged(shop, "approve", plan[:8], "--yes")
    assert f"plan {plan[:8]} is over: promoted to qa as" in over.err


def test_json(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object each."""
    by(monkeypatch, ALICE)
    (row,) = shop("--json", "approve").json["waiting"]
    assert (row["environment"], row["may"], row["approval"]["count"]) == ("qa", True, 2)
    said = shop("--json", "approve", row["plan_id"], "--yes").json
    assert said["recorded"]["event"] == "approved"
    assert [a["by"] for a in said["approval"]["approved"]] == [ALICE]
    assert shop("--json", "plan", "qa").json["approval"]["may"] == [BOB, CAROL]
    (qa,) = [e for e in shop("--json", "status").json["applications"][0]["environments"] if e["environment"] == "qa"]
    assert (qa["waiting_for"], qa["approval"]["identity"]) == ("approval 1 of 2 (alice)", "claimed")


@pytest.mark.parametrize(("typed", "recorded"), [("n\n", []), ("\n", []), ("y\n", ["approved qa"])], ids=repr)
def test_a_terminal_is_asked(shop: Shop, typed: str, recorded: list[str]) -> None:
    """The plan is shown first; only a yes is recorded."""
    plan, before, events = plan_of(shop)[:8], shop.origin.refs(), shop.events()
    out, err = on_a_terminal(shop, "approve", plan, typed=typed, PROMOTION_USER=ALICE)
    question = f"approve plan {plan} as {ALICE}? [y/N]:"
    assert 0 < out.index("web 2") < out.index(question)
    assert shop.events()[len(events) :] == recorded
    assert (shop.origin.refs() == before) is ("nothing was recorded" in err) is (not recorded)


def test_reject_and_what_undoes_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held until it is lifted, or withdrawn by whoever rejected."""
    by(monkeypatch, BOB)
    plan = plan_of(shop)
    said = shop("reject", plan[:8], "--reason", "not before the weekend", "--yes")
    assert (said.status, f"promotion lift qa {shop.tip('dev')[:7]}" in said.out) == (0, True)
    assert shop("plan", "qa").out.count("rejected by bob@example.com: not before the weekend") == 1
    by(monkeypatch, ALICE)
    assert "rejected by bob@example.com" in unchanged(shop, "approve", plan[:8], "--yes").err
    assert "has said nothing of a plan" in unchanged(shop, "withdraw", plan[:8]).err
    by(monkeypatch, BOB)
    assert shop("withdraw", plan[:8]).status == 0
    assert shop("plan", "qa").status == 3
    shop("reject", plan[:8], "--reason", "no", "--yes")
    assert shop("lift", "qa", shop.tip("dev")[:7]).status == 0
    assert shop("plan", "qa").status == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("approve", "zzzz", "--yes"), "'zzzz' is no plan: give 4 to 64 hex digits"),
        (("approve", "00000000", "--yes"), "no plan 00000000"),
        (("approve", "PLAN"), "there is no terminal to ask on: approve needs --yes"),
        (("reject", "PLAN", "--yes"), "--reason"),
        (("reject", "PLAN", "--yes", "--reason", " "), "a reason is one that people can read"),
        (("reject", "PLAN", "--yes", "--reason", "a\nPromotion-Plan: x"), "control character U+000A"),
        (("reject", "PLAN", "--yes", "--reason", "{{7*7}}"), "templates are not filled in"),
        (("approve", "PLAN", "--yes", "--reason", "Promotion-Plan: x"), "only commits say"),
        (("withdraw", "PLAN"), "has said nothing"),
        (("hold", "qa", "HEAD", "--reason", "x"), "'HEAD' is no commit: give 4 to 40 hex digits"),
        (("hold", "qa", "TIP", "--reason", "{{7*7}}"), "templates are not filled in"),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_one_clear_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str
) -> None:
    """And changes nothing."""
    by(monkeypatch, ALICE)
    plan = plan_of(shop)
    said = unchanged(
        shop,
        *(word.replace("PLAN", plan) if word == "PLAN" else word.replace("TIP", shop.tip("dev")) for word in words),
    )
    assert line in said.err
    if "00000000" in words:
        assert plan[:8] in said.err  # what waits


def test_who_may_not_is_told_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the list, an author, a name that is none."""
    plan = plan_of(shop)
    for who, line in (
        ("dave@example.com", "dave@example.com is not asked for qa: alice, bob, carol may"),
        ("{{7*7}}", "templates are not filled in"),
        ("a\x1b[31m@example.com", "control character"),
    ):
        by(monkeypatch, who)
        said = unchanged(shop, "approve", plan, "--yes")
        assert (line in said.err, said.out) == (True, "")  # before anything is shown or asked
    by(monkeypatch, ALICE)
    shop("approve", plan, "--yes")
    before = shop.origin.refs()
    again = shop("approve", plan, "--yes")  # as after one that was killed after its push
    assert (again.status, f"{ALICE} has approved plan {plan[:8]} already" in again.out) == (0, True)
    assert shop.origin.refs() == before


def test_the_nearest_plan_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    by(monkeypatch, ALICE)
    plan = plan_of(shop)
    near = plan[:7] + ("0" if plan[7] != "0" else "1")
    assert f"did you mean `{plan[:8]}`" in unchanged(shop, "approve", near, "--yes").err


def test_a_prefix_that_names_two_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With enough candidates four digits are not enough."""
    from promotion.report import requests

    shop = made(tmp_path)
    by(monkeypatch, ALICE)
    plan = plan_of(shop)
    real = requests._candidates

    def twice(places: Any) -> Any:
        for site, world, view, identity, commit in real(places):
            yield site, world, view, identity, commit
            yield site, world, view, identity[:8] + "f" * 56, commit

    monkeypatch.setattr(requests, "_candidates", twice)
    assert f"{plan[:8]} names 2 plans" in unchanged(shop, "approve", plan[:8], "--yes").err


def changed(shop: Shop, what: str) -> None:
    """One input of the plan is another one."""
    if what == "gates":
        shop.set("qa", gates=[{"type": "approval", "from": ["managers"], "count": 1}, {"type": "soak", "for": "1h"}])
    elif what == "soak":
        shop.set("qa", gates=[{"type": "soak", "for": "1s"}, *shop.settings["qa"]["gates"][1:]])
    elif what == "protect":
        shop.set("qa", protect=["only/here"])
    elif what == "target":
        shop.push("qa", {"hotfix": "1\n"})
    elif what == "people":
        shop.write(groups={"managers": [ALICE, BOB]})
    if what in ("gates", "soak", "protect", "people"):
        assert shop("configure", "--reason", "x").status == 0


@pytest.mark.parametrize("told", ["shown", "approved"])
@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("gates", "gates changed: approval count 2 -> 1; approval not_author True -> none; soak added"),
        ("protect", "protect changed: none -> only/here"),
        (
            "people",
            "gates changed: approval from alice@example.com, bob@example.com, carol@example.com -> alice@example.com, bob@example.com",
        ),
        ("target", "target moved"),
    ],
)
def test_a_void_plan_says_which_input_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str, line: str, told: str
) -> None:
    """Whether it was only shown here, or somebody answered about it and this machine knows nothing."""
    by(monkeypatch, ALICE)
    plan = plan_of(shop)
    if told == "approved":
        assert shop("approve", plan, "--yes").status == 0
        for file in Path(str(shop.folder)).glob("**/*.shown.json"):
            file.unlink()
    changed(shop, what)
    by(monkeypatch, BOB)
    assert f"plan {plan[:8]} is void: {line}" in unchanged(shop, "approve", plan[:8], "--yes").err


def test_a_gate_that_changed_is_named_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by(monkeypatch, ALICE)
    shop = made(tmp_path, [{"type": "soak", "for": "2h"}, {"type": "approval", "from": ["managers"]}])
    plan = plan_of(shop)
    changed(shop, "soak")
    assert f"plan {plan[:8]} is void: gates changed: soak 2h -> 1s" in unchanged(shop, "approve", plan, "--yes").err


def test_a_superseded_candidate(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer one was approved and landed: the older one's plan has nothing to give any more."""
    old = plan_of(shop)
    shop.push("dev", {"web": "3\n"})
    shop.round()
    new = plan_of(shop)
    assert new != old
    for who in (ALICE, BOB):
        by(monkeypatch, who)
        shop("approve", new, "--yes")
    assert shop("promote", "qa").status == 0
    assert f"plan {old[:8]} is void: candidate superseded: qa has" in unchanged(shop, "approve", old, "--yes").err


def test_a_code_is_read_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an argument; a wrong one and a used one are one line."""
    gates = [{"type": "approval", "from": ["managers"], "identity": "code"}]
    shop = made(tmp_path, gates, approvers={ALICE: {"code_env": "ALICE_SEED"}})
    monkeypatch.setenv("ALICE_SEED", SEED)
    by(monkeypatch, ALICE)
    plan = plan_of(shop)

    def typed(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    typed("")
    assert "qa wants a one-time code: none was given" in unchanged(shop, "approve", plan, "--yes").err
    typed("12345\n")
    assert "this is not the code of" in unchanged(shop, "approve", plan, "--yes").err
    typed(f"{pyotp.TOTP(SEED).now()}\n")
    assert shop("approve", plan, "--yes").status == 0
    assert SEED not in json.dumps(shop("--json", "history").json)
    typed(f"{pyotp.TOTP(SEED).now()}\n")
    shop("withdraw", plan)
    typed("")
    assert "none was given" in unchanged(shop, "approve", plan, "--yes").err


def test_a_code_is_used_once_in_all_applications_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one of them is named: the others are asked all the same, and one that is away is said."""
    gates = [{"type": "approval", "from": ["managers"], "identity": "code"}]
    shop = Shop(tmp_path, qa={"gates": gates})
    other = Origin.create(tmp_path / "billing.git", files=WELL)
    shop.several(shop=str(shop.origin.path), billing=str(other.path))
    shop.top |= {**MANAGERS, "approvers": {ALICE: {"code_env": "ALICE_SEED"}}}
    shop.write()
    shop.round()
    shop.push("dev", {"web": "2\n"})
    other.commit("env/dev", {"web": "2\n"})
    shop.round()
    monkeypatch.setenv("ALICE_SEED", SEED)
    by(monkeypatch, ALICE)
    one, two = (str(shop("-a", name, "--json", "plan", "qa").json["plan_id"]) for name in ("shop", "billing"))
    known, typed = other.refs(), pyotp.TOTP(SEED).at(datetime.now(UTC) + timedelta(seconds=30))
    away = other.path.rename(tmp_path / "away.git")
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    said = unchanged(shop, "-a", "shop", "approve", one, "--yes")
    assert f"whether this code of {ALICE} was used for billing cannot be known" in said.err
    away.rename(other.path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert shop("-a", "shop", "approve", one, "--yes").status == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    said = unchanged(shop, "-a", "billing", "approve", two, "--yes")
    assert f"this code of {ALICE} was used already, for shop: wait for the next one" in said.err
    assert other.refs() == known


def test_no_seed_is_said_and_none_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gates = [{"type": "approval", "from": ["managers"], "identity": "code"}]
    shop = made(tmp_path, gates, approvers={ALICE: {"code_env": "ALICE_SEED"}})
    by(monkeypatch, ALICE)
    plan = plan_of(shop)
    monkeypatch.setattr(sys, "stdin", io.StringIO("123456\n"))
    assert "code_env ALICE_SEED: there is no seed of alice" in unchanged(shop, "approve", plan, "--yes").err
    monkeypatch.setenv("ALICE_SEED", "sesame!")
    monkeypatch.setattr(sys, "stdin", io.StringIO("123456\n"))
    said = unchanged(shop, "approve", plan, "--yes")
    assert "the seed of alice@example.com is none" in said.err
    assert "sesame" not in said.err


# --- overrides -------------------------------------------------------------------------------------------------------

OVER = {"overrides": {"by": ["managers"], "skip": ["soak", "approval", "freeze"]}}
GATES = [{"type": "soak", "for": "2h"}, {"type": "approval", "from": ["managers"]}]


def test_an_override_is_loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded in the same push, said by plan, history and audit; nothing else is passed."""
    shop = made(tmp_path, GATES, **OVER)
    by(monkeypatch, ALICE)
    shop("freeze", "qa", "--reason", "quarter end")
    refused = shop("promote", "qa")
    assert (refused.status, "or   --override freeze --reason R (" in refused.out) == (4, True)
    assert shop("promote", "qa", "--override", "soak,approval", "--reason", "an incident").status == 4
    pushes, words = (
        len(shop.events()),
        ("promote", "qa", "--override", "soak,approval,freeze", "--reason", "an incident"),
    )
    assert "past freeze, soak, approval: all other gates pass" in shop(*words, "--dry-run").out
    said = shop(*words)
    assert said.status == 0, said
    assert shop.events()[pushes:] == ["overridden qa", "promoted qa"]
    (event,) = [e for e in shop("--json", "history").json["events"] if e["event"] == "overridden"]
    assert (event["by"], event["gates"], event["reason"]) == (ALICE, ["freeze", "soak", "approval"], "an incident")
    assert "past freeze, soak, approval: an incident" in shop("history").out
    assert f"! qa: came past freeze, soak, approval: an incident ({ALICE})" in shop("status").out
    by_json = shop("--json", "status").json["applications"][0]["environments"][1]["overridden"]
    assert by_json == {"gates": ["freeze", "soak", "approval"], "reason": "an incident", "by": ALICE}
    audited = shop("--json", "audit").json
    (note,) = audited["notes"]
    assert [a["notes"] for a in audited["applications"]] == [[note]]
    said = shop("audit")
    (line,) = [line for line in said.out.splitlines() if "got past" in line]
    assert line.startswith(f"shop: qa: {ALICE} got past freeze, soak, approval: an incident (")
    assert line.endswith(f", record {note.pop('record')[:12]})")
    shared = ("application", "environment", "by", "gates", "reason", "at")
    assert (note, audited["findings"], said.status) == ({key: event[key] for key in shared}, [], 0)


@pytest.mark.parametrize(
    ("who", "words", "line"),
    [
        (ALICE, ("--override", "hold"), "`hold` is never overridden"),
        (ALICE, ("--override", "soack"), "did you mean `soak`"),
        (ALICE, ("--override", "window"), "window is not overridden here: approval, freeze, soak may be"),
        (ALICE, ("--override", "soak"), "a reason is one that people can read"),
        (ALICE, ("--override", "soak", "--reason", "{{7*7}}"), "templates are not filled in"),
        (ALICE, ("--override", ","), "names no gate"),
        (ALICE, ("--reason", "x"), "it needs --override"),
        ("dave@example.com", ("--override", "soak", "--reason", "x"), "dave@example.com may not override anything here: alice, bob, carol may"),
    ],
)  # fmt: skip
def test_an_override_that_is_not_allowed_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str, words: tuple[str, ...], line: str
) -> None:
    shop = made(tmp_path, GATES, **OVER)
    by(monkeypatch, who)
    assert line in unchanged(shop, "promote", "qa", *words).err


def test_a_decision_about_a_conflict_is_approved_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People are asked about exactly its content: another decision is another plan, and without it there is none."""
    shop = made(tmp_path, [{"type": "approval", "from": ["managers"], "count": 1}])
    shop.push("qa", {"web": "hot\n"})
    branch = shop("--json", "resolve", "qa").json["branch"]
    first, second = (shop.origin.commit(branch, {"web": f"{word}\n"})[:9] for word in ("one", "two"))
    by(monkeypatch, ALICE)
    waits = shop("promote", "qa", "--resolution", first)
    advice = next(row for row in waits.out.splitlines() if row.startswith("  next    promotion approve "))
    plan = advice.split()[-1]
    assert waits.status == 3
    monkeypatch.setenv("PROMOTION_CACHE", str(tmp_path / "another machine"))
    unchanged(shop, "approve", plan, "--yes")
    shown = shop("plan", "qa", "--resolution", first)
    assert f"plan {plan}" in shown.out
    said = shop("approve", plan, "--yes")
    assert said.status == 0, said
    passing = shop("plan", "qa", "--resolution", first).out.splitlines()[-1]
    assert passing == f"  next    promotion promote qa --plan {plan} --resolution {first[:7]}"
    assert shop("promote", "qa", "--resolution", second).status == 3
    assert shop(*passing.split()[2:]).status == 0
    assert shop.origin.show("env/qa", "web") == "one\n"
    assert shop("audit").status == 0
