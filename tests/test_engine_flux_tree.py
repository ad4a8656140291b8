"""The engine `flux`: everything below a Kustomization, judged from what was read; and controllers that write in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotion.engines.contract import Deployed
from promotion.engines.flux.inventory import KUSTOMIZATION, SOURCES, Ref
from promotion.engines.flux.tree import together
from promotion.engines.flux.walk import Walk
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Health, Reading, Subject
from tests.support import flux
from tests.support.flux import BRANCH, URL, M, N, P, at, condition, failing, packed, release, repository, running

SUBJECT = Subject("shop", "qa", M, URL, BRANCH)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HEALTHY, PROGRESSING, DEGRADED = Health.HEALTHY, Health.PROGRESSING, Health.DEGRADED
UNKNOWN, SUSPENDED, MISSING = Health.UNKNOWN, Health.SUSPENDED, Health.MISSING
TOP = Ref(*KUSTOMIZATION, "flux-system", "shop")
SOURCE = Ref(SOURCES, "GitRepository", "flux-system", "shop")
WEB = Ref("apps", "Deployment", "shop", "web")
OURS = {"wait": False}
CHILD, CHART = (
    "flux-system_shop-db_kustomize.toolkit.fluxcd.io_Kustomization",
    "flux-system_web_helm.toolkit.fluxcd.io_HelmRelease",
)


def deployment(health: Health = HEALTHY) -> dict[str, Any]:
    return {"kind": "Deployment", "said": health}


def said(live: Mapping[str, Any]) -> Reading:
    return Reading(live["said"], f"it is {live['said']}")


def walk(shelf: Mapping[Ref, Any]) -> Walk:
    return Walk(shelf, SUBJECT, SUBJECT.repository, said, NOW)


def whole(top: Ref, one: Walk) -> Deployed:
    """What one Kustomization alone comes to."""
    return together([top], one)[0]


def judged(*objects: Mapping[str, Any], **others: Any) -> Deployed:
    """What a cluster with these of Flux's objects comes to; nothing may be wanted in the end."""
    one = walk(shelf_of(objects, others))
    answer = whole(TOP, one)
    assert not one.wanted
    return answer


def shelf_of(objects: Iterable[Mapping[str, Any]], others: Mapping[str, Any]) -> dict[Ref, Any]:
    found: dict[Ref, Any] = {}
    for each in objects:
        group, meta = each["apiVersion"].partition("/")[0], each["metadata"]
        found[Ref(group, each["kind"], meta["namespace"], meta["name"])] = each
    return found | {Ref("apps", "Deployment", "shop", name): live for name, live in others.items()}


def health(*objects: Mapping[str, Any], **others: Any) -> Health:
    reading = judged(*objects, **others).reading
    assert reading is not None
    return reading.health


# --- what is read ----------------------------------------------------------------------------------------------------


def test_only_what_is_needed_is_wanted() -> None:
    """Step by step: the Kustomization, its source, and what it made when Flux says that it is well; secrets never."""
    shelf: dict[Ref, Any] = {}
    entries = ["shop_web_apps_Deployment", "shop_tls__Secret", "shop_conf__ConfigMap"]
    for ref, live in (
        (TOP, flux.kustomization(M, entries=entries, spec=OURS)),
        (SOURCE, repository(M)),
        (WEB, deployment()),
    ):
        one = walk(shelf)
        assert whole(TOP, one).reading != Reading(HEALTHY, "")
        assert one.wanted == {ref: "v1" if ref == WEB else ""}
        shelf[ref] = live
    one = walk(shelf)
    assert whole(TOP, one) == Deployed(
        M, Reading(HEALTHY, "Kustomization flux-system/shop applied 2222222; Deployment shop/web: it is healthy")
    )
    assert one.wanted == {}
    assert one.used == {TOP, SOURCE, WEB}


def test_nothing_is_read_below_what_is_not_well() -> None:
    """Flux's no is enough."""
    assert health(flux.kustomization(P, *running(at(M)), spec=OURS), repository(M)) is PROGRESSING


def test_what_cannot_be_read_is_an_error() -> None:
    """Never a word on health."""
    away = TemporaryError("the cluster does not answer")
    with pytest.raises(TemporaryError):
        judged(flux.kustomization(M, spec=OURS), repository(M), web=away)


