"""The engine `flux`: values of a HelmRelease or a Kustomization that a commit changes, and it not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from promotion.engines import flux as engine
from promotion.engines.contract import Deployed
from promotion.engines.flux.inventory import KUSTOMIZATION, Ref
from promotion.engines.flux.status import REQUESTED
from promotion.engines.flux.tree import together
from promotion.kube import DeniedError
from promotion.model import Health, Reading, Subject
from promotion.texts import iso
from tests.support import flux
from tests.support.flux import BRANCH, URL, M, N, P, image, imaged, repository
from tests.support.kubestub import KubeStub
from tests.test_engine_flux_fleet import KUSTOMIZATIONS, Watched
from tests.test_engine_flux_tree import CHART, CHILD, TOP, shelf_of, walk, whole

HEALTHY, PROGRESSING, UNKNOWN = Health.HEALTHY, Health.PROGRESSING, Health.UNKNOWN
CONF = Ref("", "ConfigMap", "flux-system", "conf")
ENTRIES = [CHART, "flux-system_conf__ConfigMap", "flux-system_passwords__Secret"]
BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def by(manager: str, after: timedelta, **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "time": iso(BEGAN + after), **more}


def ref(text: str) -> dict[str, Any]:
    kind, _, name = text.rstrip("?").partition("/")
    return {"kind": kind, "name": name, **({"optional": True} if text.endswith("?") else {})}


def applied(commit: str = M, after: timedelta = timedelta(seconds=1)) -> str:
    """What is asked for when a commit is applied, so long after BEGAN."""
    return f"{iso(BEGAN + after)} promotion {commit} applied"


def entry(
    digest: str, first: timedelta, last: timedelta | None = None, status: str = "ReconciliationSucceeded"
) -> dict[str, Any]:
    """Of a Kustomization's history; each pass takes ten seconds."""
    times = {"firstReconciled": iso(BEGAN + first), "lastReconciled": iso(BEGAN + (first if last is None else last))}
    return {
        "digest": digest,
        **times,
        "lastReconciledDuration": "10.5s",
        "lastReconciledStatus": status,
        "totalReconciliations": 2,
    }


def hr(*values: str, looked: timedelta | None = None, handled: str | None = None, **spec: Any) -> dict[str, Any]:
    """A HelmRelease with values in these (KIND/NAME, `?` for optional), whose status was written last so long after BEGAN."""
    refs = [ref(each) for each in values]
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


def said(
    release: Mapping[str, Any], values: Any = None, entries: list[str] = ENTRIES, *history: dict[str, Any]
) -> Reading:
    top = flux.kustomization(M, entries=entries, status={"history": list(history)} if history else {})
    one = walk(shelf_of([top, repository(M), release, image()], {}) | {CONF: values})
    reading = whole(TOP, one).reading
    assert reading is not None
    return reading


def test_values_that_the_commit_does_not_make_are_not_its_own() -> None:
    """Somebody else's object that is there, and what kustomize names by its content: other content, another HelmRelease."""
    assert said(hr("ConfigMap/conf"), conf(), [CHART]).health is HEALTHY
    generated = "conf-2g5k7h9mtc"
    assert said(hr(f"ConfigMap/{generated}"), entries=[CHART, f"flux-system_{generated}__ConfigMap"]).health is HEALTHY


