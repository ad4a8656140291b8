"""Our operator against a real API server: order, drift, conflicts, immutable fields, pruning, and a kill at each request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from promotion import kube
from promotion.engines.kubernetes import conflicts
from promotion.engines.kubernetes.inventory import Target
from promotion.engines.kubernetes.objects import OWNER, PRUNE, RECREATE
from promotion.engines.kubernetes.pace import Pace
from promotion.engines.kubernetes.rounds import ALLOW
from promotion.errors import ConfigError, RefusedError, TemporaryError
from promotion.model import Health, Reading
from tests.support.apiserver import ApiServer, until
from tests.support.operated import (
    CONFIG_MAP,
    DEPLOYMENT,
    A,
    B,
    C,
    D,
    Doomed,
    Killed,
    config,
    deploy,
    deployment,
    is_there,
    kept,
    names,
    observe,
    target,
    there,
)

pytestmark = pytest.mark.cluster

CRD = kube.Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", False)

WEBHOOKS = "validatingwebhookconfigurations"
JOB = kube.Kind("batch", "v1", "Job", "jobs", True)


@pytest.fixture
def client(cluster: ApiServer, tmp_path: Path) -> kube.Cluster:
    """Our own door, as the administrator."""
    return connected(cluster, tmp_path, "admin")


def connected(cluster: ApiServer, folder: Path, user: str) -> kube.Cluster:
    return kube.connect({"kubeconfig": str(cluster.kubeconfig(folder / "kubeconfig")), "context": user}, {})


@pytest.fixture
def place(client: kube.Cluster, namespace: str) -> Target:
    return target(client, namespace)


def edit(place: Target, kind: kube.Kind, name: str, body: dict[str, Any], manager: str = "kubectl-edit") -> None:
    """What somebody changes by hand."""
    place.cluster.patch(kind, name, place.namespace, body, manager=manager)


def definition(group: str) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def pod() -> dict[str, Any]:
    return {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "web:1"}]}}


def widget(group: str) -> dict[str, Any]:
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "one"}, "spec": {"size": 1}}


# --- the way of a revision ------------------------------------------------------------------------------------------


def test_a_revision_is_applied_observed_and_left_alone(place: Target) -> None:
    """Healthy only when its pods are; an idle round writes nothing."""
    assert observe(place).revision is None
    assert deploy(place, A, deployment(), config("a", x="1")).revision == A
    until(lambda: (seen := observe(place)).revision == A and seen.reading and seen.reading.health is Health.HEALTHY)
    version = place.cluster.get(CONFIG_MAP, "promotion-shop-prod", place.namespace)["metadata"]["resourceVersion"]
    calls = Doomed(place.cluster, 0)
    assert deploy(target(calls, place.namespace), A, deployment(), config("a", x="1")).reverted == ()
    assert calls.calls == 3, "the inventory, and one list a kind"
    assert (
        place.cluster.get(CONFIG_MAP, "promotion-shop-prod", place.namespace)["metadata"]["resourceVersion"] == version
    )


def test_a_broken_rollout_is_degraded_or_on_its_way(place: Target) -> None:
    """Never healthy, though all was applied."""
    deploy(place, A, deployment(image="broken:1"))
    seen = observe(place)
    assert seen.revision == A
    assert seen.reading is not None
    assert seen.reading.health is not Health.HEALTHY


def test_what_is_gone_from_git_is_pruned_and_nothing_else(place: Target) -> None:
    """Somebody else's objects stay, labels or not."""
    theirs = config("theirs", x="1")
    theirs["metadata"] |= {"namespace": place.namespace, "labels": {OWNER: f"shop.prod.{place.namespace}"}}
    place.cluster.create(CONFIG_MAP, theirs)
    deploy(place, A, config("a"), config("b"), config("c", annotations={PRUNE: "disabled"}))
    assert deploy(place, B, config("a")).revision == B
    assert set(there(place.cluster, place.namespace)) == {"ConfigMap/a", "ConfigMap/c", "ConfigMap/theirs"}
    assert names(place) == ["ConfigMap/a", "ConfigMap/c"], "it stays, and is looked after"
    edit(place, CONFIG_MAP, "c", {"metadata": {"annotations": {PRUNE: None}}})
    deploy(place, C, config("a"))
    assert names(place) == ["ConfigMap/a"]
    assert not is_there(place.cluster, CONFIG_MAP, "c", place.namespace)