def test_a_kustomization_that_is_not_there() -> None:
    """Nor its source: one line."""
    with pytest.raises(ConfigError, match="there is no Kustomization flux-system/shop"):
        whole(TOP, walk({TOP: None}))
    with pytest.raises(
        ConfigError, match="Kustomization flux-system/shop: its source, GitRepository flux-system/shop, is not there"
    ):
        whole(TOP, walk({TOP: flux.kustomization(M), SOURCE: None}))
    bucket = flux.kustomization(M, spec={"sourceRef": {"kind": "Bucket", "name": "files"}})
    with pytest.raises(ConfigError, match="the Bucket files, which tells no commit"):
        whole(TOP, walk({TOP: bucket}))


def test_an_object_of_another_shape_is_unknown() -> None:
    """Whatever it is, it is not healthy, and no bug."""
    broken = flux.kustomization(M, status={"conditions": {"Ready": "True"}})
    assert health(broken, repository(M)) is UNKNOWN
    assert health(flux.kustomization(M), repository(M, status={"artifact": "x"})) is UNKNOWN
    assert health(flux.kustomization(M, spec=OURS, entries=["what"]), repository(M)) is UNKNOWN


# --- objects that nobody else looks at -------------------------------------------------------------------------------


@pytest.mark.parametrize("web", list(Health))
def test_without_wait_each_object_is_judged(web: Health) -> None:
    """Applied is not healthy; with `wait` it is Flux's word that counts."""
    answer = judged(flux.kustomization(M, spec=OURS), repository(M), web=deployment(web))
    assert answer.revision == M
    assert answer.reading is not None
    assert answer.reading.health is web
    assert f"Deployment shop/web: it is {web}" in answer.reading.reason
    assert health(flux.kustomization(M), repository(M), web=deployment(web)) is HEALTHY


def test_an_object_that_is_gone() -> None:
    """Deleted by hand."""
    assert health(flux.kustomization(M, spec=OURS), repository(M), web=None) is MISSING


def test_nothing_applied_is_not_healthy() -> None:
    """An empty inventory, or none."""
    for spec in ({"wait": True}, OURS):
        assert health(flux.kustomization(M, spec=spec, entries=[]), repository(M)) is UNKNOWN
        assert health(flux.kustomization(M, spec=spec, status={"inventory": None}), repository(M)) is UNKNOWN


def test_another_cluster_is_not_asked() -> None:
    """`spec.kubeConfig`: what is there under the same name here is another object."""
    remote = {"kubeConfig": {"secretRef": {"name": "prod"}}}
    assert health(flux.kustomization(M, spec={**remote, "wait": False}), repository(M), web=deployment()) is UNKNOWN
    assert health(flux.kustomization(M, spec=remote), repository(M)) is HEALTHY
    assert health(flux.kustomization(M, spec=remote, entries=[CHART]), repository(M), web=deployment()) is UNKNOWN


# --- Kustomizations below --------------------------------------------------------------------------------------------


