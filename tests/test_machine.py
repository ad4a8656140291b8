"""Random histories of whole repositories, judged by a naive model: what lands may land, and what may land does.

The rules (`tests/support/machine*.py`) are what people, machines and time do; the model (`tests/support/model*.py`) says
what that comes to. A failure prints the shortest history that shows it.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import seed, settings

from tests.support import model_proposals
from tests.support.machine import COUNTED, SKIP
from tests.support.machine_same import Everything
from tests.support.model_values import Application, Asks, Rules

pytestmark = pytest.mark.timeout(0)  # how long it takes is the profile's business

SEED = 31
"""Of the short form, which is the same every time: what it finds it finds for whoever changed something."""


@pytest.mark.parametrize(("act", "backs"), [(None, 1), ("commit", 0), ("freeze", 0)])
def test_what_chance_finds_late(act: str | None, backs: int) -> None:
    """A release that fails on arrival, and somebody's hotfix or freeze just before it goes back by itself."""
    machine, rules = Everything(), {"dev": Rules(), "qa": Rules("dev", on_failure="rollback"), "prod": Rules("qa")}
    machine.begin(shape={"shop": Application(rules)})
    machine.release(edits=[(0, "web", "top", 1)], rounds=4, by="one")
    more: dict[str, Any] = {"where": (0, 1), "word": "picky", "acts": [act] if act else []}
    machine.fails_on_arrival(edits=[(0, "web", "bottom", 1)], more=[(0, "api", "top", 1)], by="one", **more)
    assert machine.model.counted["rolled-back by itself"] == backs
    machine.teardown()


@pytest.mark.parametrize(
    ("who", "before", "past"),
    [
        (0, "nothing", "past approval, soak"),
        (0, "freeze", "past approval, freeze, soak"),
        (0, "strict", None),
        (0, "hold", None),
        (0, "sick", None),
        (1, "nothing", None),
    ],
)
def test_somebody_cannot_wait(who: int, before: str, past: str | None) -> None:
    """Alice gets past time, people and a freeze; not past a strict one, a hold or sickness. Bob gets past nothing."""
    asks = Asks(2, ("carol@example.com", "bob@example.com"), not_author=True, expires=timedelta(hours=1))
    rules = {"dev": Rules(), "prod": Rules("dev", soak=timedelta(hours=1), asks=asks)}
    machine = Everything()
    machine.begin(shape={"shop": Application(rules, (), ("alice@example.com",), SKIP)})
    machine.urgent_release(
        by="one", edits=[(0, "web", "top", 1)], where=(0, 1), who=who, gates=SKIP, before=before, acts=[]
    )
    found = [name for name in machine.model.counted if name.startswith("past ")]
    assert found == ([past] if past else [])
    machine.teardown()


@pytest.mark.parametrize(("more", "side"), [([], 1), ([(0, "web", "bottom", 2)], 1), ([(0, "web", "top", 2)], 1)])
def test_a_hotfix_is_brought_home(more: list[Any], side: int) -> None:
    """Alone, beside another change of the same file, and in a conflict with one that people decide for the hotfix."""
    rules = {"dev": Rules(), "qa": Rules("dev"), "prod": Rules("qa", protect=("mine/",))}
    machine = Everything()
    machine.begin(shape={"shop": Application(rules)})
    edits = [(0, "web", "top", 1), (0, "api", "gone", 0), (0, "mine/conf", "top", 1)]
    how: dict[str, Any] = {"acts": [], "fate": "lands", "side": side}
    machine.hotfix_brought_home(by="one", edits=edits, more=more, where=(0, 2), **how)
    machine.rounds(by="two", number=4, sync=True)
    assert not model_proposals.drift(machine.model, "shop", "prod")
    assert machine.model.files(machine.model.tips["prod"])["web"].startswith("1\n")
    machine.release(edits=[(0, "web", "top", 0)], rounds=4, by="one")
    assert machine.model.files(machine.model.tips["prod"])["web"].startswith("0\n")
    machine.teardown()


@pytest.mark.parametrize(
    ("choice", "said", "left"),
    [(1, "decided: promoted", "2"), (2, "decided: promoted", "7"), (0, "decided: promoted", "1"), (4, None, "1")],
)
def test_a_person_decides_a_conflict(choice: int, said: str | None, left: str) -> None:
    """For the one side, the other, or something else; and not where markers were left. What was not asked is not taken."""
    asks = Asks(
        2, ("alice@example.com", "bob@example.com", "carol@example.com"), not_author=True, expires=timedelta(hours=1)
    )
    rules = {"dev": Rules(), "prod": Rules("dev", protect=("mine/",), asks=asks)}
    machine = Everything()
    machine.begin(shape={"shop": Application(rules)})
    machine.release(edits=[(0, "api", "top", 2)], rounds=0, by="one")
    edits = [(0, "web", "top", 1), (0, "mine/conf", "top", 1)]
    how: dict[str, Any] = {"stray": True, "who": 1, "meanwhile": [], "acts": [], "fate": "lands"}
    machine.conflict(by="one", edits=edits, where=(0, 1), choices=[choice], **how)
    found = [name for name in machine.model.counted if name.startswith("decided")]
    assert found == ([said] if said else [])
    assert machine.model.files(machine.model.tips["prod"])["web"].startswith(left)
    machine.teardown()


@pytest.mark.parametrize(
    ("then", "landed"), [("", 1), ("withdrawn", 0), ("rejected", 0), ("released", 1), ("mended", 0), ("mended here", 1)]
)
def test_one_decision_for_two(then: str, landed: int) -> None:
    """What is approved for prod lands on eu; not once it is taken back, rejected, or of another plan."""
    count = 1 if then == "rejected" else 2  # a yes is left there, and one no is enough
    asks = Asks(count, ("alice@example.com", "bob@example.com"), not_author=True, expires=timedelta(hours=1))
    rules = {"dev": Rules(), "prod": Rules("dev", auto=False, asks=asks), "eu": Rules("dev", asks=asks, same_as="prod")}
    machine = Everything()
    machine.begin(shape={"shop": Application(rules)})
    machine.release(edits=[(0, "web", "top", 2)], rounds=1, by="one")
    said = [(0, then)] if then in ("withdrawn", "rejected") else []
    machine._answer("one", "shop", [(0, "approved"), (1, "approved"), *said])
    where = {"released": 0, "mended": 1, "mended here": 2}.get(then)
    if where is not None:
        machine.hotfix(which=where, edits=[(0, "api", "top", 1)], rounds=0, by="one")
    machine.rounds(by="one", number=2, sync=True)
    assert machine.model.counted["landed on a decision elsewhere"] == landed
    machine.teardown()


def teardown_module() -> None:
    """Shown with `-s`."""
    sys.stderr.write(f"{dict(sorted(COUNTED.items()))}\n")


TestMachine = Everything.TestCase
if settings.default is not None and settings.default.max_examples > 1000:  # --hypothesis-profile=thorough
    TestMachine.settings = settings(max_examples=100, stateful_step_count=40)
else:
    TestMachine.settings = settings(max_examples=12, stateful_step_count=20, database=None)
    seed(SEED)(Everything)
