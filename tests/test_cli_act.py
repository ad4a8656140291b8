"""promote, run, observe and sync: what they do, print and end with; and what happens when many do it at once."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion.cli.context import Call, sites_of
from promotion.cli.output import Repeats, set_up_log, worst
from promotion.cli.rounds import Loop
from promotion.errors import ContendedError, PromotionError
from promotion.reconcile import Round, Task, together
from tests.support.git import Origin
from tests.support.shop import SICK, WELL, Shop

KEYS = {"outcome", "plan_id", "application", "environment", "commit", "reason", "verification"}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """qa and prod by hand; a change is healthy in dev."""
    made = Shop(tmp_path, qa={"auto": False}, prod={"auto": False})
    made.round()
    made.push("dev", {"web": "2\n"})
    made.round()
    return made


# --- promote --------------------------------------------------------------------------------------------------------


def test_promote_lands_and_says_what_is_next(shop: Shop) -> None:
    """One line with the commit, one with what to type."""
    commit = shop.tip("dev")
    said = shop("promote", "qa")
    assert said.status == 0
    first, second = said.out.splitlines()
    assert first.startswith(f"shop: qa <- dev {commit[:7]}   PROMOTED   {shop.tip('qa')[:7]}   ")
    assert "verified within 15m" in second


def test_promote_as_json_has_the_keys_of_the_contract(shop: Shop) -> None:
    """And the second time there is nothing to do."""
    data = shop("--json", "promote", "qa").json
    assert data.keys() >= KEYS
    assert (data["outcome"], data["verification"], data["commit"]) == ("promoted", "pending", shop.tip("qa"))
    again = shop("--json", "promote", "qa")
    assert (again.status, again.json["outcome"], again.json["commit"]) == (0, "nothing", None)


def test_promote_only_this_plan(shop: Shop) -> None:
    """A prefix of what `plan` showed; after another change it is superseded: 4."""
    plan = shop("--json", "plan", "qa").json["plan_id"]
    shop.push("dev", {"web": "3\n"})
    shop("sync", "dev")
    said = shop("--json", "promote", "qa", "--plan", plan[:8])
    assert (said.status, said.json["outcome"]) == (4, "refused")
    assert "superseded" in said.json["reason"]
    plan = shop("--json", "plan", "qa").json["plan_id"]
    assert shop("promote", "qa", "--plan", plan[:8]).status == 0


def test_promote_only_this_commit(shop: Shop) -> None:
    """An older one that qualifies, though a newer one does too."""
    commit = shop.tip("dev")
    shop.push("dev", {"web": "3\n"})
    shop("sync", "dev")
    assert shop("--json", "promote", "qa", "--commit", commit[:8]).json["source"]["commit"] == commit


def test_promote_waits_without_landing(shop: Shop) -> None:
    """Not yet observed: 3."""
    shop.push("dev", {"web": "3\n"})
    said = shop("--json", "promote", "qa", "--commit", shop.tip("dev"))
    assert (said.status, said.json["outcome"]) == (3, "waiting")


def test_promote_refuses_what_is_held(shop: Shop) -> None:
    """4, with the hold's reason."""
    shop("hold", "qa", shop.tip("dev"), "--reason", "leaks memory")
    said = shop("promote", "qa")
    assert said.status == 4
    assert "REFUSED" in said.out
    assert "leaks memory" in said.out


def test_promote_dry_run(shop: Shop) -> None:
    """Says what would be, and writes nothing."""
    before = shop.origin.refs()
    said = shop("promote", "qa", "--dry-run")
    assert (said.status, shop.origin.refs()) == (0, before)
    assert "WOULD BE PROMOTED" in said.out


def test_promote_refuses_to_leave_nothing_unless_it_is_asked_to(shop: Shop) -> None:
    """--allow-empty."""
    shop("promote", "qa")
    shop.round()
    shop.set("dev", health=[{"type": "command", "command": ["true"]}])
    shop("configure", "--reason", "an empty release")
    shop.push("dev", {"web": None, "health": None})
    shop("sync", "dev")
    assert "--allow-empty" in shop("promote", "qa").out
    assert shop("promote", "qa", "--allow-empty").status == 0
    assert shop.origin.files("env/qa") == {}


