"""Rounds and hops on real repositories: what lands, what does not, and what the ledger says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from promotion.model import Spec, Verify
from promotion.reconcile import promote
from promotion.reconcile.draft import Draft
from promotion.reconcile.hop import prepare
from promotion.reconcile.write import write_all
from tests.support.stage import SICK, Stage, environment

Build = Callable[..., Stage]


def test_a_change_walks_through_all_environments_one_hop_a_round(stage: Stage) -> None:
    """dev -> qa -> prod, each hop on what a round observed, with the source's content and both parents."""
    first = stage.tip("dev")
    stage.round()
    commit = stage.commit("dev", {"web": "2\n"})
    (hop,) = stage.round().hops
    assert (hop.outcome, hop.environment, hop.verification) == ("promoted", "qa", "pending")
    log = stage.origin.log("env/qa")
    assert log[0].commit == hop.commit
    assert log[0].parents == (first, commit)
    assert log[0].trailers["Promotion-Source"] == commit
    assert log[0].trailers["Promotion-Plan"] == hop.plan_id
    (hop,) = stage.round().hops
    assert hop.environment == "prod"
    assert stage.origin.tree("env/prod") == stage.origin.tree("env/dev")
    assert stage.round().hops == ()
    assert stage.events()[-1] == "verified prod"


def test_a_sick_release_does_not_leave_its_environment(stage: Stage) -> None:
    """Degraded in qa: prod keeps what it has, round after round, and the verification fails once."""
    stage.round()
    stage.change("qa", health=(Spec("command", {"command": ["grep", "-q", "fine", "/dev/null"]}),))
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    results = [stage.round().hops for _ in range(3)]
    assert [(r.environment, r.verification, r.status) for r in results[0]] == [("qa", "failed", 6)]
    assert results[1:] == [(), ()]
    assert stage.tip("prod") == stage.origin.log("env/prod")[-1].commit


def test_what_is_not_observed_is_not_promoted(stage: Stage) -> None:
    """A commit that dev's engine has not deployed waits, whatever its content."""
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    assert stage.round(sync=False).hops == ()
    assert stage.plan("qa").verdict == "wait"


def test_the_newest_healthy_commit_lands_and_the_sick_one_after_it_is_passed_over(stage: Stage) -> None:
    """A sick newer commit does not starve the healthy older one."""
    stage.change("qa", auto=False)
    stage.round()
    good = stage.commit("dev", {"web": "2\n"})
    stage.round()
    bad = stage.commit("dev", SICK)
    stage.round()
    result = promote(stage.site, stage.env("qa"))
    assert (result.outcome, result.plan.commit if result.plan else None) == ("promoted", good)
    assert [p.commit for p in result.plan.passed_over] == [bad] if result.plan else False


def test_absorbed_when_there_is_nothing_to_deploy(tmp_path: Path, build: Build) -> None:
    """A change of protected files only: one event, no commit, no loop."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("mine/**",)))
    stage.round()
    stage.commit("dev", {"mine/x": "dev's\n"})
    (hop,) = stage.round().hops
    assert hop.outcome == "absorbed"
    assert stage.round().hops == ()
    assert len(stage.origin.log("env/qa")) == 1
    assert stage.events().count("absorbed qa") == 1


def test_protected_and_hotfixed_paths_stay(tmp_path: Path, build: Build) -> None:
    """S9: qa's own files are byte for byte what they were; a hotfix on another path survives the merge."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("mine/**",)))
    stage.round()
    stage.commit("qa", {"mine/x": "qa's\n", "hotfix": "1\n"}, message="hotfix")
    stage.commit("dev", {"mine/x": "dev's\n", "web": "2\n"})
    stage.round()
    files = stage.origin.files("env/qa")
    assert files == {"health": "ok\n", "mine/x": "qa's\n", "hotfix": "1\n", "web": "2\n"}


def test_conflict_writes_nothing(stage: Stage) -> None:
    """S11: both sides changed one line."""
    stage.round()
    qa = stage.commit("qa", {"web": "qa\n"})
    stage.commit("dev", {"web": "dev\n"})
    hop = next(h for h in stage.round().hops if h.environment == "qa")
    assert (hop.outcome, hop.status) == ("conflict", 5)
    assert stage.tip("qa") == qa
    assert "web" in hop.reason


