"""Random histories with rollbacks in them, judged from the server's own objects: what lands is what was tested, or is explained.

The playground's model judges every push by itself; what is asserted here is said without it, from records and files alone.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promotion import answers, observe
from promotion.reconcile import watch_only
from tests.support.model_values import FILLER, Application, Files, Rules
from tests.support.playground import Playground

pytestmark = pytest.mark.timeout(0)  # how long it takes is the profile's business

MANY = settings.default is not None and settings.default.max_examples > 1000  # --hypothesis-profile=thorough
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": not MANY, "database": None}
PATHS = ("web", "api", "mine/conf")
EDITS = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(["top", "bottom", "gone"]), st.integers(1, 9)),
    min_size=1,
    max_size=3,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("release"), EDITS),
        st.tuples(st.just("release"), EDITS),
        st.tuples(st.just("back"), st.tuples(st.sampled_from(["qa", "prod"]), st.integers(1, 4))),
        st.tuples(st.just("back"), st.tuples(st.sampled_from(["qa", "prod"]), st.integers(1, 4))),
        st.tuples(st.just("hotfix"), st.tuples(st.sampled_from(["qa", "prod"]), EDITS, EDITS)),
        st.tuples(st.just("hotfix"), st.tuples(st.sampled_from(["qa", "prod"]), EDITS, EDITS)),
        st.tuples(st.just("lift"), st.none()),
    ),
    min_size=5,
    max_size=8,
)


@contextmanager
def played(app: Application) -> Iterator[Playground]:
    """dev -> qa -> prod of one application, each healthy whatever it runs."""
    folder = f"{app.scope[0]}/" if app.scope else ""
    files = {"docs": "0\n", app.health: "ok\n", **{f"{folder}{path}": f"0\n{FILLER}0\n" for path in PATHS}}
    with tempfile.TemporaryDirectory(prefix="rollbacks-") as place:
        ground = Playground(Path(place), {"shop": app}, files)
        try:
            ground.round("one")
            yield ground
        finally:
            ground.close()


def edited(ground: Playground, name: str, edits: list[Any]) -> None:
    """A commit of people on one branch, where it changes anything."""
    app = ground.model.applications["shop"]
    folder = f"{app.scope[0]}/" if app.scope else ""
    now = dict(ground.model.files(ground.model.tips[name]))
    changes: dict[str, str | None] = {}
    for path, part, value in edits:
        full = f"{folder}{path}"
        top, bottom = now.get(full, f"0\n{FILLER}0\n").split(FILLER)
        new = {"top": f"{value}\n{FILLER}{bottom}", "bottom": f"{top}{FILLER}{value}\n", "gone": None}[part]
        changes[full] = new
        now = {p: t for p, t in {**now, full: new}.items() if t is not None}
    there = ground.model.files(ground.model.tips[name])
    ground.commit(name, {p: t for p, t in changes.items() if t is not None or p in there})


def stepped(ground: Playground, step: tuple[str, Any]) -> None:
    kind, what = step
    if kind == "release":
        edited(ground, "dev", what)
    elif kind == "hotfix":
        name, fixes, edits = what
        edited(ground, name, fixes)
        edited(ground, "dev", edits)
    elif kind == "back":
        name, over = what
        line = list(ground.objects.chain(ground.model.tips[name]))
        given = [oid for oid in line[1:] if oid in ground.model.known["shop", name].given]
        if given:
            ground.roll_back("two", "shop", name, given[min(over, len(given)) - 1])
    else:
        for (_, name), known in list(ground.model.known.items()):
            for oid in list(known.holds):
                ground.lift("one", "shop", name, oid)
    for number in range(3):
        ground.round(("one", "two")[number % 2])


# --- what lands ------------------------------------------------------------------------------------------------------


def records(ground: Playground) -> list[dict[str, Any]]:
    """Every record of the ledger, oldest first, as its commit has it."""
    tip = ground.model.ledgers["shop"]
    assert tip
    messages = [ground.objects.commit(oid).message for oid in ground.objects.chain(tip)]
    return [json.loads(message.partition("[skip ci]\n")[2]) for message in messages][::-1]


def explained(rules: Rules, b: str | None, d: str | None, s: str | None, m: str | None) -> bool:
    """One path of what landed, by the entry table."""
    if rules.mirror:
        return m == s
    if b == s or d == s:
        return m == d
    if b == d:
        return m == s
    if None in (b, d, s, m):
        return False
    parts = zip(*((text or "").split(FILLER) for text in (b, d, s, m)), strict=True)
    return all(new == (ours if old == theirs or ours == theirs else theirs) for old, ours, theirs, new in parts)


def judged(ground: Playground, app: Application, counted: Counter[str]) -> None:
    """All that landed, against the files of the commits that its record names."""
    stands: dict[str, str | None] = {}
    went_back: set[str] = set()
    files = ground.model.files

    def split(rules: Rules, *commits: Files) -> tuple[set[str], set[str]]:
        paths = {path for each in commits for path in each}
        mine = {p for p in paths if app.inside(p) and not any(p.startswith(folder) for folder in rules.protect)}
        return mine, paths - mine

    for record in records(ground):
        kind, name = record["event"], record["environment"]
        if kind in ("adopted", "absorbed"):
            stands[name] = record["source"]
        if kind not in ("promoted", "rolled-back"):
            continue
        rules, made, target = app.environments[name], files(record["commit"]), files(record["target"])
        if kind == "rolled-back":
            back = files(record["restores"])
            mine, others = split(rules, made, target, back)
            assert {p: made.get(p) for p in mine} == {p: back.get(p) for p in mine}, record
            counted["over several"] += len(record["undone"]) > 1
            went_back.add(name)
        else:
            base, tested = files(record["base"]), files(record["source"])
            mine, others = split(rules, made, target, base, tested)
            assert record["base"] == stands[name], record
            if all(target.get(p) == base.get(p) for p in mine):
                assert {p: made.get(p) for p in mine} == {p: tested.get(p) for p in mine}, record
                counted["exact after a rollback" if name in went_back else "exact"] += 1
            else:
                bad = [p for p in mine if not explained(rules, *(f.get(p) for f in (base, target, tested, made)))]
                assert not bad, (bad, record)
                counted["with drift"] += 1
            counted["scoped"] += bool(app.scope)
            counted["protected"] += bool(rules.protect)
            counted["mirror"] += rules.mirror
        assert {p: made.get(p) for p in others} == {p: target.get(p) for p in others}, record
        stands[name] = record["source"]


def test_without_drift_what_lands_is_what_was_tested_and_else_each_path_is_explained() -> None:
    """Promotions, rollbacks over several releases, hotfixes, scopes, protection and both strategies, in any order."""
    counted: Counter[str] = Counter()

    @settings(max_examples=200 if MANY else 10, **QUIET)  # type: ignore[arg-type]
    @given(
        st.booleans(),
        st.tuples(st.booleans(), st.booleans()),
        st.tuples(st.integers(0, 2).map(lambda n: n == 2), st.booleans()),
        STEPS,
    )
    def holds(scoped: bool, protects: tuple[bool, bool], mirrors: tuple[bool, bool], steps: list[Any]) -> None:
        kept = ("shop/mine/" if scoped else "mine/",)
        qa, prod = (
            Rules(source, kept if own else (), mirror=mirror)
            for source, own, mirror in zip(("dev", "qa"), protects, mirrors, strict=True)
        )
        app = Application({"dev": Rules(), "qa": qa, "prod": prod}, ("shop", "limits/shop") if scoped else ())
        with played(app) as ground:
            for step in steps:
                stepped(ground, step)
            judged(ground, app, counted)
            assert ground.audit() == []

    holds()
    wanted = {"over several", "exact", "exact after a rollback", "with drift", "scoped", "protected"}
    assert {name for name in wanted if counted[name]} == wanted, counted


# --- rolled back where it was tested ---------------------------------------------------------------------------------

ACTS = ("round one", "round two", "promote one", "promote two", "observe one", "observe two", "go back")
"""Who does what. Each may do another of these between its decision and its push."""


@settings(max_examples=200 if MANY else 10, **QUIET)  # type: ignore[arg-type]
@given(st.permutations(ACTS), st.lists(st.none() | st.sampled_from(ACTS), min_size=len(ACTS), max_size=len(ACTS)))
def test_what_was_rolled_back_where_it_was_tested_is_never_offered_on(
    order: list[str], within: list[str | None]
) -> None:
    """Healthy and soaked in qa, then rolled back there: prod gets it before that record, or never, at any interleaving."""
    app = Application({"dev": Rules(), "qa": Rules("dev"), "prod": Rules("qa", soak=timedelta(minutes=15))})
    with played(app) as ground:
        edited(ground, "dev", [("web", "top", 1)])
        for _ in range(3):
            ground.round("one")
        bad = ground.model.tips["qa"]
        ground.wait(timedelta(minutes=9))
        ground.round("two")
        ground.wait(timedelta(minutes=7))  # from now on prod may have it
        for act, inner in zip(order, within, strict=True):
            acted(ground, act, inner if inner != act else None)
            never_offered(ground, bad)
        acted(ground, "go back", None)
        for number in range(4):
            ground.wait(timedelta(minutes=9))
            ground.round(("one", "two")[number % 2])
            never_offered(ground, bad)
        kinds = [
            (r["event"], r["environment"]) for r in records(ground) if bad in (r.get("source"), *r.get("undone", ()))
        ]
        assert ("rolled-back", "qa") in kinds
        assert (
            kinds.index(("rolled-back", "qa")) > kinds.index(("promoted", "prod"))
            if ("promoted", "prod") in kinds
            else True
        )
        assert ground.audit() == []


def acted(ground: Playground, act: str, inner: str | None) -> None:
    """One act, and another one by somebody else just before its push."""
    what, _, by = act.partition(" ")
    by = by or "one"
    if what == "go":
        by = "two"
    if inner and not inner.endswith(by):
        ground.doors[by].before = [lambda: acted(ground, inner, None)]
    do: Mapping[str, Callable[[], object]] = {
        "round": lambda: ground.round(by),
        "promote": lambda: ground.promote(by, "shop", "prod", None),
        "observe": lambda: observed(ground, by),
        "go": lambda: ground.roll_back("two", "shop", "qa", None),
    }
    do[what]()
    ground.doors[by].before = []


def observed(ground: Playground, by: str) -> None:
    site = ground.doors[by].sites["shop"]
    ground.wait(timedelta(seconds=1))
    ground.model.read(ground.doors[by].by, "shop", ["dev", "qa", "prod"], ground.now)
    watch_only(site, ["dev", "qa", "prod"])


def never_offered(ground: Playground, bad: str) -> None:
    """Once the record is there, by whoever plans, also when asked for it by name."""
    if bad not in ground.model.known["shop", "qa"].undone:
        return
    for door in ground.doors.values():
        site = door.sites["shop"]
        world, prod = observe.survey(site), site.application.environment("prod")
        for chosen in (None, bad):
            plan = answers.plan(site, world, prod, chosen=chosen, by_hand=True)
            assert plan.commit != bad or plan.verdict in ("block", "nothing"), (plan.verdict, plan.reason)
