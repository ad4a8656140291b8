"""The engine `flux`: values that commits change and remove, while controllers work beside each other: what is said was true.

Each controller does its steps in its own order (a pass reads, builds, applies and prunes, and says so at its end; a look reads, releases
and says so), and anything may come between: other controllers, time, our requests, readings, the next commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotion.engines.flux import asking
from promotion.engines.flux.inventory import KUSTOMIZATION, SOURCES, Ref
from promotion.engines.flux.status import REQUESTED
from promotion.engines.flux.tree import together
from promotion.engines.flux.walk import Walk
from promotion.model import Health, Reading, Subject
from promotion.texts import iso
from tests.support import flux
from tests.support.flux import BRANCH, URL, M, N, P, condition

LONGEST = timedelta(minutes=20)
"""A look may take: three timeouts of five minutes, and five more."""
PLACE = "flux-system"
COMMITS = (P, M, N)


@dataclass
class Values:
    """What is in the cluster of one object with values."""

    content: Any
    written: datetime


@dataclass
class Worker:
    """What reads values of this name, if any: a Kustomization or a HelmRelease. `has` is what its newest look or pass was with."""

    name: str
    reads: str | None
    has: Any = None
    asked: str | None = None
    handled: str | None = None
    looked: datetime | None = None
    began: datetime | None = None
    taken: str | None = None
    """The request that was there when its look began."""
    failed: bool = False
    step: int = 0
    got: Any = None


@dataclass
class Kust(Worker):
    """`applies` names values; below the first are the HelmRelease, and another one."""

    applies: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    commit: str = P
    applied: str = P
    inventory: set[str] = field(default_factory=set)
    history: list[dict[str, Any]] = field(default_factory=list)


SHAPES: dict[str, Callable[[], tuple[list[Kust], Worker | None]]] = {
    "a release": lambda: ([Kust("shop", None, applies=("vars",), below=("web",))], Worker("web", "vars")),
    "two": lambda: (
        [Kust("shop", None, below=("web",)), Kust("shop-vars", None, applies=("vars",))],
        Worker("web", "vars"),
    ),
    "itself": lambda: ([Kust("shop", "vars", applies=("vars",))], None),
    "below": lambda: (
        [Kust("shop", None, applies=("vars",), below=("shop-db",)), Kust("shop-db", "vars", applies=("more",))],
        None,
    ),
    "a chain": lambda: (
        [
            Kust("shop", None, applies=("vars",), below=("shop-db", "web")),
            Kust("shop-db", "vars", applies=("conf",)),
        ],
        Worker("web", "conf"),
    ),
}


class World:
    """`contents` are the values that each commit has, None for none; `kind` is what they are in."""

    def __init__(self, shape: str, contents: dict[str, Any], kind: str, *, optional: bool, history: bool) -> None:
        self.now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
        self.kusts, self.release = SHAPES[shape]()
        self.workers: list[Worker] = [*self.kusts, *([self.release] if self.release else [])]
        self.tops = [k.name for k in self.kusts if not any(k.name in other.below for other in self.kusts)]
        self.contents, self.kind, self.optional, self.keeps = contents, kind, True, history
        self.values: dict[str, Values] = {}
        self.branch = P
        for _ in range(3):
            for worker in self.workers:
                self.finish(worker)
                self.now += timedelta(hours=1)
        self.optional = optional
        for worker in self.workers:
            self.finish(worker)
            self.now += timedelta(hours=1)

    # --- controllers -------------------------------------------------------------------------------------------------

    def content(self, name: str, by: Kust) -> Any:
        """Of values that a Kustomization applies: what it is built with is in it."""
        return self.contents[by.commit] if name == "vars" else (name, by.got)

    def advance(self, one: Worker) -> None:
        """The next step of its pass or look."""
        there = self.values.get(one.reads or "")
        if one.step == 0:
            one.began, one.taken = self.now, one.asked
            if isinstance(one, Kust):
                one.commit = self.branch
        elif one.step == 1:
            one.got = there.content if there else None
        elif one.step == 2 and isinstance(one, Kust) and not self.lacks(one):
            self.apply(one)
        elif one.step == 3:
            self.end(one)
        one.step = (one.step + 1) % 4

    def lacks(self, one: Worker) -> bool:
        return one.reads is not None and one.got is None and not self.optional

    def apply(self, one: Kust) -> None:
        for name in one.applies:
            content, old = self.content(name, one), self.values.get(name)
            if content is None:
                if name in one.inventory:
                    self.values.pop(name, None)
                one.inventory.discard(name)
            else:
                one.inventory.add(name)
                if old is None or old.content != content:
                    self.values[name] = Values(content, self.now)

    def end(self, one: Worker) -> None:
        one.handled, one.looked, one.failed = one.taken, self.now, self.lacks(one)
        if one.failed:
            return
        one.has = one.got
        if isinstance(one, Kust) and one.began:
            one.applied = one.commit
            digest = repr([self.content(name, one) for name in one.applies] + [one.got])
            old = next((each for each in one.history if each["digest"] == digest), None)
            took = f"{(self.now - one.began).total_seconds()}s"
            first = old["firstReconciled"] if old else iso(self.now)
            words = {"lastReconciledStatus": "ReconciliationSucceeded", "lastReconciledDuration": took}
            entry = {"digest": digest, "firstReconciled": first, "lastReconciled": iso(self.now), **words}
            one.history = [entry, *(each for each in one.history if each is not old)][:5]

    def finish(self, one: Worker) -> None:
        """Until its pass or look is over; a whole one where none is going on."""
        self.advance(one)
        while one.step:
            self.advance(one)

    def may_wait(self, how_long: timedelta) -> bool:
        return all(not w.step or w.began is None or self.now + how_long - w.began <= LONGEST for w in self.workers)

    # --- what is there, as the API server has it ---------------------------------------------------------------------

    def shelf(self) -> dict[Ref, Any]:
        found: dict[Ref, Any] = {Ref(SOURCES, "GitRepository", PLACE, "shop"): flux.repository(self.branch)}
        for each in self.kusts:
            found[Ref(*KUSTOMIZATION, PLACE, each.name)] = self.kustomization(each)
        if self.release:
            found[Ref("helm.toolkit.fluxcd.io", "HelmRelease", PLACE, "web")] = self.helm_release(self.release)
            found[Ref(SOURCES, "OCIRepository", PLACE, "web")] = flux.image()
        for name in ("vars", "conf"):
            found[Ref("", "ConfigMap", PLACE, name)] = self.config_map(name)
        return found

    def named(self, one: Worker) -> list[dict[str, Any]]:
        ref = {"kind": self.kind, "name": one.reads, **({"optional": True} if self.optional else {})}
        return [ref] if one.reads else []

    def told(self, live: dict[str, Any], one: Worker) -> dict[str, Any]:
        notes = {REQUESTED: one.asked} if one.asked else {}
        fields = [{"manager": "x", "time": iso(one.looked), "subresource": "status"}] if one.looked else []
        live["metadata"] |= {"annotations": notes, "managedFields": fields}
        return flux.changed(live, lastHandledReconcileAt=one.handled)

    def kustomization(self, one: Kust) -> dict[str, Any]:
        conditions = []
        if one.step:
            conditions = flux.running(flux.at(one.commit))
        elif one.failed:
            conditions = flux.failing("BuildFailed", "not found")
        kinds = {"web": "helm.toolkit.fluxcd.io_HelmRelease", "shop-db": "kustomize.toolkit.fluxcd.io_Kustomization"}
        entries = [f"{PLACE}_{name}_{kinds[name]}" for name in one.below]
        entries += [f"{PLACE}_{name}__{self.kind}" for name in sorted(one.inventory)]
        spec = {"wait": False, "timeout": "5m", "postBuild": {"substituteFrom": self.named(one)}}
        status = {"history": one.history} if self.keeps else {}
        attempted = one.commit if one.step or one.failed else one.applied
        made = flux.kustomization(
            one.applied,
            *conditions,
            attempted=attempted,
            name=one.name,
            spec=spec,
            entries=[*entries, f"{PLACE}_{one.name}__ServiceAccount"],
            status=status,
        )
        return self.told(made, one)

    def helm_release(self, one: Worker) -> dict[str, Any]:
        conditions = [condition("Ready", "False", "ValuesError", "x")] if one.failed else []
        if one.step:
            conditions += [] if one.failed else [condition("Ready", "True", "UpgradeSucceeded")]
            conditions.append(condition("Reconciling", "True", "Progressing", "Fulfilling prerequisites"))
        made = flux.imaged(spec={"valuesFrom": self.named(one)})
        return self.told(flux.changed(made, conditions=conditions) if conditions else made, one)

    def config_map(self, name: str) -> dict[str, Any] | None:
        there = self.values.get(name)
        if there is None or self.kind != "ConfigMap":
            return None
        fields = [{"manager": "kustomize-controller", "time": iso(there.written)}]
        return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": PLACE, "managedFields": fields}}

    # --- us ----------------------------------------------------------------------------------------------------------

    def look(self) -> tuple[str | None, bool, Walk]:
        """The commit, whether all is well, and who is to be asked."""
        subject = Subject("shop", "qa", self.branch, URL, BRANCH)
        walk = Walk(self.shelf(), subject, URL, lambda _: Reading(Health.HEALTHY, ""), self.now)
        said = together([Ref(*KUSTOMIZATION, PLACE, name) for name in self.tops], walk)
        assert not walk.wanted
        well = all(each.reading and each.reading.health is Health.HEALTHY for each in said)
        return said[0].revision, well and len({each.revision for each in said}) == 1, walk

    def check(self) -> bool:
        """Healthy is said of what is true: all has applied the commit, and was built or released with what it has."""
        commit, healthy, _ = self.look()
        if healthy:
            assert commit is not None
            wanted: dict[str | None, Any] = {"vars": self.contents[commit], "conf": ("conf", self.contents[commit])}
            assert {each.applied for each in self.kusts} == {commit}
            for each in self.workers:
                assert not each.reads or each.has == wanted[each.reads], (each.name, each.has)
        return healthy

    def ask(self) -> None:
        commit, _, walk = self.look()
        for live in walk.unasked.values():
            if commit and asking.to_be_asked(live, commit, self.now, applied=True):
                worker = next(each for each in self.workers if each.name == live.name)
                worker.asked = f"{iso(self.now)} promotion {commit} applied"


CONTENTS = {
    "changed": {P: 1, M: 2, N: 3},
    "removed": {P: 1, M: None, N: 3},
    "removed and brought back": {P: 1, M: None, N: 1},
    "changed and brought back": {P: 1, M: 2, N: 1},
    "new": {P: None, M: 1, N: None},
    "not touched": {P: 1, M: 1, N: 1},
    "never there": {P: None, M: None, N: None},
}


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_in_any_order_of_work_healthy_is_true_and_is_said_in_the_end(shape: str, data: st.DataObject) -> None:
    """Where it is asked for; where it is not, of ConfigMaps that are there."""
    contents = CONTENTS[data.draw(st.sampled_from(sorted(CONTENTS)), "values")]
    kind = data.draw(st.sampled_from(["ConfigMap", "Secret"]), "kind")
    asks, optional, history = (data.draw(st.booleans(), name) for name in ("annotate", "optional", "history"))
    world = World(shape, contents, kind, optional=optional, history=history)
    commits = list(COMMITS[1 : 1 + data.draw(st.integers(1, 2), "commits")])
    for _ in range(data.draw(st.integers(0, 40), "steps")):
        what = data.draw(st.sampled_from(["work", "work", "work", "wait", "ask", "commit"]), "what")
        if what == "work":
            world.advance(data.draw(st.sampled_from(world.workers), "who"))
        elif what == "wait":
            how_long = timedelta(seconds=data.draw(st.sampled_from([1, 5, 45, 90, 600, 1200, 2400]), "seconds"))
            world.now += how_long if world.may_wait(how_long) else timedelta(0)
        elif what == "ask" and asks:
            world.ask()
        elif what == "commit" and commits:
            world.branch = commits.pop(0)
        world.check()
    for each in world.workers:
        while each.step:
            world.advance(each)
    for _ in range(12):
        for each in world.workers:
            world.now += timedelta(minutes=30)
            world.finish(each)
            world.check()
            if asks:
                world.ask()
    if any(each.failed for each in world.workers):
        assert not world.check()
    elif asks or (kind == "ConfigMap" and contents[world.branch] is not None):
        assert world.check()
