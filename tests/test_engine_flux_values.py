"""The engine `flux`: values of a HelmRelease or a Kustomization that a commit changes, and it not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion.engines import flux as engine
from promotion.engines.flux.inventory import Ref
from promotion.engines.flux.status import REQUESTED
from promotion.engines.flux.tree import whole
from promotion.kube import DeniedError
from promotion.model import Health, Reading, Subject
from promotion.texts import iso
from tests.support import flux
from tests.support.flux import BRANCH, URL, M, N, P, image, imaged, repository
from tests.support.kubestub import KubeStub
from tests.test_engine_flux_tree import CHART, CHILD, TOP, shelf_of, walk

HEALTHY, PROGRESSING, UNKNOWN = Health.HEALTHY, Health.PROGRESSING, Health.UNKNOWN
CONF, PASSWORDS = Ref("", "ConfigMap", "flux-system", "conf"), Ref("", "Secret", "flux-system", "passwords")
ENTRIES = [CHART, "flux-system_conf__ConfigMap", "flux-system_passwords__Secret"]
BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def by(manager: str, after: timedelta, **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "time": iso(BEGAN + after), **more}


def hr(*values: str, looked: timedelta | None = None, handled: str | None = None, **spec: Any) -> dict[str, Any]:
    """A HelmRelease with values in these (KIND/NAME), whose status was written last so long after BEGAN."""
    refs = [dict(zip(("kind", "name"), each.split("/"), strict=True)) for each in values]
    made = imaged(status={"lastHandledReconcileAt": handled})
    made["spec"] |= {"valuesFrom": refs, **spec}
    made["metadata"]["annotations"] = {REQUESTED: handled} if handled else {}
    if looked is not None:
        made["metadata"]["managedFields"] = [
            by("kustomize-controller", timedelta(days=9)),
            by("helm-controller", looked, subresource="status"),
        ]
    return made


def conf(changed: timedelta = timedelta(0)) -> dict[str, Any]:
    fields = [by("kustomize-controller", changed), by("somebody", -MINUTE)]
    meta = {"name": "conf", "namespace": "flux-system", "managedFields": fields}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {}}


def said(release: Mapping[str, Any], values: Any = None, entries: list[str] = ENTRIES) -> Reading:
    top = flux.kustomization(M, entries=entries)
    one = walk(shelf_of([top, repository(M), release, image()], {}) | {CONF: values})
    reading = whole(TOP, one).reading
    assert reading is not None
    return reading


def test_values_that_the_commit_does_not_make_are_not_its_own() -> None:
    """Somebody else's object, and what kustomize names by its content: other content, another HelmRelease."""
    assert said(hr("ConfigMap/elsewhere")).health is HEALTHY
    generated = "conf-2g5k7h9mtc"
    assert said(hr(f"ConfigMap/{generated}"), entries=[CHART, f"flux-system_{generated}__ConfigMap"]).health is HEALTHY


