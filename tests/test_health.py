"""What a live object proves of its health: kind by kind, and whatever is written in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promotion.health import builtin, judge, rules
from promotion.health.rules import _stored
from promotion.model import Health

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL = rules()


def of(live: Mapping[str, Any], *own: Mapping[str, Any]) -> Health:
    return judge(live, rules(own), NOW).health


def with_(live: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The same object with another value at a path; None takes the key away."""
    changed: dict[str, Any] = copy.deepcopy(dict(live))
    *way, last = path.split(".")
    at = changed
    for name in way:
        at = at.setdefault(name, {})
    at.pop(last, None)
    if value is not None:
        at[last] = value
    return changed


def said(**conditions: str) -> list[dict[str, Any]]:
    """`Ready="True"`, or `Ready="False Why"` with a reason."""
    split = {name: [*text.split(" "), ""] for name, text in conditions.items()}
    return [{"type": name, "status": words[0], "reason": words[1]} for name, words in split.items()]


def made(api_version: str, kind: str, spec: Any = None, status: Any = None, **metadata: Any) -> dict[str, Any]:
    live = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "one", **metadata}}
    return live | ({} if spec is None else {"spec": spec}) | ({} if status is None else {"status": status})


DEPLOYMENT = made(
    "apps/v1",
    "Deployment",
    {"replicas": 3, "progressDeadlineSeconds": 600},
    {
        "observedGeneration": 4,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "conditions": said(Available="True", Progressing="True NewReplicaSetAvailable"),
    },
    generation=4,
)
STATEFUL_SET = made(
    "apps/v1",
    "StatefulSet",
    {"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
    {
        "observedGeneration": 2,
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "currentRevision": "a",
        "updateRevision": "a",
    },
    generation=2,
)
DAEMON_SET = made(
    "apps/v1",
    "DaemonSet",
    {"updateStrategy": {"type": "RollingUpdate"}},
    {
        "observedGeneration": 1,
        "desiredNumberScheduled": 2,
        "currentNumberScheduled": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberReady": 2,
    },
    generation=1,
)
REPLICA_SET = made(
    "apps/v1",
    "ReplicaSet",
    {"replicas": 1},
    {"observedGeneration": 1, "replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1, "availableReplicas": 1},
    generation=1,
)
BUDGET = made(
    "policy/v1",
    "PodDisruptionBudget",
    {},
    {"observedGeneration": 3, "conditions": said(DisruptionAllowed="True")},
    generation=3,
)
ROLLOUT = made(
    "argoproj.io/v1alpha1",
    "Rollout",
    {"replicas": 2, "strategy": {"canary": {}}},
    {
        "observedGeneration": "5",
        "phase": "Healthy",
        "replicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
        "currentPodHash": "x",
        "stableRS": "x",
    },
    generation=5,
)
CERTIFICATE = made(
    "cert-manager.io/v1", "Certificate", {}, {"observedGeneration": 1, "conditions": said(Ready="True")}, generation=1
)
POD = made("v1", "Pod", {"restartPolicy": "Always"}, {"phase": "Running", "conditions": said(Ready="True")})
JOB = made("batch/v1", "Job", {}, {"startTime": "2026-01-01T10:00:00Z", "conditions": said(Complete="True")})
PROVING = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, REPLICA_SET, BUDGET, ROLLOUT)
"""Kinds whose controllers say which generation they have seen."""
WELL = (*PROVING, CERTIFICATE, POD, JOB)


def name_of(live: Any) -> str:
    return str(live["kind"]) if isinstance(live, dict) and "kind" in live else str(live)


# --- kind by kind ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", WELL, ids=name_of)
def test_what_is_well_is_healthy(live: Mapping[str, Any]) -> None:
    """Each object that the tests below take something away from."""
    assert of(live) is Health.HEALTHY


@pytest.mark.parametrize("live", WELL, ids=name_of)
def test_what_is_being_deleted_is_progressing(live: Mapping[str, Any]) -> None:
    """Whatever its status says, and whatever kind it is."""
    assert of(with_(live, "metadata.deletionTimestamp", "2026-01-01T11:59:00Z")) is Health.PROGRESSING


@pytest.mark.parametrize("live", PROVING, ids=name_of)
@pytest.mark.parametrize("seen", [None, 0, -1, "1", "0", 10**6])
def test_a_status_about_another_generation_proves_nothing(live: Mapping[str, Any], seen: Any) -> None:
    """Older, none at all, or one that cannot be: never healthy."""
    newer = with_(with_(live, "metadata.generation", 7), "status.observedGeneration", seen)
    assert of(newer) is Health.PROGRESSING


def test_a_rule_of_data_never_judges_an_older_generation() -> None:
    """Ready was said of another spec."""
    assert of(with_(CERTIFICATE, "metadata.generation", 2)) is Health.PROGRESSING
    assert (
        of(with_(with_(CERTIFICATE, "metadata.generation", 2), "status.observedGeneration", "1")) is Health.PROGRESSING
    )


def test_a_condition_of_an_older_generation_is_not_there() -> None:
    """Some controllers name the generation in each condition only."""
    old = [{**condition, "observedGeneration": 1} for condition in said(Ready="True")]
    live = with_(with_(CERTIFICATE, "status", {"conditions": old}), "metadata.generation", 2)
    assert of(live) is Health.PROGRESSING
    assert of(with_(live, "metadata.generation", 1)) is Health.HEALTHY
    old[0]["observedGeneration"] = "1"
    assert of(with_(live, "status", {"conditions": old})) is Health.PROGRESSING


def test_a_condition_that_is_said_twice_proves_nothing() -> None:
    """Ready is True, and False: it cannot be known."""
    assert of(with_(CERTIFICATE, "status.conditions", [*said(Ready="True"), *said(Ready="False")])) is Health.UNKNOWN


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.paused", True, Health.SUSPENDED),
        ("status.updatedReplicas", 2, Health.PROGRESSING),
        ("status.replicas", 4, Health.PROGRESSING),
        ("status.readyReplicas", 2, Health.PROGRESSING),
        ("status.availableReplicas", 2, Health.PROGRESSING),
        ("status.conditions", said(Available="False", Progressing="True NewReplicaSetAvailable"), Health.PROGRESSING),
        ("status.conditions", said(Available="True", Progressing="True ReplicaSetUpdated"), Health.PROGRESSING),
        ("status.conditions", said(Available="True", Progressing="False ProgressDeadlineExceeded"), Health.DEGRADED),
        ("status.conditions", said(Available="True"), Health.PROGRESSING),
        ("status.conditions", None, Health.PROGRESSING),
        ("status.conditions", "Available", Health.UNKNOWN),
        ("status.conditions", [{"type": 1}], Health.UNKNOWN),
        ("status.replicas", "3", Health.UNKNOWN),
        ("status.readyReplicas", True, Health.UNKNOWN),
        ("status.observedGeneration", 4.5, Health.UNKNOWN),
        ("status.observedGeneration", [4], Health.UNKNOWN),
        ("metadata.generation", "4", Health.UNKNOWN),
        ("spec", [], Health.UNKNOWN),
        ("status", None, Health.PROGRESSING),
    ],
)
def test_deployments(path: str, value: Any, expected: Health) -> None:
    """One thing that is missing, each."""
    assert of(with_(DEPLOYMENT, path, value)) is expected


