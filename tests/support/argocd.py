"""Applications as Argo CD writes them, and a scripted controller that writes their status in any order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from promotion.model import Subject

URL = "https://git.example.com/deploy/shop.git"
OLD, NEW, OTHER = "0" * 39 + "a", "1" * 39 + "b", "2" * 39 + "c"
QA = Subject("shop", "qa", NEW, URL, "env/qa")
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def stamp(seconds: float) -> str:
    """A time as Kubernetes writes it: whole seconds."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def source(**more: Any) -> dict[str, Any]:
    return {"repoURL": URL, "path": "overlays/qa", "targetRevision": "env/qa", **more}


def application(revision: str = NEW, name: str = "shop-qa", **changes: Any) -> dict[str, Any]:
    """One that is synced to `revision` and well. `changes` by dotted path, with `__` for the dots; None takes away."""
    destination = {"server": "https://cluster.example.com", "namespace": "shop"}
    app: dict[str, Any] = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd", "annotations": {}, "labels": {"app": "shop"}},
        "spec": {
            "project": "default",
            "source": source(),
            "destination": destination,
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
        "status": {
            "sync": {
                "status": "Synced",
                "revision": revision,
                "comparedTo": {"source": source(), "destination": destination},
            },
            "health": {"status": "Healthy"},
            "operationState": {
                "phase": "Succeeded",
                "startedAt": stamp(5),
                "finishedAt": stamp(10),
                "operation": {"sync": {"revision": revision}},
                "syncResult": {"revision": revision, "source": source(), "resources": []},
            },
            "reconciledAt": stamp(20),
            "resources": [{"group": "apps", "version": "v1", "kind": "Deployment", "name": "web", "status": "Synced"}],
        },
    }
    return changed(app, **changes)


def several(*sources: Mapping[str, Any], revisions: list[str], **changes: Any) -> dict[str, Any]:
    """One with several sources."""
    app = application()
    listed = [dict(each) for each in sources]
    del app["spec"]["source"]
    app["spec"]["sources"] = listed
    app["status"]["sync"] = {
        "status": "Synced",
        "revisions": revisions,
        "comparedTo": {"source": {"repoURL": ""}, "sources": listed, "destination": app["spec"]["destination"]},
    }
    app["status"]["operationState"]["syncResult"] = {"revision": "", "revisions": revisions, "sources": listed}
    return changed(app, **changes)


def hydrated(dry: str = NEW, wet: str = OTHER, **changes: Any) -> dict[str, Any]:
    """One whose branch is written by the hydrator from ours."""
    app = application(wet)
    branch = {"repoURL": URL, "path": "qa", "targetRevision": "rendered/qa"}
    del app["spec"]["source"]
    app["spec"]["sourceHydrator"] = {
        "drySource": {"repoURL": URL, "path": "overlays/qa", "targetRevision": "env/qa"},
        "syncSource": {"targetBranch": "rendered/qa", "path": "qa"},
    }
    app["status"]["sync"]["comparedTo"]["source"] = branch
    app["status"]["sourceHydrator"] = {
        "currentOperation": {
            "phase": "Hydrated",
            "drySHA": dry,
            "hydratedSHA": wet,
            "message": "",
            "sourceHydrator": copy.deepcopy(app["spec"]["sourceHydrator"]),
        },
        "lastSuccessfulOperation": {"drySHA": dry, "hydratedSHA": wet},
    }
    return changed(app, **changes)


def changed(app: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with other values; `metadata__annotations={...}` is the whole of it."""
    made = copy.deepcopy(dict(app))
    for path, value in changes.items():
        *way, last = path.split("__")
        at = made
        for key in way:
            at = at.setdefault(key, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return made


# --- a controller ----------------------------------------------------------------------------------------------------


@dataclass
class Controller:
    """What Argo CD does to one Application: loops that read at one time and write at another, in an order that tests choose.

    `object` is what the API server has. `live` is what truly runs, and `well` whether it is well since it was last applied.
    """

    clock: float = 0.0
    head: str = OLD
    live: str = OLD
    well: bool = True
    object: dict[str, Any] = field(
        default_factory=lambda: application(
            OLD,
            status__reconciledAt=stamp(-20),
            status__operationState__startedAt=stamp(-31),
            status__operationState__finishedAt=stamp(-30),
        )
    )
    compared: list[Callable[[], None]] = field(default_factory=list)
    """Writes of the comparing loop that are still to come, oldest first."""
    running: str | None = None
    begun: float = 0.0

    def push(self) -> None:
        self.head = NEW

    def tick(self) -> None:
        self.clock += 0.4

    def compare_latest(self) -> None:
        """Looks at Git and at what runs; what it finds is written later."""
        self._compare(self.head, looked=True)

    def compare_recent(self) -> None:
        """Something that runs has changed: the same with the revision of last time."""
        self._compare(self.object["status"]["sync"]["revision"], looked=False)

    def _compare(self, revision: str, *, looked: bool) -> None:
        sync, health = "Synced" if self.live == revision else "OutOfSync", "Healthy" if self.well else "Progressing"
        at = stamp(self.clock)

        def write() -> None:
            status = self.object["status"]
            status["sync"] |= {"revision": revision, "status": sync}
            status["health"] = {"status": health}
            if looked:
                status["reconciledAt"] = at
            if looked and sync == "OutOfSync" and self.object.get("operation") is None:
                self.compared.insert(0, lambda: self._want(revision))

        self.compared.append(write)

    def _want(self, revision: str) -> None:
        self.object["operation"] = {"sync": {"revision": revision}, "initiatedBy": {"automated": True}}

    def write(self) -> None:
        """The oldest write of the comparing loop."""
        if self.compared:
            self.compared.pop(0)()

    def sync_by_hand(self) -> None:
        """Somebody presses the button."""
        if self.object.get("operation") is None:
            self._want(self.object["status"]["sync"]["revision"])

    def begin(self) -> None:
        """The loop of operations takes one up."""
        if (wanted := self.object.get("operation")) and self.running is None:
            self.running, self.begun = wanted["sync"]["revision"], self.clock
            self._state("Running")

    def apply(self) -> None:
        if self.running is not None:
            self.live, self.well = self.running, False

    def end(self) -> None:
        if self.running is not None and self.live == self.running:
            self._state("Succeeded", finishedAt=stamp(self.clock))
            self.running = None
            self.object.pop("operation", None)

    def _state(self, phase: str, **more: Any) -> None:
        result = {"revision": self.running, "source": source()}
        operation = self.object["operation"]
        self.object["status"]["operationState"] = {
            "phase": phase,
            "startedAt": stamp(self.begun),
            "operation": operation,
            "syncResult": result,
            **more,
        }

    def recover(self) -> None:
        """What was applied becomes well."""
        self.well = True

    def rest(self) -> None:
        """Everything that is to come does, in its order, with the periodic look at the end."""
        for _ in range(3):
            for step in (self.begin, self.apply, self.end, self.recover):
                step()
            self.clock += 2
            self.compare_latest()
            while self.compared:
                self.write()


STEPS = (
    "tick",
    "push",
    "compare_latest",
    "compare_recent",
    "write",
    "sync_by_hand",
    "begin",
    "apply",
    "end",
    "recover",
)
