"""What a decision is told: which commits come into question, what stands on the branch, what a merge gives, what is held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion import answers, merge, merging, observe, scope
from promotion.errors import ConfigError, RefusedError
from promotion.model import Spec
from promotion.reconcile import adopt, configure, hold, lift, promote
from promotion.texts import shown
from promotion.view import DEPTH, Merged
from tests.support.stage import Stage, environment

Build = Callable[..., Stage]


def chained(stage: Stage, base: str) -> list[str]:
    """The candidates of dev after `base`, oldest first."""
    tip = stage.world().tip(stage.env("dev"))
    return [c.oid for c in scope.chain(stage.site.repository, stage.application, tip, base, DEPTH).commits][::-1]


def given(stage: Stage, name: str = "qa") -> Merged:
    """What dev's tip would give on a target."""
    world = stage.world()
    view = answers.look(stage.site, world, stage.env(name))
    return merging.merged(stage.site, view, view.chain[0].oid)


# --- the chain -----------------------------------------------------------------------------------------------------


def test_the_chain_is_what_comes_after_the_base(stage: Stage) -> None:
    """First parents only, B itself left out; nothing when B is the tip."""
    base = stage.tip("dev")
    one, two = stage.commit("dev", {"a": "1\n"}), stage.commit("dev", {"a": "2\n"})
    assert chained(stage, base) == [one, two]
    assert chained(stage, two) == []


def test_a_branch_that_was_merged_in_is_one_candidate(stage: Stage) -> None:
    """What came by a merge is no release of dev of its own; the merge is."""
    base = stage.tip("dev")
    one = stage.commit("dev", {"a": "1\n"})
    inner = stage.origin.commit("feature", {"b": "1\n"}, onto=base)
    both = stage.origin.commit("env/dev", {"b": "1\n"}, merges=[inner])
    last = stage.commit("dev", {"c": "1\n"})
    assert chained(stage, base) == [one, both, last]
    # B came in by the merge: only what descends from it, on the first-parent line, is past it.
    assert chained(stage, inner) == [both, last]


def test_a_base_far_back_leaves_the_newest(stage: Stage) -> None:
    """200 at most, the newest ones, of a history with more."""
    base = stage.tip("dev")
    commits = [stage.commit("dev", {"a": f"{n}\n"}) for n in range(DEPTH + 10)]
    assert chained(stage, base) == commits[-DEPTH:]
    assert chained(stage, commits[5]) == commits[-DEPTH:]
    assert chained(stage, commits[10]) == commits[11:]


def test_a_rewound_source_offers_nothing_before_the_base(stage: Stage) -> None:
    """Neither commits that the target had already, nor ones that never had B; and it is said."""
    root = stage.tip("dev")
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    stage.origin.set("env/dev", root)
    stage.commit("dev", {"web": "another line of history\n"})
    stage.sync("dev")
    stage.round()
    plan = stage.plan("qa")
    assert plan.verdict == "block"
    assert "rewound" in plan.reason
    assert "promotion adopt qa" in plan.reason
    stage.origin.set("env/dev", root)
    assert stage.plan("qa").verdict == "nothing"  # set back, with nothing new: qa has all of it
    assert len(stage.origin.log("env/qa")) == 2


# --- the first base ------------------------------------------------------------------------------------------------


def test_the_first_base_is_the_one_merge_base_recorded_once(stage: Stage) -> None:
    """Branches that parted before we came: what qa has of dev is where they parted, whatever happens later."""
    parted = stage.tip("dev")
    stage.commit("qa", {"own": "1\n"})
    stage.commit("dev", {"web": "2\n"})
    stage.round(land_hops=False)
    assert stage.world().state.of("qa").release.source == parted  # type: ignore[union-attr]
    assert stage.events().count("adopted qa") == 1


def test_unrelated_histories_are_refused_until_adopted(stage: Stage) -> None:
    """Nobody knows what qa has of dev: 2 with the command; the other environments go on; adopting by hand settles it."""
    stage.origin.set("env/qa", None)
    stage.origin.commit("env/qa", {"health": "ok\n"})
    for _ in range(2):
        done = stage.round()
    assert {e.exit_status for e in done.errors} == {2}
    with pytest.raises(ConfigError, match="no common history") as told:
        promote(stage.site, stage.env("qa"))
    assert told.value.hint == "promotion adopt qa --source COMMIT"
    adopt(stage.site, stage.env("qa"), stage.tip("dev"))
    commit = stage.commit("dev", {"web": "2\n"})
    assert [(hop.environment, hop.outcome) for hop in stage.round().hops] == [("qa", "promoted")]
    assert stage.origin.log("env/qa")[0].trailers["Promotion-Source"] == commit


