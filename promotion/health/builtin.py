"""The kinds of Kubernetes itself: which rule judges which, and the rules that are short; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from promotion.health.contract import Rule, degraded, healthy, progressing, suspended, unknown
from promotion.health.live import (
    Condition,
    MalformedError,
    conditions,
    entries,
    generation,
    mapping,
    observed,
    stated,
    text,
    value,
)
from promotion.health.pods import cron_job, job, pod
from promotion.health.workloads import daemon_set, deployment, replica_set, stale, stateful_set, unseen
from promotion.model import Reading


def claim(live: Mapping[str, Any], _: datetime) -> Reading:
    """A volume claim: bound."""
    return _phase(live, good=("Bound",), waiting=("Pending",), bad=("Lost",))


def volume(live: Mapping[str, Any], _: datetime) -> Reading:
    """A volume: to be had, or had by somebody."""
    return _phase(live, good=("Available", "Bound"), waiting=("Pending", "Released"), bad=("Failed",))


def namespace(live: Mapping[str, Any], _: datetime) -> Reading:
    return _phase(live, good=("Active",), waiting=("Terminating",), bad=())


def _phase(
    live: Mapping[str, Any], *, good: tuple[str, ...], waiting: tuple[str, ...], bad: tuple[str, ...]
) -> Reading:
    phase = text(live, "status", "phase")
    if phase in good:
        return healthy(f"it is {phase}")
    if phase in bad:
        return degraded(f"it is {phase}" + (f": {text(live, 'status', 'message')}" if phase else ""))
    if phase in waiting or not phase:
        return progressing(f"it is {phase}" if phase else "it has no status yet")
    return unknown(f"its phase is {phase}")


def service(live: Mapping[str, Any], _: datetime) -> Reading:
    """A load balancer needs its addresses; any other is healthy by being there."""
    if text(live, "spec", "type") != "LoadBalancer":
        return healthy("it is there")
    if not text(live, "spec", "clusterIP"):
        return progressing("it has no cluster address yet")
    return _balanced(live)


def ingress(live: Mapping[str, Any], _: datetime) -> Reading:
    return _balanced(live)


def _balanced(live: Mapping[str, Any]) -> Reading:
    if entries(live, "status", "loadBalancer", "ingress"):
        return healthy("it has an address")
    return progressing("the load balancer has no address yet")


def disruption_budget(live: Mapping[str, Any], _: datetime) -> Reading:
    """Observed; too few pods now is what a budget is there to say."""
    if waiting := unseen(live):
        return waiting
    said = stated(live)
    for each in said:
        if each.status == "False" and each.reason != "InsufficientPods":
            return degraded(each.said)
    proven = bool(said) or (observed(live) is not None and observed(live) == generation(live))
    return healthy("it is observed") if proven else progressing("it has no status yet")


def definition(live: Mapping[str, Any], _: datetime) -> Reading:
    """A CRD: names accepted, established, structural."""
    said = conditions(live)
    if not said:
        return progressing("it has no status yet")
    if _is(said, "Terminating", "True"):
        return progressing(said["Terminating"].said)
    for name, status in (("NamesAccepted", "False"), ("NonStructuralSchema", "True")):
        if _is(said, name, status):
            return degraded(said[name].said)
    if _is(said, "Established", "True"):
        return healthy("it is established")
    if "Established" not in said:
        return progressing("it is not established yet")
    installing = said["Established"].reason == "Installing"
    return (progressing if installing else degraded)(said["Established"].said)


def _is(said: Mapping[str, Condition], name: str, status: str) -> bool:
    return name in said and said[name].status == status


def autoscaler(live: Mapping[str, Any], _: datetime) -> Reading:
    """A horizontal one: it can read the scale and its metrics. The oldest API has its conditions in an annotation."""
    if waiting := stale(live):
        return waiting
    said = conditions(live) or conditions({"status": {"conditions": _annotated(live)}})
    for name, reasons in (
        ("AbleToScale", ("FailedGetScale", "FailedUpdateScale")),
        ("ScalingActive", ("FailedGetResourceMetric", "InvalidSelector")),
    ):
        if name in said and said[name].reason in reasons:
            return degraded(said[name].said)
    for name in ("AbleToScale", "ScalingLimited"):
        if _is(said, name, "True"):
            return healthy(said[name].said)
    return progressing("it does not say yet that it can scale")


def _annotated(live: Mapping[str, Any]) -> Any:
    written = text(live, "metadata", "annotations", "autoscaling.alpha.kubernetes.io/conditions")
    try:
        return json.loads(written) if written else None
    except (ValueError, RecursionError) as exc:
        raise MalformedError("the annotation with its conditions is not JSON") from exc


def when(name: str, *, bad: tuple[str, ...] = (), failed: bool = False) -> Rule:
    """A rule: the condition is True. `failed`: False is degraded, not progressing; `bad` must not be True."""

    def rule(live: Mapping[str, Any], _: datetime) -> Reading:
        if waiting := stale(live):
            return waiting
        said = conditions(live)
        for each in bad:
            if _is(said, each, "True"):
                return degraded(said[each].said)
        if name not in said:
            return progressing(f"nothing says yet that it is {name}")
        if said[name].status == "True":
            return healthy(said[name].said)
        return (degraded if failed and said[name].status == "False" else progressing)(said[name].said)

    return rule


def quota(live: Mapping[str, Any], _: datetime) -> Reading:
    """A resource quota: its limits are those that are in force."""
    in_force = mapping(live, "status", "hard") == mapping(live, "spec", "hard")
    return healthy("it is in force") if in_force else progressing("it is not in force yet")


def admission_policy(live: Mapping[str, Any], _: datetime) -> Reading:
    return unseen(live) or healthy("it is observed")


def signing_request(live: Mapping[str, Any], _: datetime) -> Reading:
    """A certificate signing request: approved, and signed."""
    said = conditions(live)
    for name in ("Denied", "Failed"):
        if name in said:
            return degraded(said[name].said)
    if text(live, "status", "certificate"):
        return healthy("it is signed")
    return progressing("it is approved, not signed yet" if "Approved" in said else "it waits for an approval")


def flow_schema(live: Mapping[str, Any], _: datetime) -> Reading:
    said = conditions(live)
    return degraded(said["Dangling"].said) if _is(said, "Dangling", "True") else healthy("it is there")


def node(live: Mapping[str, Any], now: datetime) -> Reading:
    if value(live, "spec", "unschedulable") is True:
        return suspended("it is cordoned")
    return when("Ready", failed=True)(live, now)


def there(_: Mapping[str, Any], __: datetime) -> Reading:
    """What nobody works on: it is what it is as soon as it is stored."""
    return healthy("it is there")


RULES: Mapping[tuple[str, str], Rule] = {
    ("", "Namespace"): namespace,
    ("", "Node"): node,
    ("", "PersistentVolume"): volume,
    ("", "PersistentVolumeClaim"): claim,
    ("", "Pod"): pod,
    ("", "ReplicationController"): replica_set,
    ("", "ResourceQuota"): quota,
    ("", "Service"): service,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): admission_policy,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definition,
    ("apiregistration.k8s.io", "APIService"): when("Available"),
    ("apps", "DaemonSet"): daemon_set,
    ("apps", "Deployment"): deployment,
    ("apps", "ReplicaSet"): replica_set,
    ("apps", "StatefulSet"): stateful_set,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaler,
    ("batch", "CronJob"): cron_job,
    ("batch", "Job"): job,
    ("certificates.k8s.io", "CertificateSigningRequest"): signing_request,
    ("extensions", "DaemonSet"): daemon_set,
    ("extensions", "Deployment"): deployment,
    ("extensions", "Ingress"): ingress,
    ("extensions", "ReplicaSet"): replica_set,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): flow_schema,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): flow_schema,
    ("networking.k8s.io", "Ingress"): ingress,
    ("networking.k8s.io", "ServiceCIDR"): when("Ready", failed=True),
    ("policy", "PodDisruptionBudget"): disruption_budget,
}

_THERE = {
    "": "ConfigMap Endpoints LimitRange PodTemplate Secret ServiceAccount",
    "admissionregistration.k8s.io": "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding "
    "MutatingWebhookConfiguration ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    "apps": "ControllerRevision",
    "coordination.k8s.io": "Lease",
    "discovery.k8s.io": "EndpointSlice",
    "extensions": "NetworkPolicy",
    "networking.k8s.io": "IPAddress IngressClass NetworkPolicy",
    "node.k8s.io": "RuntimeClass",
    "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "resource.k8s.io": "DeviceClass ResourceClaimTemplate ResourceSlice",
    "scheduling.k8s.io": "PriorityClass",
    "storage.k8s.io": "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttributesClass",
}
THERE = frozenset((group, kind) for group, kinds in _THERE.items() for kind in kinds.split())
"""Kinds without a status that anybody would have to wait for."""