def test_promote_with_wait_ends_verified(shop: Shop) -> None:
    """While somebody's sync loop deploys it; what it waits for is said once for each change."""
    loop = shop.start("sync", "qa", "--every", "1s")
    try:
        said = shop("--json", "promote", "qa", "--wait", "1m")
    finally:
        loop.terminate()
        loop.communicate()
    assert (said.status, said.json["verification"]) == (0, "verified")
    assert len(said.err.splitlines()) == len(set(said.err.splitlines()))
    assert loop.returncode == 0


def test_promote_with_wait_ends_failed(shop: Shop) -> None:
    """6, with the reason."""
    shop.set("qa", health=[{"type": "command", "command": ["sh", "-c", "echo disk full; exit 1"]}])
    shop("configure", "--reason", "sick")
    loop = shop.start("sync", "qa", "--every", "1s")
    try:
        said = shop("--json", "promote", "qa", "--wait", "1m")
    finally:
        loop.terminate()
        loop.communicate()
    assert (said.status, said.json["outcome"], said.json["verification"]) == (6, "promoted", "failed")
    assert "disk full" in said.json["reason"]


def test_promote_with_wait_gives_up(shop: Shop) -> None:
    """Nobody deploys qa: 3, still pending. Nor does the gate open in time: 3."""
    said = shop("--json", "promote", "qa", "--wait", "1s")
    assert (said.status, said.json["verification"], said.json["commit"]) == (3, "pending", shop.tip("qa"))
    shop.push("dev", {"web": "3\n"})
    said = shop("--json", "promote", "qa", "--wait", "1s")
    assert (said.status, said.json["outcome"]) == (3, "waiting")


def test_ctrl_c_ends_a_wait_cleanly(shop: Shop) -> None:
    """With what is known by then."""
    shop.push("dev", {"web": "3\n"})
    with shop.start("--json", "promote", "qa", "--commit", shop.tip("dev"), "--wait", "5m") as waiting:
        assert waiting.stderr is not None
        assert "waits" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        out, _ = waiting.communicate()
    assert (waiting.returncode, json.loads(out)["outcome"]) == (3, "waiting")


# --- many at once ---------------------------------------------------------------------------------------------------


def race(shop: Shop, caches: list[str]) -> list[int]:
    """Exit statuses of as many processes as there are caches, all after one hop."""
    running = [shop.start("promote", "qa", PROMOTION_CACHE=cache) for cache in caches]
    for process in running:
        process.communicate()
    return [process.returncode for process in running]


@pytest.mark.parametrize("shared", [True, False], ids=["one cache", "a cache each"])
def test_eight_processes_race_for_one_hop(shop: Shop, shared: bool) -> None:
    """One commit, exit statuses 0 and 75 only, no lock left, and the ledger holds."""
    statuses = race(shop, [str(shop.folder / f"cache{'' if shared else n}") for n in range(8)])
    assert set(statuses) <= {0, 75}
    assert 0 in statuses
    assert len(shop.origin.log("env/qa")) == 2
    assert shop.events().count("promoted qa") == 1
    assert list(shop.origin.path.rglob("*.lock")) == []
    assert shop("audit").status == 0


# --- run ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def auto(tmp_path: Path) -> Shop:
    """All by itself."""
    made = Shop(tmp_path)
    made.round()
    return made


def test_run_walks_a_change_through(auto: Shop) -> None:
    """A hop a round; the hops are those of `promote`."""
    commit = auto.push("dev", {"web": "2\n"})
    said = auto("--json", "run", "--sync")
    (hop,) = said.json["hops"]
    assert hop.keys() >= KEYS
    assert (hop["outcome"], hop["environment"], hop["source"]["commit"]) == ("promoted", "qa", commit)
    assert auto("run", "--sync").out.startswith("shop: prod <- qa ")
    assert auto("--json", "run", "--sync").json["hops"] == []
    assert auto("run").out == "nothing to do\n"
    assert auto("run", "--sync").out == "nothing to promote\n"  # deployed it may have


def test_run_says_what_waits(shop: Shop) -> None:
    """Without a hop, the reason for each environment."""
    assert "shop: qa waits: auto: promoted by hand" in shop("run").out


def test_run_dry_says_what_would_land(auto: Shop) -> None:
    """And writes nothing."""
    auto.push("dev", {"web": "2\n"})
    auto("sync", "dev")
    before = auto.origin.refs()
    assert "would land" in auto("run", "--dry-run").out
    assert auto.origin.refs() == before


