"""`requires` is in the present tense: the environment has the change by its present release, and is well with it now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from promotion.errors import TemporaryError
from promotion.gates.requires import requirement
from promotion.model import Health
from promotion.reconcile import hold, lift
from promotion.state import EnvironmentState, Observed, Verification
from tests.support.stage import Stage, environment

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
COMMIT = "4f2a91c" + "0" * 33


def observed(health: Health) -> Observed:
    return Observed(COMMIT, health, ("said so",), NOW, NOW)


PENDING, OVER = Verification(COMMIT, NOW), Verification(COMMIT, NOW, "failed")
WELL = EnvironmentState(observed=observed(Health.HEALTHY))
ALL = {"has": True, "runs": True, "held": False}


@pytest.mark.parametrize(
    ("state", "facts", "verdict", "said"),
    [
        (WELL, ALL, "pass", "has it and is healthy"),
        (replace(WELL, verification=OVER), ALL, "pass", "has it"),
        (WELL, {**ALL, "held": True}, "block", "holds the change"),
        (WELL, {**ALL, "has": False}, "wait", "does not have"),
        (WELL, {**ALL, "runs": False}, "wait", "does not run it yet"),
        (EnvironmentState(), ALL, "wait", "does not run it yet"),
        (replace(WELL, verification=PENDING), ALL, "wait", "is being verified"),
        *[
            (EnvironmentState(observed=observed(health)), ALL, "wait", f"is {health} (said so)")
            for health in Health
            if health is not Health.HEALTHY
        ],
    ],
)
def test_what_is_required_is_had_now(state: EnvironmentState, facts: dict[str, bool], verdict: str, said: str) -> None:
    """Each clause alone keeps the candidate out."""
    found = requirement("wave", state, COMMIT, **facts)
    assert (found.gate, found.verdict) == ("requires", verdict)
    assert said in found.reason


def test_what_it_has_is_judged(tmp_path: Path, build: Callable[..., Stage]) -> None:
    """On real repositories: what wave has, runs, holds and cannot be asked about decides about qa, round after round."""
    folder = tmp_path / "stage"
    dev, wave = environment(folder, "dev"), environment(folder, "wave", "dev", auto=False)
    stage = build(dev, wave, environment(folder, "qa", "dev", requires=("wave",)))
    stage.round()

    def said(**more: Any) -> tuple[str, str]:
        plan = stage.plan("qa", **more)
        return plan.verdict, plan.reason

    commit = stage.commit("dev", {"web": "2\n"})
    stage.round()
    assert said() == ("wait", f"requires: wave does not have {commit[:7]} yet")
    stage.change("wave", auto=True)
    stage.round()
    assert said()[0] == "wait"
    stage.change("qa", auto=False)
    stage.round()
    assert stage.plan("qa", by_hand=True).verdict == "pass"

    unread = replace(stage.world(), unread={"wave": TemporaryError("wave is away")})
    from promotion import answers

    assert answers.plan(stage.site, unread, stage.env("qa"), by_hand=True).reason == "requires: wave is away"
    hold(stage.site, stage.env("wave"), commit, "no")
    assert said(by_hand=True) == ("block", f"requires: wave holds the change of {commit[:7]}")
    lift(stage.site, stage.env("wave"), commit)
    hold(stage.site, stage.env("wave"), stage.tip("wave"), "no")
    assert said(by_hand=True) == ("block", f"requires: wave holds the change of {commit[:7]}"), "by its content"
    lift(stage.site, stage.env("wave"), stage.tip("wave"))
    current = stage.folder / "wave" / "current"
    current.unlink()
    current.symlink_to(f"releases/{stage.origin.log('env/wave')[-1].commit}")
    stage.round(sync=False)
    assert said(by_hand=True) == ("wait", "requires: wave does not run it yet")
