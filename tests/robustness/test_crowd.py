"""Many orchestrators at once on one repository, each a process with a cache of its own, while people push."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.robustness.conftest import SCALE, Figures, scaled
from tests.robustness.play import Play
from tests.robustness.shooting import quiet

pytestmark = [pytest.mark.robustness, pytest.mark.timeout(1800)]

ROUNDS = """\
import collections, contextlib, io, json, sys
from promotion.cli import main
said = collections.Counter()
for _ in range(int(sys.argv[1])):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(sys.argv[2:])
    said[str(status)] += 1
    if status not in (0, 6, 75):
        print(err.getvalue(), file=sys.stderr)
print(json.dumps(said))
"""


def test_a_crowd_of_orchestrators(tmp_path: Path, figures: Figures) -> None:
    """Everybody runs whole rounds as fast as they can; what is healthy arrives once, what is sick never does."""
    chance, play = figures.chance, Play.create(tmp_path / "play")
    play.hotfix()
    crowd = [started(play, number) for number in range(10 if SCALE >= 1 else 4)]
    number, sick = 0, set[str]()
    while any(process.poll() is None for process in crowd):
        number += 1
        ill = chance.random() < 0.25
        commit = play.change(f"change {number}", sick=ill)
        sick |= {commit} if ill else set()
        time.sleep(chance.uniform(0.2, 1.5))
    for process in crowd:
        out, err = process.communicate(timeout=600)
        said = json.loads(out.splitlines()[-1])
        assert process.returncode == 0
        assert set(said) <= {"0", "75"}, f"{said}: {err}"
        assert said.get("0"), f"{said}: {err}"
        figures(**{"rounds of a crowd": sum(said.values()), "rounds of a crowd that said 75": said.get("75", 0)})
    quiet(play.folder)
    play.change("at last")
    figures(rounds=play.converge(), pushes=number)
    assert play.has("prod", "at last")
    assert not sick & {*play.landed("qa"), *play.landed("prod")}
    play.judged()


def started(play: Play, number: int) -> subprocess.Popen[str]:
    words = ["-q", "-c", str(play.shop.file), "run", "--sync"]
    environ = {
        **os.environ,
        "PROMOTION_CACHE": str(play.folder / f"cache-{number}"),
        "PROMOTION_USER": f"robot-{number}",
    }
    command = [sys.executable, "-c", ROUNDS, str(scaled(200, 6)), *words]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
