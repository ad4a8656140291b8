"""`deploy/` on a real API server: each account can do what it is there for, and is refused (403) whatever is beyond that."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from promotion import config
from promotion.cli import main
from promotion.engines import ENGINES, argocd
from promotion.kube import DeniedError
from promotion.model import Health, Subject
from tests.cluster.test_apiserver import deployment
from tests.support import argocd as argo
from tests.support import flux
from tests.support.apiserver import CRDS, MERGE, ApiServer, until
from tests.support.git import Origin
from tests.support.kustomize import rendered

pytestmark = pytest.mark.cluster

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/example"
APPLY = "application/apply-patch+yaml"
PLURALS = {
    "ConfigMap": "api/v1/{}/configmaps",
    "Deployment": "apis/apps/v1/{}/deployments",
    "Namespace": "api/v1/namespaces",
    "NetworkPolicy": "apis/networking.k8s.io/v1/{}/networkpolicies",
    "Role": "apis/rbac.authorization.k8s.io/v1/{}/roles",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1/{}/rolebindings",
    "ServiceAccount": "api/v1/{}/serviceaccounts",
}
ACCOUNTS = {
    "orchestrator": ("promotion", "promotion"),
    "operator": ("shop", "promotion-operator"),
    "worker": ("promotion", "promotion-worker"),
}
"""Namespace and name."""


@pytest.fixture(scope="module")
def tokens(cluster: ApiServer) -> dict[str, str]:
    """What `kubectl apply -k deploy/example` would send is there, and each account has signed in."""
    if not CRDS.is_dir():
        pytest.skip(f"no {CRDS}")
    objects = rendered(EXAMPLE)
    with cluster.client() as client:
        for name in ("argocd", "flux-system", "shop", "elsewhere"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert client.post("/api/v1/namespaces", json=body).status_code in (201, 409)
        values = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "values"}}
        assert client.post(core("flux-system", "configmaps"), json=values).status_code in (201, 409)
        for each in objects:
            address = PLURALS[each["kind"]].format(f"namespaces/{each['metadata'].get('namespace')}")
            path, query = f"/{address}/{each['metadata']['name']}", {"fieldManager": "test", "force": "true"}
            answer = client.patch(path, params=query, content=yaml.safe_dump(each), headers={"Content-Type": APPLY})
            assert answer.is_success, answer.text
        return {who: _token(client, *account) for who, account in ACCOUNTS.items()}


def _token(client: httpx.Client, namespace: str, name: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", json=body)
    token: str = answer.raise_for_status().json()["status"]["token"]
    return token


def ask(cluster: ApiServer, token: str, method: str, path: str) -> int:
    """The status of a request that changes nothing, even when it is allowed."""
    query = {} if method in ("GET", "WATCH") else {"dryRun": "All"}
    query |= {"watch": "true", "timeoutSeconds": "1"} if method == "WATCH" else {}
    query |= {"fieldManager": "test"} if method == "APPLY" else {}
    where, _, name = path.rpartition("/")
    body, kind = b"", "application/json"
    if method in ("APPLY", "POST") and name not in ("exec", "token"):
        body = yaml.safe_dump(_body(where if method == "APPLY" else path, name if method == "APPLY" else "x")).encode()
        kind = APPLY if method == "APPLY" else "application/yaml"
    if method == "PATCH":
        body, kind = b'{"metadata": {"annotations": {"a": "b"}}}', MERGE
    verb = {"APPLY": "PATCH", "WATCH": "GET"}.get(method, method)
    with cluster.client(token=token) as client:
        return client.request(verb, path, params=query, content=body, headers={"Content-Type": kind}).status_code


def _body(where: str, name: str) -> dict[str, Any]:
    """An object that the server takes, for these addresses."""
    parts = where.strip("/").split("/")
    version = parts[1] if parts[0] == "api" else f"{parts[1]}/{parts[2]}"
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "shop:1"}], "restartPolicy": "Never"}
    run = {"metadata": {"labels": labels}, "spec": pod}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "configmaps": ("ConfigMap", {"data": {}}),
        "secrets": ("Secret", {"data": {}}),
        "namespaces": ("Namespace", {}),
        "pods": ("Pod", {"spec": pod}),
        "jobs": ("Job", {"spec": {"template": run}}),
        "roles": ("Role", {"rules": []}),
        "rolebindings": (
            "RoleBinding",
            {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}},
        ),
        "deployments": (
            "Deployment",
            {
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {**run, "spec": {**pod, "restartPolicy": "Always"}},
                }
            },
        ),
    }
    kind, more = kinds[parts[-1]]
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def core(namespace: str, kind: str) -> str:
    return f"/api/v1/namespaces/{namespace}/{kind}"


def of(group: str, namespace: str, kind: str) -> str:
    return f"/apis/{group}/namespaces/{namespace}/{kind}"


APPLICATIONS = of("argoproj.io/v1alpha1", "argocd", "applications")
KUSTOMIZATIONS = of("kustomize.toolkit.fluxcd.io/v1", "flux-system", "kustomizations")
RBAC = "rbac.authorization.k8s.io/v1"

NEEDS = [
    # the orchestrator looks at what deploys, and at what runs
    ("orchestrator", "GET", APPLICATIONS),
    ("orchestrator", "GET", KUSTOMIZATIONS),
    ("orchestrator", "GET", of("source.toolkit.fluxcd.io/v1", "flux-system", "gitrepositories")),
    ("orchestrator", "GET", of("helm.toolkit.fluxcd.io/v2", "flux-system", "helmreleases")),
    ("orchestrator", "GET", core("flux-system", "configmaps") + "/values"),
    ("orchestrator", "GET", of("apps/v1", "shop", "deployments")),
    ("orchestrator", "GET", of("argoproj.io/v1alpha1", "shop", "rollouts")),
    ("orchestrator", "GET", core("shop", "pods")),
    ("orchestrator", "GET", core("shop", "configmaps")),
    # the operator makes its own namespace what Git says
    ("operator", "APPLY", of("apps/v1", "shop", "deployments") + "/web"),
    ("operator", "APPLY", core("shop", "configmaps") + "/web"),
    ("operator", "APPLY", core("shop", "secrets") + "/web"),
    ("operator", "POST", core("shop", "configmaps")),
    ("operator", "DELETE", of("apps/v1", "shop", "deployments") + "/promotion-operator"),
    ("operator", "GET", core("shop", "pods")),
    # the worker starts jobs, and sees how they end
    ("worker", "POST", of("batch/v1", "promotion", "jobs")),
    ("worker", "WATCH", of("batch/v1", "promotion", "jobs")),
    ("worker", "WATCH", core("promotion", "pods")),
]

BEYOND = [
    ("orchestrator", "PATCH", APPLICATIONS + "/x"),
    ("orchestrator", "DELETE", APPLICATIONS + "/x"),
    ("orchestrator", "PATCH", KUSTOMIZATIONS + "/x"),
    ("orchestrator", "GET", "/apis/argoproj.io/v1alpha1/applications"),
    ("orchestrator", "GET", core("flux-system", "configmaps")),
    ("orchestrator", "GET", of("argoproj.io/v1alpha1", "elsewhere", "applications")),
    ("orchestrator", "GET", "/apis/apps/v1/deployments"),
    ("orchestrator", "GET", of("apps/v1", "elsewhere", "deployments")),
    ("orchestrator", "APPLY", of("apps/v1", "shop", "deployments") + "/web"),
    ("orchestrator", "DELETE", core("shop", "pods") + "/x"),
    ("orchestrator", "APPLY", core("shop", "configmaps") + "/web"),
    *(
        ("orchestrator", "GET", core(name, "secrets"))
        for name in ("promotion", "argocd", "flux-system", "shop", "elsewhere")
    ),
    ("orchestrator", "GET", core("promotion", "secrets") + "/promotion"),
    ("orchestrator", "POST", of("batch/v1", "promotion", "jobs")),
    ("orchestrator", "POST", of(RBAC, "promotion", "rolebindings")),
    ("operator", "APPLY", of("apps/v1", "elsewhere", "deployments") + "/web"),
    ("operator", "GET", core("elsewhere", "configmaps")),
    ("operator", "GET", core("promotion", "secrets")),
    ("operator", "GET", "/api/v1/configmaps"),
    ("operator", "POST", "/api/v1/namespaces"),
    ("operator", "GET", "/api/v1/nodes"),
    ("operator", "POST", of(RBAC, "shop", "roles")),
    ("operator", "POST", of(RBAC, "shop", "rolebindings")),
    ("operator", "POST", core("shop", "pods")),
    ("operator", "POST", core("shop", "pods") + "/x/exec"),
    ("operator", "PATCH", APPLICATIONS + "/x"),
    ("operator", "POST", core("shop", "serviceaccounts") + "/promotion-operator/token"),
    ("worker", "POST", of("batch/v1", "elsewhere", "jobs")),
    ("worker", "POST", of("batch/v1", "shop", "jobs")),
    ("worker", "GET", core("promotion", "secrets")),
    ("worker", "GET", core("promotion", "configmaps")),
    ("worker", "POST", core("promotion", "pods")),
    ("worker", "POST", core("promotion", "pods") + "/x/exec"),
    ("worker", "GET", of("apps/v1", "promotion", "deployments")),
    ("worker", "GET", "/apis/batch/v1/jobs"),
    ("worker", "GET", APPLICATIONS),
]


@pytest.mark.parametrize(("who", "method", "path"), NEEDS)
def test_each_may_do_what_it_is_there_for(
    cluster: ApiServer, tokens: dict[str, str], who: str, method: str, path: str
) -> None:
    """As the manifests give it rights."""
    until(lambda: ask(cluster, tokens[who], method, path) != 429)  # a definition that is new is not served yet
    assert ask(cluster, tokens[who], method, path) in (200, 201)


@pytest.mark.parametrize(("who", "method", "path"), BEYOND)
def test_each_is_refused_whatever_is_beyond(
    cluster: ApiServer, tokens: dict[str, str], who: str, method: str, path: str
) -> None:
    """403, and not because there is nothing: the rights are asked about first."""
    assert ask(cluster, tokens[who], method, path) == 403


def test_the_worker_starts_the_job_of_our_work_pool(cluster: ApiServer, tokens: dict[str, str]) -> None:
    """As Prefect fills it in, with the pool's defaults: in its own namespace only, and its pod has the orchestrator's account."""
    from prefect.utilities.templating import apply_values

    pool = json.loads((EXAMPLE.parent / "worker/base-job-template.json").read_text("utf-8"))
    values = {name: each["default"] for name, each in pool["variables"]["properties"].items() if "default" in each}
    values |= {"name": "round", "command": ["prefect", "flow-run", "execute"], "env": [{"name": "A", "value": "b"}]}
    job = apply_values(pool["job_configuration"], values)["job_manifest"]
    with cluster.client(token=tokens["worker"]) as worker:
        answer = worker.post(of("batch/v1", "promotion", "jobs"), json=job)
        assert answer.status_code == 201, answer.text
        name = answer.json()["metadata"]["name"]
        beyond = {**job, "metadata": {**job["metadata"], "namespace": "shop"}}
        assert worker.post(of("batch/v1", "shop", "jobs"), json=beyond).status_code == 403

        def accounts() -> list[str]:
            query = {"labelSelector": f"batch.kubernetes.io/job-name={name}"}
            pods = worker.get(core("promotion", "pods"), params=query).raise_for_status().json()["items"]
            return [pod["spec"]["serviceAccountName"] for pod in pods]

        until(lambda: bool(accounts()))
        assert set(accounts()) == {ACCOUNTS["orchestrator"][1]}
        assert worker.delete(f"{of('batch/v1', 'promotion', 'jobs')}/{name}").status_code == 200


# --- at work ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """environments.yaml for our operator's namespace, and a repository with one environment."""

    folder: Path
    kubeconfig: Path
    origin: Origin

    def run(self, who: str, *words: str) -> int:
        """One command with the rights of that account."""
        engine = {"type": "kubernetes", "namespace": "shop", "path": "deploy", "context": who}
        environment = {"name": "prod", "branch": "env/prod", "engine": engine, "health": "engine"}
        looked = {"type": "kubernetes", "namespace": "shop", "objects": ["deployment/web"], "context": who}
        environment["health"] = [looked | {"kubeconfig": str(self.kubeconfig)}]
        engine["kubeconfig"] = str(self.kubeconfig)
        file = self.folder / "environments.yaml"
        written = {
            "version": 1,
            "name": self.folder.name,
            "repository": str(self.origin.path),
            "environments": [environment],
        }
        file.write_text(yaml.safe_dump(written))
        return main(["-c", str(file), *words])

    def release(self, *objects: dict[str, Any]) -> str:
        return self.origin.commit("env/prod", {"deploy/all.yaml": yaml.safe_dump_all(objects)})


