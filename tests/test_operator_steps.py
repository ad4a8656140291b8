"""What the operator decides: what is drift and whose, what is pruned, what an inventory keeps. Objects are only told of here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from promotion.engines.kubernetes import conflicts, fields, inventory
from promotion.engines.kubernetes.inventory import Failure, Inventory, Item
from promotion.engines.kubernetes.objects import OWNER, PRUNE, Manifest, Ref, digest
from promotion.engines.kubernetes.steps import Steps, foreign, has_run, is_news, keeps, run_of, steps, too_much
from promotion.errors import ConfigError
from promotion.model import Reverted, Subject

LABEL = "shop.prod"
SUBJECT = Subject("shop", "prod", "a" * 40)
JOB = Ref("batch", "Job", "shop", "migrate")
WEB = Ref("apps", "Deployment", "shop", "web")
AT = datetime(2026, 11, 28, 20, tzinfo=UTC)


def entry(manager: str, owned: Mapping[str, Any], operation: str = "Update", **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": owned, **more}


OWNED = {
    "f:spec": {
        "f:replicas": {},
        "f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}},
    }
}
OURS = entry(fields.MANAGER, OWNED, "Apply")
BODY: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop", "labels": {OWNER: LABEL}},
    "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}},
}
MANIFEST = Manifest(WEB, "v1", BODY, "web.yaml", digest(BODY))


def live(
    *entries: Mapping[str, Any], uid: str = "1", body: Mapping[str, Any] = BODY, **metadata: Any
) -> dict[str, Any]:
    """An object as the server has it."""
    whole = {
        **body["metadata"],
        "uid": uid,
        "resourceVersion": "7",
        "managedFields": list(entries or (OURS,)),
        **metadata,
    }
    return {**body, "metadata": whole}


ITEM = Item(WEB, "v1", "1", MANIFEST.digest, fields.ours(live()))


def todo(found: Mapping[str, Any] | None, item: Item | None = ITEM, manifest: Manifest = MANIFEST) -> Any:
    before = Inventory({item.ref: item} if item else {})
    return steps([manifest], before, {WEB: found} if found else {}, LABEL, AT)


def changed(replicas: int = 5, **more: Any) -> dict[str, Any]:
    """What is there after somebody scaled it: the field is theirs now."""
    less = {"f:spec": {"f:template": OWNED["f:spec"]["f:template"]}}
    body = {**BODY, "spec": {**BODY["spec"], "replicas": replicas}}
    theirs = entry("kubectl-edit", {"f:spec": {"f:replicas": {}}}, time="2026-11-28T20:00:00Z")
    return live(entry(fields.MANAGER, less, "Apply"), theirs, body=body, **more)


# --- what is applied, and what is drift -----------------------------------------------------------------------------


def test_what_is_as_applied_is_left_alone() -> None:
    """Whatever others have added, and whatever its status says."""
    injected = entry("injector", {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"sidecar"}': {}}}}}})
    status = entry("kube-controller-manager", {"f:status": {}}, subresource="status")
    scaled = entry("kube-controller-manager", {"f:spec": {"f:minReadySeconds": {}}}, subresource="scale")
    for found in (live(), live(OURS, injected), live(OURS, status, scaled)):
        assert todo(found).apply == ()


@pytest.mark.parametrize(
    ("found", "item"),
    [
        (live(), None),  # not ours yet
        (live(), replace(ITEM, digest="")),  # killed before it was applied
        (live(), replace(ITEM, digest="other")),  # Git has changed it
        (live(uid="2"), ITEM),  # made again by somebody
        (live(), replace(ITEM, kept=True)),  # back in Git
        (live(deletionTimestamp="2026-11-28T20:00:00Z"), ITEM),
        (live(entry("kubectl-edit", OWNED)), ITEM),  # nothing of it is ours any more
        (changed(), ITEM),
        (None, ITEM),
    ],
)
def test_what_is_not_as_applied_is_applied(found: Any, item: Item | None) -> None:
    """Each reason alone is enough."""
    assert todo(found, item).apply == (MANIFEST,)


def test_drift_is_told_with_its_path_and_manager() -> None:
    """What somebody took from us; a status writer took nothing."""
    assert todo(changed()).drift == {WEB: [(".spec.replicas", "kubectl-edit")]}
    assert todo(None).drift == {WEB: [("", "")]}, "deleted: nobody knows by whom"


def test_what_git_changed_is_no_drift() -> None:
    """The field is still ours; a field that Git adds is nobody's."""
    more = {**BODY, "spec": {**BODY["spec"], "replicas": 3, "minReadySeconds": 5}}
    new = replace(MANIFEST, body=more, digest=digest(more))
    assert todo(live(), manifest=new).drift == {}
    assert todo(changed(), manifest=new).drift == {WEB: [(".spec.replicas", "kubectl-edit")]}


