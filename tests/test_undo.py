"""Rollbacks on real repositories: what is restored and held, what comes back, and what is not done by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion import confirmed, observe, report, restoring
from promotion.engines import ENGINES
from promotion.errors import ConfigError
from promotion.events import Event
from promotion.model import Health, Verify
from promotion.observe import Site
from promotion.reconcile import adopt, approve, freeze, hold, lift, promote, reject, roll_back, thaw, watch_only
from tests.support.shared import WAY, Memory, Shared, place
from tests.support.stage import Stage
from tests.test_approvals import ALICE, BOB, asks, refused
from tests.test_report import tamper


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    engine = Memory()
    monkeypatch.setitem(ENGINES, "memory", engine)  # type: ignore[arg-type]
    return engine


Make = Callable[..., Shared]


@pytest.fixture
def make(tmp_path: Path, memory: Memory) -> Iterator[Make]:
    """Applications that run in memory; one, all of its repository, unless something else is said."""
    opened: list[Shared] = []

    def one(**more: object) -> Shared:
        more = {"names": ("shop",), "environments": WAY, "paths": {"shop": ()}, "files": {"web": "0\n"}, **more}
        opened.append(Shared(tmp_path / str(len(opened)), memory, **more))  # type: ignore[arg-type]
        opened[-1].settle()
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def released(shared: Shared, files: dict[str, str | None]) -> str:
    """A commit on dev that went as far as it may; its id."""
    made = shared.commit("dev", files)  # type: ignore[arg-type]
    shared.settle()
    return made


def back(stage: Stage, name: str, to: str | None = None, **more: object) -> str:
    """A rollback that lands; R."""
    said = roll_back(stage.site, stage.env(name), to=to, reason="it is bad", **more)  # type: ignore[arg-type]
    assert said.outcome == "rolled-back", said.reason
    assert said.commit
    return said.commit


def texts(shared: Shared, name: str) -> dict[str, str]:
    """What a branch has."""
    return {path: shared.origin.show(f"env/{name}", path) for path in shared.origin.tree(f"env/{name}")}


def audited(shared: Shared) -> list[object]:
    return [finding for stage in shared.stages.values() for finding in report.audit(stage.site, stage.world())]


def test_the_release_before_is_restored_as_a_new_commit(make: Make) -> None:
    shared = make()
    stage = shared["shop"]
    before = shared.origin.tree("env/qa")
    source = released(shared, {"web": "1\n", "new": "1\n"})
    bad = stage.tip("qa")
    made = back(stage, "qa")
    assert stage.tip("qa") == made
    assert shared.origin.tree("env/qa") == before
    commit = shared.origin.log("env/qa")[0]
    assert commit.parents == (bad,)
    state = stage.world().state.of("qa")
    assert [h.commit for h in state.holds] == [bad]
    assert state.holds[0].entries.keys() == {b"web", b"new"}
    assert state.releases[bad].undone
    assert state.release
    assert state.release.commit == made
    shared.settle()
    assert stage.tip("qa") == made, "it did not come back"
    assert shared.origin.tree("env/prod") == before, "and the rollback went on"
    fix = released(shared, {"web": "2\n"})
    assert shared.origin.tree("env/qa") == shared.origin.tree("env/prod") == shared.origin.tree("env/dev")
    assert shared.promotions("qa") == [("shop", source), ("shop", state.release.source), ("shop", fix)]
    assert audited(shared) == []


# --- what is restored, and what comes back -------------------------------------------------------------------------------


def test_protected_files_and_the_scope_of_others_stay(make: Make) -> None:
    """S12: exactly the earlier content where nothing is protected, and nothing else moves."""
    ways = (place("dev"), place("qa", "dev", protect=("shop/own/**",)))
    shared = make(names=("shop", "billing"), paths=None, files=None, environments=ways)
    stage = shared["shop"]
    released(shared, {"shop/web": "2\n", "shop/own/a": "dev\n", "billing/web": "2\n"})
    shared.commit("qa", {"shop/own/a": "qa\n"})
    shared.settle()
    before = shared.origin.tree("env/qa")
    made = back(stage, "qa")
    now = shared.origin.tree("env/qa")
    assert {path for path in before if before[path] != now.get(path)} == {"shop/web"}
    assert shared.origin.show("env/qa", "shop/web") == "1\n"
    assert stage.origin.log("env/qa")[0].commit == made
    shared.settle()
    assert stage.tip("qa") == made
    assert audited(shared) == []


@pytest.mark.parametrize("strategy", ["merge", "mirror"])
@pytest.mark.parametrize("scoped", [False, True])
def test_three_in_a_row_and_then_a_fix(make: Make, strategy: str, scoped: bool) -> None:
    """M1 R1 M2 R2 M3 R3, then a fix: all of the changes are there."""
    ways = (place("dev"), place("qa", "dev", strategy=strategy), place("prod", "qa"))
    more = {"paths": {"shop": ("app",)}} if scoped else {}
    shared = make(environments=ways, files={"app/web": "0\n", "other": "0\n"}, **more)
    stage = shared["shop"]
    first = {path: text for path, text in shared.origin.tree("env/qa").items() if path.startswith("app/")}
    for number in (1, 2, 3):
        released(shared, {"app/web": f"{number}\n", f"app/new{number}": "new\n"})
        assert shared.origin.show("env/qa", "app/web") == f"{number}\n"
        back(stage, "qa")
        shared.settle()
        for name in ("qa", "prod"):
            now = shared.origin.tree(f"env/{name}")
            assert {path: text for path, text in now.items() if path.startswith("app/")} == first
    released(shared, {"app/web": "fixed\n"})
    dev = shared.origin.tree("env/dev")
    assert shared.origin.tree("env/qa") == shared.origin.tree("env/prod") == dev
    assert {"app/new1", "app/new2", "app/new3"} <= dev.keys()
    assert audited(shared) == []


@pytest.mark.parametrize("way_out", ["touched", "reverted", "lifted", "fixes"])
def test_a_bad_commit_and_13_later_ones(make: Make, way_out: str) -> None:
    """It is deployed once, whatever comes on top, until it is touched, reverted, lifted or said to be mended."""
    stage_ = make()
    stage = stage_["shop"]
    released(stage_, {"web": "bad\n"})
    bad = stage.tip("qa")
    made = back(stage, "qa")
    for number in range(13):
        stage_.commit("dev", {f"file{number}": "new\n"})
        if number % 4 == 0:
            stage_.settle()
    stage_.settle()
    assert stage.tip("qa") == made
    assert [text for _, _, text in stage_.memory.deployments if text == bad] == [bad]
    files = {"touched": "good\n", "reverted": "0\n", "lifted": "bad\n", "fixes": "bad\n"}
    if way_out == "lifted":
        lift(stage.site, stage.env("qa"), bad)
    elif way_out == "fixes":
        stage_.commit("dev", {"mended": "yes\n"}, f"mend it\n\nPromotion-Fixes: {bad}")
    else:
        stage_.commit("dev", {"web": files[way_out]})
    stage_.settle()
    assert stage_.origin.tree("env/qa") == stage_.origin.tree("env/dev")
    assert stage_.origin.show("env/qa", "web") == files[way_out]
    assert audited(stage_) == []


def test_promoted_rolled_back_lifted_and_promoted_again(make: Make) -> None:
    """(1) Another commit, and another plan, of the very same source."""
    shared = make()
    stage = shared["shop"]
    source = released(shared, {"web": "1\n"})
    bad = stage.tip("qa")
    back(stage, "qa")
    lift(stage.site, stage.env("qa"), bad)
    shared.settle()
    again = stage.tip("qa")
    first, second = (c.trailers for c in shared.origin.log("env/qa") if c.commit in (bad, again))
    assert again != bad
    assert first["Promotion-Source"] == second["Promotion-Source"] == source
    assert first["Promotion-Plan"] != second["Promotion-Plan"]
    assert shared.origin.tree("env/prod") == shared.origin.tree("env/dev")


def test_what_people_said_of_it_before_it_went_back_counts_no_more(make: Make) -> None:
    """(1) Approved by one, rejected by another and lifted, landed, rolled back, lifted: another plan, and all are asked again."""
    shared = make(environments=(place("dev"), place("prod", "dev", gates=(asks(),))))
    stage = shared["shop"]
    source = released(shared, {"web": "1\n"})
    old = stage.plan("prod")
    reject(stage.site, old, who=BOB, reason="not yet")
    lift(stage.site, stage.env("prod"), source)
    approve(stage.site, old, who=ALICE)
    assert [a.word for a in stage.world().state.of("prod").answers] == ["rejected", "approved"]
    shared.settle()
    bad = stage.tip("prod")
    back(stage, "prod")
    lift(stage.site, stage.env("prod"), bad)
    shared.settle()
    now = stage.plan("prod")
    assert (now.commit, now.verdict, now.reason) == (source, "wait", "approval 0 of 1")
    assert now.plan_id != old.plan_id
    assert now.asked
    assert (now.asked.approved, now.asked.may) == ((), old.asked.may if old.asked else None)
    for say in (lambda: approve(stage.site, old, who=ALICE), lambda: reject(stage.site, old, who=BOB, reason="no")):
        refused(say, "is void: prod was promoted, rolled back or adopted since")
    approve(stage.site, now, who=ALICE)
    shared.settle()
    assert [of for _, of in shared.promotions("prod")][::2] == [source, source]
    assert shared.origin.tree("env/prod") == shared.origin.tree("env/dev")
    assert audited(shared) == []


def test_over_several_releases_and_forward_again(make: Make) -> None:
    """Each release that is passed is held; rolling forward ends the holds of what is there again, and of nothing else."""
    shared = make()
    stage = shared["shop"]
    start, tips = stage.tip("qa"), []
    for number in (1, 2, 3):
        released(shared, {"web": f"{number}\n"})
        tips.append(stage.tip("qa"))
    back(stage, "qa", to=start)
    assert [h.commit for h in stage.world().state.of("qa").holds] == tips[::-1]
    said = roll_back(stage.site, stage.env("qa"), reason="again")
    assert (said.outcome, said.status) == ("nothing", 0)
    assert tips[1][:7] in said.reason
    back(stage, "qa", to=tips[1])
    state = stage.world().state.of("qa")
    assert [h.commit for h in state.holds] == [tips[2], tips[0]]
    assert [state.releases[tip].undone for tip in tips] == [True, False, True]
    shared.settle()
    assert shared.origin.show("env/prod", "web") == "2\n"
    released(shared, {"web": "4\n"})
    assert shared.origin.tree("env/prod") == shared.origin.tree("env/dev")
    assert audited(shared) == []


def test_a_hotfix_is_undone_only_by_hand_and_named(make: Make) -> None:
    shared = make()
    stage = shared["shop"]
    first = stage.tip("qa")
    released(shared, {"web": "1\n"})
    release = stage.tip("qa")
    hotfix = shared.commit("qa", {"hot": "fix\n"})
    shared.settle()
    said = roll_back(stage.site, stage.env("qa"), reason="the hotfix alone")
    assert said.rollback
    assert (said.rollback.back.restores, said.rollback.back.hotfixes) == (release, (hotfix,))
    assert list(said.rollback.holds) == [hotfix]
    assert roll_back(stage.site, stage.env("qa"), to=first, reason="all").rollback
    assert texts(shared, "qa") == {"web": "0\n"}
    assert audited(shared) == []


def test_what_is_restored_may_be_a_hotfix(make: Make) -> None:
    """A commit of people that was healthy is a release: going back does not lose it."""
    shared = make()
    stage = shared["shop"]
    hotfix = shared.commit("qa", {"hot": "fix\n"})
    shared.settle()
    released(shared, {"web": "1\n"})
    back(stage, "qa")
    assert texts(shared, "qa") == {"web": "0\n", "hot": "fix\n"}
    assert stage.world().state.of("qa").releases[stage.tip("qa")].restores == hotfix
    released(shared, {"web": "2\n"})
    assert texts(shared, "qa") == {"web": "2\n", "hot": "fix\n"}


def test_a_root_is_rolled_back_too(make: Make) -> None:
    shared = make()
    stage = shared["shop"]
    released(shared, {"new": "1\n"})
    bad = released(shared, {"web": "bad\n"})
    back(stage, "dev")
    made = stage.tip("dev")
    assert confirmed.of(stage.site, stage.world(), [stage.site.repository.objects.commit(made)]) == {made}
    assert restoring.line(stage.site, stage.world(), stage.env("dev"), made)[0].ours
    shared.settle()
    assert {name: texts(shared, name) for name in ("dev", "qa", "prod")} == {
        name: {"web": "0\n", "new": "1\n"} for name in ("dev", "qa", "prod")
    }
    shared.commit("dev", {"web": "bad\n", "unrelated": "1\n"})
    shared.settle()
    assert "unrelated" not in shared.origin.tree("env/qa"), "it has all of what is held in dev"
    lift(stage.site, stage.env("dev"), bad)
    shared.settle()
    assert shared.origin.tree("env/prod") == shared.origin.tree("env/dev")
    assert audited(shared) == []


@pytest.mark.parametrize("lifted", [False, True])
def test_what_was_rolled_back_is_never_promoted_further(make: Make, lifted: bool) -> None:
    """(5) Healthy and soaked in qa, rolled back there: prod is not offered it, whatever happens to its hold."""
    ways = (place("dev"), place("qa", "dev"), place("prod", "qa", auto=False))
    shared = make(environments=ways)
    stage = shared["shop"]
    released(shared, {"web": "bad\n"})
    bad = stage.tip("qa")
    back(stage, "qa")
    if lifted:
        lift(stage.site, stage.env("qa"), bad)
    said = promote(stage.site, stage.env("prod"), chosen=bad)
    assert (said.outcome, said.status) == ("refused", 4)
    assert ("rolled back in qa" if lifted else "held in qa") in said.reason
    shared.round()
    promote(stage.site, stage.env("prod"))
    assert shared.origin.show("env/prod", "web") == "0\n"


@pytest.mark.parametrize("soon", [True, False])
def test_a_required_environment_that_went_back_does_not_have_it(make: Make, soon: bool) -> None:
    """By rollback, or by a revert on its branch: what requires it waits."""
    ways = (
        place("dev"),
        place("qa", "dev"),
        place("eu", "qa"),
        place("us", "qa", requires=("eu",), auto=False),
    )
    shared = make(environments=ways)
    stage = shared["shop"]
    released(shared, {"web": "1\n"})
    if soon:
        back(stage, "eu")
    else:
        shared.commit("eu", {"web": "0\n"}, "Revert")
    shared.round()
    said = promote(stage.site, stage.env("us"))
    assert said.outcome in ("waiting", "refused"), said.reason
    assert "eu" in said.reason
    assert shared.origin.show("env/us", "web") == "0\n"


# --- git revert ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_top", [False, True])
def test_a_revert_on_the_branch_is_a_rollback(make: Make, on_top: bool) -> None:
    shared = make()
    stage = shared["shop"]
    first = stage.tip("qa")
    source = released(shared, {"web": "1\n"})
    bad = stage.tip("qa")
    made = shared.commit("qa", {"web": "0\n"}, "Revert")
    if on_top:
        shared.commit("qa", {"hot": "fix\n"})
    shared.settle()
    assert "rolled-back qa" in stage.events()
    state = stage.world().state.of("qa")
    assert state.release
    assert (state.release.commit, state.releases[made].restores) == (made, first)
    assert state.release.source != source
    assert [(h.commit, h.by) for h in state.holds] == [(bad, "git")]
    assert state.releases[bad].undone
    tip = stage.tip("qa")
    shared.wait(minutes=20)
    shared.commit("dev", {"unrelated": "1\n"})
    shared.settle()
    assert stage.tip("qa") == tip
    released(shared, {"web": "2\n"})
    assert shared.origin.show("env/qa", "web") == "2\n"
    assert shared.origin.show("env/qa", "unrelated") == "1\n"
    assert audited(shared) == []


def test_what_people_take_back_of_their_own_is_no_rollback(make: Make) -> None:
    """Nor is what was taken back and is there again before anybody looked."""
    shared = make()
    released(shared, {"web": "1\n"})
    shared.commit("qa", {"hot": "fix\n"})
    shared.commit("qa", {"hot": None}, "Revert")
    shared.settle()
    shared.commit("qa", {"web": "0\n"}, "Revert")
    shared.commit("qa", {"web": "1\n"}, "Reapply")
    shared.settle()
    assert "rolled-back qa" not in shared["shop"].events()


def test_a_revert_of_the_revert_rolls_forward(make: Make) -> None:
    shared = make()
    stage = shared["shop"]
    released(shared, {"web": "1\n"})
    bad = stage.tip("qa")
    shared.commit("qa", {"web": "0\n"}, "Revert")
    shared.settle()
    shared.commit("qa", {"web": "1\n"}, "Reapply")
    shared.settle()
    state = stage.world().state.of("qa")
    assert (state.holds, state.releases[bad].undone) == ((), False)
    assert shared.origin.show("env/prod", "web") == "1\n"
    assert audited(shared) == []


# --- by itself -----------------------------------------------------------------------------------------------------------

BACK = Verify(on_failure="rollback")


def failing(make: Make, **more: object) -> Shared:
    """A change that is well in dev, landed in qa, and that qa's world makes sick; qa's round is still to come."""
    shared = make(environments=(place("dev"), place("qa", "dev", verify=BACK), place("prod", "qa")), **more)
    shared.commit("dev", {"web": "1\n"})
    shared.round()
    return shared


def sick(shared: Shared, name: str, revision: str) -> None:
    shared.memory.running["shop", name] = (revision, Health.DEGRADED)


def test_a_failed_verification_rolls_back_by_itself(make: Make) -> None:
    shared = failing(make)
    stage = shared["shop"]
    bad = stage.tip("qa")
    sick(shared, "qa", bad)
    done = shared.round(sync=False)["shop"]
    assert [(hop.outcome, hop.verification, hop.status) for hop in done.hops] == [
        ("promoted", "failed", 6),
        ("rolled-back", "pending", 0),
    ]
    assert texts(shared, "qa") == {"web": "0\n"}
    assert stage.events()[-3:] == ["observed qa", "failed qa", "rolled-back qa"]
    shared.settle()
    assert texts(shared, "prod") == {"web": "0\n"}
    assert stage.world().state.of("qa").verification
    assert len([event for event in stage.events() if event == "rolled-back qa"]) == 1
    released(shared, {"web": "2\n"})
    assert texts(shared, "prod") == {"web": "2\n"}
    assert audited(shared) == []


NEVER = ["away", "away since", "late", "hotfix", "frozen", "all frozen", "well again", "not its own", "another since"]


@pytest.mark.parametrize("what", NEVER)
def test_what_is_never_rolled_back_by_itself(make: Make, what: str) -> None:
    """(9) Unreachable, past the deadline, a hotfix on top, a freeze, healthy in between, another revision running."""
    shared = failing(make)
    stage = shared["shop"]
    bad = stage.tip("qa")
    expected = "failed qa"
    match what:
        case "away":
            shared.memory.away.add(("shop", "qa"))
            expected = "promoted qa"
        case "late":
            shared.wait(minutes=20)
            sick(shared, "qa", bad)
            expected = "timed-out qa"
        case "hotfix":
            sick(shared, "qa", bad)
            bad = shared.commit("qa", {"hot": "fix\n"})
        case "frozen":
            freeze(stage.site, [stage.env("qa")], "look at it", None, strict=False)
            sick(shared, "qa", bad)
        case "all frozen":
            freeze(stage.site, [], "look at it", None, strict=False)
            sick(shared, "qa", bad)
        case "well again":
            sick(shared, "qa", bad)
            watch_only(stage.site, ["qa"])
            shared.memory.running["shop", "qa"] = (bad, Health.HEALTHY)
            shared.round(sync=False)
            sick(shared, "qa", bad)
        case "away since":
            sick(shared, "qa", bad)
            watch_only(stage.site, ["qa"])
            shared.memory.away.add(("shop", "qa"))
        case "another since":
            sick(shared, "qa", bad)
            watch_only(stage.site, ["qa"])
            sick(shared, "qa", stage.tip("prod"))
        case _:
            expected = "promoted qa"
    shared.round(sync=False)
    assert expected in stage.events()
    assert not [event for event in stage.events() if event.startswith(("rolled-back", "held"))]
    assert stage.tip("qa") == bad


def test_an_unreachable_environment_times_out_and_is_not_rolled_back(make: Make) -> None:
    shared = failing(make)
    shared.memory.away.add(("shop", "qa"))
    shared.wait(minutes=20)
    shared.round(sync=False)
    assert shared["shop"].events()[-1] == "timed-out qa"


@pytest.mark.parametrize("copied", [False, True], ids=["plain", "the message of a promotion"])
def test_a_hotfix_that_would_be_lost_makes_it_a_hold(make: Make, copied: bool) -> None:
    """One that was never seen healthy, below the failed release: nothing of people's work goes by itself."""
    shared = failing(make)
    stage = shared["shop"]
    shared.settle()
    message = shared.origin.log("env/qa")[0].message if copied else "a change"
    shared.commit("qa", {"hot": "fix\n"}, message=message)
    if copied:
        adopt(stage.site, stage.env("qa"), None)
    shared.commit("dev", {"web": "2\n"})
    shared.round(sync=False)
    for name in ("dev", "qa"):
        shared.memory.running["shop", name] = (stage.tip(name), Health.HEALTHY)
    sick(shared, "qa", shared.origin.log("env/qa")[1].commit)
    shared.round(sync=False)
    bad = stage.tip("qa")
    assert shared.promotions("qa")[-1][1] == stage.tip("dev")
    sick(shared, "qa", bad)
    shared.round(sync=False)
    assert stage.tip("qa") == bad
    assert [h.commit for h in stage.world().state.of("qa").holds] == [bad]
    assert "made by hand" in stage.world().state.of("qa").holds[0].reason


