"""What operators and sync loops see of applications that share a repository: where, history, status, audit, deployments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promotion.report import where
from promotion.repository import Git, Repository
from promotion.view import DEPTH
from tests.support.git import Origin
from tests.support.shared import Shared
from tests.support.shop import Shop

Share = Callable[..., Shared]


def places(shared: Shared, name: str, commit: str) -> dict[str, Any]:
    stage = shared[name]
    return {p["environment"]: p for p in where(stage.site, stage.world(), commit)["environments"]}


@pytest.mark.parametrize("others", [0, DEPTH + 50], ids=["alone", "behind many commits of others"])
def test_where_a_change_of_a_scope_is(share: Share, others: int) -> None:
    """In every environment that has it, since its own promotion there, however much others committed since."""
    shared = share()
    shared.settle()
    change = shared.commit("dev", {"shop/web": "2\n"})
    shared.settle()
    made = {name: shared.origin.tip(f"env/{name}") for name in ("qa", "prod")}
    for name in ("dev", "qa", "prod"):
        if others:
            shared.others(name, others)
    found = places(shared, "shop", change)
    assert {name: (p["in"], p["as"]) for name, p in found.items()} == {
        "dev": (True, change),
        "qa": (True, made["qa"]),
        "prod": (True, made["prod"]),
    }
    later = shared.commit("dev", {"shop/web": "3\n"})
    assert [p["in"] for p in places(shared, "shop", later).values()] == [True, False, False]


def test_where_a_change_was_absorbed(share: Share) -> None:
    """Since it is there by the record, as the newest commit of the scope, whatever others committed on top of it."""
    shared = share()
    shared.settle()
    change = shared.commit("dev", {"shop/web": "2\n"})
    by_hand = shared.commit("qa", {"shop/web": "2\n"})
    shared.others("qa", 3)
    shared.settle()
    found = places(shared, "shop", change)["qa"]
    assert (found["in"], found["as"]) == (True, by_hand)
    assert found["since"] is not None


def scoped(tmp_path: Path, paths: list[str]) -> Shop:
    """The command line with one application that is a part of its repository, deployed by the directory engine."""
    shop = Shop(tmp_path)
    shop.origin.commit("env/dev", {"shop/health": "ok\n", "one.file": "ok\n", "other/file": "1\n"})
    for name in ("env/qa", "env/prod"):
        shop.origin.set(name, shop.origin.tip("env/dev"))
    at = paths[0].rstrip("/") + ("/health" if paths[0].endswith("/") else "")
    for name, settings in shop.settings.items():
        place = tmp_path / "deployed" / name / "current" / at
        settings["health"] = [{"type": "command", "command": ["grep", "-q", "ok", str(place)]}]
    shop.top = {"applications": [{"name": "shop", "repository": str(shop.origin.path), "paths": paths}]}
    shop.write()
    return shop


@pytest.mark.parametrize("paths", [["shop/"], ["one.file"]], ids=["directory", "file"])
def test_the_directory_engine_has_the_scope_only(tmp_path: Path, paths: list[str]) -> None:
    """Whole: the contents that the clone does not have are fetched; and commits of others switch nothing."""
    shop = scoped(tmp_path, paths)
    shop.round()
    current = tmp_path / "deployed" / "dev" / "current"
    files = sorted(str(f.relative_to(current)) for f in current.rglob("*") if f.is_file() and f.name[0] != ".")
    assert files == (["shop/health"] if paths == ["shop/"] else ["one.file"])
    before = current.readlink()
    shop.push("dev", {"other/file": "2\n"})
    shop.round()
    assert current.readlink() == before
    changed = shop.push("dev", {"shop/health": "ok again\n", "one.file": "ok again\n"})
    shop.round()
    assert changed in str(current.readlink())
    assert shop("--json", "where", changed).json
    assert shop("audit").status == 0
    assert shop("status").status == 0


def test_a_scope_that_is_not_there_is_deployed_as_nothing(tmp_path: Path) -> None:
    """No file, no error, and the clone stays."""
    shop = scoped(tmp_path, ["shop/"])
    shop.round()
    shop.push("dev", {"shop/health": None})
    said = shop("--json", "run", "--sync")
    assert (said.status, said.json["errors"]) == (0, [])
    assert not (tmp_path / "deployed" / "dev" / "current" / "shop").exists()


def test_contents_of_nothing_ask_nobody(tmp_path: Path) -> None:
    """A scope without an entry has no contents to fetch; the clone is not taken for broken."""
    origin = Origin.create(tmp_path / "shop.git", ["main"], {"web": "1\n"})
    with Repository(origin.url, Git({}, tmp_path / "cache"), tmp_path / "cache") as repository:
        repository.refresh(["refs/heads/main"])
        content = repository.content(origin.tip("main"), [b"nowhere"])
        assert list(content.entries()) == []
        assert list(content.blobs([])) == []
        one = repository.content(origin.tip("main"), [b"web"])
        ((_, entry),) = one.entries()
        assert list(one.blobs([entry.oid])) == [(entry.oid, b"1\n")]


def test_paths_that_change_in_the_middle(tmp_path: Path) -> None:
    """What was promoted before is judged by what was in force then; what comes after by the new scope."""
    shop = scoped(tmp_path, ["shop/"])
    shop.round()
    for number in range(2):
        shop.push("dev", {"shop/health": f"ok {number}\n", "other/file": f"{number}\n"})
        for _ in range(3):
            shop.round()
        assert shop.origin.show("env/prod", "shop/health") == f"ok {number}\n"
        assert shop.origin.show("env/prod", "other/file") == "1\n"
        if number == 0:
            shop.top["applications"][0]["paths"] = ["shop/", "one.file"]
            shop.write()
            assert shop("run").status == 2
            assert shop("configure", "--reason", "a file more").status == 0
    shop.push("dev", {"one.file": "2\n"})
    for _ in range(3):
        shop.round()
    assert shop.origin.show("env/prod", "one.file") == "2\n"
    assert shop("audit").status == 0
    kinds = [json.dumps(e) for e in shop("--json", "history", "--event", "configured").json["events"]]
    assert len(kinds) == 2
