"""The check `http`: asks a service once, within deadlines and a size cap, and compares its answer with what is expected.

It sends nothing but a GET, takes nothing from the environment (proxies, netrc), and never prints what may hold a
secret: user info, query strings, bodies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from promotion.model import Health, Reading, Subject
from promotion.said import one_line
from promotion.texts import duration, short
from promotion.web import Answer, Door, Limits, UnansweredError, place

REDIRECTS = 5


def ask(settings: Mapping[str, Any], subject: Subject) -> Reading:
    """GETs `url`: what is expected is healthy, another answer degraded, the old version progressing, no answer unknown."""
    try:
        return _compare(settings, subject, _asked(settings))
    except UnansweredError as exc:
        return _unknown(settings, str(exc))
    except Exception as exc:  # a check never raises (S3), whatever a server makes a library do
        return _unknown(settings, f"failed ({type(exc).__name__})")


def _asked(settings: Mapping[str, Any]) -> Answer:
    total, idle, connect = (
        duration(settings.get(key, default)).total_seconds()
        for key, default in (("timeout", "10s"), ("idle_timeout", "5s"), ("connect_timeout", "5s"))
    )
    limits, begun, url = Limits(connect, idle, total), time.monotonic(), settings["url"]
    with Door() as door:  # one of its own: a service that takes no new connections is not well
        for _ in range(REDIRECTS + 1):
            answer = door.ask("GET", url, limits=limits, begun=begun, wanted=lambda got: got == _expected(settings))
            following = _following(settings, url, answer)
            if following is None:
                return answer
            url = following
    raise UnansweredError(f"more than {REDIRECTS} redirects")


def _following(settings: Mapping[str, Any], url: str, answer: Answer) -> str | None:
    """The next address, if the answer is a redirect that is to be followed."""
    following = answer.location
    if following is None or not settings.get("redirects", False) or answer.status == _expected(settings):
        return None
    if url.lower().startswith("https:") and not following.lower().startswith("https:"):
        raise UnansweredError("redirected from https to an unprotected address")
    return following


def _compare(settings: Mapping[str, Any], subject: Subject, answer: Answer) -> Reading:
    with_status = _expected(settings)
    if answer.status != with_status:
        return Reading(Health.DEGRADED, f"{answer.status}, expected {with_status}")
    fields, version = settings.get("expect_json", {}), settings.get("expect_version")
    if not fields and version is None:
        return Reading(Health.HEALTHY, str(with_status))
    return judge(_parsed(answer.body), fields, version, subject.revision, with_status)


def judge(answer: Any, fields: Mapping[str, Any], version: str | None, revision: str | None, status: int) -> Reading:
    """Compares a JSON answer: the version first, because what an old version says of itself is not about this one (S2)."""
    if version is not None and (reading := _other_version(answer, version, revision)):
        return reading
    for name, expected in fields.items():
        found, got = _field(answer, name)
        if not found:
            return Reading(Health.DEGRADED, f"no {name} in the answer, expected {_show(expected)}")
        if isinstance(got, bool) is not isinstance(expected, bool) or got != expected:
            return Reading(Health.DEGRADED, f"{name} is {_show(got)}, expected {_show(expected)}")
    parts = [str(status), *(f"{name} {_show(expected)}" for name, expected in fields.items())]
    if version is not None:
        parts.append(f"version {short(revision)} deployed")
    return Reading(Health.HEALTHY, one_line(", ".join(parts)))


def _other_version(answer: Any, version: str, revision: str | None) -> Reading | None:
    found, got = _field(answer, version)
    if revision is None:
        return Reading(Health.UNKNOWN, "nothing is deployed that the version could be compared with")
    if not found:
        return Reading(Health.DEGRADED, f"no {version} in the answer, expected {short(revision)}")
    if got == revision:
        return None
    if not isinstance(got, str):
        return Reading(Health.DEGRADED, f"{version} is {_show(got)}, expected {short(revision)}")
    if len(got) == 40 and got.isalnum() and got.isascii():
        return Reading(Health.PROGRESSING, f"{version} is {short(got)}, deployed is {short(revision)}")
    return Reading(Health.PROGRESSING, f"{version} is {_show(got)}, expected the full id of {short(revision)}")


def _field(answer: Any, dotted: str) -> tuple[bool, Any]:
    for name in dotted.split("."):
        if not isinstance(answer, dict) or name not in answer:
            return False, None
        answer = answer[name]
    return True, answer


def _show(value: Any) -> str:
    """A scalar as people write it, cut short; of anything larger only what it is."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, str):
        return f"'{one_line(value, 60)}'"
    return one_line(json.dumps(value), 60)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise UnansweredError("the answer is not JSON") from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("two equal keys")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _expected(settings: Mapping[str, Any]) -> int:
    return int(settings.get("expect_status", 200))


def _unknown(settings: Mapping[str, Any], why: str) -> Reading:
    return Reading(Health.UNKNOWN, f"{place(settings['url'])}: {why}")
