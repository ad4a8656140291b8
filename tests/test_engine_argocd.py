"""What one read of an Application proves: every rule, every race on record, and any order of a controller's writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion.engines.argocd.judge import ASKED, PATHS, REFRESH, judge
from promotion.engines.contract import Deployed
from promotion.errors import ConfigError
from promotion.model import Health, Subject
from tests.support.argocd import (
    NEW,
    OLD,
    OTHER,
    QA,
    STEPS,
    URL,
    Controller,
    application,
    changed,
    hydrated,
    several,
    source,
    stamp,
)

HELM = {"repoURL": "https://charts.example.com", "chart": "redis", "targetRevision": "18.1.0"}
VALUES = {"repoURL": "git@git.example.com:deploy/shop", "targetRevision": "refs/heads/env/qa", "ref": "values"}


def said(app: dict[str, Any], subject: Subject = QA) -> Deployed:
    return judge(app, subject, subject.repository)


def words(app: dict[str, Any], subject: Subject = QA) -> tuple[str | None, Health, str]:
    """Revision, health and reason."""
    deployed = said(app, subject)
    assert deployed.reading is not None
    return deployed.revision, deployed.reading.health, deployed.reading.reason


def state(phase: str, revision: str = NEW, **more: Any) -> dict[str, Any]:
    """An operationState; one that is over ended at second 10."""
    result = {"revision": revision, "source": source(), "resources": more.pop("resources", [])}
    ended = {} if phase in ("Running", "Terminating") else {"finishedAt": stamp(10)}
    return {"phase": phase, "startedAt": stamp(5), "syncResult": result, **ended, **more}


def test_synced_well_and_looked_at_after_its_sync() -> None:
    assert words(application()) == (NEW, Health.HEALTHY, "shop-qa is Synced and Healthy")


def test_never_synced_by_an_operation() -> None:
    """Objects that were there already: nothing was to be done."""
    assert words(application(status__operationState=None))[:2] == (NEW, Health.HEALTHY)


def test_a_commit_that_changes_nothing_needs_no_sync() -> None:
    """It moves what is compared, and never what was synced: to wait for that would be to wait for ever."""
    app = application(status__operationState__syncResult__revision=OLD)
    assert words(app)[:2] == (NEW, Health.HEALTHY)


def test_what_ran_before_is_what_runs_until_argo_cd_has_looked() -> None:
    """A push alone changes nothing: the old commit is deployed, and as well as it was."""
    assert words(application(OLD))[:2] == (OLD, Health.HEALTHY)


# --- one rule each ---------------------------------------------------------------------------------------------------

NOT_SETTLED: dict[str, tuple[dict[str, Any], str | None, Health, str]] = {
    "deleted": (
        application(metadata__deletionTimestamp=stamp(30)),
        NEW,
        Health.PROGRESSING,
        "the Application is being deleted",
    ),
    "no status": (application(status=None), NEW, Health.PROGRESSING, "not looked at the Application yet"),
    "a sync is asked for": (
        application(OLD, operation={"sync": {"revision": NEW}}),
        NEW,
        Health.PROGRESSING,
        "a sync is asked for",
    ),
    "an empty operation": (application(operation={}), NEW, Health.PROGRESSING, "a sync is asked for"),
    "a sync runs": (
        application(status__operationState=state("Running", message="waiting for healthy state of web")),
        NEW,
        Health.PROGRESSING,
        "a sync is running: waiting for healthy state of web",
    ),
    "a sync is ended": (
        application(status__operationState=state("Terminating")),
        NEW,
        Health.PROGRESSING,
        "a sync is terminating",
    ),
    "a phase nobody knows": (
        application(status__operationState=state("Thinking")),
        NEW,
        Health.PROGRESSING,
        "thinking",
    ),
    "a closed window": (
        application(status__operationState=state("Running", message="Sync operation blocked by sync window")),
        NEW,
        Health.PROGRESSING,
        "blocked by sync window",
    ),
    "another path since": (
        application(spec__source=source(path="overlays/other")),
        NEW,
        Health.PROGRESSING,
        "was changed since",
    ),
    "another destination since": (
        application(spec__destination={"server": "https://cluster.example.com", "namespace": "else"}),
        NEW,
        Health.PROGRESSING,
        "was changed since",
    ),
    "compared with nothing": (application(status__sync__comparedTo=None), NEW, Health.PROGRESSING, "was changed since"),
    "asked to look": (
        application(metadata__annotations={REFRESH: "normal"}),
        NEW,
        Health.PROGRESSING,
        "is asked to look at Git",
    ),
    "an error": (
        application(status__conditions=[{"type": "ComparisonError", "message": "rpc error: kustomize build failed"}]),
        NEW,
        Health.UNKNOWN,
        "ComparisonError: rpc error: kustomize build failed",
    ),
    "too large to be written": (
        application(status__conditions=[{"type": "UnknownError", "message": "status is too large"}]),
        NEW,
        Health.UNKNOWN,
        "UnknownError: status is too large",
    ),
    "an error in its spec": (
        application(status__conditions=[{"type": "InvalidSpecError"}]),
        NEW,
        Health.UNKNOWN,
        "InvalidSpecError",
    ),
    "an error of auto-sync": (
        application(status__conditions=[{"type": "SyncError", "message": "Skipping auto-sync"}]),
        NEW,
        Health.UNKNOWN,
        "SyncError: Skipping auto-sync",
    ),
    "no revision": (application(status__sync__revision=""), NEW, Health.UNKNOWN, "compared no one commit"),
    "half a revision": (application(status__sync__revision="1" * 12), NEW, Health.UNKNOWN, "which is no commit"),
    "a sync status nobody knows": (application(status__sync__status="Unknown"), NEW, Health.UNKNOWN, "is Unknown"),
    "out of sync": (
        application(status__sync__status="OutOfSync", status__operationState=state("Succeeded", OLD)),
        NEW,
        Health.PROGRESSING,
        "OutOfSync at 1111111: auto-sync has not begun yet (or a sync window is closed)",
    ),
    "auto-sync is off": (
        application(status__sync__status="OutOfSync", spec__syncPolicy=None),
        NEW,
        Health.PROGRESSING,
        "auto-sync is off, so somebody has to: argocd app sync shop-qa",
    ),
    "auto-sync is switched off": (
        application(status__sync__status="OutOfSync", spec__syncPolicy={"automated": {"enabled": False}}),
        NEW,
        Health.PROGRESSING,
        "auto-sync is off",
    ),
    "only pruning is left": (
        application(
            status__sync__status="OutOfSync",
            spec__syncPolicy={"automated": {}},
            status__resources=[{"kind": "Secret", "name": "old", "status": "OutOfSync", "requiresPruning": True}],
        ),
        NEW,
        Health.PROGRESSING,
        "1 objects are to be pruned, and `prune` is off",
    ),
    "changed by hand": (
        application(status__sync__status="OutOfSync", spec__syncPolicy={"automated": {"prune": True}}),
        NEW,
        Health.PROGRESSING,
        "changed since its sync, and `selfHeal` is off",
    ),
    "looked at before its sync ended": (
        application(status__reconciledAt=stamp(9)),
        NEW,
        Health.PROGRESSING,
        "has not looked at what came of it yet",
    ),
    "looked at in the same second": (
        application(status__reconciledAt=stamp(10)),
        NEW,
        Health.PROGRESSING,
        "has not looked at what came of it yet",
    ),
    "never looked at": (application(status__reconciledAt=None), NEW, Health.PROGRESSING, "has not looked"),
    "looked at at no time": (application(status__reconciledAt="yesterday"), NEW, Health.PROGRESSING, "has not looked"),
    "a sync without an end": (
        application(status__operationState__finishedAt=None),
        NEW,
        Health.PROGRESSING,
        "has not looked",
    ),
    "progressing": (
        application(
            status__health={"status": "Progressing"},
            status__resources=[
                {"kind": "Service", "name": "web", "health": {"status": "Healthy"}},
                {"kind": "Deployment", "name": "web", "health": {"status": "Progressing", "message": "1 of 2 updated"}},
            ],
        ),
        NEW,
        Health.PROGRESSING,
        "its health is Progressing: Deployment web is Progressing: 1 of 2 updated",
    ),
    "suspended": (
        application(status__health={"status": "Suspended"}),
        NEW,
        Health.SUSPENDED,
        "its health is Suspended",
    ),
    "missing": (application(status__health={"status": "Missing"}), NEW, Health.MISSING, "its health is Missing"),
    "unknown": (application(status__health={"status": "Unknown"}), NEW, Health.UNKNOWN, "its health is Unknown"),
    "a new word": (application(status__health={"status": "Radiant"}), NEW, Health.UNKNOWN, "its health is Radiant"),
    "no health": (application(status__health=None), NEW, Health.UNKNOWN, "its health is not known"),
    "degraded": (
        application(status__health={"status": "Degraded", "message": "no replicas"}),
        NEW,
        Health.DEGRADED,
        "its health is Degraded: no replicas",
    ),
    "degraded and out of sync": (
        application(status__health={"status": "Degraded"}, status__sync__status="OutOfSync"),
        NEW,
        Health.PROGRESSING,
        "OutOfSync",
    ),
    "degraded before its sync ended": (
        application(status__health={"status": "Degraded"}, status__reconciledAt=stamp(10)),
        NEW,
        Health.PROGRESSING,
        "has not looked",
    ),
}


@pytest.mark.parametrize("case", NOT_SETTLED)
def test_one_thing_alone_keeps_it_from_healthy(case: str) -> None:
    app, revision, health, reason = NOT_SETTLED[case]
    got = words(app)
    assert got[:2] == (revision, health)
    assert reason in got[2]


NONSENSE: list[Any] = [None, [], "x", 7, {"a": 1}, [{}], [None], True]


READ = ("", "sync", "sync__revision", "sync__comparedTo", "health", "reconciledAt", "operationState")
READ += ("operationState__phase", "operationState__finishedAt")


@pytest.mark.parametrize("path", ["operation", "metadata__deletionTimestamp", *(f"status__{key}" for key in READ)])
@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_nonsense_is_never_healthy(path: str, value: Any) -> None:
    """Whatever shape a status has: an answer, and not a good one. What may be absent is absent."""
    if value is None and path in ("operation", "metadata__deletionTimestamp", "status__operationState"):
        return
    assert words(application(**{path.removesuffix("__"): value}))[1] is not Health.HEALTHY


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_nonsense_in_what_may_be_absent_ends_nothing(value: Any) -> None:
    for path in (
        "status__conditions",
        "status__resources",
        "metadata__annotations",
        "spec__syncPolicy",
        "status__history",
    ):
        said(application(**{path: value}))


# --- races on record -------------------------------------------------------------------------------------------------


def test_race_a_stale_healthy_after_a_sync() -> None:
    """The sync of a new commit is over, health is still that of before: nobody has looked since."""
    app = application(status__reconciledAt=stamp(4), status__operationState=state("Succeeded"))
    assert words(app)[:2] == (NEW, Health.PROGRESSING)


def test_race_a_stale_healthy_after_a_manual_sync_of_the_same_commit() -> None:
    """Pods are made anew; all that is written is of before."""
    app = application(status__reconciledAt=stamp(9))
    assert words(app)[1] is Health.PROGRESSING
    assert words(changed(app, status__reconciledAt=stamp(11)))[1] is Health.HEALTHY


def test_race_a_dropped_refresh_leaves_the_old_commit() -> None:
    """The annotation is gone and nothing moved: the old commit is what is deployed, never the new one."""
    assert words(application(OLD, metadata__annotations={}))[0] == OLD


def test_race_a_branch_name_as_revision() -> None:
    """Argo CD could not make the manifests, and writes what it was to look for."""
    app = application(status__sync__revision="env/qa", status__sync__status="Synced")
    assert words(app)[1:] == (Health.UNKNOWN, "Argo CD says that it compared `env/qa`, which is no commit")


def test_race_compared_before_the_sync_ended() -> None:
    """`reconciledAt` is taken before a comparison begins, in whole seconds: an equal one proves nothing."""
    verdicts = [words(application(status__reconciledAt=stamp(at)))[1] for at in (9, 10, 11)]
    assert verdicts == [Health.PROGRESSING, Health.PROGRESSING, Health.HEALTHY]


def test_race_a_comparison_with_the_recent_revision() -> None:
    """An object changed: status is written anew against the old commit, and the time of the look does not move."""
    app = application(OLD, status__operationState=state("Succeeded", NEW), status__reconciledAt=stamp(4))
    assert words(app)[:2] == (NEW, Health.PROGRESSING)


def test_race_an_old_spec() -> None:
    """There is no generation to go by: `comparedTo` says what a status is about. Empty values are no difference."""
    assert words(application(spec__source=source(kustomize={"images": ["web=web:2"]})))[1] is Health.PROGRESSING
    assert words(application(spec__source=source(directory={"recurse": False}, helm={}, path="overlays/qa")))[1] is (
        Health.HEALTHY
    )
    values = {"valuesObject": {"enabled": False}}
    assert words(application(spec__source=source(helm=values)))[1] is Health.PROGRESSING


def test_race_a_status_one_write_behind() -> None:
    """The sync of the new commit is written, its comparison is not: neither commit is healthy."""
    app = application(OLD, status__operationState=state("Succeeded", NEW), status__reconciledAt=stamp(10))
    assert words(app)[:2] == (NEW, Health.PROGRESSING)


def test_race_a_failed_attempt_is_never_made_again() -> None:
    """Auto-sync tries a commit once. It is failing, not late, and the old one is not blamed."""
    app = application(
        status__sync__status="OutOfSync",
        status__operationState=state("Failed", message="one or more objects failed to apply"),
        status__conditions=[{"type": "SyncError", "message": "Skipping auto-sync: failed previous sync attempt"}],
    )
    assert words(app) == (NEW, Health.DEGRADED, "the sync of 1111111 failed: one or more objects failed to apply")


def test_race_a_failed_sync_of_what_is_expected_before_it_is_compared() -> None:
    app = application(OLD, status__operationState=state("Error", NEW))
    assert words(app)[:2] == (NEW, Health.DEGRADED)


def test_race_a_failure_of_the_commit_before() -> None:
    """It says nothing of this one, neither good nor bad."""
    failed = state("Failed", OLD, message="quota exceeded")
    app = application(status__sync__status="OutOfSync", status__operationState=failed)
    assert words(app)[:2] == (NEW, Health.PROGRESSING)
    assert "the last sync, of 0000000, failed: quota exceeded" in words(app)[2]


def test_race_a_retry_runs() -> None:
    """A sync that waits for its next try has an end, and is not over."""
    tried = state("Running", finishedAt=stamp(10), retryCount=2, message="one object failed")
    app = application(status__operationState=tried)
    assert words(app) == (NEW, Health.PROGRESSING, "a sync failed 2 times and is tried again: one object failed")
    app = application(operation={"sync": {"revision": NEW}}, status__operationState=tried)
    assert words(app)[1:] == (Health.PROGRESSING, "a sync failed 2 times and is tried again: one object failed")


def test_race_a_failed_sync_that_did_nothing_is_over_when_its_commit_is_taken_back() -> None:
    """What a rollback brings back is in sync at once, and no sync will ever be made of it."""
    refused = [
        {"kind": "Deployment", "name": "web", "status": "SyncFailed", "message": "is invalid"},
        {"kind": "Service", "name": "web", "status": "Synced", "message": "service/web unchanged"},
    ]
    app = application(status__operationState=state("Failed", OLD, resources=refused))
    assert words(app)[:2] == (NEW, Health.HEALTHY)
    assert words(changed(app, status__reconciledAt=stamp(10)))[1] is Health.PROGRESSING


@pytest.mark.parametrize(
    "row",
    [
        {"kind": "Job", "name": "smoke", "hookType": "PostSync", "hookPhase": "Failed", "status": "SyncFailed"},
        {"kind": "Deployment", "name": "web", "status": "Synced", "message": "deployment.apps/web configured"},
        {"kind": "Secret", "name": "old", "status": "Pruned", "message": "pruned"},
    ],
    ids=lambda row: row["kind"],
)
def test_race_what_a_failed_sync_did_is_not_forgotten_with_the_next_commit(row: dict[str, Any]) -> None:
    """A commit that changes nothing for it would be Synced and Healthy at once, and nobody ran its hooks."""
    app = application(status__operationState=state("Failed", OLD, resources=[row]))
    assert words(app)[:2] == (NEW, Health.PROGRESSING)
    assert "failed half-way, and 1111111 was not synced since: argocd app sync shop-qa" in words(app)[2]


def test_a_dry_run_or_somebodys_own_files_that_failed_are_no_failure_of_a_commit() -> None:
    for sync in ({"dryRun": True}, {"manifests": ["kind: Deployment"]}):
        app = application(status__operationState=state("Failed", operation={"sync": {"revision": NEW, **sync}}))
        assert words(app)[1] is Health.HEALTHY


# --- whose source it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["git@Git.example.com:deploy/shop.git", "ssh://git@git.example.com:2222/deploy/shop", f"{URL[:-4]}/"]
)
def test_addresses_of_one_repository(url: str) -> None:
    mine = source(repoURL=url, targetRevision="refs/heads/env/qa")
    app = application(
        spec__source=mine,
        status__sync__comparedTo={"source": mine, "destination": application()["spec"]["destination"]},
    )
    assert words(app)[1] is Health.HEALTHY


def test_another_branch_is_tracked() -> None:
    with pytest.raises(ConfigError) as caught:
        said(application(spec__source=source(targetRevision="main")))
    assert str(caught.value) == "shop-qa: the Application tracks `main`, but env/qa is the branch of qa"
    assert caught.value.hint == "write `targetRevision: env/qa` into the Application"


def test_another_repository_is_deployed() -> None:
    with pytest.raises(
        ConfigError, match=r"shop-qa: the Application deploys from https://git.example.com/else.git, not from"
    ):
        said(application(spec__source=source(repoURL="https://user:word@git.example.com/else.git")))
    with pytest.raises(ConfigError, match="deploys from nowhere"):
        said(application(spec=None))
    with pytest.raises(ConfigError, match=r"deploys from https://charts\.example\.com"):
        said(several(HELM, revisions=["18.1.0"]))


@pytest.mark.parametrize("written", ["HEAD", "", None])
def test_head_is_our_branch_only_where_it_is_its_newest_commit(written: str | None) -> None:
    """Which branch it means is not said."""
    mine = source(targetRevision=written)
    compared = {"source": mine, "destination": application()["spec"]["destination"]}
    app = application(spec__source=mine, status__sync__comparedTo=compared)
    assert words(app)[1] is Health.HEALTHY
    assert words(changed(app, status__sync__revision=OLD))[1:] == (
        Health.PROGRESSING,
        "it tracks HEAD, which is at 0000000: name the branch in its targetRevision",
    )


def test_several_sources_are_told_apart_by_their_place() -> None:
    """The revisions stand in the order of the sources, those of charts and of mere values too."""
    app = several(HELM, source(), VALUES, revisions=["18.1.0", NEW, NEW])
    assert words(app)[:2] == (NEW, Health.HEALTHY)
    assert words(several(HELM, source(), VALUES, revisions=["18.1.0", NEW, OLD]))[1] is Health.UNKNOWN
    assert words(several(HELM, source(), revisions=[NEW]))[1] is Health.UNKNOWN
    other = source(targetRevision="shared")
    assert words(several(other, source(), revisions=[OLD, NEW]))[:2] == (NEW, Health.HEALTHY)
    with pytest.raises(ConfigError, match="tracks `shared` and `main`"):
        said(several(other, source(targetRevision="main"), revisions=[OLD, NEW]))


def test_a_failed_sync_of_several_sources() -> None:
    app = several(HELM, source(), revisions=["18.1.0", NEW], status__operationState__phase="Failed")
    assert words(app)[:2] == (NEW, Health.DEGRADED)


def test_old_manifests_of_several_sources_with_paths() -> None:
    """Argo CD takes a new commit for Synced without making its manifests: only what a hard refresh was asked for counts."""
    app = several(HELM, source(), revisions=["18.1.0", NEW], metadata__annotations={PATHS: "."})
    assert words(app)[:2] == (NEW, Health.UNKNOWN)
    assert "only a hard refresh shows what changed" in words(app)[2]
    for asked, health in (
        (f"{NEW} {stamp(15)}", Health.HEALTHY),
        (f"{OLD} {NEW} {stamp(15)}", Health.HEALTHY),
        (f"{NEW} {stamp(20)}", Health.UNKNOWN),
        (f"{OLD} {stamp(15)}", Health.UNKNOWN),
        (NEW, Health.UNKNOWN),
    ):
        assert words(changed(app, metadata__annotations={PATHS: ".", ASKED: asked}))[1] is health
    one = application(metadata__annotations={PATHS: "."})
    assert words(one)[1] is Health.HEALTHY


# --- the source hydrator ---------------------------------------------------------------------------------------------


def test_what_was_hydrated_is_known_by_what_it_was_made_of() -> None:
    assert words(hydrated())[:2] == (NEW, Health.HEALTHY)
    assert words(hydrated(OLD))[:2] == (OLD, Health.HEALTHY)
    wet = Subject("shop", "qa", OTHER, URL, "rendered/qa")
    assert words(hydrated(), wet)[:2] == (OTHER, Health.HEALTHY)


def test_what_is_compared_must_be_what_was_hydrated_last() -> None:
    app = hydrated(status__sync__revision=OLD)
    assert words(app) == (NEW, Health.PROGRESSING, "what was hydrated last is not what is compared")


def test_a_hydration_that_runs_or_failed() -> None:
    for phase, word in (("Hydrating", "hydrating"), ("Failed", "failed: no push")):
        now = {"phase": phase, "drySHA": NEW, "message": "no push" if phase == "Failed" else ""}
        app = hydrated(OLD, status__sourceHydrator__currentOperation=now)
        assert words(app) == (NEW, Health.PROGRESSING, f"its hydration is {word}")
    assert words(hydrated(status__sourceHydrator__currentOperation=None))[1] is Health.PROGRESSING
    of_now = {"sourceHydrator": hydrated()["spec"]["sourceHydrator"]}
    for phase, dry in (("Hydrating", NEW), ("Hydrated", OLD)):
        app = hydrated(status__sourceHydrator__currentOperation={**of_now, "phase": phase, "drySHA": dry})
        assert words(app)[1] is Health.PROGRESSING
    assert words(hydrated(metadata__annotations={"argocd.argoproj.io/hydrate": "normal"}))[1] is Health.PROGRESSING


def test_a_failed_sync_of_what_was_hydrated() -> None:
    app = hydrated(status__operationState__phase="Failed")
    assert words(app)[:2] == (NEW, Health.DEGRADED)


def test_a_hydrator_of_another_branch_or_repository() -> None:
    with pytest.raises(ConfigError, match="tracks `main` and `rendered/qa`"):
        said(hydrated(spec__sourceHydrator__drySource={"repoURL": URL, "targetRevision": "main"}))
    with pytest.raises(ConfigError, match="deploys from"):
        said(hydrated(spec__sourceHydrator__drySource={"repoURL": "https://git.example.com/else"}))


# --- any order -------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_in_any_order_of_writes_healthy_is_true_and_is_said_in_the_end(steps: list[str]) -> None:
    """A controller whose loops read at one time and write at another, equal seconds included.

    Healthy is never said of a commit that is not applied, or was not well since it was last applied; and when
    everything has come to its end, it is said.
    """
    argo = Controller()
    for step in ["push", *steps]:
        getattr(argo, step)()
        revision, health, _ = words(argo.object)
        assert health is not Health.DEGRADED
        if health is Health.HEALTHY:
            assert (argo.live, argo.well) == (revision, True), (step, argo.object)
    argo.rest()
    assert words(argo.object)[:2] == (NEW, Health.HEALTHY)


WRITES: dict[str, dict[str, Any]] = {  # of a sync of NEW that was asked for, each whole, as one loop makes it
    "compared": {"status__sync__revision": NEW, "status__sync__status": "OutOfSync", "status__reconciledAt": stamp(1)},
    "running": {"status__operationState": state("Running")},
    "ended": {"status__operationState": state("Succeeded"), "operation": None},
    "recent": {"status__sync__status": "Synced", "status__health": {"status": "Progressing"}},
    "looked": {
        "status__sync__revision": NEW,
        "status__sync__status": "Synced",
        "status__reconciledAt": stamp(11),
        "status__health": {"status": "Progressing"},
    },
    "well": {"status__health": {"status": "Healthy"}},
}


@given(st.permutations(sorted(WRITES)))
def test_healthy_is_said_of_a_commit_only_after_the_last_of_what_it_needs(order: list[str]) -> None:
    """Whatever order the writes of one sync arrive in: its end, then a look that began after it, then health."""
    before = state("Succeeded", OLD, finishedAt=stamp(-9))
    app = application(OLD, operation={"sync": {"revision": NEW}}, status__operationState=before)
    for number, part in enumerate(order, 1):
        app, written = changed(app, **WRITES[part]), order[:number]
        if words(app)[:2] == (NEW, Health.HEALTHY):
            assert {"ended", "looked", "well"} <= {*written}
            assert written.index("looked") < written.index("well")
    for part in WRITES:
        app = changed(app, **WRITES[part])
    assert words(app)[:2] == (NEW, Health.HEALTHY)
