"""The check `http`, against real servers of every kind of manners."""

from __future__ import annotations

import datetime
import gzip
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import promotion.checks.http as http
from promotion import web
from promotion.model import Health, Reading, Subject

CAP = web.Limits().cap
SHA = "9f8e7d6" + "0" * 33
OLD = "1a2b3c4" + "0" * 33
SUBJECT = Subject("shop", "qa", SHA)

Manners = Callable[[socket.socket, bytes], None]


@contextmanager
def serving(manners: Manners, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server on 127.0.0.1 whose `manners` get each connection and what was sent on it; yields its address."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def one(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                connection.settimeout(20)
                tls = context.wrap_socket(connection, server_side=True) if context else connection
                with tls:
                    head = b""
                    while b"\r\n\r\n" not in head and head[:1] != b"\x16" and (data := tls.recv(4096)):
                        head += data
                    manners(tls, head)

        def accept() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    threads.append(threading.Thread(target=one, args=(listener.accept()[0],)))
                    threads[-1].start()

        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            accepting.join()
            for thread in threads:
                thread.join()


def answer(body: Any = b"", status: int = 200, *headers: str) -> Manners:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *headers))
    return lambda connection, _: connection.sendall(head.encode() + b"\r\n" + data)


def ask(url: str, **settings: Any) -> Reading:
    return http.ask({"url": url, **settings}, SUBJECT)


HEALTHY, DEGRADED, UNKNOWN, PROGRESSING = Health.HEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.PROGRESSING
STATUS = {"expect_json": {"status": "ok"}}
VERSION = {"expect_version": "build.version"}


@pytest.mark.parametrize(
    ("manners", "settings", "health", "reason"),
    [
        (answer(), {}, HEALTHY, "200"),
        (answer(b"x" * CAP), {}, HEALTHY, "200"),
        (answer(b"", 204), {"expect_status": 204}, HEALTHY, "204"),
        (answer(b"down", 503), {}, DEGRADED, "503, expected 200"),
        (answer(b"", 200), {"expect_status": 401}, DEGRADED, "200, expected 401"),
        (answer(b"", 302, "Location: /x"), {}, DEGRADED, "302, expected 200"),
        (answer(b"", 302, "Location: /x"), {"redirects": True, "expect_status": 302}, HEALTHY, "302"),
        (answer({"status": "ok"}), STATUS, HEALTHY, "200, status 'ok'"),
        (answer({"status": "sick"}), STATUS, DEGRADED, "status is 'sick', expected 'ok'"),
        (answer({}), STATUS, DEGRADED, "no status in the answer, expected 'ok'"),
        (answer([1]), STATUS, DEGRADED, "no status in the answer, expected 'ok'"),
        (answer({"status": {"a": 1}}), STATUS, DEGRADED, "status is an object, expected 'ok'"),
        (answer({"a": {"b": 1}}), {"expect_json": {"a.b": 1}}, HEALTHY, "200, a.b 1"),
        (answer({"a": {"b": 1}}), {"expect_json": {"a.b": True}}, DEGRADED, "a.b is 1, expected true"),
        (answer({"up": True}), {"expect_json": {"up": 1}}, DEGRADED, "up is true, expected 1"),
        (answer({"n": "1"}), {"expect_json": {"n": 1}}, DEGRADED, "n is '1', expected 1"),
        (answer({"n": None}), {"expect_json": {"n": None}}, HEALTHY, "200, n null"),
        (answer({}), {"expect_json": {"n": None}}, DEGRADED, "no n in the answer, expected null"),
        (answer({"n": 0}), {"expect_json": {"n": False}}, DEGRADED, "n is 0, expected false"),
        (answer({"build": {"version": SHA}}), VERSION, HEALTHY, "200, version 9f8e7d6 deployed"),
        (answer({"build": {"version": OLD}}), VERSION, PROGRESSING, "build.version is 1a2b3c4, deployed is 9f8e7d6"),
        (
            answer({"build": {"version": SHA[:7]}}),
            VERSION,
            PROGRESSING,
            "build.version is '9f8e7d6', expected the full id of 9f8e7d6",
        ),
        (answer({"build": {"version": 9}}), VERSION, DEGRADED, "build.version is 9, expected 9f8e7d6"),
        (answer({"build": 1}), VERSION, DEGRADED, "no build.version in the answer, expected 9f8e7d6"),
        # what an old version says of itself is not about the deployed one
        (answer({"status": "sick", "build": {"version": OLD}}), STATUS | VERSION, PROGRESSING, None),
        (answer({"status": "sick", "build": {"version": SHA}}), STATUS | VERSION, DEGRADED, None),
        (answer(b"<html>"), STATUS, UNKNOWN, "the answer is not JSON"),
        (answer(b""), STATUS, UNKNOWN, "the answer is not JSON"),
        (answer(b"[" * 200_000), STATUS, UNKNOWN, "the answer is not JSON"),
        (answer(b'{"status": NaN}'), STATUS, UNKNOWN, "the answer is not JSON"),
        (answer(b'{"status": ' + b"9" * 9000 + b"}"), STATUS, UNKNOWN, "the answer is not JSON"),
        (answer(b'{"status": "sick", "status": "ok"}'), STATUS, UNKNOWN, "the answer is not JSON"),
        (answer(b"\xff\xfe\xfa"), STATUS, UNKNOWN, "the answer is not JSON"),
        (answer(b"x" * (CAP + 1)), {}, UNKNOWN, "an answer of more than 1 MiB"),
        (
            answer(gzip.compress(b"\0" * (64 << 20)), 200, "Content-Encoding: gzip"),
            {},
            UNKNOWN,
            "a compressed answer, which was not asked for",
        ),
        (lambda c, _: c.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), {}, UNKNOWN, "the answer is not HTTP, or was cut off"),
        (lambda c, _: c.close(), {}, UNKNOWN, "the answer is not HTTP, or was cut off"),
        (
            lambda c, _: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"),
            {},
            UNKNOWN,
            "the answer is not HTTP, or was cut off",
        ),
        (
            lambda c, _: c.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n"),
            {},
            UNKNOWN,
            "the answer is not HTTP, or was cut off",
        ),
    ],
)
def test_answers(manners: Manners, settings: dict[str, Any], health: Health, reason: str | None) -> None:
    """Only the expected answer is healthy; another one is degraded; what cannot be compared is unknown."""
    with serving(manners) as url:
        reading = ask(f"{url}/healthz", **settings)
        assert reading.health is health, reading
        if reason is not None:
            assert reading.reason.removeprefix(f"{url}/healthz: ") == reason