def test_race_values_are_made_by_another_release_that_does_not_list_what_it_makes() -> None:
    """Flux labels what a HelmRelease installs; one of another environment is none of ours."""
    ours = {
        f"helm.toolkit.fluxcd.io/{key}": CHART.split("_")[number] for number, key in enumerate(("namespace", "name"))
    }
    for labels, health in ((ours, PROGRESSING), ({**ours, "helm.toolkit.fluxcd.io/name": "other"}, HEALTHY)):
        made = conf()
        made["metadata"]["labels"] = labels
        assert said(hr("ConfigMap/conf"), made, [CHART]).health is health
    made["metadata"]["labels"] = ours
    assert said(hr("ConfigMap/conf", looked=21 * MINUTE), made, [CHART]).health is HEALTHY


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
    ours = applied()
    assert said(hr("ConfigMap/conf", "Secret/passwords", handled=ours), conf()).health is HEALTHY
    assert said(hr("ConfigMap/conf", handled=ours.replace(M, P)), conf()).health is PROGRESSING
    assert said(hr("ConfigMap/conf", handled="2026-11-24T12:00:00Z"), conf()).health is PROGRESSING
    before = ours.removesuffix(" applied")  # as its source is asked, and its Kustomization for the commit
    assert said(hr("ConfigMap/conf", handled=before), conf()).health is PROGRESSING
    pending = hr("ConfigMap/conf", handled=ours)
    pending["status"]["lastHandledReconcileAt"] = None
    assert said(pending, conf()).health is PROGRESSING


def test_race_values_change_again_after_a_look_was_asked_for() -> None:
    """They may be what another release made, which looked later: the request has to be later than the change."""
    asked = hr("ConfigMap/conf", handled=applied(after=MINUTE))
    assert said(asked, conf(timedelta(seconds=59))).health is HEALTHY
    assert said(asked, conf(MINUTE)).health is PROGRESSING  # in the same second


def test_what_is_not_read_is_unknown() -> None:
    """Secrets never, and what we may not: with the ways out."""
    reading = said(hr("Secret/passwords", looked=99 * MINUTE))
    assert reading.health is UNKNOWN
    assert "nothing says whether Flux has looked at its Secret passwords as it is now" in reading.reason
    assert "`refresh: annotate` asks for that" in reading.reason
    assert said(hr("ConfigMap/conf", looked=99 * MINUTE), DeniedError("no")).health is UNKNOWN
    assert said(hr("ConfigMap/conf", looked=99 * MINUTE), None).health is PROGRESSING


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
    refs = [ref(each) for each in values]
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
    top, ours = flux.kustomization(M, entries=[CHILD, *ENTRIES[1:]]), applied()

    def below(*values: str, **more: Any) -> dict[str, Any]:
        return built(*values, name="shop-db", entries=[], **more)

    assert come_to(top, below("ConfigMap/conf"), values=conf()).health is PROGRESSING
    assert come_to(top, below("ConfigMap/conf", looked=20 * MINUTE), values=conf()).health is PROGRESSING
    assert come_to(top, below("ConfigMap/conf", looked=21 * MINUTE), values=conf()).health is HEALTHY
    assert come_to(top, below("ConfigMap/conf", "Secret/passwords", handled=ours), values=conf()).health is HEALTHY
    assert come_to(top, below("Secret/passwords", looked=99 * MINUTE)).health is UNKNOWN
    elsewhere = flux.kustomization(M, entries=[CHILD])
    assert come_to(elsewhere, below("ConfigMap/conf"), values=conf()).health is HEALTHY


def test_race_a_kustomization_applies_what_it_is_built_with() -> None:
    """What it was built with may be what it has just replaced: a pass that was asked for when it had applied the commit has not."""
    entries, spec = ["flux-system_conf__ConfigMap"], {"interval": "10m"}

    def top(**more: Any) -> dict[str, Any]:
        return built("ConfigMap/conf", entries=entries, spec=spec, **more)

    assert come_to(top(handled=applied().removesuffix(" applied")), values=conf()).health is PROGRESSING
    assert come_to(top(handled=applied()), values=conf()).health is HEALTHY
    assert come_to(top(looked=21 * MINUTE), values=conf()).health is HEALTHY


def test_race_the_commit_removes_values_that_a_release_still_names() -> None:
    """It is gone from the inventory by then. Ready is the old one until Flux looks, and then it fails: never healthy."""
    for more in ({}, {"looked": 99 * MINUTE}, {"handled": applied()}):
        reading = said(hr("ConfigMap/conf", **more), None, [CHART], entry("now", MINUTE))
        assert reading.health is PROGRESSING
        assert "its ConfigMap conf is not there" in reading.reason
    going = conf()
    going["metadata"]["deletionTimestamp"] = iso(BEGAN)
    assert said(hr("ConfigMap/conf", handled=applied()), going, [CHART]).health is PROGRESSING