@pytest.fixture
def work(cluster: ApiServer, tokens: dict[str, str], tmp_path: Path) -> Work:
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", tokens)
    return Work(tmp_path, kubeconfig, Origin.create(tmp_path / "shop.git", ["env/prod"]))


def test_the_operator_deploys_and_the_orchestrator_sees_it(
    cluster: ApiServer, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each by the whole command line; whoever only looks cannot deploy, and changes nothing by trying.

    The operator reads Git and does not even try to push.
    """
    commit = work.release(deployment("web", "shop:1"))
    assert work.run("orchestrator", "sync", "prod") != 0
    assert "cannot" in capsys.readouterr().err
    with cluster.client() as client:
        assert client.get(of("apps/v1", "shop", "deployments") + "/web").status_code == 404
    before = work.origin.refs()
    work.origin.hook("pre-receive", "#!/bin/sh\ntouch pushed\nexit 1\n")
    assert work.run("operator", "sync", "prod") == 0
    assert (work.origin.refs(), (work.origin.path / "pushed").exists()) == (before, False)
    work.origin.hook("pre-receive", "#!/bin/sh\n")

    def seen() -> bool:
        assert work.run("orchestrator", "observe", "prod") == 0
        capsys.readouterr()
        assert work.run("orchestrator", "--json", "status", "prod") == 0
        return "healthy" in (said := capsys.readouterr().out) and commit[:7] in said

    until(seen)


def test_the_operator_is_refused_one_object_and_goes_on(
    cluster: ApiServer, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its Role does not have is told of by name; the rest is there."""
    work.release(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "beside"}, "data": {"a": "b"}},
        {"metadata": {"name": "more"}} | _body(of(RBAC, "shop", "rolebindings"), "more"),
    )
    assert work.run("operator", "sync", "prod") != 0
    captured = capsys.readouterr()
    assert "RoleBinding" in captured.out + captured.err
    with cluster.client() as client:
        assert client.get(core("shop", "configmaps") + "/beside").is_success
        assert client.get(of(RBAC, "shop", "rolebindings") + "/more").status_code == 404


