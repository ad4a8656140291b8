"""S8 and S13: what was approved is what lands, and a no that came before the push always wins; on real repositories."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion import authors
from promotion.errors import AnsweredError, PromotionError
from promotion.model import Seed, Spec
from promotion.reconcile import (
    adopt,
    approve,
    configure,
    freeze,
    hold,
    lift,
    promote,
    reject,
    resolve,
    roll_back,
    withdraw,
)
from promotion.reconcile.draft import Draft
from promotion.reconcile.hop import land
from promotion.report import answered, audit
from promotion.repository import Snapshot
from promotion.resolving import resolution_of
from promotion.state import State
from promotion.view import Plan, Unknown
from tests.support.shared import Shared, place
from tests.support.stage import Stage, environment
from tests.support.trusted import Trusted
from tests.test_approvals import ALICE, BOB, CAROL, SEED, asks, code, coded, refused
from tests.test_safety import EVERYTHING, allowing, appended, consistent, exit_of, forked, inject, landed, steps, ways

Build = Callable[..., Stage]
Act = Callable[[Stage], Any]


def asking(build: Build, tmp_path: Path, *gates: Spec, **more: Any) -> Stage:
    """dev -> qa, where people are asked."""
    folder = tmp_path / "stage"
    return build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=gates or (asks(),), **more))


def arrived(stage: Stage, web: str = "2\n") -> Plan:
    """A change is healthy in dev and waits for people."""
    stage.round()
    stage.commit("dev", {"web": web})
    stage.round()
    return stage.plan("qa")


# --- S8: an approval names one plan ----------------------------------------------------------------------------------


def decided(stage: Stage, **settings: Any) -> None:
    """Another configuration of qa is in force: what is written of it, and what it means."""
    written = {
        key: [{"type": g.type, **g.settings} for g in value] if key == "gates" else value
        for key, value in settings.items()
    }
    deciding = {**stage.env("qa").deciding, **written}
    known = {key: value for key, value in settings.items() if key in ("gates", "protect", "strategy")}
    stage.change("qa", deciding=deciding, **{k: tuple(v) if isinstance(v, list) else v for k, v in known.items()})
    in_force = {
        **stage.application.in_force,
        "environments": {**stage.application.in_force["environments"], "qa": deciding},
    }
    stage.application = replace(stage.application, in_force=in_force)
    stage.site = replace(stage.site, application=stage.application)
    configure(stage.site, "another way")


INPUTS: dict[str, tuple[Callable[[Stage], Any], str]] = {
    "target": (lambda stage: stage.commit("qa", {"hotfix": "1\n"}), "target moved"),
    "gates": (
        lambda stage: decided(stage, gates=[asks(expires="48h")]),
        "gates changed: approval expires none -> 48h",
    ),
    "people": (lambda stage: decided(stage, gates=[asks(from_=[ALICE])]), "gates changed: approval from"),
    "protect": (lambda stage: decided(stage, protect=["own"]), "protect changed: none -> own"),
    "strategy": (lambda stage: decided(stage, strategy="mirror"), "strategy changed: none -> mirror"),
    "verify": (lambda stage: decided(stage, verify={"within": "1h"}), "verify changed"),
    "health": (lambda stage: decided(stage, health=["another"]), "health changed"),
    "epoch": (lambda stage: adopt(stage.site, stage.env("qa"), None), "qa was promoted, rolled back or adopted since"),
}


@pytest.mark.parametrize("what", INPUTS)
def test_s8_an_approval_dies_with_each_input_of_its_plan(build: Build, tmp_path: Path, what: str) -> None:
    """It counts no more, the plan is another one, and the old one may not be approved: it says what changed."""
    stage = asking(build, tmp_path)
    plan = arrived(stage)
    approve(stage.site, plan, who=ALICE)
    assert stage.plan("qa").verdict == "pass"
    change, line = INPUTS[what]
    change(stage)
    now = stage.plan("qa")
    assert now.plan_id != plan.plan_id
    assert (now.verdict, now.reason) == ("wait", "approval 0 of 1")
    assert promote(stage.site, stage.env("qa"), plan_id=plan.plan_id).outcome == "refused"
    assert stage.round().hops == ()
    refused(lambda: approve(stage.site, plan, who=BOB), f"is void: {line}")
    approve(stage.site, stage.plan("qa"), who=ALICE)
    assert [hop.outcome for hop in stage.round().hops] == ["promoted"]
    consistent(stage)


def test_s8_an_approval_is_not_of_the_next_candidate(build: Build, tmp_path: Path) -> None:
    """Nor of the same content in another commit; and the older one that was approved lands although a newer one waits."""
    stage = asking(build, tmp_path)
    plan = arrived(stage)
    stage.commit("dev", {"web": "3\n"})
    stage.round()
    newer = stage.commit("dev", {"web": "2\n"})
    stage.round()
    assert stage.plan("qa").commit == newer
    approve(stage.site, plan, who=ALICE)
    now = stage.plan("qa")
    assert (now.verdict, now.commit) == ("pass", plan.commit)
    assert now.passed_over[0].commit == newer
    assert stage.plan("qa", chosen=newer).reason == "approval 0 of 1"
    stage.round()
    assert landed(stage) == [plan.commit]


def test_s8_who_approved_first_is_shown_first(build: Build, tmp_path: Path) -> None:
    """A plan that somebody approved stays the one that is asked about; a newer one is, while nobody has."""
    stage = asking(build, tmp_path, asks(count=2))
    plan = arrived(stage)
    newer = stage.commit("dev", {"web": "3\n"})
    stage.round()
    assert stage.plan("qa").commit == newer
    approve(stage.site, plan, who=ALICE)
    assert (stage.plan("qa").commit, stage.plan("qa").reason) == (plan.commit, "approval 1 of 2 (alice)")
    withdraw(stage.site, plan, who=ALICE)
    assert stage.plan("qa").commit == newer


def test_s8_used_up_by_a_promotion_and_asked_again_after_going_back(build: Build, tmp_path: Path) -> None:
    """Promoted, taken back by hand, promoted again: a second commit with another plan, for which nobody's old word counts."""
    stage = asking(build, tmp_path)
    plan = arrived(stage)
    base = stage.world().state.of("qa").release
    assert base is not None
    reject(stage.site, plan, who=BOB, reason="not yet")
    withdraw(stage.site, plan, who=BOB)
    approve(stage.site, plan, who=ALICE)
    stage.round()
    assert landed(stage) == [plan.commit]
    stage.commit("qa", {"web": None})
    adopt(stage.site, stage.env("qa"), base.source)
    again = stage.plan("qa")
    assert (again.commit, again.verdict) == (plan.commit, "wait")
    assert again.plan_id != plan.plan_id
    assert again.asked is not None
    assert again.asked.approved == ()
    refused(lambda: approve(stage.site, plan, who=ALICE), "is void: qa was promoted, rolled back or adopted since")
    approve(stage.site, again, who=BOB)
    stage.round()
    assert landed(stage) == [plan.commit, plan.commit]
    assert audit(stage.site, stage.world()) == []


