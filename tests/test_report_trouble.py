"""Reports when something is wrong: conflicts, with advice that works when it is followed (S11), holds, history that is gone."""

from __future__ import annotations

from promotion import report
from promotion.report.conflicts import entries, resolution, sides
from tests.support.stage import Stage

LINES = [f"{number}\n" for number in range(9)]


def text(line: str) -> str:
    return "".join([*LINES[:4], line, *LINES[5:]])


def conflicting(stage: Stage) -> tuple[str, str]:
    """qa and dev changed one line of one file; the commits that did it."""
    stage.commit("dev", {"list": text("4\n")})
    for _ in range(3):
        stage.round()
    mine = stage.commit("qa", {"list": text("qa\n")}, message="hotfix")
    stage.commit("qa", {"other": "1\n"}, message="not this one")
    theirs = stage.commit("dev", {"list": text("dev\n")}, message="feature")
    stage.round()
    return mine, theirs


def test_both_sides_are_named_by_their_last_commits(stage: Stage) -> None:
    mine, theirs = conflicting(stage)
    plan = stage.plan("qa")
    assert plan.verdict == "conflict"
    (side,) = sides(stage.site, plan)
    assert (side["path"], side["target"]["commit"], side["source"]["commit"]) == ("list", mine, theirs)
    base, target, source = entries(stage.site, plan, b"list")
    assert len({base, target, source}) == 3


def test_following_the_advice_lands_the_change(stage: Stage) -> None:
    """The target's lines on the source are absorbed; the change on top of them lands."""
    conflicting(stage)
    assert "git checkout origin/env/qa -- list" in resolution(stage.plan("qa"))[2]
    stage.commit("dev", {"list": text("qa\n")}, message="take qa's lines")
    assert [hop.outcome for hop in stage.round().hops if hop.environment == "qa"] == ["absorbed"]
    stage.commit("dev", {"list": text("qa and dev\n")}, message="feature, again")
    assert [hop.outcome for hop in stage.round().hops if hop.environment == "qa"] == ["promoted"]
    assert stage.origin.show("env/qa", "list") == text("qa and dev\n")


def test_a_hold_that_is_fixed_is_said_to_be(stage: Stage) -> None:
    """The held change is there, then it is not any more, by the branch's own next release."""
    from promotion.reconcile import hold

    stage.round()
    commit = stage.commit("qa", {"web": "bad\n"})
    hold(stage.site, stage.env("qa"), commit, "bad")

    def holds() -> list[bool]:
        rows = report.status(stage.site, stage.world(), {})["environments"]
        return [hold["fixed"] for row in rows if row["environment"] == "qa" for hold in row["holds"]]

    assert holds() == [False]
    stage.commit("qa", {"web": "good\n"})
    assert holds() == [True]


def test_everything_reset_away_is_still_shown(stage: Stage) -> None:
    """Branches set back by force, the server's garbage collected, the clone made again: every verb that looks has an answer."""
    first = {name: stage.tip(name) for name in ("dev", "qa", "prod")}
    stage.round()
    stage.commit("dev", {"web": "2\n"})
    for _ in range(3):
        stage.round()
    for name, commit in first.items():
        stage.origin.set(f"env/{name}", commit)
    newest = stage.commit("dev", {"web": "3\n"})
    stage.origin.git("reflog", "expire", "--expire=now", "--all")
    stage.origin.git("gc", "--quiet", "--prune=now")
    stage.site = stage.open("new")
    rows = report.status(stage.site, stage.world())["environments"]
    assert [row["tip"] for row in rows] == [newest, first["qa"], first["prod"]]
    assert all("promotion adopt" in str(row["hint"]) for row in rows[1:])
    assert report.where(stage.site, stage.world(), newest)
    assert report.audit(stage.site, stage.world())
    done = stage.round()
    assert (done.hops, len(done.errors)) == ((), 2)
