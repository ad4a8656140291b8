"""What is shown of real repositories: how environments stand, plans, where a change is, and whether the ledger holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion import ledger, report
from promotion.events import Event
from promotion.model import Spec
from promotion.reconcile import hold, promote
from promotion.repository import Update
from promotion.texts import instant
from tests.support.git import File
from tests.support.stage import SICK, Stage, environment

Build = Callable[..., Stage]


def rows(stage: Stage, **more: Any) -> dict[str, dict[str, Any]]:
    """Status by environment, as JSON has it."""
    data = json.loads(json.dumps(report.status(stage.site, stage.world(), **more)))
    return {row["environment"]: row for row in data["environments"]}


# --- status and plan ------------------------------------------------------------------------------------------------


def test_status_has_the_keys_of_the_contract(stage: Stage) -> None:
    """Other programs rely on them."""
    stage.walked()
    keys = {"environment", "branch", "tip", "deployed", "health", "since", "observed_at", "reasons", "origin"}
    keys |= {"candidate", "verdict", "waiting_for", "frozen", "holds", "drift"}
    assert all(keys <= row.keys() for row in rows(stage).values())


def test_status_shows_origins_and_not_our_merges(stage: Stage) -> None:
    """prod's release stands for dev's commit, through qa's merge."""
    commit = stage.walked()
    shown = rows(stage)
    assert [shown[name]["origin"] for name in ("dev", "qa", "prod")] == [commit] * 3
    assert len({shown[name]["tip"] for name in shown}) == 3
    assert [row["health"] for row in shown.values()] == ["healthy"] * 3
    assert [row["verdict"] for row in shown.values()] == [None, "nothing", "nothing"]


def test_status_before_anything_was_recorded(stage: Stage) -> None:
    """Nothing is known, and that is what it says."""
    shown = rows(stage)
    assert [row["health"] for row in shown.values()] == ["unknown"] * 3
    assert shown["qa"]["reasons"] == ["not observed yet"]


def test_status_counts_drift_and_keeps_the_origin_of_a_hotfix(tmp_path: Path, build: Build) -> None:
    """A commit made by hand stands for what was there before it; protected files are no drift."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("mine/**",)))
    commit = stage.walked(2)
    stage.commit("qa", {"hotfix": "1\n", "mine/x": "1\n"})
    row = rows(stage)["qa"]
    assert (row["drift"], row["drift_paths"], row["origin"]) == (1, ["hotfix"], commit)
    assert row["release"]["commit"] != row["tip"]


def test_status_survives_an_environment_that_cannot_be_planned(stage: Stage) -> None:
    """A branch that was rewound is said in its row, with the way out; the others are as always."""
    stage.walked()
    stage.origin.set("env/qa", stage.origin.log("env/qa")[-1].commit)
    row = rows(stage)["qa"]
    assert row["verdict"] == "block"
    assert "rewound" in row["waiting_for"]
    assert "adopt" in row["hint"]


def test_status_asks_no_check(tmp_path: Path, build: Build) -> None:
    """A gate that asks the world is named as what it waits for, and is not run."""
    folder = tmp_path / "stage"
    touched = tmp_path / "touched"
    gate = Spec("command", {"command": ["touch", str(touched)]})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(gate,), auto=False))
    stage.walked(1)
    stage.change("qa", auto=True)
    stage.site.probed.clear()
    assert rows(stage)["qa"]["waiting_for"] == "command: is asked when it is promoted"
    assert not touched.exists()
    assert report.quick(stage.site, stage.world(), stage.env("qa")).plan_id == stage.plan("qa").plan_id
    assert touched.exists()


def test_status_says_until_when(tmp_path: Path, build: Build) -> None:
    """A soak's end is a time that programs can read."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(Spec("soak", {"for": "30m"}),)))
    stage.walked(1)
    row = rows(stage)["qa"]
    assert row["verdict"] == "wait"
    assert instant(row["until"]) > stage.now + timedelta(minutes=29)