def test_run_ends_with_six_once_when_a_verification_fails(auto: Shop) -> None:
    """In the round that finds it."""
    auto.set("qa", health=[{"type": "command", "command": ["false"]}])
    auto("configure", "--reason", "sick")
    auto.push("dev", {"web": "2\n"})
    assert auto("run", "--sync").status == 0
    said = auto("--json", "run", "--sync")
    assert (said.status, [h["verification"] for h in said.json["hops"]]) == (6, ["failed"])
    assert auto("run", "--sync").status == 0


def test_run_ends_with_five_while_there_is_a_conflict(auto: Shop) -> None:
    """And prod is looked after all the same."""
    auto.push("qa", {"web": "qa\n"})
    auto.push("dev", {"web": "dev\n"})
    said = auto("--json", "run", "--sync")
    assert (said.status, said.json["hops"][0]["outcome"]) == (5, "conflict")


@pytest.mark.parametrize(
    ("statuses", "expected"), [((0, 75, 5), 5), ((6, 75), 6), ((0,), 0), ((2, 75), 75), ((6, 1), 1)], ids=str
)
def test_the_worst_exit_status_counts(statuses: tuple[int, ...], expected: int) -> None:
    """6 > 5 > 75 > what is wrong with one application."""
    assert worst(*statuses) == expected


def test_one_failing_application_does_not_stop_the_others(auto: Shop) -> None:
    """The other one is promoted; the trouble is on stderr, and in the exit status."""
    auto.several(gone="gone.git", web=str(auto.origin.path))
    auto("-a", "web", "run", "--sync")
    auto.push("dev", {"web": "2\n"})
    said = auto("--json", "run", "--sync")
    assert [hop["environment"] for hop in said.json["hops"]] == ["qa"]
    assert "gone.git" in said.err
    assert said.json["errors"][0]["kind"] == "config"
    assert said.status == 2


@pytest.fixture
def loop(auto: Shop) -> Iterator[subprocess.Popen[str]]:
    """`run --every 1s --sync --json`, ended at the end."""
    process = auto.start("--json", "run", "--every", "1s", "--sync")
    yield process
    process.kill()
    process.communicate()


def test_run_every_prints_one_object_a_round_and_ends_on_sigterm(auto: Shop, loop: subprocess.Popen[str]) -> None:
    """A change walks all the way; SIGTERM ends it with 0."""
    assert loop.stdout is not None
    assert json.loads(loop.stdout.readline()) == {"hops": []}
    auto.push("dev", {"web": "2\n"})
    hops: list[str] = []
    while len(hops) < 2:
        hops += [hop["environment"] for hop in json.loads(loop.stdout.readline())["hops"]]
    assert hops == ["qa", "prod"]
    loop.terminate()
    loop.communicate()
    assert loop.returncode == 0
    assert auto("audit").status == 0


def test_a_schedule_is_attempted_after_its_tick_and_by_a_single_run_always(tmp_path: Path) -> None:
    """`0 0 1 1 *` does not come in this test; a single run does not wait for it."""
    shop = Shop(tmp_path, qa={"schedule": "0 0 1 1 *"})
    shop.round()
    shop.push("dev", {"web": "2\n"})
    with shop.start("--json", "run", "--every", "1s", "--sync") as loop:
        assert loop.stdout is not None
        rounds = [json.loads(loop.stdout.readline())["hops"] for _ in range(2)]
        loop.send_signal(signal.SIGINT)
        loop.communicate()
    assert (rounds, loop.returncode) == ([[], []], 0)
    assert [hop["environment"] for hop in shop.round()] == ["qa"]


def test_run_every_complains_once_until_it_changes(auto: Shop) -> None:
    """A repository that is away for some rounds, and back: 0 at the end."""
    elsewhere = auto.folder / "elsewhere"
    with auto.start("--json", "run", "--every", "1s") as loop:
        assert loop.stdout is not None
        loop.stdout.readline()
        auto.origin.path.rename(elsewhere)
        away = [loop.stdout.readline() for _ in range(3)]
        elsewhere.rename(auto.origin.path)
        for _ in range(2):
            loop.stdout.readline()
        loop.terminate()
        _, err = loop.communicate()
    assert away == ['{"hops": []}\n'] * 3
    assert err.count("is not a Git repository") == 1
    assert loop.returncode == 0


