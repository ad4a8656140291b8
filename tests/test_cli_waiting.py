"""wait on a real repository: what is there, what may still come, what cannot, and a remote that is away."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from promotion.cli import waiting
from promotion.errors import TemporaryError
from tests.support.shop import Shop

KEYS = {"outcome", "application", "environment", "commit", "origin", "reason", "since", "as", "deployed", "health"}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Everything is deployed and recorded."""
    made = Shop(tmp_path)
    made.round()
    return made


def now(shop: Shop, environment: str, commit: str) -> tuple[int, Any]:
    """Asks once: the exit status, and the JSON object."""
    said = shop("-q", "--json", "wait", environment, "--commit", commit, "--for", "0s")
    return said.status, said.json


def rounds(shop: Shop, count: int) -> None:
    for _ in range(count):
        shop.round()


def test_wait_ends_when_it_is_there_and_healthy(shop: Shop) -> None:
    """In each environment in turn; being on the branch is not enough; what came on top of it contains it."""
    commit = shop.push("dev", {"web": "2\n"})
    shop.round()
    assert now(shop, "dev", commit)[0] == 0
    status, data = now(shop, "qa", commit)
    assert (status, data["outcome"]) == (3, "waiting")
    assert data.keys() == KEYS
    assert f"{shop.tip('qa')[:7]} is not deployed" in data["reason"]
    assert now(shop, "prod", commit) == (3, {**now(shop, "prod", commit)[1], "outcome": "waiting", "as": None})
    shop.round()
    status, data = now(shop, "qa", commit[:8])
    assert (status, data["outcome"], data["health"], data["commit"]) == (0, "arrived", "healthy", commit)
    assert data["as"] == data["deployed"] == shop.tip("qa")
    shop.push("dev", {"web": "3\n"})
    rounds(shop, 4)
    assert now(shop, "prod", commit)[0] == 0
    assert now(shop, "prod", data["as"])[0] == 0


def test_wait_says_what_it_waits_for(shop: Shop) -> None:
    """As `where` does, and what to type next."""
    shop.set("qa", auto=False)
    shop("configure", "--reason", "by hand")
    commit = shop.push("dev", {"web": "2\n"})
    shop.round()
    said = shop("wait", "prod", "--commit", commit, "--for", "0s")
    assert said.status == 3
    assert said.out.splitlines()[0].startswith(f"shop: prod <- {commit[:7]}   WAITING   qa: ")
    assert f"promotion where {commit[:7]}" in said.out
    assert said.err.startswith(f"prod waits for {commit[:7]}: qa: ")


def test_wait_waits_until_it_comes(shop: Shop) -> None:
    """A process of its own, while rounds go on."""
    commit = shop.push("dev", {"web": "2\n"})
    with shop.start("wait", "prod", "--commit", commit, "--for", "100s") as running:
        assert running.stderr is not None
        assert "prod waits for" in running.stderr.readline()
        rounds(shop, 4)
        out, _ = running.communicate()
    assert running.returncode == 0
    assert "ARRIVED" in out


def test_wait_can_be_ended(shop: Shop) -> None:
    """Ctrl-C: at once, and nothing else is said of it."""
    commit = shop.push("dev", {"web": "2\n"})
    with shop.start("wait", "prod", "--commit", commit, "--for", "100s") as running:
        assert running.stderr is not None
        running.stderr.readline()
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate()
    assert (running.returncode, out) == (130, "")


def test_wait_ends_when_its_verification_failed(tmp_path: Path) -> None:
    """There, and of this change: a later one that is well brings it after all."""
    shop = Shop(tmp_path, qa={"health": [{"type": "command", "command": ["test", "-e", str(tmp_path / "well")]}]})
    shop.round()
    commit = shop.push("dev", {"web": "2\n"})
    rounds(shop, 2)
    status, data = now(shop, "qa", commit)
    assert (status, data["outcome"], data["health"]) == (6, "failed", "degraded")
    assert data["reason"].startswith(f"verification of {shop.tip('qa')[:7]} failed: ")
    assert now(shop, "prod", commit)[0] == 3  # it may get well in qa
    (tmp_path / "well").touch()
    shop("observe", "qa")
    assert now(shop, "qa", commit)[0] == 0