def test_a_rollback_that_fails_freezes_and_says_so(make: Make) -> None:
    shared = failing(make)
    stage = shared["shop"]
    sick(shared, "qa", stage.tip("qa"))
    shared.round(sync=False)
    made = stage.tip("qa")
    sick(shared, "qa", made)
    done = shared.round(sync=False)["shop"]
    assert [(hop.outcome, hop.verification, hop.status) for hop in done.hops] == [("rolled-back", "failed", 6)]
    assert "promotion thaw qa" in done.hops[0].reason
    frozen = stage.world().state.of("qa").frozen
    assert frozen
    assert made[:7] in frozen.reason
    thaw(stage.site, [stage.env("qa")])
    shared.round(sync=False)
    assert (stage.tip("qa"), stage.world().state.of("qa").frozen) == (made, None)


def test_two_applications_on_one_branch_go_back_in_one_push(make: Make) -> None:
    ways = (place("dev"), place("qa", "dev", verify=BACK))
    shared = make(names=("shop", "billing"), paths=None, files=None, environments=ways)
    before = shared.origin.tree("env/qa")
    shared.commit("dev", {"shop/web": "2\n", "billing/web": "2\n"})
    shared.round()
    for name in ("shop", "billing"):
        head = observe.head(shared[name].site, shared[name].world(), shared[name].env("qa"))
        shared.memory.running[name, "qa"] = (head, Health.DEGRADED)
    done = shared.round(sync=False)
    assert [hop.outcome for each in done.values() for hop in each.hops] == ["promoted", "rolled-back"] * 2
    assert shared.origin.tree("env/qa") == before
    assert audited(shared) == []