def test_what_has_finalizers_is_in_the_inventory_until_it_is_gone(place: Target) -> None:
    """The server says yes at once."""
    deploy(place, A, config("a"), config("b"))
    edit(place, CONFIG_MAP, "b", {"metadata": {"finalizers": ["example.com/backup"]}})
    for _ in range(2):
        assert deploy(place, B, config("a")).waits
        assert names(place) == ["ConfigMap/a", "ConfigMap/b"]
    seen = observe(place)
    assert seen.reading is not None
    assert (seen.revision, seen.reading.health) == (B, Health.PROGRESSING)
    assert f"ConfigMap/{place.namespace}/b: is being deleted, and waits for example.com/backup" in seen.reading.reason
    edit(place, CONFIG_MAP, "b", {"metadata": {"finalizers": None}})
    assert deploy(place, B, config("a")).revision == B
    assert names(place) == ["ConfigMap/a"]


def test_a_job_that_its_cluster_removes_runs_once(place: Target) -> None:
    """Its content counts: the cluster's own controllers end and remove it."""
    spec = {"completions": 0, "ttlSecondsAfterFinished": 1, "template": pod()}
    migrate = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": spec}
    assert deploy(place, A, migrate, config("a")).revision == A
    until(lambda: not is_there(place.cluster, JOB, "migrate", place.namespace), 60)
    for revision in (A, B):
        done = deploy(place, revision, migrate, config("a", x=revision))
        assert (done.revision, done.reverted) == (revision, ())
        assert not is_there(place.cluster, JOB, "migrate", place.namespace)
    seen = observe(place)
    assert seen.reading is not None
    assert (seen.revision, seen.reading.health) == (B, Health.UNKNOWN), "nobody looked while it was there"
    migrate["spec"] = {**spec, "ttlSecondsAfterFinished": 10}
    deploy(place, C, migrate, config("a"))

    def has_ended() -> bool:
        deploy(place, C, migrate, config("a"))
        return [entry[9] for entry in kept(place)["objects"] if entry[2] == "Job"] == ["Complete"]

    until(has_ended, 60)
    until(lambda: not is_there(place.cluster, JOB, "migrate", place.namespace), 60)
    assert deploy(place, C, migrate, config("a")).revision == C
    assert not is_there(place.cluster, JOB, "migrate", place.namespace)
    seen = observe(place)
    assert (seen.revision, seen.reading and seen.reading.health) == (C, Health.HEALTHY)


def test_a_job_that_somebody_deletes_while_it_runs_is_made_again(place: Target) -> None:
    """Its cluster removes finished ones only, and nothing before its time."""
    spec = {"ttlSecondsAfterFinished": 600, "template": pod()}
    migrate = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": spec}
    deploy(place, A, migrate, config("a"))
    place.cluster.delete(JOB, "migrate", place.namespace)
    until(lambda: not is_there(place.cluster, JOB, "migrate", place.namespace), 60)
    until(lambda: deploy(place, A, migrate, config("a")).revision == A, 60)
    assert is_there(place.cluster, JOB, "migrate", place.namespace)


def test_definitions_and_their_objects_come_in_one_revision(place: Target) -> None:
    """The definition first, and its object once it is established; pruned only where it says so."""
    group = f"{place.namespace}.example.com"
    done = deploy(place, A, widget(group), definition(group))
    assert (done.revision, done.reading) == (A, None)
    assert names(place) == [f"CustomResourceDefinition/widgets.{group}", "Widget/one"]
    deploy(place, B, config("a"), definition(group))
    assert deploy(place, C, config("a")).revision == C
    assert is_there(place.cluster, CRD, f"widgets.{group}", "")
    place.cluster.delete(CRD, f"widgets.{group}")