@pytest.mark.parametrize(
    ("live", "path", "value", "expected"),
    [
        (STATEFUL_SET, "status.readyReplicas", 1, Health.PROGRESSING),
        (STATEFUL_SET, "status.updatedReplicas", 1, Health.PROGRESSING),
        (STATEFUL_SET, "status.replicas", 3, Health.PROGRESSING),
        (STATEFUL_SET, "status.availableReplicas", 1, Health.PROGRESSING),
        (STATEFUL_SET, "spec.updateStrategy", {"type": "OnDelete"}, Health.HEALTHY),
        (with_(STATEFUL_SET, "spec.updateStrategy", None), "status.updateRevision", "b", Health.PROGRESSING),
        (DAEMON_SET, "status.updatedNumberScheduled", 1, Health.PROGRESSING),
        (DAEMON_SET, "status.numberAvailable", 1, Health.PROGRESSING),
        (DAEMON_SET, "status.desiredNumberScheduled", None, Health.PROGRESSING),
        (REPLICA_SET, "status.conditions", said(ReplicaFailure="True"), Health.DEGRADED),
        (REPLICA_SET, "status.fullyLabeledReplicas", 0, Health.PROGRESSING),
        (ROLLOUT, "status.phase", "Degraded", Health.DEGRADED),
        (ROLLOUT, "status.phase", "Paused", Health.SUSPENDED),
        (ROLLOUT, "status.abort", True, Health.DEGRADED),
        (ROLLOUT, "status.stableRS", "old", Health.PROGRESSING),
        (ROLLOUT, "status.controllerPause", True, Health.PROGRESSING),
        (ROLLOUT, "status.updatedReplicas", 1, Health.PROGRESSING),
        (BUDGET, "status.conditions", said(DisruptionAllowed="False InsufficientPods"), Health.HEALTHY),
        (BUDGET, "status.conditions", said(DisruptionAllowed="False SyncFailed"), Health.DEGRADED),
        (JOB, "status.conditions", said(Failed="True"), Health.DEGRADED),
        (JOB, "status.conditions", said(Suspended="True"), Health.SUSPENDED),
        (JOB, "status.conditions", said(Suspended="False JobResumed"), Health.PROGRESSING),
        (JOB, "status.conditions", None, Health.PROGRESSING),
        (POD, "status.phase", "Failed", Health.DEGRADED),
        (POD, "status.phase", "Succeeded", Health.HEALTHY),
        (POD, "status.phase", "Unknown", Health.UNKNOWN),
        (POD, "status.conditions", said(Ready="False"), Health.PROGRESSING),
        (POD, "spec.restartPolicy", "Never", Health.PROGRESSING),
    ],
)
def test_other_workloads(live: Mapping[str, Any], path: str, value: Any, expected: Health) -> None:
    """One thing that is different, each."""
    assert of(with_(live, path, value)) is expected