def test_what_was_absorbed_beside_commits_of_others_is_what_is_gone_back_to(make: Make) -> None:
    """A hotfix on top stands for it, and so does the branch once it is gone back to."""
    shared = make(names=("shop", "billing"), paths=None, files=None)
    stage = shared["shop"]
    shared.commit("qa", {"shop/new": "hot\n"})
    released(shared, {"billing/web": "2\n"})
    absorbed = released(shared, {"shop/new": "hot\n"})
    assert "absorbed qa" in stage.events()
    hotfix = shared.commit("qa", {"shop/web": "hot\n"})
    shared.settle()
    released(shared, {"shop/web2": "3\n"})
    back(stage, "qa")
    made = stage.world().state.of("qa")
    assert made.release
    assert (made.releases[made.release.commit].restores, made.release.source) == (hotfix, absorbed)
    assert audited(shared) == []


def test_what_was_absorbed_at_a_commit_of_others_is_not_taken_back(make: Make) -> None:
    """The audit misses nothing in the record of a rollback over it: older versions wrote that down."""
    shared = make(names=("shop", "billing"), paths=None, files=None)
    stage = shared["shop"]
    released(shared, {"shop/web": "2\n"})
    before = stage.tip("qa")
    shared.commit("qa", {"shop/new": "hot\n"})
    released(shared, {"billing/web": "2\n"})
    others = stage.tip("qa")
    there = released(shared, {"shop/new": "hot\n"})
    old = {"plan_id": "0" * 64, "source": there, "base": there, "target": others}
    tamper(stage, [Event("absorbed", "shop", "qa", stage.now, stage.site.by, old)])
    assert (stage.tip("qa"), others in stage.world().state.of("qa").releases) == (others, True)
    back(stage, "qa", to=before)
    assert audited(shared) == []


