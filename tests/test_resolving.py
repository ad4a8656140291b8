"""Conflicts: both sides on a branch, a person's decision there, and of it the paths in conflict and no others (S9, S10, S11)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promotion import ledger, observe, report
from promotion.errors import ConfigError, RefusedError
from promotion.model import Spec
from promotion.reconcile import Proposal, Result, hold, promote, resolve
from promotion.resolving import resolution_of
from tests.support.git import File
from tests.support.shared import Shared, place
from tests.support.stage import Stage

Share = Callable[..., Shared]
LINES = [f"{number}\n" for number in range(9)]


def text(line: str) -> str:
    return "".join([*LINES[:4], f"{line}\n", *LINES[5:]])


def one(
    share: Share,
    qa: dict[str | bytes, File | None] | None = None,
    dev: dict[str | bytes, File | None] | None = None,
    paths: Sequence[str] = (),
    **more: Any,
) -> tuple[Shared, Stage, str]:
    """dev -> qa, where both changed something; the stage, and dev's commit."""
    shared = share(
        names=["shop"],
        environments=(place("dev"), place("qa", "dev", **more)),
        paths={"shop": paths},
        files={"shop/list": text("4"), "shop/own": "1\n", "README.md": "All.\n"},
    )
    shared.settle()
    shared.commit("qa", {"shop/list": text("qa")} if qa is None else qa)
    commit = shared.commit("dev", {"shop/list": text("dev"), "shop/new": "1\n"} if dev is None else dev)
    shared.round()
    return shared, shared["shop"], commit


def proposed(stage: Stage) -> Proposal:
    made = resolve(stage.site, stage.env("qa"))
    assert made.outcome == "proposed"
    assert made.branch
    return made


def decided(shared: Shared, made: Proposal, files: dict[str | bytes, File | None]) -> str:
    """A person's commit on the proposal's branch."""
    return shared.origin.commit(made.branch or "", files, message="decided", author="erin")


def landed(stage: Stage, commit: str, **more: Any) -> Result:
    return promote(stage.site, stage.env("qa"), resolution=commit, **more)


def refused(stage: Stage, commit: str, match: str) -> None:
    """Nothing is written anywhere."""
    before = stage.origin.refs()
    with pytest.raises(RefusedError, match=match):
        landed(stage, commit)
    assert stage.origin.refs() == before


@pytest.mark.parametrize("paths", [(), ("shop",)])
def test_the_whole_way(share: Share, paths: Sequence[str]) -> None:
    """Both sides on a branch; a person decides; what lands is that, and everything else as the table says."""
    shared, stage, commit = one(share, paths=paths, protect=("shop/own",))
    assert stage.plan("qa").verdict == "conflict"
    before = shared.origin.refs()
    made = proposed(stage)
    assert shared.origin.refs().items() - before.items() == {(f"refs/heads/{made.branch}", made.commit)}
    said = shared.origin.log(made.branch or "")[0]
    assert said.parents == (shared.origin.tip("env/qa"),)
    assert (shared.origin.show(made.branch or "", "shop/list") or "").count("\n") == 13
    assert "<<<<<<< qa\nqa\n=======\ndev\n>>>>>>> dev\n" in (shared.origin.show(made.branch or "", "shop/list") or "")
    assert shared.origin.show(made.branch or "", "shop/new") is None
    again = proposed(stage)
    assert (again.commit, again.created) == (made.commit, False)
    resolution = decided(shared, made, {"shop/list": text("both"), "shop/own": "mine\n", "shop/new": "no\n"})
    plan = stage.plan("qa", resolution=resolution_of(stage.site, resolution[:9]))
    assert plan.verdict == "pass"
    assert plan.merged is not None
    assert {(c.path, c.explained_by) for c in plan.merged.changes} == {
        (b"shop/list", "resolution"),
        (b"shop/new", "tested"),
    }
    result = landed(stage, resolution)
    assert (result.outcome, result.plan_id) == ("promoted", plan.plan_id)
    assert shared.origin.show("env/qa", "shop/list") == text("both")
    assert shared.origin.show("env/qa", "shop/new") == "1\n"
    assert shared.origin.show("env/qa", "shop/own") == "1\n"
    top = shared.origin.log("env/qa")[0]
    assert top.trailers["Promotion-Resolution"] == resolution
    assert top.parents[1:] == (() if paths else (commit,))
    tip = shared.origin.refs()["refs/heads/promotion/shop"]
    stage.world()
    (event,) = [e for _, e in ledger.events(stage.site.repository, tip) if e.event == "promoted"]
    assert event.data["resolution"]["commit"] == resolution
    assert set(event.data["resolution"]["entries"]) == {"shop/list"}
    assert report.audit(stage.site, stage.world()) == []
    assert landed(stage, resolution).outcome == "nothing"
    shared.commit("dev", {"shop/list": text("later")})
    shared.settle()
    assert shared.origin.show("env/qa", "shop/list") is not None


