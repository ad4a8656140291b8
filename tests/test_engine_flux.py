"""The engine `flux`, its pure part: revisions, and what one read of a Kustomization and its source proves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from promotion.engines.addresses import same_repository
from promotion.engines.contract import Deployed, agreed
from promotion.engines.flux import helm, kustomization, source
from promotion.engines.flux.inventory import Ref, entries, left
from promotion.engines.flux.revision import commit
from promotion.engines.flux.status import taken
from promotion.errors import ConfigError
from promotion.model import Health, Reading, Subject
from tests.support import flux
from tests.support.flux import BRANCH, URL, M, N, P, at, condition, failing, release, repository, running

SUBJECT = Subject("shop", "qa", M, URL, BRANCH)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HEALTHY, PROGRESSING, DEGRADED = Health.HEALTHY, Health.PROGRESSING, Health.DEGRADED
UNKNOWN, SUSPENDED = Health.UNKNOWN, Health.SUSPENDED


def judged(ks: dict[str, Any], repo: dict[str, Any] | None = None) -> tuple[str | None, Health]:
    said = kustomization.judge(taken(ks), source.source(taken(repo or repository(M))), NOW)
    assert said.reading is not None
    assert said.reading.reason
    return said.revision, said.reading.health


def reason(ks: dict[str, Any], repo: dict[str, Any] | None = None) -> str:
    said = kustomization.judge(taken(ks), source.source(taken(repo or repository(M))), NOW)
    assert said.reading is not None
    return said.reading.reason


# --- revisions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (f"main@sha1:{M}", M),
        (f"sha1:{M}", M),
        (f"main/{M}", M),
        (f"env/qa/{M}", M),
        (f"HEAD/{M}", M),
        (f"env/qa@sha1:{M}", M),
        (f"refs/heads/env/qa@sha1:{M}", M),
        (f"refs/merge-requests/1/head@sha1:{M}", M),
        (f"v1.2.3@sha1:{M}", M),
        (f"user@feature/x@sha1:{M}", M),
        (f"a@b/{M}", M),
        (f"release/{P}@sha1:{M}", M),
        (f"x@{P}@sha1:{M}", M),
        (f"main@sha1:{M[:39]}", None),
        (f"main@sha1:{M[:12]}", None),
        (f"main@sha1:{M}0", None),
        (f"main@sha1:{'g' * 40}", None),
        (f"main@sha1:{'A' * 40}", None),
        (f"main@sha1:{M}\n", None),
        (f"main@sha256:{M}", None),
        (f"latest@sha256:{'0' * 64}", None),
        (f"main@sha1:{M}@x", None),
        (f"x:main/{M}", None),
        ("main", None),
        (M, None),
        (f"/{M}", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_only_a_whole_id_is_a_commit(revision: Any, expected: str | None) -> None:
    """Split at the last `@`, the hash after the last `:`; a short, foreign or malformed one names nothing."""
    assert commit(revision) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (URL, URL, True),
        (URL, "https://git.example.com/deploy/shop", True),
        (URL, "https://bot@" + "git.example.com".upper() + ":443/deploy/shop.git/", True),
        (URL, "ssh://git@git.example.com/deploy/shop.git", True),
        (URL, "ssh://git@git.example.com:2222/deploy/shop.git", True),
        (URL, "git@git.example.com:deploy/shop.git", True),
        (URL, "https://git.example.com:8443/deploy/shop.git", False),
        (URL, "https://git.example.com/deploy/shop2.git", False),
        (URL, "https://git.example.com/other/shop.git", False),
        (URL, "https://git.example.net/deploy/shop.git", False),
        ("/srv/git/shop.git", "file:///srv/git/shop", True),
        ("/srv/git/shop.git", "/srv/git/other.git", False),
        ("", "", False),
    ],
)
def test_one_repository_has_many_addresses(one: str, other: str, same: bool) -> None:
    """Protocol, user, `.git` and the host's case tell no repositories apart; hosts, ports and paths do."""
    assert same_repository(one, other) is same
    assert same_repository(other, one) is same