def test_plan_lists_the_roots_commits_with_their_authors(stage: Stage) -> None:
    """Over two hops: what people wrote, never our merges."""
    stage.change("prod", auto=False)
    stage.walked()
    second = stage.origin.commit("env/dev", {"web": "3\n"}, message="more", author="erin")
    for _ in range(3):
        stage.round()
    plan = report.plan(stage.site, stage.plan("prod"))
    assert [(c["author"], c["subject"]) for c in plan["commits"]] == [("erin", "more"), ("dave", "a change")]
    assert plan["source"]["origin"] == plan["commits"][0]["commit"] == second
    assert plan["source"]["commit"] == stage.tip("qa")
    assert plan["changes"] == [{"path": "web", "change": "added", "explained_by": "tested"}]
    assert plan["identical"] is True
    json.dumps(plan)


def test_plan_of_nothing(stage: Stage) -> None:
    """The keys are there, empty."""
    stage.round()
    plan = report.plan(stage.site, stage.plan("qa"))
    assert (plan["verdict"], plan["plan_id"], plan["commits"], plan["source"]["commit"]) == ("nothing", None, [], None)


def test_result_has_the_keys_of_the_contract(stage: Stage) -> None:
    """Of `promote --json`."""
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.sync("dev")
    data = report.result(promote(stage.site, stage.env("qa")))
    keys = {"outcome", "plan_id", "application", "environment", "commit", "reason", "verification"}
    assert keys <= data.keys()
    assert (data["outcome"], data["verification"]) == ("promoted", "pending")


def test_plan_lists_the_newest_commits_and_counts_all(stage: Stage) -> None:
    """200 of 300."""
    stage.round()
    commits = stage.prolong(300)
    plan = report.plan(stage.site, stage.plan("qa"))
    assert plan["commit_count"] == 300
    assert [c["commit"] for c in plan["commits"]] == commits[:-201:-1]


# --- audit ----------------------------------------------------------------------------------------------------------


def problems(stage: Stage) -> list[str]:
    """What the audit says."""
    return [finding["problem"] for finding in report.audit(stage.site, stage.world())]


def test_audit_of_a_busy_ledger_is_clean(tmp_path: Path, build: Build) -> None:
    """Promotions, hotfixes, content merges, protected paths, failures and holds: all of it holds."""
    folder = tmp_path / "stage"
    qa = environment(folder, "qa", "dev", protect=("mine/**",))
    qa = replace(qa, deciding={**qa.deciding, "protect": ["mine/**"]})
    stage = build(environment(folder, "dev"), qa, environment(folder, "prod", "qa"))
    stage.commit("dev", {"web": "".join(f"{n}\n" for n in range(9)), "mine/x": "dev's\n"})
    for _ in range(3):
        stage.round()
    stage.commit("qa", {"mine/x": "qa's\n", "web": "".join(f"{n}\n" for n in [*range(8), "hotfix"])})
    stage.commit("dev", {"web": "".join(f"{n}\n" for n in ["new", *range(1, 9)])})
    for _ in range(3):
        stage.round()
    stage.commit("dev", SICK)
    stage.round()
    hold(stage.site, stage.env("qa"), stage.tip("dev"), "bad")
    assert "promoted prod" in stage.events()
    assert problems(stage) == []


def tamper(stage: Stage, events: list[Event]) -> None:
    """Somebody with the right to push writes records of their own."""
    world, repository = stage.world(), stage.site.repository
    tip, _ = ledger.append(repository, world.ledger, world.state, events)
    assert tip is not None
    repository.push([Update(stage.application.ledger, world.ledger, tip)])


def message(event_id: str, source: str) -> str:
    """The trailers of a promotion."""
    keys = {"Plan": "0" * 64, "Application": "shop", "Environment": "qa", "Source": source, "Attempt": event_id}
    return "shop: qa\n\n" + "\n".join(f"Promotion-{key}: {value}" for key, value in keys.items())


