"""Rounds of our operator against a stub of an API server: what each guard keeps from happening. The real one: tests/cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion import kube
from promotion.engines import kubernetes
from promotion.engines.kubernetes import conflicts, inventory
from promotion.engines.kubernetes.inventory import Target
from promotion.engines.kubernetes.objects import OWNER, PRUNE, RECREATE
from promotion.engines.kubernetes.pace import Pace
from promotion.engines.kubernetes.rounds import ALLOW
from promotion.errors import ConfigError, RefusedError, TemporaryError
from promotion.model import Health, Subject
from tests.support.kubestub import Fault, KubeStub
from tests.support.operated import (
    CONFIG_MAP,
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
from tests.test_operator_documents import Files

NS = "shop"
INVENTORY = "promotion-shop-prod"
HEALTHY = {
    "observedGeneration": 1,
    **dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2),
    "conditions": [
        {"type": "Available", "status": "True"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ],
}


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path, tls=False) as stub:
        yield stub


@pytest.fixture
def place(stub: KubeStub) -> Target:
    return target(kube.connect({"context": "stub"}, stub.environ), NS, patience=timedelta(0))


def health(place: Target) -> tuple[str | None, Health | None, str]:
    seen = observe(place)
    return seen.revision, seen.reading.health if seen.reading else None, seen.reading.reason if seen.reading else ""


def objects(place: Target) -> set[str]:
    return set(there(place.cluster, NS))


# --- the way of a revision ------------------------------------------------------------------------------------------


def test_healthy_is_what_is_applied_whole_untouched_and_well(stub: KubeStub, place: Target) -> None:
    """Each of the three is asked for."""
    assert health(place)[:2] == (None, Health.MISSING)
    assert deploy(place, A, deployment(), config("a", x="1")).revision == A
    assert health(place)[:2] == (A, Health.PROGRESSING)
    stub.change("Deployment", "web", NS, {"status": HEALTHY})
    assert health(place) == (A, Health.HEALTHY, "2 objects are as applied, and healthy")
    stub.change("ConfigMap", "a", NS, {"data": {"x": "2"}})
    assert health(place) == (A, Health.PROGRESSING, "ConfigMap/shop/a: was changed since it was applied")
    stub.remove("ConfigMap", "a", NS)
    assert health(place) == (A, Health.MISSING, "ConfigMap/shop/a: is gone")


def test_one_object_that_is_degraded_is_enough(stub: KubeStub, place: Target) -> None:
    """The others may be as well as they like."""
    deploy(place, A, deployment(), deployment("db"))
    stub.change("Deployment", "web", NS, {"status": HEALTHY})
    late = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    stub.change("Deployment", "db", NS, {"status": {**HEALTHY, "conditions": late}})
    revision, word, why = health(place)
    assert (revision, word) == (A, Health.DEGRADED)
    assert why.startswith("Deployment/shop/db: ")


def test_what_was_changed_by_hand_says_nothing_of_the_revision(stub: KubeStub, place: Target) -> None:
    """A person who breaks something makes no promotion fail."""
    deploy(place, A, deployment())
    stub.change("Deployment", "web", NS, {"spec": {"replicas": 9}}, "kubectl-scale")
    late = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    stub.change("Deployment", "web", NS, {"status": {**HEALTHY, "observedGeneration": 2, "conditions": late}})
    assert health(place)[:2] == (A, Health.PROGRESSING)


def test_nobody_but_the_operator_reads_secrets(stub: KubeStub, place: Target) -> None:
    """Whoever only looks needs no right to."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "x"}}
    deploy(place, A, secret, config("a"))
    assert (stub.find("Secret", "db", NS) or {})["data"] == {"password": "eA=="}
    stub.denied.append(f"GET /api/v1/namespaces/{NS}/secrets")
    assert health(place)[:2] == (A, Health.HEALTHY)


def test_an_idle_round_asks_once_a_kind_and_writes_nothing(stub: KubeStub, place: Target) -> None:
    """However many objects there are."""
    everything = [*(config(f"c{n}") for n in range(20)), *(deployment(f"d{n}") for n in range(20))]
    deploy(place, A, *everything)
    stub.asked.clear()
    assert deploy(place, A, *everything).revision == A
    assert [(each.method, each.path.rpartition("/")[2]) for each in stub.asked] == [
        *(("GET", INVENTORY), ("GET", "configmaps"), ("GET", "deployments")),
    ]


def test_another_revision_with_the_same_objects_is_said_to_be_there(place: Target) -> None:
    """Nothing else is written."""
    deploy(place, A, config("a"))
    calls = Doomed(place.cluster, 0)
    assert deploy(target(calls, NS), B, config("a")).revision == B
    assert (calls.calls, kept(place)["applied"]) == (3, B)


def test_a_reading_is_of_one_state(place: Target) -> None:
    """When the operator was at work meanwhile there is none."""
    deploy(place, A, config("a"))

    class Meanwhile:
        """A client between whose two questions another revision is deployed."""

        def __getattr__(self, name: str) -> Any:
            if name == "list":
                deploy(place, B, config("a", x="2"))
            return getattr(place.cluster, name)

    with pytest.raises(TemporaryError, match="the operator was at work"):
        observe(target(Meanwhile(), NS))