# --- just before the push ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plant", ["smuggled", "lost", "protected", "outside"])
def test_s12_a_tree_that_does_not_restore_never_lands(make: Make, monkeypatch: pytest.MonkeyPatch, plant: str) -> None:
    """A bug in what makes it is caught by the last look before the push."""
    ways = (place("dev"), place("qa", "dev", protect=("app/own/**",)))
    files = {"app/web": "0\n", "app/own/a": "own\n", "other": "theirs\n"}
    shared = make(environments=ways, files=files, paths={"shop": ("app",)})
    stage = shared["shop"]
    released(shared, {"app/web": "1\n"})
    real = restoring.prepared

    def wrong(site: Site, *args: Any) -> Any:
        made, objects = real(site, *args), site.repository.objects
        file = objects.look(made.tree, b"app/web")
        path = {"smuggled": b"app/new", "lost": b"app/web", "protected": b"app/own/a", "outside": b"other"}[plant]
        return replace(made, tree=objects.write_tree(made.tree, {path: None if plant == "lost" else file}))

    monkeypatch.setattr(restoring, "prepared", wrong)
    before = shared.origin.refs()
    with pytest.raises(AssertionError, match="does not restore"):
        roll_back(stage.site, stage.env("qa"), reason="it is bad")
    assert shared.origin.refs() == before