def test_a_rollout_waits_for_its_workload() -> None:
    """The Deployment that it refers to has a generation of its own."""
    live = with_(ROLLOUT, "spec.workloadRef", {"kind": "Deployment"})
    live["metadata"]["annotations"] = {"rollout.argoproj.io/workload-generation": "3"}
    assert of(with_(live, "status.workloadObservedGeneration", "2")) is Health.PROGRESSING
    assert of(live) is Health.PROGRESSING
    assert of(with_(live, "status.workloadObservedGeneration", "3")) is Health.HEALTHY


@pytest.mark.parametrize("why", ["CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"])
@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
def test_a_container_that_cannot_start(why: str, kind: str) -> None:
    """Degraded at once, not after a timeout."""
    waiting = [{"name": "web", "state": {"waiting": {"reason": why, "message": "no"}}}]
    live = with_(with_(POD, "status.phase", "Pending"), f"status.{kind}", waiting)
    assert of(live) is Health.DEGRADED
    assert "web" in judge(live, ALL, NOW).reason


def test_a_pod_without_a_node() -> None:
    """It may find one for 15 s."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    for age, expected in ((10, Health.PROGRESSING), (16, Health.DEGRADED)):
        since = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
        status = {"phase": "Pending", "conditions": [condition | {"lastTransitionTime": since}]}
        assert of(with_(POD, "status", status)) is expected


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (made("v1", "ConfigMap"), Health.HEALTHY),
        (made("rbac.authorization.k8s.io/v1", "Role"), Health.HEALTHY),
        (made("v1", "Namespace", status={"phase": "Active"}), Health.HEALTHY),
        (made("v1", "Namespace", status={"phase": "Terminating"}), Health.PROGRESSING),
        (made("v1", "PersistentVolumeClaim", status={"phase": "Lost"}), Health.DEGRADED),
        (made("v1", "PersistentVolumeClaim"), Health.PROGRESSING),
        (made("v1", "Service", {"type": "ClusterIP"}), Health.HEALTHY),
        (made("v1", "Service", {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}), Health.PROGRESSING),
        (made("batch/v1", "CronJob", {"suspend": True}, {}), Health.SUSPENDED),
        (made("argoproj.io/v1alpha1", "AppProject", {}), Health.HEALTHY),
        (made("example.com/v1", "Widget", {}), Health.UNKNOWN),
        (made("example.com/v1", "Widget", {}, {"conditions": said(Ready="True")}, generation=1), Health.UNKNOWN),
        (made("example.com/v1", "Widget", {}, {"conditions": said(Ready="False")}, generation=1), Health.PROGRESSING),
        (made("example.com/v1", "Widget", {}, {"conditions": said(Stalled="True")}, generation=1), Health.DEGRADED),
        (made("v1", "Deployment"), Health.UNKNOWN),
        ({}, Health.UNKNOWN),
    ],
)
def test_other_kinds(live: Mapping[str, Any], expected: Health) -> None:
    """No rule is unknown, and so is a kind of another group with a name that is known."""
    assert of(live) is expected


# --- rules of users -------------------------------------------------------------------------------------------------

WIDGET = made(
    "example.com/v1", "Widget", {"size": 2}, {"phase": "Ready", "conditions": said(Ready="True")}, generation=2
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"healthy": "status.phase == 'Ready'"}, Health.HEALTHY),
        ({"healthy": "true", "progressing": "spec.size == 2"}, Health.PROGRESSING),
        ({"healthy": "true", "suspended": "true", "progressing": "true"}, Health.SUSPENDED),
        ({"healthy": "true", "suspended": "true", "degraded": "true"}, Health.DEGRADED),
        ({"healthy": "false"}, Health.PROGRESSING),
        ({"healthy": "status.phases == 'Ready'"}, Health.UNKNOWN),
        ({"healthy": "data.x == 1"}, Health.UNKNOWN),
        ({"healthy": "true", "degraded": "status.nothing"}, Health.UNKNOWN),
        ({"healthy": "'yes'"}, Health.UNKNOWN),
        ({"healthy": "1"}, Health.UNKNOWN),
        ({"healthy": "self.spec.size == field('spec.size')"}, Health.HEALTHY),
        ({"healthy": "field('status.none') == null && field('status.none', 3) == 3"}, Health.HEALTHY),
        ({"healthy": "field('status.phase.inner') == null"}, Health.UNKNOWN),
        ({"healthy": "field(1) == null"}, Health.UNKNOWN),
        ({"healthy": "sum([1, 2]) == 3 && sum([]) == 0"}, Health.HEALTHY),
        ({"healthy": "sum(['a']) == 3"}, Health.UNKNOWN),
        ({"healthy": "proven('Ready') == 'True'"}, Health.PROGRESSING),
        ({"healthy": "condition('Ready', 'status.elsewhere') == '' && reason('Ready') == ''"}, Health.HEALTHY),
    ],
)
def test_expressions(rule: Mapping[str, str], expected: Health, capfd: pytest.CaptureFixture[str]) -> None:
    """The first that is true decides; what cannot be answered is unknown, and nothing is printed."""
    assert of(WIDGET, {"kinds": ["example.com/Widget"], **rule}) is expected
    assert capfd.readouterr() == ("", "")


def test_which_rule_counts() -> None:
    """The kind's own, then its group's, then the groups above; users' before those that are built in."""

    def rule(health: str, *kinds: str) -> dict[str, Any]:
        return {"kinds": kinds, "healthy": "false", health: "true"}

    everything = [
        rule("degraded", "*.com/*"),
        rule("suspended", "example.com/*"),
        rule("healthy", "example.com/Widget"),
    ]
    assert of(WIDGET, *everything) is Health.HEALTHY
    assert of(WIDGET, *everything[:2]) is Health.SUSPENDED
    assert of(WIDGET, *everything[:1]) is Health.DEGRADED
    assert of(WIDGET, rule("degraded", "*.example.com/*")) is Health.UNKNOWN
    assert of(with_(DEPLOYMENT, "status", {}), rule("healthy", "apps/Deployment")) is Health.HEALTHY
    assert of(made("v1", "ConfigMap"), rule("degraded", "ConfigMap")) is Health.DEGRADED