def forge(
    stage: Stage,
    *,
    observed: bool = True,
    fell_ill: bool = False,
    files: Mapping[str | bytes, File | None] | None = None,
    merged: bool = True,
    said: tuple[str, str] = ("", ""),
    **more: Any,
) -> tuple[str, str]:
    """A promotion of dev's next change to qa by somebody's own hand, right but for what is asked for: (source, commit)."""
    source, target = stage.commit("dev", {"web": "3\n"}), stage.tip("qa")
    if observed:
        stage.change("qa", auto=False)
        stage.round()
    if fell_ill:
        data = {"revision": source, "health": "degraded", "reasons": []}
        tamper(stage, [Event("observed", "shop", "dev", stage.now, "robot", data)])
    release = stage.world().state.of("qa").release
    assert release is not None
    event = Event("promoted", "shop", "qa", stage.now, "mallory")
    text = message(event.id, source).replace(*said) if said[0] else message(event.id, source)
    commit = stage.origin.commit("env/qa", files or {"web": "3\n"}, message=text, merges=[source] if merged else [])
    stage.world()
    data = {"plan_id": "0" * 64, "commit": commit, "source": source, "target": target, "base": release.source}
    data |= {"tree": stage.site.repository.objects.commit(commit).tree, "until": "2026-11-24T12:30:00Z"}
    tamper(stage, [replace(event, data={**data, **more})])
    return source, commit


def test_audit_of_a_promotion_by_hand_that_is_right_is_clean(stage: Stage) -> None:
    """So that what the next tests see is what they change."""
    stage.walked()
    forge(stage)
    assert problems(stage) == []


def test_audit_sees_a_commit_that_claims_to_be_a_promotion(stage: Stage) -> None:
    """Trailers without a record."""
    stage.walked()
    stage.commit("qa", {"web": "evil\n"}, message=message("1" * 32, stage.tip("dev")))
    assert [p for p in problems(stage) if "no record tells of it" in p]


def test_audit_sees_a_promotion_of_what_was_never_healthy(stage: Stage) -> None:
    """S1, judged by the state before the record."""
    stage.walked()
    source, _ = forge(stage, observed=False)
    assert problems(stage) == [f"{source[:7]} was never observed in dev when it was promoted to qa"]


def test_audit_sees_a_promotion_of_what_was_degraded(stage: Stage) -> None:
    """Observed, and not well."""
    stage.walked()
    stage.change("dev", health=(Spec("command", {"command": ["false"]}),))
    source, _ = forge(stage)
    assert problems(stage) == [f"{source[:7]} was degraded in dev when it was promoted to qa"]


def test_audit_sees_a_promotion_of_what_fell_ill(stage: Stage) -> None:
    """Healthy once, and not as the last word."""
    stage.walked()
    source, _ = forge(stage, fell_ill=True)
    assert problems(stage) == [f"{source[:7]} was degraded in dev when it was promoted to qa"]


@pytest.mark.parametrize(("environment", "words"), [("dev", "held in dev"), ("qa", "held for qa")])
def test_audit_sees_a_promotion_of_what_was_held(stage: Stage, environment: str, words: str) -> None:
    """In its source, or for its target."""
    stage.walked()
    stage.change("qa", auto=False)
    source = stage.commit("dev", {"web": "3\n"})
    stage.round()
    hold(stage.site, stage.env(environment), source, "bad")
    event = Event("promoted", "shop", "qa", stage.now, "mallory")
    target, base = stage.tip("qa"), stage.world().state.of("qa").release
    assert base is not None
    commit = stage.origin.commit("env/qa", {"web": "3\n"}, message=message(event.id, source), merges=[source])
    stage.world()
    data = {"plan_id": "0" * 64, "commit": commit, "source": source, "target": target, "base": base.source}
    data |= {"tree": stage.site.repository.objects.commit(commit).tree, "until": "2026-11-24T12:30:00Z"}
    tamper(stage, [replace(event, data=data)])
    assert [p for p in problems(stage) if words in p]