def test_the_orchestrator_sees_what_argo_cd_deploys(cluster: ApiServer, work: Work) -> None:
    """And may not ask it to look at Git: that needs `patch`."""
    body = argo.application()
    with cluster.client() as client:
        client.post(APPLICATIONS, json=body).raise_for_status()
    settings = {"context": "orchestrator", "kubeconfig": str(work.kubeconfig), "application": "shop-qa"}
    seen = ENGINES["argocd"].observe(settings, argo.QA)
    assert (seen.revision, seen.reading and seen.reading.health) == (argo.NEW, Health.HEALTHY)
    before = cluster_object(cluster, APPLICATIONS + "/shop-qa")
    with pytest.raises(DeniedError):
        argocd.refresh({**settings, "refresh": "annotate"}, argo.QA)
    assert cluster_object(cluster, APPLICATIONS + "/shop-qa") == before
    with pytest.raises(DeniedError):
        ENGINES["argocd"].observe({**settings, "namespace": "elsewhere"}, argo.QA)


def test_the_orchestrator_sees_what_flux_deploys(cluster: ApiServer, work: Work) -> None:
    """The Kustomization, its source, and what it made, where it has rights to look at that too."""
    with cluster.client() as client:
        for live in (flux.repository(), flux.kustomization()):
            group = live["apiVersion"]
            path = of(group, "flux-system", "gitrepositories" if live["kind"] == "GitRepository" else "kustomizations")
            metadata = {key: value for key, value in live["metadata"].items() if key != "generation"}
            client.post(path, json={**live, "metadata": metadata}).raise_for_status()
            content = json.dumps({"status": live["status"]})
            address = f"{path}/{live['metadata']['name']}/status"
            client.patch(address, content=content, headers={"Content-Type": MERGE}).raise_for_status()
    settings = {"context": "orchestrator", "kubeconfig": str(work.kubeconfig), "kustomization": "shop"}
    settings["namespace"] = "flux-system"
    subject = Subject("shop", "qa", flux.M, flux.URL, flux.BRANCH)
    assert ENGINES["flux"].observe(settings, subject).revision == flux.M