def test_a_rule_of_users_waits_for_the_generation() -> None:
    """Only whether it is suspended is asked before."""
    live = with_(with_(WIDGET, "status.observedGeneration", 1), "metadata.generation", 2)
    assert of(live, {"kinds": ["example.com/Widget"], "healthy": "true", "degraded": "true"}) is Health.PROGRESSING
    assert of(live, {"kinds": ["example.com/Widget"], "healthy": "true", "suspended": "true"}) is Health.SUSPENDED


def test_the_reason_is_what_was_asked_for() -> None:
    """The condition, the field, or the message that the rule makes."""

    def reason(**rule: str) -> str:
        return judge(WIDGET, rules([{"kinds": ["example.com/Widget"], **rule}]), NOW).reason

    assert reason(healthy="condition('Ready') == 'True'") == "Ready is True"
    assert reason(healthy="field('status.phase') == 'Ready'") == "status.phase is Ready"
    assert reason(healthy="true", message="'size ' + string(spec.size)") == "size 2"
    assert reason(healthy="true", message="status.nothing") == "it is healthy"


def test_a_reason_is_one_line() -> None:
    """Whatever a controller says, and however much."""
    message = "one\ntwo\x1b[31m" + "x" * 10_000
    live = with_(CERTIFICATE, "status.conditions", [{"type": "Ready", "status": "False", "message": message}])
    reason = judge(live, ALL, NOW).reason
    assert reason.startswith("Ready is False: one two [31mxxx")
    assert len(reason) == 300