def test_a_field_that_was_removed_is_drift_of_nobody() -> None:
    """The server keeps no name for it."""
    body = {**BODY, "spec": {"template": BODY["spec"]["template"]}}
    gone = live(entry(fields.MANAGER, {"f:spec": {"f:template": OWNED["f:spec"]["f:template"]}}, "Apply"), body=body)
    assert todo(gone).drift == {WEB: [(".spec.replicas", "")]}


def test_an_element_of_a_list_is_found_by_its_name() -> None:
    """Whatever others put before it."""
    spec = {
        "replicas": 2,
        "template": {"spec": {"containers": [{"name": "sidecar"}, {"name": "web", "image": "web:2"}]}},
    }
    element = {'k:{"name":"web"}': {"f:image": {}}}
    theirs = entry("kubectl-set", {"f:spec": {"f:template": {"f:spec": {"f:containers": element}}}})
    found = live(entry(fields.MANAGER, {"f:spec": {"f:replicas": {}}}, "Apply"), theirs, body={**BODY, "spec": spec})
    assert todo(found).drift == {WEB: [(".spec.template.spec.containers[web].image", "kubectl-set")]}


def test_the_servers_spelling_is_no_drift() -> None:
    """Quantities, and what is empty."""
    wanted = {"spec": {"cpu": "1000m", "memory": "1Gi", "n": 1, "empty": {}, "labels": None}}
    there = {"metadata": {"managedFields": []}, "spec": {"cpu": "1", "memory": "1024Mi", "n": "1"}}
    assert fields.drift(wanted, there, deleted=True) == []


@pytest.mark.parametrize(
    ("manager", "hand", "loop"),
    [
        *(
            (name, True, False)
            for name in ("kubectl-edit", "kubectl", "kubectl-client-side-apply", "before-first-apply")
        ),
        *(
            (name, False, True)
            for name in ("argocd-controller", "kustomize-controller", "helm", "helm-controller", "manager")
        ),
        *((name, False, True) for name in ("kube-controller-manager", "flux", "keda-operator", "vpa-updater")),
        *((name, False, False) for name in ("k9s", "OpenLens", "alice", "python-requests")),
        ("promotion", True, False),  # admission changed what we sent
    ],
)
def test_whose_a_manager_is(manager: str, hand: bool, loop: bool) -> None:
    """People's tools, controllers, and what may be either."""
    assert (conflicts.is_hand(manager), conflicts.is_loop(manager)) == (hand, loop)


def test_what_kubectl_applied_is_taken_over_once() -> None:
    """Its fields become ours, so that what Git does not have goes; and it can only be what was looked at."""
    first = entry(fields.CLIENT_SIDE, {"f:spec": {"f:paused": {}}})
    second = entry(fields.CLIENT_SIDE, {"f:spec": {"f:replicas": {}}})
    other = entry("kubectl-edit", {"f:data": {}})
    patch = fields.taken_over(live(first, other, second))
    assert patch is not None
    assert patch["metadata"]["resourceVersion"] == "7"
    both = entry(fields.MANAGER, {"f:spec": {"f:paused": {}, "f:replicas": {}}}, "Apply")
    assert patch["metadata"]["managedFields"] == [both, other]
    assert fields.taken_over(live(OURS, first)) is None
    assert fields.taken_over(live(other)) is None


# --- what is pruned -------------------------------------------------------------------------------------------------


def gone(
    kind: str = "Deployment", uid: str = "1", item: str = "1", label: str | None = LABEL, **annotations: str
) -> Any:
    """What becomes of an object that Git has no more."""
    ref = Ref("apps", kind, "shop", "web")
    metadata = {"labels": {OWNER: label} if label else {}, "annotations": annotations}
    found = live(uid=uid, **metadata)
    return steps([], Inventory({ref: Item(ref, "v1", item)}), {ref: found}, LABEL, AT)


def test_what_is_gone_from_git_is_pruned() -> None:
    """Also when we were killed before we knew that it was made, or after we made it again."""
    for found in (gone(), gone(item=""), gone(item="9"), gone(label=None)):
        assert [item.ref.name for item in found.delete] == ["web"]


