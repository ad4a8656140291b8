"""Kinds of other projects: what their controllers write, and what it proves; derived from how they behave, kind by kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from promotion.health import judge, rules
from promotion.model import Health
from tests.test_health import made, said

HEALTHY, PROGRESSING, DEGRADED = Health.HEALTHY, Health.PROGRESSING, Health.DEGRADED
SUSPENDED, UNKNOWN = Health.SUSPENDED, Health.UNKNOWN


def conditions(**each: str) -> dict[str, Any]:
    return {"conditions": said(**each)}


def on_demand(prefix: str, fewest: str) -> dict[str, Any]:
    """Spark starts and ends executors as it needs them; `instances` is then only how many it begins with."""
    settings = {"enabled": "true", "minExecutors": fewest}
    return {"sparkConf": {f"spark.{prefix}dynamicAllocation.{key}": value for key, value in settings.items()}}


def routed(*parents: tuple[int | None, dict[str, str]]) -> dict[str, Any]:
    """The status of a route: for each gateway the generation that it has seen, and what it says."""
    return {
        "parents": [
            {"conditions": [each | ({} if seen is None else {"observedGeneration": seen}) for each in said(**words)]}
            for seen, words in parents
        ]
    }


OK = {"Accepted": "True", "ResolvedRefs": "True"}
SPARK = {"applicationState": {"state": "RUNNING"}, "executorState": {"a": "RUNNING", "b": "RUNNING", "c": "FAILED"}}
CLONES = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "expectedUpdatedReplicas": 2}
SYNCED = {"Ready": "True", "Synced": "True"}
DRY = {"active": {"dry": {"sha": "b"}}, "proposed": {"dry": {"sha": "b"}}}
READY_GAME = {
    "currentState": "Ready",
    "desiredState": "Ready",
    "podStatus": conditions(Ready="True", KruisePodReady="True"),
}
ES = {"nodeSets": [{"count": 2}, {"count": 1}]}

CASES: list[tuple[str, Any, Any, Health]] = [
    # Argo
    ("argoproj.io/Application", {}, {"health": {"status": "Healthy"}, "sync": {"status": "Synced"}}, HEALTHY),
    ("argoproj.io/Application", {}, {"health": {"status": "Healthy"}, "sync": {"status": "OutOfSync"}}, PROGRESSING),
    ("argoproj.io/ApplicationSet", {}, conditions(ErrorOccurred="True", ResourcesUpToDate="True"), DEGRADED),
    ("argoproj.io/ApplicationSet", {}, conditions(RolloutProgressing="True", ResourcesUpToDate="True"), PROGRESSING),
    ("argoproj.io/CronWorkflow", {"suspend": True}, {}, SUSPENDED),
    ("argoproj.io/Workflow", {}, {"phase": "Error"}, DEGRADED),
    ("promoter.argoproj.io/CommitStatus", {}, conditions(Ready="Unknown"), PROGRESSING),
    ("promoter.argoproj.io/GitCommitStatus", {}, conditions(Ready="True") | {"environments": [{"phase": "success"}]}, HEALTHY),
    ("promoter.argoproj.io/GitCommitStatus", {}, conditions(Ready="True") | {"environments": [{"branch": "a"}]}, PROGRESSING),
    ("promoter.argoproj.io/ChangeTransferPolicy", {}, conditions(Ready="True") | DRY, HEALTHY),
    ("promoter.argoproj.io/PromotionStrategy", {}, conditions(Ready="True") | {"environments": [DRY, DRY]}, HEALTHY),
    ("promoter.argoproj.io/PromotionStrategy", {}, conditions(Ready="True") | {"environments": []}, DEGRADED),
    ("promoter.argoproj.io/PromotionStrategy", {}, conditions(Ready="True") | {"environments": [DRY, {}]}, PROGRESSING),
    (
        "promoter.argoproj.io/PromotionStrategy",
        {},
        conditions(Ready="True") | {"environments": [DRY, DRY | {"proposed": {"dry": {"sha": "b"}, "note": {"drySha": "c"}}}]},
        PROGRESSING,
    ),
    # Flux
    ("kustomize.toolkit.fluxcd.io/Kustomization", {"suspend": True}, conditions(Ready="True"), SUSPENDED),
    ("kustomize.toolkit.fluxcd.io/Kustomization", {}, conditions(Ready="True", Reconciling="True"), PROGRESSING),
    ("kustomize.toolkit.fluxcd.io/Kustomization", {}, conditions(Ready="False DependencyNotReady"), PROGRESSING),
    ("kustomize.toolkit.fluxcd.io/Kustomization", {}, conditions(Ready="False BuildFailed", Reconciling="True"), DEGRADED),
    ("helm.toolkit.fluxcd.io/HelmRelease", {}, conditions(Ready="True", Released="True", Remediated="True"), DEGRADED),
    ("helm.toolkit.fluxcd.io/HelmRelease", {}, conditions(Ready="True"), PROGRESSING),
    ("source.toolkit.fluxcd.io/GitRepository", {}, conditions(Ready="True", ArtifactInStorage="True"), HEALTHY),
    ("source.toolkit.fluxcd.io/GitRepository", {}, conditions(Ready="False", ArtifactInStorage="True"), DEGRADED),
    ("source.toolkit.fluxcd.io/HelmRepository", {"type": "oci"}, None, HEALTHY),
    ("image.toolkit.fluxcd.io/ImagePolicy", {}, conditions(Ready="False", Reconciling="True ApplyingPolicy"), PROGRESSING),
    # gateways
    ("gateway.networking.k8s.io/HTTPRoute", {}, routed((2, OK)), HEALTHY),
    ("gateway.networking.k8s.io/HTTPRoute", {}, routed((1, OK)), PROGRESSING),
    ("gateway.networking.k8s.io/HTTPRoute", {}, routed((None, OK)), PROGRESSING),
    ("gateway.networking.k8s.io/HTTPRoute", {}, routed((1, {"Accepted": "False"}), (2, OK)), HEALTHY),
    ("gateway.networking.k8s.io/HTTPRoute", {}, routed((2, OK), (2, {"Accepted": "False"})), DEGRADED),
    ("gateway.networking.k8s.io/HTTPRoute", {}, routed((2, OK | {"Programmed": "Unknown"})), PROGRESSING),
    (
        "gateway.networking.k8s.io/HTTPRoute",
        {},
        {"parents": [{"conditions": [{**each, "observedGeneration": 2 - i} for i, each in enumerate(said(Accepted="True", ResolvedRefs="False"))]}]},
        DEGRADED,
    ),
    ("gateway.networking.k8s.io/TLSRoute", {}, routed((2, {"Accepted": "True"})), PROGRESSING),
    ("gateway.networking.k8s.io/GRPCRoute", {}, routed((2, {"Accepted": "Unknown"})), PROGRESSING),
    ("gateway.networking.k8s.io/Gateway", {}, conditions(Accepted="True", Programmed="True"), HEALTHY),
    ("gateway.networking.k8s.io/Gateway", {}, conditions(Accepted="True", Programmed="False"), PROGRESSING),
    ("gateway.networking.k8s.io/Gateway", {}, {"listeners": routed((2, {"ResolvedRefs": "False"}))["parents"]}, DEGRADED),
    ("gateway.envoyproxy.io/SecurityPolicy", {}, {"ancestors": routed((1, {"Accepted": "True"}))["parents"]}, PROGRESSING),
    ("gateway.solo.io/RouteTable", {}, {"statuses": {"a": {"state": "Accepted"}, "b": {"state": "Rejected"}}}, DEGRADED),
    ("gloo.solo.io/Upstream", {}, {"state": 1}, HEALTHY),
    ("projectcontour.io/HTTPProxy", {}, {"currentStatus": "valid", **conditions(Valid="True")}, PROGRESSING),
    ("route.openshift.io/Route", {}, {"ingress": [conditions(Admitted="True"), conditions(Admitted="False")]}, DEGRADED),
    ("route.openshift.io/Route", {}, {"ingress": []}, PROGRESSING),
    # clouds
    ("sql.cnrm.cloud.google.com/SQLInstance", {}, conditions(Ready="True Updating"), PROGRESSING),
    ("sql.cnrm.cloud.google.com/SQLInstance", {}, conditions(Ready="False DependencyNotReady"), SUSPENDED),
    ("s3.services.k8s.aws/Bucket", {}, {"conditions": [*said(Ready="True"), {"type": "ACK.Terminal", "status": "True"}]}, DEGRADED),
    ("apiextensions.crossplane.io/Composition", {}, None, HEALTHY),
    ("ec2.aws.crossplane.io/VPC", {}, None, PROGRESSING),
    ("ec2.aws.crossplane.io/VPC", {}, conditions(Ready="True", Synced="False ReconcileError"), DEGRADED),
    ("ec2.aws.upbound.io/VPC", {}, conditions(Ready="True", LastAsyncOperation="False"), DEGRADED),
    ("rds.aws.crossplane.io/DBInstance", {}, conditions(**SYNCED), HEALTHY),
    ("rds.aws.crossplane.io/DBInstance", {}, conditions(Ready="True", Synced="False ReconcilePaused"), SUSPENDED),
    ("pkg.crossplane.io/Provider", {}, conditions(Installed="True", Healthy="Unknown"), DEGRADED),
    ("kro.run/Shop", {}, {"state": "ACTIVE", **conditions(Ready="True")}, PROGRESSING),
    # clusters
    ("cluster.x-k8s.io/Cluster", {}, {"phase": "Provisioned", **conditions(ControlPlaneReady="False")}, PROGRESSING),
    ("cluster.x-k8s.io/MachineDeployment", {}, {"phase": "Running", "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}, PROGRESSING),
    ("controlplane.cluster.x-k8s.io/AWSManagedControlPlane", {}, conditions(Ready="True", EKSControlPlaneUpdating="True"), PROGRESSING),
    ("karpenter.sh/NodeClaim", {}, conditions(Ready="True", Disrupting="True"), SUSPENDED),
    ("hypershift.openshift.io/NodePool", {}, conditions(Ready="True", ValidReleaseImage="False"), DEGRADED),
    ("nmstate.io/NodeNetworkConfigurationPolicy", {}, conditions(Available="False", Ignored="True"), SUSPENDED),
    ("nmstate.io/NodeNetworkConfigurationEnactment", {}, conditions(Available="True", Failing="False"), HEALTHY),
    ("nmstate.io/NodeNetworkConfigurationEnactment", {}, conditions(Failing="True", Available="True"), DEGRADED),
    ("nmstate.io/NodeNetworkConfigurationEnactment", {}, conditions(Failing="True", Progressing="True", Available="True"), PROGRESSING),
    ("nmstate.io/NodeNetworkConfigurationEnactment", {}, conditions(Aborted="True", Available="True"), SUSPENDED),
    ("operator.openshift.io/IngressController", {}, conditions(Available="True", DeploymentReplicasAllAvailable="False"), PROGRESSING),
    ("operators.coreos.com/Subscription", {}, {"state": "UpgradePending", **conditions(CatalogSourcesUnhealthy="False")}, PROGRESSING),
    ("capsule.clastix.io/Tenant", {}, conditions(Ready="True", Cordoned="True"), SUSPENDED),
    ("capsule.clastix.io/ResourcePool", {}, {"exhaustions": {"cpu": {}}, **conditions(Ready="True")}, DEGRADED),
    ("capsule.clastix.io/TenantResource", {"cordoned": True}, conditions(Ready="True"), SUSPENDED),
    # databases, queues, searches
    ("postgresql.cnpg.io/Cluster", {}, {"phase": "Cluster in healthy state", **conditions(Ready="True")}, HEALTHY),
    ("postgresql.cnpg.io/Cluster", {}, {"phase": "Cluster in healthy state", **conditions(Ready="False")}, PROGRESSING),
    ("postgresql.cnpg.io/Cluster", {}, {"phase": "Failing over", **conditions(Ready="True")}, DEGRADED),
    ("postgresql.cnpg.io/Database", {}, {"applied": True, "observedGeneration": 2}, HEALTHY),
    ("postgresql.cnpg.io/Database", {}, {"applied": True}, PROGRESSING),
    ("elasticsearch.k8s.elastic.co/Elasticsearch", ES, {"phase": "Ready", "health": "green", "availableNodes": 3}, HEALTHY),
    ("elasticsearch.k8s.elastic.co/Elasticsearch", ES, {"phase": "Ready", "health": "green", "availableNodes": 2}, PROGRESSING),
    ("k8s.mariadb.com/MariaDB", {}, conditions(Ready="True", Bootstrapped="False Failed"), DEGRADED),
    ("kafka.strimzi.io/Kafka", {}, conditions(NotReady="True Creating"), PROGRESSING),
    ("rabbitmq.com/Queue", {}, conditions(Ready="True"), PROGRESSING),
    ("cassandra.datastax.com/CassandraDatacenter", {}, conditions(Healthy="True", Updating="True"), UNKNOWN),
    ("zookeeper.pravega.io/ZookeeperCluster", {}, {"replicas": 0, "readyReplicas": 0}, PROGRESSING),
    ("druid.apache.org/Druid", {}, {"druidNodeStatus": {"druidNodeConditionType": "DruidNodePodNotReady"}}, PROGRESSING),
    # streams, serving, the rest
    ("flink.apache.org/FlinkDeployment", {}, {"reconciliationStatus": {"state": "DEPLOYED"}, "lifecycleState": "DEPLOYED"}, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", {"executor": {"instances": 2}}, SPARK, HEALTHY),
    ("sparkoperator.k8s.io/SparkApplication", {"executor": {"instances": 3}}, SPARK, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", {}, SPARK, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", {"executor": {"instances": 0}}, SPARK | {"executorState": None}, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", {"executor": {"instances": 2}}, SPARK | {"executorState": None}, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", {"dynamicAllocation": {"enabled": True}}, SPARK, HEALTHY),
    ("sparkoperator.k8s.io/SparkApplication", {"dynamicAllocation": {"enabled": True, "minExecutors": 3}}, SPARK, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", on_demand("", "2"), SPARK, HEALTHY),
    ("sparkoperator.k8s.io/SparkApplication", on_demand("", "3"), SPARK, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", on_demand("streaming.", "2"), SPARK, HEALTHY),
    ("sparkoperator.k8s.io/SparkApplication", on_demand("streaming.", "3"), SPARK, PROGRESSING),
    ("sparkoperator.k8s.io/SparkApplication", on_demand("streaming.", "3") | {"executor": {"instances": 2}}, SPARK, PROGRESSING),
    ("db.atlasgo.io/AtlasSchema", {}, conditions(Ready="False GettingDevDB"), PROGRESSING),
    ("db.atlasgo.io/AtlasSchema", {}, conditions(Ready="False ApplyingSchema"), DEGRADED),
    ("numaflow.numaproj.io/Pipeline", {}, {"phase": "Running"}, PROGRESSING),
    ("numaflow.numaproj.io/Pipeline", {}, {"phase": "Paused", "observedGeneration": 2}, SUSPENDED),
    ("serving.knative.dev/Service", {}, conditions(Ready="True", ConfigurationsReady="True", RoutesReady="Unknown"), PROGRESSING),
    ("serving.kserve.io/InferenceService", {}, conditions(Ready="True", PredictorReady="True", IngressReady="True"), PROGRESSING),
    ("openfaas.com/Function", {}, {"replicas": 0, **conditions(Ready="True")}, SUSPENDED),
    ("keda.sh/ScaledObject", {}, conditions(Ready="True", Fallback="True"), DEGRADED),
    ("kubevirt.io/VirtualMachine", {}, {"created": True, **conditions(Ready="False")}, PROGRESSING),
    ("apps.kruise.io/CloneSet", {"replicas": 2, "updateStrategy": {"partition": 0}}, CLONES | {"updatedAvailableReplicas": 2}, HEALTHY),
    ("apps.kruise.io/CloneSet", {"replicas": 2, "updateStrategy": {"partition": 1}}, CLONES | {"updatedAvailableReplicas": 2}, SUSPENDED),
    ("game.kruise.io/GameServer", {}, READY_GAME, HEALTHY),
    ("game.kruise.io/GameServer", {}, READY_GAME | {"desiredState": "Terminated"}, PROGRESSING),
    ("game.kruise.io/GameServer", {}, READY_GAME | {"podStatus": conditions(KruisePodReady="False")}, DEGRADED),
    ("game.kruise.io/GameServer", {}, READY_GAME | {"podStatus": conditions(Ready="False", KruisePodReady="True")}, PROGRESSING),
    ("opentelemetry.io/OpenTelemetryCollector", {}, {"scale": {"statusReplicas": "1/2"}}, PROGRESSING),
    ("opentelemetry.io/OpenTelemetryCollector", {}, {"scale": {"statusReplicas": "0/0"}}, DEGRADED),
    ("opentelemetry.io/OpenTelemetryCollector", {"mode": "daemonset"}, {"scale": {"statusReplicas": "0/0"}}, HEALTHY),
    ("opentelemetry.io/OpenTelemetryCollector", {"mode": "sidecar"}, {}, HEALTHY),
    ("cert-manager.io/Certificate", {}, conditions(Ready="True", Issuing="True"), PROGRESSING),
    ("external-secrets.io/ExternalSecret", {}, conditions(Ready="True"), HEALTHY),
    ("external-secrets.io/ExternalSecret", {}, conditions(Ready="True") | {"syncedResourceVersion": "2-f00"}, HEALTHY),
    ("external-secrets.io/ExternalSecret", {}, conditions(Ready="True") | {"syncedResourceVersion": "1-f00"}, PROGRESSING),
    ("external-secrets.io/PushSecret", {}, conditions(Ready="True") | {"syncedResourceVersion": "22-f00"}, PROGRESSING),
    (
        "external-secrets.io/ExternalSecret",
        {"refreshPolicy": "CreatedOnce"},
        conditions(Ready="True") | {"syncedResourceVersion": "1-f00"},
        HEALTHY,
    ),
    ("coralogix.com/Alert", {}, conditions(RemoteSynced="True"), HEALTHY),
    ("coralogix.com/Alert", {}, conditions(RemoteSynced="False"), DEGRADED),
    ("coralogix.com/RecordingRuleGroupSet", {}, conditions(Ready="True"), PROGRESSING),
    ("datadoghq.com/DatadogMetric", {}, None, PROGRESSING),
    ("grafana.integreatly.org/GrafanaDashboard", {}, conditions(NoMatchingInstance="True"), DEGRADED),
    ("policies.kyverno.io/ValidatingPolicy", {}, {"conditionStatus": {"ready": True, "conditions": [{"observedGeneration": 1}]}}, PROGRESSING),
    ("policy.open-cluster-management.io/Policy", {}, {"compliant": "NonCompliant"}, DEGRADED),
    ("velero.io/Backup", {}, {"phase": "FinalizingPartiallyFailed"}, DEGRADED),
    ("spot.io/SpotDeployment", {"replicas": 2}, {"observedGeneration": "c45557fd9", "phase": "Healthy", "readyReplicas": 1}, PROGRESSING),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "status", "expected"), CASES)
def test_what_controllers_write(kind: str, spec: Any, status: Any, expected: Health) -> None:
    """Of generation 2, unless the status says something else."""
    group, _, name = kind.partition("/")
    reading = judge(made(f"{group}/v1", name, spec, status, generation=2), rules(), datetime(2026, 1, 1, tzinfo=UTC))
    assert reading.health is expected, reading