def test_a_kind_that_nobody_defines_is_told_and_the_rest_applied(place: Target) -> None:
    """With the object's file, and which apiVersion is not known."""
    done = deploy(place, A, widget("nobody.example.com"), config("a"))
    assert done.revision is None
    assert done.reading is not None
    assert "Widget.yaml: Widget/" in done.reading.reason
    assert is_there(place.cluster, CONFIG_MAP, "a", place.namespace)
    seen = observe(place)
    assert (seen.revision, seen.reading and seen.reading.health) == (A, Health.DEGRADED)


def test_webhooks_come_last(place: Target) -> None:
    """One that is not served yet keeps away nothing of the revision that brings it."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    hook = {
        "name": f"{place.namespace}.example.com",
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
        "objectSelector": {"matchExpressions": [{"key": OWNER, "operator": "Exists"}]},
        "clientConfig": {"service": {"name": "hook", "namespace": place.namespace}},
    }
    kind = "ValidatingWebhookConfiguration"
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": place.namespace},
        "webhooks": [hook],
    }
    assert deploy(place, A, webhook, config("a"), config("b")).revision == A
    done = deploy(place, B, webhook, config("a", x="1"), config("b"))
    assert done.revision == A
    assert done.reading is not None
    assert "ConfigMap.yaml: ConfigMap/" in done.reading.reason
    assert deploy(place, C, config("a"), config("b"), config("c")).revision == A, (
        "webhooks are pruned when all is applied"
    )
    place.cluster.delete(
        kube.Kind("admissionregistration.k8s.io", "v1", kind, f"{kind.lower()}s", False), place.namespace
    )


# --- drift and conflicts --------------------------------------------------------------------------------------------


def test_what_was_changed_by_hand_is_put_back_and_recorded(place: Target) -> None:
    """With its path and the name under which it was changed; what nobody applied stays."""
    deploy(place, A, deployment(), config("a", x="1", y="2"))
    edit(place, DEPLOYMENT, "web", {"spec": {"replicas": 5, "minReadySeconds": 7}})
    edit(place, CONFIG_MAP, "a", {"data": {"x": None, "z": "3"}})
    assert (seen := observe(place).reading) is not None
    assert seen.health is not Health.HEALTHY
    done = deploy(place, A, deployment(), config("a", x="1", y="2"))
    ns = place.namespace
    assert done.reverted == (f"ConfigMap/{ns}/a:.data.x", f"Deployment/{ns}/web:.spec.replicas (kubectl-edit)")
    spec = place.cluster.get(DEPLOYMENT, "web", ns)["spec"]
    assert (spec["replicas"], spec["minReadySeconds"]) == (2, 7)
    assert place.cluster.get(CONFIG_MAP, "a", ns)["data"] == {"x": "1", "y": "2", "z": "3"}
    record = observe(place).records[0]
    assert (record.revision, record.managers) == (A, ("kubectl-edit",))
    assert set(record.paths) == {f"ConfigMap/{ns}/a:.data.x", f"Deployment/{ns}/web:.spec.replicas"}
    assert deploy(place, A, deployment(), config("a", x="1", y="2")).reverted == ()


def test_what_was_deleted_by_hand_is_made_again(place: Target) -> None:
    deploy(place, A, config("a"))
    place.cluster.delete(CONFIG_MAP, "a", place.namespace)
    assert (seen := observe(place).reading) is not None
    assert seen.health is Health.MISSING
    assert deploy(place, A, config("a")).reverted == (f"ConfigMap/{place.namespace}/a",)
    assert is_there(place.cluster, CONFIG_MAP, "a", place.namespace)


def test_what_a_controller_has_is_reported_and_not_taken(place: Target) -> None:
    """Not even when it comes again; with `force` it is, and once Git leaves it alone all is well."""
    deploy(place, A, deployment())
    edit(place, DEPLOYMENT, "web", {"spec": {"replicas": 5}}, "kustomize-controller")
    for _ in range(2):
        done = deploy(place, A, deployment())
        assert (done.reverted, done.reading and done.reading.health) == ((), Health.DEGRADED)
        assert done.reading is not None
        assert ".spec.replicas is kustomize-controller's" in done.reading.reason
    assert place.cluster.get(DEPLOYMENT, "web", place.namespace)["spec"]["replicas"] == 5
    assert observe(place).records == ()
    less = deployment()
    del less["spec"]["replicas"]
    assert deploy(place, B, less).revision == B
    assert place.cluster.get(DEPLOYMENT, "web", place.namespace)["spec"]["replicas"] == 5
    assert deploy(target(place.cluster, place.namespace, force=True), C, deployment()).revision == C
    assert place.cluster.get(DEPLOYMENT, "web", place.namespace)["spec"]["replicas"] == 2


def test_whoever_does_it_again_and_again_is_a_controller(place: Target) -> None:
    """A name that nobody knows is put back some times, and then told of."""
    deploy(place, A, config("a", x="1"))
    for _ in range(conflicts.FOUGHT):
        edit(place, CONFIG_MAP, "a", {"data": {"x": "2"}}, "wonderbot")
        assert deploy(place, A, config("a", x="1")).reverted
    edit(place, CONFIG_MAP, "a", {"data": {"x": "2"}}, "wonderbot")
    done = deploy(place, A, config("a", x="1"))
    assert done.reverted == ()
    assert done.reading is not None
    assert ".data.x is wonderbot's" in done.reading.reason


def test_what_kubectl_applied_is_taken_over_once(place: Target, cluster: ApiServer) -> None:
    """So that what Git does not have goes away."""
    old = config("a", x="0", gone="1")
    old["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    with cluster.client() as client:
        path = f"/api/v1/namespaces/{place.namespace}/configmaps"
        client.post(path, params={"fieldManager": "kubectl-client-side-apply"}, json=old).raise_for_status()
    assert deploy(place, A, config("a", x="1")).revision == A
    live = place.cluster.get(CONFIG_MAP, "a", place.namespace)
    assert live["data"] == {"x": "1"}
    assert not live["metadata"].get("annotations")
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == ["promotion"]


def test_one_object_is_not_in_two_environments(place: Target) -> None:
    """Whoever comes second is told; and whoever had it first prunes nothing that was taken over with `force`."""
    deploy(place, A, config("a"), config("b"))
    other = target(place.cluster, place.namespace, "qa")
    done = deploy(other, A, config("a"))
    assert done.reading is not None
    assert "belongs to shop.prod" in done.reading.reason
    assert deploy(target(place.cluster, place.namespace, "qa", force=True), A, config("a")).revision == A
    assert deploy(place, B, config("b")).revision == B
    assert is_there(place.cluster, CONFIG_MAP, "a", place.namespace)


# --- what cannot be changed -----------------------------------------------------------------------------------------


def test_an_immutable_field_is_named_and_the_rest_applied(place: Target) -> None:
    """Nothing is pruned while something of the revision is not there; deleted and made again only where that is allowed."""
    deploy(place, A, deployment(), config("a"))
    uid = place.cluster.get(DEPLOYMENT, "web", place.namespace)["metadata"]["uid"]
    done = deploy(place, B, deployment(app="other"), config("b"))
    assert done.revision == A
    assert done.reading is not None
    assert "spec.selector" in done.reading.reason
    assert RECREATE in done.reading.reason
    assert set(there(place.cluster, place.namespace)) == {"ConfigMap/a", "ConfigMap/b", "Deployment/web"}
    assert deploy(place, C, deployment(app="other", **{RECREATE: "enabled"}), config("b")).revision == C
    assert place.cluster.get(DEPLOYMENT, "web", place.namespace)["metadata"]["uid"] != uid
    assert set(there(place.cluster, place.namespace)) == {"ConfigMap/b", "Deployment/web"}


def test_what_would_be_wrong_as_a_new_object_is_not_deleted(place: Target) -> None:
    """Whatever its annotation says."""
    deploy(place, A, deployment())
    uid = place.cluster.get(DEPLOYMENT, "web", place.namespace)["metadata"]["uid"]
    wrong = deployment(app="other", **{RECREATE: "enabled"})
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "third"}
    assert deploy(place, B, wrong).revision == A
    assert place.cluster.get(DEPLOYMENT, "web", place.namespace)["metadata"]["uid"] == uid


@pytest.mark.parametrize(("seconds", "said"), [(1, "failed calling webhook"), (20, "does an admission webhook hang?")])
def test_a_webhook_that_hangs_keeps_its_objects_and_no_others(place: Target, seconds: int, said: str) -> None:
    """A server that is asked, and never answers: its own deadline is the shorter one, or ours is."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
        hook = {
            "name": f"{place.namespace}.example.com",
            "rules": [rule],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": seconds,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
            "objectSelector": {"matchExpressions": [{"key": OWNER, "operator": "Exists"}]},
            "clientConfig": {"url": f"https://127.0.0.1:{silent.getsockname()[1]}/"},
        }
        metadata = {"name": place.namespace}
        kind = kube.Kind(*["admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"], WEBHOOKS, False)
        place.cluster.create(
            kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "webhooks": [hook]}
        )
        hasty = replace(place, pace=Pace(each=4.0, brief=4.0, patience=3.0, most=3.5))
        until(lambda: said in (deploy(hasty, A, config("a")).reading or Reading(Health.UNKNOWN, "")).reason)
        done = deploy(hasty, B, *(config(name) for name in "abcdef"), deployment())
        assert (done.revision, done.waits) == (None, False)
        assert "Deployment/web" in there(place.cluster, place.namespace)
        seen = observe(place)
        assert seen.reading is not None
        assert seen.reading.health is Health.PROGRESSING
        assert f"ConfigMap/{place.namespace}/a" in seen.reading.reason
        assert said in seen.reading.reason
        place.cluster.delete(kind, place.namespace)

    def applied() -> bool:
        return deploy(place, B, *(config(name) for name in "abcdef"), deployment()).revision == B

    until(applied)


