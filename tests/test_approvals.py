"""People's yes and no, through the one door that the command line and the forms use: who counts, what it is about, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from promotion.errors import ConfigError, PromotionError, RefusedError
from promotion.model import Seed, Spec
from promotion.reconcile import approve, lift, reject, withdraw
from promotion.view import Plan
from tests.support.stage import Stage, environment

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def asks(**settings: Any) -> Spec:
    """A gate that asks alice, bob and carol, unless the settings say something else."""
    return Spec("approval", {"from": [ALICE, BOB, CAROL]} | {key.rstrip("_"): value for key, value in settings.items()})


@pytest.fixture
def build(tmp_path: Path) -> Any:
    """dev -> qa, which asks people."""
    stages: list[Stage] = []

    def make(*gates: Spec, **more: Any) -> Stage:
        folder = tmp_path / str(len(stages))
        environments = (environment(folder, "dev"), environment(folder, "qa", "dev", gates=gates or (asks(),), **more))
        stages.append(Stage.create(folder, environments))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


def waiting(stage: Stage, files: dict[str, str] | None = None) -> Plan:
    """A change that waits for people, deployed and healthy in dev."""
    stage.round()
    stage.commit("dev", files or {"web": "2\n"})
    stage.round()
    return stage.plan("qa")


def test_a_change_waits_for_people_and_lands_when_they_have_approved(build: Callable[..., Stage]) -> None:
    """The whole way: asked, approved by two, landed; the record says by whom."""
    stage = build(asks(count=2))
    plan = waiting(stage)
    assert (plan.verdict, plan.reason) == ("wait", "approval 0 of 2")
    assert plan.asked is not None
    assert plan.asked.may == (ALICE, BOB, CAROL)
    approve(stage.site, plan, who="Alice@example.com")
    assert stage.plan("qa").reason == "approval 1 of 2 (alice)"
    assert stage.round().hops == ()
    approve(stage.site, plan, who=BOB)
    assert [h.outcome for h in stage.round().hops] == ["promoted"]
    assert [e for e in stage.events() if "qa" in e][-3:] == ["approved qa", "approved qa", "promoted qa"]
    state = stage.world().state.of("qa")
    assert state.answers == ()
    assert {a.by for a in state.granted[plan.commit or ""]} == {ALICE, BOB}


# --- who counts ------------------------------------------------------------------------------------------------------


def refused(action: Callable[[], object], words: str, kind: type[PromotionError] = RefusedError) -> None:
    """One clear line that says so."""
    with pytest.raises(kind) as caught:
        action()
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_who_may_not_approve_is_told_so_and_nothing_changes(build: Callable[..., Stage]) -> None:
    """Somebody who is not asked, an author, an answer that was given, a name alone where more is wanted."""
    stage = build(asks(not_author=True))
    stage.round()
    stage.origin.commit(
        "env/dev", {"web": "2\n"}, author="Dave <BOB@example.com>", message="x\n\nCo-authored-by: C <carol@example.com>"
    )
    stage.round()
    plan = stage.plan("qa")
    assert plan.asked is not None
    assert [(b.who, b.why) for b in plan.asked.barred] == [(BOB, "author"), (CAROL, "author")]
    assert "bob, carol are authors" in plan.verdicts[-1].reason
    before = stage.origin.refs()
    refused(
        lambda: approve(stage.site, plan, who="mallory@example.com"),
        "mallory@example.com is not asked for qa: alice, bob, carol may",
    )
    refused(lambda: approve(stage.site, plan, who=BOB), "bob@example.com is an author of it")
    refused(lambda: approve(stage.site, plan, who=CAROL), "carol@example.com is an author of it")
    refused(lambda: reject(stage.site, plan, who="mallory@example.com", reason="no"), "is not asked")
    refused(lambda: withdraw(stage.site, plan, who=ALICE), "has said nothing")
    assert stage.origin.refs() == before
    approve(stage.site, plan, who=ALICE)
    before = stage.origin.refs()
    refused(lambda: approve(stage.site, plan, who="ALICE@example.com"), "has approved plan")
    assert stage.origin.refs() == before


def test_a_root_and_an_environment_that_asks_nobody_have_nothing_to_approve(build: Callable[..., Stage]) -> None:
    stage = build(Spec("soak", {"for": "1h"}))
    plan = waiting(stage)
    refused(lambda: approve(stage.site, plan, who=ALICE), "qa asks nobody")


BAD = {
    "a\nb": "control character U+000A",
    "a\x1b[31mb": "control character U+001B",
    "a\u202eb": "control character U+202E",
    "{{7*7}}": "templates are not filled in",
    "{% x %}": "templates are not filled in",
    "done. Promotion-Plan: abc": "only commits say",
    "Co-authored-by: x": "only commits say",
    "x" * 501: "500 at most",
}


@pytest.mark.parametrize("text", BAD)
def test_reasons_and_names_are_plain_lines(build: Callable[..., Stage], text: str) -> None:
    """Control characters, templates and forged trailers are refused, and nothing changes."""
    stage = build()
    plan = waiting(stage)
    before = stage.origin.refs()
    refused(lambda: approve(stage.site, plan, who=ALICE, reason=text), BAD[text], ConfigError)
    refused(lambda: reject(stage.site, plan, who=ALICE, reason=text), BAD[text], ConfigError)
    refused(lambda: approve(stage.site, plan, who=text), BAD[text], ConfigError)
    refused(lambda: withdraw(stage.site, plan, who=text), BAD[text], ConfigError)
    refused(
        lambda: reject(stage.site, plan, who=ALICE, reason="  "), "a reason is one that people can read", ConfigError
    )
    assert stage.origin.refs() == before


def test_the_last_word_of_a_person_counts(build: Callable[..., Stage]) -> None:
    """Approved, rejected, approved again; withdrawn; each in the place of what was said before."""
    stage = build()
    plan = waiting(stage)
    approve(stage.site, plan, who=ALICE)
    assert stage.plan("qa").verdict == "pass"
    reject(stage.site, plan, who=ALICE, reason="not on a Friday")
    held = stage.plan("qa")
    assert (held.verdict, held.plan_id) == ("block", plan.plan_id)
    assert "rejected by alice@example.com: not on a Friday" in held.reason
    refused(lambda: approve(stage.site, plan, who=BOB), "rejected by alice@example.com")
    refused(lambda: reject(stage.site, plan, who=ALICE, reason="still"), "has rejected plan")
    approve(stage.site, plan, who=ALICE)
    assert stage.plan("qa").verdict == "pass"
    withdraw(stage.site, plan, who=ALICE)
    assert stage.plan("qa").reason == "approval 0 of 1"
    assert stage.world().state.of("qa").answers == ()


def test_a_rejection_of_two_people_stands_until_both_take_it_back_or_it_is_lifted(build: Callable[..., Stage]) -> None:
    """One's withdrawal is not the other's."""
    stage = build()
    plan = waiting(stage)
    reject(stage.site, plan, who=ALICE, reason="one")
    reject(stage.site, plan, who=BOB, reason="two")
    withdraw(stage.site, plan, who=ALICE)
    assert stage.plan("qa").verdict == "block"
    reject(stage.site, plan, who=ALICE, reason="one")
    lift(stage.site, stage.env("qa"), (plan.commit or "")[:8])
    assert stage.plan("qa").verdict == "wait"
    assert stage.world().state.of("qa").holds == ()


def test_a_rejection_holds_what_is_put_on_top_too(build: Callable[..., Stage]) -> None:
    """By its content, until that is another one."""
    stage = build()
    plan = waiting(stage)
    reject(stage.site, plan, who=ALICE, reason="no")
    stage.commit("dev", {"other": "1\n"})
    stage.round()
    assert "rejected by alice@example.com: no" in stage.plan("qa").reason
    stage.commit("dev", {"web": "3\n"})
    stage.round()
    assert stage.plan("qa").reason == "approval 0 of 1"


def test_an_approval_expires(build: Callable[..., Stage]) -> None:
    """To the second, and may be given again."""
    stage = build(asks(expires="1h"))
    plan = waiting(stage)
    approve(stage.site, plan, who=ALICE)
    stage.wait(minutes=59, seconds=59)
    assert stage.plan("qa").verdict == "pass"
    stage.wait(seconds=1)
    assert stage.plan("qa").reason == "approval 0 of 1"
    approve(stage.site, plan, who=ALICE)
    assert stage.plan("qa").verdict == "pass"


# --- what proves who it is -------------------------------------------------------------------------------------------


def coded(build: Callable[..., Stage], **settings: Any) -> Stage:
    """qa wants codes; alice and bob have a seed."""
    stage = build(asks(identity="code", **settings))
    stage.application = replace(stage.application, approvers={who: Seed(code_env="SEED") for who in (ALICE, BOB)})
    stage.site = replace(stage.site, application=stage.application, environ={"SEED": SEED})
    return stage


def code(stage: Stage, steps: int = 0) -> str:
    return pyotp.TOTP(SEED).at(stage.now + timedelta(seconds=30 * steps))


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_counts_one_step_around_now(build: Callable[..., Stage], steps: int, good: bool) -> None:
    stage = coded(build)
    plan = waiting(stage)
    if good:
        event = approve(stage.site, plan, who=ALICE, how="code", code=code(stage, steps))
        assert event.data["step"] == int(stage.now.timestamp()) // 30 + steps
        assert stage.plan("qa").verdict == "pass"
    else:
        refused(lambda: approve(stage.site, plan, who=ALICE, how="code", code=code(stage, steps)), "not the code of")
        assert stage.plan("qa").verdict == "wait"


def test_a_code_is_used_once_by_a_person_wherever(build: Callable[..., Stage]) -> None:
    """Not again for the same plan, nor for another, nor to say no; nor an older one."""
    stage = coded(build)
    plan = waiting(stage)
    used, older = code(stage), code(stage, -1)
    approve(stage.site, plan, who=ALICE, how="code", code=used)
    withdraw(stage.site, plan, who=ALICE)
    before = stage.origin.refs()
    refused(lambda: approve(stage.site, plan, who=ALICE, how="code", code=used), "was used already")
    refused(lambda: reject(stage.site, plan, who=ALICE, how="code", code=used, reason="no"), "was used already")
    refused(lambda: approve(stage.site, plan, who=ALICE, how="code", code=older), "was used already")
    assert stage.origin.refs() == before
    stage.wait(seconds=30)
    approve(stage.site, plan, who=ALICE, how="code", code=code(stage))
    assert stage.plan("qa").verdict == "pass"


@pytest.mark.parametrize(
    ("typed", "words"),
    [("000000", "not the code"), ("", "not the code"), ("12345a", "not the code"), (None, "not the code")],
)
def test_a_wrong_code_is_none(build: Callable[..., Stage], typed: str | None, words: str) -> None:
    stage = coded(build)
    plan = waiting(stage)
    before = stage.origin.refs()
    refused(lambda: approve(stage.site, plan, who=ALICE, how="code", code=typed), words)
    refused(lambda: approve(stage.site, plan, who=ALICE), "wants a one-time code")
    refused(lambda: approve(stage.site, plan, who=CAROL, how="code", code=code(stage)), "no seed of carol", ConfigError)
    assert stage.origin.refs() == before


@pytest.mark.parametrize(
    ("identity", "how", "counts"),
    [
        ("claimed", "claimed", True),
        ("claimed", "signed", True),
        ("code", "claimed", False),
        ("code", "signed", False),
        ("signed", "claimed", False),
        ("signed", "signed", False),
    ],
)
def test_what_counts_for_each_identity(build: Callable[..., Stage], identity: str, how: Any, counts: bool) -> None:
    """Where nobody's key is trusted, a signature is a name."""
    stage = build(asks(identity=identity))
    plan = waiting(stage)
    if counts:
        approve(stage.site, plan, who=ALICE, how=how)
        assert stage.plan("qa").verdict == "pass"
    else:
        refused(lambda: approve(stage.site, plan, who=ALICE, how=how), "a name alone does not count")