def test_an_endless_body_is_cut() -> None:
    """The cap is on what is read, not on what was announced."""

    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with serving(endless) as url:
        assert ask(url).reason.endswith("more than 1 MiB")


def test_a_wrong_status_needs_no_body() -> None:
    """An answer is an answer, even if its body never ends."""

    def stuck(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n")
        connection.recv(1)

    with serving(stuck) as url:
        assert ask(url) == Reading(DEGRADED, "500, expected 200")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"], ids=["head", "body"])
def test_a_dripping_server_meets_the_total_deadline(head: bytes) -> None:
    """A byte now and then never lets the idle deadline pass; the total one does, and the connection is ended."""
    ended = threading.Event()

    def drip(connection: socket.socket, _: bytes) -> None:
        try:
            connection.sendall(head)
            for byte in b"HTTP/1.1 200 " + b"x" * 1000:
                connection.sendall(bytes([byte]))
                connection.settimeout(0.05)
                with suppress(TimeoutError):
                    if not connection.recv(1):
                        break
        finally:
            ended.set()

    with serving(drip) as url:
        reading = ask(url, timeout="1s", idle_timeout="30s")
        assert reading == Reading(UNKNOWN, f"{url}: no complete answer within 1s")
        assert ended.wait(10), "the connection stayed open"


def test_a_silent_server_meets_the_idle_deadline() -> None:
    """Accepting a connection is no answer."""

    def silent(connection: socket.socket, _: bytes) -> None:
        connection.recv(1)

    with serving(silent) as url:
        assert ask(url, idle_timeout="1s") == Reading(UNKNOWN, f"{url}: nothing heard for 1s")


def test_a_silent_server_meets_the_total_deadline() -> None:
    """Where nothing may be heard for longer than all of it may take."""

    def silent(connection: socket.socket, _: bytes) -> None:
        connection.recv(1)

    with serving(silent) as url:
        reading = ask(url, timeout="1s", idle_timeout="10s")
    assert reading == Reading(UNKNOWN, f"{url}: no complete answer within 1s")


def test_no_server_and_no_name() -> None:
    """A refused connection and a name that does not exist are no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert ask(url) == Reading(UNKNOWN, f"{url}: connection refused")
    assert ask("http://shop.invalid/x").health is UNKNOWN


def test_a_full_backlog_meets_the_connect_deadline() -> None:
    """A machine that drops packets is not waited for longer than said."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            reading = ask(f"http://127.0.0.1:{port}", connect_timeout="1s")
        finally:
            for each in waiting:
                each.close()
    assert reading == Reading(UNKNOWN, f"http://127.0.0.1:{port}: no connection within 1s")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://[::bad/", "", "http://", "http://x:99999999/"])
def test_nonsense_is_unknown(url: str) -> None:
    """A check never raises."""
    assert ask(url).health is UNKNOWN


def _redirecting(hops: int) -> Manners:
    def manners(connection: socket.socket, head: bytes) -> None:
        count = int(head.split()[1].strip(b"/") or b"0")
        if count == hops:
            answer({"status": "ok"})(connection, head)
        else:
            answer(b"", 302, f"Location: /{count + 1}")(connection, head)

    return manners


def test_redirects_when_asked_for() -> None:
    """Five are followed, six are not; without being asked for, none is."""
    with serving(_redirecting(1)) as url:
        assert ask(url, **STATUS) == Reading(DEGRADED, "302, expected 200")
    with serving(_redirecting(5)) as url:
        assert ask(url, redirects=True, **STATUS).health is HEALTHY
    with serving(_redirecting(6)) as url:
        assert ask(url, redirects=True, **STATUS) == Reading(UNKNOWN, f"{url}: more than 5 redirects")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new key and its own certificate for 127.0.0.1, in one file."""
    return _certificate(tmp_path_factory.mktemp("tls") / "server.pem")


def test_a_certificate_nobody_vouches_for(certificate: Path) -> None:
    """TLS faults are no answer, and say what is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(answer(), context) as url:
        assert ask(url) == Reading(UNKNOWN, f"{url}: TLS: self-signed certificate")
    with serving(answer()) as url:
        assert ask(url.replace("http", "https")).reason.partition(": ")[2].startswith("TLS: ")


def test_trusted_tls_works_and_is_never_left(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own authorities count; a redirect to an unprotected address is refused."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    web.tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    try:
        with serving(answer(), context) as url:
            assert ask(url) == Reading(HEALTHY, "200")
        with serving(answer()) as plain, serving(answer(b"", 307, f"Location: {plain}"), context) as url:
            said = "redirected from https to an unprotected address"
            assert ask(url, redirects=True) == Reading(UNKNOWN, f"{url}: {said}")
    finally:
        web.tls.cache_clear()


def test_secrets_of_a_url_are_never_said(caplog: pytest.LogCaptureFixture) -> None:
    """User info and query strings reach the server, and neither reasons nor logs."""
    caplog.set_level(logging.DEBUG)
    heard: list[bytes] = []

    def listen(connection: socket.socket, head: bytes) -> None:
        heard.append(head)
        (answer() if b"well" in head else answer(b"<token=canary>"))(connection, head)

    with serving(listen) as url:
        secret = url.replace("http://", "http://bob:canary@") + "/healthz?token=canary#canary"
        reading = ask(secret, **STATUS)
        assert reading.reason.startswith(f"{url}/healthz: ")
        assert ask(secret.replace("healthz", "well")).health is HEALTHY
    assert b"token=canary" in heard[0]
    assert b"Authorization: Basic" in heard[0]
    assert "canary" not in reading.reason + caplog.text
    assert web.place("http://bob:p@ss@host:1/a?b@c/d") == "http://host:1/a"


def test_bodies_are_never_dumped() -> None:
    """A field of an answer is cut short and cannot act on a terminal."""
    with serving(answer({"status": "\x1b[2J\u202e" + "x" * 5000})) as url:
        reason = ask(url, **STATUS).reason
    assert reason.isprintable()
    assert len(reason) < 120


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxies and netrc of the machine decide nothing."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login bob password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    heard: list[bytes] = []

    def listen(connection: socket.socket, head: bytes) -> None:
        heard.append(head)
        answer()(connection, head)

    with serving(listen) as url:
        assert ask(url).health is HEALTHY
    assert b"uthorization" not in heard[0]
    assert b"Accept-Encoding: identity" in heard[0]


def test_nothing_deployed_is_no_version() -> None:
    """Without a deployed revision no version is the right one."""
    with serving(answer({"build": {"version": None}})) as url:
        reading = http.ask({"url": url, **VERSION}, Subject("shop", "qa", None))
    assert reading.health is UNKNOWN


def test_many_at_once() -> None:
    """Checks are asked in parallel, each with its own answer."""
    with serving(_redirecting(0)) as good, serving(answer(b"", 500)) as bad, ThreadPoolExecutor(16) as pool:
        readings = list(pool.map(lambda url: ask(url, **STATUS).health, [good, bad] * 24))
    assert readings == [HEALTHY, DEGRADED] * 24


def test_importing_the_check_does_not_import_httpx() -> None:
    """`promotion status` asks nobody and must not pay for the library."""
    code = "import promotion.checks.http, sys; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _certificate(path: Path) -> Path:
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, *form) + built.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(pem)
    return path