def test_s8_a_promotion_that_too_few_approved_is_found(build: Build, tmp_path: Path) -> None:
    """Written past the decision, the audit says so; and one that somebody overrode who may not."""
    stage = asking(build, tmp_path, asks(count=2))
    plan = arrived(stage)
    approve(stage.site, plan, who=ALICE)
    forced = replace(stage.plan("qa"), verdict="pass")
    world = stage.world()
    result, _ = land(stage.site, Draft(world, world.state), forced)
    assert result is not None
    assert result.outcome == "promoted"
    (finding,) = audit(stage.site, stage.world())
    assert "was promoted to qa with 1 of 2 (alice) approvals" in finding["problem"]


def test_s8_an_override_by_somebody_who_may_not_is_found(build: Build, tmp_path: Path) -> None:
    from promotion.events import Event

    stage = asking(build, tmp_path)
    plan = arrived(stage)
    data = {"plan_id": plan.plan_id, "gates": ["approval"], "reason": "me"}
    appended(stage.open("other", "mallory"), Event("overridden", "shop", "qa", stage.now, "mallory", data))
    (finding,) = audit(stage.site, stage.world())
    assert "mallory overrode approval for qa, and was not among those who may" in finding["problem"]


# --- S13: a no that came before the push wins ------------------------------------------------------------------------

NOES: dict[str, Callable[[Stage, Plan], object]] = {
    "withdrawn": lambda stage, plan: withdraw(stage.open("other", "other"), plan, who=ALICE),
    "rejected": lambda stage, plan: reject(stage.open("other", "other"), plan, who=BOB, reason="no"),
    "rejected by the same": lambda stage, plan: reject(stage.open("other", "other"), plan, who=ALICE, reason="no"),
    "frozen": lambda stage, _: freeze(stage.open("other", "o"), [stage.env("qa")], "incident", None, strict=False),
    "all frozen": lambda stage, _: freeze(stage.open("other", "o"), [], "incident", None, strict=True),
    "held": lambda stage, plan: hold(stage.open("other", "o"), stage.env("qa"), plan.commit or "", "leaks"),
}  # fmt: skip


@ways
@steps
@pytest.mark.parametrize("no", NOES)
def test_s13_a_no_of_people_before_the_push_wins(build: Build, tmp_path: Path, act: Act, step: str, no: str) -> None:
    """At each step before the push: nothing lands."""
    stage = asking(build, tmp_path)
    plan = arrived(stage)
    approve(stage.site, plan, who=ALICE)
    tip = stage.tip("qa")
    inject(stage, step, lambda: NOES[no](stage, plan))
    act(stage)
    assert stage.tip("qa") == tip
    assert stage.plan("qa").verdict in ("wait", "block")
    consistent(stage)


@ways
@steps
def test_s13_a_no_where_the_decision_is_taken_from_wins(build: Build, tmp_path: Path, act: Act, step: str) -> None:
    """qa takes lead's decision: what is withdrawn there before the push counts here no more."""
    folder = tmp_path / "stage"
    same = Spec("approval", {"from": [ALICE, BOB, CAROL], "same_as": "lead"})
    stage = build(
        environment(folder, "dev"),
        environment(folder, "lead", "dev", gates=(asks(), Spec("soak", {"for": "9d"}))),
        environment(folder, "qa", "dev", gates=(same,)),
    )
    arrived(stage)
    lead = stage.plan("lead")
    approve(stage.site, lead, who=ALICE)
    assert stage.plan("qa").verdict == "pass"
    tip = stage.tip("qa")
    inject(stage, step, lambda: withdraw(stage.open("other", "other"), lead, who=ALICE))
    act(stage)
    assert stage.tip("qa") == tip
    reject(stage.site, lead, who=BOB, reason="no")
    assert "rejected by bob@example.com" in stage.plan("qa").reason
    consistent(stage)