@pytest.mark.parametrize("named", ["ConfigMap/conf?", "Secret/passwords", "Secret/passwords?"])
def test_race_the_commit_may_have_removed_values(named: str) -> None:
    """Ones that a release goes without, and ones that are not ours to read: a look after all was applied and pruned is the proof."""
    now, before = entry("now", MINUTE, 60 * MINUTE), entry("before", -60 * MINUTE, -MINUTE)
    assert said(hr(named), None, [CHART], now, before).health is PROGRESSING
    assert said(hr(named, looked=21 * MINUTE), None, [CHART], now, before).health is PROGRESSING
    assert said(hr(named, looked=22 * MINUTE), None, [CHART], now, before).health is HEALTHY
    asked = applied(after=2 * MINUTE)
    assert said(hr(named, handled=asked), None, [CHART], now, before).health is HEALTHY
    assert said(hr(named, handled=asked.replace(M, P)), None, [CHART], now, before).health is PROGRESSING


def test_race_values_that_were_removed_are_named_by_their_content() -> None:
    """Whatever it is called: it is named, and not there."""
    assert said(hr("Secret/passwords-2g5k7h9mtc"), None, [CHART], entry("now", MINUTE)).health is PROGRESSING


@pytest.mark.parametrize(
    "history",
    [
        [],
        [
            entry("now", MINUTE, 60 * MINUTE),
            entry("before", -MINUTE, MINUTE),
        ],  # as now, something else, and as now again
        [entry("now", MINUTE, status="HealthCheckFailed"), entry("before", -MINUTE)],
        [entry("now", MINUTE), {**entry("before", -MINUTE), "lastReconciled": "?"}],
        [{**entry("now", MINUTE), "lastReconciledDuration": None}],
        ["?"],
    ],
)
def test_when_all_was_applied_is_not_known(history: list[Any]) -> None:
    """Older versions of Flux do not say, and of what was applied before, when it came back: no time proves anything then."""
    reading = said(hr("Secret/passwords", looked=999 * MINUTE), None, [CHART], *history)
    assert reading.health is UNKNOWN
    assert (
        "has looked at its Secret passwords since the commit may have removed it (`refresh: annotate`" in reading.reason
    )


def test_one_kustomization_that_tells_nothing_leaves_it_unknown() -> None:
    """It may have removed them just now."""
    top = flux.kustomization(M, entries=[CHILD, CHART], status={"history": [SETTLED]})
    release = hr("Secret/passwords", looked=99 * MINUTE)
    for status, health in (({}, UNKNOWN), ({"history": [SETTLED]}, HEALTHY)):
        below = flux.kustomization(M, name="shop-db", entries=[], status=status)
        assert come_to(top, below, release, image()).health is health


def test_an_unhealthy_end_of_the_same_content_is_no_other_content() -> None:
    """It applied the same."""
    failed = entry("now", -MINUTE, 9 * MINUTE, "HealthCheckFailed")
    assert (
        said(hr("Secret/passwords", looked=22 * MINUTE), None, [CHART], entry("now", MINUTE), failed).health is HEALTHY
    )


def test_race_a_commit_that_comes_back_is_asked_for_anew() -> None:
    """What was asked for when it was applied the first time was before the other one, or before what is applied now was."""
    now, other = entry("now", -60 * MINUTE, 60 * MINUTE), entry("other", -9 * MINUTE, -MINUTE)
    later, anew = entry("other", -9 * MINUTE, 9 * MINUTE), entry("now", 10 * MINUTE, 60 * MINUTE)
    assert said(hr("Secret/passwords", handled=applied()), None, [CHART], now, other).health is HEALTHY
    assert said(hr("Secret/passwords", handled=applied()), None, [CHART], now, later).health is UNKNOWN
    assert said(hr("ConfigMap/conf", handled=applied()), conf(9 * MINUTE), ENTRIES, now, later).health is PROGRESSING
    assert said(hr("Secret/passwords", handled=applied()), None, [CHART], anew, other).health is PROGRESSING
    assert said(hr("Secret/passwords", handled=applied()), None, [CHART], entry("now", MINUTE)).health is PROGRESSING


