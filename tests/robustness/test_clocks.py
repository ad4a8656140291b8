"""Processes that are stopped for longer than every deadline and go on, and clocks that jump by hours and days."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion.model import Spec
from tests.robustness import checker
from tests.robustness.checker import Rules
from tests.robustness.conftest import Figures, scaled
from tests.robustness.play import Play
from tests.robustness.shooting import Gun, quiet
from tests.support.stage import Stage, environment

pytestmark = [pytest.mark.robustness, pytest.mark.timeout(1800)]

CLOCK = Path(__file__).parent / "clock"
HOUR, DAYS = 3600, 3 * 86400
SOAK, HEARTBEAT = timedelta(minutes=30), timedelta(minutes=10)


def clocked(play: Play, gun: Gun, *words: str) -> subprocess.Popen[str]:
    """A command with the clock that the play's file says."""
    path = os.pathsep.join([str(CLOCK), str(Path(__file__).parents[2])])
    return play.start("-q", *words, PATH=gun.path, PYTHONPATH=path, FAKE_CLOCK=str(play.folder / "clock"))


def stopped(process: subprocess.Popen[str]) -> bool:
    """Waits until a process is stopped; False when it ended instead."""
    while process.poll() is None:
        try:
            state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state == "T":
            return True
        time.sleep(0.005)
    return False


