"""Groups, approvals, approvers and overrides of environments.yaml: what they become, and what does not fit together."""

from __future__ import annotations

from typing import Any

import pytest

from promotion.model import Overrides, Seed
from tests.support.written import dump, env, file, parse, wrong

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
GROUPS = {"managers": ["Alice@example.com", BOB]}
GATE = "$.environments[1].gates[0]"


def approval(**settings: Any) -> dict[str, Any]:
    return {"type": "approval", **{key.rstrip("_"): value for key, value in settings.items()}}


def asked(*gates: dict[str, Any], **top: Any) -> dict[str, Any]:
    """dev -> qa with these gates."""
    return file(env(), env("qa", from_="dev", gates=list(gates)), **{"groups": GROUPS, **top})


def test_groups_become_people() -> None:
    """In the gate, in what decides and in what is in force; each once, whatever the case of letters and the order."""
    (app,) = parse(dump(asked(approval(from_=[CAROL, "managers", "ALICE@example.com"], count=2)))).applications
    qa = app.environment("qa")
    assert qa.approval == {"from": [ALICE, BOB, CAROL], "count": 2}
    assert qa.deciding["gates"] == [{"type": "approval", "from": [ALICE, BOB, CAROL], "count": 2}]
    assert app.in_force["environments"]["qa"]["gates"] == qa.deciding["gates"]
    other = asked(approval(from_=["managers", CAROL], count=2))
    assert parse(dump(other)).applications[0].in_force == app.in_force


def test_overrides_and_approvers() -> None:
    """Overrides are in force; where seeds are is nobody else's business."""
    over = {"by": ["managers"], "skip": ["soak", "freeze"]}
    seeds = {"Alice@example.com": {"code_env": "ALICE_SEED"}, BOB: {"code_file": "seeds/bob"}}
    (app,) = parse(dump(asked(overrides=over, approvers=seeds))).applications
    assert app.overrides == Overrides((ALICE, BOB), ("freeze", "soak"))
    assert app.in_force["overrides"] == {"by": [ALICE, BOB], "skip": ["freeze", "soak"]}
    assert app.approvers == {ALICE: Seed(code_env="ALICE_SEED"), BOB: Seed(code_file="/srv/conf/seeds/bob")}
    assert "SEED" not in str(app.in_force)
    assert "overrides" not in parse(dump(asked())).applications[0].in_force


