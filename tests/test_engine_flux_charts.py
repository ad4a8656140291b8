"""The engine `flux`: which chart a HelmRelease has released, when a commit changes what holds the chart and not the HelmRelease."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotion.engines import flux as engine
from promotion.engines.flux.inventory import SOURCES, Ref
from promotion.model import Health, Subject
from tests.support import flux
from tests.support.flux import BRANCH, DIGEST, URL, M, P, at, condition, image, imaged, packed, release, repository
from tests.support.kubestub import KubeStub
from tests.test_engine_flux_fleet import Watched
from tests.test_engine_flux_tree import CHART, CHILD, TOP, health, shelf_of, walk, whole

HEALTHY, PROGRESSING, UNKNOWN, SUSPENDED = Health.HEALTHY, Health.PROGRESSING, Health.UNKNOWN, Health.SUSPENDED
OTHER = "sha256:" + "1" * 64
HOLDER = Ref(SOURCES, "OCIRepository", "flux-system", "web")
RELEASE = Ref("helm.toolkit.fluxcd.io", "HelmRelease", "flux-system", "web")
ABOVE = (flux.kustomization(M, entries=[CHART]), repository(M))


def from_git(name: str) -> dict[str, Any]:
    return {"sourceRef": {"kind": "GitRepository", "name": name}, "reconcileStrategy": "Revision"}


def said(*objects: Mapping[str, Any]) -> Health:
    return health(*ABOVE, *objects)


# --- an image that holds the chart ----------------------------------------------------------------------------------


def test_the_chart_of_an_image() -> None:
    """As helm-controller leaves it; of a tag and of a digest alone."""
    assert said(imaged(), image()) is HEALTHY
    assert said(imaged(), image(status={"artifact": flux.artifact(DIGEST)})) is HEALTHY


def test_race_the_tag_changes_in_the_commit_and_the_release_is_still_ready() -> None:
    """Nothing has looked at either; then the image is there and helm-controller has not looked; then it has."""
    applied = image("1.1.0", status=image()["status"], generation=2)
    fetched = image("1.1.0", OTHER, generation=2)
    fetched = flux.changed(fetched, observedGeneration=2, conditions=[condition("Ready", "True", generation=2)])
    assert said(imaged(), applied) is PROGRESSING
    assert said(imaged(), flux.changed(applied, observedGeneration=2)) is PROGRESSING  # suspended in between
    assert said(imaged(), fetched) is PROGRESSING
    assert said(imaged("1.1.0", OTHER), fetched) is HEALTHY
    assert said(imaged("1.1.0", OTHER), flux.changed(fetched, observedGeneration=1)) is PROGRESSING


def test_race_an_image_that_cannot_be_fetched() -> None:
    """The old artifact stays, and the old release with it."""
    failed = condition("Ready", "False", "OCIArtifactPullFailed", "no such tag", generation=2)
    assert said(imaged(), image(generation=2, status={"conditions": [failed]})) is PROGRESSING
    assert (
        said(imaged(), image(status={"conditions": [condition("Ready", "False", "OCIArtifactPullFailed")]}))
        is PROGRESSING
    )
    assert said(imaged(), image(status={"conditions": []})) is PROGRESSING
    assert said(imaged(), image(status={"artifact": None})) is PROGRESSING


def test_race_what_holds_the_chart_is_suspended() -> None:
    """Its status looks settled: nobody has looked at its spec."""
    live = image(spec={"suspend": True}, generation=2, status={"observedGeneration": 2})
    assert said(imaged(), live) is SUSPENDED


def test_race_a_release_that_names_another_digest() -> None:
    """Tried, and not what the newest release is of; or not said at all."""
    newest = imaged()["status"]["history"]
    assert said(flux.changed(imaged("1.0.0", OTHER), history=newest), image("1.0.0", OTHER)) is UNKNOWN
    older = [newest[0] | {"chartVersion": f"1.0.0+{OTHER[7:19]}", "ociDigest": DIGEST}]
    assert said(flux.changed(imaged("1.0.0", OTHER), history=older), image("1.0.0", OTHER)) is UNKNOWN
    assert said(flux.changed(imaged(), lastAttemptedRevisionDigest=None), image()) is PROGRESSING


def test_what_holds_the_chart_is_not_there() -> None:
    """Deleted with the commit; or of a kind that tells nothing."""
    shelf = shelf_of([*ABOVE, imaged()], {}) | {HOLDER: None}
    reading = whole(TOP, walk(shelf)).reading
    assert reading is not None
    assert reading.health is PROGRESSING
    assert "OCIRepository flux-system/web, where its chart is, is not there" in reading.reason
    other = {"chartRef": {"kind": "ExternalArtifact", "name": "web"}}
    assert said(release(spec=other)) is UNKNOWN
    assert said(release(spec={"chart": None})) is UNKNOWN


# --- a HelmChart ------------------------------------------------------------------------------------------------------


def test_the_chart_of_a_repository() -> None:
    """The one that helm-controller makes, and one that a person writes."""
    named = release(spec={"chart": None, "chartRef": {"kind": "HelmChart", "name": "web"}})
    assert said(release(), *packed()) is HEALTHY
    assert said(named, *packed(name="web")) is HEALTHY
    assert said(flux.changed(release(), lastAttemptedRevision="1.0.0"), *packed("v1.0.0")) is HEALTHY


def test_race_the_version_changes_in_the_commit_and_the_release_is_still_ready() -> None:
    """Also when helm-controller saw the HelmChart as it was before its own change, and is Ready with its new generation."""
    applied = packed("1.1.0", generation=2, status=packed()[0]["status"])
    assert said(release(), *applied) is PROGRESSING
    now = {"observedGeneration": 2, "conditions": [condition("Ready", "True", generation=2)]}
    assert said(release(), *packed("1.1.0", generation=2, status=now)) is PROGRESSING
    newest = [release()["status"]["history"][0] | {"chartVersion": "1.1.0"}]
    done = flux.changed(release(), lastAttemptedRevision="1.1.0", history=newest)
    assert said(done, *packed("1.1.0", generation=2, status=now)) is HEALTHY


def test_race_the_repository_changes_in_the_commit() -> None:
    """Another address, not fetched yet; fetched, and the HelmChart is of the old index; then it has looked."""
    chart, charts = packed()
    asked = copy.deepcopy(charts)
    asked["metadata"]["generation"] = 2
    fetched = flux.changed(asked, observedGeneration=2, artifact=flux.artifact(OTHER))
    fetched = flux.changed(fetched, conditions=[condition("Ready", "True", generation=2)])
    assert said(release(), chart, asked) is PROGRESSING
    assert said(release(), chart, fetched) is PROGRESSING
    assert said(release(), flux.changed(chart, observedSourceArtifactRevision=OTHER), fetched) is HEALTHY


def test_a_repository_that_is_away() -> None:
    """Its index cannot be fetched any more: what it fetched for the spec that it has is there, and the chart of it. Not so of another spec."""
    chart, charts = packed()
    away = condition("Ready", "False", "FetchFailed", "no such host")
    assert said(release(), chart, flux.changed(charts, conditions=[away])) is HEALTHY
    asked = copy.deepcopy(charts)
    asked["metadata"]["generation"] = 2
    failed, stalled = (
        condition("Ready", "False", "FetchFailed", generation=2),
        condition("Stalled", "True", generation=2),
    )
    assert said(release(), chart, flux.changed(asked, conditions=[away])) is PROGRESSING
    assert said(release(), chart, flux.changed(asked, conditions=[failed])) is PROGRESSING
    assert said(release(), chart, flux.changed(asked, conditions=[away], observedGeneration=2)) is PROGRESSING
    assert (
        said(release(), chart, flux.changed(asked, conditions=[failed, stalled], observedGeneration=2)) is PROGRESSING
    )
    assert said(release(), chart, flux.changed(charts, conditions=[away], artifact=None)) is PROGRESSING
    asked["spec"]["suspend"] = True
    assert said(release(), chart, flux.changed(asked, observedGeneration=2)) is SUSPENDED


def test_a_repository_that_is_an_address_only() -> None:
    """Of images: it has no status, and never will."""
    chart, charts = packed(status={"observedSourceArtifactRevision": None})
    charts = {**charts, "spec": {"type": "oci", "url": "oci://registry.example.com"}, "status": {}}
    assert said(release(), chart, charts) is HEALTHY


def test_a_chart_from_another_git_repository() -> None:
    """Its tag changes in the commit: as far as it is through with that."""
    chart, _ = packed(spec={"sourceRef": {"kind": "GitRepository", "name": "charts"}})
    charts = repository(P, name="charts", spec={"url": "https://git.example.com/charts"})
    assert said(release(), flux.changed(chart, observedSourceArtifactRevision=at(P)), charts) is HEALTHY
    assert said(release(), flux.changed(chart, observedSourceArtifactRevision=at(M)), charts) is PROGRESSING


@pytest.mark.parametrize("source", ["shop", "apps"])
@pytest.mark.parametrize("named", [False, True])
def test_a_chart_from_our_own_repository(named: bool, source: str) -> None:
    """Packaged anew for each commit, it carries the commit: an older one is not this commit's. Whichever object is for our branch."""
    spec = {"chart": None, "chartRef": {"kind": "HelmChart", "name": "flux-system-web"}} if named else {}

    def at_commit(version: str) -> Health:
        newest = [release()["status"]["history"][0] | {"chartVersion": version}]
        hr = release(spec=spec, status={"lastAttemptedRevision": version, "history": newest})
        status = {"observedSourceArtifactRevision": at(M)}
        return said(hr, packed(version, spec=from_git(source), status=status)[0], repository(M, name=source))

    assert at_commit(f"1.0.0+{M[:12]}") is HEALTHY
    assert at_commit(f"1.0.0+{M[:12]}.1") is HEALTHY
    assert at_commit(f"1.0.0+{P[:12]}") is PROGRESSING
    assert at_commit("1.0.0") is PROGRESSING


