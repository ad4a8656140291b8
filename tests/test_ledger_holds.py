"""Holds that stand beside state.json: read as they were written, never twice written, and missed when they are gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from promotion import ledger
from promotion.errors import RefusedError
from promotion.events import Event
from promotion.fold import fold
from promotion.ledger import ENOUGH
from promotion.model import Entry
from promotion.reconcile import lift
from promotion.report import audit
from promotion.repository.objects import EMPTY_TREE
from promotion.state import State
from promotion.stored import COMPLETE, FORMAT, entries_to_json, to_json
from tests.support.stage import START, Stage
from tests.test_ledger import event, folded, observed, oid
from tests.test_safety import appended, consistent

LONG = "it keeps customers with a voucher from paying, and " * 18
"""So that eight holds make a piece."""


def held(number: int) -> Event:
    entries = entries_to_json({b"web": Entry(0o100644, oid(number)), b"lost": None})
    return event("held", "qa", number, commit=oid(number), entries=entries, reason=f"{LONG}{number}")


def lifted(number: int) -> Event:
    return event("lifted", "qa", commit=oid(number))


def objects(stage: Stage) -> dict[str, int]:
    """What stands in the clone: id -> bytes."""
    args = ["git", f"--git-dir={stage.site.repository.path}", "cat-file", "--batch-all-objects", "--batch-check"]
    lines = subprocess.run(args, capture_output=True, check=True, text=True).stdout.splitlines()
    return {line.split()[0]: int(line.split()[2]) for line in lines}


def written(stage: Stage, tip: str | None, state: State, *events: Event) -> tuple[str | None, State, int]:
    """What `append` answers, and how many bytes it wrote."""
    before = objects(stage)
    tip, state = ledger.append(stage.site.repository, tip, state, events)
    return tip, state, sum(size for name, size in objects(stage).items() if name not in before)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_record_costs_the_same_however_many_holds_there_are(stage: Stage, fresh: bool) -> None:
    """Also for one that begins with reading; of the bytes of one more hold all but the names of its pieces."""
    stage.world()
    costs: dict[int, list[int]] = {}
    for count in (16, 800):
        state = folded(*map(held, range(count)))
        tip, state, _ = written(stage, None, state, observed(1, "healthy", 1))
        if fresh:
            stage.site.repository.memo.clear()
            state = ledger.read(stage.site.repository, "shop", tip)
        tip, state, other = written(stage, tip, state, observed(1, "degraded", 2))
        tip, state, hold = written(stage, tip, state, held(9000))
        costs[count] = [other, hold]
        assert ledger.read(stage.site.repository, "shop", tip) == state
    assert costs[800][0] - costs[16][0] < 100, costs
    assert costs[800][1] - costs[16][1] < ENOUGH, costs


def test_what_is_written_is_not_handed_to_git_again() -> None:
    """Nor made: for the next record only what is new of it."""
    state, handed = folded(*map(held, range(400))), list[int]()

    def write(kind: str, data: bytes) -> str:
        handed.append(len(data))
        return ledger._hashed(kind, data)

    _, kept = ledger.tree_of(state, ledger.Kept(), write)
    assert sum(handed) > 40 * ENOUGH
    handed.clear()
    tree, _ = ledger.tree_of(fold(state, observed(1, "healthy", 1)), kept, write)
    assert sum(handed) < ENOUGH + 1000
    assert tree == ledger.tree_of(fold(state, observed(1, "healthy", 1)), ledger.Kept())[0]


@pytest.mark.parametrize(("count", "gone"), [(7, []), (8, []), (9, [0]), (9, [8]), (30, [0, 8, 29])])
def test_holds_are_read_as_they_were_written(stage: Stage, count: int, gone: Sequence[int]) -> None:
    """In their order, by another clone too; whatever is lifted, the records hold, and Git finds no fault."""
    stage.round()
    appended(stage.site, *map(held, range(count)))
    for number in gone:
        lift(stage.site, stage.env("qa"), oid(number))
    wanted = [oid(n) for n in range(count) if n not in gone]
    for site in (stage.site, stage.open("other", "other")):
        site.repository.refresh([], [site.application.ledger])
        state = ledger.read(site.repository, "shop", stage.origin.refs()[site.application.ledger])
        assert [h.commit for h in state.of("qa").holds] == wanted
        assert all(h.reason == f"{LONG}{int(h.commit, 16)}" for h in state.of("qa").holds)
    consistent(stage)


def json_of(stage: Stage) -> dict[str, object]:
    read = json.loads(stage.origin.show(stage.application.ledger.removeprefix("refs/heads/"), "state.json") or "")
    assert isinstance(read, dict)
    return read


def test_the_format_is_newer_only_where_it_must_be(stage: Stage) -> None:
    """An older version reads everything but a ledger with many holds, and that one again when they are lifted."""
    stage.round()
    appended(stage.site, *map(held, range(7)))
    assert json_of(stage)["format"] == COMPLETE
    appended(stage.site, held(7), held(8))
    assert json_of(stage)["format"] == FORMAT
    lift(stage.site, stage.env("qa"), oid(3))
    lift(stage.site, stage.env("qa"), oid(4))
    assert json_of(stage)["format"] == COMPLETE
    consistent(stage)


def test_a_record_of_before_is_gone_on_from(stage: Stage) -> None:
    """All its holds stand in its state.json: it is read and audited as it is, and the next one is parted."""
    stage.round()
    world = stage.world()
    repository, events = stage.site.repository, [replace(held(n), at=stage.now) for n in range(20)]
    state, tip = world.state, world.ledger
    for each in events:
        state = fold(state, each)
        blob = repository.objects.write_blob(ledger._dump(to_json(state)))
        tree = repository.objects.write_tree(EMPTY_TREE, {ledger.STATE: Entry(0o100644, blob)})
        message = f"{each.subject}\n\n[skip ci]\n{ledger._dump(each.to_json()).decode('ascii')}"
        tip = repository.commit_tree(tree, [tip] if tip else [], message, each.at)
    stage.origin.git("fetch", "--quiet", str(repository.path), f"{tip}:{stage.application.ledger}")
    assert json_of(stage)["format"] == COMPLETE
    assert audit(stage.site, stage.world()) == []
    lift(stage.site, stage.env("qa"), oid(2))
    assert json_of(stage)["format"] == FORMAT
    assert len(stage.world().state.of("qa").holds) == 19
    consistent(stage)


@pytest.mark.parametrize("change", ["gone", "folder", "more", "none"])
def test_a_record_that_lacks_holds_is_refused(stage: Stage, change: str) -> None:
    """It is never read as one with fewer."""
    stage.round()
    appended(stage.site, *map(held, range(20)))
    tip = stage.world().ledger
    assert tip
    site = stage.open("other", "other")
    repository = site.repository
    repository.refresh([], [site.application.ledger])
    tree = repository.objects.commit(tip).tree
    state = json.loads(repository.blob(repository.objects.tree(tree)[b"state.json"].oid))
    if change == "gone":
        tree = repository.objects.write_tree(tree, {b"holds/qa/1": None})
    elif change == "folder":
        tree = repository.objects.write_tree(tree, {b"holds/qa/1": Entry(0o40000, tree)})
    else:
        state["environments"]["qa"]["pieces"] = 10**15 if change == "more" else "many"
        blob = repository.objects.write_blob(json.dumps(state).encode())
        tree = repository.objects.write_tree(tree, {b"state.json": Entry(0o100644, blob)})
    forged = repository.commit_tree(tree, [tip], "forged", START + timedelta(days=1))
    with pytest.raises(RefusedError, match="lacks holds of qa" if change != "none" else "not readable"):
        ledger.read(repository, "shop", forged)


def test_audit_sees_a_hold_that_was_changed_beside_the_state(stage: Stage) -> None:
    """S16: the pieces are what the events make of them."""
    stage.round()
    appended(stage.site, *map(held, range(20)))
    world = stage.world()
    assert audit(stage.site, world) == []
    repository, each = stage.site.repository, lifted(99)
    tip, _ = ledger.append(repository, world.ledger, world.state, [each])
    assert tip
    commit = repository.objects.commit(tip)
    entry = repository.objects.look(commit.tree, b"holds/qa/0")
    assert entry
    piece = json.loads(repository.blob(entry.oid))
    blob = repository.objects.write_blob(json.dumps(piece[1:]).encode())
    tree = repository.objects.write_tree(commit.tree, {b"holds/qa/0": Entry(0o100644, blob)})
    forged = repository.commit_tree(tree, list(commit.parents), commit.message, each.at)
    stage.origin.git("fetch", "--quiet", str(repository.path), f"{forged}:{stage.application.ledger}")
    found = [finding["problem"] for finding in audit(stage.site, stage.world())]
    assert found == ["its state is not what the events up to here make of it"]
