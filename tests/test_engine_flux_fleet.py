"""The engine `flux` against an API server: what it reads, once for a whole fleet, and how it asks Flux to look at Git."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from promotion.engines import flux as engine
from promotion.engines.contract import Deployed
from promotion.engines.flux import asking
from promotion.engines.flux.source import source
from promotion.engines.flux.status import REQUESTED, taken
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.kube import DeniedError, MissingError
from promotion.model import Health, Subject
from promotion.texts import iso
from tests.support import flux
from tests.support.flux import BRANCH, URL, M, N, P, at, condition, failing, release, repository, running
from tests.support.kubestub import Fault, KubeStub

HEALTHY, PROGRESSING, DEGRADED = Health.HEALTHY, Health.PROGRESSING, Health.DEGRADED
SETTINGS = {"context": "stub", "kustomization": "shop"}
OURS = {"wait": False}
KUSTOMIZATIONS, SOURCES = (
    "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations",
    "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories",
)


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path) as made:
        made.put(repository(M))
        yield made


def subject(stub: KubeStub, revision: str | None = M, environment: str = "qa") -> Subject:
    return Subject("shop", environment, revision, URL, BRANCH, stub.environ)


def observe(stub: KubeStub, **settings: Any) -> Deployed:
    return engine.observe({**SETTINGS, **settings}, subject(stub))


def seen(stub: KubeStub, **settings: Any) -> tuple[str | None, Health]:
    said = observe(stub, **settings)
    assert said.reading is not None
    return said.revision, said.reading.health


def deployment(name: str = "web", *, ready: int = 1, generation: int = 1, namespace: str = "shop") -> dict[str, Any]:
    status = {
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    available = condition("Available", "True" if ready else "False", "MinimumReplicas")
    progressing = condition("Progressing", "True", "NewReplicaSetAvailable" if ready else "ReplicaSetUpdated")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "generation": generation},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}},
        },
        "status": {**status, "conditions": [available, progressing]},
    }


# --- one environment -------------------------------------------------------------------------------------------------


def test_fluxs_word_takes_two_questions(stub: KubeStub) -> None:
    """With `wait`: the Kustomization and its source, each once, beside what kinds there are."""
    stub.put(flux.kustomization(M))
    assert seen(stub) == (M, HEALTHY)
    assert [each.path for each in stub.requests("GET") if "/namespaces/" in each.path] == [
        f"{KUSTOMIZATIONS}/shop",
        f"{SOURCES}/shop",
    ]


def test_what_flux_does_not_wait_for_is_read(stub: KubeStub) -> None:
    """Each kind of a namespace by one list, a single object by itself, secrets never, and the Kustomization once more."""
    names = [
        "shop_web_apps_Deployment",
        "shop_api_apps_Deployment",
        "shop_data__PersistentVolumeClaim",
        "shop_tls__Secret",
    ]
    stub.put(flux.kustomization(M, spec=OURS, entries=names))
    stub.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"},
            "spec": {},
            "status": {"phase": "Bound"},
        }
    )
    stub.put(deployment())
    stub.put(deployment("api", ready=0))
    said = observe(stub)
    assert said.revision == M
    assert said.reading is not None
    assert said.reading.health is PROGRESSING
    assert said.reading.reason.startswith("Deployment shop/api: ")
    stub.put(deployment("api"))
    stub.asked.clear()
    assert seen(stub) == (M, HEALTHY)
    assert [
        each.path.removeprefix("/apis/apps/v1/namespaces/shop/")
        for each in stub.requests("GET")
        if "/namespaces/" in each.path
    ] == [
        f"{KUSTOMIZATIONS}/shop",
        f"{SOURCES}/shop",
        "deployments",
        "/api/v1/namespaces/shop/persistentvolumeclaims/data",
        f"{KUSTOMIZATIONS}/shop",
    ]


def test_a_pass_that_begins_while_objects_are_read(stub: KubeStub) -> None:
    """What was settled when they were listed may be the next commit's objects: read again, or nothing."""
    before = flux.kustomization(M, spec=OURS)
    stub.put(before)
    stub.put(deployment())
    during = flux.kustomization(M, *running(at(N)), attempted=N, spec=OURS)
    for after, expected in (
        (during, (M, PROGRESSING)),
        (flux.kustomization(N, spec=OURS), (N, PROGRESSING)),
        (before, (M, HEALTHY)),
    ):
        stub.put(before)
        stub.asked = Watched("GET /apis/apps/v1/namespaces/shop", partial(stub.put, after))
        assert seen(stub) == expected