def test_the_audit_needs_no_branch_and_believes_no_record(share: Share) -> None:
    """The record has the entries: it holds when the branch is gone, and not when the tree is another."""
    shared, stage, _ = one(share)
    made = proposed(stage)
    resolution = decided(shared, made, {"shop/list": text("both")})
    landed(stage, resolution)
    shared.origin.set(made.branch or "", None)
    shared.origin.git("reflog", "expire", "--expire=now", "--all")
    shared.origin.git("gc", "--quiet", "--prune=now")
    stage.site = stage.open("new")
    assert report.audit(stage.site, stage.world()) == []
    records = shared.origin.log("promotion/shop")
    (promoted,) = (record for record in records if '"event":"promoted"' in record.message)
    for old, new in (('"resolution":', '"resolved":'), ('["100644"', '["100755"')):
        body = promoted.message.replace(old, new)
        tree = shared.origin.git("rev-parse", f"{promoted.commit}^{{tree}}").strip()
        forged = shared.origin.git("commit-tree", tree, "-p", promoted.parents[0], "-m", body).strip()
        shared.origin.set("promotion/shop", forged)
        problems = " ".join(set_back(stage))
        assert "is not what the entry table says at shop/list" in problems


def set_back(stage: Stage) -> list[str]:
    """What the audit finds, beside that the ledger is another one than there was."""
    world = observe.survey(stage.site, any_history=True)
    found = [finding["problem"] for finding in report.audit(stage.site, world)]
    return [problem for problem in found if "rewound or replaced" not in problem]


def test_a_record_that_says_otherwise_is_found(share: Share) -> None:
    """A resolution that is still there must have what its record says."""
    shared, stage, _ = one(share, dev={"shop/list": text("dev")})
    landed(stage, decided(shared, proposed(stage), {"shop/list": text("qa")}))
    (record,) = (r for r in shared.origin.log("promotion/shop") if '"event":"absorbed"' in r.message)
    tip = shared.origin.refs()["refs/heads/promotion/shop"]
    assert record.commit == tip
    real = json.loads(record.message.partition("[skip ci]\n")[2])
    other = shared.origin.log("env/dev")[0].commit
    body = record.message.replace(real["resolution"]["commit"], other)
    tree = shared.origin.git("rev-parse", f"{tip}^{{tree}}").strip()
    forged = shared.origin.git("commit-tree", tree, "-p", record.parents[0], "-m", body).strip()
    shared.origin.set("promotion/shop", forged)
    problems = set_back(stage)
    assert problems == [f"resolution {other[:7]} does not have what its record says at shop/list"]


