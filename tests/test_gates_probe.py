"""Every check is a gate: it passes on healthy and on nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from promotion.checks import CHECKS
from promotion.gates.contract import Question
from promotion.gates.probe import GATES, gate
from promotion.model import Health, Reading, Subject, Verdict

NOW = datetime(2026, 7, 28, 13, 50, tzinfo=UTC)
SUBJECT = Subject("shop", "qa", "4f2a91c" + "0" * 33)
ASKED = Question(SUBJECT, "dev", NOW, timedelta(minutes=10), None, None)


@pytest.mark.parametrize(
    ("health", "verdict"),
    [
        (Health.HEALTHY, "pass"),
        (Health.DEGRADED, "block"),
        (Health.PROGRESSING, "wait"),
        (Health.SUSPENDED, "wait"),
        (Health.MISSING, "wait"),
        (Health.UNKNOWN, "wait"),
    ],
)
def test_health_becomes_a_verdict(health: Health, verdict: str) -> None:
    """The check gets the gate's settings and the candidate; its reason is the verdict's."""
    asked: list[tuple[Mapping[str, Any], Subject]] = []

    def check(settings: Mapping[str, Any], subject: Subject) -> Reading:
        asked.append((settings, subject))
        return Reading(health, "it says so")

    found = gate("http", check)({"url": "u"}, ASKED)
    assert (found.gate, found.verdict, found.reason, found.until) == ("http", verdict, "it says so", None)
    assert asked == [({"url": "u"}, SUBJECT)]


def test_every_health_has_a_verdict() -> None:
    """A health that is added later has to be thought about here."""
    assert len(Health) == 6


def test_every_check_is_a_gate() -> None:
    """The kinds are the same, and each gate answers in its own name."""
    assert GATES.keys() == CHECKS.keys()


class Answers(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a real server."""
    with HTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def asked_http(url: str) -> Verdict:
    """The verdict of the gate `http` about this address."""
    return GATES["http"]({"url": url, "timeout": "5s"}, ASKED)


def test_http(server: str) -> None:
    """A real server's answers: the expected one passes, another one blocks, none waits."""
    assert asked_http(f"{server}/200").verdict == "pass"
    refused = asked_http(f"{server}/503")
    assert (refused.gate, refused.verdict) == ("http", "block")
    assert "503" in refused.reason
    assert asked_http("http://127.0.0.1:1/").verdict == "wait"


@pytest.mark.parametrize(("status", "verdict"), [(0, "pass"), (1, "block"), (2, "wait"), (75, "wait")])
def test_command(status: int, verdict: str) -> None:
    """A real program's exit status: 0 passes, 1 blocks, anything else waits."""
    program = [sys.executable, "-S", "-c", f"raise SystemExit({status})"]
    found = GATES["command"]({"command": program, "timeout": "30s"}, ASKED)
    assert (found.gate, found.verdict) == ("command", verdict)
    assert found.reason
