"""Applications that share a repository: only what changes its scope concerns an application, on real repositories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from promotion import answers, merging, observe, report, scope
from promotion.model import Health, Spec
from promotion.observe import Site
from promotion.reconcile import hold, promote
from promotion.report import audit
from promotion.view import Merged, View
from tests.support.shared import Shared, place

Share = Callable[..., Shared]


def consistent(shared: Shared) -> None:
    """Every ledger and branch tell the same, and every path of every promotion is explained."""
    for stage in shared.stages.values():
        assert audit(stage.site, stage.world()) == []


def test_a_change_of_one_moves_only_that_one(share: Share) -> None:
    """It walks to prod as its source's commit; the other application's branches, ledger and runs stay as they are."""
    shared = share()
    shared.settle()
    before = shared.origin.refs()["refs/heads/promotion/billing"]
    deployed = [key for key in shared.memory.deployments if key[0] == "billing"]
    change = shared.commit("dev", {"shop/web": "2\n"})
    assert shared.settle() >= 2
    assert shared.promotions("qa") == [("shop", change)]
    ((_, from_qa),) = shared.promotions("prod")
    assert from_qa == shared.origin.tip("env/qa")
    assert shared.origin.show("env/prod", "shop/web") == "2\n"
    assert shared.origin.refs()["refs/heads/promotion/billing"] == before
    assert [key for key in shared.memory.deployments if key[0] == "billing"] == deployed
    consistent(shared)


def test_what_lands_has_one_parent_and_nothing_of_the_others(share: Share) -> None:
    """M stands on D alone, S is named, and outside the scope M is D byte for byte (S9, S10)."""
    shared = share()
    shared.settle()
    shared.commit("dev", {"billing/web": "2\n", "README.md": "others'\n", "shopping/list": "near by\n"})
    change = shared.commit("dev", {"shop/web": "2\n", "billing/web": "3\n", "shop/new/file": "new\n"})
    tip = shared.origin.tip("env/qa")
    shared.round("shop")
    shared.round("shop")
    made = shared.origin.log("env/qa")[0]
    assert made.parents == (tip,)
    assert made.trailers["Promotion-Source"] == change
    before, after, source = (shared.origin.tree(rev) for rev in (tip, made.commit, change))
    inside = {path for path in {*before, *after, *source} if path.startswith("shop/")}
    assert {p: e for p, e in after.items() if p not in inside} == {p: e for p, e in before.items() if p not in inside}
    assert {p: e for p, e in after.items() if p in inside} == {p: e for p, e in source.items() if p in inside}


def test_only_commits_that_change_the_scope_are_candidates(share: Share) -> None:
    """Commits of others in between are no candidates, and do not keep those from qualifying."""
    shared = share()
    shared.settle()
    first = shared.commit("dev", {"shop/web": "2\n"})
    shared.others("dev", 3)
    second = shared.commit("dev", {"shop/web": "3\n", "billing/web": "2\n"})
    shared.commit("dev", {"billing/web": "3\n"})
    stage = shared["shop"]
    plan = stage.plan("qa")
    assert [c.oid for c in plan.view.chain] == [second, first]
    assert plan.verdict == "wait"
    shared.round()
    assert shared.promotions("qa", "shop") == [("shop", second)]


def test_a_plan_stays_the_same_plan(share: Share) -> None:
    """Whatever others commit to its source and its target; and it lists the commits of this scope only."""
    soak = Spec("soak", {"for": "1h"})
    shared = share(environments=(place("dev"), place("qa", "dev", gates=(soak,))))
    shared.settle()
    change = shared.commit("dev", {"shop/web": "2\n"})
    shared.round()
    stage = shared["shop"]
    before = stage.plan("qa")
    shared.others("dev", 2)
    shared.commit("qa", {"billing/web": "by hand\n"})
    shared.commit("dev", {"billing/web": "2\n"})
    shared.round()
    after = stage.plan("qa")
    assert before.plan_id is not None
    assert (after.plan_id, after.commit) == (before.plan_id, change)
    assert after.view.tip != before.view.tip
    said = report.plan(stage.site, after, stage.world().state)
    assert [c["commit"] for c in said["commits"]] == [change]
    assert said["commit_count"] == 1
    assert said["source"]["origin"] == change
    assert [c["path"] for c in said["changes"]] == ["shop/web"]
    shared.commit("dev", {"shop/other": "2\n"})
    shared.round()
    assert stage.plan("qa").plan_id != before.plan_id


def test_a_later_commit_of_others_is_an_observation_of_ours(share: Share) -> None:
    """Somebody else deploys the branch's tip: what was changed last in the scope is what is observed, and qualifies."""
    shared = share()
    shared.settle()
    change = shared.commit("dev", {"shop/web": "2\n"})
    later = shared.others("dev", 2)
    shared.memory.running["shop", "dev"] = (later, Health.HEALTHY)
    shared.round("shop", sync=False)
    seen = shared["shop"].world().state.of("dev").observed
    assert seen is not None
    assert (seen.revision, seen.health) == (change, Health.HEALTHY)
    assert shared.promotions("qa") == [("shop", change)]


