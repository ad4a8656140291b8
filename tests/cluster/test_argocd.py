"""Applications in a real API server, with the real definition: read, judged, annotated, and refused without rights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from promotion.engines import argocd
from promotion.engines.argocd.judge import ASKED, PATHS, REFRESH
from promotion.engines.contract import Deployed
from promotion.errors import ConfigError, PromotionError
from promotion.kube import DeniedError
from promotion.model import Health
from tests.support.apiserver import CRDS, ApiServer
from tests.support.argocd import NEW, OLD, QA, Controller, application, changed, hydrated, several, source

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not CRDS.is_dir(), reason=f"no {CRDS}: Argo CD's definitions"),
]
HELM = {"repoURL": "https://charts.example.com", "chart": "redis", "targetRevision": "18.1.0"}


class Argo:
    """A namespace that is Argo CD's, and settings that lead there."""

    def __init__(self, cluster: ApiServer, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications"
        self.kubeconfig = cluster.kubeconfig(folder / "kubeconfig", {**cluster.tokens, "expired": "no-such-token"})
        self.subject = replace(QA, environ={"KUBECONFIG": str(self.kubeconfig)})

    def put(self, app: dict[str, Any]) -> None:
        """As Argo CD writes it: status with the object, there is no subresource."""
        name = app["metadata"]["name"]
        body = changed(app, metadata__namespace=self.namespace)
        with self.cluster.client() as client:
            found = client.get(f"{self.path}/{name}")
            if found.status_code == httpx.codes.NOT_FOUND:
                client.post(self.path, json=body).raise_for_status()
                return
            version = found.json()["metadata"]["resourceVersion"]
            client.put(f"{self.path}/{name}", json=changed(body, metadata__resourceVersion=version)).raise_for_status()

    def annotations(self, name: str = "shop-qa") -> dict[str, str]:
        with self.cluster.client() as client:
            found: dict[str, str] = client.get(f"{self.path}/{name}").json()["metadata"].get("annotations", {})
            return found

    def allow(self, user: str, *verbs: str) -> None:
        """Gives a user these rights about Applications, and no others."""
        api = "/apis/rbac.authorization.k8s.io/v1"
        rule = {"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": verbs}
        role = {"apiVersion": api[6:], "kind": "Role", "metadata": {"name": "reads"}, "rules": [rule]}
        binding = {
            "apiVersion": api[6:],
            "kind": "RoleBinding",
            "metadata": {"name": "reads"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        with self.cluster.client() as client:
            client.post(f"{api}/namespaces/{self.namespace}/roles", json=role).raise_for_status()
            client.post(f"{api}/namespaces/{self.namespace}/rolebindings", json=binding).raise_for_status()

    def settings(self, context: str = "admin", **more: Any) -> dict[str, Any]:
        return {"context": context, "namespace": self.namespace, "application": "shop-qa", **more}

    def observed(self, **more: Any) -> Deployed:
        return argocd.observe(self.settings(**more), self.subject)

    def said(self, **more: Any) -> tuple[str | None, Health]:
        deployed = self.observed(**more)
        assert deployed.reading is not None
        return deployed.revision, deployed.reading.health


@pytest.fixture
def argo(cluster: ApiServer, namespace: str, tmp_path: Path) -> Argo:
    return Argo(cluster, namespace, tmp_path)


def test_what_argo_cd_writes_is_read_as_it_was_written(argo: Argo) -> None:
    """The definition keeps all that is judged: one source, several, and what was hydrated."""
    argo.put(application())
    argo.put(several(HELM, source(), revisions=["18.1.0", NEW], metadata__name="shop-several"))
    argo.put(hydrated(metadata__name="shop-hydrated"))
    for name in ("shop-qa", "shop-several", "shop-hydrated"):
        assert argo.said(application=name) == (NEW, Health.HEALTHY), name
    argo.put(application(metadata__name="shop-qa", spec__source=source(path="overlays/else")))
    assert argo.said() == (NEW, Health.PROGRESSING)


def test_a_sync_from_its_push_to_its_end(argo: Argo) -> None:
    """Each write of a controller in its turn: the new commit is healthy after the last of them, and not before."""
    script = Controller()
    argo.put(script.object)
    assert argo.said() == (OLD, Health.HEALTHY)
    steps = [
        "push",
        "compare_latest",
        "write",
        "write",
        "begin",
        "apply",
        "compare_recent",
        "write",
        "end",
        "compare_recent",
        "write",
    ]
    said = []
    for step in steps:
        getattr(script, step)()
        argo.put(script.object)
        said.append(argo.said())
    assert said[:2] == [(OLD, Health.HEALTHY)] * 2
    assert {health for revision, health in said if revision == NEW} == {Health.PROGRESSING}
    script.recover()
    script.clock += 2
    for step in ("compare_latest", "write"):
        getattr(script, step)()
        argo.put(script.object)
    assert argo.said() == (NEW, Health.HEALTHY)


def test_a_fleet(argo: Argo) -> None:
    for number in range(8):
        argo.put(changed(application(name=f"s{number}"), metadata__labels={"app": f"s{number}"}))
    asked = [(argo.settings(application=f"s{number}"), argo.subject) for number in range(7)]
    asked.append(({"context": "admin", "namespace": argo.namespace, "selector": {"app": "s7"}}, argo.subject))
    asked.append((argo.settings(application="s9"), argo.subject))
    *fine, absent = argocd.observe_all(asked)
    assert [one.revision for one in fine if isinstance(one, Deployed)] == [NEW] * 8
    assert "no such Application `s9` (s0, s1, " in str(absent)


def test_asking_it_to_look(argo: Argo) -> None:
    """By an annotation; a hard request that is there already stays one."""
    argo.put(application(OLD))
    argocd.refresh(argo.settings(refresh="annotate"), argo.subject)
    assert argo.annotations() == {REFRESH: "normal"}
    argo.put(application(OLD, metadata__annotations={REFRESH: "hard"}))
    argocd.refresh(argo.settings(refresh="annotate"), argo.subject)
    assert argo.annotations() == {REFRESH: "hard"}


def test_with_paths_it_is_asked_to_forget_its_manifests(argo: Argo) -> None:
    """What was asked for is kept beside it: only when it was done, several sources are believed."""
    argo.put(
        several(HELM, source(), revisions=["18.1.0", NEW], metadata__name="shop-qa", metadata__annotations={PATHS: "."})
    )
    assert argo.said() == (NEW, Health.UNKNOWN)
    argocd.refresh(argo.settings(refresh="annotate"), argo.subject)
    marked = argo.annotations()
    assert marked[REFRESH] == "hard"
    assert argo.said() == (NEW, Health.PROGRESSING)
    done = {PATHS: ".", ASKED: marked[ASKED]}
    app = several(HELM, source(), revisions=["18.1.0", NEW], metadata__name="shop-qa", metadata__annotations=done)
    argo.put(app)
    assert argo.said() == (NEW, Health.UNKNOWN)
    argo.put(changed(app, status__reconciledAt="2026-11-24T12:00:40Z"))
    assert argo.said() == (NEW, Health.HEALTHY)


def test_reading_is_enough_to_observe_and_not_to_annotate(argo: Argo) -> None:
    """`get` for one, `list` for many; who may not is told so in one line."""
    argo.put(application())
    with pytest.raises(DeniedError, match=r"may not get Application \S+/shop-qa"):
        argo.observed(context="outsider")
    argo.allow("outsider", "get")
    assert argo.said(context="outsider") == (NEW, Health.HEALTHY)
    with pytest.raises(DeniedError) as caught:
        argocd.refresh(argo.settings("outsider", refresh="annotate"), argo.subject)
    assert f"may not patch Application {argo.namespace}/shop-qa" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="there is no Application"):  # and it may not look for similar ones
        argo.observed(context="outsider", application="shop-q")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"application": "shop-qaa"}, "no such Application `shop-qaa`; did you mean `shop-qa`?"),
        ({"context": "expired"}, "the credentials are not accepted (401)"),
        ({"context": "admn"}, "did you mean `admin`?"),
        ({"namespace": "nowhere"}, "no such Application `shop-qa`"),
    ],
    ids=str,
)
def test_bad_input_is_one_clear_line(argo: Argo, settings: dict[str, Any], words: str) -> None:
    argo.put(application())
    with pytest.raises(PromotionError) as caught:
        argo.observed(**settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "no-such-token" not in f"{caught.value} {caught.value.hint}"