def test_wait_of_a_later_failure_is_no_failure_of_this_change(tmp_path: Path) -> None:
    """It was well; what came on top of it is not, and a person or the next commit mends that."""
    well = tmp_path / "well"
    shop = Shop(tmp_path, qa={"health": [{"type": "command", "command": ["test", "-e", str(well)]}]})
    well.touch()
    shop.round()
    commit = shop.push("dev", {"web": "2\n"})
    rounds(shop, 2)
    assert now(shop, "qa", commit)[0] == 0
    well.unlink()
    later = shop.push("dev", {"web": "3\n"})
    rounds(shop, 2)
    assert now(shop, "qa", later)[0] == 6
    status, data = now(shop, "qa", commit)
    assert (status, data["health"]) == (3, "degraded")


@pytest.mark.parametrize("where", ["qa", "prod"])
def test_wait_ends_when_it_is_held(shop: Shop, where: str) -> None:
    """On its way, or where it should come to."""
    commit = shop.push("dev", {"web": "2\n"})
    shop.set("prod", auto=False)
    shop("configure", "--reason", "by hand")
    rounds(shop, 3)
    shop("hold", where, shop.tip("qa"), "--reason", "memory leak")
    status, data = now(shop, "prod", commit)
    assert (status, data["outcome"]) == (4, "refused")
    assert data["reason"] == f"{shop.tip('qa')[:7]} is held in {where}: memory leak"
    shop("lift", where, shop.tip("qa"))
    assert now(shop, "prod", commit)[0] == 3


def test_wait_ends_when_no_branch_has_it(shop: Shop) -> None:
    """It was rewound before it came anywhere."""
    before = shop.tip("dev")
    commit = shop.push("dev", {"web": "2\n"})
    shop("status")
    shop.origin.set("env/dev", before)
    status, data = now(shop, "qa", commit)
    assert (status, data["reason"]) == (4, f"{commit[:7]} is not on env/dev")


def test_wait_ends_when_it_conflicts(shop: Shop) -> None:
    """Somebody must resolve it."""
    shop.push("qa", {"web": "qa\n"})
    commit = shop.push("dev", {"web": "dev\n"})
    shop("sync", "dev")
    shop("observe", "dev")
    status, data = now(shop, "prod", commit)
    assert (status, data["outcome"]) == (5, "conflict")
    assert "promotion plan qa --diff" in shop("wait", "prod", "--commit", commit, "--for", "0s").out


def test_wait_of_a_hotfix_for_where_it_goes_next(shop: Shop) -> None:
    """dev has not got it, and need not."""
    hotfix = shop.push("qa", {"fix": "1\n"})
    status, data = now(shop, "prod", hotfix)
    assert (status, data["reason"].partition(":")[0]) == (3, "prod")
    rounds(shop, 3)
    assert now(shop, "prod", hotfix)[0] == 0


def test_wait_outlives_a_remote_that_is_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary when it was away all the time; else what was known last."""
    commit = shop.push("dev", {"web": "2\n"})
    monkeypatch.setattr(waiting, "PAUSES", (0.01, 0.01))
    asked = waiting._asked
    answers = iter([TemporaryError("away"), None, *[TemporaryError("away")] * 10_000])

    def sometimes(*args: Any) -> Any:
        if error := next(answers):
            raise error
        return asked(*args)

    monkeypatch.setattr(waiting, "_asked", sometimes)
    assert shop("wait", "qa", "--commit", commit, "--for", "0s").status == 75
    assert shop("wait", "qa", "--commit", commit, "--for", "1s").status == 3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["qa", "--commit", "0000000", "--for", "1h"], "there is no commit 0000000"),
        (["qa", "--commit", "zzz", "--for", "1h"], "give 4 to 40 hex digits"),
        (["q", "--commit", "0000000", "--for", "1h"], "no environment `q`"),
        (["qa", "--commit", "0000000", "--for", "1 hour"], "--for: not a duration: '1 hour'"),
        (["qa", "--for", "1h"], "--commit"),
        (["qa", "--commit", "0000000"], "--for"),
        (["[qp]*", "--commit", "0000000", "--for", "1h"], "means several environments"),
    ],
)
def test_wait_for_nonsense_ends_at_once(shop: Shop, words: list[str], error: str) -> None:
    """Exit status 2; what, and what is allowed."""
    said = shop("wait", *words)
    assert (said.status, said.out) == (2, "")
    assert error in said.err


def test_wait_where_there_is_no_branch_ends_at_once(shop: Shop) -> None:
    """A person must mend that; a branch that is missing on the way is waited for."""
    commit = shop.push("dev", {"web": "2\n"})
    shop.round()
    shop.origin.set("env/qa", None)
    assert shop("wait", "qa", "--commit", commit, "--for", "1h").status == 2
    status, data = now(shop, "prod", commit)
    assert status == 3
    assert "no branch `env/qa`" in data["reason"]
