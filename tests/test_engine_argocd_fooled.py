"""Statuses that look healthy and are not, and others that are and would never be said to be: what a second pair of eyes found."""

from __future__ import annotations

from typing import Any

import pytest

from promotion.engines.argocd.fleet import _mark
from promotion.engines.argocd.judge import ASKED, PATHS, judge
from promotion.model import Health, Subject
from tests.support.argocd import NEW, OLD, QA, URL, application, changed, hydrated, several, source, stamp
from tests.test_engine_argocd import state

CHILD = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Application", "name": "shop-db", "status": "Synced"}


def words(
    app: dict[str, Any], subject: Subject = QA, beside: frozenset[str] = frozenset()
) -> tuple[str | None, Health]:
    reading = judge(app, subject, subject.repository, beside).reading
    assert reading is not None
    return judge(app, subject, subject.repository, beside).revision, reading.health


@pytest.mark.parametrize("health", [{}, {"health": {"status": "Healthy"}}])
def test_an_application_of_applications(health: dict[str, Any]) -> None:
    """It is Synced and Healthy as soon as they are written, whatever they deploy; they have to be asked themselves."""
    app = application(status__resources=[{**CHILD, **health}])
    assert words(app) == (NEW, Health.UNKNOWN)
    assert words(app, beside=frozenset({"shop-qa", "shop-db"})) == (NEW, Health.HEALTHY)
    made = application(status__resources=[{**CHILD, "kind": "ApplicationSet", "name": "all"}])
    assert words(made) == (NEW, Health.UNKNOWN)
    assert words(made, beside=frozenset({"shop-qa", "shop-db"})) == (NEW, Health.HEALTHY)


def test_an_application_without_objects() -> None:
    """Nothing is in sync with nothing, and well: a commit that empties the directory is not healthy."""
    assert words(application(status__resources=[])) == (NEW, Health.UNKNOWN)
    assert words(application(status__resources=None)) == (NEW, Health.UNKNOWN)


def test_a_hydrator_that_was_changed_since() -> None:
    """Another dry path: the branch that is compared is the same, and holds what the old one made."""
    app = hydrated(
        spec__sourceHydrator__drySource={"repoURL": URL, "path": "overlays/other", "targetRevision": "env/qa"}
    )
    assert words(app) == (NEW, Health.PROGRESSING)
    assert words(hydrated()) == (NEW, Health.HEALTHY)


def test_a_hydrator_that_writes_to_another_repository() -> None:
    """Its commits are none of our branch's, though that has the same name."""
    elsewhere = {"repoURL": "https://git.example.com/rendered/shop", "targetBranch": "env/qa", "path": "qa"}
    app = hydrated(
        spec__sourceHydrator__syncSource=elsewhere,
        status__sync__comparedTo__source={"repoURL": elsewhere["repoURL"], "path": "qa", "targetRevision": "env/qa"},
        status__sourceHydrator__currentOperation__sourceHydrator__syncSource=elsewhere,
    )
    assert words(app) == (NEW, Health.HEALTHY)  # what it was made of, and not OTHER, which is what was written


def test_a_hard_refresh_that_saw_the_commit_before() -> None:
    """Asked for after a push whose commit a mirror did not have yet: the next look takes that one for Synced, unmade."""
    asked = several(
        source(),
        source(path="b"),
        revisions=[OLD, OLD],
        metadata__annotations={PATHS: "."},
        status__reconciledAt=stamp(20),
    )
    mark = _mark(asked)
    after = several(
        source(),
        source(path="b"),
        revisions=[NEW, NEW],
        metadata__annotations={PATHS: ".", ASKED: mark},
        status__reconciledAt=stamp(60),
    )
    assert words(after) == (NEW, Health.UNKNOWN)
    again = _mark(after)
    made = changed(after, metadata__annotations={PATHS: ".", ASKED: again}, status__reconciledAt=stamp(90))
    assert words(made) == (NEW, Health.HEALTHY)


def test_a_failed_server_side_sync_that_did_nothing() -> None:
    """The server says of each object that it was applied, changed or not: what a rollback brings back would never count."""
    rows = [
        {"kind": "Deployment", "name": "web", "status": "SyncFailed", "message": "is invalid"},
        {"kind": "Service", "name": "web", "status": "Synced", "message": "service/web serverside-applied"},
    ]
    app = application(status__operationState=state("Failed", OLD, resources=rows))
    assert words(app) == (NEW, Health.HEALTHY)
    assert words(changed(app, status__sync__status="OutOfSync")) == (NEW, Health.PROGRESSING)
    # Nothing was refused: all is there, it was ill, and what comes after it has not run for any commit since.
    assert words(application(status__operationState=state("Failed", OLD, resources=rows[1:])))[1] is Health.PROGRESSING
    hook = {"kind": "Job", "name": "smoke", "hookType": "PreSync", "message": "job.batch/smoke serverside-applied"}
    assert words(application(status__operationState=state("Failed", OLD, resources=[hook]))) == (
        NEW,
        Health.PROGRESSING,
    )