@ways
@steps
def test_s8_a_decision_that_dies_elsewhere_before_the_push_counts_no_more(
    build: Build, tmp_path: Path, act: Act, step: str
) -> None:
    """qa takes lead's decision: a commit of people on lead's branch makes another plan of it, as a lost push finds out."""
    from promotion.events import Event

    folder = tmp_path / "stage"
    same = Spec("approval", {"from": [ALICE, BOB, CAROL], "same_as": "lead"})
    stage = build(
        environment(folder, "dev"),
        environment(folder, "lead", "dev", gates=(asks(), Spec("soak", {"for": "9d"}))),
        environment(folder, "qa", "dev", gates=(same,)),
    )
    arrived(stage)
    approve(stage.site, stage.plan("lead"), who=ALICE)
    assert stage.plan("qa").verdict == "pass"
    tip = stage.tip("qa")

    def moved() -> None:
        stage.commit("lead", {"own": "hotfix\n"})
        other = stage.open("other", "other")
        appended(other, Event("observed", "shop", None, stage.now, "other", {"environments": ["dev"]}))

    inject(stage, step, moved)
    act(stage)
    assert stage.tip("qa") == tip
    consistent(stage)


@ways
@steps
def test_s13_a_heartbeat_before_the_push_changes_nothing(build: Build, tmp_path: Path, act: Act, step: str) -> None:
    """It lands, and nobody is asked again."""
    from promotion.events import Event

    count = tmp_path / "asked"
    probe = Spec("command", {"command": ["sh", "-c", f"echo x >> {count}"], "timeout": "30s"})
    stage = asking(build, tmp_path, asks(), probe)
    plan = arrived(stage)
    approve(stage.site, plan, who=ALICE)
    count.write_text("")
    stage.wait(minutes=5)

    def beat() -> None:
        other = stage.open("other", "other")
        appended(other, Event("observed", "shop", None, stage.now, "other", {"environments": ["dev", "qa"]}))

    inject(stage, step, beat)
    act(stage)
    assert landed(stage) == [plan.commit]
    assert count.read_text() == "x\n"
    consistent(stage)


# --- channels at once ------------------------------------------------------------------------------------------------


@steps
def test_two_channels_at_once_are_two_people(build: Build, tmp_path: Path, step: str) -> None:
    """One on the command line, one by code in a form, while the other is being written: both count, once each."""
    stage = coded(lambda *gates: asking(build, tmp_path, *gates), count=2)
    plan = arrived(stage)
    form = replace(stage.open("form", "form"), environ={"SEED": SEED})
    inject(stage, step, lambda: approve(form, plan, who=ALICE, how="code", code=code(stage)))
    approve(stage.site, plan, who=BOB, how="code", code=code(stage))
    now = stage.plan("qa")
    assert (now.verdict, now.asked.brief if now.asked else "") == ("pass", "2 of 2 (alice, bob)")
    stage.round()
    assert landed(stage) == [plan.commit]


@steps
def test_three_channels_at_once_are_three_people(tmp_path: Path, step: str) -> None:
    """(6) A signature while a code is being written, while a name in a form is: all count, each once, in whatever channel again."""
    folder = tmp_path / "stage"
    qa = environment(folder, "qa", "dev", gates=(asks(count=3),))
    ours = Trusted.create(folder, environments=(environment(folder, "dev"), qa))
    stage = ours.stage
    stage.application = replace(stage.application, approvers={BOB: Seed(code_env="SEED")})
    stage.site = ours.site("bot")
    plan = arrived(stage)
    typing, signing = replace(ours.site("bot", "typing"), environ={"SEED": SEED}), ours.site("alice", "signing")
    says: list[Callable[[], object]] = [
        lambda: approve(stage.site, plan, who=CAROL),
        lambda: approve(typing, plan, who=BOB, how="code", code=code(stage)),
        lambda: approve(signing, plan, who=ALICE, how="signed"),
    ]
    inject(typing, step, says[2])
    inject(stage, step, says[1])
    says[0]()
    now = stage.plan("qa")
    assert (now.verdict, now.asked.brief if now.asked else "") == ("pass", "3 of 3 (alice, bob, carol)")
    assert sorted(a.how for a in stage.world().state.of("qa").answers) == ["claimed", "code", "signed"]
    stage.wait(seconds=30)
    for say in [*says, lambda: approve(stage.site, plan, who=ALICE), lambda: approve(stage.site, plan, who=BOB)]:
        with pytest.raises(AnsweredError):
            say()
    assert [e for e in stage.events() if e.startswith("approved")] == ["approved qa"] * 3
    stage.round()
    assert landed(stage) == [plan.commit]
    assert audit(stage.site, stage.world()) == []
    stage.close()


@steps
def test_the_same_person_in_two_channels_at_once_counts_once(build: Build, tmp_path: Path, step: str) -> None:
    """Whoever is second is told so, and a code that is used in both is used once."""
    stage = coded(lambda *gates: asking(build, tmp_path, *gates), count=2)
    plan = arrived(stage)
    form, typed = replace(stage.open("form", "form"), environ={"SEED": SEED}), code(stage)
    inject(stage, step, lambda: approve(form, plan, who="Alice@Example.com", how="code", code=typed))
    with pytest.raises(AnsweredError):
        approve(stage.site, plan, who=ALICE, how="code", code=typed)
    assert stage.plan("qa").reason == "approval 1 of 2 (alice)"
    assert [e for e in stage.events() if e.startswith("approved")] == ["approved qa"]