def test_all_stored_expressions_can_be_compiled() -> None:
    """And each names only variables and functions that there are."""
    from promotion.health.expressions import EXPRESSIONS, wrong

    stored = _stored().named
    assert len(stored) > 200
    found = {
        text: wrong(text) for rule in stored.values() for text in (getattr(rule, word) for word in EXPRESSIONS) if text
    }
    assert {text: why for text, why in found.items() if why} == {}


# --- whatever is written --------------------------------------------------------------------------------------------

KINDS = [
    *(f"{group}/v1 {kind}" if group else f"v1 {kind}" for group, kind in (*builtin.RULES, *sorted(builtin.THERE))),
    *(
        f"{name.removeprefix('*.').partition('/')[0]}/v1 {name.rpartition('/')[2].replace('*', 'Any')}"
        for name in _stored().named
    ),
    "example.com/v1 Widget",
]
WORDS = st.sampled_from(
    [
        "True",
        "False",
        "Unknown",
        "Ready",
        "Available",
        "Progressing",
        "Failed",
        "Complete",
        "Running",
        "Healthy",
        "phase",
        "status",
        "conditions",
        "type",
        "reason",
        "observedGeneration",
        "replicas",
        "readyReplicas",
        "updatedReplicas",
        "availableReplicas",
        "generation",
        "message",
        "health",
        "state",
        "sync",
        "spec",
        "metadata",
        "paused",
        "suspend",
        "listeners",
        "parents",
        "ancestors",
        "statuses",
        "containerStatuses",
        "waiting",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.just(2**70)
    | st.floats(allow_nan=True)
    | WORDS
    | st.text(max_size=3)
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=15
)
CONDITIONS = st.lists(
    st.fixed_dictionaries({"type": WORDS, "status": WORDS}, optional={"reason": TREES, "observedGeneration": TREES}),
    max_size=3,
)
STATUS = TREES | st.fixed_dictionaries(
    {}, optional={"conditions": CONDITIONS | TREES, "phase": WORDS, "observedGeneration": SCALARS}
)


@given(st.sampled_from(KINDS), st.fixed_dictionaries({}, optional={"metadata": TREES, "spec": TREES, "status": STATUS}))
@example("apps/v1 Deployment", {"status": {"replicas": float("inf")}})
@example("apps/v1 Deployment", {"status": {"conditions": [None]}})
@example(
    "autoscaling/v1 HorizontalPodAutoscaler",
    {"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/conditions": "{"}}},
)
def test_nothing_that_is_written_raises(kind: str, body: dict[str, Any]) -> None:
    """Arbitrary JSON in the place of any part: a reading, with a reason."""
    api_version, name = kind.split(" ")
    reading = judge({"apiVersion": api_version, "kind": name, **body}, ALL, NOW)
    assert reading.reason
    assert len(reading.reason) <= 300
    assert reading.reason.isprintable()


@given(TREES)
def test_nothing_at_all_raises(live: Any) -> None:
    """Not even what is no object."""
    assert judge(live, ALL, NOW).health is not Health.HEALTHY


def test_what_is_nested_too_deeply_is_unknown() -> None:
    """The library that answers expressions would end the process."""
    deep: dict[str, Any] = {}
    for _ in range(1_000):
        deep = {"a": deep}
    live = with_(CERTIFICATE, "status.deep", 1) | {"spec": deep}
    assert of(live, {"kinds": ["cert-manager.io/*"], "healthy": "spec.a.b == 1"}) is Health.UNKNOWN
    assert of(live, {"kinds": ["cert-manager.io/*"], "healthy": "field('spec') == 1"}) is Health.UNKNOWN


@given(st.sampled_from(PROVING), st.integers(-1, 6) | st.none() | st.text(max_size=2), st.integers(1, 5), st.data())
def test_without_the_proof_nothing_is_healthy(
    live: Mapping[str, Any], seen: Any, now: int, data: st.DataObject
) -> None:
    """For each kind that says what it has seen: whatever else its status is, only the same generation is healthy."""
    changed = with_(with_(live, "metadata.generation", now), "status.observedGeneration", seen)
    for key in data.draw(st.lists(st.sampled_from(sorted(changed["status"])), max_size=2)):
        if key != "observedGeneration":
            changed["status"][key] = data.draw(TREES)
    if of(changed) is Health.HEALTHY:
        old_rollout = live is ROLLOUT and not changed["status"].get("phase")  # had a hash there
        assert str(seen) == str(now) or old_rollout