# --- the races on record, each as what one read shows of it ----------------------------------------------------------


def test_applied_and_ready_is_healthy() -> None:
    """The safe state: everything in one status is about one commit."""
    assert judged(flux.kustomization(M)) == (M, HEALTHY)


def test_suspended_but_ready() -> None:
    """A suspended Kustomization keeps Ready, and its status follows generations that were never applied."""
    ks = flux.kustomization(M, spec={"suspend": True}, generation=7, status={"observedGeneration": 7})
    assert judged(ks) == (M, SUSPENDED)


def test_suspended_comes_first() -> None:
    """Whatever else is true of it: deleted, failed, or never looked at."""
    for ks in (
        flux.kustomization(P, *failing(), attempted=M, spec={"suspend": True}),
        flux.kustomization(M, spec={"suspend": True}, deletionTimestamp="2026-01-01T00:00:00Z"),
        flux.kustomization(None, spec={"suspend": True}, status={"conditions": None, "observedGeneration": -1}),
    ):
        assert judged(ks)[1] is SUSPENDED


def test_created_suspended() -> None:
    """Never reconciled: observedGeneration is -1."""
    ks = flux.kustomization(None, status={"conditions": None, "observedGeneration": -1, "lastAttemptedRevision": None})
    assert judged(ks) == (M, PROGRESSING)


def test_old_generation() -> None:
    """The spec was changed (another path, say), and Ready is of before."""
    assert judged(flux.kustomization(M, generation=2)) == (M, PROGRESSING)
    for seen in (None, -1, 0):
        assert judged(flux.kustomization(M, status={"observedGeneration": seen}))[1] is PROGRESSING
    ahead = flux.kustomization(
        M, condition("Ready", "True", generation=1), generation=2, status={"observedGeneration": 2}
    )
    assert judged(ahead)[1] is PROGRESSING


def test_ready_stays_until_the_pass_begins() -> None:
    """A push changes the source only: Ready is of the commit before, and healthy is said of that one."""
    assert judged(flux.kustomization(P), repository(M)) == (P, HEALTHY)


def test_the_source_fails_and_keeps_its_old_artifact() -> None:
    """What runs is well; why nothing newer comes is said."""
    failed = repository(P, condition("Ready", "False", "GitOperationFailed", "authentication required"))
    assert judged(flux.kustomization(P), failed) == (P, HEALTHY)
    assert "GitRepository flux-system/shop fails: GitOperationFailed: authentication required" in reason(
        flux.kustomization(P), failed
    )


def test_the_source_is_suspended() -> None:
    """The same."""
    paused = repository(P, spec={"suspend": True})
    assert judged(flux.kustomization(P), paused) == (P, HEALTHY)
    assert "is suspended, so no newer commit comes" in reason(flux.kustomization(P), paused)


def test_the_pass_has_begun_and_names_no_attempt_yet() -> None:
    """Between the first write of a pass and the one with lastAttemptedRevision."""
    assert judged(flux.kustomization(P, *running(at(M)))) == (M, PROGRESSING)


def test_the_attempt_is_under_way() -> None:
    """Objects of two commits are there."""
    assert judged(flux.kustomization(P, *running(at(M)), attempted=M)) == (M, PROGRESSING)


def test_the_status_is_one_write_behind() -> None:
    """Ready is written, what was applied is not; or the other way round."""
    assert judged(flux.kustomization(P, attempted=M)) == (M, PROGRESSING)
    assert judged(flux.kustomization(M, condition("Ready", "Unknown", "Progressing"), attempted=M)) == (M, PROGRESSING)


def test_an_interval_pass_makes_ready_unknown() -> None:
    """The same commit is applied again: it has to end before it counts again."""
    assert judged(flux.kustomization(M, *running(at(M)))) == (M, PROGRESSING)