def test_several_merge_bases_are_refused(stage: Stage) -> None:
    """Criss-cross merges leave no one base."""
    root = stage.tip("dev")
    one, two = stage.commit("dev", {"a": "1\n"}), stage.commit("qa", {"b": "1\n"})
    stage.origin.commit("env/dev", {"b": "1\n"}, merges=[two])
    stage.origin.commit("env/qa", {"a": "1\n"}, onto=two, merges=[one])
    with pytest.raises(ConfigError, match="2 merge bases"):
        promote(stage.site, stage.env("qa"))
    assert stage.origin.log("env/qa")[-1].commit == root


def test_what_is_adopted_must_be_on_the_source(stage: Stage) -> None:
    """A commit of nowhere, or of another branch, is none that qa can stand for."""
    stage.round()
    aside = stage.origin.commit("aside", {"x": "1\n"}, onto=stage.tip("dev"))
    with pytest.raises(ConfigError, match="not on env/dev"):
        adopt(stage.site, stage.env("qa"), aside)
    with pytest.raises(ConfigError, match="takes commits from nobody"):
        adopt(stage.site, stage.env("dev"), None)


# --- what stands on the branch --------------------------------------------------------------------------------------


def promoted_once(stage: Stage) -> str:
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    stage.round()
    return stage.tip("qa")


def refused(stage: Stage, match: str, *, stands_for: int = 1) -> None:
    """qa is refused and nothing is written there; the round tells it and goes on; adopting settles it."""
    tip = stage.tip("qa")
    stage.commit("dev", {"web": "3\n"})
    done = stage.round()
    assert {e.exit_status for e in done.errors} == {4}
    with pytest.raises(RefusedError, match=match) as told:
        promote(stage.site, stage.env("qa"))
    assert (told.value.hint or "").startswith("promotion adopt qa")
    assert stage.tip("qa") == tip
    adopt(stage.site, stage.env("qa"), stage.origin.log("env/dev")[stands_for].commit)
    stage.round()
    assert stage.origin.show("env/qa", "web") == "3\n"


def test_a_rewound_target_is_refused_until_adopted(stage: Stage) -> None:
    """The release is not on the branch any more."""
    stage.origin.set("env/qa", stage.origin.log(promoted_once(stage))[1].commit)
    refused(stage, "was it rewound", stands_for=2)


def test_a_target_whose_release_became_a_second_parent_is_refused(stage: Stage) -> None:
    """First-parent history is the deployment log; merging it in from the side is a rewrite of it."""
    release = promoted_once(stage)
    stage.origin.set("env/qa", stage.origin.log(release)[1].commit)
    stage.origin.commit("env/qa", {"web": "2\n"}, merges=[release])
    refused(stage, "was it rewound")


def test_a_promotion_that_the_ledger_does_not_know_is_refused(stage: Stage) -> None:
    """The ledger was set back by a record: it is never quietly gone on from, and not after that was accepted either."""
    promoted_once(stage)
    ledger = stage.origin.log(stage.application.ledger)
    before = next(c for c in ledger if '"event":"promoted"' in c.message and '"environment":"qa"' in c.message)
    stage.origin.git("update-ref", stage.application.ledger, before.parents[0])
    configure(stage.site, "it is lost", accept_loss=True)
    refused(stage, "ledger")


def test_a_deleted_ledger_is_refused(stage: Stage) -> None:
    """Not restarted in silence either."""
    promoted_once(stage)
    stage.origin.git("update-ref", "-d", stage.application.ledger)
    configure(stage.site, "it is lost", accept_loss=True)
    refused(stage, "does not know")


def test_hotfixes_and_reverts_by_hand_are_no_violation(stage: Stage) -> None:
    """Direct commits on top of the release, with or without trailers of others."""
    promoted_once(stage)
    stage.commit(
        "qa", {"hotfix": "1\n"}, "fix\n\nPromotion-Environment: prod\nPromotion-Application: shop\nPromotion-Plan: x"
    )
    stage.origin.commit("env/qa", {"more": "1\n"}, merges=[stage.origin.commit("side", {"more": "1\n"})])
    stage.commit("dev", {"web": "3\n"})
    (hop, *_) = stage.round().hops
    assert hop.outcome == "promoted"
    assert set(stage.origin.files("env/qa")) == {"health", "web", "hotfix", "more"}


# --- what a merge gives --------------------------------------------------------------------------------------------