@steps
def test_a_code_is_used_once_in_two_environments_at_once(build: Build, tmp_path: Path, step: str) -> None:
    folder = tmp_path / "stage"
    gate = asks(identity="code")
    stage = build(
        environment(folder, "dev"),
        environment(folder, "qa", "dev", gates=(gate,)),
        environment(folder, "prod", "dev", gates=(gate,)),
    )
    stage.application = replace(stage.application, approvers={ALICE: Seed(code_env="SEED")})
    stage.site = replace(stage.site, application=stage.application, environ={"SEED": SEED})
    arrived(stage)
    one, other = stage.plan("qa"), stage.plan("prod")
    form, typed = replace(stage.open("form", "form"), environ={"SEED": SEED}), code(stage)
    inject(stage, step, lambda: approve(form, other, who=ALICE, how="code", code=typed))
    refused(lambda: approve(stage.site, one, who=ALICE, how="code", code=typed), "was used already")
    assert (stage.plan("prod").verdict, stage.plan("qa").verdict) == ("pass", "wait")


def test_two_orchestrators_land_what_was_approved_once(build: Build, tmp_path: Path) -> None:
    """At the same time, with caches of their own: one commit, one record."""
    stage = asking(build, tmp_path)
    plan = arrived(stage)
    approve(stage.site, plan, who=ALICE)
    stage.site.repository.close()
    start = time.monotonic() + 0.5

    def race(number: int) -> int:
        stage.site = stage.open(f"cache{number}", f"robot{number}")
        time.sleep(max(0.0, start - time.monotonic()))
        try:
            promote(stage.site, stage.env("qa"), by_hand=False)
        except PromotionError as exc:
            return exc.exit_status
        return 0

    statuses = [exit_of(pid) for pid in [forked(lambda n=n: race(n)) for n in range(4)]]  # type: ignore[misc]
    assert set(statuses) <= {0, 75}
    assert landed(stage) == [plan.commit]
    consistent(stage)


# --- who made it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", ["merge", "linear"])
def test_not_author_is_followed_through_three_hops(build: Build, tmp_path: Path, history: str) -> None:
    """Authors, committers, co-authors, a squash, a merge by hand, a hotfix on the way; whoever promotes is nobody."""
    folder = tmp_path / "stage"
    more: dict[str, Any] = {"history": history}
    names = ["ann", "cat", "eve", "fay", "gus", "hal", "ivy", "robot"]
    gate = asks(from_=[*(f"{name}@example.com" for name in names), "promotion@localhost"], not_author=True)
    stage = build(
        environment(folder, "dev"),
        environment(folder, "qa", "dev", **more),
        environment(folder, "stage", "qa", **more),
        environment(folder, "prod", "stage", gates=(gate,), **more),
    )
    stage.round()
    origin = stage.origin
    origin.commit("env/dev", {"a": "1\n"}, author="ann")
    for _ in range(3):
        stage.round()
    copied = origin.log("env/qa")[0].message  # with the trailers of a promotion
    origin.commit(
        "env/dev",
        {"b": "1\n"},
        author="x",
        message="squash (#7)\n\n* one\n\nco-authored-by: Cat <CAT@example.com>\nmore",
    )
    origin.commit("topic", {"c": "1\n"}, author="eve", onto=origin.tip("env/dev"))
    origin.commit("env/dev", {"c": "1\n"}, author="fay", merges=[origin.tip("topic")])
    for _ in range(3):
        stage.round()
    origin.commit("env/qa", {"hotfix": "1\n"}, author="gus")
    origin.commit("env/qa", {"hotfix": "2\n"}, author="hal", message=copied)
    for _ in range(4):
        stage.round()
    plan = stage.plan("prod")
    assert plan.asked is not None
    assert {b.who.partition("@")[0] for b in plan.asked.barred} == {"ann", "cat", "eve", "fay", "gus", "hal"}
    assert [who.partition("@")[0] for who in plan.asked.may] == ["ivy", "robot", "promotion"]
    refused(lambda: approve(stage.site, plan, who="cat@example.com"), "is an author")
    approve(stage.site, plan, who="ivy@example.com")
    stage.round()
    assert landed(stage, "prod") == [plan.commit]
    problems = [finding["problem"] for finding in audit(stage.site, stage.world())]
    assert any("says that it is a promotion, and no record tells of it" in problem for problem in problems)
    assert not any("approvals" in problem for problem in problems)


@pytest.mark.parametrize(
    ("author", "message", "what"),
    [
        ("alice <alice>", "x", "author `alice <alice>`"),
        ("alice <>", "x", "author `alice <>`"),
        ("eve", "x\n\nCo-authored-by: Alice <alice>", "co-author `Alice <alice>`"),
        ("eve", "x\n\nco-authored-by: \u202eAlice", "co-author `Alice`"),
    ],
)
def test_not_author_knows_nobody_without_an_address(
    build: Build, tmp_path: Path, author: str, message: str, what: str
) -> None:
    """Whoever wrote it may be anybody of the list, so nobody may approve it; which commit and what stands there is said."""
    stage = asking(build, tmp_path, asks(not_author=True))
    stage.round()
    nobodys = stage.origin.commit("env/dev", {"web": "2\n"}, author=author, message=message)
    stage.origin.commit("env/dev", {"web": "3\n"}, author="eve")
    stage.round()
    plan, why = stage.plan("qa"), f"{nobodys[:7]} has the {what}, without an address"
    assert plan.verdict == "wait"
    assert plan.verdicts[-1].reason == f"0 of 1: who wrote it is not known ({why}), so nobody may"
    refused(lambda: approve(stage.site, plan, who=ALICE), f"who wrote it is not known: {why}")
    assert not landed(stage, "qa")