def test_ready_beside_reconciling_or_unhealthy_is_not_settled() -> None:
    """No controller ends a pass like that."""
    ready = condition("Ready", "True")
    assert judged(flux.kustomization(M, ready, condition("Reconciling", "True", "Progressing")))[1] is PROGRESSING
    assert judged(flux.kustomization(M, ready, condition("Healthy", "Unknown", "Progressing")))[1] is PROGRESSING
    assert judged(flux.kustomization(M, ready, condition("Healthy", "True"))) == (M, HEALTHY)


@pytest.mark.parametrize("why", ["HealthCheckFailed", "BuildFailed", "ReconciliationFailed", "PruneFailed"])
def test_failed_at_the_commit(why: str) -> None:
    """An attempt at what the source has ended badly: degraded, at that commit, though an older one is applied."""
    ks = flux.kustomization(P, *failing(why, "no matches for kind"), attempted=M)
    assert judged(ks) == (M, DEGRADED)
    assert f"{why}: no matches for kind" in reason(ks)


def test_failed_from_the_first_attempt() -> None:
    """observedGeneration stays at -1 until something went well: the condition itself says what it is about."""
    ks = flux.kustomization(None, *failing(), attempted=M, status={"observedGeneration": -1})
    assert judged(ks) == (M, DEGRADED)
    old = flux.kustomization(None, *failing(generation=None), attempted=M, status={"observedGeneration": -1})
    assert judged(old) == (M, PROGRESSING)


def test_a_failure_of_the_commit_before_is_stale() -> None:
    """The source has the next one already."""
    ks = flux.kustomization(P, *failing(), attempted=P)
    assert judged(ks, repository(M)) == (M, PROGRESSING)
    assert "2222222 is next, after 1111111 failed: HealthCheckFailed" in reason(ks, repository(M))


def test_a_failure_of_an_older_spec_is_stale() -> None:
    """Mended in the Kustomization, and not tried yet."""
    ks = flux.kustomization(P, *failing(generation=1), attempted=M, generation=2)
    assert judged(ks) == (M, PROGRESSING)


def test_progressing_with_retry_is_a_failure() -> None:
    """Reconciling=True beside Ready=False makes others say that it only goes on."""
    assert judged(flux.kustomization(P, *failing(), attempted=M))[1] is DEGRADED


def test_waiting_for_what_it_depends_on() -> None:
    """dependsOn: nothing of the commit was tried."""
    waits = condition(
        "Ready", "False", "DependencyNotReady", "dependency 'flux-system/infra' revision is not up to date"
    )
    ks = flux.kustomization(P, waits)
    assert judged(ks) == (M, PROGRESSING)
    assert "infra" in reason(ks)


def test_a_cancelled_health_check() -> None:
    """A newer commit took over: no failure of either."""
    cancelled = condition(
        "Ready", "False", "HealthCheckCanceled", "New reconciliation triggered by GitRepository/flux-system/shop"
    )
    assert judged(flux.kustomization(P, cancelled, attempted=M), repository(N)) == (N, PROGRESSING)


def test_an_artifact_that_cannot_be_fetched() -> None:
    """A network's trouble, which says nothing of the commit; nor does a source that is not there yet."""
    for message in ("failed to download archive: timeout", "Source artifact not found, retrying in 30s"):
        assert judged(flux.kustomization(P, *failing("ArtifactFailed", message, at(M)))) == (M, PROGRESSING)


def test_a_path_that_the_commit_does_not_have() -> None:
    """Found before an attempt is on record; the pass says in a message what it looked into."""
    message = "kustomization path not found: stat /tmp/kustomization-1/apps/shop: no such file or directory"
    assert judged(flux.kustomization(P, *failing("ArtifactFailed", message, at(M)))) == (M, DEGRADED)
    assert judged(flux.kustomization(P, *failing("ArtifactFailed", message, at(P)))) == (M, PROGRESSING)
    assert judged(flux.kustomization(P, *failing("ArtifactFailed", message))) == (M, PROGRESSING)