class Watched(list[Any]):
    """What was asked of a stub; `then` happens once, when a request that begins with `line` has come."""

    def __init__(self, line: str, then: Callable[[], object]) -> None:
        super().__init__()
        self.line, self.then = line, [then]

    def append(self, each: Any) -> None:
        super().append(each)
        if f"{each.method} {each.path}".startswith(self.line) and self.then:
            self.then.pop()()


def test_users_own_rules_judge_what_nobody_knows(stub: KubeStub) -> None:
    """`health_rules`; without one a kind that nobody knows is not healthy."""
    stub.define("example.com/v1", "Widget")
    stub.put(
        {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "metadata": {"name": "w", "namespace": "shop"},
            "status": {"done": True},
        }
    )
    stub.put(flux.kustomization(M, spec=OURS, entries=["shop_w_example.com_Widget"]))
    assert seen(stub) == (M, Health.UNKNOWN)
    rules = [{"kinds": ["example.com/Widget"], "healthy": "status.done == true"}]
    assert seen(stub, health_rules=rules) == (M, HEALTHY)


def test_objects_of_a_kind_that_is_gone_are_gone(stub: KubeStub) -> None:
    """Its definition was deleted, or serves another version now."""
    stub.put(flux.kustomization(M, spec=OURS, entries=["shop_w_example.com_Widget"]))
    assert seen(stub) == (M, Health.MISSING)
    stub.define("example.com/v2", "Widget")
    stub.put({"apiVersion": "example.com/v2", "kind": "Widget", "metadata": {"name": "w", "namespace": "shop"}})
    assert seen(stub) == (M, Health.UNKNOWN)


def test_a_release_that_is_below(stub: KubeStub) -> None:
    """Read like anything else, and judged by its own rules."""
    stub.put(flux.kustomization(M, entries=["flux-system_web_helm.toolkit.fluxcd.io_HelmRelease"]))
    stub.put(release(condition("Ready", "False", "UpgradeFailed", "timed out")))
    assert seen(stub) == (M, DEGRADED)
    stub.put(release())
    for each in flux.packed():
        stub.put(each)
    assert seen(stub) == (M, HEALTHY)


def test_several_kustomizations_must_agree(stub: KubeStub) -> None:
    """One list, and one answer."""
    stub.put(flux.kustomization(M))
    stub.put(flux.kustomization(P, *failing(), attempted=M, name="shop-db"))
    assert seen(stub, kustomization=["shop", "shop-db"]) == (M, DEGRADED)
    stub.put(flux.kustomization(P, name="shop-db"))
    assert seen(stub, kustomization=["shop", "shop-db"]) == (M, PROGRESSING)
    assert len(stub.requests("GET", KUSTOMIZATIONS)) == 2


# --- one clear line --------------------------------------------------------------------------------------------------


