"""README's two commands and its session, run as a newcomer runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.terminal import CTRL_C, Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
PROMOTION = str(Path(sys.executable).with_name("promotion"))
COMMAND = re.compile(r"^\$ promotion (.*)$", re.MULTILINE)


ASKED = r"^  [\d:]+  prod +waits for (?P<who>\S+), .*: the button Resume of\n +(?P<page>http://\S+)\n +or.*:\n +(?P<command>PROMOTION_USER=.*)\n"


@dataclass(frozen=True, slots=True)
class Played:
    """A folder in which the demo ran to its end without a terminal."""

    folder: Path
    status: int
    said: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A folder in which Ctrl-C was typed while the demo waited at prod."""

    folder: Path
    status: int
    said: str
    ran: list[str]
    """The processes of the demo before, and after."""
    left: list[str]


def processes(folder: Path) -> list[str]:
    """Those with a folder in their arguments or as their place."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, place = (process / "cmdline").read_bytes(), str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(folder).encode() in words or place == str(folder)):
            found.append(words.replace(b"\0", b" ").decode())
    return found


@pytest.fixture(scope="module")
def attended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Terminal]]:
    """A demo on a terminal, which waits for somebody. Started first: while it comes up, the others do what they do."""
    folder = tmp_path_factory.mktemp("attended")
    with Terminal([PROMOTION, "demo"], folder) as terminal:
        yield folder, terminal


@pytest.fixture(scope="module")
def interrupted(attended: tuple[Path, Terminal], tmp_path_factory: pytest.TempPathFactory) -> Interrupted:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("demo")
    with Terminal([PROMOTION, "demo"], folder) as terminal:
        terminal.until(ASKED)
        ran = processes(folder)
        terminal.type(CTRL_C)
        status = terminal.ended()
    return Interrupted(folder, status, terminal.said, ran, processes(folder))


@pytest.fixture(scope="module")
def playing(interrupted: Interrupted) -> Iterator[subprocess.Popen[str]]:
    """The demo without a terminal, where another one was interrupted."""
    out = subprocess.PIPE
    process = subprocess.Popen([PROMOTION, "demo"], cwd=interrupted.folder, stdout=out, stderr=out, text=True)
    with process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def played(playing: subprocess.Popen[str], interrupted: Interrupted) -> Played:
    out, err = playing.communicate(timeout=300)
    return Played(interrupted.folder, playing.returncode, out + err)


def test_ctrl_c_ends_it_while_it_waits_for_somebody(interrupted: Interrupted) -> None:
    """One line that says so, everything of it has ended, and (with `played`) the playground is made anew after that."""
    assert len(interrupted.ran) > 5
    assert interrupted.left == []
    assert interrupted.status == 130, interrupted.said
    *_, stopping, stopped = interrupted.said.splitlines()
    assert stopping == "stopping the services and Prefect, a few seconds"
    assert re.match("stopped before its end: ", stopped)
    assert "approved" not in interrupted.said


def test_on_a_terminal_it_waits_for_somebody_who_types_what_it_says(
    playing: subprocess.Popen[str],  # noqa: ARG001
    attended: tuple[Path, Terminal],
) -> None:
    """The page is a suspended run's; the command shows the plan and asks; it lands, the table, and Ctrl-C is a good end."""
    folder, terminal = attended
    asked = terminal.until(ASKED)
    address, _, run = asked["page"].partition("/runs/flow-run/")
    assert httpx.get(asked["page"], headers={"Accept": "text/html"}, timeout=30).text.startswith("<!DOCTYPE html>")
    waits = httpx.get(f"{address}/api/flow_runs/{run}", timeout=30).json()
    assert waits["state_name"] == "Suspended"
    assert waits["parameters"]["plan"].startswith(asked["command"].split()[-1])

    with Terminal(["sh", "-c", asked["command"]], folder) as somebody:
        somebody.until(r"^approve plan \w+ as ada@example.com\? \[y/N\]: $")
        assert re.search(r"^  wait  approval  0 of 1", somebody.said, re.MULTILINE)
        somebody.type("y\n")
        assert somebody.ended() == 0, somebody.said
    terminal.until(r"^  [\d:]+  prod +approved by ada@example.com\n  [\d:]+  prod +<- \w+ merged as \w+ by the run$")
    terminal.until(
        r"^prod .* held in qa(.*\n)*^Prefect UI   http://127(.*\n)*Ctrl-C ends it; make demo-clean removes it$"
    )
    assert terminal.process.poll() is None
    assert httpx.get(f"{address}/api/flow_runs/{run}", timeout=30).json()["state_name"] == "Approved"
    terminal.type(CTRL_C)
    assert terminal.ended() == 0, terminal.said
    assert terminal.said.endswith("\nstopped\n")
    assert processes(folder) == []


def test_a_change_walks_as_prefect_runs_and_a_sick_one_stops_before_prod(played: Played) -> None:
    """Three hops, each with the page of its run; the table; what to type next."""
    assert played.status == 0, played.said
    hops = re.findall(r"^  [\d:]+  (\w+) +<- \w+ merged as \w+ by the run\n +http://127", played.said, re.MULTILINE)
    assert hops == ["qa", "prod", "qa"]
    asked = re.search(ASKED + r"  [\d:]+  prod +approved by ada@example.com$", played.said, re.MULTILINE)
    assert asked
    assert re.fullmatch(r"PROMOTION_USER=ada@example.com .* approve \w{8}", asked["command"])
    assert re.search(r"^  [\d:]+  qa +\w+ is degraded: 503, expected 200$", played.said, re.MULTILINE)
    assert re.search(r"^prod .* held in qa", played.said, re.MULTILINE)
    assert "Prefect UI   http://127.0.0.1:" in played.said


def test_nothing_is_left_running(played: Played) -> None:
    """Neither services nor a server."""
    assert processes(played.folder) == []


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