def test_stalled_is_an_end() -> None:
    """No commit gets past a wrong spec."""
    for why in ("InvalidCELExpression", "AccessDenied"):
        conditions = [condition("Ready", "False", why, "x"), condition("Stalled", "True", why, "x")]
        assert judged(flux.kustomization(P, *conditions)) == (M, DEGRADED)
        assert judged(flux.kustomization(P, *conditions, generation=2)) == (M, PROGRESSING)


def test_being_deleted() -> None:
    """Ready as it was."""
    assert judged(flux.kustomization(M, deletionTimestamp="2026-01-01T00:00:00Z"))[1] is PROGRESSING


@pytest.mark.parametrize("told", ["main", f"main@sha1:{M[:12]}", f"latest@sha256:{'0' * 64}"])
def test_a_revision_that_names_no_commit(told: str) -> None:
    """Ready, at nothing that could be looked up."""
    ks = flux.kustomization(M, status={"lastAppliedRevision": told, "lastAttemptedRevision": told})
    assert judged(ks) == (M, UNKNOWN)
    nothing = {"lastAppliedRevision": None, "lastAttemptedRevision": None}
    assert judged(flux.kustomization(M, condition("Ready", "True"), status=nothing)) == (M, UNKNOWN)


def test_a_request_that_is_not_handled_yet_is_told() -> None:
    """What runs was well before it was asked, and is."""
    asked = repository(
        P, annotations={"reconcile.fluxcd.io/requestedAt": "now"}, status={"lastHandledReconcileAt": "before"}
    )
    assert judged(flux.kustomization(P), asked) == (P, HEALTHY)
    assert "GitRepository flux-system/shop was asked to look again, and has not yet" in reason(
        flux.kustomization(P), asked
    )


def looked(minutes: float, **spec: Any) -> dict[str, Any]:
    """Ready, of a pass that ended so many minutes ago, as the newest of several."""
    times = [NOW - timedelta(days=30), NOW - timedelta(minutes=minutes), NOW - timedelta(days=3)]
    history = [{"lastReconciled": time.isoformat().replace("+00:00", "Z")} for time in times]
    return flux.kustomization(M, spec=spec, status={"history": history})


def test_flux_is_away() -> None:
    """Its word on health stays green for ever; it is too old after three intervals, a timeout and ten minutes."""
    assert judged(looked(49)) == (M, HEALTHY)
    assert judged(looked(51)) == (M, UNKNOWN)
    assert "looked at it 51m ago, and is to every 10m: is kustomize-controller away?" in reason(looked(51))
    assert judged(looked(51, timeout="12m0s")) == (M, HEALTHY)
    assert judged(looked(51, interval="1h30m")) == (M, HEALTHY)
    assert judged(looked(16, interval="90s", timeout="30s")) == (M, UNKNOWN)
    # what we look at ourselves is of now; and who does not say when, or how often, is believed
    assert judged(looked(5000, wait=False)) == (M, HEALTHY)
    assert judged(looked(5000, wait=False, healthChecks=[{"kind": "Pod"}])) == (M, UNKNOWN)
    assert judged(looked(5000, interval="soon")) == (M, HEALTHY)
    for history in (None, {}, [None, {}, {"lastReconciled": "yesterday"}]):
        assert judged(flux.kustomization(M, status={"history": history})) == (M, HEALTHY)


# --- images ----------------------------------------------------------------------------------------------------------

DIGEST, OLDER = f"latest@sha256:{'a' * 64}", f"latest@sha256:{'b' * 64}"


def image(commit: str = M, revision: str = DIGEST, **metadata: str) -> dict[str, Any]:
    origin = {"org.opencontainers.image.revision": at(commit), **metadata}
    repo = repository(
        M,
        status={"artifact": {"revision": revision, "metadata": origin}},
        spec={"url": "oci://registry.example.com/shop"},
    )
    return {**repo, "kind": "OCIRepository"}