STEPS = ["line", "prepared", "commit_tree", "push"]
steps = pytest.mark.parametrize("step", STEPS)


def before(monkeypatch: pytest.MonkeyPatch, stage: Stage, step: str, action: Callable[[], object]) -> list[object]:
    """Does `action` once, before this step of a rollback; what it gave is in the list then."""
    on: Any = restoring if step in ("line", "prepared") else stage.site.repository
    real, done = getattr(on, step), list[object]()

    def acted(*args: Any, **more: Any) -> Any:
        if not done:
            done.append(None)
            done[0] = action()
        return real(*args, **more)

    monkeypatch.setattr(on, step, acted)
    return done


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("everything", [True, False])
@steps
def test_s13_a_strict_freeze_before_the_push_wins(
    make: Make, monkeypatch: pytest.MonkeyPatch, strict: bool, everything: bool, step: str
) -> None:
    """At each step before the push: between what is read, what is decided and what is pushed."""
    shared = make()
    stage = shared["shop"]
    released(shared, {"web": "1\n"})
    tip, other = stage.tip("qa"), stage.open("other")
    which = [] if everything else [stage.env("qa")]
    frozen = before(monkeypatch, stage, step, lambda: freeze(other, which, "stop", None, strict=strict))
    said = roll_back(stage.site, stage.env("qa"), reason="it is bad")
    assert frozen
    assert said.outcome == ("refused" if strict else "rolled-back"), said.reason
    assert (stage.tip("qa") == tip) == strict
    assert not strict or said.status == 4