@pytest.mark.parametrize("source", ["shop", "apps"])
@pytest.mark.parametrize("strategy", [None, "ChartVersion"])
def test_a_chart_from_our_own_repository_that_carries_no_commit(strategy: str | None, source: str) -> None:
    """A commit that raises its version leaves the HelmRelease as it is, and the old Ready with it: it proves nothing."""
    spec, status = {**from_git(source), "reconcileStrategy": strategy}, {"observedSourceArtifactRevision": at(M)}
    assert said(release(), packed(spec=spec, status=status)[0], repository(M, name=source)) is UNKNOWN


# --- in any order ----------------------------------------------------------------------------------------------------

CLEAR = object()
Write = tuple[Ref, str, Any]


def of_image() -> list[Write]:
    """source-controller, when the commit's tag is another: the artifact before, or in one write with, what says that it is there."""
    building = condition("Reconciling", "True", "Progressing", "building artifact", generation=2)
    fetched = image("1.1.0", OTHER)["status"] | {"observedGeneration": 2}
    return [
        (HOLDER, "Reconciling", building),
        (HOLDER, "status", fetched | {"conditions": [condition("Ready", "True", generation=2)]}),
    ]


def of_release() -> list[Write]:
    """helm-controller, when it looks at that."""
    done = imaged("1.1.0", OTHER)["status"]
    return [
        (RELEASE, "Reconciling", condition("Reconciling", "True", "Progressing", "Fulfilling prerequisites")),
        (RELEASE, "lastAttemptedRevision", done["lastAttemptedRevision"]),
        (RELEASE, "lastAttemptedRevisionDigest", OTHER),
        (RELEASE, "Ready", condition("Ready", "Unknown", "Progressing", "Running 'upgrade' action")),
        (RELEASE, "history", done["history"]),
        (RELEASE, "Ready", condition("Ready", "True", "UpgradeSucceeded")),
        (RELEASE, "Reconciling", CLEAR),
    ]


