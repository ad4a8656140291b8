"""A stand-in for Argo CD's own API over HTTP: Applications in memory, a token, faults on demand, and what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "argo-token-for-tests"


@dataclass
class ArgoServer:
    """`asked` has each request's method, path and query; `pushes` the headers and body of each push event."""

    url: str = ""
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    token: str | None = TOKEN
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    pushes: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: tuple[int, bytes] | None = None
    """Answered to everything, when it is set."""
    cut: bool = False

    def put(self, *apps: dict[str, Any]) -> None:
        self.apps |= {app["metadata"]["name"]: app for app in apps}

    def answer(self, path: str, query: dict[str, str], authorization: str | None) -> tuple[int, bytes]:
        if self.refused:
            return self.refused
        if self.token and authorization != f"Bearer {self.token}":
            return 401, _error(16, "invalid session: token has invalid claims: token is expired")
        name = unquote(path.removeprefix("/api/v1/applications")).removeprefix("/")
        if not name:
            pairs = [pair.split("=") for pair in query.get("selector", "").split(",") if pair]
            chosen = [a for a in self.apps.values() if all(a["metadata"]["labels"].get(k) == v for k, v in pairs)]
            return 200, json.dumps({"metadata": {}, "items": chosen or None}).encode()
        if name not in self.apps:
            return 404, _error(5, f'applications.argoproj.io "{name}" not found')
        return 200, json.dumps(self.apps[name]).encode()


def _error(code: int, message: str) -> bytes:
    return json.dumps({"error": message, "code": code, "message": message}).encode()


@contextmanager
def argo_server() -> Iterator[ArgoServer]:
    made = ArgoServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            made.asked.append(("GET", parts.path, query))
            self._say(*made.answer(parts.path, query, self.headers.get("Authorization")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append(("POST", self.path, {}))
            made.pushes.append((dict(self.headers), body))
            self._say(*(made.refused or (200, b"")))

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if made.cut else body)
            if made.cut:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