def test_run_every_says_a_conflict_once_until_it_changes(auto: Shop) -> None:
    """Three rounds, one line; another conflict is another line."""
    auto.set("prod", auto=False)
    auto("configure", "--reason", "qa only")
    auto.push("qa", {"web": "qa\n"})
    auto.push("dev", {"web": "dev\n"})
    auto("sync")
    with auto.start("-v", "run", "--every", "1s") as loop:
        assert loop.stdout is not None
        assert loop.stderr is not None
        first = loop.stdout.readline()
        rounds(loop, 3)
        auto.push("qa", {"other": "qa\n"})
        auto.push("dev", {"other": "dev\n"})
        auto("sync")
        second = loop.stdout.readline()
        loop.terminate()
        out, _ = loop.communicate()
    assert ("CONFLICT" in first, "other" in first) == (True, False)
    assert ("CONFLICT" in second, "other" in second) == (True, True)
    assert (out, loop.returncode) == ("", 5)


def rounds(loop: subprocess.Popen[str], count: int) -> None:
    """Waits for so many questions to the remote; the loop runs with -v."""
    assert loop.stderr is not None
    while count:
        count -= "ls-remote" in loop.stderr.readline()


@pytest.fixture
def hanging(auto: Shop) -> Iterator[Path]:
    """`slow` has a remote that does not answer until the file is there, `web` a change in dev."""
    answers = auto.folder / "answers"
    ssh = auto.folder / "ssh"
    ssh.write_text(f"#!/bin/sh\nuntil test -e {answers}; do sleep 0.05; done\nexit 1\n")
    ssh.chmod(0o755)
    auto.several(slow="ssh://git@127.0.0.1/slow.git", web=str(auto.origin.path))
    auto("-a", "web", "run", "--sync")
    auto.push("dev", {"web": "2\n"})
    yield answers
    answers.touch()


def test_run_every_goes_on_with_the_others_while_one_hangs(auto: Shop, hanging: Path) -> None:
    """`web` is promoted to the end meanwhile; what is wrong with `slow` at the end counts."""
    command = ("--json", "run", "--every", "1s", "--sync")
    with auto.start(*command, GIT_SSH_COMMAND=str(auto.folder / "ssh")) as loop:
        assert loop.stdout is not None
        hops: list[str] = []
        while len(hops) < 2:
            hops += [f"{h['application']} {h['environment']}" for h in json.loads(loop.stdout.readline())["hops"]]
        hanging.touch()
        loop.terminate()
        loop.communicate()
    assert hops == ["web qa", "web prod"]
    assert loop.returncode == 75


def test_somebody_who_insists_on_an_end_does_not_wait_for_what_hangs(auto: Shop, hanging: Path) -> None:
    """Ctrl-C twice."""
    with auto.start("run", "--every", "1s", "--sync", GIT_SSH_COMMAND=str(auto.folder / "ssh")) as loop:
        assert loop.stdout is not None
        assert loop.stderr is not None
        loop.stdout.readline()
        loop.send_signal(signal.SIGINT)
        while "once more stops" not in loop.stderr.readline():
            pass
        loop.send_signal(signal.SIGINT)
        loop.wait()
        assert not hanging.exists()
    assert loop.returncode == 130