# --- the guards -----------------------------------------------------------------------------------------------------


def test_suspiciously_much_is_pruned_only_when_somebody_allows_it(place: Target) -> None:
    """For one revision, by its name; observed as a failure until then."""
    everything = [config(name) for name in "abcde"]
    deploy(place, A, *everything)
    for objects in ([], [config("a"), config("n")]):
        with pytest.raises(RefusedError) as caught:
            deploy(place, B, *objects)
        assert f"{ALLOW}={B}" in (caught.value.hint or "")
        assert not is_there(place.cluster, CONFIG_MAP, "n", place.namespace)
    assert len(there(place.cluster, place.namespace)) == 5
    seen = observe(place)
    assert (seen.revision, seen.reading and seen.reading.health) == (B, Health.DEGRADED)
    edit(place, CONFIG_MAP, "promotion-shop-prod", {"metadata": {"annotations": {ALLOW: B}}})
    assert deploy(place, B, config("a")).revision == B
    assert set(there(place.cluster, place.namespace)) == {"ConfigMap/a"}
    deploy(place, C, *everything)
    with pytest.raises(RefusedError):
        deploy(place, D)


def test_another_namespace_is_refused_whole(place: Target) -> None:
    """Before anything is applied; it is observed as a failure."""
    elsewhere = config("b")
    elsewhere["metadata"]["namespace"] = "kube-system"
    with pytest.raises(ConfigError, match="for namespace `kube-system`"):
        deploy(place, A, config("a"), elsewhere)
    assert there(place.cluster, place.namespace) == {}
    assert observe(place).revision == A