def test_race_values_change_in_the_commit_and_the_release_is_still_ready() -> None:
    """A look that ended soon after may have begun before; one that ended long after has not; none says nothing."""
    assert said(hr("ConfigMap/conf"), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", looked=-MINUTE), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", looked=20 * MINUTE), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", looked=21 * MINUTE), conf()).health is HEALTHY
    assert said(hr("ConfigMap/conf", looked=21 * MINUTE, timeout="10m"), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", looked=21 * MINUTE), conf(2 * MINUTE)).health is PROGRESSING


@pytest.mark.parametrize("action", ["install", "upgrade", "test", "rollback", "uninstall"])
def test_race_a_look_may_take_as_long_as_the_longest_of_its_actions(action: str) -> None:
    """Each may have a timeout that is longer than that of all; a shorter one is not that of the others."""
    own: dict[str, Any] = {action: {"timeout": "15m"}}
    assert said(hr("ConfigMap/conf", looked=50 * MINUTE, **own), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", looked=51 * MINUTE, **own), conf()).health is HEALTHY
    assert said(hr("ConfigMap/conf", looked=51 * MINUTE, timeout="20m", **own), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", looked=20 * MINUTE, **{action: {"timeout": "1m"}}), conf()).health is PROGRESSING


def test_race_a_kustomization_without_a_timeout_takes_its_interval() -> None:
    """A pass may be as long."""
    entries = ["flux-system_conf__ConfigMap"]
    spec: dict[str, Any] = {"interval": "1h", "timeout": None}
    assert come_to(built("ConfigMap/conf", looked=185 * MINUTE, spec=spec, entries=entries), values=conf()).health is (
        PROGRESSING
    )
    assert come_to(built("ConfigMap/conf", looked=186 * MINUTE, spec=spec, entries=entries), values=conf()).health is (
        HEALTHY
    )


def test_race_a_look_that_was_asked_for() -> None:
    """When this commit was applied: of another one it proves nothing, nor does one that is not over, or not ours."""
    ours = f"2026-11-24T12:00:00Z promotion {M}"
    assert said(hr("ConfigMap/conf", "Secret/passwords", handled=ours), conf()).health is HEALTHY
    assert said(hr("ConfigMap/conf", handled=ours.replace(M, P)), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", handled="2026-11-24T12:00:00Z"), conf()).health is PROGRESSING
    pending = hr("ConfigMap/conf", handled=ours)
    pending["status"]["lastHandledReconcileAt"] = None
    assert said(pending, conf()).health is PROGRESSING


def test_what_is_not_read_is_unknown() -> None:
    """Secrets never, and what we may not: with the ways out."""
    reading = said(hr("Secret/passwords", looked=99 * MINUTE))
    assert reading.health is UNKNOWN
    assert "nothing says whether Flux has looked at its Secret passwords as it is now" in reading.reason
    assert "`refresh: annotate` asks for that" in reading.reason
    assert said(hr("ConfigMap/conf", looked=99 * MINUTE), DeniedError("no")).health is UNKNOWN
    assert said(hr("ConfigMap/conf", looked=99 * MINUTE), None).health is UNKNOWN


def test_values_are_looked_at_last() -> None:
    """What is not well is said as it is, and nobody is asked to look before all of the commit is there."""
    top = flux.kustomization(M, entries=[*ENTRIES, "shop_web_apps_Deployment"], spec={"wait": False})
    one = walk(shelf_of([top, repository(M), hr("Secret/passwords"), image()], {"web": {"said": Health.SUSPENDED}}))
    reading = whole(TOP, one).reading
    assert reading is not None
    assert reading.health is Health.SUSPENDED
    assert not one.unasked


def built(*values: str, looked: timedelta | None = None, handled: str | None = None, **more: Any) -> dict[str, Any]:
    """A Kustomization that is built with values in these (KIND/NAME), whose status was written last so long after BEGAN."""
    refs = [dict(zip(("kind", "name"), each.split("/"), strict=True)) for each in values]
    spec = {"postBuild": {"substituteFrom": refs}, "timeout": "5m", **more.pop("spec", {})}
    made = flux.kustomization(M, spec=spec, **more)
    made["metadata"]["annotations"] = {REQUESTED: handled} if handled else {}
    made["status"] |= {"lastHandledReconcileAt": handled} if handled else {}
    if looked is not None:
        made["metadata"]["managedFields"] = [by("kustomize-controller", looked, subresource="status")]
    return made


def come_to(*objects: dict[str, Any], values: Any = None) -> Reading:
    reading = whole(TOP, walk(shelf_of([repository(M), *objects], {}) | {CONF: values})).reading
    assert reading is not None
    return reading


def test_race_the_commit_changes_what_a_kustomization_below_is_built_with() -> None:
    """It has applied the commit, perhaps before its values were there; a look after that, or asked for then, has not."""
    top, ours = flux.kustomization(M, entries=[CHILD, *ENTRIES[1:]]), f"2026-11-24T12:00:00Z promotion {M}"

    def below(*values: str, **more: Any) -> dict[str, Any]:
        return built(*values, name="shop-db", entries=[], **more)

    assert come_to(top, below("ConfigMap/conf"), values=conf()).health is PROGRESSING
    assert come_to(top, below("ConfigMap/conf", looked=20 * MINUTE), values=conf()).health is PROGRESSING
    assert come_to(top, below("ConfigMap/conf", looked=21 * MINUTE), values=conf()).health is HEALTHY
    assert come_to(top, below("ConfigMap/conf", "Secret/passwords", handled=ours), values=conf()).health is HEALTHY
    assert come_to(top, below("Secret/passwords", looked=99 * MINUTE)).health is UNKNOWN
    assert come_to(top, below("ConfigMap/elsewhere")).health is HEALTHY


def test_race_a_kustomization_applies_what_it_is_built_with() -> None:
    """Whatever was asked for: what it was built with may be what it has just replaced."""
    ours = f"2026-11-24T12:00:00Z promotion {M}"
    entries = ["flux-system_conf__ConfigMap"]
    reading = come_to(built("ConfigMap/conf", handled=ours, entries=entries), values=conf())
    assert reading.health is PROGRESSING
    assert "Flux has looked at its ConfigMap conf as it is now (what kustomize names" in reading.reason
    assert come_to(built("ConfigMap/conf", looked=21 * MINUTE, entries=entries), values=conf()).health is HEALTHY


# --- from an API server -----------------------------------------------------------------------------------------------


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path) as made:
        yield made


def asked(stub: KubeStub) -> str | None:
    """What the HelmRelease is asked for."""
    live = stub.find("HelmRelease", "web", "flux-system")
    assert live is not None
    found: str | None = live["metadata"].get("annotations", {}).get(REQUESTED)
    return found


def test_values_are_read_one_by_one(stub: KubeStub) -> None:
    """`get` is enough: a list would take the right to read all of the namespace."""
    path, more = "/api/v1/namespaces/flux-system/configmaps", conf()
    more["metadata"]["name"] = "more"
    entries = [*ENTRIES, "flux-system_more__ConfigMap"]
    top = flux.kustomization(M, entries=entries)
    for live in (repository(M), top, hr("ConfigMap/conf", "ConfigMap/more"), image(), conf(), more):
        stub.put(live)
    engine.observe({"context": "stub", "kustomization": "shop"}, Subject("shop", "qa", M, URL, BRANCH, stub.environ))
    assert sorted(each.path for each in stub.requests("GET", path)) == [f"{path}/conf", f"{path}/more"]


def test_a_release_is_asked_to_look_when_all_of_the_commit_is_applied(stub: KubeStub) -> None:
    """Not before; once; and when it has, all is well. The next commit asks again."""
    settings = {"context": "stub", "kustomization": "shop", "refresh": "annotate"}

    def at(commit: str, *conditions: dict[str, Any]) -> Health:
        stub.put(repository(commit))
        stub.put(flux.kustomization(commit, *conditions, entries=ENTRIES))
        subject = Subject("shop", "qa", commit, URL, BRANCH, stub.environ)
        engine.refresh(settings, subject)
        reading = engine.observe(settings, subject).reading
        assert reading is not None
        return reading.health

    for live in (hr("ConfigMap/conf", "Secret/passwords"), image(), conf()):
        stub.put(live)
    assert at(M, *flux.running(flux.at(M))) is PROGRESSING
    assert asked(stub) is None
    assert at(M) is not HEALTHY
    request = asked(stub)
    assert request is not None
    assert request.endswith(f" promotion {M}")
    assert at(M) is not HEALTHY
    assert asked(stub) == request
    stub.put(hr("ConfigMap/conf", "Secret/passwords", handled=request))
    assert at(M) is HEALTHY
    assert at(N) is not HEALTHY
    assert (asked(stub) or "").endswith(f" promotion {N}")
