"""A host over HTTP whose connections are cut at any byte, in either direction, while commands talk to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.robustness.conftest import Figures, scaled
from tests.robustness.play import Play
from tests.support.http_git import Fault, GitHost

pytestmark = [pytest.mark.robustness, pytest.mark.timeout(1800)]

REQUESTS = ("info/refs?service=git-upload-pack", "POST /shop.git/git-upload-pack", "service=git-receive-pack")
REQUESTS += ("POST /shop.git/git-receive-pack", "")
BYTES = (0, 1, 4, 30, 200, 1000, 5000)
WORDS = (("run", "--sync"), ("promote", "qa"), ("observe",), ("hold", "prod", "TIP", "--reason", "cut"))


def test_connections_cut_at_random_bytes(tmp_path: Path, figures: Figures) -> None:
    """Whatever was cut is done or not done, said with 75, and finished by the next rounds; once."""
    chance = figures.chance
    play = Play.create(tmp_path / "play")
    play.hotfix()
    with GitHost(play.folder) as host:
        play.shop.top["repository"] = host.url("shop")
        play.shop.write()
        play.change("first")
        play.converge()
        for number in range(scaled(300, 8)):
            word = f"change {number}"
            tip = play.change(word)
            match, most = chance.choice(REQUESTS), chance.choice(BYTES)
            where, at = chance.choice(("cut_request", "cut_response")), chance.choice((-1, chance.randint(0, most)))
            at = max(at, 0) if where == "cut_request" else at
            host.faults.append(Fault(match, times=chance.choice((1, 1, 2, 3)), **{where: at}))
            words = [tip if part == "TIP" else part for part in chance.choice(WORDS)]
            said = play.run(*words)
            trial = f"{' '.join(words)} with {where} of `{match}` at {at}"
            assert said.status in (0, 3, 4, 75), f"{trial}: {said.status} {said.err}"
            host.faults.clear()
            if words[0] == "hold":
                assert play.run("lift", "prod", tip).status in (0, 2)  # 2: the hold was not written
            figures(cuts=1, rounds=play.converge())
            assert play.has("qa", word), trial
            assert play.has("prod", word), trial
            assert play.violations() == [], trial
        play.judged()
