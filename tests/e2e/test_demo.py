"""README's two commands and its session, run as a newcomer runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
PROMOTION = str(Path(sys.executable).with_name("promotion"))
COMMAND = re.compile(r"^\$ promotion (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Played:
    """A folder in which the demo ran to its end without a terminal."""

    folder: Path
    status: int
    said: str


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run([PROMOTION, "demo"], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return Played(folder, done.returncode, done.stdout + done.stderr)


def test_a_change_walks_as_prefect_runs_and_a_sick_one_stops_before_prod(played: Played) -> None:
    """Three hops, each with the page of its run; the table; what to type next."""
    assert played.status == 0, played.said
    hops = re.findall(r"^  [\d:]+  (\w+) +<- \w+ merged as \w+ by the run\n +http://127", played.said, re.MULTILINE)
    assert hops == ["qa", "prod", "qa"]
    asked = r"^  [\d:]+  prod +waits for ada@example.com, .*\n +http://127.*\n +or: PROMOTION_USER=ada@example.com .* approve \w{8}$"
    assert re.search(asked + r"\n  [\d:]+  prod +approved by ada@example.com$", played.said, re.MULTILINE)
    assert re.search(r"^  [\d:]+  qa +\w+ is degraded: 503, expected 200$", played.said, re.MULTILINE)
    assert re.search(r"^prod .* held in qa", played.said, re.MULTILINE)
    assert "Prefect UI   http://127.0.0.1:" in played.said


def test_nothing_is_left_running(played: Played) -> None:
    """Neither services nor a server: no process has the demo's folder in its arguments or as its place."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, place = (process / "cmdline").read_bytes(), str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(played.folder).encode() in words or place == str(played.folder)):
            left.append(words)
    assert left == []


def test_everything_is_below_its_folder(played: Played) -> None:
    assert [path.name for path in played.folder.iterdir()] == [".demo"]


def test_readme_shows_what_its_commands_print(played: Played) -> None:
    """Each command of README's session, with ids and times of day blanked."""
    session = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert session
    parts = COMMAND.split(session[1])[1:]
    assert len(parts) >= 6
    for words, shown in zip(parts[::2], parts[1::2], strict=True):
        done = subprocess.run(
            [PROMOTION, *words.split()], cwd=played.folder, capture_output=True, text=True, check=False
        )
        assert blank(done.stdout + done.stderr) == blank(shown), words


def blank(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{7,8}\b", "ID", text)
    text = re.sub(r"\b\d\d:\d\d\b", "TIME", text)
    return re.sub(r"\b\d+ events", "N events", text).strip()


def test_the_ledger_of_the_demo_holds(played: Played) -> None:
    """Audit, as a program reads it."""
    command = [PROMOTION, "-c", ".demo/environments.yaml", "--json", "audit"]
    done = subprocess.run(command, cwd=played.folder, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["applications"][0]["findings"] == []
