"""What only one branch has, and by which commits: hotfixes before and after promotions, protected paths, scopes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promotion import report
from promotion.drifting import drifted, hotfixes
from tests.support.counted import Counted
from tests.support.shared import Shared
from tests.support.stage import Stage, environment

Build = Callable[..., Stage]


def told(stage: Stage, name: str) -> dict[str, Any]:
    return report.drift(stage.site, stage.world(), stage.env(name))[0]


def commits(stage: Stage, name: str) -> dict[str, list[str]]:
    return {c["commit"]: c["paths"] for c in told(stage, name)["commits"]}


def test_no_drift_without_commits_by_hand(stage: Stage) -> None:
    """Promotions are none, and a root has nothing to drift from."""
    stage.walked()
    for name in ("dev", "qa", "prod"):
        data = told(stage, name)
        assert (data["drift"], data["paths"], data["commits"], data["since"]) == (0, [], [], None)


def test_a_hotfix_stays_drift_under_promotions(stage: Stage) -> None:
    """It is named with its paths, also when later promotions came on top of it; what status counts is the same."""
    stage.walked()
    first = stage.commit("qa", {"db": "1\n", "web2": "1\n"}, message="raise the limit")
    stage.commit("dev", {"web": "3\n"})
    for _ in range(3):
        stage.round()
    second = stage.commit("qa", {"db": "2\n"})
    data = told(stage, "qa")
    assert commits(stage, "qa") == {second: ["db"], first: ["db", "web2"]}
    assert [(p["path"], p["change"], p["in_root"]) for p in data["paths"]] == [
        ("db", "added", False),
        ("web2", "added", False),
    ]
    assert data["commits"][-1]["subject"] == "raise the limit"
    assert (data["from"], data["root"], data["drift"]) == ("dev", "dev", 2)
    assert data["since"] == data["commits"][-1]["at"]
    (row,) = (r for r in report.status(stage.site, stage.world())["environments"] if r["environment"] == "qa")
    assert (row["drift"], row["drift_paths"]) == (2, ["db", "web2"])


def test_what_promotions_brought_is_named_by_nobody(stage: Stage) -> None:
    """A path is followed back to where the branch had what its source had: older hotfixes of it are history."""
    stage.walked()
    stage.commit("qa", {"web": "by hand\n"})
    stage.commit("dev", {"web": "by hand\n"}, message="the same")
    for _ in range(3):
        stage.round()
    assert told(stage, "qa")["drift"] == 0
    stage.commit("dev", {"web": "4\n"})
    for _ in range(3):
        stage.round()
    newest = stage.commit("qa", {"web": "5\n"})
    assert commits(stage, "qa") == {newest: ["web"]}


def test_a_merged_file_is_drift_of_whoever_changed_it_here(stage: Stage) -> None:
    """A promotion that merged the content is none of people's commits; the hotfix below it is."""
    lines = [f"{n}\n" for n in range(9)]
    stage.round()
    for name in ("qa", "dev"):
        stage.commit(name, {"list": "old\n"}, message="a hotfix that the source has taken over since")
    for _ in range(2):
        stage.round()
    stage.commit("dev", {"list": "".join(lines)})
    for _ in range(4):
        stage.round()
    fix = stage.commit("qa", {"list": "".join(["a\n", *lines[1:]])})
    stage.commit("dev", {"list": "".join([*lines[:8], "z\n"])})
    for _ in range(3):
        stage.round()
    assert stage.origin.show("env/qa", "list") == "".join(["a\n", *lines[1:8], "z\n"])
    assert commits(stage, "qa") == {fix: ["list"]}


def test_what_was_taken_back_by_hand_is_named_by_nobody(stage: Stage) -> None:
    """A path is followed back to where the branch had what its release has there."""
    stage.walked()
    for content in ("by hand\n", "2\n", "again\n"):
        newest = stage.commit("qa", {"web": content})
    assert commits(stage, "qa") == {newest: ["web"]}


def test_deletions_modes_and_what_the_root_has(stage: Stage) -> None:
    """`in_root`: the very same entry is there, so it comes by itself."""
    stage.walked()
    stage.commit("prod", {"web": None})
    stage.origin.commit("env/prod", {"health": ("100755", "ok\n")})
    stage.commit("dev", {"web": None})
    data = told(stage, "prod")
    assert [(p["path"], p["change"], p["in_root"]) for p in data["paths"]] == [
        ("health", "modified", False),
        ("web", "deleted", True),
    ]
    assert (data["from"], data["root"]) == ("qa", "dev")


def test_protected_paths_are_no_drift(tmp_path: Path, build: Build) -> None:
    stage = build(environment(tmp_path, "dev"), environment(tmp_path, "qa", "dev", protect=("own/**",)))
    stage.round()
    stage.commit("qa", {"own/x": "1\n"})
    assert told(stage, "qa")["drift"] == 0


def test_a_scope_knows_its_own_drift_only(share: Callable[..., Shared]) -> None:
    """One commit by hand touches two applications: each names what is its own."""
    shared = share()
    shared.settle()
    fix = shared.commit("qa", {"shop/db": "1\n", "billing/db": "1\n", "README.md": "x"})
    for name in ("shop", "billing"):
        assert commits(shared[name], "qa") == {fix: [f"{name}/db"]}


def test_one_process_however_many_commits(tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk is git's, limited to the paths that drift."""
    stage.walked()
    for number in range(5):
        stage.commit("qa", {"db": f"{number}\n", f"file{number}": "1\n"})
    git = Counted.create(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{git.folder}:{os.environ['PATH']}")
    stage.site = stage.open("another")
    world, qa = stage.world(), stage.env("qa")
    found = drifted(stage.site, qa, world.state.of("qa"), world.tip(qa))
    git.since()
    assert len(hotfixes(stage.site, qa, world.tip(qa), found)) == 5
    assert git.since() == ["rev-list"]
