"""The check `metric`: asks Prometheus for a number and compares it with what is expected, now or over a whole window.

It asks and never judges (`checks.prometheus` does), sends nothing but GETs, and never prints a token.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from promotion import web
from promotion.checks import prometheus
from promotion.checks.prometheus import UnclearError
from promotion.errors import ConfigError
from promotion.expectation import expectation
from promotion.model import Credential, Health, Reading, Subject
from promotion.repository.credentials import login
from promotion.texts import duration, span

CAP = 8 << 20
"""Bytes of an answer's body."""
ASTRAY = 120
"""Seconds by which the server's clock may differ from ours: an older answer is one that somebody kept."""

Question = Callable[[str, Mapping[str, Any]], bytes]
"""Asks one of Prometheus' questions, with these parameters, for its whole answer."""


def ask(settings: Mapping[str, Any], subject: Subject) -> Reading:
    """What is expected is healthy, another number degraded, not for long enough progressing, all else unknown."""
    try:
        with web.Door(_trusting(settings.get("ca_file"))) as door:
            return _ask(settings, subject, _asking(door, settings, subject))
    except (UnclearError, ConfigError) as exc:  # which is about a token, and does not hold it
        why = str(exc)
    except Exception as exc:  # a check never raises (S3), whatever a server makes a library do
        why = f"failed ({type(exc).__name__})"
    return Reading(Health.UNKNOWN, f"{web.place(settings['server'])}: {why}")


def _ask(settings: Mapping[str, Any], subject: Subject, question: Question) -> Reading:
    query, expected = settings["query"], expectation(settings["expect"])
    if "{revision}" in query:
        if subject.revision is None:
            raise UnclearError("nothing is deployed that could be asked about")
        query = query.replace("{revision}", subject.revision)  # 40 hex digits: nothing to escape
    at, found = prometheus.now(question("query", {"query": query}))
    if abs(at - time.time()) > ASTRAY:
        raise UnclearError("answers by another time than ours: a clock is wrong, or the answer is an old one")
    reading = prometheus.judge(found, expected)
    if reading.health is not Health.HEALTHY or "for" not in settings:
        return reading
    asked = prometheus.window(at, int(duration(settings["for"]).total_seconds()))
    moments = {"query": query, "start": asked.start, "end": asked.end, "step": asked.step}
    return prometheus.lasting(asked, found, prometheus.over(question("query_range", moments)), expected)


def _asking(door: web.Door, settings: Mapping[str, Any], subject: Subject) -> Question:
    total = duration(settings.get("timeout", "10s"))
    deadline = time.monotonic() + total.total_seconds()
    headers = _headers(settings, subject)

    def question(name: str, parameters: Mapping[str, Any]) -> bytes:
        left = max(0.001, deadline - time.monotonic())
        limits = web.Limits(idle=left, total=left, cap=CAP)  # a query may be worked on in silence
        url = f"{settings['server'].rstrip('/')}/api/v1/{name}?{urlencode(parameters)}"
        try:
            answer = door.ask("GET", url, headers=headers, limits=limits)
        except web.UnansweredError as exc:
            late = time.monotonic() >= deadline
            raise UnclearError(f"no complete answer within {span(total)}" if late else str(exc)) from exc
        if answer.status != 200:
            said = prometheus.fault(answer.body)
            raise UnclearError(f"{answer.status}: {said}" if said else f"{answer.status}, and no number")
        return answer.body

    return question


def _headers(settings: Mapping[str, Any], subject: Subject) -> Mapping[str, str]:
    if "token_env" not in settings and "token_file" not in settings:
        return {}
    credential = Credential(settings.get("token_env", ""), settings.get("token_file", ""))
    return {"Authorization": f"Bearer {login(credential, settings['server'], subject.environ).token}"}


def _trusting(ca_file: str | None) -> Callable[[], ssl.SSLContext]:
    """The machine's authorities, and those of a file."""
    if ca_file is None:
        return web.tls
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except FileNotFoundError as exc:
        raise UnclearError(f"ca_file: no such file: {ca_file}") from exc
    except (OSError, ssl.SSLError) as exc:
        raise UnclearError(f"ca_file: {ca_file} holds no certificates") from exc
    return lambda: context