def world() -> dict[Ref, Any]:
    """The commit is applied: only the tag that the OCIRepository has to follow is another."""
    return shelf_of([*ABOVE, imaged(), image("1.1.0", status=image()["status"], generation=2)], {})


def write(shelf: dict[Ref, Any], one: Write) -> None:
    ref, key, value = one
    if key == "status":
        shelf[ref] = flux.changed(shelf[ref], **value)
        return
    if not key[0].isupper():
        shelf[ref] = flux.changed(shelf[ref], **{key: value})
        return
    kept = [each for each in shelf[ref]["status"]["conditions"] if each["type"] != key]
    shelf[ref] = flux.changed(shelf[ref], conditions=kept if value is CLEAR else [*kept, value])


def is_healthy(shelf: Mapping[Ref, Any]) -> bool:
    reading = whole(TOP, walk(shelf)).reading
    return reading is not None and reading.health is HEALTHY


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_writes_in_any_order(data: st.DataObject) -> None:
    """Healthy is never said before all that makes it true is written, whatever the order; and then it is said."""
    shelf, writes = world(), [*of_image(), *of_release()]
    proof = {
        (HOLDER, "status"),
        (RELEASE, "lastAttemptedRevisionDigest"),
        (RELEASE, "history"),
    }
    for one in data.draw(st.permutations(writes), "order"):
        write(shelf, one)
        proof.discard(one[:2])
        assert not (is_healthy(shelf) and proof)
    for one in writes:
        write(shelf, one)
    assert is_healthy(shelf)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_controllers_beside_each_other(data: st.DataObject) -> None:
    """Each in its own order, the HelmRelease read before what holds its chart: healthy is what is released."""
    now = world()
    seen, image_writes, release_writes = dict(now), of_image(), of_release()
    while image_writes or release_writes:
        if image_writes and (len(release_writes) == 7 or data.draw(st.booleans(), "image")):
            write(now, image_writes.pop(0))
        elif release_writes and not image_writes:  # it waits for an image that is through with its spec
            write(now, release_writes.pop(0))
        if data.draw(st.booleans(), "HelmRelease"):
            seen[RELEASE] = now[RELEASE]
        seen[HOLDER] = now[HOLDER]
        released = now[RELEASE]["status"]["history"][0]["ociDigest"] == OTHER
        assert not is_healthy(seen) or released
    assert is_healthy(now)


