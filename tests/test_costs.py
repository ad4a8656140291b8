"""What rounds and answers cost in git processes: as many as there are repositories, however many applications share one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from promotion import observe
from promotion.cli.context import Call, sites_of
from promotion.cli.rounds import Loop
from promotion.errors import TemporaryError
from promotion.reconcile import people
from tests.support.counted import Counted
from tests.support.git import Origin
from tests.support.shop import WELL, Shop
from tests.support.stage import Stage

BRANCHES = ("env/dev", "env/qa", "env/prod")


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted.create(tmp_path / "counting")


def apart(shop: Shop, *names: str) -> None:
    """An application for each name in a repository of its own."""
    shop.several(**{name: str(Origin.create(shop.folder / f"{name}.git", BRANCHES, WELL).path) for name in names})


def together(shop: Shop, *names: str) -> None:
    """An application for each name in the shop's one repository, each with a directory of its own."""
    shop.several(**dict.fromkeys(names, str(shop.origin.path)))
    for application in shop.top["applications"]:
        application["paths"] = [f"{application['name']}/"]
    for settings in shop.settings.values():
        settings["health"] = [{"type": "command", "command": ["true"]}]
    for environment in ("dev", "qa", "prod"):
        shop.origin.commit(f"env/{environment}", {f"{name}/health": "ok\n" for name in names})
    shop.write()


def looped(shop: Shop, counted: Counted) -> Iterator[list[str]]:
    """Round by round: the git processes that it cost."""
    environ = counted.environ(os.environ)
    call = Call(shop.file, None, json=True, quiet=True, verbose=False, environ=environ)
    with sites_of(call) as found:
        loop = Loop(call, found, sync=True, dry_run=False, scheduled=True)
        while True:
            assert loop.once() in (0, 3)
            yield counted.since()


def settled(rounds: Iterator[list[str]], first: str = "push") -> list[str]:
    """What a round costs once nothing happens any more; in the first one what is there is recorded."""
    found = [next(rounds) for _ in range(4)]
    assert first in found[0]
    assert found[-1] == found[-2]
    return found[-1]


def test_an_idle_round_asks_each_repository_once(tmp_path: Path, counted: Counted) -> None:
    """And starts nothing else: what was read of a ledger and of commits is remembered."""
    shop = Shop(tmp_path)
    apart(shop, "one", "two", "three")
    assert settled(looped(shop, counted)) == ["ls-remote"] * 3


def test_a_change_that_waits_costs_no_process(tmp_path: Path, counted: Counted) -> None:
    """The decision is made again each round, from what is remembered."""
    shop = Shop(tmp_path, qa={"auto": False})
    apart(shop, "one", "two")
    rounds = looped(shop, counted)
    settled(rounds)
    Origin(tmp_path / "one.git").commit("env/dev", {"web": "2\n"})
    assert "push" in next(rounds), "it is observed"
    assert settled(rounds, "ls-remote") == ["ls-remote"] * 2


@pytest.mark.parametrize("count", [2, 5])
def test_an_idle_round_costs_the_same_however_many_share_a_repository(
    tmp_path: Path, counted: Counted, count: int
) -> None:
    shop = Shop(tmp_path)
    together(shop, *(f"a{number}" for number in range(count)))
    assert settled(looped(shop, counted)) == ["ls-remote"]


def test_a_round_with_hops_onto_one_branch_pushes_them_together(tmp_path: Path, counted: Counted) -> None:
    """With the ledgers of all of them, and then what is new in their environments."""
    shop = Shop(tmp_path)
    names = ("a", "b", "c")
    together(shop, *names)
    rounds = looped(shop, counted)
    settled(rounds)
    before = shop.tip("qa")
    shop.push("dev", {f"{name}/web": "2\n" for name in names})
    assert next(rounds).count("push") == 1
    assert len([c for c in shop.origin.log("env/qa") if "Promotion-Plan" in c.trailers]) == len(names)
    assert shop.tip("qa") != before


@pytest.mark.parametrize("command", ["status", "where COMMIT", "history", "audit"])
def test_a_shared_repository_is_asked_once(
    tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """For all of its applications together, also in vain."""
    shop = Shop(tmp_path)
    together(shop, "a", "b", "c")
    shop.round()
    monkeypatch.setenv("PATH", counted.environ(os.environ)["PATH"])
    words = command.replace("COMMIT", shop.tip("dev")).split()
    said = shop("--json", *words)
    if command == "status":
        ledgers = [shop.origin.refs()[f"refs/heads/promotion/{name}"] for name in ("a", "b", "c")]
        assert [application["ledger"] for application in said.json["applications"]] == ledgers
        assert counted.since().count("cat-file") == 1
        shop("--json", *words)
    assert counted.since().count("ls-remote") == 1
    shop.origin.path.rename(tmp_path / "away")
    assert shop("--json", *words).status
    assert counted.since().count("ls-remote") == 1


def test_what_is_remembered_of_a_ledger_is_about_its_tip(stage: Stage) -> None:
    """What another process records is there at once, and what a ledger that was set back says, where that is accepted."""
    stage.round()
    before, ref = stage.world().state, stage.application.ledger
    tip, other = stage.origin.refs()[ref], stage.open("other")
    people.hold(other, stage.env("qa"), stage.tip("dev"), "no")
    assert [hold.reason for hold in stage.world().state.of("qa").holds] == ["no"]
    stage.origin.git("update-ref", ref, tip)
    assert observe.survey(stage.site, any_history=True).state == before


def test_a_clone_that_was_made_again_is_read_again(stage: Stage) -> None:
    """By another process, in the middle: what is remembered was true, and what is not there is fetched."""
    stage.round()
    stage.world()
    shutil.rmtree(stage.site.repository.path)
    with stage.open().repository as other:
        other.refresh(["refs/heads/env/dev"])
    stage.commit("dev", {"web": "2\n"})
    for _ in range(3):
        with contextlib.suppress(TemporaryError):  # it says that it lacks something, and makes it again
            stage.round()
    assert "promoted qa" in stage.events()