def test_not_author_knows_nobody_where_a_commit_leads_nowhere(stage: Stage) -> None:
    """Without a release that says what it stands for; it is named."""
    commit, tip = stage.walked(), stage.tip("qa")
    empty = replace(stage.world(), state=State("shop"), ledger=None)
    assert authors.of(stage.site, empty, stage.env("prod"), tip, tip) == Unknown(
        f"nobody knows what {tip[:7]} of qa stands for"
    )
    assert authors.of(stage.site, empty, stage.env("qa"), commit, commit) == frozenset()


def test_not_author_in_a_shared_repository_is_about_the_scope(share: Callable[..., Shared]) -> None:
    """Who wrote for the other application may approve; who wrote for this one may not, through every hop."""
    gate = asks(from_=[ALICE, BOB], not_author=True)
    shared = share(environments=(place("dev"), place("qa", "dev"), place("prod", "qa", gates=(gate,))))
    shared.round()
    shared.origin.commit("env/dev", {"shop/web": "2\n"}, author=f"A <{ALICE}>")
    shared.origin.commit("env/dev", {"billing/web": "2\n"}, author=f"B <{BOB}>")
    for _ in range(4):
        shared.round()
    for name, barred in (("shop", ALICE), ("billing", BOB)):
        plan = shared[name].plan("prod")
        assert plan.asked is not None
        assert [b.who for b in plan.asked.barred] == [barred]


@pytest.mark.parametrize("way", ["rolled back", "adopted"])
def test_not_author_after_going_back_counts_all_again(build: Build, tmp_path: Path, way: str) -> None:
    """What comes again is everybody's who made it, though it was here before."""
    stage = asking(build, tmp_path, asks(not_author=True))
    stage.round()
    base = stage.world().state.of("qa").release
    assert base is not None
    stage.origin.commit("env/dev", {"a": "1\n"}, author=f"B <{BOB}>")
    stage.round()
    approve(stage.site, stage.plan("qa"), who=ALICE)
    stage.round()
    if way == "rolled back":
        assert roll_back(stage.site, stage.env("qa"), reason="it is bad").outcome == "rolled-back"
    else:
        stage.commit("qa", {"a": None})
        adopt(stage.site, stage.env("qa"), base.source)
    fix = stage.origin.commit("env/dev", {"a": "2\n"}, author=f"C <{CAROL}>")
    stage.round()
    plan = stage.plan("qa")
    assert (plan.commit, plan.verdict) == (fix, "wait")
    assert plan.asked is not None
    assert [b.who for b in plan.asked.barred] == [BOB, CAROL]


# --- several -----------------------------------------------------------------------------------------------------------


def test_approvals_of_three_applications_on_one_branch(share: Callable[..., Shared]) -> None:
    """Each one's own: an approval, and what others land on the branch, touch no other's plan."""
    names = ("shop", "billing", "cart")
    shared = share(names=names, environments=(place("dev"), place("qa", "dev", gates=(asks(count=2),))))
    shared.round()
    shared.commit("dev", {f"{name}/web": "2\n" for name in names})
    shared.round()
    plans = {name: shared[name].plan("qa") for name in names}
    for name in names:
        approve(shared[name].site, plans[name], who=ALICE)
    approve(shared["shop"].site, plans["shop"], who=BOB)
    shared.round()
    assert [name for name, _ in shared.promotions("qa")] == ["shop"]
    for name in ("billing", "cart"):
        now = shared[name].plan("qa")
        assert (now.plan_id, now.reason) == (plans[name].plan_id, "approval 1 of 2 (alice)")
        approve(shared[name].site, now, who=BOB)
    shared.round()
    assert sorted(name for name, _ in shared.promotions("qa")) == sorted(names)
    for name in names:
        assert audit(shared[name].site, shared[name].world()) == []