# --- from an API server ----------------------------------------------------------------------------------------------


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path) as made:
        yield made


def observe(stub: KubeStub, *names: str) -> list[Health | None]:
    subject = Subject("shop", "qa", M, URL, BRANCH, stub.environ)
    answers = engine.observe_all([({"context": "stub", "kustomization": name}, subject) for name in names])
    return [each.reading.health if not isinstance(each, Exception) and each.reading else None for each in answers]


def test_what_holds_charts_is_read_again(stub: KubeStub) -> None:
    """It was read for another environment, before the Kustomization below came to this commit."""
    chart = "flux-system_web_helm.toolkit.fluxcd.io_HelmRelease"
    below = flux.kustomization(M, name="shop-db", entries=[chart], spec={"wait": False})
    origin = {"org.opencontainers.image.revision": at(M)}
    by_image = {"sourceRef": {"kind": "OCIRepository", "name": "web"}}
    status = image()["status"]
    held = image(status={"artifact": status["artifact"] | {"metadata": origin}})
    top = flux.kustomization(M, entries=[CHILD])
    for live in (repository(M), top, below, imaged(), held, flux.kustomization(M, name="other", spec=by_image)):
        stub.put(live)
    assert observe(stub, "shop") == [HEALTHY]
    moved = image("1.1.0", status=held["status"], generation=2)
    path = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases"
    stub.asked = Watched(f"GET {path}", partial(stub.put, moved))
    assert observe(stub, "shop", "other")[0] is PROGRESSING


def test_what_cannot_be_read_of_a_chart(stub: KubeStub) -> None:
    """403 is an error that says of what, and no word on health."""
    for live in (*ABOVE, release(), *packed()):
        stub.put(live)
    assert observe(stub, "shop") == [HEALTHY]
    stub.denied.append("GET /apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/helmcharts")
    assert observe(stub, "shop") == [None]