def test_both_changed_other_lines_merges(stage: Stage) -> None:
    """Content merges happen where three regular files differ."""
    lines = [f"{n}\n" for n in range(20)]
    stage.commit("dev", {"web": "".join(lines)})
    for _ in range(3):
        stage.round()
    stage.commit("qa", {"web": "".join(["qa\n", *lines[1:]])})
    stage.commit("dev", {"web": "".join([*lines[:-1], "dev\n"])})
    stage.round()
    assert stage.origin.show("env/qa", "web") == "".join(["qa\n", *lines[1:-1], "dev\n"])


def test_hold_keeps_a_change_out_until_it_is_lifted(tmp_path: Path, build: Build) -> None:
    """on_failure: hold refuses the change downstream even after it turned healthy; lift lets it pass."""
    from promotion.reconcile import lift

    folder = tmp_path / "stage"
    verify = Verify(on_failure="hold")
    verify = Verify(on_failure="hold")
    dev, qa, prod = (
        environment(folder, "dev"),
        environment(folder, "qa", "dev", verify=verify),
        environment(folder, "prod", "qa"),
    )
    stage = build(dev, qa, prod)
    stage.round()
    healthy = stage.env("qa").health
    stage.change("qa", health=(Spec("command", {"command": ["false"]}),))
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    stage.round()
    assert stage.events()[-2:] == ["failed qa", "held qa"]
    stage.change("qa", health=healthy)
    for _ in range(2):
        assert stage.round().hops == ()
    plan = stage.plan("prod")
    assert plan.verdict == "block"
    assert "held in qa" in plan.reason
    lift(stage.site, stage.env("qa"), stage.tip("qa")[:8])
    (hop,) = stage.round().hops
    assert hop.environment == "prod"


def test_soak_counts_from_first_healthy(tmp_path: Path, build: Build) -> None:
    """A soak waits until a known time, then passes; heartbeats keep it counting."""
    folder = tmp_path / "stage"
    soak = Spec("soak", {"for": "30m"})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(soak,)))
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    for _ in range(6):
        assert stage.round().hops == ()
        stage.wait(minutes=4)
    until = stage.plan("qa").verdicts[-1].until
    assert until is not None
    stage.now = until - timedelta(seconds=2)
    assert stage.round().hops == ()
    assert [hop.outcome for hop in stage.round().hops] == ["promoted"]
    assert "observed None" in stage.events()


def test_a_soak_ends_although_the_clock_was_put_back_before_it(tmp_path: Path, build: Build) -> None:
    """It waits until the clock has caught up, and is counted on from there: heartbeats go on."""
    folder = tmp_path / "stage"
    soak = Spec("soak", {"for": "15m"})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(soak,)))
    stage.round()
    stage.wait(hours=-1)
    stage.commit("dev", {"web": "2\n"})
    hops = []
    for _ in range(12):
        stage.wait(minutes=9)
        hops += [hop.outcome for hop in stage.round().hops]
    assert hops == ["promoted"]


def test_what_was_well_counts_although_the_clock_was_put_back_before_it(stage: Stage) -> None:
    """A sick newer commit does not make it forgotten."""
    stage.change("qa", auto=False)
    stage.round()
    stage.wait(hours=-1)
    good = stage.commit("dev", {"web": "2\n"})
    stage.round()
    stage.commit("dev", SICK)
    stage.round()
    result = promote(stage.site, stage.env("qa"))
    assert (result.outcome, result.plan.commit if result.plan else None) == ("promoted", good)


def test_a_lost_race_decides_again_and_lands_once(stage: Stage) -> None:
    """S4: somebody else lands the same hop between our decision and our push."""
    other = stage.open("other", by="other@example.com")
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.sync("dev")
    push = stage.site.repository.push

    def late(*updates: object) -> str:
        stage.site.repository.push = push  # type: ignore[method-assign]
        assert promote(other, stage.env("qa")).outcome == "promoted"
        return push(*updates)  # type: ignore[arg-type]

    stage.site.repository.push = late  # type: ignore[method-assign, assignment]
    assert promote(stage.site, stage.env("qa")).outcome == "nothing"
    assert len(stage.origin.log("env/qa")) == 2
    assert stage.events().count("promoted qa") == 1