FORMS: dict[str, tuple[dict[str | bytes, File | None], dict[str | bytes, File | None], dict[bytes, str]]] = {
    "deleted here": ({"shop/own": None}, {"shop/own": "2\n"}, {b"shop/own": "qa has nothing, dev has a file"}),
    "deleted there": ({"shop/own": "2\n"}, {"shop/own": None}, {b"shop/own": "qa has a file, dev has nothing"}),
    "no text": ({"shop/own": b"\0q"}, {"shop/own": b"\0d"}, {b"shop/own": "qa has a file, dev has a file"}),
    "links": (
        {"shop/own": ("120000", "list")},
        {"shop/own": "2\n"},
        {b"shop/own": "qa has a symlink, dev has a file"},
    ),
    "directories": (
        {"shop/thing": "file\n"},
        {"shop/thing/part": "1\n"},
        {
            b"shop/thing": "qa has a file, dev has a directory",
            b"shop/thing/part": "qa has nothing, dev has a file",
        },
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("take", ["qa", "dev"])
def test_what_no_markers_can_show(share: Share, form: str, take: str) -> None:
    """It stays as the target has it, is listed with what both have, and a person takes either side, or something else."""
    qa, dev, undecided = FORMS[form]
    shared, stage, _ = one(share, qa, {**dev, "shop/new": "1\n"})
    made = proposed(stage)
    assert (made.marked, made.undecided) == ((), undecided)
    assert shared.origin.tree(made.branch or "") == shared.origin.tree("env/qa")
    refused(stage, made.commit or "", "is the proposal itself")
    wanted = shared.origin.tree(f"env/{take}")
    gone = dict.fromkeys(path.decode() for path in undecided)
    there: dict[str | bytes, File | None] = {
        path: (wanted[path][0], shared.origin.git_bytes("cat-file", "blob", wanted[path][1]))
        for path in gone
        if path in wanted
    }
    commit = decided(shared, made, {**gone, **there})
    assert landed(stage, commit).outcome == "promoted"
    expected = {path: entry for path, entry in shared.origin.tree("env/dev").items() if path not in gone}
    assert shared.origin.tree("env/qa") == expected | {path: wanted[path] for path in there}
    assert report.audit(stage.site, stage.world()) == []


def test_both_added_one_file(share: Share) -> None:
    """There is no base, and markers show both all the same."""
    shared, stage, _ = one(share, {"shop/add": "qa\n"}, {"shop/add": "dev\n"})
    made = proposed(stage)
    assert made.marked == (b"shop/add",)
    assert shared.origin.show(made.branch or "", "shop/add") == "<<<<<<< qa\nqa\n=======\ndev\n>>>>>>> dev\n"


@pytest.mark.parametrize("left", ["<<<<<<< qa\n", ">>>>>>> dev\n", "=======\n", "||||||| base\n"])
def test_markers_that_were_left_are_refused(share: Share, left: str) -> None:
    """Each of them; what a side has itself is no marker of ours."""
    shared, stage, _ = one(share, dev={"shop/list": text("dev\n=======")})
    made = proposed(stage)
    if left == "=======\n":
        assert landed(stage, decided(shared, made, {"shop/list": text("both\n=======")})).outcome == "promoted"
        return
    commit = decided(shared, made, {"shop/list": text(f"both\n{left}")})
    refused(stage, commit, "shop/list still holds conflict markers, in line 6")


def test_a_lonely_divider_is_a_marker(share: Share) -> None:
    shared, stage, _ = one(share)
    commit = decided(shared, proposed(stage), {"shop/list": text("both\n=======\nboth")})
    refused(stage, commit, "still holds conflict markers, in line 6")


def test_foreign_commits_are_refused(share: Share) -> None:
    """One of another branch, one that nobody pushed there, and the proposal itself."""
    shared, stage, commit = one(share)
    made = proposed(stage)
    refused(stage, commit, "does not come from a branch of promotion resolve")
    refused(stage, made.commit or "", "is the proposal itself")
    beside = shared.origin.commit("beside", {"shop/list": text("both")}, onto=made.commit)
    shared.origin.git("update-ref", "refs/heads/env/other", beside)
    stage.site.repository.refresh(["refs/heads/beside"])
    refused(stage, beside, "is not on promotion/resolve/")
    with pytest.raises(RefusedError, match="resolves"):
        landed(stage, decided(shared, made, {"shop/list": text("x")}), chosen=shared.origin.log("env/dev")[1].commit)


def test_a_directory_in_the_place_of_a_file_is_refused(share: Share) -> None:
    shared, stage, _ = one(share)
    commit = decided(shared, proposed(stage), {"shop/list": None, "shop/list/part": "1\n"})
    refused(stage, commit, "shop/list is a directory there")


@pytest.mark.parametrize("moved", ["qa", "dev"])
def test_a_decision_about_other_content_is_superseded(share: Share, moved: str) -> None:
    """The target moved: refused, and a new proposal is another branch. Of another candidate: this one still lands."""
    shared, stage, _ = one(share)
    made = proposed(stage)
    commit = decided(shared, made, {"shop/list": text("both")})
    shared.commit(moved, {"shop/list": text("moved")})
    shared.round()
    if moved == "dev":
        assert proposed(stage).branch != made.branch
        assert landed(stage, commit).outcome == "promoted"
        return
    refused(stage, commit, "is superseded: qa is not what it was")
    assert proposed(stage).branch != made.branch


def test_all_gates_are_asked_again(share: Share) -> None:
    """A hold of the candidate, a freeze and a soak keep a resolution out like anything."""
    shared, stage, commit = one(share, gates=(Spec("soak", {"for": "1h"}),))
    resolution = decided(shared, proposed(stage), {"shop/list": text("both")})
    waits = landed(stage, resolution)
    assert (waits.outcome, "soak" in waits.reason) == ("waiting", True)
    hold(stage.site, stage.env("qa"), commit, "no")
    assert landed(stage, resolution).outcome == "refused"


def test_the_plans_name_covers_what_was_decided(share: Share) -> None:
    """Other content is another plan; only that very plan lands."""
    shared, stage, _ = one(share)
    made = proposed(stage)
    first = decided(shared, made, {"shop/list": text("one")})
    second = decided(shared, made, {"shop/list": text("two")})
    plans = [stage.plan("qa", resolution=commit).plan_id for commit in (first, second)]
    assert None not in plans
    assert len(set(plans)) == 2
    assert landed(stage, second, plan_id=plans[0]).outcome == "refused"
    assert landed(stage, second, plan_id=plans[1]).outcome == "promoted"


def test_keeping_all_of_the_targets_is_absorbed(share: Share) -> None:
    """Then there is nothing to deploy: no commit, and the audit knows why."""
    shared, stage, commit = one(share, dev={"shop/list": text("dev")})
    resolution = decided(shared, proposed(stage), {"shop/list": text("qa")})
    assert landed(stage, resolution).outcome == "absorbed"
    release = stage.world().state.of("qa").release
    assert release is not None
    assert release.source == commit
    assert report.audit(stage.site, stage.world()) == []


def test_nothing_to_resolve_and_dry_runs(share: Share) -> None:
    shared, stage, _ = one(share, qa={"shop/own": "2\n"})
    before = shared.origin.refs()
    made = resolve(stage.site, stage.env("qa"))
    assert (made.outcome, made.branch) == ("nothing", None)
    assert made.reason.startswith("nothing conflicts: ")
    with pytest.raises(ConfigError, match="dev takes commits from nobody"):
        resolve(stage.site, stage.env("dev"))
    shared.commit("qa", {"shop/list": text("qa")})
    before = shared.origin.refs()
    assert resolve(stage.site, stage.env("qa"), dry_run=True).commit is None
    assert shared.origin.refs() == before


PATHS = ("shop/a", "shop/b", "shop/list", "shop/own")
SIDES = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["1\n", "2\n", text("x"), None]), max_size=4)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(qa=SIDES, dev=SIDES, person=SIDES)
def test_only_paths_in_conflict_are_taken(
    share: Share, qa: dict[Any, Any], dev: dict[Any, Any], person: dict[Any, Any]
) -> None:
    """Whatever a person changed on the branch: elsewhere the entry table has the only say."""
    shared, stage, _ = one(share, qa, {**dev, "shop/z": "1\n"}, protect=("shop/own",))
    made = resolve(stage.site, stage.env("qa"))
    if made.branch is None:
        return
    conflicts = {*made.marked, *(made.undecided or {})}
    calm = {path: "calm\n" for path in (p.decode() for p in made.marked) if path not in person}
    commit = decided(shared, made, {**calm, **person, "other": "1\n"})
    before = {name: shared.origin.tree(f"env/{name}") for name in ("qa", "dev")}
    base = shared.origin.tree(shared.origin.log("env/dev")[1].commit)
    result = landed(stage, commit)
    assert result.outcome == "promoted"
    after, theirs = shared.origin.tree("env/qa"), shared.origin.tree(commit)
    assert after.get("shop/own") == before["qa"].get("shop/own")
    for path in {*after, *theirs, *base, *before["qa"], *before["dev"]} - {"shop/own"}:
        if path.encode() in conflicts:
            assert after.get(path) == theirs.get(path)
        elif before["qa"].get(path) == base.get(path):
            assert after.get(path) == before["dev"].get(path)
        elif before["dev"].get(path) == base.get(path):
            assert after.get(path) == before["qa"].get(path)
    assert json.dumps(report.audit(stage.site, stage.world())) == "[]"