def from_image(
    applied: str | None, *conditions: dict[str, Any], attempted: str = DIGEST, revision: str = DIGEST
) -> dict[str, Any]:
    status = {
        "lastAppliedRevision": revision,
        "lastAttemptedRevision": attempted,
        "lastAppliedOriginRevision": applied and at(applied),
    }
    return flux.kustomization(
        M, *conditions, status=status, spec={"sourceRef": {"kind": "OCIRepository", "name": "shop"}}
    )


def test_the_commit_of_an_image_is_its_origin() -> None:
    """The digest is Flux's revision, the commit stands in the artifact."""
    assert judged(from_image(M), image(M)) == (M, HEALTHY)
    assert judged(from_image(P, revision=OLDER, attempted=OLDER), image(M)) == (P, HEALTHY)
    assert judged(from_image(None), image(M)) == (M, UNKNOWN)


def test_a_failed_image() -> None:
    """Failed at the image that the source has, else stale."""
    assert judged(from_image(P, *failing(), revision=OLDER), image(M)) == (M, DEGRADED)
    assert judged(from_image(P, *failing(), revision=OLDER, attempted=OLDER), image(M)) == (M, PROGRESSING)


# --- whose source it is ----------------------------------------------------------------------------------------------


def check(repo: dict[str, Any]) -> None:
    source.check_ours(source.source(taken(repo)), SUBJECT, SUBJECT.repository)


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ({"branch": "main"}, "follows branch `main`, but env/qa is the branch of qa"),
        ({"branch": "qa"}, "follows branch `qa`"),
        (None, "follows branch `master`"),
        ({"branch": BRANCH, "commit": M}, f"follows commit `{M}` only"),
        ({"branch": BRANCH, "tag": "v1"}, "follows tag `v1`"),
        ({"branch": BRANCH, "semver": "1.x"}, "follows semver `1.x`"),
        ({"branch": BRANCH, "name": "refs/heads/main"}, "follows branch `main`"),
        ({"name": "refs/tags/env/qa"}, "follows `refs/tags/env/qa`"),
    ],
)
def test_another_branch_is_one_clear_line(ref: dict[str, str] | None, said: str) -> None:
    """In the order in which Flux takes what `ref` says."""
    with pytest.raises(ConfigError) as caught:
        check(repository(M, spec={"ref": ref}))
    assert said in str(caught.value)
    assert str(caught.value).startswith("GitRepository flux-system/shop: ")


def test_our_branch_by_either_name() -> None:
    """A branch, or its full ref."""
    check(repository(M))
    check(repository(M, spec={"ref": {"name": "refs/heads/env/qa"}}))
    check(repository(M, spec={"url": "ssh://git@git.example.com/deploy/shop"}))


def test_another_repository_is_one_clear_line() -> None:
    """No password of it is told."""
    with pytest.raises(
        ConfigError, match=r"its content comes from https://git.example.com/other.git, not from"
    ) as caught:
        check(repository(M, spec={"url": "https://bot:secret@git.example.com/other.git"}))
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"comes from https://git\.example\.com/other"):
        check(image(M, **{"org.opencontainers.image.source": "https://git.example.com/other"}))
    check(image(M, **{"org.opencontainers.image.source": "git@git.example.com:deploy/shop"}))
    check(image(M))


# --- HelmReleases ----------------------------------------------------------------------------------------------------


def released(hr: dict[str, Any]) -> Health:
    reading = helm.judge(taken(hr))
    assert reading.reason
    return reading.health


def test_a_release_is_well() -> None:
    """Generation, Ready and its newest release."""
    assert released(release()) is HEALTHY


def test_a_release_with_no_status() -> None:
    """Just created: kstatus calls it current."""
    hr = release()
    hr["status"] = {}
    assert released(hr) is PROGRESSING
    del hr["status"]
    assert released(hr) is PROGRESSING


def test_a_release_of_an_older_spec() -> None:
    """The Kustomization has changed its values, and Ready is of before."""
    assert released(release(generation=2)) is PROGRESSING
    assert released(release(status={"observedGeneration": None})) is PROGRESSING


