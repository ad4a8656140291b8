"""What a plan says that it brings back: a change that was rolled back, held or rejected, as it was or changed since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import approval_page, pages
from promotion import reconcile, report
from promotion.cli import render
from promotion.model import Spec
from tests.support.stage import Stage, environment

ALICE = "alice@example.com"


@pytest.fixture
def stage(build: Callable[..., Stage], tmp_path: Path) -> Stage:
    """dev -> qa, which asks alice; `web` and `api` 2 have come to qa, and were rolled back there."""
    gate = Spec("approval", {"from": [ALICE]})
    made = build(environment(tmp_path, "dev"), environment(tmp_path, "qa", "dev", gates=(gate,)))
    made.round()
    made.commit("dev", {"web": "2\n", "api": "2\n"}, message="both <b>2</b>")
    lands(made)
    reconcile.roll_back(made.site, made.env("qa"), reason="too slow")
    made.round()
    return made


def lands(stage: Stage) -> None:
    stage.round()
    reconcile.approve(stage.site, stage.plan("qa"), who=ALICE)
    stage.round()
    stage.round()


def rows(stage: Stage) -> list[dict[str, Any]]:
    data = report.plan(stage.site, stage.plan("qa"))
    return list(data["brings_back"])


def test_a_fix_brings_back_the_rest(stage: Stage) -> None:
    """The plan, its page and the approval's page say which change returns, why it was gone, and how much is as it was."""
    back = stage.origin.log("env/qa")[1]
    stage.commit("dev", {"web": "3\n"})
    stage.round()
    (row,) = rows(stage)
    assert (row["why"], row["reason"], row["paths"], row["changed"]) == (
        "rolled back",
        "too slow",
        ["api", "web"],
        ["web"],
    )
    assert row["commit"] == back.commit
    plan = stage.plan("qa")
    data = report.plan(stage.site, plan)
    line = f'  back    {back.commit[:7]} "both <b>2</b>" (dave), rolled back: too slow; 1 of 2 files changed since'
    assert line in list(render.plan(data))
    page = f"**Brings back:** `{back.commit[:7]}` both &lt;b&gt;2&lt;/b&gt; (dave), rolled back: too slow; 1 of 2 files changed since"
    assert plan.asked is not None
    assert f"- {page}" in approval_page.page(data, plan.asked, [], stage.now).splitlines()
    assert f"- {page}" in pages.hop(data, []).splitlines()


def test_what_was_lifted_comes_back_as_it_was(stage: Stage) -> None:
    """Without a hold it is known by what was undone."""
    reconcile.lift(stage.site, stage.env("qa"), stage.origin.log("env/qa")[1].commit)
    stage.round()
    (row,) = rows(stage)
    assert (row["why"], row["reason"], row["paths"], row["changed"]) == ("rolled back", "", ["api", "web"], [])


def test_what_the_source_took_back_itself_does_not_come_back(stage: Stage) -> None:
    """It was reverted there."""
    stage.commit("dev", {"web": None, "api": None, "other": "1\n"})
    stage.round()
    assert rows(stage) == []


def test_what_has_landed_again_comes_back_no_more(stage: Stage) -> None:
    """Once."""
    stage.commit("dev", {"web": "3\n"})
    lands(stage)
    stage.commit("dev", {"more": "1\n"})
    stage.round()
    assert rows(stage) == []


def test_what_was_rejected_is_named_where_it_comes_again(stage: Stage) -> None:
    """Changed since, or it would be refused."""
    stage.commit("dev", {"web": "3\n", "api": "3\n"})
    lands(stage)
    stage.commit("dev", {"web": "4\n", "api": "4\n"}, message="both 4")
    stage.round()
    plan = stage.plan("qa")
    reconcile.reject(stage.site, plan, who=ALICE, reason="not today")
    stage.commit("dev", {"web": "5\n"})
    stage.round()
    (row,) = rows(stage)
    assert (row["why"], row["reason"], row["subject"], row["changed"]) == ("rejected", "not today", "both 4", ["web"])
    assert pages.brought({"brings_back": [row]})[0].startswith(f"**Has:** `{(plan.commit or '')[:7]}` both 4 (dave)")