def test_what_people_changed_by_hand_is_put_back_and_recorded_once(stage: Stage) -> None:
    """By a loop of its own, which cannot write: the orchestrator's next round does; and by the round's own sync."""
    stage.round()
    for sync in (False, True):
        (stage.folder / "qa" / "current" / "health").write_text("ok, says Bob\n")
        if not sync:
            stage.sync("qa")
        stage.round(sync=sync)
        stage.round(sync=sync)
        assert (stage.folder / "qa" / "current" / "health").read_text() == "ok\n"
    assert stage.events().count("reverted qa") == 2


def test_nothing_but_protected_files_is_refused_as_a_plan(tmp_path: Path, build: Build) -> None:
    """The plan says it, so that nobody starts what is refused; --allow-empty lands it."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("mine/**",)))
    stage.commit("qa", {"mine/x": "qa's\n"})
    stage.round()
    stage.change("dev", health=(Spec("command", {"command": ["true"]}),))
    stage.commit("dev", {"health": None})
    stage.round()
    plan = stage.plan("qa")
    assert (plan.verdict, plan.verdicts[-1].gate) == ("block", "content")
    assert promote(stage.site, stage.env("qa"), allow_empty=True).outcome == "promoted"


def test_a_plan_before_the_first_round_is_the_plan_after_it(stage: Stage) -> None:
    """What the first round records of an environment does not change what was decided."""
    stage.sync("dev")
    stage.commit("dev", {"web": "2\n"})
    before = stage.plan("qa").plan_id
    stage.round(sync=False)
    assert stage.plan("qa").plan_id == before


def test_grace_counts_for_a_descendant_with_the_same_content_too(tmp_path: Path, build: Build) -> None:
    """Somebody pushed an empty commit on top of what is watched."""
    folder = tmp_path / "stage"
    verify = Verify(grace=timedelta(seconds=3))
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", verify=verify))
    stage.round()
    stage.commit("dev", SICK)
    stage.change("dev", health=(Spec("command", {"command": ["true"]}),))
    stage.round()
    stage.commit("qa", {}, message="empty")
    for _ in range(6):
        stage.round()
    assert stage.events().count("failed qa") == 1


def test_a_release_that_was_reset_away_stops_nobody_else(tmp_path: Path, build: Build) -> None:
    """qa is force-reset while its promotion is watched, and the clone is made again: stage goes on; holds can be lifted."""
    from promotion.reconcile import hold, lift

    folder = tmp_path / "stage"
    stage = build(
        environment(folder, "dev"), environment(folder, "qa", "dev"), environment(folder, "stage", "dev", auto=False)
    )
    old = stage.tip("qa")
    stage.round()
    commit = stage.commit("dev", {"web": "2\n"})
    stage.round()
    gone = stage.tip("qa")
    hold(stage.site, stage.env("stage"), gone, "reset")
    hold(stage.site, stage.env("stage"), commit, "another")
    stage.origin.set("env/qa", old)
    stage.origin.git("reflog", "expire", "--expire=now", "--all")
    stage.origin.git("gc", "--quiet", "--prune=now")
    stage.site = stage.open("new")
    lift(stage.site, stage.env("stage"), commit[:10])
    lift(stage.site, stage.env("stage"), gone[:10])
    stage.change("stage", auto=True)
    hops = [hop.environment for _ in range(2) for hop in stage.round().hops]
    assert hops == ["stage"]


def test_superseded_while_it_was_read_keeps_its_last_word(stage: Stage) -> None:
    """The old revision was healthy; that another one took its place during a check says nothing bad of it."""
    stage.round()
    stage.change("qa", auto=False)
    first = stage.commit("dev", {"web": "2\n"})
    stage.round()
    second = stage.commit("dev", SICK)
    place = stage.folder / "dev"
    switch = f"ln -sfn releases/{second} {place}/next && mv -T {place}/next {place}/current; mkdir -p {place}/releases/{second}"
    stage.change("dev", health=(Spec("command", {"command": ["sh", "-c", f"{switch}; exit 1"]}),))
    stage.round(sync=False)
    assert stage.world().state.of("dev").facts[first].health == "healthy"


def test_a_conflict_of_what_does_not_qualify_is_no_conflict_yet(stage: Stage) -> None:
    """Unobserved waits, degraded is blocked: section 4."""
    stage.round()
    stage.commit("qa", {"web": "qa\n"})
    stage.commit("dev", {"web": "dev\n"} | SICK)
    assert stage.plan("qa").verdict == "wait"
    stage.round()
    assert stage.plan("qa").verdict == "block"


def test_heartbeats_end_when_nothing_soaks(tmp_path: Path, build: Build) -> None:
    """A slower target keeps older facts alive, which nobody counts any more."""
    folder = tmp_path / "stage"
    soak = Spec("soak", {"for": "1s"})
    stage = build(
        environment(folder, "dev"),
        environment(folder, "eu", "dev", gates=(soak,)),
        environment(folder, "us", "dev", auto=False),
    )
    stage.round()
    for number in range(2):
        stage.commit("dev", {"web": f"{number}\n"})
        for _ in range(4):
            stage.round()
    before = len(stage.events())
    for _ in range(6):
        stage.wait(minutes=11)
        stage.round()
    assert len(stage.events()) == before


def test_a_yes_that_a_plan_got_is_asked_again_before_it_lands(tmp_path: Path, build: Build) -> None:
    """Somebody looked at the plan, then the gate changed its mind: promote asks anew."""
    folder, open_ = tmp_path / "stage", tmp_path / "open"
    gate = Spec("command", {"command": ["test", "-e", str(open_)]})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", auto=False, gates=(gate,)))
    open_.touch()
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    assert stage.plan("qa", by_hand=True).verdict == "pass"
    open_.unlink()
    assert promote(stage.site, stage.env("qa")).outcome == "refused"


def test_a_commit_with_other_parents_than_planned_never_lands(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5: the old tip first, the candidate second; a right tree alone is not enough."""
    stage.change("qa", auto=False)
    stage.round()
    tip = stage.tip("qa")
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    write = stage.site.repository.commit_tree

    def orphan(tree: str, parents: list[str], message: str, at: datetime) -> str:
        return write(tree, parents[:1] if len(parents) > 1 else parents, message, at)

    monkeypatch.setattr(stage.site.repository, "commit_tree", orphan)
    with pytest.raises(AssertionError, match="parent"):
        promote(stage.site, stage.env("qa"))
    assert stage.tip("qa") == tip