def test_what_is_not_ours_is_not_pruned() -> None:
    """Made again by somebody, or taken over by another environment of ours."""
    for found in (gone(uid="2", label=None), gone(label="shop.qa"), gone(uid="2", label="shop.qa")):
        assert (found.delete, found.keep) == ((), {})


def test_what_may_not_be_pruned_stays() -> None:
    """By its annotation; and data and definitions unless theirs says otherwise."""
    assert gone(**{PRUNE: "disabled"}).delete == ()
    for kind in ("Namespace", "CustomResourceDefinition", "PersistentVolumeClaim"):
        assert gone(kind).delete == ()
        assert "pruned only where" in next(iter(gone(kind).keep.values()))
        assert len(gone(kind, **{PRUNE: "enabled"}).delete) == 1
        assert keeps(Item(Ref("", kind, "shop", "a"), "v1"), live(annotations={PRUNE: "disabled"}))


def test_pruning_goes_backwards() -> None:
    """What keeps others away first, what others need last."""
    kinds = [
        ("", "ConfigMap"),
        ("apps", "Deployment"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ]
    items = {ref: Item(ref, "v1", "1") for ref in (Ref(group, kind, "", "a") for group, kind in kinds)}
    there = {ref: live() for ref in items}
    assert [item.ref.kind for item in steps([], Inventory(items), there, LABEL, AT).delete] == [
        kind for _, kind in kinds[::-1]
    ]


@pytest.mark.parametrize(
    ("have", "kept", "less", "said"),
    [
        *((1, 0, 1, "the only object"), (3, 0, 3, "all 3 objects"), (4, 0, 3, None), (6, 0, 3, None)),
        *((5, 0, 3, "3 of 5 objects"), (10, 5, 3, "3 of 5 objects"), (0, 0, 0, None), (10, 0, 0, None)),
    ],
)
def test_suspiciously_much_is_not_pruned(have: int, kept: int, less: int, said: str | None) -> None:
    """All of them; or more than half of more than a few. What stays anyway does not count."""
    items = [Item(Ref("", "ConfigMap", "shop", str(n)), "v1", "1", kept=n < kept) for n in range(have)]
    inventory = Inventory({item.ref: item for item in items})
    assert too_much(inventory, Steps(delete=tuple(items[kept : kept + less]))) == said


def test_what_is_being_deleted_already_is_not_counted_again() -> None:
    """Neither with what goes now, nor with what there is."""
    items = [Item(Ref("", "ConfigMap", "shop", str(n)), "v1", "1") for n in range(6)]
    inventory = Inventory({item.ref: item for item in items})
    leaves = dict.fromkeys([item.ref for item in items[:4]], "is being deleted")
    assert too_much(inventory, Steps(delete=(items[4],), leaving=leaves)) is None
    assert too_much(inventory, Steps(delete=(items[4], items[5]), leaving=leaves)) == "all 2 objects"
    assert too_much(inventory, Steps(leaving=leaves)) is None


def test_another_environments_object_is_known() -> None:
    """By its label; one without is nobody's of ours."""
    assert foreign(live(labels={OWNER: "shop.qa"}), LABEL) == "shop.qa"
    assert foreign(live(), LABEL) is foreign(live(labels={}), LABEL) is foreign(None, LABEL) is None


# --- jobs -----------------------------------------------------------------------------------------------------------


def job(how: str = "", ttl: int = 600, **metadata: Any) -> dict[str, Any]:
    status = {"conditions": [{"type": how, "status": "True"}]} if how else {}
    meta = {"name": "migrate", "uid": "2", **metadata}
    spec = {"ttlSecondsAfterFinished": ttl}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec, "status": status}


def test_a_job_that_is_gone_before_its_cluster_may_have_removed_it_was_deleted_while_it_ran() -> None:
    """To the minute; how it ended, or an older inventory, says that it has run."""
    item = Item(JOB, "v1", "2", run=run_of(job(), AT))
    assert item.run == "started 2026-11-28T20:10:00Z"
    for minutes, run in ((0, False), (8.99, False), (9, True), (99, True)):
        assert has_run(item, None, AT + timedelta(minutes=minutes)) is run
    for kept in ("started", "started ?", "Complete", "Failed"):
        assert has_run(replace(item, run=kept), None, AT)
    assert not has_run(replace(item, run=""), None, AT + timedelta(days=1))
    assert has_run(Item(JOB, "v1", "2", run=run_of(job(ttl=60), AT)), None, AT)  # so short that nobody can tell


