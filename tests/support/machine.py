"""One random history of a whole repository: what people, machines and time do; a naive model says what that comes to."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from promotion.errors import PromotionError
from promotion.reconcile import Round
from promotion.view import Plan
from tests.support import model_back, model_people
from tests.support.model_values import FILLER, Application, Asks, Key, Owed, Rules, Talk
from tests.support.playground import Playground

STEP = timedelta(minutes=10)
PATHS = ("web", "api", "mine/conf", "health")
REWOUND = 2
"""How many branches a history rewinds at most: where all are lost, nothing happens any more."""
NUMBERS = st.integers(0, 7)
"""Picks one of however many there are."""
DOORS = st.sampled_from(["one", "two"])
CLOCKS = [timedelta(minutes=1), timedelta(minutes=11), timedelta(hours=1), timedelta(days=3)]
CLOCKS += [-timedelta(minutes=5), -timedelta(hours=1), -timedelta(days=1)]
EDITS = st.lists(
    st.tuples(
        NUMBERS, st.sampled_from(PATHS), st.sampled_from(["top", "top", "bottom", "bottom", "gone"]), st.integers(0, 2)
    ),
    min_size=1,
    max_size=3,
)
"""(application, path below its folder, what of it, to which value)."""
PEOPLE = ("alice@example.com", "bob@example.com", "carol@example.com")
SKIP = ("soak", "approval", "freeze")
"""What may be overridden: all, or some of it."""
SPEAKERS = (*PEOPLE, "Alice@Example.com", "mallory@example.com")
AUTHORS = ("dave", "Alice <ALICE@example.com>", "dave")
"""Who makes a commit: by the value that is written first. Carol has a hand in those of three edits."""
WORDS = st.tuples(
    st.sampled_from([0, 0, 1, 1, 2, 2, 3, 4]), st.sampled_from([*["approved"] * 5, "rejected", "withdrawn"])
)
"""(who, what they say of a plan)."""
ALL = [(0, "approved"), (1, "approved"), (2, "approved")]


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Application]:
    """One application that is all of the repository, or up to three in scopes of their own; dev -> qa -> prod, or more."""
    wide = draw(st.booleans())
    number = draw(st.integers(1, 3))
    scopes = {"shop": ()} if number == 1 else {name: (name, f"limits/{name}") for name in ("a", "b", "c")[:number]}
    over = (
        draw(st.sampled_from([PEOPLE[:1], PEOPLE[:2], PEOPLE[1:]])),
        draw(st.sampled_from([SKIP, SKIP, SKIP[:2], SKIP[2:]])),
    )
    return {name: Application(draw(_environments(scope, wide=wide)), scope, *over) for name, scope in scopes.items()}


@st.composite
def _environments(draw: st.DrawFn, scope: tuple[str, ...], *, wide: bool) -> dict[str, Rules]:
    folder = f"{scope[0]}/" if scope else ""
    sources = {"qa": "dev", "prod": "qa"} | ({"eu": "qa"} if wide else {})
    found, going_back = {"dev": Rules()}, draw(st.sampled_from(["qa", "prod", "prod", "nowhere"]))
    asks, same = draw(st.none() | _asks()), wide and draw(st.booleans())
    for name, source in sources.items():
        taken = name == "eu" and same and asks is not None
        found[name] = Rules(
            source,
            (f"{folder}mine/",) if draw(st.booleans()) else (),
            mirror=draw(st.integers(0, 3)) == 3,
            linear=draw(st.integers(0, 3)) == 3,
            soak=timedelta(minutes=15) if draw(st.integers(0, 2)) == 2 and name != going_back else timedelta(0),
            requires=("prod",) if name == "eu" and not (taken and draw(st.booleans())) else (),
            on_failure="rollback" if name == going_back else draw(st.sampled_from(["none", "hold"])),
            auto=name != "prod" or draw(st.integers(0, 3)) != 3,
            asks=asks if name == "prod" or taken else None,
            same_as="prod" if taken else "",
        )
    return found


def _asks() -> st.SearchStrategy[Asks]:
    lives = st.sampled_from([timedelta(minutes=30), timedelta(hours=24)])
    return st.builds(Asks, st.integers(1, 2), st.sampled_from([PEOPLE, PEOPLE[:2]]), st.booleans(), lives)


def acts_between() -> st.SearchStrategy[list[tuple[str, Any]]]:
    """What others do between the decision of an orchestrator and its push."""
    commit = st.tuples(st.just("commit"), st.tuples(NUMBERS, EDITS))
    one = st.one_of(
        commit,
        st.tuples(st.just("round"), st.booleans()),
        st.tuples(st.just("round"), st.booleans()),
        st.tuples(st.just("hold"), st.tuples(NUMBERS, st.integers(0, 1), st.integers(0, 1))),
        st.tuples(st.just("rewind"), st.tuples(NUMBERS, NUMBERS)),
        st.tuples(st.just("weather"), st.tuples(NUMBERS, NUMBERS, st.sampled_from(["fine", "storm", "silent"]))),
        st.tuples(st.just("freeze"), st.tuples(NUMBERS, st.integers(1, 2))),
        st.tuples(st.just("say"), st.tuples(NUMBERS, WORDS)),
    )
    return st.lists(one, min_size=1, max_size=2)


COUNTED: Counter[str] = Counter()
"""What all histories did together, by rule and by kind of record."""


class Machine(RuleBasedStateMachine):
    """One history."""

    ground: Playground
    kind = Playground

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))

    @initialize(shape=shapes())
    def begin(self, shape: dict[str, Application]) -> None:
        files = {"docs": "0\n"}
        for app in shape.values():
            folder = f"{app.scope[0]}/" if app.scope else ""
            files |= {f"{folder}{path}": f"0\n{FILLER}0\n" for path in PATHS[:3]} | {app.health: "ok\n"}
        self.ground = self.kind(self.folder, shape, files)
        self.model = self.ground.model
        self.names = list(self.model.refs)
        self.apps = list(shape)
        self.asking = [name for name, app in shape.items() if app.environments["prod"].asks]
        self.shown: list[tuple[Plan, Key]] = []
        self.ground.round("one")

    # --- people ----------------------------------------------------------------------------------------------------

    @rule(edits=EDITS, more=EDITS, by=DOORS)
    def two_releases(self, edits: list[Any], more: list[Any], by: str) -> None:
        """Two commits on dev, each with a round, and what it takes until both are through."""
        for each, number in ((edits, 1), (more, 3)):
            self._commit((0, each))
            self.rounds(by=by, number=number, sync=True)

    @rule(
        edits=EDITS,
        more=EDITS,
        by=DOORS,
        what=st.tuples(NUMBERS, st.sampled_from([1, 1, 0, 2]), st.sampled_from([1, 1, 0])),
        early=st.sampled_from([True, True, False]),
    )
    def held_release(self, edits: list[Any], more: list[Any], by: str, what: tuple[int, int, int], early: bool) -> None:
        """A commit on dev that somebody holds somewhere, before anybody saw it or after, and another one on top."""
        self._commit((0, edits))
        self.rounds(by=by, number=0 if early else 1, sync=True)
        self._hold(by, what)
        self._commit((0, more))
        self.rounds(by=by, number=3, sync=True)

    @rule(
        edits=EDITS,
        more=EDITS,
        by=DOORS,
        where=st.tuples(NUMBERS, st.integers(0, 3)),
        word=st.sampled_from(["picky", "picky", "storm", "silent"]),
        acts=st.sampled_from([[], [], ["commit"], ["freeze"]]) | acts_between(),
    )
    def fails_on_arrival(
        self, edits: list[Any], more: list[Any], by: str, where: tuple[int, int], word: str, acts: list[Any]
    ) -> None:
        """A commit that is well in dev and not in a later environment, which gets well again after the next commit."""
        app, which = self._app(where[0]), 1 + where[1] % 2
        back = [n for n, name in enumerate(self.names) if self._rules(app, name).on_failure == "rollback"]
        which = back[0] if back and where[1] else which
        name = self.names[which]
        self.ground.weather(app, name, word)
        self._commit((0, [*edits, (where[0], "health", "top", 1)] if word == "picky" else edits))
        self.rounds(by=by, number=which, sync=True)
        if name == "prod":
            self._answer(by, app, ALL)
            self.rounds(by=by, number=1, sync=True)
        there = {"commit": ("commit", (which, more)), "freeze": ("freeze", (where[0], which))}
        self._disturb(by, [there.get(act, act) if isinstance(act, str) else act for act in acts], "lands")
        self.ground.round(by)
        self._commit((0, more))
        self.rounds(by=by, number=2, sync=True)
        self.ground.weather(app, name, "fine")
        self.rounds(by=by, number=2, sync=True)

    @rule(app=NUMBERS, which=st.integers(1, 2), by=DOORS)
    def again(self, app: int, which: int, by: str) -> None:
        """What an environment got is taken back there by hand, and it is adopted as what it was before."""
        application, name = self._app(app), self.names[which]
        release = self.model.known[application, name].release
        before = self.model.parent(release[1]) if release else None
        if before:
            self._revert(name, 0)
            self.ground.adopt(by, application, name, before)
            self.rounds(by=by, number=2, sync=True)

    @rule(edits=EDITS, rounds=st.integers(0, 4), by=DOORS)
    def release(self, edits: list[Any], rounds: int, by: str) -> None:
        """A commit on dev, and some rounds that may carry it on."""
        self._commit((0, edits))
        self.rounds(by=by, number=rounds, sync=True)

    @rule(which=NUMBERS, edits=EDITS, rounds=st.integers(0, 2), by=DOORS)
    def hotfix(self, which: int, edits: list[Any], rounds: int, by: str) -> None:
        """A commit on any branch."""
        self._commit((which, edits))
        self.rounds(by=by, number=rounds, sync=True)

    def _commit(self, what: tuple[int, list[Any]], message: str = "a change") -> None:
        number, edits = what
        name = self._name(number)
        if name not in self.model.tips:
            return
        before = self.model.files(self.model.tips[name])
        changes: dict[str, str | None] = {}
        for app, path, part, value in edits:
            full = self._path(app, path)
            changes[full] = _edited({**before, **changes}.get(full), path, part, value)
        changes = {path: text for path, text in changes.items() if text is not None or path in before}
        if len(edits) == 3:
            message += f"{'' if 'Promotion-' in message else chr(10)}\nCo-authored-by: Carol <Carol@example.com>"
        self.ground.commit(name, changes, message, AUTHORS[edits[0][3]])

    def _path(self, app: int, path: str) -> str:
        scope = self.model.applications[self._app(app)].scope
        if not scope:
            return path
        return f"limits/{scope[0]}" if (path, app % 2) == ("api", 1) else f"{scope[0]}/{path}"

    @rule(edits=EDITS, which=NUMBERS)
    def fix(self, edits: list[Any], which: int) -> None:
        """A commit on dev that says that it mends what is held somewhere."""
        held = [oid for known in self.model.known.values() for oid, _ in known.kept_out()]
        if not held:
            return
        oid = held[which % len(held)]
        oid = self.model.objects.commit(oid).trailers.get("Promotion-Source", oid) if which % 2 else oid
        self._commit((0, edits), f"mend it\n\nPromotion-Fixes: {oid}")

    @rule(which=NUMBERS, back=st.integers(0, 3))
    def revert(self, which: int, back: int) -> None:
        """A commit that takes back what one of the last commits of a branch did."""
        self._revert(self._name(which), back)

    def _revert(self, name: str, back: int) -> None:
        line = list(self.model.objects.chain(self.model.tips[name]))[: back + 1]
        parent = self.model.parent(line[-1])
        if parent is None:
            return
        new, old = self.model.files(line[-1]), self.model.files(parent)
        changes = {path: old.get(path) for path in sorted({*new, *old}) if new.get(path) != old.get(path)}
        now = self.model.files(self.model.tips[name])
        self.ground.commit(name, {p: t for p, t in changes.items() if t is not None or p in now}, "take it back")

    @rule(which=NUMBERS, back=st.integers(1, 3), recreated=st.booleans(), by=DOORS)
    def rewind(self, which: int, back: int, recreated: bool, by: str) -> None:
        """A force-push of a branch to one of its last commits; or it is deleted, and made again as what some branch was."""
        if recreated:
            self._recreate(which, back, by)
        else:
            self._rewind((which, back))

    def _rewind(self, what: tuple[int, int]) -> None:
        name = self._name(what[0])
        if len(self.model.rewound | {name}) > REWOUND:
            return
        line = list(self.model.objects.chain(self.model.tips[name]))
        self.ground.point(name, line[min(what[1], len(line) - 1)])

    def _recreate(self, which: int, other: int, by: str) -> None:
        name = self._name(which)
        if len(self.model.rewound | {name}) > REWOUND:
            return
        lines = sorted(self.model.lines[name] | (self.model.lines[self._name(other)] if other % 2 else set()))
        tips = dict(self.model.tips)
        chosen = sorted(lines, key=lambda oid: (len(self.model.ancestors(oid)), self.model.objects.commit(oid).message))
        self.ground.delete(name)
        done = self.ground.round(by)
        assert all(isinstance(each, PromotionError) for each in done.values())
        self.ground.point(name, chosen[-1 - other % len(chosen)])
        assert {n: t for n, t in self.model.tips.items() if n != name} == {n: t for n, t in tips.items() if n != name}

    @rule(app=NUMBERS, which=NUMBERS, word=st.sampled_from(["fine", "fine", "picky", "storm", "silent"]))
    def weather(self, app: int, which: int, word: str) -> None:
        """The world around a running release changes."""
        self.ground.weather(self._app(app), self._name(which), word)

    @rule(delta=st.sampled_from(CLOCKS))
    def clock(self, delta: timedelta) -> None:
        self.ground.wait(delta)

    @rule(by=DOORS, app=NUMBERS, which=NUMBERS, commit=NUMBERS, lift=st.booleans())
    def hold(self, by: str, app: int, which: int, commit: int, lift: bool) -> None:
        """A person holds a commit of an environment, or of its source, for it; or lifts what is held."""
        held = [(app, name, oid) for (app, name), known in self.model.known.items() for oid, _ in known.kept_out()]
        if not lift:
            self._hold(by, (app, which, commit))
        elif held:
            key = held[which % len(held)]
            self.ground.lift(by, *key)
            assert key[2] not in dict(self.model.known[key[:2]].kept_out())

    def _hold(self, by: str, what: tuple[int, int, int]) -> None:
        app, name = self._app(what[0]), self._name(what[1])
        source = self.model.applications[app].environments[name].source
        line = list(self.model.objects.chain(self.model.tips[source if source and what[2] % 2 else name]))
        self.ground.hold(by, app, name, line[min(what[2] // 2, len(line) - 1)])

    @rule(
        by=DOORS,
        app=NUMBERS,
        which=st.sampled_from([0, 1, 1, 2, 2]),
        to=st.none() | NUMBERS,
        acts=st.just([]) | acts_between(),
        edits=EDITS,
    )
    def roll_back(self, by: str, app: int, which: int, to: int | None, acts: list[Any], edits: list[Any]) -> None:
        """A person rolls back, or forward, with others in between; then dev goes on."""
        application, name = self._app(app), self._name(which)
        if name not in self.model.tips:
            return
        line = list(self.model.objects.chain(self.model.tips[name]))
        self._disturb(by, acts, "lands")
        self.ground.roll_back(by, application, name, line[min(to, len(line) - 1)] if to is not None else None)
        self.rounds(by=by, number=1, sync=True)
        self._commit((0, edits))
        self.rounds(by=by, number=2, sync=True)

    @rule(by=DOORS, app=NUMBERS, which=NUMBERS)
    def freeze_or_thaw(self, by: str, app: int, which: int) -> None:
        """What is frozen is thawed, also since a rollback failed; or something is frozen, which must not stop everything."""
        frozen = [key for key, known in self.model.known.items() if known.frozen]
        if frozen:
            application, name = frozen[(app + which) % len(frozen)]
            self.ground.thaw(by, application, name)
        elif which > 5:
            self.ground.freeze(by, self._app(app), self._name(which))

    @rule(by=DOORS, number=NUMBERS, commit=st.none() | NUMBERS)
    def adopt(self, by: str, number: int, commit: int | None) -> None:
        """A person records a branch as it is: one that is refused, where there is any."""
        targets = [key for key in self.model.known if self.model.applications[key[0]].environments[key[1]].source]
        lost = [key for key in targets if self.model.owed(*key, self.ground.now).why in ("refused", "strayed")]
        app, name = (lost or targets)[number % len(lost or targets)]
        source = self.model.applications[app].environments[name].source or ""
        line = list(self.model.objects.chain(self.model.tips[source]))
        self.ground.adopt(by, app, name, line[min(commit, len(line) - 1)] if commit is not None else None)

    # --- approvals -------------------------------------------------------------------------------------------------

    @rule(
        edits=EDITS,
        by=DOORS,
        app=NUMBERS,
        words=st.just(ALL) | st.lists(WORDS, min_size=1, max_size=3),
        meanwhile=st.just([]) | acts_between() | EDITS.map(lambda edits: [("commit", (2, edits))]),
        later=st.sampled_from([timedelta(0), timedelta(0), *CLOCKS]),
        more=st.lists(WORDS, max_size=2),
        back=st.integers(0, 3),
    )
    @precondition(lambda self: getattr(self, "asking", None))
    def asked_release(
        self,
        edits: list[Any],
        by: str,
        app: int,
        words: list[Any],
        meanwhile: list[Any],
        later: timedelta,
        more: list[Any],
        back: int,
    ) -> None:
        """A commit on dev that waits for people; they answer, time passes and others act, they answer again; or all is taken back."""
        name = self.asking[app % len(self.asking)]
        self._commit((0, edits))
        self.rounds(by=by, number=3, sync=True)
        self._answer(by, name, words)
        self._happens(by, meanwhile)
        self.ground.wait(later)
        if more and self.shown:
            self._say(by, *self.shown[-1], *more[0])
        self._answer(by, name, more[1:])
        self.rounds(by=by, number=2, sync=True)
        if back == 3:
            self.ground.roll_back(by, name, "prod", None)
            for oid, _ in self.model.known[name, "prod"].kept_out():
                self.ground.lift(by, name, "prod", oid)
            self.rounds(by=by, number=2, sync=True)

    @rule(
        by=DOORS,
        what=WORDS,
        old=NUMBERS,
        acts=st.just([]) | acts_between(),
        fate=st.sampled_from(["lands", "answer lost"]),
    )
    @precondition(lambda self: getattr(self, "shown", None))
    def answer(self, by: str, what: tuple[int, str], old: int, acts: list[Any], fate: str) -> None:
        """A person says something of a plan that was shown at some time, with others in between."""
        plan, key = self.shown[-1 - old % len(self.shown)]
        self._disturb(by, acts, fate)
        self._say(by, plan, key, *what)

    def _answer(self, by: str, app: str, words: list[Any], resolution: str | None = None, name: str = "prod") -> None:
        """People are shown what there is for an environment, and say something."""
        asks = name in self.names and self._rules(app, name).asks
        if not asks or not words or len(self.model.tips) < len(self.names):
            return
        plan = self.ground.shown(by, app, name, resolution)
        key = self._known(app, name, plan) if plan else None
        if plan and key:
            self.shown.append((plan, key))
            for who, word in words:
                self._say(by, plan, key, who, word)

    def _say(self, by: str, plan: Plan, key: Key, who: int, word: str) -> None:
        """What is recorded is what the model says that may be, unless others came in between."""
        person, alone = SPEAKERS[who], not self.ground.doors[by].before
        talk = Talk(word, person.lower(), key, self.model.tips)
        expected = model_people.may(self.model, talk, self.model.tips, self.ground.now)
        done = self.ground.say(by, plan, key, word, person)
        COUNTED[f"{word}: {done}"] += 1
        if alone:
            assert done == expected, f"{person} says that {key.source} is {word}: {done}, and {expected} is expected"

    def _known(self, app: str, name: str, plan: Plan) -> Key | None:
        """A plan as the model knows it, which must say of it who is asked; None for what is none to answer about."""
        if plan.plan_id is None or plan.commit is None:
            return None
        decided = plan.view.resolution.commit if plan.view.resolution else None
        key = model_people.key(self.model, app, name, plan.commit, self.model.tips[name], decided)
        model_people.identify(self.model, plan.plan_id, key)
        if plan.asked:
            standing = model_people.standing(self.model, key, self.ground.now)
            assert {each.by for each in plan.asked.approved} == standing.approved, plan.reason
            assert {*plan.asked.may} == standing.may, plan.reason
            assert {each.who for each in plan.asked.barred} == standing.barred, plan.reason
        return key

    # --- orchestrators ---------------------------------------------------------------------------------------------

    @rule(by=DOORS, number=st.integers(1, 4), sync=st.integers(0, 3).map(bool))
    def rounds(self, by: str, number: int, sync: bool) -> None:
        for _ in range(number):
            self._gone_back(by, self.ground.round(by, sync=sync))

    def _gone_back(self, by: str, done: Mapping[str, Round | PromotionError]) -> None:
        """What calls for a rollback by itself got one, or a hold, in this very round."""
        for (app, name), known in self.model.known.items():
            if known.outcome == "failed" and isinstance(done[app], Round):
                why_not = model_back.why_not(self.model, app, name, self.ground.doors[by].by, self.model.tips[name])
                assert why_not, f"{known.watched} failed in {name} of {app}, and nothing became of it"

    @rule(
        by=DOORS,
        acts=acts_between(),
        fate=st.sampled_from(["lands", "lands", "dies before", "dies after", "answer lost"]),
    )
    def crossed(self, by: str, acts: list[tuple[str, Any]], fate: Any) -> None:
        """A round, and between its decision and its push the other orchestrator and people do something."""
        self._disturb(by, acts, fate)
        self.ground.round(by)

    @rule(
        by=DOORS,
        edits=EDITS,
        acts=st.just([]) | acts_between(),
        fate=st.sampled_from(["dies before", "dies after", "answer lost", "lands late"]),
    )
    def release_crossed(self, by: str, edits: list[Any], acts: list[tuple[str, Any]], fate: Any) -> None:
        """The same, where there is something to land."""
        self._commit((0, edits))
        self._disturb(by, acts, fate)
        self.ground.round(by)

    @rule(by=DOORS, app=NUMBERS, which=NUMBERS, chosen=st.none() | NUMBERS, acts=st.just([]) | acts_between())
    def promote(self, by: str, app: int, which: int, chosen: int | None, acts: list[tuple[str, Any]]) -> None:
        """A person asks for one hop, or for one commit that may be anything."""
        application, name = self._app(app), self.names[1 + which % (len(self.names) - 1)]
        source = self.model.applications[application].environments[name].source or ""
        line = list(self.model.objects.chain(self.model.tips[source]))
        self._disturb(by, acts, "lands")
        self.ground.promote(by, application, name, line[min(chosen, len(line) - 1)] if chosen is not None else None)

    def _disturb(self, by: str, acts: list[tuple[str, Any]], fate: Any) -> None:
        door, do = self.ground.doors[by], self._doing(by)
        door.fate = fate
        door.before = [lambda kind=kind, what=what: do[kind](what) for kind, what in acts]  # type: ignore[misc]

    def _happens(self, by: str, acts: list[tuple[str, Any]]) -> None:
        for kind, what in acts:
            self._doing(by)[kind](what)

    def _doing(self, by: str) -> Mapping[str, Callable[[Any], object]]:
        """What others may do."""
        other = "two" if by == "one" else "one"
        return {
            "commit": self._commit,
            "round": lambda sync: self.ground.round(other, sync=sync),
            "hold": lambda what: self._hold(other, what),
            "rewind": self._rewind,
            "weather": lambda what: self.weather(*what),
            "freeze": lambda what: self.ground.freeze(other, self._app(what[0]), self._name(what[1])),
            "say": lambda what: self._answer(other, self._app(what[0]), [what[1]]),
        }

    @rule(by=DOORS, forget=st.booleans())
    def restart(self, by: str, forget: bool) -> None:
        """What dead orchestrators had sent reaches the server; one is a new process, perhaps without its clone cache."""
        self.ground.arrive()
        self.ground.restart(by, forget=forget)

    # --- proof -----------------------------------------------------------------------------------------------------

    @invariant()
    @precondition(lambda self: hasattr(self, "ground"))
    def nothing_moved_unseen(self) -> None:
        self.ground.look()
        COUNTED["steps"] += 1

    @rule()
    def settle(self) -> None:
        """Nobody does anything any more, time passes: then whatever may land has landed, and the rest says why not."""
        quiet, before, last = 0, dict(self.model.tips), dict[str, Round | PromotionError]()
        soaks = any(rules.soak for app in self.model.applications.values() for rules in app.environments.values())
        for number in range(40):
            self.ground.wait(STEP)
            last = self.ground.round(("one", "two")[number % 2])
            self._gone_back(("one", "two")[number % 2], last)
            quiet, before = (quiet + 1 if before == self.model.tips else 0), dict(self.model.tips)
            if quiet > (3 if soaks else 2):
                break
        else:
            pytest.fail("it never comes to rest")
        for app, done in last.items():
            assert isinstance(done, Round), done
            for name, rules in self.model.applications[app].environments.items():
                if rules.source:
                    self._explained(app, name, done)
                self._seen(app, name)

    def _explained(self, app: str, name: str, done: Round) -> None:
        """What the model says of one environment, and what the product says, are one."""
        owed, plan = self.model.owed(app, name, self.ground.now), done.plans.get(name)
        rules = self._rules(app, name)
        assert owed.owed is None, f"{owed.owed} may land on {name} of {app} and does not: {_said(plan, done)}"
        if owed.why == "refused":
            assert plan is None, f"{name} of {app} was rewound: {_said(plan, done)}"
            assert any("adopt" in str(error.hint) for error in done.errors), _said(plan, done)
            return
        assert plan is not None, f"{name} of {app} is not decided for: {_said(plan, done)}"
        if owed.why:
            assert plan.verdict == {"strayed": "block", "nothing": "nothing"}[owed.why], _said(plan, done)
            return
        _judged(owed, plan, self.model.known[app, rules.source or ""].past)
        self._known(app, name, plan)

    def _seen(self, app: str, name: str) -> None:
        """The last word is of what runs, and is true."""
        known, revision = self.model.known[app, name], self.model.deployed[app, name]
        assert revision == self.model.head(app, self.model.tips[name])
        assert known.seen == (revision, self.model._health(app, name, revision)), f"{name} of {app}: {known.seen}"
        rules = self._rules(app, name)
        acts = rules.on_failure == "hold" or known.watched in known.backs
        if known.outcome == "failed" and acts and not known.frozen:
            assert known.acted, f"{known.watched} failed in {name} of {app} and was not held"

    def teardown(self) -> None:
        try:
            if hasattr(self, "ground") and sys.exc_info()[0] is None:
                self.settle()
                found = self.ground.audit()
                assert not found, found
        finally:
            if hasattr(self, "ground"):
                COUNTED.update(self.model.counted, histories=1)
                self.ground.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _name(self, number: int) -> str:
        return self.names[number % len(self.names)]

    def _rules(self, app: str, name: str) -> Rules:
        return self.model.applications[app].environments[name]

    def _app(self, number: int) -> str:
        return self.apps[number % len(self.apps)]


def _edited(old: str | None, path: str, part: str, value: int) -> str | None:
    """The new text of a file."""
    if part == "gone":
        return None
    if path == "health":
        return ("ok\n", "fair\n", "sick\n")[value]
    top, bottom = old.split(FILLER) if old else ("0\n", "0\n")
    return f"{value}\n{FILLER}{bottom}" if part == "top" else f"{top}{FILLER}{value}\n"


def _judged(owed: Owed, plan: Plan, past: Collection[str]) -> None:
    """The plan is about a candidate, and every reason that it gives holds."""
    assert plan.commit in owed.candidates, f"{plan.commit} is none of {owed.candidates}"
    if plan.commit in past:
        return
    judged = owed.judged[plan.commit]
    if owed.conflict:
        assert (plan.verdict, plan.commit) == ("conflict", owed.conflict), plan.reason
        return
    opened = [oid for oid in owed.candidates if owed.judged[oid].open and owed.judged[oid].asked and oid not in past]
    if opened:
        begun = [oid for oid in opened if (asked := owed.judged[oid].asked) and asked.approved]
        assert plan.commit == (begun or opened)[0], f"people are asked about {plan.commit}, not about {opened}"
        assert plan.asked, plan.reason
    failing = {v.gate for v in plan.verdicts if v.verdict != "pass" and not v.unasked}
    assert failing, f"{plan.verdict}: {plan.reason}; {judged.gates}"
    assert failing <= set(judged.gates), f"{plan.reason}; and it is {judged.gates}"
    for passed in plan.passed_over:
        if owed.judged[passed.commit].absorbed or owed.judged[passed.commit].conflicts:
            continue
        assert owed.judged[passed.commit].gates or passed.commit in past, (
            f"{passed.commit} was passed over: {passed.reason}"
        )


def _said(plan: Plan | None, done: Round) -> str:
    if plan is None:
        return "; ".join(f"{error} ({error.hint})" for error in done.errors) or "nothing at all"
    return f"{plan.verdict} {plan.commit}: {plan.reason}; " + "; ".join(
        f"{p.commit}: {p.reason}" for p in plan.passed_over
    )