def test_what_was_deployed_before_our_change_does_not_vouch_for_it(share: Share) -> None:
    """A commit of others before ours is an observation of what was there then."""
    shared = share()
    shared.settle()
    start = shared["shop"].world().state.of("dev").observed
    earlier = shared.others("dev", 1)
    shared.commit("dev", {"shop/web": "2\n"})
    shared.memory.running["shop", "dev"] = (earlier, Health.HEALTHY)
    shared.round("shop", sync=False)
    seen = shared["shop"].world().state.of("dev").observed
    assert seen is not None
    assert start is not None
    assert seen.revision == start.revision
    assert shared.promotions("qa") == []


def test_a_soak_is_not_broken_by_others(share: Share) -> None:
    """Others' commits and their sickness neither begin it anew nor end it."""
    soak = Spec("soak", {"for": "1h"})
    shared = share(environments=(place("dev"), place("qa", "dev", gates=(soak,))))
    shared.settle()
    change = shared.commit("dev", {"shop/web": "2\n"})
    for minute in range(0, 60, 10):
        shared.round()
        assert shared.promotions("qa") == [], f"after {minute} minutes"
        shared.commit("dev", {"billing/sick": "yes\n"} if minute == 20 else {"billing/web": f"{minute}\n"})
        shared.wait(minutes=10)
    shared.round()
    assert shared.promotions("qa", "shop") == [("shop", change)]
    assert shared.promotions("qa", "billing") == []


def test_the_sickness_of_one_is_not_the_others(share: Share) -> None:
    """A degraded release of one application stays in dev; the others' go on."""
    shared = share()
    shared.settle()
    sick = shared.commit("dev", {"billing/sick": "yes\n"})
    change = shared.commit("dev", {"shop/web": "2\n"})
    shared.settle()
    assert shared.promotions("qa") == [("shop", change)]
    plan = shared["billing"].plan("qa")
    assert (plan.commit, plan.verdict) == (sick, "block")


@pytest.mark.parametrize("paths", [("shop", "shop.yaml"), ("shop.yaml",)], ids=["directory and file", "one file"])
def test_a_scope_may_be_a_file(share: Share, paths: tuple[str, ...]) -> None:
    """Only it is deployed and lands; a path that merely begins like it is outside."""
    shared = share(paths={"shop": paths}, files={"shop.yaml": "1\n", "shop.yaml.bak": "1\n", "billing/web": "1\n"})
    shared.settle()
    shared.commit("dev", {"shop.yaml.bak": "2\n"})
    change = shared.commit("dev", {"shop.yaml": "2\n"})
    shared.settle()
    assert shared.promotions("qa") == [("shop", change)]
    assert shared.origin.files("env/qa") == {"shop.yaml": "2\n", "shop.yaml.bak": "1\n", "billing/web": "1\n"}
    assert set(shared.memory.files["shop", "prod"]) == {b"shop.yaml"}
    consistent(shared)


def test_a_scope_that_begins_ends_and_turns_into_something_else(share: Share) -> None:
    """Not there yet, a directory, a file, a directory again, gone: each arrives as it is."""
    shared = share(files={"billing/web": "1\n"})
    shared.settle()
    for files in (
        {"shop/web": "1\n", "shop/deep/er": "1\n"},
        {"shop/web": None, "shop/deep/er": None, "shop": "a file\n"},
        {"shop": None, "shop/again": "2\n"},
    ):
        shared.commit("dev", files)
        shared.settle()
        for name in ("qa", "prod"):
            assert shared.origin.tree(f"env/{name}") == shared.origin.tree("env/dev"), files
    shared.commit("dev", {"shop/again": None})
    shared.settle()
    plan = shared["shop"].plan("qa")
    assert (plan.verdict, plan.merged and plan.merged.empty) == ("block", True)
    assert promote(shared["shop"].site, shared["shop"].env("qa"), allow_empty=True).outcome == "promoted"
    assert shared.origin.files("env/qa") == {"billing/web": "1\n"}
    consistent(shared)