def test_a_suspended_release() -> None:
    """Its status moves to generations that were never released."""
    assert released(release(spec={"suspend": True}, generation=4, status={"observedGeneration": 4})) is SUSPENDED


def test_a_remediated_release() -> None:
    """Rolled back: what runs is not what was asked for, whatever Ready says."""
    back = condition("Remediated", "True", "RollbackSucceeded", "Helm rollback to previous release web.v2 succeeded")
    assert released(release(condition("Ready", "True"), back)) is DEGRADED
    assert released(release(condition("Ready", "False", "RollbackSucceeded"), back)) is DEGRADED
    assert released(release(condition("Ready", "False", "RollbackSucceeded"), back, generation=2)) is PROGRESSING


@pytest.mark.parametrize("why", ["InstallFailed", "UpgradeFailed", "TestFailed", "RollbackFailed"])
def test_a_failed_release(why: str) -> None:
    """Of this spec; of an older one it is stale. While it has tries left its observedGeneration does not move."""
    failed = condition("Ready", "False", why, "timed out waiting for the condition", generation=2)
    assert released(release(failed, generation=2)) is DEGRADED
    assert released(release(failed, generation=3)) is PROGRESSING


def test_a_stalled_release() -> None:
    """No tries left."""
    stalled = condition("Stalled", "True", "RetriesExceeded", "Failed to upgrade after 3 attempt(s)")
    for why in ("UpgradeFailed", "ArtifactFailed"):
        assert released(release(condition("Ready", "False", why), stalled)) is DEGRADED


@pytest.mark.parametrize("why", ["ArtifactFailed", "DependencyNotReady", "SourceNotReady", "HealthCheckCanceled"])
def test_a_release_that_waits(why: str) -> None:
    """Nothing was tried."""
    assert released(release(condition("Ready", "False", why))) is PROGRESSING


def test_a_release_in_a_pass() -> None:
    """helm-controller keeps Ready while it looks whether there is anything to do."""
    assert (
        released(
            release(
                condition("Ready", "True"), condition("Reconciling", "True", "Progressing", "Fulfilling prerequisites")
            )
        )
        is PROGRESSING
    )
    assert released(release(condition("Ready", "Unknown", "Progressing"))) is PROGRESSING


@pytest.mark.parametrize(
    "history", [None, [], [{"status": "superseded"}], [{"status": "failed"}], [{"status": "pending-upgrade"}], [{}], {}]
)
def test_ready_without_a_deployed_release(history: Any) -> None:
    """Ready is not believed alone."""
    assert released(release(status={"history": history})) is UNKNOWN


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"chartVersion": "0.9.0"}, UNKNOWN),
        ({"configDigest": "sha256:" + "9" * 64}, UNKNOWN),
        ({"configDigest": "blake3:" + "9" * 64}, HEALTHY),
        ({}, HEALTHY),
    ],
)
def test_ready_with_a_release_of_something_else(other: dict[str, str], expected: Health) -> None:
    """What was tried last is not what runs, though nobody speaks of going back; two algorithms cannot be compared."""
    tried = release(status={"lastAttemptedConfigDigest": flux.DIGEST})
    newest = tried["status"]["history"][0]
    assert released(flux.changed(tried, history=[newest | other])) is expected


# --- inventories -----------------------------------------------------------------------------------------------------


def test_entries_of_an_inventory() -> None:
    """Namespace, name, group and kind; core kinds have no group, cluster-wide ones no namespace, and `__` is a `:`."""
    ks = taken(
        flux.kustomization(
            M,
            entries=[
                "shop_web_apps_Deployment",
                "shop_conf__ConfigMap",
                "_crds.example.com_apiextensions.k8s.io_CustomResourceDefinition",
                "_system__view_rbac.authorization.k8s.io_ClusterRole",
            ],
        )
    )
    assert list(entries(ks)) == [
        Ref("apps", "Deployment", "shop", "web"),
        Ref("", "ConfigMap", "shop", "conf"),
        Ref("apiextensions.k8s.io", "CustomResourceDefinition", "", "crds.example.com"),
        Ref("rbac.authorization.k8s.io", "ClusterRole", "", "system:view"),
    ]