NOES: dict[str, Callable[[Stage, Site], object]] = {
    "frozen": lambda stage, other: freeze(other, [stage.env("qa")], "look at it", None, strict=False),
    "all frozen": lambda _, other: freeze(other, [], "look at it", None, strict=True),
    "held": lambda stage, other: hold(other, stage.env("qa"), stage.tip("qa"), "look at it"),
    "hotfix": lambda stage, _: stage.commit("qa", {"hot": "fix\n"}),
}


@pytest.mark.parametrize("no", NOES)
@steps
def test_s13_a_no_before_the_push_wins_over_a_rollback_by_itself(
    make: Make, monkeypatch: pytest.MonkeyPatch, step: str, no: str
) -> None:
    """Nothing lands, in this round and in those after it, and that it failed is on record."""
    shared = failing(make)
    stage = shared["shop"]
    bad, other = stage.tip("qa"), stage.open("other")
    sick(shared, "qa", bad)
    said = before(monkeypatch, stage, step, lambda: NOES[no](stage, other))
    for _ in range(3):
        shared.round(sync=False)
    assert said
    assert stage.tip("qa") == (said[0] if no == "hotfix" else bad)
    assert "failed qa" in stage.events()
    assert "rolled-back qa" not in stage.events()
    assert audited(shared) == []