def below(applied: str | None = M, *conditions: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [
        flux.kustomization(M, entries=[CHILD]),
        repository(M),
        flux.kustomization(applied, *conditions, name="shop-db", **more),
    ]


def test_a_kustomization_below_has_to_be_as_far() -> None:
    """Its spec is the same for many commits: to Flux it is current as soon as it is applied, at the commit before."""
    assert health(*below(M)) is HEALTHY
    assert health(*below(P)) is PROGRESSING
    assert health(*below(P, *running(at(M)), attempted=M)) is PROGRESSING
    assert health(*below(P, *failing(), attempted=M)) is DEGRADED
    assert health(*below(M, spec={"suspend": True})) is SUSPENDED


def test_one_below_that_is_from_elsewhere() -> None:
    """Of another source only its health is known."""
    other = repository(N, name="other", spec={"url": "https://git.example.com/other"})
    ref = {"sourceRef": {"kind": "GitRepository", "name": "other"}}
    assert health(*below(N, spec=ref), other) is HEALTHY
    assert health(*below(N, *failing(), attempted=N, spec=ref), other) is DEGRADED
    with_none = shelf_of(below(N, spec=ref), {}) | {Ref(SOURCES, "GitRepository", "flux-system", "other"): None}
    assert whole(TOP, walk(with_none)).reading == Reading(
        UNKNOWN, "Kustomization flux-system/shop-db: its source, GitRepository flux-system/other, is not there"
    )


def test_race_one_below_from_another_object_for_the_same_branch() -> None:
    """It has fetched the commit before only, whatever its name; by another protocol, too."""
    ref = {"sourceRef": {"kind": "GitRepository", "name": "apps"}}
    assert health(*below(P, spec=ref), repository(P, name="apps")) is PROGRESSING
    assert health(*below(P, spec=ref), repository(M, name="apps")) is PROGRESSING
    assert health(*below(M, spec=ref), repository(M, name="apps")) is HEALTHY
    ssh = {"url": "ssh://git@git.example.com/deploy/shop"}
    assert health(*below(P, spec=ref), repository(P, name="apps", spec=ssh)) is PROGRESSING
    tagged = repository(P, name="apps", spec={"ref": {"tag": "v1"}})
    assert health(*below(P, spec=ref), tagged) is HEALTHY  # what it follows is another matter


def test_race_the_commit_changes_the_source_of_a_kustomization_below() -> None:
    """Another tag of another repository: neither generation nor Ready of the Kustomization is of that."""
    ref = {"sourceRef": {"kind": "GitRepository", "name": "other"}}
    where = {"name": "other", "spec": {"url": "https://git.example.com/other"}}
    ready = condition("Ready", "True", generation=2)
    asked = repository(P, generation=2, **where)
    fetched = repository(N, ready, generation=2, status={"observedGeneration": 2}, **where)
    paused = repository(P, generation=2, status={"observedGeneration": 2}, **where)
    paused["spec"]["suspend"] = True
    assert health(*below(P, spec=ref), asked) is PROGRESSING
    assert health(*below(P, spec=ref), fetched) is PROGRESSING
    assert health(*below(P, spec=ref), paused) is SUSPENDED
    assert health(*below(N, spec=ref), fetched) is HEALTHY
    away = repository(P, condition("Ready", "False", "GitOperationFailed"), **where)
    assert health(*below(P, spec=ref), away) is HEALTHY  # what its spec names was fetched and applied before


def test_what_those_below_made_counts_too() -> None:
    """To any depth, and a Kustomization that lists itself ends it."""
    objects = below(
        M,
        spec=OURS,
        entries=["shop_web_apps_Deployment", CHILD, "flux-system_shop_kustomize.toolkit.fluxcd.io_Kustomization"],
    )
    assert health(*objects, web=deployment()) is HEALTHY
    assert health(*objects, web=deployment(DEGRADED)) is DEGRADED
    assert health(*below(M, spec=OURS, status={"inventory": None})) is UNKNOWN


# --- HelmReleases below ----------------------------------------------------------------------------------------------


def test_a_release_below_is_judged_by_us() -> None:
    """Also where Flux waits: to it one without a status is current."""
    top = flux.kustomization(M, entries=[CHART])
    assert health(top, repository(M), release(), *packed()) is HEALTHY
    assert health(top, repository(M), {**release(), "status": {}}) is PROGRESSING
    assert health(top, repository(M), release(generation=2)) is PROGRESSING


def test_what_a_release_lists_is_judged() -> None:
    """Its own inventory where there is one; where Helm does not wait and lists nothing, nothing is known."""
    top, listed = flux.kustomization(M, entries=[CHART]), {"inventory": flux.inventory()}
    above = (top, repository(M), *packed())
    assert health(*above, release(status=listed), web=deployment()) is HEALTHY
    assert health(*above, release(status=listed), web=deployment(PROGRESSING)) is PROGRESSING
    hasty = {"upgrade": {"disableWait": True}}
    assert health(*above, release(spec=hasty)) is UNKNOWN
    assert health(*above, release(spec=hasty, status=listed), web=deployment()) is HEALTHY
    assert health(*above, release(spec={"kubeConfig": {"secretRef": {}}}, status=listed)) is HEALTHY


# --- in any order ----------------------------------------------------------------------------------------------------

CLEAR = object()
Write = tuple[str, str, Any]
"""Object, field of its status, value."""


def of_source(commit: str) -> list[Write]:
    """source-controller's writes for one commit."""
    return [
        ("source", "Reconciling", condition("Reconciling", "True", "Progressing", "building artifact")),
        ("source", "artifact", {"revision": at(commit)}),
        ("source", "Ready", condition("Ready", "True", "Succeeded", f"stored artifact for revision '{at(commit)}'")),
        ("source", "Reconciling", CLEAR),
    ]


def of_pass(commit: str) -> list[Write]:
    """kustomize-controller's writes for one commit that goes well, each field a write of its own."""
    begun, reconciling = running(at(commit))
    return [
        ("top", "Ready", begun),
        ("top", "Reconciling", reconciling),
        ("top", "lastAttemptedRevision", at(commit)),
        ("web", "applied", commit),
        ("web", "ready", commit),
        ("top", "lastAppliedRevision", at(commit)),
        ("top", "Ready", condition("Ready", "True", "ReconciliationSucceeded", f"Applied revision: {at(commit)}")),
        ("top", "Reconciling", CLEAR),
    ]


class World:
    """What the cluster holds; `web` is at one commit, and well when all of it is."""

    def __init__(self, *, wait: bool) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            "top": flux.kustomization(P, spec={"wait": wait}),
            "source": repository(P),
        }
        self.web = {"applied": P, "ready": P}

    def write(self, one: Write) -> None:
        name, key, value = one
        if name == "web":
            self.web[key] = value
            return
        status = self.objects[name]["status"]
        if not key[0].isupper():
            self.objects[name] = flux.changed(self.objects[name], **{key: value})
            return
        kept = [each for each in status["conditions"] if each["type"] != key]
        self.objects[name] = flux.changed(self.objects[name], conditions=kept if value is CLEAR else [*kept, value])

    def read(self) -> dict[Ref, Any]:
        well = self.web["applied"] == self.web["ready"]
        return {
            TOP: self.objects["top"],
            SOURCE: self.objects["source"],
            WEB: deployment(HEALTHY if well else PROGRESSING),
        }

    def deployed(self, commit: str) -> bool:
        return self.web == {"applied": commit, "ready": commit}