def told(stub: KubeStub, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        observe(stub, **settings)
    assert "\n" not in str(caught.value)
    return f"{caught.value} {caught.value.hint or ''}".strip()


def test_a_name_that_is_not_there(stub: KubeStub) -> None:
    """With the nearest one, or where it is."""
    stub.put(flux.kustomization(M))
    assert (
        told(stub, kustomization="shp") == "qa: there is no Kustomization flux-system/shp; did you mean `shop`? (shop)"
    )
    assert "it is in flux-system: write `namespace: flux-system`" in told(stub, namespace="apps")
    assert "its source, GitRepository flux-system/gone, is not there" in told_with(
        stub, {"sourceRef": {"kind": "GitRepository", "name": "gone"}}
    )


def told_with(stub: KubeStub, spec: Mapping[str, Any]) -> str:
    stub.put(flux.kustomization(M, spec=spec))
    return told(stub)


def test_flux_is_not_installed(stub: KubeStub) -> None:
    """Its definitions are not there."""
    del stub.kinds["kustomize.toolkit.fluxcd.io/v1", "Kustomization"]
    with pytest.raises(MissingError, match="is its CRD installed"):
        observe(stub)


def test_another_branch_or_repository(stub: KubeStub) -> None:
    """Before anything is made of its status; `repository` says how Flux calls ours."""
    stub.put(flux.kustomization(M))
    stub.put(repository(M, spec={"ref": {"branch": "main"}}))
    assert "it follows branch `main`, but env/qa is the branch of qa" in told(stub)
    stub.put(repository(M, spec={"url": "http://git.internal.example/shop"}))
    assert "not from https://git.example.com/deploy/shop.git" in told(stub)
    assert seen(stub, repository="http://git.internal.example/shop.git") == (M, HEALTHY)


def test_what_may_not_be_read_and_a_cluster_that_is_away(stub: KubeStub) -> None:
    """No reading: an error that says what."""
    stub.put(flux.kustomization(M, spec=OURS))
    stub.denied.append("GET /apis/apps/v1/namespaces/shop/deployments")
    with pytest.raises(DeniedError, match="Deployment"):
        observe(stub)
    stub.faults.append(Fault(f"GET {SOURCES}", status=500))
    with pytest.raises(TemporaryError):
        observe(stub)


# --- fleets ----------------------------------------------------------------------------------------------------------


def test_a_fleet_is_read_with_lists(stub: KubeStub) -> None:
    """As many questions for a hundred environments as for two; one that is wrong spoils no other."""
    for number in range(100):
        name = f"s{number}"
        stub.put(
            flux.kustomization(
                M,
                name=name,
                spec={**OURS, "sourceRef": {"kind": "GitRepository", "name": name}},
                entries=[f"shop_{name}_apps_Deployment"],
            )
        )
        stub.put(repository(M, name=name))
        stub.put(deployment(name, ready=number % 2))
    stub.asked.clear()
    asked = [({**SETTINGS, "kustomization": f"s{number}"}, subject(stub)) for number in [*range(100), 100]]
    answers = engine.observe_all(asked)
    assert len([each for each in stub.requests("GET") if "/namespaces/" in each.path]) == 4
    for number, answer in enumerate(answers[:100]):
        assert isinstance(answer, Deployed)
        assert answer.reading is not None
        assert (answer.revision, answer.reading.health) == (M, HEALTHY if number % 2 else PROGRESSING)
    assert isinstance(answers[100], ConfigError)


def test_each_cluster_by_itself(stub: KubeStub, tmp_path: Path) -> None:
    """One that cannot be reached, or is not known, spoils nothing of another."""
    stub.put(flux.kustomization(M))
    with KubeStub(tmp_path / "other") as other:
        other.put(repository(P))
        other.put(flux.kustomization(P))
        one, two, three = engine.observe_all(
            [(SETTINGS, subject(stub)), (SETTINGS, subject(other)), ({**SETTINGS, "context": "stab"}, subject(stub))]
        )
    assert isinstance(one, Deployed)
    assert isinstance(two, Deployed)
    assert (one.revision, two.revision) == (M, P)
    assert isinstance(three, PromotionError)
    assert "stub" in str(three)


# --- asking Flux to look at Git --------------------------------------------------------------------------------------


def refresh(stub: KubeStub, expected: str = N, **settings: Any) -> list[str]:
    """Who is asked by one hint."""
    stub.asked.clear()
    engine.refresh({**SETTINGS, "refresh": "annotate", **settings}, replace(subject(stub), revision=expected))
    return [each.path.rpartition("/")[0].rpartition("/")[2] for each in stub.requests("PATCH")]


def handled(stub: KubeStub, kind: str, **status: Any) -> None:
    """The controller has looked."""
    found = stub.find(kind, "shop", "flux-system")
    assert found is not None
    stub.put(flux.changed(found, lastHandledReconcileAt=found["metadata"]["annotations"][REQUESTED], **status))


def test_the_source_first_and_then_the_kustomization(stub: KubeStub) -> None:
    """Each once; the next when the one before has been handled, whoever asks."""
    stub.put(flux.kustomization(M))
    assert refresh(stub) == ["gitrepositories"]
    asked = stub.requests("PATCH")[0]
    assert asked.query["fieldManager"] == "promotion"
    assert list(asked.body["metadata"]) == ["annotations"]
    assert refresh(stub) == []  # not handled yet
    handled(stub, "GitRepository", artifact={"revision": at(N)})
    assert refresh(stub) == ["kustomizations"]
    assert refresh(stub) == []
    handled(stub, "Kustomization", lastAttemptedRevision=at(N))
    assert refresh(stub) == []


def test_nobody_is_asked_without_being_told_to(stub: KubeStub) -> None:
    """The default needs no right to write."""
    stub.put(flux.kustomization(M))
    assert refresh(stub, refresh="none") == []
    engine.refresh(SETTINGS, subject(stub, N))
    assert stub.requests() == []


def test_a_hint_for_somebody_elses_branch_is_none(stub: KubeStub) -> None:
    """The same checks as before a reading."""
    stub.put(flux.kustomization(M))
    stub.put(repository(M, spec={"ref": {"branch": "main"}}))
    with pytest.raises(ConfigError, match="follows branch `main`"):
        refresh(stub)


def asked_for(commit: str, seconds: int, now: datetime) -> dict[str, str]:
    return {REQUESTED: f"{iso(now - timedelta(seconds=seconds))} promotion {commit}"}


@pytest.mark.parametrize(
    ("of_source", "of_kustomization", "who"),
    [
        ({}, {}, "GitRepository"),
        ({"annotations": {REQUESTED: "2026-01-01T00:00:00Z"}}, {}, "GitRepository"),  # somebody else's
        ({"asked": (N, 5)}, {}, None),
        ({"asked": (N, 600)}, {}, None),  # whoever is to look is away: asking again brings nothing
        (
            {"asked": (N, 5), "handled": True},
            {"attempted": P},
            "Kustomization",
        ),  # an older commit in scope is the newest one, say
        ({"asked": (N, 60), "handled": True}, {}, "GitRepository"),  # the server had not seen the push yet
        ({"asked": (P, 5)}, {}, "GitRepository"),  # for the commit before
        ({"commit": N}, {}, "Kustomization"),
        ({"commit": N}, {"asked": (N, 5)}, None),
        ({"commit": N}, {"asked": (N, 60), "handled": True}, "Kustomization"),
        ({"commit": N}, {"attempted": N}, None),
        ({"spec": {"suspend": True}}, {}, None),
        ({"commit": N}, {"spec": {"suspend": True}}, None),
    ],
)
def test_who_is_asked_next(of_source: dict[str, Any], of_kustomization: dict[str, Any], who: str | None) -> None:
    """What was asked before stands on the objects: nobody has to remember it."""
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def more(given: dict[str, Any]) -> dict[str, Any]:
        made = {key: value for key, value in given.items() if key in ("annotations", "spec", "attempted")}
        if "asked" in given:
            made["annotations"] = asked_for(*given["asked"], now)
            made["status"] = {"lastHandledReconcileAt": made["annotations"][REQUESTED]} if given.get("handled") else {}
        return made

    repo = repository(of_source.get("commit", M), **more(of_source))
    ks = flux.kustomization(M, **more(of_kustomization))
    found = asking.due(taken(ks), source(taken(repo)), N, now)
    assert (found.kind if found else None) == who
