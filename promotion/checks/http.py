"""The check `http`: asks a service once, within deadlines and a size cap, and compares its answer with what is expected.

It sends nothing but a GET, takes nothing from the environment (proxies, netrc), and never prints what may hold a
secret: user info, query strings, bodies.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from promotion.checks.said import one_line
from promotion.model import Health, Reading, Subject
from promotion.texts import duration, short, span

if TYPE_CHECKING:
    import httpx

CAP = 1 << 20
"""Bytes of an answer's body."""
REDIRECTS = 5
HEADERS = {"Accept-Encoding": "identity", "Cache-Control": "no-cache", "User-Agent": "promotion"}


class UnclearError(Exception):
    """There was no answer that could be compared."""


@dataclass(slots=True)
class Exchange:
    """One question in flight, shared by the thread that asks and the one that watches the total deadline."""

    deadline: float
    reading: Reading | None = None
    stream: Any = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpx calls this at each step: learns the socket, and ends what goes on after the deadline."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self.lock:
                self.stream = info["return_value"]
        if time.monotonic() > self.deadline:
            raise UnclearError("too late")

    def abort(self) -> None:
        with self.lock, suppress(OSError, AttributeError):
            self.stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def ask(settings: Mapping[str, Any], subject: Subject) -> Reading:
    """GETs `url`: what is expected is healthy, another answer degraded, the old version progressing, no answer unknown."""
    total = duration(settings.get("timeout", "10s"))
    exchange = Exchange(time.monotonic() + total.total_seconds())
    # httpx limits each step only, and nothing limits a name's look-up: this thread is what the total deadline ends.
    asking = threading.Thread(target=_answer, args=(settings, subject, exchange), daemon=True)
    asking.start()
    asking.join(total.total_seconds())
    if exchange.reading is not None:
        return exchange.reading
    exchange.abort()
    return _unknown(settings, f"no complete answer within {span(total)}")


def _answer(settings: Mapping[str, Any], subject: Subject, exchange: Exchange) -> None:
    try:
        exchange.reading = _ask(settings, subject, exchange)
    except UnclearError as exc:
        exchange.reading = _unknown(settings, str(exc))
    except Exception as exc:  # a check never raises (S3), whatever a server makes a library do
        exchange.reading = _unknown(settings, _why(exc, settings))


def _ask(settings: Mapping[str, Any], subject: Subject, exchange: Exchange) -> Reading:
    # Here and not at the top: it costs 90 ms, and `promotion status` asks nobody.
    import httpx

    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)  # below that they write whole URLs and headers
    idle, connect = (duration(settings.get(f"{name}_timeout", "5s")).total_seconds() for name in ("idle", "connect"))
    timeout = httpx.Timeout(idle, connect=connect)
    with httpx.Client(trust_env=False, verify=_tls(), timeout=timeout, headers=HEADERS) as client:
        request = client.build_request("GET", settings["url"])
        for _ in range(REDIRECTS + 1):
            request.extensions = {**request.extensions, "trace": exchange.trace}
            response = client.send(request, stream=True)
            following = _following(settings, response)
            if following is None:
                return _compare(settings, subject, response)
            response.close()
            request = following
    raise UnclearError(f"more than {REDIRECTS} redirects")


@cache
def _tls() -> ssl.SSLContext:
    """Trusts the machine's authorities, private ones too, and the well-known ones for machines that have none."""
    import httpx

    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def _following(settings: Mapping[str, Any], response: httpx.Response) -> httpx.Request | None:
    """The next request, if the answer is a redirect that is to be followed."""
    following = response.next_request
    if following is None or not settings.get("redirects", False) or response.status_code == _expected(settings):
        return None
    if response.request.url.scheme == "https" and following.url.scheme != "https":
        raise UnclearError("redirected from https to an unprotected address")
    return following


def _compare(settings: Mapping[str, Any], subject: Subject, response: httpx.Response) -> Reading:
    with_status = _expected(settings)
    if response.status_code != with_status:
        response.close()
        return Reading(Health.DEGRADED, f"{response.status_code}, expected {with_status}")
    body = _body(response)
    fields, version = settings.get("expect_json", {}), settings.get("expect_version")
    if not fields and version is None:
        return Reading(Health.HEALTHY, str(with_status))
    return judge(_parsed(body), fields, version, subject.revision, with_status)


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


def _body(response: httpx.Response) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnclearError("a compressed answer, which was not asked for")
    body = bytearray()
    for chunk in response.iter_raw(1 << 16):
        body += chunk
        if len(body) > CAP:
            raise UnclearError("an answer of more than 1 MiB")
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise UnclearError("the answer is not JSON") from exc


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


def place(url: str) -> str:
    """A URL without user info, query and fragment: they may hold tokens."""
    head = url.split("?", 1)[0].split("#", 1)[0]
    scheme, _, rest = head.partition("://")
    host, slash, path = rest.partition("/")
    return one_line(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}")


def _why(exc: BaseException, settings: Mapping[str, Any]) -> str:
    """What went wrong in words of ours: a library's may hold the URL."""
    import httpx

    if isinstance(exc, httpx.ConnectTimeout):
        return f"no connection within {span(duration(settings.get('connect_timeout', '5s')))}"
    if isinstance(exc, httpx.TimeoutException):
        return f"nothing heard for {span(duration(settings.get('idle_timeout', '5s')))}"
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return one_line(f"TLS: {getattr(cause, 'verify_message', None) or cause.reason or 'failed'}")
        if isinstance(cause, OSError) and cause.strerror:
            return one_line(cause.strerror.lower())
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, httpx.ProtocolError):
        return "the answer is not HTTP, or was cut off"
    return f"failed ({type(exc).__name__})"