def test_soak_and_qualification_of_three_applications_on_one_branch(share: Callable[..., Shared]) -> None:
    """(10) Each one's own: one soaks from when it was well itself, one that is sick stays out, and one falls ill on the way."""
    names = ("shop", "billing", "cart")
    soak = Spec("soak", {"for": "1h"})
    shared = share(names=names, environments=(place("dev"), place("qa", "dev", gates=(soak,))))
    shared.settle()

    def rounds(minutes: int) -> list[str]:
        for _ in range(minutes // 10):
            shared.wait(minutes=10)
            shared.round()
        return [name for name, _ in shared.promotions("qa")]

    shared.commit("dev", {"shop/web": "2\n", "cart/sick": "x\n"})
    assert rounds(40) == []
    shared.commit("dev", {"billing/web": "2\n"})
    assert rounds(30) == ["shop"]
    assert "degraded in dev" in shared["cart"].plan("qa").reason
    assert rounds(20) == ["shop"]
    assert rounds(20) == ["shop", "billing"]
    shared.commit("dev", {"cart/sick": None, "cart/web": "2\n"})
    shared.commit("dev", {"shop/sick": "x\n"})
    assert rounds(80) == ["shop", "billing", "cart"]
    assert shared.origin.tree("env/qa").keys() == {"README.md", *(f"{name}/web" for name in names)}
    for name in names:
        assert audit(shared[name].site, shared[name].world()) == []


def test_a_candidate_that_gives_nothing_is_absorbed_once(share: Callable[..., Shared]) -> None:
    """With `requires` and an approval, over many rounds: one event, and nobody is asked."""
    prod = place("prod", "qa", requires=("lead",), gates=(asks(),))
    shared = share(names=("shop",), environments=(place("dev"), place("qa", "dev"), place("lead", "qa"), prod))
    shared.round()
    stage = shared["shop"]
    shared.commit("dev", {"shop/web": "2\n"})
    for _ in range(3):
        shared.round()
    approve(stage.site, stage.plan("prod"), who=ALICE)
    for _ in range(2):
        shared.round()
    shared.commit("prod", {"shop/web": "3\n"})
    shared.commit("dev", {"shop/web": "3\n"})
    for _ in range(6):
        shared.round()
    assert stage.events().count("absorbed prod") == 1
    refs = shared.origin.refs()
    for _ in range(100):
        shared.round()
    assert shared.origin.refs() == refs
    assert stage.plan("prod").verdict == "nothing"
    assert audit(stage.site, stage.world()) == []


LEADING = {"from": [ALICE, BOB, CAROL], "count": 2}


def fan_out(share: Callable[..., Shared]) -> Shared:
    """dev -> qa -> 3 stagings, and 8 prods in two waves that take the decision of the first."""
    stagings = [place(f"staging-{n}", "qa") for n in (1, 2, 3)]
    waves = tuple(s.name for s in stagings)
    prods = []
    for number in range(1, 9):
        rules = LEADING if number == 1 else {**LEADING, "same_as": "prod-1"}
        before = waves if number <= 4 else ("prod-1", "prod-2", "prod-3", "prod-4")
        prods.append(place(f"prod-{number}", "qa", requires=before, gates=(Spec("approval", rules),)))
    return share(names=("shop",), environments=(place("dev"), place("qa", "dev"), *stagings, *prods))


def test_one_decision_for_thirteen_environments(share: Callable[..., Shared]) -> None:
    """Two people approve once, at the first: all eight get it, wave after wave, and the audit holds."""
    shared = fan_out(share)
    stage = shared["shop"]
    shared.settle()
    change = shared.commit("dev", {"shop/web": "2\n"})
    shared.settle()
    prods = [e.name for e in stage.application.environments if e.name.startswith("prod-")]
    assert all("approval 0 of 2" in stage.plan(name).reason for name in prods[:4])
    lead = stage.plan("prod-1")
    approve(stage.site, lead, who=ALICE)
    approve(stage.site, lead, who=BOB)
    shared.round()
    assert [landed(stage, name) for name in prods[:4]] == [[lead.commit]] * 4
    assert [landed(stage, name) for name in prods[4:]] == [[]] * 4
    shared.settle()
    assert [landed(stage, name) for name in prods] == [[lead.commit]] * 8
    assert [e for e in stage.events() if e.startswith("approved")] == ["approved prod-1"] * 2
    assert stage.origin.show("env/prod-8", "shop/web") == "2\n"
    assert change
    assert audit(stage.site, stage.world()) == []


def test_one_rejection_for_eight(share: Callable[..., Shared]) -> None:
    """And one lift, at the first, lets all of them be asked again; a freeze of all of them lets nothing in."""
    shared = fan_out(share)
    stage = shared["shop"]
    shared.settle()
    shared.commit("dev", {"shop/web": "2\n"})
    shared.settle()
    lead = stage.plan("prod-1")
    reject(stage.site, lead, who=CAROL, reason="no")
    prods = [e for e in stage.application.environments if e.name.startswith("prod-")]
    assert all(stage.plan(e.name).verdict == "block" for e in prods)
    lift(stage.site, stage.env("prod-1"), lead.commit or "")
    approve(stage.site, lead, who=ALICE)
    approve(stage.site, lead, who=BOB)
    freeze(stage.site, prods, "quarter end", None, strict=False)
    shared.settle()
    assert [landed(stage, e.name) for e in prods] == [[]] * 8


def test_what_landed_first_is_taken_back_for_those_who_follow(share: Callable[..., Shared]) -> None:
    """An approval that was used up where it was given counts for others still, until whoever gave it withdraws it there."""
    shared = fan_out(share)
    stage = shared["shop"]
    shared.settle()
    shared.commit("dev", {"shop/web": "2\n"})
    shared.settle()
    lead = stage.plan("prod-1")
    approve(stage.site, lead, who=ALICE)
    approve(stage.site, lead, who=BOB)
    shared.round()
    short_id = (lead.plan_id or "")[:8]
    follows = stage.plan("prod-5")
    named = answered([(stage.site, stage.world())], (follows.plan_id or "")[:8], ALICE)[1]
    for plan in (follows, named):
        why = f"nothing of plan {(follows.plan_id or '')[:8]} itself: prod-5 takes the decision of prod-1, and that was about"
        refused(lambda plan=plan: withdraw(stage.site, plan, who=ALICE), f"{why} {short_id}")
    refused(lambda: withdraw(stage.site, lead, who=CAROL), "said nothing of plan")
    _, plan = answered([(stage.site, stage.world())], short_id, ALICE)
    withdraw(stage.site, plan, who=ALICE)
    refused(lambda: withdraw(stage.site, lead, who=ALICE), "said nothing of plan")
    shared.settle()
    assert [landed(stage, f"prod-{n}") for n in (5, 8)] == [[], []]
    assert stage.plan("prod-5").reason == "approval 1 of 2 (bob)"
    approve(stage.site, stage.plan("prod-5"), who=ALICE)
    shared.settle()
    assert [landed(stage, f"prod-{n}") for n in (5, 6)] == [[lead.commit], []]
    assert audit(stage.site, stage.world()) == []


def test_what_is_decided_elsewhere_dies_with_its_plan_there(share: Callable[..., Shared]) -> None:
    """A hotfix on the first prod makes that plan void: the others do not land on its approvals either."""
    shared = fan_out(share)
    stage = shared["shop"]
    shared.settle()
    shared.commit("dev", {"shop/web": "2\n"})
    shared.settle()
    lead = stage.plan("prod-1")
    approve(stage.site, lead, who=ALICE)
    shared.commit("prod-1", {"shop/hotfix": "1\n"})
    approve(stage.site, stage.plan("prod-2"), who=BOB)
    assert stage.plan("prod-2").reason == "approval 1 of 2 (bob)"
    shared.settle()
    assert landed(stage, "prod-2") == []


@pytest.mark.parametrize("how", ["well", "void", "elsewhere"])
def test_s8_the_audit_counts_what_was_said_of_the_plan_and_not_of_the_commit(
    build: Build, tmp_path: Path, how: str
) -> None:
    """Approvals of a plan that was void where it was made count no more; nor does a tip that was never there."""
    folder = tmp_path / "stage"
    same = Spec("approval", {"from": [ALICE, BOB, CAROL], "same_as": "lead"})
    stage = build(
        environment(folder, "dev"),
        environment(folder, "lead", "dev", gates=(asks(), Spec("soak", {"for": "9d"}))),
        environment(folder, "qa", "dev", gates=(same,)),
    )
    arrived(stage)
    approve(stage.site, stage.plan("lead"), who=ALICE)
    plan, before = stage.plan("qa"), stage.tip("lead")
    if how != "well":
        stage.commit("lead", {"hotfix": "1\n"})
    if how == "elsewhere":
        stage.origin.set("env/lead", before)
        before = stage.tip("dev")
    world = stage.world()
    if how == "elsewhere":
        world = replace(world, snapshot=Snapshot({**world.snapshot.tips, "refs/heads/env/lead": before}))
    result, _ = land(stage.site, Draft(world, world.state), plan)
    assert result is not None
    assert result.outcome == "promoted"
    found = "; ".join(finding["problem"] for finding in audit(stage.site, stage.world()))
    wanted = {"well": "", "void": "was promoted to qa with 0 of 1 approvals", "elsewhere": "lead was never at"}
    assert wanted[how] in found
    assert bool(found) is (how != "well")


def test_replaying_gives_the_same(build: Build, tmp_path: Path) -> None:
    """S16: answers and codes are in every record's state as the events make them; codes are remembered, answers used up."""
    stage = coded(lambda *gates: asking(build, tmp_path, *gates))
    plan = arrived(stage)
    approve(stage.site, plan, who=ALICE, how="code", code=code(stage))
    codes = stage.world().state.codes
    assert list(codes) == [ALICE]
    assert len(stage.world().state.of("qa").answers) == 1
    stage.round()
    assert landed(stage) == [plan.commit]
    assert (stage.world().state.codes, stage.world().state.of("qa").answers) == (codes, ())
    consistent(stage)


# --- overrides -------------------------------------------------------------------------------------------------------


def test_s8_what_had_expired_grants_nothing(build: Build, tmp_path: Path) -> None:
    """An override lets the leader's plan land; those who take its decision ask for somebody whose word still counts."""
    folder = tmp_path / "stage"
    same = Spec("approval", {"from": [ALICE, BOB, CAROL], "same_as": "lead"})
    stage = build(
        environment(folder, "dev"),
        environment(folder, "lead", "dev", gates=(asks(), Spec("soak", {"for": "9d"}))),
        environment(folder, "qa", "dev", gates=(same, Spec("soak", {"for": "9d"}))),
    )
    stage = allowing(stage)
    arrived(stage)
    approve(stage.site, stage.plan("lead"), who=ALICE)
    stage.wait(hours=30)
    result = promote(stage.site, stage.env("lead"), override=["approval", "soak"], reason="an outage")
    assert result.outcome == "promoted"
    asked = stage.plan("qa").asked
    assert asked is not None
    assert asked.approved == ()


NEVER: dict[str, tuple[Callable[[Stage, Plan], object], str]] = {
    "held": (lambda stage, plan: hold(stage.site, stage.env("qa"), plan.commit or "", "leaks"), "leaks"),
    "rejected": (lambda stage, plan: reject(stage.site, plan, who=BOB, reason="no"), "rejected by bob@example.com"),
    "strictly frozen": (lambda stage, _: freeze(stage.site, [], "incident", None, strict=True), "everything is frozen"),
    "sick in its source": (lambda stage, _: stage.commit("dev", {"health": "sick\n"}), "degraded in dev"),
    "not seen in its source": (lambda stage, _: stage.commit("dev", {"web": "9\n"}), "not yet observed in dev"),
    "in conflict": (lambda stage, _: stage.commit("qa", {"web": "qa\n"}), "web"),
}


@pytest.mark.parametrize("what", NEVER)
def test_an_override_never_gets_past_a_no_or_the_source(build: Build, tmp_path: Path, what: str) -> None:
    """Only past what the file lists, and none of that is a hold, a rejection, a strict freeze, S1 or S11."""
    stage = allowing(asking(build, tmp_path, asks(), Spec("soak", {"for": "2h"})))
    plan = arrived(stage)
    change, line = NEVER[what]
    change(stage, plan)
    if what == "sick in its source":
        stage.sync("dev")
    newest = stage.tip("dev") if "source" in what else None
    if what == "not seen in its source":
        stage.site = replace(stage.site, application=stage.application)
    tip = stage.tip("qa")
    result = promote(stage.site, stage.env("qa"), chosen=newest, override=EVERYTHING, reason="now")
    assert result.outcome in (("conflict",) if what == "in conflict" else ("refused", "waiting")), result
    assert stage.tip("qa") == tip
    assert not {"promoted qa", "overridden qa"} & {*stage.events()}
    assert line in result.reason or what == "not seen in its source"


@steps
@pytest.mark.parametrize("moved", ["beside", "in conflict"])
def test_an_override_never_gets_past_a_moved_target_or_a_protected_path(
    build: Build, tmp_path: Path, step: str, moved: str
) -> None:
    """S4, S9, S11: what people pushed before it stays below it, or nothing lands; what is protected is the target's."""
    stage = allowing(asking(build, tmp_path, asks(), protect=("own/**",)))
    stage.commit("qa", {"own/a": "qa\n"})
    stage.round()
    stage.commit("dev", {"web": "2\n", "own/a": "dev\n", "own/b": "dev\n"})
    stage.round()
    fixes: list[str] = []
    files = {"own/c": "fix\n"} if moved == "beside" else {"web": "fix\n"}
    inject(stage, step, lambda: fixes.append(stage.commit("qa", files)))
    result = promote(stage.site, stage.env("qa"), override=["approval"], reason="an outage")
    texts = {path: stage.origin.show("env/qa", path) for path in stage.origin.tree("env/qa") if path != "health"}
    if moved == "beside":
        assert result.outcome == "promoted"
        assert stage.origin.log("env/qa")[0].parents[:1] == tuple(fixes)
        assert texts == {"web": "2\n", "own/a": "qa\n", "own/c": "fix\n"}
    else:
        assert (result.outcome, [stage.tip("qa")]) == ("conflict", fixes)
        assert "overridden qa" not in stage.events()
    consistent(stage)


def test_an_override_that_was_not_needed_is_not_recorded(build: Build, tmp_path: Path) -> None:
    """And one that was stands right before what it let through."""
    stage = allowing(asking(build, tmp_path))
    plan = arrived(stage)
    approve(stage.site, plan, who=ALICE)
    assert promote(stage.site, stage.env("qa"), override=["approval"], reason="now").outcome == "promoted"
    assert "overridden qa" not in stage.events()
    again = arrived(stage, "3\n")
    result = promote(stage.site, stage.env("qa"), override=["approval"], reason="now")
    assert (result.outcome, result.plan_id) == ("promoted", again.plan_id)
    assert stage.events()[-2:] == ["overridden qa", "promoted qa"]
    consistent(stage)


def test_only_who_may_overrides(build: Build, tmp_path: Path) -> None:
    stage = allowing(asking(build, tmp_path), by="oncall@example.com")
    arrived(stage)
    before = stage.origin.refs()
    refused(lambda: promote(stage.site, stage.env("qa"), override=["approval"], reason="x"), "oncall may")
    assert stage.origin.refs() == before


# --- conflicts -------------------------------------------------------------------------------------------------------


def test_what_was_decided_of_a_conflict_is_approved_by_others(build: Build, tmp_path: Path) -> None:
    """Its plan is asked about like any other, whoever decided it is an author, and no other decision lands by that approval."""
    stage = asking(build, tmp_path, asks(not_author=True))
    stage.round()
    stage.commit("dev", {"web": "dev\n"})
    stage.commit("qa", {"web": "qa\n"})
    stage.round()
    assert stage.plan("qa").verdict == "conflict"
    branch = resolve(stage.site, stage.env("qa")).branch or ""
    decisions = [
        stage.origin.commit(branch, {"web": f"{word}\n"}, message="decided", author=f"C <{CAROL}>")
        for word in ("one", "two")
    ]
    one, two = (stage.plan("qa", resolution=resolution_of(stage.site, each)) for each in decisions)
    assert one.plan_id != two.plan_id
    refused(lambda: approve(stage.site, two, who=CAROL), "is an author")
    approve(stage.site, two, who=ALICE)
    first = promote(stage.site, stage.env("qa"), resolution=decisions[0])
    assert (first.outcome, first.reason) == ("waiting", "approval 0 of 1")
    assert promote(stage.site, stage.env("qa"), resolution=decisions[1]).outcome == "promoted"
    assert stage.origin.show("env/qa", "web") == "two\n"
    assert audit(stage.site, stage.world()) == []


# --- signatures ------------------------------------------------------------------------------------------------------


def test_a_signed_approval_counts_if_its_signer_gave_it(tmp_path: Path) -> None:
    """With `identity: signed`: alice's own key, not the orchestrator's for her, and no name or code."""
    folder = tmp_path / "stage"
    gate = asks(from_=[ALICE, BOB], identity="signed")
    ours = Trusted.create(
        folder, environments=(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(gate,)))
    )
    stage = ours.stage
    plan = arrived(stage)
    refused(lambda: approve(ours.site("alice"), plan, who=ALICE), "qa wants a signature")
    with pytest.raises(PromotionError, match="signed it for"):
        approve(stage.site, plan, who=ALICE, how="signed")
    assert stage.plan("qa").reason == "approval 0 of 1"
    approve(ours.site("alice"), plan, who=ALICE, how="signed")
    assert stage.plan("qa").verdict == "pass"
    stage.round()
    assert landed(stage) == [plan.commit]
    assert audit(stage.site, stage.world()) == []
    stage.close()
