"""The check `kubernetes`, against an API server in memory: every object must be there, readable, well, and for long enough."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion.checks import kubernetes
from promotion.checks.kubernetes import unchanged, worst
from promotion.model import Health, Reading, Subject
from promotion.objectname import object_name
from tests.support.kubestub import Fault, KubeStub

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
HEALTHY, DEGRADED, UNKNOWN, PROGRESSING, MISSING = (
    Health.HEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.PROGRESSING, Health.MISSING,
)  # fmt: skip


def deployment(name: str = "shop", ready: int = 2, **status: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), ready)
    conditions = [
        {"type": "Available", "status": "True" if ready == 2 else "False", "reason": "x", "message": "some are away"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ]
    labels = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"replicas": 2, "selector": labels},
        "status": {"observedGeneration": 1, **counts, "replicas": 2, "updatedReplicas": 2, "conditions": conditions}
        | status,
    }


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path) as started:
        yield started


def ask(stub: KubeStub, *objects: str, environ: dict[str, str] | None = None, **more: Any) -> Reading:
    settings = {"context": "stub", "namespace": "shop", "objects": list(objects) or ["deployment/shop"]}
    settings |= {key.rstrip("_"): value for key, value in more.items()}
    return kubernetes.ask(settings, Subject("shop", "qa", "1" * 40, environ=environ or stub.environ))


@pytest.mark.parametrize(
    "written",
    ["deployment/shop", "Deployments/shop", "deployment.apps/shop", "deployments.apps/shop", "apps/v1/Deployment/shop"],
)
def test_however_it_is_named(stub: KubeStub, written: str) -> None:
    """Kind or plural, in any case, with its group or its whole version."""
    stub.put(deployment())
    assert ask(stub, written) == Reading(
        HEALTHY, "deployment/shop healthy".replace("deployment", written.split("/")[-2].lower().partition(".")[0])
    )


def test_all_of_them_must_be_well(stub: KubeStub) -> None:
    """The worst is the answer, in its own words."""
    stub.put(deployment("a"))
    stub.put(deployment("b"))
    assert ask(stub, "deployment/a", "deployment/b") == Reading(HEALTHY, "all 2 objects healthy")
    stub.put(deployment("b", ready=1))
    reading = ask(stub, "deployment/a", "deployment/b")
    assert reading.health is PROGRESSING
    assert reading.reason.startswith("deployment/b: ")
    assert "deployment/a" not in reading.reason
    assert ask(stub, "deployment/a", "deployment/b", "deployment/c", "configmap/d") == Reading(
        MISSING, "deployment/c is not there in shop; configmap/d is not there in shop"
    )


def test_a_kind_without_a_rule_is_unknown_and_users_may_have_one(stub: KubeStub) -> None:
    """Rules of the file come first."""
    stub.define("example.com/v1", "Widget")
    stub.put(
        {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "metadata": {"name": "w", "namespace": "shop"},
            "phase": "Up",
        }
    )
    assert ask(stub, "widgets.example.com/w").health is UNKNOWN
    own = [{"kinds": ["example.com/Widget"], "healthy": "phase == 'Up'"}]
    assert ask(stub, "widget/w", health_rules=own) == Reading(HEALTHY, "widget/w healthy")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("deploiment/shop", "knows no kind `deploiment`; did you mean `deployment`?"),
        ("deployment.example.com/shop", "knows no kind `deployment` of example.com"),
        ("apps/v2/Deployment/shop", "knows no Deployment of apps/v2"),
        ("gadget/x", "`gadget` is a kind of several groups: write one of gadget.a.example.com/x, gadget.b.example.com/x"),
    ],
)  # fmt: skip
def test_a_kind_that_is_not_there_or_there_twice(stub: KubeStub, written: str, why: str) -> None:
    """One line with what there is."""
    for group in "ab":
        stub.define(f"{group}.example.com/v1", "Gadget")
    reading = ask(stub, written)
    assert reading.health is UNKNOWN
    assert why in reading.reason


def test_a_core_kind_is_what_its_name_means(stub: KubeStub) -> None:
    """Metrics servers have pods, too."""
    stub.define("metrics.example.com/v1", "Pod")
    assert ask(stub, "pod/x") == Reading(MISSING, "pod/x is not there in shop")
    assert [asked.path for asked in stub.requests("GET", "/api/v1/namespaces")] == ["/api/v1/namespaces/shop/pods/x"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault("GET /apis/apps/v1/namespaces", status=500), "500"),
        (Fault("GET /apis/apps/v1/namespaces", status=403), "may not"),
        (Fault("GET /apis/apps/v1/namespaces", body=b"{"), "JSON"),
        (Fault("GET /apis/apps/v1/namespaces", cut=20), "cut off"),
        (Fault("GET /apis/apps/v1/namespaces", body=b"{}"), "kind"),
        (Fault("GET /api", status=500), "500"),
    ],
)
def test_an_answer_that_is_none(stub: KubeStub, fault: Fault, why: str) -> None:
    """Is unknown, whatever else is well."""
    stub.put(deployment())
    stub.faults.append(fault)
    reading = ask(stub)
    assert reading.health is UNKNOWN, reading
    assert why in reading.reason or fault.body == b"{}"


def test_no_such_context_and_no_cluster(stub: KubeStub) -> None:
    """Said, and unknown."""
    assert ask(stub, context="stubb").health is UNKNOWN
    settings = {"namespace": "shop", "objects": ["deployment/shop"]}
    reading = kubernetes.ask(settings, Subject("shop", "qa", None, environ=stub.environ))
    assert reading == Reading(UNKNOWN, "not in a cluster: name a `context` (stub)")


def test_an_answer_that_is_late(stub: KubeStub) -> None:
    """Does not count, however good it is."""
    stub.put(deployment())
    assert ask(stub, timeout="0s").reason.endswith("no complete answer within 0s")


def test_a_while(stub: KubeStub) -> None:
    """Well and unchanged for so long; whatever is changed begins it anew."""
    stub.put(deployment())
    young = ask(stub, for_="1h")
    assert young.health is PROGRESSING
    assert young.reason.startswith("deployment/shop: healthy, and unchanged for ")
    assert young.reason.endswith(" of 1h")
    age(stub, timedelta(hours=2))
    assert ask(stub, for_="1h") == Reading(HEALTHY, "deployment/shop healthy for 1h")
    stub.change("Deployment", "shop", "shop", {"status": {"readyReplicas": 1}})
    stub.change("Deployment", "shop", "shop", {"status": {"readyReplicas": 2}})
    assert ask(stub, for_="1h").health is PROGRESSING


def age(stub: KubeStub, by: timedelta) -> None:
    (live,) = stub.objects.values()
    for each in live["metadata"]["managedFields"]:
        each["time"] = (datetime.now(UTC) - by).strftime("%Y-%m-%dT%H:%M:%SZ")


def fields(*ages: int) -> dict[str, Any]:
    """An object that was written to so many seconds ago."""
    times = [(NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ") for age in ages]
    return {"metadata": {"managedFields": [{"time": each} for each in times]}}


@pytest.mark.parametrize(
    ("live", "health"),
    [
        (fields(31), None),
        (fields(100, 31), None),
        (fields(30), PROGRESSING),  # a time may be a second younger than it says
        (fields(100, 5), PROGRESSING),
        (fields(100, -5), PROGRESSING),
        (fields(), UNKNOWN),
        ({"metadata": {}}, UNKNOWN),
        ({}, UNKNOWN),
        ({"metadata": {"managedFields": None}}, UNKNOWN),
        ({"metadata": {"managedFields": [{"manager": "x"}]}}, UNKNOWN),
        ({"metadata": {"managedFields": [{"time": "soon"}]}}, UNKNOWN),
        ({"metadata": {"managedFields": [{"time": "2026-11-28T11:00:00"}]}}, UNKNOWN),
        ({"metadata": {"managedFields": [{"time": 5}]}}, UNKNOWN),
        ({"metadata": {"managedFields": 5}}, UNKNOWN),
    ],
)
def test_since_when_nothing_changed(live: dict[str, Any], health: Health | None) -> None:
    """By the newest of all writes; where nothing tells, nobody knows."""
    found = unchanged(live, timedelta(seconds=30), NOW)
    assert (found.health if found else None) is health


def test_many_that_are_ill_are_not_all_named() -> None:
    """Three, and how many more."""
    readings = [(object_name(f"pod/{n}"), Reading(DEGRADED, f"pod/{n}: ill")) for n in "abcde"]
    assert worst(readings, None) == Reading(DEGRADED, "pod/a: ill; pod/b: ill; pod/c: ill; and 2 more")