@pytest.mark.parametrize("entry", ["", "web", "shop_web", "shop_web_apps", "shop_web_apps_", "shop__apps_Deployment"])
def test_an_inventory_that_cannot_be_read(entry: str) -> None:
    """Nothing is left out silently."""
    with pytest.raises(ValueError, match="names no object"):
        entries(taken(flux.kustomization(M, entries=[entry])))


def test_what_flux_looks_after_itself() -> None:
    """`wait` covers all but what Flux's own kinds hide, `healthChecks` what they name, nothing covers nothing."""
    names = [
        "shop_web_apps_Deployment",
        "shop_db_apps_StatefulSet",
        "shop_s__Secret",
        "shop_web_helm.toolkit.fluxcd.io_HelmRelease",
    ]
    web, db, chart = (
        Ref("apps", "Deployment", "shop", "web"),
        Ref("apps", "StatefulSet", "shop", "db"),
        Ref("helm.toolkit.fluxcd.io", "HelmRelease", "shop", "web"),
    )
    checks = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "shop"}]
    for spec, expected in (
        ({"wait": True}, [chart]),
        ({"wait": False}, [web, db, chart]),
        ({"wait": False, "healthChecks": checks}, [db, chart]),
    ):
        live = taken(flux.kustomization(M, entries=names, spec=spec))
        assert left(live, entries(live)) == expected


# --- several, and what is no object of Flux's ------------------------------------------------------------------------


def both(one: tuple[str | None, Health], other: tuple[str | None, Health]) -> tuple[str | None, Health]:
    answers = [
        (name, Deployed(revision, Reading(health, f"{name} {health}")))
        for name, (revision, health) in (("a", one), ("b", other))
    ]
    said = agreed(answers, M)
    assert said.reading is not None
    return said.revision, said.reading.health


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((M, HEALTHY), (M, HEALTHY), (M, HEALTHY)),
        ((M, HEALTHY), (M, PROGRESSING), (M, PROGRESSING)),
        ((M, HEALTHY), (M, DEGRADED), (M, DEGRADED)),
        ((M, HEALTHY), (P, HEALTHY), (M, PROGRESSING)),
        ((P, HEALTHY), (P, HEALTHY), (P, HEALTHY)),
        ((M, DEGRADED), (P, HEALTHY), (M, DEGRADED)),
        ((P, DEGRADED), (M, HEALTHY), (M, PROGRESSING)),
        ((P, DEGRADED), (M, SUSPENDED), (M, SUSPENDED)),
        ((N, HEALTHY), (P, HEALTHY), (M, PROGRESSING)),
        ((M, UNKNOWN), (P, HEALTHY), (M, UNKNOWN)),
        ((None, UNKNOWN), (M, HEALTHY), (M, UNKNOWN)),
    ],
)
def test_several_must_agree(one: Any, other: Any, expected: Any) -> None:
    """At one commit, all healthy; failed at the expected one is failed, whatever the others are at."""
    assert both(one, other) == expected
    assert both(other, one) == expected


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {"metadata": {}},
        {"metadata": {"generation": "1"}, "spec": {}},
        {"metadata": {}, "spec": {}, "status": {"conditions": {}}},
        {"metadata": {}, "spec": {}, "status": {"conditions": ["Ready"]}},
        {"metadata": {}, "spec": {}, "status": {"conditions": [{"type": "Ready", "status": True}]}},
        {
            "metadata": {},
            "spec": {},
            "status": {"conditions": [condition("Ready", "True"), condition("Ready", "False")]},
        },
        {"metadata": {}, "spec": {}, "status": {"observedGeneration": True}},
    ],
)
def test_what_is_no_object_of_fluxs(broken: Any) -> None:
    """Nothing is made of it."""
    with pytest.raises(ValueError, match=r"is no|without a type"):
        taken(broken)