def test_audit_sees_content_that_no_rule_explains(stage: Stage) -> None:
    """S10: a file that neither base, target nor source has."""
    stage.walked()
    _, commit = forge(stage, files={"web": "3\n", "evil": "1\n"})
    assert problems(stage) == [f"{commit[:7]} is not what the entry table says at evil"]


def test_audit_sees_a_change_that_was_lost(stage: Stage) -> None:
    """S10: the source's change is not in it."""
    stage.walked()
    _, commit = forge(stage, files={"web": "2\n"})
    assert problems(stage) == [f"{commit[:7]} is not what the entry table says at web"]


def test_audit_sees_a_merge_without_its_source(stage: Stage) -> None:
    """S5: M's parents are the target's tip and the source."""
    stage.walked()
    _, commit = forge(stage, merged=False)
    assert [p for p in problems(stage) if p.startswith(f"{commit[:7]} does not have the parents ")]


def test_audit_sees_another_tree_than_the_record_names(stage: Stage) -> None:
    """Of the commit that is there."""
    stage.walked()
    tree = stage.site.repository.objects.commit(stage.tip("dev")).tree
    _, commit = forge(stage, tree=tree)
    assert problems(stage) == [f"{commit[:7]} does not have the tree that its record names"]


def test_audit_sees_another_base_than_the_target_stood_for(stage: Stage) -> None:
    """B is the release's source, and nothing else."""
    first = stage.tip("dev")
    base = stage.walked()
    forge(stage, base=first)
    assert f"the base was {first[:7]}, and qa stood for {base[:7]}" in problems(stage)


def test_audit_sees_a_promoted_commit_that_is_gone(stage: Stage) -> None:
    """Nobody has it any more."""
    stage.walked()
    forge(stage, commit="f" * 40)
    assert "fffffff is not in the repository any more" in problems(stage)


def test_audit_sees_a_base_that_is_gone(stage: Stage) -> None:
    """Without it nothing explains the content."""
    stage.walked()
    forge(stage, base="e" * 40)
    assert "the base eeeeeee is not in the repository any more" in problems(stage)


def test_audit_sees_a_plan_that_was_promoted_twice(stage: Stage) -> None:
    """Two commits for one decision."""
    stage.walked()
    _, first = forge(stage)
    _, second = forge(stage)
    assert f"plan 00000000 was promoted twice, as {first[:7]} and {second[:7]}" in problems(stage)


def test_audit_sees_a_promotion_that_is_recorded_twice(stage: Stage) -> None:
    """The same record again."""
    stage.walked()
    world = stage.world()
    last = next(e for _, e in ledger.events(stage.site.repository, world.ledger) if e.event == "promoted")
    tamper(stage, [last])
    assert f"{last.data['commit'][:7]} is recorded twice" in problems(stage)


def test_audit_sees_a_state_that_its_events_do_not_make(stage: Stage) -> None:
    """Tampering with the folded state is said once, at its record."""
    stage.walked()
    world, repository = stage.world(), stage.site.repository
    state = replace(world.state, environments={})
    event = Event("lifted", "shop", "qa", stage.now, "mallory", {"commit": stage.tip("qa")})
    tip, _ = ledger.append(repository, world.ledger, state, [event])
    assert tip is not None
    repository.push([Update(stage.application.ledger, world.ledger, tip)])
    assert problems(stage) == ["its state is not what the events up to here make of it"]
    tamper(stage, [event])  # an honest one on top of it
    assert problems(stage) == ["its state is not what the events up to here make of it"]


def test_audit_sees_a_record_with_two_parents(stage: Stage) -> None:
    """A ledger is a chain: what was merged into it is hidden from who follows first parents."""
    stage.walked()
    world, repository = stage.world(), stage.site.repository
    event = Event("observed", "shop", None, stage.now, "mallory", {"environments": []})
    tip, _ = ledger.append(repository, world.ledger, world.state, [event])
    assert tip is not None
    made = repository.objects.commit(tip)
    both = [str(world.ledger), stage.tip("dev")]
    tip = repository.commit_tree(made.tree, both, made.message, stage.now)
    repository.push([Update(stage.application.ledger, world.ledger, tip)])
    assert problems(stage) == ["record has 2 parents"]