def test_two_operators_do_no_harm(place: Target) -> None:
    """Whoever looked before the other one wrote writes nothing, and comes again."""
    deploy(place, A, config("a"))

    class Slow:
        """A client of an operator that sleeps for a round between looking and writing."""

        def __getattr__(self, name: str) -> Any:
            if name == "patch":
                deploy(place, B, config("a"), config("b"))
            return getattr(place.cluster, name)

    with pytest.raises(TemporaryError, match="another operator is at work"):
        deploy(target(Slow(), place.namespace), C, config("a"), config("c"))
    assert set(there(place.cluster, place.namespace)) == {"ConfigMap/a", "ConfigMap/b"}
    assert deploy(place, C, config("a"), config("c")).revision == C


# --- kills ----------------------------------------------------------------------------------------------------------

FIRST = [deployment(), config("a", x="1"), config("gone", x="1"), config("changed", x="1")]
SECOND = [
    deployment(app="other", **{RECREATE: "enabled"}),
    *(config("a", x="1"), config("changed", x="2"), config("new", x="1")),
]

BACK = [deployment(**{RECREATE: "enabled"}), *FIRST[1:]]


def begun(client: kube.Cluster, namespace: str) -> Target:
    """A revision, something changed by hand, and an object of somebody else."""
    place = target(client, namespace)
    deploy(place, A, *FIRST)
    edit(place, CONFIG_MAP, "a", {"data": {"x": "9"}})
    theirs = config("theirs")
    theirs["metadata"]["namespace"] = namespace
    client.create(CONFIG_MAP, theirs)
    return place