def test_same_as_takes_the_other_ones_rules() -> None:
    """Through several; when those rules change, this plan is another one too."""
    value = file(
        env(),
        env("a", from_="dev", gates=[approval(same_as="b")]),
        env("b", from_="dev", gates=[approval(same_as="c")]),
        env("c", from_="dev", gates=[approval(from_=["managers"], not_author=True)]),
        groups=GROUPS,
    )
    (app,) = parse(dump(value)).applications
    assert app.environment("a").approval == {"from": [ALICE, BOB], "not_author": True, "same_as": "b"}
    assert [e.name for e in app.decided_with(app.environment("a"))] == ["b", "c"]
    assert app.decided_with(app.environment("c")) == ()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (asked(approval()), f"{GATE}.from: missing: write who may approve, or `same_as` and an environment"),
        (asked(approval(from_=["mangers"])), f"{GATE}.from[0]: no group `mangers`, and no email; did you mean `managers`? (managers)"),
        (asked(approval(from_=[])), f"{GATE}.from: empty: at least one entry is needed"),
        (asked(approval(from_=["managers"]), groups={"managers": []}), "$.groups.managers: empty: at least one entry is needed"),
        (asked(groups={"managers": ["alice"]}), "$.groups.managers[0]: `alice` is not an email, and groups hold nothing else"),
        (asked(groups={ALICE: [BOB]}), f'$.groups["{ALICE}"]: `{ALICE}` is an email: a group needs another name'),
        (asked(approval(from_=["managers"], count=3)), f"{GATE}.count: 3 must approve, and `from` has only 2 people"),
        (asked(approval(from_=["managers", ALICE], count=3)), f"{GATE}.count: 3 must approve, and `from` has only 2 people"),
        (asked(approval(from_=["managers"], count=0)), f"{GATE}.count: 0 is not allowed: at least 1"),
        (asked(approval(from_=["managers"], identity="face")), f"{GATE}.identity: `face` is not known here (claimed, code, signed)"),
        (asked(approval(from_=["managers"], identity="code")), f"{GATE}.identity: 1 must approve by code, and of `from` `approvers` has 0"),
        (asked(approval(from_=["managers"], expires="0s")), f"{GATE}.expires: `0s` is not a duration of at least 1s: write 90s, 15m, 2h or 3d"),
        (asked(approval(from_=["managers"]), approval(from_=[CAROL])), "$.environments[1].gates[1]: another approval: one gate asks everybody who is to be asked"),
        (asked(approval(same_as="qa")), f"{GATE}.same_as: an environment cannot take its own decision"),
        (asked(approval(same_as="qq")), f"{GATE}.same_as: no environment `qq` (dev)"),
        (asked(approval(same_as="dev")), f"{GATE}.same_as: dev asks nobody: give it an approval with `from`, or write `from` here"),
        (asked(approval(same_as="dev", count=2)), f"{GATE}.count: not beside `same_as`: the rules of that environment count"),
        (file(env(), env("qa", from_="dev", gates=[approval(from_=[ALICE])]), env("prod", from_="qa", gates=[approval(same_as="qa")])),
         "$.environments[2].gates[0].same_as: qa takes commits from dev, prod from qa: a decision is about a commit of one of them"),
        (file(env(), env("a", from_="dev", gates=[approval(same_as="b")]), env("b", from_="dev", gates=[approval(same_as="a")])),
         f"{GATE}.same_as: a cycle, in which nobody decides: a -> b -> a"),
        (asked(overrides={"by": ["nobody"], "skip": ["soak"]}), "$.overrides.by[0]: no group `nobody`, and no email (managers)"),
        (asked(overrides={"by": [ALICE], "skip": ["hold"]}), "$.overrides.skip[0]: `hold` is not known here (soak, window, approval, freeze)"),
        (asked(overrides={"by": [ALICE]}), "$.overrides.skip: missing"),
        (asked(approvers={"alice": {"code_env": "A"}}), "$.approvers.alice: `alice` is not an email"),
        (asked(approvers={ALICE: {"code_env": "A", "code_file": "b"}}), f'$.approvers["{ALICE}"]: `code_env` and `code_file` both: write one of them'),
        (asked(approvers={ALICE: {"code_env": "PATH"}}), f'$.approvers["{ALICE}"].code_env: `PATH` is handed to every program that is started: a seed needs a variable of its own'),
        (asked(approvers={ALICE: {"code_env": "JBSW Y3DP"}}), f'$.approvers["{ALICE}"].code_env: not the name of a variable: letters, digits and `_`, such as ALICE_SEED, and never the seed'),
        (asked(approvers={ALICE: {"code_file": "~/seed"}}), f'$.approvers["{ALICE}"].code_file: `~` is not filled in here: write the whole path'),
    ],
)  # fmt: skip
def test_each_mistake_is_one_clear_line(value: Any, problem: str) -> None:
    """Where, what, what is allowed, the nearest spelling."""
    assert problem in wrong(value)


def test_an_application_may_leave_the_other_one_out() -> None:
    """Then there is nobody to take the decision from."""
    gate = [approval(same_as="lead")]
    value = file(
        env(),
        env("lead", from_="dev", gates=[approval(from_=[ALICE])]),
        env("qa", from_="dev", gates=gate),
        repository=None,
        applications=[{"repository": "/srv/git/shop.git", "environments": {"dev": {}, "qa": {}}}],
    )
    assert "$.environments[2].gates[0].same_as: `lead` is left out of shop: name it too" in wrong(value)