def test_no_objects_are_never_healthy(stub: KubeStub, place: Target) -> None:
    """Nothing says that they are."""
    with pytest.raises(ConfigError, match="has no objects"):
        deploy(place, A)
    deploy(place, A, config("a"))
    stub.change("ConfigMap", INVENTORY, NS, {"metadata": {"annotations": {ALLOW: B}}})
    assert deploy(place, B).revision == B
    assert health(place)[:2] == (B, Health.UNKNOWN)


# --- bad objects ----------------------------------------------------------------------------------------------------


def test_it_goes_on_after_a_bad_object_and_says_which(stub: KubeStub, place: Target) -> None:
    """Nothing is pruned, and the revision does not count as applied."""
    deploy(place, A, config("a"), config("gone"))
    stub.faults.append(Fault(f"PATCH /apis/apps/v1/namespaces/{NS}/deployments/web", status=422))
    done = deploy(place, B, deployment(), config("a", x="1"), config("new"))
    assert (done.revision, done.reading and done.reading.health) == (A, Health.DEGRADED)
    assert done.reading is not None
    assert done.reading.reason == "Deployment.yaml: Deployment/shop/web: as the test wants it"
    assert objects(place) == {f"ConfigMap/{name}" for name in ("a", "gone", "new")}
    assert health(place)[:2] == (B, Health.DEGRADED), "a verification fails, and does not wait for its end"
    version = place.cluster.get(CONFIG_MAP, INVENTORY, NS)["metadata"]["resourceVersion"]
    deploy(place, B, deployment(), config("a", x="1"), config("new"))
    assert place.cluster.get(CONFIG_MAP, INVENTORY, NS)["metadata"]["resourceVersion"] == version, "nothing is new"
    stub.faults.clear()
    assert deploy(place, B, deployment(), config("a", x="1"), config("new")).revision == B
    assert objects(place) == {"ConfigMap/a", "ConfigMap/new", "Deployment/web"}


def test_what_we_may_not_do_is_said_and_is_no_drift(stub: KubeStub, place: Target) -> None:
    """An object that we may not even look at is not gone."""
    deploy(place, A, deployment(), config("a"))
    stub.denied.append("GET /apis/apps/v1")
    done = deploy(place, A, deployment(), config("a"))
    assert done.reading is not None
    assert done.reading.reason.startswith("Deployment.yaml: Deployment/shop/web: may not get")
    assert (done.reverted, observe(place).records) == ((), ())
    done = deploy(place, B, config("a"))
    assert done.reading is not None
    assert "Deployment/shop/web: cannot be pruned: may not get" in done.reading.reason
    assert "Deployment/web" in names(place)


def test_a_server_that_is_away_ends_the_round(stub: KubeStub, place: Target) -> None:
    """Not after the first answer that lacks; what came so far is known."""
    deploy(place, A, config("a"))
    stub.faults.append(Fault(f"PATCH /api/v1/namespaces/{NS}/configmaps/b", status=500))
    done = deploy(place, B, config("a"), config("b"), config("c"))
    assert (done.reading and done.reading.health, is_there(place.cluster, CONFIG_MAP, "c", NS)) == (
        Health.PROGRESSING,
        True,
    )
    assert health(place)[:2] == (B, Health.PROGRESSING)
    stub.faults[:] = [Fault(f"PATCH /api/v1/namespaces/{NS}/configmaps/{name}", status=500) for name in "de"]
    assert not deploy(place, C, config("a"), config("d"), config("e"), config("f")).waits
    assert is_there(place.cluster, CONFIG_MAP, "f", NS), "it does answer: not of these two"

    class Away:
        """A client of a server that is away as soon as something is applied."""

        def __getattr__(self, name: str) -> Any:
            if name == "apply":
                stub.faults[:] = [Fault(status=500)]
            return getattr(place.cluster, name)

    with pytest.raises(TemporaryError):
        deploy(target(Away(), NS), A, *(config(name) for name in "adegh"))
    applied = [each.path.rpartition("/")[2] for each in stub.requests("PATCH") if "configmaps" in each.path]
    assert applied[-2:] == ["d", "e"]
    stub.faults.clear()
    assert set(names(place)) >= {f"ConfigMap/{name}" for name in "abcdefgh"}