def test_protected_paths_inside_a_scope(share: Share) -> None:
    """They stay the target's, and alone they do not make a scope that is not empty."""
    shared = share(
        environments=(place("dev"), place("qa", "dev", protect=("shop/qa/**",))),
        files={"shop/web": "1\n", "shop/qa/replicas": "1\n", "billing/web": "1\n"},
    )
    shared.settle()
    shared.commit("qa", {"shop/qa/replicas": "9\n"})
    shared.commit("dev", {"shop/web": "2\n", "shop/qa/replicas": "3\n"})
    shared.settle()
    assert shared.origin.show("env/qa", "shop/qa/replicas") == "9\n"
    assert shared.origin.show("env/qa", "shop/web") == "2\n"
    shared.commit("dev", {"shop/web": None})
    shared.round()
    plan = shared["shop"].plan("qa")
    assert plan.merged is not None
    assert plan.merged.empty
    consistent(shared)


def test_a_change_that_is_there_already_is_absorbed(share: Share) -> None:
    """Whatever else differs between the branches; no commit, and the ledger says so."""
    shared = share()
    shared.settle()
    shared.commit("dev", {"billing/sick": "only in dev\n"})
    change = shared.commit("dev", {"shop/web": "2\n"})
    by_hand = shared.commit("qa", {"shop/web": "2\n"})
    hops = shared.round()["shop"].hops
    assert (hops[0].environment, hops[0].outcome) == ("qa", "absorbed")
    release = shared["shop"].world().state.of("qa").release
    assert release is not None
    assert release.source == change
    assert shared.origin.tip("env/qa") == by_hand
    consistent(shared)


def test_a_hotfix_in_the_scope_stays_and_is_drift_of_that_one(share: Share) -> None:
    """Made by hand on qa: later changes land around it, and only its own application drifts."""
    from promotion.report.standing import status

    shared = share(files={"shop/web": "1\n", "shop/db": "1\n", "billing/web": "1\n"})
    shared.settle()
    shared.commit("qa", {"shop/db": "fixed\n"})
    shared.commit("dev", {"shop/web": "2\n", "billing/web": "2\n"})
    shared.settle()
    assert shared.origin.files("env/qa") == {"shop/web": "2\n", "shop/db": "fixed\n", "billing/web": "2\n"}
    assert shared.origin.show("env/prod", "shop/db") == "fixed\n"
    drift = {
        name: {row["environment"]: row["drift_paths"] for row in status(stage.site, stage.world())["environments"]}
        for name, stage in shared.stages.items()
    }
    assert drift == {"shop": {"dev": [], "qa": ["shop/db"], "prod": []}, "billing": {"dev": [], "qa": [], "prod": []}}
    consistent(shared)


def test_merges_by_hand_are_judged_by_what_they_change(share: Share) -> None:
    """A merge into dev that changes the scope is a candidate, as one commit; one that does not is none."""
    shared = share()
    shared.settle()
    start = shared.origin.tip("env/dev")
    side = shared.origin.commit("side", {"shop/web": "side\n"}, onto=start)
    shared.others("dev", 1)
    # what a merge has is what its tree says: fast-import takes it from the first parent and these files
    merged = shared.origin.commit("env/dev", {"shop/web": "side\n"}, merges=[side], message="merge side")
    shared.origin.commit("env/dev", {"other/file": "merged\n"}, merges=[start], message="merge of others")
    assert [c.oid for c in shared["shop"].plan("qa").view.chain] == [merged]
    shared.settle()
    assert shared.promotions("qa") == [("shop", merged)]


def test_a_hold_is_about_the_scope(share: Share) -> None:
    """A held change of one stops that one, until it is fixed; others pass, with commits that touch both too."""
    shared = share()
    shared.settle()
    bad = shared.commit("dev", {"shop/web": "bad\n", "billing/web": "2\n"})
    hold(shared["shop"].site, shared["shop"].env("dev"), bad, "it is slow")
    shared.settle()
    assert shared.promotions("qa") == [("billing", bad)]
    later = shared.commit("dev", {"shop/other": "2\n"})
    shared.settle()
    plan = shared["shop"].plan("qa")
    assert (plan.commit, plan.verdict) == (later, "block")
    shared.commit("dev", {"billing/web": "3\n"})
    shared.commit("dev", {"shop/other": "3\n"})
    shared.settle()
    assert shared["shop"].plan("qa").verdict == "block", "what the other one made of its part is no fix of ours"
    fixed = shared.commit("dev", {"shop/web": "good\n"})
    shared.settle()
    assert shared.promotions("qa", "shop") == [("shop", fixed)]


