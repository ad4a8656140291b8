"""Applications by the Kubernetes API: requests are counted, faults are errors, and nothing but a request to look is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion.engines import argocd
from promotion.engines.argocd.judge import ASKED, PATHS, REFRESH
from promotion.engines.contract import Deployed
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.kube import ContestedError, DeniedError, MissingError
from promotion.model import Health, Subject
from tests.support.argocd import NEW, OLD, QA, application, changed, several, source, stamp
from tests.support.kubestub import Fault, KubeStub

PATH = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path) as made:
        made.put(application())
        yield made


def subject(stub: KubeStub) -> Subject:
    return replace(QA, environ=stub.environ)


def settings(**more: Any) -> dict[str, Any]:
    return {"context": "stub", "application": "shop-qa", **more}


def refused(stub: KubeStub, **more: Any) -> PromotionError:
    with pytest.raises(PromotionError) as caught:
        argocd.observe(settings(**more), subject(stub))
    return caught.value


def asked(stub: KubeStub) -> list[str]:
    return [f"{each.method} {each.path}" for each in stub.asked]


def test_one_application_is_one_get(stub: KubeStub) -> None:
    deployed = argocd.observe(settings(), subject(stub))
    assert deployed.reading is not None
    assert (deployed.revision, deployed.reading.health) == (NEW, Health.HEALTHY)
    assert asked(stub) == [f"GET {PATH}/shop-qa"]


def test_a_fleet_is_one_list_of_pages(stub: KubeStub) -> None:
    """1,200 Applications are three pages; the second reading is three more."""
    for number in range(1200):
        stub.put(application(name=f"s{number}"))
    all_of_them = [(settings(application=f"s{number}"), subject(stub)) for number in range(1200)]
    for times in (1, 2):
        answers = argocd.observe_all(all_of_them)
        assert {one.revision for one in answers if isinstance(one, Deployed)} == {NEW}
        assert asked(stub) == [f"GET {PATH}"] * 3 * times


def test_by_labels_a_cluster_is_asked_for_those_only(stub: KubeStub) -> None:
    stub.put(changed(application(name="else"), metadata__labels={"app": "else"}))
    with_labels = {"context": "stub", "selector": {"app": "shop"}}
    assert argocd.observe(with_labels, subject(stub)).revision == NEW
    assert [each.query["labelSelector"] for each in stub.asked] == ["app=shop"]


def test_no_such_application_did_you_mean(stub: KubeStub) -> None:
    error = refused(stub, application="shop-qaa")
    assert isinstance(error, ConfigError)
    assert str(error) == "namespace argocd: no such Application `shop-qaa`; did you mean `shop-qa`? (shop-qa)"


def test_without_argo_cd_in_the_cluster(stub: KubeStub) -> None:
    del stub.kinds["argoproj.io/v1alpha1", "Application"]
    error = refused(stub)
    assert isinstance(error, MissingError)
    assert "is its CRD installed?" in str(error)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(status=403), DeniedError, "may not get Application argocd/shop-qa"),
        (Fault(status=401), DeniedError, "the credentials are not accepted (401)"),
        (Fault(status=500), TemporaryError, "answers 500"),
        (Fault(cut=20), TemporaryError, "cut off"),
        (Fault(reset=True), TemporaryError, "cannot get Application argocd/shop-qa"),
        (Fault(body=b"[]"), TemporaryError, "is not JSON"),
        (Fault(body=b"{}"), ConfigError, "deploys from nowhere"),
    ],
    ids=str,
)
def test_faults_are_errors(stub: KubeStub, fault: Fault, kind: type, words: str) -> None:
    """Whatever is no answer is never healthy, and one clear line."""
    stub.faults.append(fault)
    error = refused(stub)
    assert isinstance(error, kind)
    assert words in str(error)
    assert "\n" not in str(error)


def test_without_a_context_only_the_cluster_that_we_are_in(stub: KubeStub) -> None:
    with pytest.raises(ConfigError, match="context"):
        argocd.observe({"application": "shop-qa"}, subject(stub))
    assert stub.asked == []


# --- asking it to look -----------------------------------------------------------------------------------------------


def annotations(stub: KubeStub) -> dict[str, str]:
    found = stub.find("Application", "shop-qa", "argocd")
    assert found is not None
    return dict(found["metadata"]["annotations"])


def test_asking_to_look_writes_an_annotation_and_nothing_else(stub: KubeStub) -> None:
    """Of the very object that was read: whoever wrote meanwhile is not overwritten."""
    argocd.refresh(settings(), subject(stub))
    assert stub.asked == []
    read = stub.find("Application", "shop-qa", "argocd")
    argocd.refresh(settings(refresh="annotate"), subject(stub))
    assert read is not None
    version = read["metadata"]["resourceVersion"]
    assert stub.asked[-1].body == {"metadata": {"resourceVersion": version, "annotations": {REFRESH: "normal"}}}
    assert annotations(stub) == {REFRESH: "normal"}
    argocd.refresh(settings(refresh="annotate"), subject(stub))
    assert [each.method for each in stub.asked] == ["GET", "PATCH", "GET"]


def test_a_hard_request_is_not_made_a_normal_one(stub: KubeStub) -> None:
    stub.put(application(metadata__annotations={REFRESH: "hard"}))
    argocd.refresh(settings(refresh="annotate"), subject(stub))
    assert annotations(stub) == {REFRESH: "hard"}
    stub.put(application(metadata__annotations={REFRESH: "hard", PATHS: "."}))
    argocd.refresh(settings(refresh="annotate"), subject(stub))
    assert [each.method for each in stub.asked] == ["GET", "GET"]


def test_with_paths_a_hard_request_and_what_it_was_for(stub: KubeStub) -> None:
    """A normal one that is there already is not enough."""
    for already in ({}, {REFRESH: "normal"}):
        stub.put(application(OLD, metadata__annotations={PATHS: ".", **already}))
        argocd.refresh(settings(refresh="annotate"), subject(stub))
        assert annotations(stub) == {PATHS: ".", REFRESH: "hard", ASKED: f"{OLD} {stamp(20)}"}


def test_several_sources_with_paths_are_healthy_in_the_end(stub: KubeStub) -> None:
    """The hard request is made, done, and believed: no hang, and nothing healthy before."""
    helm = {"repoURL": "https://charts.example.com", "chart": "redis", "targetRevision": "18.1.0"}
    app = several(helm, source(), revisions=["18.1.0", NEW], metadata__annotations={PATHS: "."})
    stub.put(app)

    def health() -> Health:
        reading = argocd.observe(settings(), subject(stub)).reading
        assert reading is not None
        return reading.health

    assert health() is Health.UNKNOWN
    argocd.refresh(settings(refresh="annotate"), subject(stub))
    assert health() is Health.PROGRESSING
    stub.change("Application", "shop-qa", "argocd", {"metadata": {"annotations": {REFRESH: None}}})
    assert health() is Health.UNKNOWN
    stub.change("Application", "shop-qa", "argocd", {"status": {"reconciledAt": stamp(40)}})
    assert health() is Health.HEALTHY


@pytest.mark.parametrize(("status", "kind"), [(403, DeniedError), (409, ContestedError)])
def test_who_may_not_write_is_told(stub: KubeStub, status: int, kind: type) -> None:
    stub.faults.append(Fault("PATCH", status=status))
    with pytest.raises(kind, match="patch Application argocd/shop-qa"):
        argocd.refresh(settings(refresh="annotate"), subject(stub))