def test_a_webhook_that_hangs_keeps_its_objects_and_no_others(stub: KubeStub, place: Target) -> None:
    """Each has a deadline, all together have one, and what is not asked about is applied; the reason is said."""
    hasty = replace(place, pace=Pace(each=2.0, brief=8.0, patience=3.0, most=4.0))
    stub.faults.append(Fault(f"PATCH /api/v1/namespaces/{NS}/configmaps/c", stall=600))
    hung = [config(f"c{n}") for n in range(6)]
    done = deploy(hasty, A, *hung, deployment())
    assert (done.revision, done.waits) == (None, False)
    assert done.reading is not None
    assert done.reading.health is Health.PROGRESSING
    late = "no complete answer within 2s; does an admission webhook hang?"
    assert f"ConfigMap.yaml: ConfigMap/shop/c0: cannot apply ConfigMap shop/c0: {late}" in done.reading.reason
    assert objects(place) == {"Deployment/web"}
    assert len(stub.requests("PATCH", f"/api/v1/namespaces/{NS}/configmaps/c")) == 2
    assert "ConfigMap/shop/c5: left for the next round: others of its kind took" in kept(place)["waits"][5]
    stub.faults.clear()
    assert deploy(place, A, *hung, deployment()).revision == A
    stub.faults.append(Fault(f"DELETE /api/v1/namespaces/{NS}/configmaps/c0", stall=600))
    done = deploy(hasty, B, *hung[1:], deployment())
    assert (done.revision, done.waits) == (A, False)
    assert "ConfigMap/shop/c0: cannot be pruned: cannot delete" in health(place)[2]
    assert "ConfigMap/c0" in names(place)
    assert health(place)[:2] == (B, Health.PROGRESSING)


def test_answers_that_come_are_progress_however_slow(stub: KubeStub, place: Target) -> None:
    """A webhook that takes its time for each: no object is cut short or left for that."""
    hasty = replace(place, pace=Pace(each=20.0, brief=0.01, patience=0.02, most=0.02))
    stub.faults.append(Fault(f"PATCH /api/v1/namespaces/{NS}/configmaps/c", stall=0.05))
    assert deploy(hasty, A, *(config(f"c{n}") for n in range(6))).revision == A


def definition() -> dict[str, Any]:
    names = {"plural": "widgets", "kind": "Widget"}
    spec = {
        "group": "shop.example",
        "scope": "Namespaced",
        "names": names,
        "versions": [{"name": "v1", "served": True}],
    }
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**kind, "metadata": {"name": "widgets.shop.example"}, "spec": spec}


WIDGET = {"apiVersion": "shop.example/v1", "kind": "Widget", "metadata": {"name": "w"}}


def test_an_object_waits_for_its_definition(stub: KubeStub, place: Target) -> None:
    """Into a later round, and that is nobody's failure; the rest is there already."""
    done = deploy(place, A, WIDGET, config("a"), definition())
    assert (done.revision, done.reading and done.reading.health) == (None, Health.PROGRESSING)
    assert health(place)[:2] == (A, Health.PROGRESSING)
    assert objects(place) == {"ConfigMap/a"}
    stub.define("shop.example/v1", "Widget")
    assert deploy(place, A, WIDGET, config("a"), definition()).revision == A
    assert "Widget/w" in names(place)


def test_objects_are_skipped_whose_definition_failed(stub: KubeStub, place: Target) -> None:
    """With the reason."""
    stub.faults.append(Fault("PATCH /apis/apiextensions.k8s.io", status=422))
    done = deploy(place, A, WIDGET, definition())
    assert done.reading is not None
    assert "Widget/shop/w: skipped, because its definition could not be applied" in done.reading.reason


def test_what_is_being_deleted_is_waited_for(stub: KubeStub, place: Target) -> None:
    """It would take what we apply with it."""
    deploy(place, A, config("a"))
    stub.change("ConfigMap", "a", NS, {"metadata": {"deletionTimestamp": "2026-11-28T20:00:00Z"}})
    done = deploy(place, A, config("a"))
    assert (done.reading and done.reading.health, done.reverted) == (Health.PROGRESSING, ())


def test_a_document_that_is_none_is_kept_as_a_failure(stub: KubeStub) -> None:
    """So that whoever waits for the revision hears of it; nothing else is written."""
    settings = {"context": "stub", "namespace": NS}
    subject = Subject("shop", "prod", A, "bad", environ=stub.environ)
    files = Files(
        {"a.yaml": "apiVersion: v1\nkind: ConfigMap\n", "b.yaml": "kind: Secret\nmetadata: {name: hunter2}\n"}
    )
    with pytest.raises(ConfigError) as caught:
        kubernetes.sync(settings, subject, files)
    assert len(caught.value.problems) == 2
    seen = kubernetes.observe(settings, subject)
    assert (seen.revision, seen.reading and seen.reading.health) == (A, Health.DEGRADED)
    assert [key[1:] for key in stub.objects] == [("ConfigMap", NS, INVENTORY)]


def test_a_proxy_that_has_lost_its_cluster_says_nothing_of_it(stub: KubeStub, place: Target) -> None:
    """Its 404 is no API server's: nothing is missing, and nothing is forgotten."""
    deploy(place, A, config("a"), config("b"))
    lost = Fault(f"GET /api/v1/namespaces/{NS}/configmaps", status=404, body=b"<html>no such backend", times=1)
    stub.faults.append(lost)
    with pytest.raises(TemporaryError, match="a 404, and not of an API server"):
        observe(place)
    lost.match, lost.times = f"{lost.match}/b", 1
    stub.change("ConfigMap", "b", NS, {"metadata": {"labels": {OWNER: None}}})
    with pytest.raises(TemporaryError, match="a 404, and not of an API server"):
        deploy(place, B, config("a"))
    assert names(place) == ["ConfigMap/a", "ConfigMap/b"]