def test_stopped_for_longer_than_every_deadline(
    tmp_path: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one orchestrator is stopped at a git process another goes on and people push; then it wakes, an hour late."""
    chance, play, gun = figures.chance, Play.create(tmp_path / "play"), Gun.create(tmp_path / "bin")
    clock, own = play.folder / "clock", play.cache
    play.change("first")
    play.converge()
    play.hotfix()
    for number in range(scaled(100, 4)):
        word = f"change {number}"
        play.change(word)
        if chance.random() < 0.5:
            play.run("sync", "dev")
        clock.write_text("0 0\n")
        gun.aim(chance.randint(1, 14), chance.choice(("stop", "stopped")))
        process = clocked(play, gun, *chance.choice((("run", "--sync"), ("promote", "qa"))))
        if stopped(process):
            monkeypatch.setenv("PROMOTION_CACHE", str(play.folder / "others-cache"))
            for _ in range(chance.randint(0, 3)):
                said = play.run("run", "--sync")
                assert said.status in (0, 75), said.err
            if chance.random() < 0.5:
                word = f"change {number}, and one more"
                play.change(word)
            clock.write_text(f"{HOUR} {HOUR}\n")
            process.send_signal(signal.SIGCONT)
            figures(stops=1)
        _, err = process.communicate(timeout=600)
        assert process.returncode in (0, 3, 4, 75), err
        quiet(tmp_path / "bin")
        monkeypatch.setenv("PROMOTION_CACHE", str(chance.choice((own, play.folder / "others-cache"))))
        figures(rounds=play.converge())
        assert play.has("prod", word), f"change {number}"
        assert play.violations() == [], f"change {number}"
    play.judged()


# --- clocks that jump ------------------------------------------------------------------------------------------------


def recorded(server: Path) -> Iterator[dict[str, Any]]:
    """The events of the ledger, oldest first."""
    with checker.Objects(server) as objects:
        for oid in objects.steps(checker.NOTHING, checker.refs(server)[checker.LEDGERS + "shop"]) or []:
            yield json.loads(objects.commit(oid).message.partition("[skip ci]\n")[2])


def short_soaks(server: Path) -> list[str]:
    """Promotions into qa whose source was not seen healthy for long enough, by the times in the ledger alone.

    Each reading must be at most two heartbeats after the one before it; readings of a clock that was put back are none.
    """
    found, readings = [], dict[str, list[datetime]]()
    stretch: list[datetime] = []
    for event in recorded(server):
        at = datetime.fromisoformat(event["at"].replace("Z", "+00:00"))
        if event["event"] == "observed" and event["environment"] in ("dev", None):
            if event.get("health", "healthy") != "healthy" or (stretch and at - stretch[-1] > 2 * HEARTBEAT):
                stretch = []
            if event.get("health", "healthy") == "healthy":
                stretch.append(max([at, *stretch[-1:]]))
                if event["environment"]:
                    readings.setdefault(event["revision"], []).append(at)
        if event["event"] == "promoted" and event["environment"] == "qa":
            since = max(stretch[0], readings[event["source"]][0]) if stretch else at
            if at - since < SOAK:
                found.append(f"{event['source'][:8]} at {event['at']} after {at - since}")
    return found


def test_a_clock_that_jumps_ends_no_soak_early(tmp_path: Path, build: Callable[..., Stage], figures: Figures) -> None:
    """Forwards and backwards by an hour and by three days, a sick release now and then; no soak is cut short."""
    chance = figures.chance
    folder = tmp_path / "stage"
    gate = Spec("soak", {"for": "30m"})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(gate,)))
    stage.site = replace(stage.site, application=replace(stage.application, heartbeat=HEARTBEAT))
    checker.watch(stage.origin.path, tmp_path / "transactions")
    people, server = set[str](), stage.origin.path
    for number in range(scaled(600, 40)):
        if chance.random() < 0.15:
            health = "sick" if chance.random() < 0.3 else "ok"
            people.add(stage.commit("dev", {"web": f"{number}\n", "health": f"{health}\n"}))
        if chance.random() < 0.12:
            jump = chance.choice((HOUR, -HOUR, DAYS, -DAYS))
            stage.wait(seconds=jump)
            figures(jumps=1)
        stage.wait(seconds=chance.choice((30, 60, 300, 590)))
        assert stage.round().errors == ()
    assert short_soaks(server) == []
    rules = {"shop": {"dev": Rules("env/dev"), "qa": Rules("env/qa", "dev")}}
    assert checker.violations(server, tmp_path / "transactions", people, rules) == []
    starves_nobody(stage, people)
    assert short_soaks(server) == []


def starves_nobody(stage: Stage, people: set[str]) -> None:
    """Once the clock has caught up with every time that was recorded, a healthy change soaks as long as any other."""
    stage.now = max(
        [stage.now, *(datetime.fromisoformat(e["at"].replace("Z", "+00:00")) for e in recorded(stage.origin.path))]
    )
    commit = stage.commit("dev", {"web": "at last\n", "health": "ok\n"})
    people.add(commit)
    for _ in range(8):
        assert stage.round().errors == ()
        stage.wait(minutes=5)
    assert stage.origin.tree("env/qa") == stage.origin.tree(commit)


def test_a_window_is_open_by_the_clock_of_now(tmp_path: Path, figures: Figures) -> None:
    """Whole processes, one after another, whose clocks say other days: what lands, lands while its window is open."""
    window = {"type": "window", "allow": "Mon-Fri 09:00-16:00"}
    chance, play = figures.chance, Play.create(tmp_path / "play", qa={"gates": [window]})
    gun, shift = Gun.create(tmp_path / "bin"), 0.0
    gun.aim(0, "never")
    for number in range(scaled(100, 4)):
        play.change(f"change {number}")
        shift += chance.choice((HOUR, -HOUR, DAYS, -DAYS, 5 * HOUR, -7 * HOUR))
        (play.folder / "clock").write_text(f"{shift} 0\n")
        process = clocked(play, gun, "run", "--sync")
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        figures(jumps=1)
    at = [
        datetime.fromisoformat(e["at"].replace("Z", "+00:00"))
        for e in recorded(play.shop.origin.path)
        if (e["event"], e["environment"]) == ("promoted", "qa")
    ]
    assert [str(one) for one in at if one.weekday() > 4 or not 9 <= one.hour < 16] == []
    assert play.violations() == []


def test_the_two_clocks_of_a_process_move_as_told(tmp_path: Path) -> None:
    """Otherwise the tests above would test nothing."""
    (tmp_path / "clock").write_text(f"{DAYS} {HOUR}\n")
    code = "import time; from datetime import datetime, UTC; n = datetime.now(UTC); print(n.timestamp(), time.monotonic(), isinstance(n, datetime))"
    environ = {**os.environ, "PYTHONPATH": str(CLOCK), "FAKE_CLOCK": str(tmp_path / "clock")}
    import sys

    wall, rest, same = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, check=True, text=True
    ).stdout.split()
    assert DAYS - 600 < float(wall) - time.time() < DAYS + 600
    assert HOUR - 600 < float(rest) - time.monotonic() < HOUR + 600
    assert same == "True"
