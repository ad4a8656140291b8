"""`kill -9` at random moments of a running loop, while people push; and servers that go on when their client is dead."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.robustness.conftest import Figures, scaled
from tests.robustness.play import Play
from tests.robustness.shooting import quiet

pytestmark = [pytest.mark.robustness, pytest.mark.timeout(1800)]

WARM_UP = 0.25
"""About what an interpreter needs to its first git command, in seconds; earlier kills hit nothing."""
REST = 25
"""After so many kills the loop is let alone until nothing is left to do."""

SLOW = """\
#!/bin/sh
# a server that takes its time with one push, whoever waits for it
if rm '{flag}' 2>/dev/null; then
  : > '{begun}'
  sleep {seconds}
fi
"""


@pytest.mark.parametrize("part", range(2))
def test_killed_at_random_moments(tmp_path: Path, figures: Figures, part: int) -> None:
    """Half of the kills each: whatever is cut short is finished by rounds that nobody helps, and once only."""
    chance = random.Random(figures.seed + part)
    play = Play.create(tmp_path / "play")
    play.hotfix()
    for number in range(scaled(500, 12)):
        if chance.random() < 0.8:
            play.change(f"change {number}", sick=chance.random() < 0.2)
        process = play.start("-q", "run", "--every", "1s", "--sync")
        time.sleep(WARM_UP + chance.random() * 0.9)
        process.kill()
        process.communicate(timeout=600)
        figures(kills=1)
        if number % REST == REST - 1:
            settled(play, f"after {number}", figures)
    settled(play, "at last", figures)
    play.judged()


def settled(play: Play, word: str, figures: Figures) -> None:
    """A healthy change on top, and undisturbed rounds bring it everywhere."""
    quiet(play.folder)
    play.change(word)
    rounds = play.converge()
    for name in ("qa", "prod"):
        assert play.has(name, word), name
        assert len(play.landed(name)) == len(set(play.landed(name))), f"{name} got a change twice"
    assert play.violations() == []
    figures(rounds=rounds)


def test_a_server_that_goes_on_when_its_client_is_dead(tmp_path: Path, figures: Figures) -> None:
    """The push is accepted after its sender was killed, before, while or after the next orchestrator pushes the same."""
    chance, play = figures.chance, Play.create(tmp_path / "play")
    play.change("first")
    play.converge()
    flag, begun = tmp_path / "slow", tmp_path / "begun"
    for number in range(scaled(100, 4)):
        seconds = chance.choice((0.05, 0.3, 0.6, 1.0))
        play.shop.origin.hook("pre-receive", SLOW.format(flag=flag, begun=begun, seconds=seconds))
        word = f"change {number}"
        play.change(word)
        flag.touch()
        process = play.start("-q", "run", "--sync")
        while not begun.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.kill()
        process.communicate(timeout=600)
        begun.unlink()
        time.sleep(chance.random() * 0.3)
        figures(kills=1, rounds=play.converge(excused=5))  # the dead one's push may hold the locks of the refs
        quiet(play.folder)
        play.converge()
        assert play.has("prod", word)
        assert play.violations() == []
    play.judged()
