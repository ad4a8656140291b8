"""The check `metric`, against a server that answers as Prometheus does, and as it never should."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from promotion.checks import metric
from promotion.model import Health, Reading, Subject
from tests.test_checks_http import _certificate

SHA = "9f8e7d6" + "0" * 33
HEALTHY, DEGRADED, UNKNOWN, PROGRESSING = Health.HEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.PROGRESSING
TOKEN = "tok-3n-of-mine"


NOW = "when it is asked"


def vector(*values: str, at: float | str = NOW, **more: Any) -> bytes:
    result = [{"metric": {"n": str(i)}, "value": [at, value]} for i, value in enumerate(values)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}).encode()


@dataclass
class Stub:
    """Answers the instant question with `now`, and each moment of a window with `then`, but for those left out."""

    now: bytes = b""
    status: int = 200
    then: str = "0"
    left_out: int = 0
    cut: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], str | None]] = field(default_factory=list)
    url: str = ""

    def body(self, path: str, words: dict[str, str]) -> bytes:
        if not path.endswith("/query_range"):
            return (self.now or vector("0")).replace(json.dumps(NOW).encode(), str(time.time()).encode())
        moments = range(
            int(words["start"]) + self.left_out * int(words["step"]), int(words["end"]) + 1, int(words["step"])
        )
        result = [{"metric": {"n": "0"}, "values": [[at, self.then] for at in moments]}]
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


@contextmanager
def serving(stub: Stub, context: ssl.SSLContext | None = None) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            words = {key: values[0] for key, values in parse_qs(parts.query).items()}
            stub.asked.append((parts.path, words, self.headers["Authorization"]))
            body = stub.body(parts.path, words)
            self.send_response(stub.status)
            for name, value in {"Content-Length": str(len(body)), **stub.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:10] if stub.cut else body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that does not trust us goes away

    with Server(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        stub.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()


def ask(stub: Stub, environ: dict[str, str] | None = None, revision: str | None = SHA, **settings: Any) -> Reading:
    written = {"server": stub.url, "query": "e", "expect": "< 0.01"} | {k.rstrip("_"): v for k, v in settings.items()}
    return metric.ask(written, Subject("shop", "qa", revision, environ=environ or {}))


def partial(**more: Any) -> bytes:
    return vector("0", **more)


@pytest.mark.parametrize(
    ("stub", "settings", "health", "reason"),
    [
        (Stub(vector("0.001")), {}, HEALTHY, "0.001 < 0.01"),
        (Stub(vector("0.001", "0")), {}, HEALTHY, "all 2 series < 0.01"),
        (Stub(vector("0", "0.5")), {}, DEGRADED, '{n="1"} is 0.5, expected < 0.01'),
        (Stub(vector("0")), {"for_": "10m"}, HEALTHY, "0 < 0.01 for 10m"),
        (Stub(vector("0"), then="0.5"), {"for_": "10m"}, DEGRADED, "0.5, expected < 0.01"),
        (Stub(vector("0.5")), {"for_": "10m"}, DEGRADED, '0.5, expected < 0.01'),
        (Stub(vector("0"), left_out=100), {"for_": "10m"}, PROGRESSING, "< 0.01 for 5m of 10m"),
    ],
)  # fmt: skip
def test_numbers(stub: Stub, settings: dict[str, Any], health: Health, reason: str) -> None:
    """What is expected is healthy, another number degraded, not long enough progressing."""
    with serving(stub):
        assert ask(stub, **settings) == Reading(health, reason)


PARSE = b'{"status":"error","errorType":"bad_data","error":"invalid parameter \\"query\\": parse error"}'


@pytest.mark.parametrize(
    ("stub", "reason"),
    [
        (Stub(vector()), "the query finds nothing"),
        (Stub(vector("NaN")), "nan, which is no number to compare"),
        (Stub(vector("+Inf")), "inf, which is no number to compare"),
        (Stub(partial(warnings=["a store is away"])), "answered with warnings: a store is away"),
        (Stub(partial(infos=["ignored histograms"])), "answered with infos: ignored histograms"),
        (Stub(partial(isPartial=True)), "a part of the answer is missing"),
        (Stub(PARSE), 'no success: invalid parameter "query": parse error'),
        (Stub(PARSE, 400), '400: invalid parameter "query": parse error'),
        (Stub(b"not here", 404), "404, and no number"),
        (Stub(b"", 401), "401, and no number"),
        (Stub(vector("0"), 500), "500, and no number"),
        (Stub(vector("0"), 503), "503, and no number"),
        (Stub(vector("0"), 206), "206, and no number"),
        (Stub(vector("0"), 302, headers={"Location": "/login"}), "302, and no number"),
        (Stub(vector("0"), cut=True), "the answer is not HTTP, or was cut off"),
        (Stub(vector("0")[:-9]), "the answer is not JSON"),
        (Stub(b"<html>"), "the answer is not JSON"),
        (Stub(b" " * (metric.CAP + 1)), "an answer of more than 8 MiB"),
        (Stub(vector("0", at=time.time() - 3600)),
         "answers by another time than ours: a clock is wrong, or the answer is an old one"),
    ],
)  # fmt: skip
def test_whatever_is_no_whole_number_never_passes(stub: Stub, reason: str) -> None:
    """Neither now nor for a while: it is unknown, in one line without what the query was."""
    with serving(stub):
        for settings in ({}, {"for_": "1m"}):
            reading = ask(stub, query="secret_query", **settings)
            assert (reading.health, reading.reason.removeprefix(f"{stub.url}: ")) == (UNKNOWN, reason)
            assert "secret_query" not in reading.reason


def test_nobody_answers() -> None:
    """Nobody listens, nobody speaks, or not in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stub = Stub(url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert ask(stub, timeout="1s") == Reading(UNKNOWN, f"{stub.url}: no complete answer within 1s")
    assert ask(stub) == Reading(UNKNOWN, f"{stub.url}: connection refused")


def test_what_is_asked() -> None:
    """The revision is filled in; a window ends at the server's own time, in whole seconds."""
    at = time.time() - 30
    with serving(Stub(vector("0", at=at))) as stub:
        assert (
            ask(stub, server=f"{stub.url}/prom/", query='e{r="{revision}",b="{x}"} + 1', for_="10m").health is HEALTHY
        )
        (first, now, _), (second, then, _) = stub.asked
        assert (first, now) == ("/prom/api/v1/query", {"query": f'e{{r="{SHA}",b="{{x}}"}} + 1'})
        assert second == "/prom/api/v1/query_range"
        assert then == now | {"start": str(int(at) - 600), "end": str(int(at)), "step": "3"}


def test_nothing_deployed_is_no_revision() -> None:
    """And asks nothing."""
    with serving(Stub()) as stub:
        assert ask(stub, revision=None, query='e{r="{revision}"}').health is UNKNOWN
        assert not stub.asked


def test_tokens_are_read_where_they_are_used(tmp_path: Path) -> None:
    """From a variable or a file, at each question; without one, nothing is asked, and the line says which is missing."""
    file = tmp_path / "token"
    with serving(Stub()) as stub:
        assert ask(stub, {"PROM": f"{TOKEN}\n"}, token_env="PROM").health is HEALTHY
        file.write_text("another\n")
        assert ask(stub, token_file=str(file)).health is HEALTHY
        assert [asked[2] for asked in stub.asked] == [f"Bearer {TOKEN}", "Bearer another"]
        missing = ask(stub, {"OTHER": TOKEN}, token_env="PROM")
        assert missing == Reading(UNKNOWN, f"{stub.url}: token_env PROM: no such variable")
        odd = ask(stub, {"PROM": "ä\x00b"}, token_env="PROM")
        assert odd == Reading(UNKNOWN, f"{stub.url}: token_env PROM: is not text that can be sent")
        file.unlink()
        assert ask(stub, token_file=str(file)).reason == f"{stub.url}: token_file {file}: no such file"
        assert len(stub.asked) == 2


def test_who_vouches_for_the_server(tmp_path: Path) -> None:
    """The machine's authorities, and those that `ca_file` names; nobody asks a server that nobody vouches for."""
    mine = _certificate(tmp_path / "mine.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mine)
    with serving(Stub(), context) as stub:
        assert ask(stub, ca_file=str(mine)).health is HEALTHY
        asked = len(stub.asked)
        untrusted = ask(stub)
        assert untrusted.health is UNKNOWN
        assert "certificate" in untrusted.reason
        assert ask(stub, ca_file=str(tmp_path / "none")).reason.endswith(f"ca_file: no such file: {tmp_path}/none")
        (tmp_path / "odd").write_text("no certificate")
        assert ask(stub, ca_file=str(tmp_path / "odd")).reason.endswith(
            f"ca_file: {tmp_path}/odd holds no certificates"
        )
        assert len(stub.asked) == asked
