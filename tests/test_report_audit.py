"""The audit of ledgers whose branches were rewound, deleted or made anew, and what it costs."""

from __future__ import annotations

import shutil

import pytest

from promotion import observe, report
from promotion.events import Event
from promotion.reconcile import adopt
from promotion.repository import process
from promotion.repository.objects import Objects
from tests.support.stage import Stage
from tests.test_report import forge, tamper


def problems(stage: Stage) -> list[str]:
    """What the audit says; the same from a clone cache that was just made."""
    found = [f["problem"] for f in report.audit(stage.site, observe.survey(stage.site, partly=True))]
    stage.site.repository.close()
    shutil.rmtree(stage.site.repository.path)
    again = [f["problem"] for f in report.audit(stage.site, observe.survey(stage.site, partly=True))]
    assert again == found
    return found


def test_a_deleted_branch_is_one_finding(stage: Stage) -> None:
    """The others are audited as ever, and nothing is held against what nobody can look at."""
    stage.walked()
    stage.origin.set("env/qa", None)
    (finding,) = problems(stage)
    assert "qa has no branch `env/qa`" in finding
    stage.commit(
        "prod",
        {"web": "evil\n"},
        message="x\n\nPromotion-Plan: 1\nPromotion-Application: shop\nPromotion-Environment: prod",
    )
    assert [p for p in problems(stage) if "no record tells of it" in p]


def test_a_branch_that_was_made_anew_has_lost_its_promotions(stage: Stage) -> None:
    """Each is named, although adopting it made the branch fit for more."""
    stage.walked()
    lost = stage.tip("qa")
    stage.origin.set("env/qa", None)
    stage.origin.commit("env/qa", {"web": "2\n", "health": "ok\n"}, message="from nothing")
    expected = [f"{lost[:7]} is not on the branch of qa: was it rewound?"]
    assert problems(stage) == expected
    adopt(stage.site, stage.env("qa"), stage.tip("dev"))
    stage.commit("dev", {"web": "3\n"})
    for _ in range(3):
        stage.round()
    assert stage.events().count("promoted qa") == 2
    assert problems(stage) == expected


def test_what_the_server_has_forgotten_is_gone(stage: Stage) -> None:
    """The branch was rewound and the server tidied up: no clone can be made that has it."""
    stage.walked()
    lost = stage.tip("prod")
    stage.origin.set("env/prod", stage.origin.log("env/prod")[1].commit)
    stage.origin.git("reflog", "expire", "--expire=now", "--all")
    stage.origin.git("gc", "--quiet", "--prune=now")
    stage.site.repository.close()
    shutil.rmtree(stage.site.repository.path)
    assert problems(stage) == [f"{lost[:7]} is not in the repository any more"]


def test_a_record_that_names_no_commit_is_a_finding(stage: Stage) -> None:
    """A tree where a commit should be, and a word."""
    stage.walked()
    made = stage.site.repository.objects.commit(stage.tip("dev"))
    release = stage.world().state.of("qa").release
    assert release is not None
    data = {"plan_id": "0" * 64, "source": made.oid, "base": release.source, "target": made.tree}
    tamper(stage, [Event("absorbed", "shop", "qa", stage.now, "mallory", data)])
    tamper(stage, [Event("absorbed", "shop", "qa", stage.now, "mallory", {**data, "target": "HEAD"})])
    found = problems(stage)
    assert f"{made.tree[:7]} is not in the repository any more" in found
    assert "record is not readable: a ledger record absorbed has what is none as target" in found


def test_the_audit_needs_no_process_for_an_event(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many for 12 promotions as for 2; and no state is read that is what the events make of it."""
    started, blobs, counts = list[object](), list[str](), list[int]()
    spawn, blob = process.spawn, Objects.blob
    monkeypatch.setattr(process, "spawn", lambda *args: (started.append(args), spawn(*args))[1])
    monkeypatch.setattr(Objects, "blob", lambda objects, oid: (blobs.append(oid), blob(objects, oid))[1])
    stage.walked()
    for _ in range(2):
        world = stage.world()
        started.clear()
        blobs.clear()
        assert report.audit(stage.site, world) == []
        counts.append(len(started))
        assert blobs == []
        for number in range(5):
            stage.commit("dev", {"web": f"{number + 3}\n"})
            for _ in range(3):
                stage.round()
    assert counts[0] == counts[1] < 10


def test_what_the_server_still_has_is_asked_for(stage: Stage) -> None:
    """prod was rewound, and no branch has its last release: from a new clone the finding is the same."""
    stage.walked()
    lost = stage.tip("prod")
    stage.origin.set("env/prod", stage.origin.log("env/prod")[1].commit)
    assert problems(stage) == [f"{lost[:7]} is not on the branch of prod: was it rewound?"]


def test_a_hotfix_that_a_promotion_lost_is_seen(stage: Stage) -> None:
    """What landed is exactly what was tested, and must not be: qa had something of its own."""
    stage.walked()
    stage.commit("qa", {"hotfix": "1\n"})
    _, commit = forge(stage, files={"web": "3\n", "hotfix": None})
    assert problems(stage) == [f"{commit[:7]} is not what the entry table says at hotfix"]
