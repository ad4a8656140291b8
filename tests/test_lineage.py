"""What a commit of one environment stands for in another, on real histories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from promotion import lineage
from promotion.reconcile import adopt
from promotion.state import EnvironmentState, Release
from tests.support.stage import Stage, environment


@pytest.mark.parametrize("history", ["merge", "linear"])
def test_a_message_that_was_copied_along_makes_no_promotion(
    tmp_path: Path, build: Callable[..., Stage], history: str
) -> None:
    """A commit of people with the trailers of an older promotion stands for what the release before it stands for."""
    qa = environment(tmp_path / "stage", "qa", "dev", history=history)
    stage = build(environment(tmp_path / "stage", "dev"), qa)
    stage.round()
    sources = []
    for number in range(2):
        sources.append(stage.commit("dev", {"web": f"{number}\n"}))
        stage.round()
    older = stage.origin.log("env/qa")[1]
    assert older.trailers["Promotion-Source"] == sources[0]
    copied = stage.commit("qa", {"hotfix": "1\n"}, older.message)
    stage.commit("qa", {"hotfix": "2\n"})
    adopt(stage.site, stage.env("qa"), sources[1])
    world = stage.world()

    def stands_for(commit: str, state: EnvironmentState) -> str | None:
        whole = replace(world.state, environments={**world.state.environments, "qa": state})
        return lineage.source_of(stage.site.repository, stage.application, whole, stage.env("qa"), commit)

    known = world.state.of("qa")
    assert stands_for(copied, known) == sources[1]
    assert stands_for(older.commit, known) == sources[0]
    forgotten = replace(known, releases={}, release=Release(stage.tip("qa"), sources[1]))
    assert stands_for(older.commit, forgotten) == sources[0]