def test_a_bug_in_one_application_is_not_the_end_of_the_others(auto: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is promoted; the bug is on stderr, and 1 is the exit status."""
    auto.several(broken=str(Origin.create(auto.folder / "other.git", files=WELL).path), web=str(auto.origin.path))
    auto("-a", "web", "run", "--sync")
    auto.push("dev", {"web": "2\n"})

    def reconciled(tasks: list[Task], **options: Any) -> list[Round | PromotionError]:
        if tasks[0].site.application.name == "broken":
            raise AssertionError("planted")
        return together(tasks, **options)

    monkeypatch.setattr("promotion.cli.rounds.together", reconciled)
    said = auto("--json", "run", "--sync")
    assert [hop["application"] for hop in said.json["hops"]] == ["web"]
    assert said.status == 1
    assert said.json["errors"][0] == {
        "kind": "bug",
        "where": "broken",
        "message": "promotion has a bug: AssertionError: planted",
        "hint": "the same with -v shows where",
    }
    alone = auto("-a", "broken", "run")
    assert (alone.status, alone.err) == (
        1,
        "promotion has a bug: AssertionError: planted (the same with -v shows where)\n",
    )


def test_a_warning_is_said_once_until_a_round_passes_without_it() -> None:
    """Of the log."""
    logger = logging.getLogger("promotion.test")
    stream = io.StringIO()
    with redirect_stderr(stream):
        set_up_log(verbose=False, quiet=False)
        repeats = Repeats()
        for said in ([1], [1], [], [1]):
            repeats.next_round()
            for _ in said:
                logger.warning("disk is full")
    assert stream.getvalue() == "disk is full\n" * 2


def test_contended_is_an_outcome(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """75, with the keys of the contract."""

    def late(*_: object, **__: object) -> None:
        raise ContendedError("somebody was faster 5 times")

    monkeypatch.setattr("promotion.reconcile.promote", late)
    said = shop("--json", "promote", "qa")
    assert (said.status, said.json["outcome"]) == (75, "contended")
    assert said.json.keys() >= KEYS


# --- observe and sync -----------------------------------------------------------------------------------------------


def test_observe_records_and_promotes_nothing(auto: Shop) -> None:
    """Exit status 0 also when something is unhealthy."""
    auto.push("dev", SICK)
    auto("sync")
    said = auto("--json", "observe")
    assert said.status == 0
    row = said.json["environments"][0]
    assert row.keys() >= {"application", "environment", "deployed", "health"}
    assert (row["environment"], row["deployed"], row["health"]) == ("dev", auto.tip("dev"), "degraded")
    assert auto.events()[-1] == "observed dev"
    assert len(auto.origin.log("env/qa")) == 1


def test_sync_deploys_what_is_named(auto: Shop) -> None:
    """And nothing else; hand-made changes are put back."""
    auto.push("dev", {"web": "2\n"})
    auto.push("qa", {"web": "3\n"})
    said = auto("--json", "sync", "dev")
    assert [(row["environment"], row["deployed"]) for row in said.json["environments"]] == [("dev", auto.tip("dev"))]
    assert (auto.folder / "deployed/dev/current/web").read_text() == "2\n"
    assert not (auto.folder / "deployed/qa/current/web").exists()
    (auto.folder / "deployed/dev/current/web").write_text("by hand\n")
    assert "by hand" in auto("sync", "dev").err
    assert (auto.folder / "deployed/dev/current/web").read_text() == "2\n"


def test_sync_goes_on_with_the_others_when_one_cannot_be_deployed(auto: Shop) -> None:
    """What people have to mend is on stderr, once: that it cannot be observed either is no other fault."""
    auto.set("qa", engine={"type": "directory", "path": str(auto.file)})
    auto.push("dev", {"web": "2\n"})
    said = auto("sync", "dev", "qa")
    assert (auto.folder / "deployed/dev/current/web").read_text() == "2\n"
    assert said.err.splitlines()[0] == f"{auto.file}: file exists"
    assert said.err.count("file exists") == 1
    assert said.status == 2
    again = auto("run", "--sync", "qa")
    assert (again.status, again.err.count("file exists")) == (2, 1)


def test_what_could_not_be_read_is_shown_as_last_recorded(auto: Shop) -> None:
    """Nobody takes it for what is now, nor for a round that found nothing to do."""
    auto("observe")
    auto.set("dev", engine={"type": "command", "deploy": ["true"], "observe": ["false"]})
    said = auto("observe", "dev")
    assert (said.status, "as last recorded" in said.out) == (75, True)
    assert "could not be read" in said.err
    assert "as last recorded" not in auto("observe", "qa").out
    assert auto("run").out == ""


def test_a_tick_lets_one_hop_through(tmp_path: Path) -> None:
    """The first round after a tick attempts it, the next ones do not until the next tick."""
    shop = Shop(tmp_path, qa={"schedule": "0 * * * *"})
    shop.round()
    call = Call(shop.file, None, json=True, quiet=True, verbose=False, environ=os.environ)
    with sites_of(call) as found:
        loop = Loop(call, found, sync=True, dry_run=False, scheduled=True)
        landed = []
        for number in range(4):
            shop.push("dev", {"web": f"{number}\n"})
            if number == 1:
                loop.ticks["shop"].started -= timedelta(hours=1)
            (turn,) = loop._turns(loop.groups[0])
            landed.append([hop["environment"] for hop in turn.hops if hop["environment"] == "qa"])
    assert landed == [[], ["qa"], [], []]