def cluster_object(cluster: ApiServer, path: str) -> Any:
    with cluster.client() as client:
        return client.get(path).raise_for_status().json()


def test_init_writes_what_argo_cd_has(
    cluster: ApiServer, work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real definition and the orchestrator's rights: valid, and its engines see the Applications."""
    with cluster.client() as client:
        for name in ("dev", "prod"):
            spec = {
                "source": argo.source(targetRevision=f"env/{name}"),
                "destination": {"namespace": "x"},
                "project": "default",
            }
            metadata = {"name": f"pay-{name}", "namespace": "argocd"}
            body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}
            client.post(APPLICATIONS, json=body).raise_for_status()
    monkeypatch.setenv("KUBECONFIG", str(work.kubeconfig))
    file = work.folder / "found.yaml"
    assert main(["-c", str(file), "--json", "init", "--from-argocd", "--context", "orchestrator"]) == 0
    assert json.loads(capsys.readouterr().out)["applications"]["pay"] == ["dev", "prod"]
    (pay,) = [each for each in config.load(file).applications if each.name == "pay"]
    settings = {e.name: e.engine.settings for e in pay.environments}
    subject = Subject("pay", "prod", argo.NEW, argo.URL, "env/prod", environ={"KUBECONFIG": str(work.kubeconfig)})
    seen = ENGINES["argocd"].observe(settings["prod"], subject)
    assert (seen.reading and seen.reading.reason) == "Argo CD has not looked at the Application yet"
    assert main(["-c", str(file), "validate"]) == 0