def test_race_the_commit_removes_what_a_kustomization_is_built_with() -> None:
    """By itself, or one below by what is above it: the pass that removed it was built with it, and the next one fails."""
    top, child = ["flux-system_web__ConfigMap"], flux.kustomization(M, entries=[CHILD], status={"history": [SETTLED]})

    def passed(name: str, entries: list[str], began: timedelta, *values: str) -> dict[str, Any]:
        now = entry("now", MINUTE, began + 10.5 * timedelta(seconds=1))
        return built(*values, name=name, entries=entries, status={"history": [now]})

    for named in ("Secret/passwords", "ConfigMap/conf?"):
        early, late = MINUTE, MINUTE + timedelta(seconds=1)
        assert come_to(passed("shop", top, early, named)).health is PROGRESSING
        assert come_to(passed("shop", top, late, named)).health is HEALTHY
        assert come_to(child, passed("shop-db", [], early, named)).health is PROGRESSING
        assert come_to(child, passed("shop-db", [], late, named)).health is HEALTHY
    reading = come_to(passed("shop", top, 99 * MINUTE, "ConfigMap/conf"))
    assert reading.health is PROGRESSING
    assert "its ConfigMap conf is not there" in reading.reason


SETTLED = entry("settled", -MINUTE)


def test_race_what_values_are_made_of_is_built_anew_first() -> None:
    """A request proves nothing of a Kustomization that says when it began, and no HelmRelease is asked before it has."""
    top = flux.kustomization(M, entries=[CHILD, CHART, *ENTRIES[1:]], status={"history": [SETTLED]})

    def come(began: timedelta) -> tuple[Health, list[str]]:
        now = entry("now", -MINUTE, began + 10.5 * timedelta(seconds=1))
        below = built("ConfigMap/conf", name="shop-db", entries=[], handled=applied(), status={"history": [now]})
        objects = [repository(M), top, below, hr("ConfigMap/conf"), image()]
        one = walk(shelf_of(objects, {}) | {CONF: conf()})
        reading = whole(TOP, one).reading
        assert reading is not None
        return reading.health, sorted(one.unasked)

    assert come(timedelta(seconds=59)) == (PROGRESSING, ["Kustomization flux-system/shop-db"])
    assert come(MINUTE) == (PROGRESSING, ["HelmRelease flux-system/web"])


# --- several Kustomizations ------------------------------------------------------------------------------------------

OTHER = Ref(*KUSTOMIZATION, "flux-system", "shop-conf")


def both(release: Mapping[str, Any], *history: dict[str, Any], applied: str = M, **second: Any) -> list[Health | None]:
    """`shop` has the HelmRelease, `shop-conf` its values, and either may have removed some."""
    told = {"status": {"history": list(history)}} if history else {}
    one = flux.kustomization(M, entries=[CHART], **told)
    two = flux.kustomization(applied, name="shop-conf", entries=second.pop("entries", ENTRIES[1:]), **told)
    shelf = shelf_of([one, two, repository(M), release, image()], {}) | {CONF: second.pop("values", conf())}
    return [each.reading.health if each.reading else None for each in together([TOP, OTHER], walk(shelf))]


def test_race_values_are_in_what_another_kustomization_of_the_environment_applies() -> None:
    """They change with the commit as the others do; what shows it is said where the HelmRelease is."""
    assert both(hr("ConfigMap/conf")) == [PROGRESSING, HEALTHY]
    assert both(hr("Secret/passwords")) == [UNKNOWN, HEALTHY]
    assert both(hr("ConfigMap/conf", looked=21 * MINUTE)) == [HEALTHY, HEALTHY]
    assert both(hr("ConfigMap/conf", "Secret/passwords", handled=applied())) == [HEALTHY, HEALTHY]