def test_audit_sees_a_record_of_another_application(stage: Stage) -> None:
    """It does not belong here."""
    stage.walked()
    tamper(stage, [Event("lifted", "other", "qa", stage.now, "mallory", {"commit": stage.tip("qa")})])
    assert problems(stage) == ["record of application 'other'"]


def test_audit_sees_an_unreadable_record(stage: Stage) -> None:
    """It is named, and the records after it are still judged."""
    stage.walked()
    world = stage.world()
    assert world.ledger is not None
    made = stage.site.repository.objects.commit(world.ledger)
    bad = stage.site.repository.commit_tree(made.tree, [made.oid], "hello", stage.now)
    stage.site.repository.push([Update(stage.application.ledger, made.oid, bad)])
    (problem,) = problems(stage)
    assert "not readable" in problem


def test_audit_sees_a_rewound_branch(stage: Stage) -> None:
    """The ledger knows a promotion that its branch has lost."""
    stage.walked()
    lost = stage.tip("qa")
    stage.origin.set("env/qa", stage.origin.log("env/qa")[1].commit)
    assert f"{lost[:7]} is not on the branch of qa: was it rewound?" in problems(stage)


def absorb(stage: Stage, of: str, **more: str) -> None:
    """Somebody writes that qa had a commit of dev already."""
    release = stage.world().state.of("qa").release
    assert release is not None
    data = {"plan_id": "0" * 64, "source": of, "base": release.source, "target": stage.tip("qa"), **more}
    tamper(stage, [Event("absorbed", "shop", "qa", stage.now, "mallory", data)])


def test_audit_sees_what_was_absorbed_and_never_healthy(stage: Stage) -> None:
    """It would be left out of every later promotion: S1, and the content is not there."""
    stage.walked()
    source = stage.commit("dev", {"web": "3\n"})
    absorb(stage, source)
    assert problems(stage) == [
        f"{source[:7]} was never observed in dev when it was absorbed by qa",
        f"{stage.tip('qa')[:7]} is not what the entry table says at web",
    ]


def test_audit_of_what_was_absorbed_looks_at_the_targets_own_branch(stage: Stage) -> None:
    """A target that has the content, and is not qa's."""
    stage.walked()
    stage.change("qa", auto=False)
    source = stage.commit("dev", {"web": "3\n"})
    stage.round()
    absorb(stage, source, target=source)
    assert problems(stage) == [f"{source[:7]} is not on the branch of qa: was it rewound?"]


@pytest.mark.parametrize("key", ["target", "source", "base"])
def test_audit_of_what_was_absorbed_survives_what_is_gone(stage: Stage, key: str) -> None:
    """Each of the three commits that the record names."""
    stage.walked()
    source = stage.commit("dev", {"web": "3\n"})
    absorb(stage, source, **{key: "f" * 40})
    assert [p for p in problems(stage) if "fffffff is not in the repository any more" in p]


def test_audit_of_what_was_absorbed_rightly_is_clean(stage: Stage) -> None:
    """A person was faster by hand; also while the target holds that commit."""
    stage.walked()
    stage.change("qa", auto=False)
    source = stage.commit("dev", {"web": "3\n"})
    stage.round()
    hold(stage.site, stage.env("qa"), source, "by hand only")
    stage.commit("qa", {"web": "3\n"})
    stage.round()
    assert "absorbed qa" in stage.events()
    assert problems(stage) == []


@pytest.mark.parametrize("key", ["Plan", "Source", "Attempt"])
def test_audit_compares_what_commit_and_record_say(stage: Stage, key: str) -> None:
    """A commit whose trailer differs from its record."""
    stage.walked()
    _, commit = forge(stage, said=(f"Promotion-{key}: ", f"Promotion-{key}: f"))
    assert problems(stage) == [f"{commit[:7]} says another Promotion-{key} than its record"]
