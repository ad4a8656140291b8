"""The check `command`: exit statuses, words for people, deadlines, and what a program may not see."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import promotion.checks.command as command
from promotion.model import Health, Reading, Subject
from tests.support.processes import gone

SUBJECT = Subject("shop", "qa", "9f8e7d6" + "0" * 33)


def ask(*argv: str, timeout: str = "20s") -> Reading:
    return command.ask({"command": list(argv), "timeout": timeout}, SUBJECT)


def shell(script: str, timeout: str = "20s") -> Reading:
    return ask("sh", "-c", script, timeout=timeout)


@pytest.mark.parametrize(
    ("script", "health", "reason"),
    [
        ("exit 0", Health.HEALTHY, "exit 0"),
        ("echo all well; echo more", Health.HEALTHY, "all well"),
        ("exit 1", Health.DEGRADED, "exit 1"),
        ("echo 3 of 5 up; exit 1", Health.DEGRADED, "3 of 5 up"),
        ("echo said >&2; exit 1", Health.DEGRADED, "said"),
        ("echo second >&2; echo first; exit 1", Health.DEGRADED, "first"),
        ("echo; echo '  '; echo third; exit 1", Health.DEGRADED, "third"),
        ("exit 2", Health.UNKNOWN, "exit 2"),
        ("echo cannot tell; exit 75", Health.UNKNOWN, "exit 75: cannot tell"),
        ("kill -TERM $$", Health.UNKNOWN, "killed by SIGTERM"),
        ("exec >&- 2>&-; sleep 0.1; exit 1", Health.DEGRADED, "exit 1"),
    ],
)
def test_exit_status_is_the_answer(script: str, health: Health, reason: str) -> None:
    """0 is healthy, 1 degraded, whatever else unknown; the reason is the first line that says something."""
    assert shell(script) == Reading(health, reason)


@pytest.mark.parametrize("argv", [["/nowhere/check"], ["no-such-program-of-ours"], ["/etc"], ["nul\0"]])
def test_what_cannot_start_is_unknown(argv: list[str]) -> None:
    """A program that is not there says nothing about health."""
    reading = ask(*argv)
    assert reading.health is Health.UNKNOWN
    assert reading.reason.startswith("cannot start ")


def test_no_shell() -> None:
    """Words are handed over as they are."""
    assert ask("echo", "$HOME; exit 1", "*").reason == "$HOME; exit 1 *"


def test_reason_is_cleaned_and_capped() -> None:
    """Nothing of a program's output can act on a terminal, fill it, or show a password in a URL."""
    assert shell(r"printf '\033[31mred\033[0m\a\tat https://bob:pw@example.com/x\n'").reason == (
        "red at https://example.com/x"
    )
    assert ask(sys.executable, "-c", "print('\\u202eevil')").reason == "evil"
    assert len(ask(sys.executable, "-c", "print('x' * 5000)").reason) == 200
    assert ask(sys.executable, "-c", "import os; os.write(1, b'\\xff\\xfe ok')").reason.endswith("ok")


def test_the_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    """A program that hangs, and what it started, are gone afterwards, however they treat SIGTERM."""
    pids = tmp_path / "pids"
    reading = shell(f"trap '' TERM; sleep 300 & echo $! $$ > {pids}; wait", timeout="1s")
    assert reading == Reading(Health.UNKNOWN, "no end within 1s")
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_a_grandchild_that_holds_the_pipe_does_not_hang(tmp_path: Path) -> None:
    """The program's own end counts; what it left behind is killed."""
    pid = tmp_path / "pid"
    assert shell(f"sleep 300 & echo $! > {pid}; echo up") == Reading(Health.HEALTHY, "up")
    assert gone(int(pid.read_text()))


def test_a_service_that_a_reload_started_stays(tmp_path: Path) -> None:
    """Without `sweep` only the deadline kills."""
    pid = tmp_path / "pid"
    ended = command.run(["sh", "-c", f"sleep 300 & echo $! > {pid}; echo up"], SUBJECT, "20s")
    assert ended == command.Ended(0, "up")
    assert not gone(int(pid.read_text()), tries=1)
    os.kill(int(pid.read_text()), 9)


def test_a_flood_is_drained_and_not_kept() -> None:
    """A program that prints much more than is kept still ends by itself."""
    script = (
        "import sys; sys.stdout.write('first\\n' + 'x' * (8 << 20)); sys.stderr.write('y' * (1 << 20)); sys.exit(1)"
    )
    assert ask(sys.executable, "-c", script) == Reading(Health.DEGRADED, "first")


@pytest.mark.parametrize(("printed", "kept"), [(0, 0), (command.CAP, command.CAP), (command.CAP + 9, command.CAP + 1)])
def test_all_of_the_output_is_there_or_seen_to_be_more(printed: int, kept: int) -> None:
    """For those who read answers: bytes as they are, of standard output alone, in the folder they name."""
    script = f"import sys; sys.stderr.write('y' * 99); sys.stdout.buffer.write(b'\\xff' * {printed})"
    assert command.run([sys.executable, "-c", script], SUBJECT, "60s").output == b"\xff" * kept


def test_works_where_it_is_told_to(tmp_path: Path) -> None:
    """Without a word, where we are."""
    assert command.run(["pwd"], SUBJECT, "60s", folder=tmp_path).said == str(tmp_path)
    assert command.run(["pwd"], SUBJECT, "60s").said == str(Path.cwd())


def test_an_endless_flood_ends_at_the_deadline() -> None:
    """Output is no sign of an end."""
    assert ask("yes", timeout="1s") == Reading(Health.UNKNOWN, "no end within 1s")


def test_sees_only_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret of ours reaches a child; what is asked about does."""
    monkeypatch.setenv("PROD_TOKEN", "canary")
    monkeypatch.setenv("PROMOTION_CONFIG", "canary")
    names = ask(sys.executable, "-c", "import os; print(*sorted(os.environ))").reason.split()
    allowed = {"PATH", "HOME", "LANG", "TZ", "LC_CTYPE"}  # the last is the child interpreter's own
    assert set(names) <= allowed | {"PROMOTION_APPLICATION", "PROMOTION_ENVIRONMENT", "PROMOTION_REVISION"}
    said = shell("echo $PROMOTION_APPLICATION $PROMOTION_ENVIRONMENT $PROMOTION_REVISION").reason
    assert said == f"shop qa {SUBJECT.revision}"


def test_nothing_deployed_is_an_empty_revision() -> None:
    """A check that is asked before the first deployment gets no revision."""
    reading = command.ask({"command": ["sh", "-c", "echo [$PROMOTION_REVISION]"]}, Subject("shop", "qa", None))
    assert reading.reason == "[]"


def test_stdin_is_empty() -> None:
    """A program that reads gets an end of file, not a person's terminal."""
    assert shell("cat; echo read") == Reading(Health.HEALTHY, "read")