def test_a_job_that_goes_and_has_not_finished_is_being_deleted_by_somebody() -> None:
    """Its cluster removes finished ones only."""
    item, going = (
        Item(JOB, "v1", "2", run="started 2026-11-28T20:10:00Z"),
        {"deletionTimestamp": "2026-11-28T20:00:00Z"},
    )
    late = AT + timedelta(days=1)
    assert not has_run(item, job(**going), late)
    assert has_run(item, job("Complete", **going), late)
    assert has_run(item, job("Failed", **going), late)
    assert not has_run(item, job("Complete", **going | {"uid": "3"}), late)
    assert not has_run(item, job("Complete"), late)


def test_that_a_job_still_runs_is_written_down_now_and_then() -> None:
    """When half of the time is over: each is a write; how it ended, at once."""
    before = run_of(job(), AT)
    for minutes, news in ((0, False), (5, False), (5.1, True)):
        now = AT + timedelta(minutes=minutes)
        assert is_news(run_of(job(), now), before, now) is news
    assert is_news(
        run_of(job(ttl=120), AT), before, AT
    )  # it may be gone before that: it would be taken for deleted, and run twice
    assert is_news("Complete", before, AT)
    assert is_news(before, "started", AT)
    assert not is_news("Complete", "Complete", AT)


# --- the inventory --------------------------------------------------------------------------------------------------


def test_an_inventory_of_an_older_version_is_read() -> None:
    """Which kept nothing of how far a Job is."""
    found = replace(big(2), items={WEB: ITEM, JOB: Item(JOB, "v1", "2", run="Complete")})
    said = inventory.decoded(inventory.encoded(found, SUBJECT))
    assert [len(entry) for entry in said["objects"]] == [9, 10]
    assert inventory.parsed(said) == found


def big(count: int) -> Inventory:
    refs = [Ref("apps", "Deployment", "shop", f"web-{number}") for number in range(count)]
    items = {ref: Item(ref, "v1", os.urandom(16).hex(), os.urandom(8).hex(), os.urandom(8).hex()) for ref in refs}
    return Inventory(
        items, "a" * 40, "b" * 40, ("x",), Failure("b" * 40, ("y",)), (Reverted(AT, "a" * 40, ("p",), None, ("m",)),)
    )


@pytest.mark.parametrize("count", [0, 1, 1_000, 5_000])
def test_an_inventory_is_read_as_it_was_written(count: int) -> None:
    """A large one is compressed, and fits into a ConfigMap."""
    kept = inventory.encoded(big(0), SUBJECT) if not count else inventory.encoded(found := big(count), SUBJECT)
    said = inventory.decoded({key: value for key, value in kept.items() if value})
    assert (said["application"], said["environment"]) == ("shop", "prod")
    if count:
        assert inventory.parsed(said) == found
        assert len(str(kept)) < inventory.LIMIT
    assert ("binaryData" in {k for k, v in kept.items() if v}) == (count == 5_000)


def test_too_many_objects_are_told() -> None:
    """Before anything is applied."""
    with pytest.raises(ConfigError, match="30000 objects are too many for one inventory: split the environment"):
        inventory.encoded(big(30_000), SUBJECT)


def test_names_of_inventories() -> None:
    """Whatever an application is called."""
    assert inventory.name_of(SUBJECT) == "promotion-shop-prod"
    odd = inventory.name_of(replace(SUBJECT, application="Shop_1"))
    assert odd.startswith("promotion-shop-1-prod-")
    assert odd != inventory.name_of(replace(SUBJECT, application="Shop-1"))


def test_records_are_bounded() -> None:
    """The newest ones, each with some paths; who did it is told apart from nobody knows."""
    found = Inventory()
    for number in range(60):
        found = inventory.with_record(
            found, AT, f"{number}", {WEB: [(f".spec.a{n}", "kubectl-edit") for n in range(60)]}
        )
    assert (len(found.records), found.records[-1].revision, len(found.records[-1].paths)) == (50, "59", 50)
    one = inventory.with_record(Inventory(), AT, "a", {WEB: [("", ""), (".spec", "alice")]}).records[0]
    assert (one.paths, one.managers) == (("Deployment/shop/web", "Deployment/shop/web:.spec"), ("alice",))
    assert inventory.with_record(found, AT, "a", {}) is found