def test_an_object_that_stands_there_twice_is_refused(place: Target) -> None:
    """One would undo the other in every round."""
    with pytest.raises(ConfigError, match="ConfigMap/shop/a stands in"):
        deploy(place, A, config("a", x="1"), config("a", x="2"))
    assert objects(place) == set()


def test_the_whole_engine(stub: KubeStub) -> None:
    """Files of a commit are what runs; a kind without a rule of health has none, unless the user wrote one."""
    settings = {"context": "stub", "namespace": NS, "path": "prod"}
    subject = Subject("shop", "prod", A, "good", environ=stub.environ)
    files = Files({"prod/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "qa/b.yaml": "no: ["})
    assert kubernetes.sync(settings, subject, files).revision == A
    seen = kubernetes.observe(settings, subject)
    assert (seen.revision, seen.reading and seen.reading.health) == (A, Health.HEALTHY)
    with pytest.raises(ConfigError, match="not a commit"):
        kubernetes.sync(settings, Subject("shop", "prod", "main"), files)


def test_an_object_is_deleted_only_to_be_made_again(stub: KubeStub, place: Target) -> None:
    """Where Git allows it, nothing else would do, and a new one would be taken."""
    path, marked = f"PATCH /apis/apps/v1/namespaces/{NS}/deployments/", deployment(image="2", **{RECREATE: "enabled"})
    deploy(place, A, deployment(), deployment("db"))
    uid = (stub.find("Deployment", "web", NS) or {})["metadata"]["uid"]
    for fault, wanted in ((f"{path}web", deployment(image="2")), (path, marked)):
        stub.faults[:] = [Fault(fault, status=422)]
        assert deploy(place, B, wanted, deployment("db")).revision == A
        assert (stub.find("Deployment", "web", NS) or {})["metadata"]["uid"] == uid
    stub.faults[:] = [Fault(f"{path}web", status=422, times=1)]
    assert deploy(place, B, marked, deployment("db")).revision == B
    assert (stub.find("Deployment", "web", NS) or {})["metadata"]["uid"] != uid


# --- jobs -----------------------------------------------------------------------------------------------------------


def job(ttl: int | None = 60, **annotations: str) -> dict[str, Any]:
    spec = {"template": {"spec": {}}, **({} if ttl is None else {"ttlSecondsAfterFinished": ttl})}
    kind = {"apiVersion": "batch/v1", "kind": "Job"}
    return {**kind, "metadata": {"name": "migrate", "annotations": annotations}, "spec": spec}


GOING = {"deletionTimestamp": "2026-11-28T20:00:00Z", "finalizers": ["foregroundDeletion"]}


def ended(stub: KubeStub, how: str) -> None:
    stub.change("Job", "migrate", NS, {"status": {"conditions": [{"type": how, "status": "True"}]}}, "job-controller")


@pytest.mark.parametrize(
    ("how", "word", "why"),
    [
        ("Complete", Health.HEALTHY, "2 objects are as applied, and healthy"),
        ("Failed", Health.DEGRADED, "Job/shop/migrate: has failed, and was removed afterwards"),
        ("", Health.UNKNOWN, "Job/shop/migrate: was removed before anybody saw it end: give it a ttlSecondsAfter"),
    ],
)
def test_a_job_that_its_cluster_removes_runs_once(
    stub: KubeStub, place: Target, how: str, word: Health, why: str
) -> None:
    """Nothing puts it back, and how it ended is remembered, for as long as Git has the same of it."""
    deploy(place, A, job(), config("a"))
    if how:
        ended(stub, how)
        deploy(place, A, job(), config("a"))
    if how:
        stub.change("Job", "migrate", NS, {"metadata": GOING}, "kube-controller-manager")
    for revision in (A, B) if how else ():
        done = deploy(place, revision, job(), config("a", x=revision))
        assert (done.revision, done.reverted) == (revision, ())
        assert health(place)[1] is word
    stub.remove("Job", "migrate", NS)
    for revision in (B, C, C):
        done = deploy(place, revision, job(), config("a", x=revision))
        assert (done.revision, done.reverted, stub.find("Job", "migrate", NS)) == (revision, (), None)
        assert health(place)[:2] == (revision, word)
        assert health(place)[2].startswith(why)
    assert deploy(place, D, job(run="again"), config("a")).revision == D
    assert stub.find("Job", "migrate", NS) is not None
    assert health(place)[1] is Health.PROGRESSING
    deploy(place, A, config("a"))
    assert names(place) == ["ConfigMap/a"]


def test_a_job_that_somebody_deletes_while_it_runs_is_made_again(stub: KubeStub, place: Target) -> None:
    """Gone before its cluster may have removed it, or going and not finished: it has not run."""
    deploy(place, A, job(600), config("a"))
    stub.remove("Job", "migrate", NS)
    assert health(place) == (A, Health.MISSING, "Job/shop/migrate: is gone")
    assert deploy(place, A, job(600), config("a")).reverted == ("Job/shop/migrate",)
    stub.change("Job", "migrate", NS, {"metadata": GOING}, "kubectl")
    assert health(place)[1] is Health.PROGRESSING
    assert deploy(place, A, job(600), config("a")).waits
    stub.remove("Job", "migrate", NS)
    assert deploy(place, A, job(600), config("a")).revision == A
    assert stub.find("Job", "migrate", NS) is not None
    assert health(place)[1] is Health.PROGRESSING
    ended(stub, "Complete")
    deploy(place, A, job(600), config("a"))
    stub.remove("Job", "migrate", NS)
    assert deploy(place, A, job(600), config("a")).reverted == ()
    assert stub.find("Job", "migrate", NS) is None
    assert health(place)[1] is Health.HEALTHY


def test_that_a_job_runs_on_is_seen(stub: KubeStub, place: Target) -> None:
    """It runs for longer than it is kept afterwards: what counts is when it was seen last."""
    deploy(place, A, job(600), config("a"))
    stored = inventory.load(place)
    items = {
        ref: replace(item, run=item.run and "started 2020-01-01T00:00:00Z")
        for ref, item in stored.inventory.items.items()
    }
    inventory.save(place, stored, replace(stored.inventory, items=items))
    deploy(place, A, job(600), config("a"))
    stub.remove("Job", "migrate", NS)
    assert deploy(place, A, job(600), config("a")).reverted == ("Job/shop/migrate",)


def test_a_job_that_nobody_removes_is_put_back(stub: KubeStub, place: Target) -> None:
    """Without a ttlSecondsAfterFinished it was a person who did."""
    deploy(place, A, job(None), config("a"))
    ended(stub, "Complete")
    deploy(place, A, job(None), config("a"))
    stub.remove("Job", "migrate", NS)
    assert deploy(place, A, job(None), config("a")).reverted == ("Job/shop/migrate",)


def test_a_job_of_somebody_else_says_nothing_of_ours(stub: KubeStub, place: Target) -> None:
    """How it ended is said of that very object."""
    deploy(place, A, job(), config("a"))
    stub.remove("Job", "migrate", NS)
    stub.put({**job(), "metadata": {"name": "migrate", "namespace": NS}})
    ended(stub, "Complete")
    assert health(place) == (A, Health.PROGRESSING, "Job/shop/migrate: was changed since it was applied")
    with suppress(Killed):
        deploy(target(Doomed(place.cluster, 6), NS), A, job(), config("a"))
    (run,) = [entry[9] for entry in kept(place)["objects"] if entry[2] == "Job"]
    assert run.startswith("started ")


# --- drift and conflicts --------------------------------------------------------------------------------------------


def test_what_a_person_changed_is_put_back_and_recorded_before(stub: KubeStub, place: Target) -> None:
    """With the path and the name under which it was changed; what Git does not set stays."""
    deploy(place, A, deployment())
    stub.change("Deployment", "web", NS, {"spec": {"replicas": 5, "paused": True}}, "kubectl-edit")
    with suppress(Killed):
        deploy(target(Doomed(place.cluster, 4), NS), A, deployment())
    assert kept(place)["reverted"][0]["paths"] == ["Deployment/shop/web:.spec.replicas"], "written before it is done"
    done = deploy(place, A, deployment())
    assert done.reverted == ("Deployment/shop/web:.spec.replicas (kubectl-edit)",)
    live = stub.find("Deployment", "web", NS)
    assert live is not None
    assert (live["spec"]["replicas"], live["spec"]["paused"]) == (2, True)
    record = observe(place).records[-1]
    assert (record.revision, record.paths, record.managers) == (
        A,
        ("Deployment/shop/web:.spec.replicas",),
        ("kubectl-edit",),
    )


def test_what_a_controller_has_is_left_to_it(stub: KubeStub, place: Target) -> None:
    """And said, however often; `force` takes it."""
    deploy(place, A, deployment())
    stub.change("Deployment", "web", NS, {"spec": {"replicas": 5}}, "argocd-controller")
    for _ in range(2):
        done = deploy(place, A, deployment())
        assert done.reading is not None
        assert ".spec.replicas is argocd-controller's" in done.reading.reason
        assert done.reverted == ()
    live = stub.find("Deployment", "web", NS)
    assert live is not None
    assert (live["spec"]["replicas"], observe(place).records) == (5, ())
    assert health(place)[:2] == (A, Health.DEGRADED)
    assert deploy(target(place.cluster, NS, force=True), A, deployment()).reading is None
    live = stub.find("Deployment", "web", NS)
    assert live is not None
    assert live["spec"]["replicas"] == 2


def test_nothing_is_forced_when_one_of_several_is_a_controllers(stub: KubeStub, place: Target) -> None:
    """Force would take all of it."""
    deploy(place, A, config("a", x="1", y="1"))
    stub.change("ConfigMap", "a", NS, {"data": {"x": "2"}}, "kubectl-edit")
    stub.change("ConfigMap", "a", NS, {"data": {"y": "2"}}, "helm")
    deploy(place, A, config("a", x="1", y="1"))
    live = stub.find("ConfigMap", "a", NS)
    assert live is not None
    assert (live["data"], observe(place).records) == ({"x": "2", "y": "2"}, ())


def test_a_fight_is_noticed(stub: KubeStub, place: Target) -> None:
    """Whatever its name is, whoever does it again and again is no person."""
    deploy(place, A, config("a", x="1"))
    for _ in range(conflicts.FOUGHT):
        stub.change("ConfigMap", "a", NS, {"data": {"x": "2"}}, "wonderbot")
        assert deploy(place, A, config("a", x="1")).reverted
        assert (stub.find("ConfigMap", "a", NS) or {})["data"] == {"x": "1"}
    stub.change("ConfigMap", "a", NS, {"data": {"x": "2"}}, "wonderbot")
    assert deploy(place, A, config("a", x="1")).reverted == ()


def test_what_cannot_be_put_back_yet_is_no_fight(stub: KubeStub, place: Target) -> None:
    """It was changed once: one record, and put back as soon as that can be."""
    deploy(place, A, config("a", x="1"))
    stub.change("ConfigMap", "a", NS, {"data": {"x": "2"}}, "wonderbot")
    stub.faults.append(Fault(f"PATCH /api/v1/namespaces/{NS}/configmaps/a", status=500, times=conflicts.FOUGHT + 1))
    for _ in range(conflicts.FOUGHT + 1):
        assert deploy(place, A, config("a", x="1")).reverted == ()
    assert deploy(place, A, config("a", x="1")).reverted == ("ConfigMap/shop/a:.data.x (wonderbot)",)
    assert (stub.find("ConfigMap", "a", NS) or {})["data"] == {"x": "1"}
    assert [record.paths for record in observe(place).records] == [("ConfigMap/shop/a:.data.x",)]


def test_an_object_of_another_environment_is_refused(place: Target) -> None:
    """Until it is forced; and then whoever had it first leaves it alone."""
    deploy(place, A, config("a"), config("b"))
    done = deploy(target(place.cluster, NS, "qa"), A, config("a"))
    assert done.reading is not None
    assert "belongs to shop.prod" in done.reading.reason
    deploy(target(place.cluster, NS, "qa", force=True), A, config("a"))
    assert deploy(place, B, config("b")).revision == B
    assert objects(place) == {"ConfigMap/a", "ConfigMap/b"}


def test_two_installations_of_equal_names_do_not_share_what_is_cluster_wide(stub: KubeStub, place: Target) -> None:
    """They differ by their namespaces: who comes second is told, and takes and prunes nothing."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "reader"},
        "rules": [],
    }
    deploy(place, A, role)
    other = target(place.cluster, "elsewhere")
    done = deploy(other, A, config("a"), {**role, "rules": [{"verbs": ["list"]}]})
    assert done.reading is not None
    assert "belongs to shop.prod.shop" in done.reading.reason
    assert deploy(other, B, config("a")).revision == B
    assert (stub.find("ClusterRole", "reader") or {})["rules"] == []


# --- pruning --------------------------------------------------------------------------------------------------------


def test_only_what_is_ours_is_pruned(stub: KubeStub, place: Target) -> None:
    """A label alone says nothing, and neither does a name."""
    deploy(place, A, config("a"), config("b"), config("c"))
    stub.put({**config("copied"), "metadata": {"name": "copied", "namespace": NS, "labels": {OWNER: "shop.prod.shop"}}})
    stub.remove("ConfigMap", "b", NS)
    stub.put({**config("b"), "metadata": {"name": "b", "namespace": NS}})
    assert deploy(place, B, config("a")).revision == B
    assert objects(place) == {f"ConfigMap/{name}" for name in ("a", "b", "copied")}
    assert names(place) == ["ConfigMap/a"]


def test_an_object_made_again_while_it_is_pruned_is_not_deleted(stub: KubeStub, place: Target) -> None:
    """What is deleted is what was looked at."""
    deploy(place, A, config("a"), config("b"))

    class Meanwhile:
        """A client of an operator so slow that somebody deletes an object and makes it again."""

        def __getattr__(self, name: str) -> Any:
            if name == "delete":
                stub.remove("ConfigMap", "b", NS)
                stub.put({**config("b"), "metadata": {"name": "b", "namespace": NS}})
            return getattr(place.cluster, name)

    assert deploy(target(Meanwhile(), NS), B, config("a")).revision == A
    assert objects(place) == {"ConfigMap/a", "ConfigMap/b"}
    assert deploy(place, B, config("a")).revision == B
    assert objects(place) == {"ConfigMap/a", "ConfigMap/b"}


def test_what_has_to_stay_stays_until_it_may_go(
    stub: KubeStub, place: Target, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of once, is not looked at for health, and is not forgotten."""
    deploy(place, A, config("a"), config("b", annotations={PRUNE: "disabled"}))
    for revision in (B, C):
        assert deploy(place, revision, config("a")).revision == revision
        assert objects(place) == {"ConfigMap/a", "ConfigMap/b"}
    assert len([line for line in caplog.messages if "ConfigMap/shop/b is gone from Git and stays" in line]) == 1
    assert health(place)[:2] == (C, Health.HEALTHY)
    stub.change("ConfigMap", "b", NS, {"metadata": {"annotations": {PRUNE: None}}})
    deploy(place, C, config("a"))
    assert objects(place) == {"ConfigMap/a"}


def test_what_is_being_deleted_is_looked_after_until_it_is_gone(stub: KubeStub, place: Target) -> None:
    """Somebody has to finish something first: the server says yes at once, and it is there as long as that takes."""
    for name in ("a", "b", "c"):
        stub.put({**config(name), "metadata": {"name": name, "namespace": NS, "finalizers": ["example.com/backup"]}})
    deploy(place, A, config("a"), config("b"), config("c"), config("d"))
    for _ in range(3):
        done = deploy(place, B, config("a"), config("d"))
        waits = "is being deleted, and waits for example.com/backup"
        assert (done.revision, done.waits) == (A, True)
        assert health(place) == (
            B,
            Health.PROGRESSING,
            f"bbbbbbb is being applied: ConfigMap/shop/b: {waits}; ConfigMap/shop/c: {waits}",
        )
        assert names(place) == ["ConfigMap/a", "ConfigMap/b", "ConfigMap/c", "ConfigMap/d"]
    assert len(stub.requests("DELETE")) == 2, "once is enough"
    stub.remove("ConfigMap", "b", NS)
    assert deploy(place, B, config("a"), config("d")).revision == A
    assert names(place) == ["ConfigMap/a", "ConfigMap/c", "ConfigMap/d"]
    stub.remove("ConfigMap", "c", NS)
    stub.put({**config("c"), "metadata": {"name": "c", "namespace": NS}})
    assert deploy(place, B, config("a"), config("d")).revision == B
    assert (names(place), "ConfigMap/c" in objects(place)) == (["ConfigMap/a", "ConfigMap/d"], True)
    assert health(place)[:2] == (B, Health.HEALTHY)


def test_what_comes_back_to_git_while_it_is_deleted_is_made_again(stub: KubeStub, place: Target) -> None:
    """Once it is gone; until then nobody touches it."""
    stub.put({**config("b"), "metadata": {"name": "b", "namespace": NS, "finalizers": ["example.com/backup"]}})
    deploy(place, A, config("a"), config("b"))
    deploy(place, B, config("a"))
    done = deploy(place, C, config("a"), config("b", x="1"))
    assert done.reading is not None
    assert done.reading.reason == (
        "ConfigMap.yaml: ConfigMap/shop/b: is being deleted, and waits for example.com/backup; "
        "it is made again once it is gone"
    )
    stub.remove("ConfigMap", "b", NS)
    assert deploy(place, C, config("a"), config("b", x="1")).revision == C
    assert (stub.find("ConfigMap", "b", NS) or {})["data"] == {"x": "1"}


def test_suspiciously_much_is_pruned_only_when_somebody_allows_it(stub: KubeStub, place: Target) -> None:
    """Nothing is applied before; for this revision, and not for the next."""
    deploy(place, A, *(config(name) for name in "abcde"))
    stub.change("ConfigMap", INVENTORY, NS, {"metadata": {"annotations": {ALLOW: "b" * 6}}})
    for some in ([], [config("a"), config("n")]):
        with pytest.raises(RefusedError) as caught:
            deploy(place, B, *some)
        assert f"annotate --overwrite configmap/{INVENTORY} {ALLOW}={B}" in (caught.value.hint or "")
        assert objects(place) == {f"ConfigMap/{name}" for name in "abcde"}
    assert health(place)[:2] == (B, Health.DEGRADED)
    stub.change("ConfigMap", INVENTORY, NS, {"metadata": {"annotations": {ALLOW: B[:12]}}})
    assert deploy(place, B, config("a"), config("n")).revision == B
    assert objects(place) == {"ConfigMap/a", "ConfigMap/n"}
    with pytest.raises(RefusedError):
        deploy(place, C)


# --- the inventory --------------------------------------------------------------------------------------------------


def test_two_operators_do_no_harm(place: Target) -> None:
    """Whoever looked before the other one wrote writes nothing."""
    deploy(place, A, config("a"))

    class Meanwhile:
        """A client of an operator that sleeps between looking and writing."""

        def __getattr__(self, name: str) -> Any:
            if name == "patch":
                deploy(place, B, config("a"), config("b"))
            return getattr(place.cluster, name)

    with pytest.raises(TemporaryError, match="another operator is at work"):
        deploy(target(Meanwhile(), NS), C, config("a"), config("c"))
    assert objects(place) == {"ConfigMap/a", "ConfigMap/b"}


def test_an_inventory_of_somebody_else_is_not_used(stub: KubeStub, place: Target) -> None:
    """Names with dashes can be put together in two ways; and what cannot be read is not thought to be empty."""
    deploy(place, A, config("a"))
    other = Subject("shop-prod", "x", A)
    stub.put(
        {
            **(stub.find("ConfigMap", INVENTORY, NS) or {}),
            "metadata": {"name": "promotion-shop-prod-x", "namespace": NS},
        }
    )
    with pytest.raises(ConfigError, match="is the inventory of shop's prod"):
        deploy(Target(place.cluster, other, NS, "shop-prod.x"), A, config("a"))
    stub.change("ConfigMap", INVENTORY, NS, {"data": {"inventory": "{}"}})
    with pytest.raises(ConfigError, match="is no inventory that can be read"):
        deploy(place, B, config("a"))


@pytest.mark.parametrize("forced", [False, True])
def test_an_inventory_is_no_object_of_any_revision(stub: KubeStub, place: Target, forced: bool) -> None:
    """Whoever writes one of Git could say that anything is deployed, and have anything pruned."""
    deploy(place, A, config("a"))
    said = (stub.find("ConfigMap", INVENTORY, NS) or {})["data"]
    forged = config(INVENTORY, **{key: text.replace(A, C) for key, text in said.items()})
    with pytest.raises(ConfigError, match="ConfigMap/shop/promotion-shop-prod is this environment's inventory"):
        deploy(place, B, config("a"), forged)
    done = deploy(target(place.cluster, NS, "qa", force=forced), B, config("q"), forged)
    assert done.reading is not None
    assert "is the inventory of an environment" in done.reading.reason
    assert (stub.find("ConfigMap", INVENTORY, NS) or {})["data"]["revision"] == A
    assert deploy(place, A, config("a")).revision == A
    assert health(place)[:2] == (A, Health.HEALTHY)


def test_an_inventory_that_came_from_git_is_none(stub: KubeStub, place: Target) -> None:
    """It was there before the environment had one of its own."""
    deploy(place, A, config("a"))
    said = (stub.find("ConfigMap", INVENTORY, NS) or {})["data"]
    stub.remove("ConfigMap", INVENTORY, NS)
    deploy(target(place.cluster, NS, "qa"), B, config(INVENTORY, **said))
    for ask in (observe, lambda where: deploy(where, A, config("a"))):
        with pytest.raises(ConfigError, match=r"is no inventory: shop\.qa\.shop applied it from Git"):
            ask(place)


def test_nothing_is_pruned_that_another_operator_may_want(place: Target) -> None:
    """One that is late, with a revision that did not have the object."""
    deploy(place, A, config("a"), config("b"))

    class Late:
        """A client of an operator that sleeps between applying and pruning."""

        def __getattr__(self, name: str) -> Any:
            if name == "apply":
                deploy(place, C, config("a", x="1"), config("b"))
            return getattr(place.cluster, name)

    with pytest.raises(TemporaryError, match="another operator is at work"):
        deploy(target(Late(), NS), B, config("a", x="2"))
    assert objects(place) == {"ConfigMap/a", "ConfigMap/b"}
    assert deploy(place, C, config("a", x="1"), config("b")).revision == C


FIRST = [deployment(), config("a", x="1"), config("gone"), config("changed", x="1")]
SECOND = [deployment(), config("a", x="1"), config("changed", x="2"), config("new")]


@pytest.mark.parametrize(("revision", "then"), [(B, SECOND), (C, FIRST)], ids=["again", "back"])
def test_a_kill_at_any_request_is_made_good_by_the_next_round(
    stub: KubeStub, place: Target, revision: str, then: list[dict[str, Any]]
) -> None:
    """Before the server got it, and before we had its answer; whether the next round is about the same, or goes back."""
    wanted = {f"{one['kind']}/{one['metadata']['name']}" for one in then}
    for at in range(1, 100):
        for after in (False, True):
            stub.objects.clear()
            stub.owners.clear()
            deploy(place, A, *FIRST)
            stub.change("ConfigMap", "a", NS, {"data": {"x": "9"}}, "kubectl-edit")
            stub.put({**config("theirs"), "metadata": {"name": "theirs", "namespace": NS}})
            with suppress(Killed):
                deploy(target(Doomed(place.cluster, at, after), NS), B, *SECOND)
                assert at > 10
                return
            assert "ConfigMap/theirs" in objects(place)
            assert health(place)[:2] != (B, Health.HEALTHY), (at, after)
            assert deploy(place, revision, *then).revision == revision, (at, after)
            assert (objects(place), kept(place)["applied"]) == (wanted | {"ConfigMap/theirs"}, revision), (at, after)
            assert names(place) == sorted(wanted)
            for one in then:
                live = stub.find(one["kind"], one["metadata"]["name"], NS) or {}
                assert live.get("data") == one.get("data"), (at, after)
            assert {record.paths for record in observe(place).records} == {("ConfigMap/shop/a:.data.x",)}


def test_what_an_operator_did_beside_another_one_is_known_to_nobody(stub: KubeStub, place: Target) -> None:
    """It comes too late, and overwrites what the other one just applied: the next round puts that right."""
    deploy(place, A, config("a", x="1"))

    class Late:
        """A client of an operator that sleeps between saying what it will do and doing it."""

        def __getattr__(self, name: str) -> Any:
            if name == "apply":
                deploy(place, B, config("a", x="2"))
            return getattr(place.cluster, name)

    with pytest.raises(TemporaryError, match="another operator is at work"):
        deploy(target(Late(), NS), C, config("a", x="3"))
    assert (stub.find("ConfigMap", "a", NS) or {})["data"] == {"x": "3"}
    assert deploy(place, B, config("a", x="2")).revision == B
    assert (stub.find("ConfigMap", "a", NS) or {})["data"] == {"x": "2"}
