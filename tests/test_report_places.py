"""Where a change is, on real repositories: under its other names, by hand, and after branches were rewound or made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion import observe, report
from promotion.reconcile import adopt, hold, watch_only
from promotion.repository import process
from promotion.repository.objects import Objects
from promotion.texts import iso
from tests.support.git import EPOCH
from tests.support.stage import SICK, Stage, environment

Build = Callable[..., Stage]
NAMES = ("dev", "qa", "prod")


def places(stage: Stage, commit: str) -> dict[str, dict[str, Any]]:
    """Where a change is, by environment."""
    data = report.where(stage.site, observe.survey(stage.site, partly=True), commit)
    return {place["environment"]: place for place in data["environments"]}


def having(stage: Stage, commit: str) -> list[str]:
    """The environments that have a change; the same from a clone cache that was just made."""
    found = [name for name, place in places(stage, commit).items() if place["in"]]
    stage.site.repository.close()
    shutil.rmtree(stage.site.repository.path)
    assert [name for name, place in places(stage, commit).items() if place["in"]] == found
    return found


def test_where_finds_a_change_under_its_other_names(stage: Stage) -> None:
    """In qa it is a merge commit; asking by that one is the same question."""
    commit = stage.walked()
    merge = stage.origin.log("env/qa")[0].commit
    stage.commit("dev", {"web": "3\n"})
    for _ in range(3):
        stage.round()
    found = places(stage, commit)
    assert [found[name]["in"] for name in NAMES] == [True] * 3
    assert (found["dev"]["as"], found["qa"]["as"]) == (commit, merge)
    assert found["prod"]["as"] == stage.origin.log("env/prod")[1].commit
    assert report.where(stage.site, stage.world(), merge)["origin"] == commit
    assert places(stage, merge) == found


def test_where_says_since_when(stage: Stage) -> None:
    """In the root since it was first seen there, elsewhere since its promotion; what comes later does not move it."""
    commit = stage.walked()
    since = {name: place["since"] for name, place in places(stage, commit).items()}
    first = stage.world().state.of("dev").facts[commit].first
    assert since["dev"] == iso(first)
    assert since["dev"] <= since["qa"] < since["prod"] == iso(stage.now - timedelta(seconds=2))
    stage.wait(hours=1)
    stage.commit("dev", {"web": "3\n"})
    stage.commit("qa", {"hotfix": "1\n"})
    for _ in range(3):
        stage.round()
    assert {name: place["since"] for name, place in places(stage, commit).items()} == since


def test_where_says_what_keeps_a_change_from_the_next(stage: Stage) -> None:
    """qa waits for a person, and prod for qa."""
    stage.change("qa", auto=False)
    commit = stage.walked(1)
    found = places(stage, commit)
    assert [found[name]["in"] for name in NAMES] == [True, False, False]
    assert "by hand" in found["qa"]["reason"]
    assert found["prod"]["reason"] == "waits for qa"


def test_where_says_what_keeps_this_change_and_not_an_older_one(stage: Stage) -> None:
    """A good commit would land next; the sick one after it does not."""
    stage.change("qa", auto=False)
    good = stage.walked(1)
    stage.change("qa", auto=True)
    bad = stage.commit("dev", {**SICK})
    stage.sync("dev")
    stage.now += timedelta(seconds=1)
    watch_only(stage.site, ["dev"])
    assert (places(stage, good)["qa"]["verdict"], places(stage, good)["qa"]["reason"]) == ("pass", "next")
    place = places(stage, bad)["qa"]
    assert place["verdict"] == "block"
    assert "degraded in dev" in place["reason"]


def test_where_of_what_was_absorbed(tmp_path: Path, build: Build) -> None:
    """A change of protected files is there without a commit of its own, since that was found."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("mine/**",)))
    stage.round()
    commit = stage.commit("dev", {"mine/x": "dev's\n"})
    stage.round()
    then, tip = iso(stage.now), stage.tip("qa")
    assert stage.events()[-1] == "absorbed qa"
    place = places(stage, commit)["qa"]
    assert (place["in"], place["as"], place["since"]) == (True, tip, then)
    stage.wait(hours=1)
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    assert stage.tip("qa") != tip
    assert places(stage, commit)["qa"] == place  # not since what came later


def test_where_needs_no_process_for_a_commit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many for 600 commits as for 60, and no more commits are read than a plan looks at."""
    commits = stage.prolong(60)
    stage.round()
    counts: list[tuple[int, int]] = []
    started, read = list[object](), set[str]()
    spawn, commit = process.spawn, Objects.commit
    monkeypatch.setattr(process, "spawn", lambda *args: (started.append(args), spawn(*args))[1])
    monkeypatch.setattr(Objects, "commit", lambda objects, oid: (read.add(oid), commit(objects, oid))[1])
    for _ in range(2):
        world = stage.world()
        report.where(stage.site, world, commits[30])  # makes the commit-graph
        started.clear()
        read.clear()
        place = report.where(stage.site, world, commits[30])["environments"][0]
        assert (place["in"], place["as"]) == (True, commits[30])
        counts.append((len(started), len(read)))
        commits = stage.prolong(540)
        stage.round()
    assert counts[0][0] == counts[1][0] < 20
    assert counts[1][1] < 220


def test_where_looks_at_a_commit_once_for_all_promotions(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root's history is long: what one promotion found out of it is known to the next."""
    from promotion.report.places import Search

    class Counted(dict[str, "str | None"]):
        asked = 0

        def __getitem__(self, key: str) -> str | None:
            Counted.asked += 1
            return super().__getitem__(key)

    first = stage.commit("dev", {"web": "first\n"})
    for number in range(12):
        for step in range(10):
            stage.commit("dev", {"web": f"{number} {step}\n"})
        stage.walked()
    real = Search.of

    def counted(site: Any, world: Any, commit: str) -> Search:
        search = real(site, world, commit)
        search.after = Counted(search.after)
        return search

    monkeypatch.setattr(Search, "of", staticmethod(counted))
    report.where(stage.site, stage.world(), first)
    assert 0 < Counted.asked < 3 * len(stage.origin.log("env/dev"))


def test_where_of_a_side_branch_is_since_the_merge(stage: Stage) -> None:
    """A commit that is not on the first-parent line, deep in the history, and promoted since."""
    stage.round()
    base = stage.tip("dev")
    side = stage.origin.commit("side", {"web": "2\n"}, onto=base)
    deep = stage.origin.commit("side", {"web": "3\n"}, onto=side)
    merge = stage.origin.commit("env/dev", {"web": "3\n"}, merges=[deep])
    for _ in range(3):
        stage.round()
    stage.prolong(20)
    for commit in (side, deep):
        found = places(stage, commit)
        assert [found[name]["in"] for name in NAMES] == [True] * 3
        assert found["dev"]["as"] == merge
        assert found["qa"]["as"] == stage.origin.log("env/qa")[0].commit
    assert having(stage, side) == ["dev", "qa", "prod"]


def test_where_of_a_hotfix_is_where_it_was_made_and_what_follows(stage: Stage) -> None:
    """It is not in the root; prod has it with qa's next release; a later release of qa keeps it."""
    stage.walked()
    hotfix = stage.commit("qa", {"hotfix": "1\n"})
    found = places(stage, hotfix)
    assert [found[name]["in"] for name in NAMES] == [False, True, False]
    assert found["qa"]["as"] == hotfix
    assert found["dev"]["reason"] == "not on env/dev"
    assert "not yet observed" in found["prod"]["reason"]
    for _ in range(3):
        stage.round()
    taken = stage.tip("prod")
    stage.commit("dev", {"web": "3\n"})
    for _ in range(4):
        stage.round()
    assert stage.tip("qa") != hotfix
    found = places(stage, hotfix)
    assert [found[name]["in"] for name in NAMES] == [False, True, True]
    assert (found["qa"]["as"], found["prod"]["as"]) == (hotfix, taken)
    assert having(stage, hotfix) == ["qa", "prod"]


def test_where_of_a_hotfix_on_a_busy_branch_is_found(stage: Stage) -> None:
    """Made before the newest release, and below many more commits by hand."""
    hotfix = stage.commit("prod", {"fix": "1\n"})
    stage.walked()
    for number in range(5):
        stage.commit("prod", {"other": f"{number}\n"})
    assert having(stage, hotfix) == ["prod"]
    assert places(stage, hotfix)["prod"]["as"] == hotfix


def test_where_sees_a_branch_that_people_forwarded(stage: Stage) -> None:
    """qa was pushed to dev's tip by hand: it has the change before anybody recorded that."""
    stage.change("qa", auto=False)
    stage.round()
    commit = stage.commit("dev", {"web": "2\n"})
    stage.origin.set("env/qa", commit)
    place = places(stage, commit)["qa"]
    assert (place["in"], place["as"]) == (True, commit)
    stage.round()
    assert "absorbed qa" in stage.events() or "adopted qa" in stage.events()
    assert places(stage, commit)["qa"] == place


def test_where_sees_a_branch_that_people_merged(stage: Stage) -> None:
    """On top of a release."""
    stage.walked()
    stage.change("qa", auto=False)
    commit = stage.commit("dev", {"web": "3\n"})
    merge = stage.origin.commit("env/qa", {"web": "3\n"}, merges=[commit])
    assert having(stage, commit) == ["dev", "qa"]
    assert places(stage, commit)["qa"]["as"] == merge


def test_where_after_a_release_was_reset_away(stage: Stage) -> None:
    """qa's branch does not have it any more, whatever the ledger says; prod still does."""
    commit = stage.walked()
    merge = stage.tip("qa")
    stage.origin.set("env/qa", stage.origin.log("env/qa")[1].commit)
    assert having(stage, commit) == ["dev", "prod"]
    assert "rewound" in places(stage, commit)["qa"]["reason"]
    assert having(stage, merge) == ["dev", "prod"]


def test_where_after_the_root_was_reset(stage: Stage) -> None:
    """What was promoted stays where it is."""
    commit = stage.walked()
    stage.origin.set("env/dev", stage.origin.log("env/dev")[1].commit)
    assert having(stage, commit) == ["qa", "prod"]
    assert places(stage, commit)["dev"]["reason"] == "not on env/dev"


def test_where_after_a_branch_was_made_anew(stage: Stage) -> None:
    """With other history: from dev, further than the ledger knows; and from nothing, which the ledger was told stands for dev."""
    commit = stage.walked()
    newer = stage.commit("dev", {"web": "3\n"})
    stage.origin.set("env/qa", None)
    found = places(stage, commit)
    assert [found[name]["in"] for name in NAMES] == [True, False, True]
    assert "no branch `env/qa`" in found["qa"]["reason"]
    assert found["qa"]["verdict"] == "block"
    stage.origin.set("env/qa", newer)
    assert having(stage, newer) == ["dev", "qa"]
    assert places(stage, newer)["qa"]["as"] == newer
    assert having(stage, commit) == ["dev", "qa", "prod"]
    stage.origin.set("env/qa", None)
    other = stage.origin.commit("env/qa", {"web": "2\n", "health": "ok\n"}, message="from nothing")
    assert having(stage, commit) == ["dev", "prod"]
    adopt(stage.site, stage.env("qa"), commit)
    assert having(stage, commit) == ["dev", "qa", "prod"]
    place = places(stage, commit)["qa"]
    assert (place["as"], place["since"]) == (other, iso(stage.site.repository.objects.commit(other).at))


def test_where_of_what_nobody_has(stage: Stage) -> None:
    """It was on a branch once, and the clone still has it."""
    stage.walked()
    lost = stage.commit("dev", {"web": "9\n"})
    stage.world()
    stage.origin.set("env/dev", stage.origin.log("env/dev")[1].commit)
    assert not any(place["in"] for place in places(stage, lost).values())


def test_where_does_not_count_on_clocks(stage: Stage) -> None:
    """Commits of a machine that is years behind, and years ahead, around the change."""
    stage.round()
    stage.origin.commit("env/dev", {"a": "1\n"}, at=EPOCH + 400_000_000)
    change = stage.origin.commit("env/dev", {"a": "2\n"}, at=EPOCH - 400_000_000)
    for number in range(20):
        stage.origin.commit("env/dev", {"a": f"{number + 3}\n"}, at=EPOCH - 300_000_000 + number)
    for _ in range(3):
        stage.round()
    assert having(stage, change) == ["dev", "qa", "prod"]
    assert places(stage, change)["dev"]["as"] == change


def test_where_of_what_is_held(stage: Stage) -> None:
    """The reason of the hold."""
    stage.change("qa", auto=False)
    commit = stage.walked(1)
    stage.change("qa", auto=True)
    hold(stage.site, stage.env("qa"), commit, "memory leak")
    assert "memory leak" in places(stage, commit)["qa"]["reason"]


@pytest.mark.parametrize("spoil", [b"", b"garbage", None])
def test_a_broken_commit_graph_tells_no_lies(stage: Stage, spoil: bytes | None) -> None:
    """Cut, foreign, or with one byte turned in it: it is written again."""
    commit = stage.walked()
    expected = places(stage, commit)
    graph = stage.site.repository.path / "objects" / "info" / "commit-graph"
    whole = graph.read_bytes()
    graph.chmod(0o600)
    graph.write_bytes(whole[:1200] + bytes([whole[1200] ^ 1]) + whole[1201:] if spoil is None else spoil)
    assert places(stage, commit) == expected
    assert graph.read_bytes() == whole