def state(place: Target) -> dict[str, Any]:
    found = there(place.cluster, place.namespace)
    return {name: live["spec"]["selector"] if "spec" in live else live.get("data") for name, live in found.items()}


@pytest.mark.parametrize(("revision", "then"), [(B, SECOND), (C, BACK)], ids=["again", "back"])
def test_a_kill_at_any_request_is_made_good_by_the_next_round(
    client: kube.Cluster, cluster: ApiServer, revision: str, then: list[dict[str, Any]]
) -> None:
    """Before the server got it, and before we had its answer: the same in the end, and nothing pruned that must not be."""
    places = fresh(cluster)
    whole = begun(client, next(places))
    counted = Doomed(client, 0)
    deploy(target(counted, whole.namespace), B, *SECOND)
    assert counted.calls > 10
    deploy(whole, revision, *then)
    wanted, listed = state(whole), names(whole)
    assert set(listed) | {"ConfigMap/theirs"} == set(wanted)
    for at in range(1, counted.calls + 1):
        for after in (False, True):
            place = begun(client, next(places))
            with suppress(Killed):  # how often it looks whether something is gone differs
                deploy(target(Doomed(client, at, after), place.namespace), B, *SECOND)
            assert "ConfigMap/theirs" in there(client, place.namespace)
            seen = observe(place)
            assert (seen.revision, seen.reading and seen.reading.health) != (B, Health.HEALTHY)
            assert deploy(place, revision, *then).revision == revision, (at, after)
            assert (state(place), names(place)) == (wanted, listed), (at, after)
            assert kept(place)["applied"] == revision
            assert {r.paths for r in observe(place).records} == {(f"ConfigMap/{place.namespace}/a:.data.x",)}, (
                "once or twice"
            )


def fresh(cluster: ApiServer) -> Iterator[str]:
    """New namespaces."""
    with cluster.client() as client:
        for number in range(1000):
            name = f"kill-{int(datetime.now(UTC).timestamp())}-{number}"
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            client.post("/api/v1/namespaces", json=body).raise_for_status()
            yield name