def seen(shelf: Mapping[Ref, Any]) -> tuple[str | None, Health]:
    answer = whole(TOP, walk(shelf))
    assert answer.reading is not None
    return answer.revision, answer.reading.health


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_writes_in_any_order(data: st.DataObject) -> None:
    """Healthy at M is never said before all that makes it true is written, whatever the order; and then it is said."""
    world = World(wait=False)
    writes = [*of_source(M), *of_pass(M)]
    world.write(("web", "applied", M))
    proof = {("top", "lastAttemptedRevision"), ("top", "lastAppliedRevision"), ("top", "Ready"), ("web", "ready")}
    for write in data.draw(st.permutations(writes), "order"):
        world.write(write)
        name, field, value = write
        if not (field == "Ready" and value["status"] == "Unknown"):
            proof.discard((name, field))
        if seen(world.read()) == (M, HEALTHY):
            assert not proof
            assert world.deployed(M)
    for write in writes:  # what came last by chance: in the end everything has its last value
        world.write(write)
    assert seen(world.read()) == (M, HEALTHY)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_controllers_beside_each_other(data: st.DataObject) -> None:
    """Two commits one after the other, each controller in its own order, read at any moments: what is said was true."""
    wait = data.draw(st.booleans(), "wait")
    world, source = World(wait=wait), [*of_source(M), *of_source(N)]
    steps = [*of_pass(M), *of_pass(N)]
    kept: dict[Ref, Any] = world.read()
    while source or steps:
        fetched = {at(M): len(source) <= 6, at(N): len(source) <= 2}
        first = steps[:1] and steps[0][1] == "Ready" and steps[0][2]["status"] == "Unknown"
        may_begin = not first or fetched[at(M) if len(steps) > 8 else at(N)]
        if source and (not steps or not may_begin or data.draw(st.booleans(), "source")):
            world.write(source.pop(0))
        elif steps:
            world.write(steps.pop(0))
        # each object may have been read at another moment: the Kustomization first, then its source, then its objects
        now = world.read()
        if data.draw(st.booleans(), "Kustomization"):
            kept[TOP] = now[TOP]
            said = seen({TOP: kept[TOP], SOURCE: now[SOURCE], WEB: now[WEB]})
            if said[1] is HEALTHY:
                assert said[0] is not None
                assert world.deployed(said[0])
    assert seen(world.read()) == (N, HEALTHY)