def test_race_another_kustomization_of_the_environment_removes_values() -> None:
    """All of them have to have applied the commit before a look proves anything."""
    now = entry("now", MINUTE)
    nothing = {"entries": ["flux-system_more__ConfigMap"], "values": None}
    assert both(hr("ConfigMap/conf"), now, **nothing) == [PROGRESSING, HEALTHY]
    assert both(hr("Secret/passwords", looked=21 * MINUTE), now, **nothing) == [PROGRESSING, HEALTHY]
    assert both(hr("Secret/passwords", looked=22 * MINUTE), now, **nothing) == [HEALTHY, HEALTHY]


def test_values_are_looked_at_when_all_kustomizations_are_there() -> None:
    """Before that the answer is that they are not at one commit, whatever else is not."""
    assert both(hr("ConfigMap/conf"), applied=P) == [HEALTHY, HEALTHY]


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
    for entry in stub.objects["v1", "ConfigMap", "flux-system", "conf"]["metadata"]["managedFields"]:
        entry["time"] = iso(BEGAN)  # not in the second in which it is asked for
    assert at(M, *flux.running(flux.at(M))) is PROGRESSING
    assert asked(stub) is None
    assert at(M) is not HEALTHY
    request = asked(stub)
    assert request is not None
    assert request.endswith(f" promotion {M} applied")
    assert at(M) is not HEALTHY
    assert asked(stub) == request
    stub.put(hr("ConfigMap/conf", "Secret/passwords", handled=request))
    assert at(M) is HEALTHY
    assert at(N) is not HEALTHY
    assert (asked(stub) or "").endswith(f" promotion {N} applied")


def test_race_values_that_were_read_for_another_environment_first(stub: KubeStub) -> None:
    """They are there when they are read, and gone with the commit that a Kustomization comes to, which is read after them."""
    names = ["shop", "shop-db", "shop-db-a", "shop-db-b", "shop-db-c"]
    below = [f"flux-system_{name}_kustomize.toolkit.fluxcd.io_Kustomization" for name in names[1:]]
    for name, entry in zip(names, [*below, CHART], strict=True):
        stub.put(flux.kustomization(M, name=name, entries=[entry]))
    stub.put(flux.kustomization(M, name="other", entries=[CHART]))
    for live in (repository(M), hr("ConfigMap/conf"), image(), conf()):
        stub.put(live)
    subject = Subject("shop", "qa", M, URL, BRANCH, stub.environ)

    def observed() -> Health | None:
        asked = [({"context": "stub", "kustomization": name}, subject) for name in ("shop", "other")]
        said = engine.observe_all(asked)[0]
        return said.reading.health if isinstance(said, Deployed) and said.reading else None

    assert observed() is HEALTHY
    stub.asked = Watched(f"GET {KUSTOMIZATIONS}/shop-db-c", partial(stub.remove, "ConfigMap", "conf", "flux-system"))
    assert observed() is PROGRESSING


def test_a_kustomization_that_has_applied_the_commit_is_asked_again(stub: KubeStub) -> None:
    """It may have replaced or removed what it was built with: once more, and when it has begun after that all is well."""
    settings = {"context": "stub", "kustomization": "shop", "refresh": "annotate"}
    subject = Subject("shop", "qa", M, URL, BRANCH, stub.environ)

    def asks() -> str:
        engine.refresh(settings, subject)
        found = stub.find("Kustomization", "shop", "flux-system")
        assert found is not None
        return str(found["metadata"].get("annotations", {}).get(REQUESTED, ""))

    def top(began: timedelta, handled: str) -> dict[str, Any]:
        now = entry("now", MINUTE, began + 10.5 * timedelta(seconds=1))
        told = {"spec": {"wait": False}, "status": {"history": [now]}}
        return built("Secret/passwords", handled=handled, entries=ENTRIES[1:2], **told)

    stub.put(repository(M))
    stub.put(top(MINUTE, applied().removesuffix(" applied")))
    request = asks()
    assert request.endswith(f" promotion {M} applied")
    assert asks() == request
    stub.put(top(3 * MINUTE, request))
    assert asks() == request
    reading = engine.observe(settings, subject).reading
    assert reading is not None
    assert reading.health is HEALTHY
