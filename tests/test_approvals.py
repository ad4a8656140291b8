"""People's yes and no, through the one door that the command line and the forms use: who counts, what it is about, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promotion.model import Spec
from promotion.reconcile import approve
from promotion.view import Plan
from tests.support.stage import Stage, environment

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
SEED = "JBSWY3DPEHPK3PXP"


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