def test_a_commit_that_says_that_it_fixes_counts_behind_a_single_parent(share: Share) -> None:
    """In prod, too: qa's commits do not have dev's in their history, they only name them."""
    shared = share(
        environments=(place("dev"), place("qa", "dev"), place("prod", "qa", auto=False)),
        files={"shop/web": "1\n", "shop/db": "1\n", "billing/web": "1\n"},
    )
    shared.settle()
    bad = shared.commit("dev", {"shop/web": "slow\n"})
    shared.settle()
    stage = shared["shop"]
    hold(stage.site, stage.env("prod"), shared.origin.tip("env/qa"), "it is slow")
    shared.commit("dev", {"shop/db": "2\n"})
    shared.settle()
    assert promote(stage.site, stage.env("prod")).outcome == "refused"
    shared.commit("dev", {"shop/db": "3\n"}, message=f"A larger pool\n\nPromotion-Fixes: {bad[:12]}")
    shared.settle()
    assert promote(stage.site, stage.env("prod")).outcome == "promoted"


@pytest.mark.parametrize("smuggled", ["billing/web", "shopping/list", "README.md"])
def test_s10_a_path_outside_the_scope_never_lands(share: Share, monkeypatch: pytest.MonkeyPatch, smuggled: str) -> None:
    """Whatever a merge made of it, the last look before the push sees it."""
    shared = share()
    shared.settle()
    shared.commit("dev", {"shop/web": "2\n"})
    right = merging.merged

    def wrong(site: Site, view: View, commit: str) -> Merged:
        found = right(site, view, commit)
        assert found.tree
        objects = site.repository.objects
        entry = objects.look(objects.commit(commit).tree, b"shop/web")
        return replace(found, tree=objects.write_tree(found.tree, {smuggled.encode(): entry}))

    monkeypatch.setattr(merging, "merged", wrong)
    before = shared.origin.tip("env/qa")
    shared["shop"].sync("dev")
    with pytest.raises(AssertionError, match="entry table"):
        shared.round("shop")
    assert shared.origin.tip("env/qa") == before


def test_candidates_far_behind_the_commits_of_others(share: Share) -> None:
    """Longer than what is walked here, git is asked: the same candidates, the same observation."""
    shared = share()
    shared.settle()
    change = shared.commit("dev", {"shop/web": "2\n"})
    shared.others("dev", scope.WALKED + 20)
    stage = shared["shop"]
    world = stage.world()
    assert observe.head(stage.site, world, stage.env("dev")) == change
    assert [c.oid for c in stage.plan("qa").view.chain] == [change]
    shared.settle()
    assert shared.promotions("qa") == [("shop", change)]
    shared.others("qa", scope.WALKED + 20)
    again = shared.commit("dev", {"shop/web": "3\n"})
    shared.settle()
    assert [source for _, source in shared.promotions("qa")] == [change, again]
    assert len(shared.promotions("prod")) == 2
    consistent(shared)


def test_more_candidates_than_are_looked_at(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest ones are; what lands is the newest that qualifies, however many there are before it."""
    monkeypatch.setattr(answers, "DEPTH", 5)
    shared = share()
    shared.settle()
    commits = [shared.commit("dev", {"shop/web": f"{n}\n", "billing/web": f"{n}\n"}) for n in range(2, 11)]
    stage = shared["shop"]
    assert [c.oid for c in stage.plan("qa").view.chain] == commits[:-6:-1]
    shared.settle()
    assert shared.promotions("qa", "shop") == [("shop", commits[-1])]


@pytest.mark.parametrize("named", ["env/dev^{tree}", "env/dev:shop/web"])
def test_a_program_may_say_that_it_runs_what_is_no_commit(share: Share, named: str) -> None:
    """A tree's id has 40 digits too: that is no fault of the clone, and no trouble for the others."""
    shared = share()
    shared.settle()
    change = shared.commit("dev", {"billing/web": "2\n", "shop/web": "2\n"})
    shared.round(land_hops=False)
    running = shared.memory.running
    strange = shared.origin.git("rev-parse", named).strip()
    clone = shared["shop"].site.repository.path.stat().st_ino
    running["shop", "dev"] = (strange, Health.HEALTHY)
    for _ in range(2):
        shared.round(sync=False)
    assert (("shop", change) in shared.promotions("qa"), ("billing", change) in shared.promotions("qa")) == (True, True)
    seen = shared["shop"].world().state.of("dev").observed
    assert seen is not None
    assert (seen.revision, seen.health) == (strange, Health.HEALTHY)
    assert any("deployed by hand" in reason for reason in seen.reasons)
    assert shared["shop"].site.repository.path.stat().st_ino == clone