def test_to_a_commit_that_is_no_release_is_one_clear_line(make: Make) -> None:
    shared = make()
    stage = shared["shop"]
    source = released(shared, {"web": "1\n"})
    before = shared.origin.refs()
    with pytest.raises(ConfigError, match="is no release of qa \\(there are: ") as caught:
        roll_back(stage.site, stage.env("qa"), to=source, reason="it is bad")
    assert "\n" not in str(caught.value)
    assert shared.origin.refs() == before


def test_where_nothing_was_healthy_there_is_nothing_to_go_back_to(make: Make) -> None:
    shared = make()
    said = roll_back(shared["shop"].site, shared["shop"].env("qa"), reason="it is bad")
    assert (said.outcome, said.status) == ("refused", 4)


def test_where_does_not_have_what_was_rolled_back(make: Make) -> None:
    """By promotion, by hand, and on the root."""
    shared = make()
    stage = shared["shop"]
    source = released(shared, {"web": "1\n"})

    def there(commit: str) -> list[str]:
        rows = report.where(stage.site, stage.world(), commit)["environments"]
        return [row["environment"] for row in rows if row["in"]]

    assert there(source) == ["dev", "qa", "prod"]
    back(stage, "prod")
    assert there(source) == ["dev", "qa"]
    hotfix = shared.commit("qa", {"hot": "fix\n"})
    shared.round()
    back(stage, "qa")
    assert there(hotfix) == []
    back(stage, "dev")
    assert there(source) == ["qa"]


def test_what_never_was_well_is_not_gone_back_to(make: Make) -> None:
    """The newest release before that was healthy, over one that was not."""
    shared = make(environments=(place("dev"), place("qa", "dev")))
    stage = shared["shop"]
    first = stage.tip("qa")
    for number in (1, 2):
        shared.commit("dev", {"web": f"{number}\n"})
        shared.round()
        sick(shared, "qa", stage.tip("qa"))
        shared.round(sync=False)
    said = roll_back(stage.site, stage.env("qa"), reason="it is bad")
    assert said.rollback
    assert said.rollback.back.restores == first
    assert len(said.rollback.holds) == 2