def test_without_drift_what_was_tested_is_what_lands(stage: Stage) -> None:
    """T is S's tree; each path with the rule that explains it."""
    stage.round()
    commit = stage.origin.commit("env/dev", {"web": "2\n", b"\xff": "odd\n", "run": ("100755", "x"), "health": None})
    stage.world()
    made = given(stage)
    assert made.identical
    assert made.tree == stage.site.repository.objects.commit(commit).tree
    assert {(c.path, c.change, c.explained_by) for c in made.changes} == {
        *((b"web", "added", "tested"), (b"\xff", "added", "tested")),
        *((b"run", "added", "tested"), (b"health", "deleted", "tested")),
    }
    assert made.kept == ()


def test_drift_and_protected_paths_are_named(tmp_path: Path, build: Build) -> None:
    """Not identical with drift; identical where only protected paths differ."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("own/**",)))
    stage.round()
    stage.commit("qa", {"own/x": "qa\n"})
    stage.commit("dev", {"web": "2\n", "own/x": "dev\n"})
    made = given(stage)
    assert (made.identical, made.absorbed, made.empty) == (True, False, False)
    assert [(c.path, c.explained_by) for c in made.kept] == [(b"own/x", "kept")]
    stage.commit("qa", {"hotfix": "1\n"})
    made = given(stage)
    assert not made.identical
    assert {(c.path, c.explained_by) for c in made.kept} == {(b"own/x", "kept"), (b"hotfix", "drift")}


def test_a_result_without_unprotected_files_is_said(tmp_path: Path, build: Build) -> None:
    """Refused unless it is asked for in words."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("own/**",)))
    stage.commit("qa", {"own/x": "1\n"})
    stage.round()
    stage.change("dev", health=(Spec("command", {"command": ["true"]}),))
    stage.commit("dev", {"health": None})
    stage.sync("dev")
    assert given(stage).empty
    result = promote(stage.site, stage.env("qa"))
    assert (result.outcome, result.status) == ("refused", 4)
    assert "--allow-empty" in result.reason
    assert promote(stage.site, stage.env("qa"), allow_empty=True).outcome == "promoted"
    assert stage.origin.files("env/qa") == {"own/x": "1\n"}


def test_the_table_explains_what_it_made_and_nothing_else(stage: Stage) -> None:
    """S10: the last look finds a path that was lost, added, or has another mode."""
    stage.round()
    commit = stage.origin.commit("env/dev", {"web": "2\n", "dir/x": "1\n"})
    view = answers.look(stage.site, stage.world(), stage.env("qa"))
    objects = stage.site.repository.objects
    tree = merging.merged(stage.site, view, commit).tree or ""
    assert merging.unexplained(stage.site, view, commit, tree) == []
    entry = objects.look(tree, b"web")
    assert entry is not None
    for path, wrong in (
        (b"web", None),
        (b"extra", entry),
        (b"dir/x", replace(entry, mode=0o100755)),
        (b"health", None),
    ):
        other = objects.write_tree(tree, {path: wrong})
        assert merging.unexplained(stage.site, view, commit, other) == [path], shown(path)


# --- holds ---------------------------------------------------------------------------------------------------------


def held_change(stage: Stage) -> str:
    """A change of two files that qa has got and then holds, undone on qa by hand."""
    stage.round()
    stage.commit("dev", {"a": "bad\n", "b": "bad\n"}, "the bad one")
    stage.round()
    stage.round()
    bad = stage.tip("qa")
    hold(stage.site, stage.env("qa"), bad, "broke the till")
    stage.commit("qa", {"a": None, "b": None}, "undone by hand")
    return bad


def verdict(stage: Stage) -> tuple[str, str]:
    for _ in range(2):
        stage.round()
    plan = stage.plan("qa")
    return plan.verdict, plan.reason


def test_a_held_change_is_not_brought_back_by_what_comes_on_top(stage: Stage) -> None:
    """The base is set back so that it is offered again: an unrelated commit on top is no fix, half of it is another change."""
    root = stage.tip("dev")
    held_change(stage)
    adopt(stage.site, stage.env("qa"), root)
    stage.commit("dev", {"unrelated": "1\n"})
    word, reason = verdict(stage)
    assert word == "block"
    assert "broke the till" in reason
    assert stage.origin.show("env/qa", "a") is None
    stage.commit("dev", {"b": "good\n"})
    assert verdict(stage)[0] == "nothing"
    assert stage.origin.show("env/qa", "b") == "good\n"


def test_a_change_that_is_held_in_the_source_does_not_come_along(stage: Stage) -> None:
    """What stands on top of it there is healthy, and has it all the same."""
    stage.change("qa", auto=False)
    stage.round()
    bad = stage.commit("dev", {"a": "bad\n"})
    hold(stage.site, stage.env("dev"), bad, "broke the till")
    stage.commit("dev", {"unrelated": "1\n"})
    stage.round()
    plan = stage.plan("qa", by_hand=True)
    assert plan.verdict == "block"
    assert f"has {bad[:7]}, held in dev: broke the till" in plan.reason
    stage.commit("dev", {"a": "good\n"})
    stage.round()
    assert stage.plan("qa", by_hand=True).verdict == "pass"


def test_a_lifted_hold_lets_the_change_pass(stage: Stage) -> None:
    """By the commit as held, or by the one it came from."""
    root = stage.tip("dev")
    bad = held_change(stage)
    adopt(stage.site, stage.env("qa"), root)
    stage.commit("dev", {"unrelated": "1\n"})
    assert verdict(stage)[0] == "block"
    source = next(c for c in stage.origin.log("env/qa") if c.commit == bad).trailers["Promotion-Source"]
    with pytest.raises(ConfigError, match="is not held"):
        lift(stage.site, stage.env("qa"), "0000000")
    lift(stage.site, stage.env("qa"), source[:9])
    assert verdict(stage)[0] == "nothing"
    assert stage.origin.show("env/qa", "a") == "bad\n"


@pytest.mark.parametrize("named", ["held", "source", "short"])
def test_a_commit_may_say_that_it_fixes_what_is_held(stage: Stage, named: str) -> None:
    """`Promotion-Fixes:` names the held commit, or the one that it was in the source, which is what its author knows."""
    root = stage.tip("dev")
    bad = held_change(stage)
    adopt(stage.site, stage.env("qa"), root)
    source = next(c for c in stage.origin.log("env/qa") if c.commit == bad).trailers["Promotion-Source"]
    stage.commit("dev", {"other": "0\n"}, f"no fix: too short a name\n\nPromotion-Fixes: {bad[:6]}")
    assert verdict(stage)[0] == "block"
    name = {"held": bad, "source": source, "short": bad[:7]}[named]
    stage.commit("dev", {"other": "1\n"}, f"mend the till\n\nPromotion-Fixes: {name}")
    assert verdict(stage)[0] == "nothing"
    assert stage.origin.show("env/qa", "other") == "1\n"


def test_a_merge_may_say_that_it_fixes_what_is_held(stage: Stage) -> None:
    """A host writes what a pull request says into the merge that it makes of it."""
    root = stage.tip("dev")
    bad = held_change(stage)
    adopt(stage.site, stage.env("qa"), root)
    side = stage.origin.commit("side", {"other": "1\n"}, onto=stage.tip("dev"))
    stage.origin.commit("env/dev", {"other": "1\n"}, merges=[side], message=f"Merge #7\n\nPromotion-Fixes: {bad}")
    assert verdict(stage)[0] == "nothing"


def test_what_is_said_to_be_fixed_is_judged_by_what_the_source_stands_for_now(stage: Stage) -> None:
    """One who goes on asking sees what somebody else sees: qa has absorbed the commit that says it, without one of its own."""
    stage.change("prod", auto=False)
    stage.round()
    bad = stage.commit("dev", {"a": "bad\n"}, "the bad one")
    stage.round()
    stage.round()
    hold(stage.site, stage.env("prod"), stage.tip("qa"), "broke the till")
    stage.commit("dev", {"other": "1\n"})
    for _ in range(3):
        stage.round()
    assert stage.plan("prod", by_hand=True).verdict == "block"
    stage.origin.commit("env/dev", {"other": "1\n"}, message=f"It was the till's\n\nPromotion-Fixes: {bad}")
    for _ in range(3):
        stage.round()
    assert "absorbed qa" in stage.events()
    plan = answers.plan(other := stage.open("other"), observe.survey(other), stage.env("prod"), by_hand=True)
    assert (stage.plan("prod", by_hand=True).verdict, plan.verdict) == ("pass", "pass")


@pytest.mark.parametrize("said", ["HEAD", "env/dev", "a hand-made one", "übermorgen", "0" * 40])
def test_a_trailer_that_people_wrote_may_name_anything(stage: Stage, said: str) -> None:
    """It is followed where it is a commit's id, and is no reason to stop or to make the clone again."""
    stage.round()
    bad = stage.commit("dev", {"a": "bad\n"}, f"the bad one\n\nPromotion-Source: {said}")
    hold(stage.site, stage.env("qa"), bad, "broke the till")
    stage.commit("dev", {"other": "1\n"})
    clone = stage.site.repository.path.stat().st_ino
    assert verdict(stage)[0] == "block"
    assert stage.site.repository.path.stat().st_ino == clone


def test_a_hold_leaves_protected_paths_out(tmp_path: Path, build: Build) -> None:
    """What a promotion can never bring in is no part of a held change."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("own/**",)))
    commit = stage.commit("qa", {"own/x": "1\n", "web": "1\n", "health": None})
    stage.world()
    entries = merging.change_of(stage.site, stage.env("qa"), commit)
    assert set(entries) == {b"web", b"health"}
    assert entries[b"health"] is None
    assert merge.contains(entries, entries.get)


# --- gates ---------------------------------------------------------------------------------------------------------


def test_probes_are_asked_when_all_else_passes_once_a_round(tmp_path: Path, build: Build) -> None:
    """A probe may cost money, or load: closed windows keep it quiet; but a yes of the round before is no yes now."""
    folder, asked = tmp_path / "stage", tmp_path / "asked"
    probe = Spec("command", {"command": ["sh", "-c", f"echo $PROMOTION_REVISION >>{asked}"]})
    soak = Spec("soak", {"for": "10s"})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(probe, soak)))
    stage.round()
    commit = stage.commit("dev", {"web": "2\n"})
    stage.sync("dev")
    for _ in range(3):
        stage.round(land_hops=False)
    assert not asked.exists()
    assert [v.verdict for v in stage.plan("qa").verdicts] == ["pass", "wait", "wait"]
    stage.wait(seconds=10)
    for _ in range(3):
        stage.round(land_hops=False)
    assert asked.read_text() == f"{commit}\n" * 3
    stage.change("qa", auto=False)
    stage.round(land_hops=False)
    assert asked.read_text() == f"{commit}\n" * 3


def test_a_gate_is_asked_about_each_candidate_by_itself(tmp_path: Path, build: Build) -> None:
    """One commit's answer is not another's: the newest that the gate likes lands."""
    folder = tmp_path / "stage"
    liked: list[str] = []
    gate: dict[str, Any] = {"command": ["sh", "-c", f"grep -q $PROMOTION_REVISION {tmp_path}/liked"]}
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(Spec("command", gate),)))
    (tmp_path / "liked").write_text("none\n")
    stage.round()
    for number in range(3):
        liked.append(stage.commit("dev", {"web": f"{number}\n"}))
        stage.round()
    (tmp_path / "liked").write_text(f"{liked[1]}\n")
    stage.wait(seconds=61)
    assert [hop.plan.commit for hop in stage.round().hops if hop.plan] == [liked[1]]


def test_probes_of_one_decision_have_a_deadline_together(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not asked any more is no yes: it waits for the next round."""
    folder = tmp_path / "stage"
    probe = Spec("command", {"command": ["true"]})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", auto=False, gates=(probe,)))
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    monkeypatch.setattr(answers, "PROBING", -1.0)
    plan = stage.plan("qa", by_hand=True)
    assert (plan.verdict, "not asked" in plan.reason) == ("wait", True)


def test_a_mirror_loses_nothing(stage: Stage) -> None:
    """A hotfix that only the target has is named, and stays until the source has it."""
    stage.change("qa", strategy="mirror")
    stage.round()
    stage.commit("qa", {"fix": "1\n"})
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    plan = stage.plan("qa")
    assert (plan.verdict, plan.merged.lost if plan.merged else ()) == ("block", (b"fix",))
    assert stage.origin.show("env/qa", "fix") == "1\n"
    stage.commit("dev", {"fix": "1\n"})
    stage.round()
    assert stage.origin.tree("env/qa") == stage.origin.tree("env/dev")


def test_a_mirror_loses_no_line(stage: Stage) -> None:
    """Both changed one file: it waits until the source's has the target's lines too, whatever else it has."""
    stage.change("qa", strategy="mirror")
    lines = [f"{number}\n" for number in range(9)]
    stage.commit("dev", {"list": "".join(lines)})
    for _ in range(3):
        stage.round()
    stage.commit("qa", {"list": "".join(["hot\n", *lines[1:]])})
    stage.commit("dev", {"list": "".join([*lines[:8], "last\n"])})
    stage.round()
    plan = stage.plan("qa")
    assert (plan.verdict, plan.merged.lost if plan.merged else ()) == ("block", (b"list",))
    stage.commit("dev", {"list": "".join(["hot\n", *lines[1:8], "last\n"])})
    stage.round()
    assert stage.origin.tree("env/qa") == stage.origin.tree("env/dev")