def test_a_commit_on_another_tip_than_is_pushed_never_lands(stage: Stage) -> None:
    """S5: what was prepared stands on a tip; another one is there when it is to be pushed."""
    stage.change("qa", auto=False)
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    world = stage.world()
    part = prepare(stage.site, Draft(world, world.state), stage.plan("qa", by_hand=True))
    assert part is not None
    fix = stage.commit("qa", {"hotfix": "1\n"})
    with pytest.raises(AssertionError, match="as its first parent"):
        write_all([replace(part, draft=replace(part.draft, world=stage.world()))])
    assert stage.tip("qa") == fix


# --- what checks are asked about, and how long they must agree ------------------------------------------------------


def test_checks_are_told_what_is_deployed(tmp_path: Path, build: Build) -> None:
    """S2: and not what the branch has by now."""
    told = tmp_path / "told"
    check = Spec("command", {"command": ["sh", "-c", f"echo $PROMOTION_REVISION >{told}"]})
    stage = build(replace(environment(tmp_path / "stage", "dev"), health=(check,)))
    stage.round()
    deployed = stage.tip("dev")
    stage.commit("dev", {"web": "2\n"})
    stage.round(sync=False)
    assert told.read_text().strip() == deployed


def test_dwell_counts_from_the_first_healthy_reading_of_a_revision(tmp_path: Path, build: Build) -> None:
    """Before it is over nothing is healthy; another revision begins anew."""
    stage = build(environment(tmp_path / "stage", "dev", dwell=timedelta(seconds=10)))

    def healths() -> list[str]:
        commit = stage.tip("dev")
        seen = []
        for _ in range(3):
            stage.round()
            seen.append(stage.world().state.of("dev").facts[commit].health.value)
            stage.wait(seconds=4)
        return seen

    assert healths() == ["progressing", "progressing", "healthy"]
    stage.commit("dev", {"web": "2\n"})
    assert healths() == ["progressing", "progressing", "healthy"]


def test_a_verification_is_about_its_own_commit(stage: Stage) -> None:
    """The release before it is still running, and healthy: that verifies nothing."""
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    stage.round(sync=False)
    assert stage.world().state.of("qa").verification.state == "pending"  # type: ignore[union-attr]
    stage.round()
    assert stage.world().state.of("qa").verification.state == "verified"  # type: ignore[union-attr]
