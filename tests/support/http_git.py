"""A real Git host over HTTP on loopback: `git http-backend` behind a small server, with tokens, branch rules and faults.

    with GitHost(folder, [Token("bot", SECRET, write=("env/dev", "promotion/*"))]) as host:
        url = host.url("shop")                        # folder/shop.git, which `Origin.create` makes
        host.faults.append(Fault("git-receive-pack", status=503, retry_after=7, times=1))
        ...
        host.asked                                    # every request, with who made it and what it was answered

Without tokens everybody may do everything. With tokens: no credential, or an unknown one, gets 401; a repository that
the token does not `see` 404; fetching without `read`, and pushing without any `write`, 403. Which branches a push may
change is decided as hosts do it, by a pre-receive hook that knows who pushes: `write` are shell patterns of branches
(`*` also takes `/`), and a push with any other ref is refused as a whole. The repository's own hooks run after that.

A `Fault` is for requests whose "METHOD /path?query" has its `match` in it; the first that matches and is not used up
counts, once `times` is 0 it is over; the first `after` of its requests pass. What it does, in this order: wait `delay` seconds; answer a `status` (with
`retry_after`), or `redirect` to another address (a prefix: path and query are added); `cut_request`: let git see only so
many bytes of the request's body, then drop the connection; `cut_response`: let git finish, then send only so many bytes
of its answer's body and drop the connection (-1: not even the head: a push has landed, and nobody is told); `stall`: send
so many bytes of the body and no more, until the client or the host goes. A wait ends when the host stops.

`host.stop()` and `host.start()` are a host that goes away and comes back at the same port. `GitHost(..., tls=(cert, key))`
speaks https; `certificate(folder)` makes such a pair, which is its own CA.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import cast
from urllib.parse import urlsplit

HOOKS = ("pre-receive", "update", "post-receive", "post-update", "reference-transaction")
RULE = """\
#!/bin/sh
# the host's own rule: which branches the one who pushes may change
pushed=$(cat)
refused=$(printf '%s\\n' "$pushed" | while read -r old new ref; do
  allowed=
  set -f
  for pattern in $MAY_WRITE; do
    case ${ref#refs/heads/} in $pattern) allowed=yes;; esac
  done
  [ "$allowed" ] || echo "$ref"
done)
if [ "$refused" ]; then
  echo "$REMOTE_USER may not write" $refused >&2
  exit 1
fi
[ ! -x hooks/pre-receive ] || printf '%s\\n' "$pushed" | hooks/pre-receive
"""
OWN = """\
#!/bin/sh
[ ! -x hooks/{name} ] || exec hooks/{name} "$@"
"""


@dataclass(frozen=True, slots=True)
class Token:
    """A credential of the host: whose it is, and what it may do. `user` is the one name it is good with (None: any)."""

    who: str
    secret: str
    write: tuple[str, ...] = ()
    read: bool = True
    user: str | None = None
    sees: tuple[str, ...] = ("*",)


@dataclass(slots=True)
class Fault:
    """What goes wrong with some requests; the module says how."""

    match: str = ""
    status: int | None = None
    retry_after: int | None = None
    redirect: str | None = None
    delay: float = 0.0
    cut_request: int | None = None
    cut_response: int | None = None
    stall: int | None = None
    times: int | None = None
    """How often; None: until it is taken away."""
    after: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `status` is what it was answered, None when the connection was dropped."""

    method: str
    path: str
    who: str | None
    authorization: str | None
    status: int | None


@dataclass
class GitHost:
    """Serves the bare repositories of a folder; see the module."""

    folder: Path
    tokens: Sequence[Token] = ()
    tls: tuple[Path, Path] | None = None
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    environ: Mapping[str, str] = field(default_factory=dict)
    """Further variables of the host's git processes."""
    port: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    _server: _Server | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> GitHost:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def url(self, name: str, user: str = "") -> str:
        """The address of folder/NAME.git."""
        return f"{self.address}/{name}.git".replace("://", f"://{user}@" if user else "://")

    @property
    def address(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._write_hooks()
        self.stopping = threading.Event()
        server = _Server(("127.0.0.1", self.port), _Handler)
        server.host = self
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), name="git-host", daemon=True).start()

    def stop(self) -> None:
        """Refuses new connections and drops those that are open."""
        if self._server is None:
            return
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.drop()
        self._server = None

    def fault(self, line: str) -> Fault | None:
        """The fault that this request meets; it is used up by one."""
        with self._lock:
            for fault in self.faults:
                if fault.match in line and fault.times != 0:
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times = fault.times and fault.times - 1
                    return fault
        return None

    def note(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)

    @property
    def hooks(self) -> Path:
        return self.folder / ".host-hooks"

    def _write_hooks(self) -> None:
        self.hooks.mkdir(parents=True, exist_ok=True)
        for name in HOOKS:
            (self.hooks / name).write_text(RULE if name == "pre-receive" else OWN.format(name=name))
            (self.hooks / name).chmod(0o755)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, made by openssl; the certificate is also the CA to trust."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "host.crt", folder / "host.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    host: GitHost

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        with self.host._lock:
            self._open().add(connection)
        return connection, address

    def shutdown_request(self, request: object) -> None:
        with self.host._lock:
            self._open().discard(cast(socket.socket, request))
        super().shutdown_request(request)  # type: ignore[arg-type]

    def drop(self) -> None:
        """Ends the open connections; the threads that have them close them."""
        with self.host._lock:
            for connection in self._open():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # clients that go away are what is tested here
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def _open(self) -> set[socket.socket]:
        return cast(set[socket.socket], self.__dict__.setdefault("connections", set()))


class _Dropped(OSError):
    """The connection ends here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        host, token = self.server.host, self._token()
        fault = host.fault(f"{self.command} {self.path}")
        status: int | None = None
        try:
            body = b"".join(self._body())
            if fault and fault.delay:
                host.stopping.wait(fault.delay)
            if host.stopping.is_set():
                raise _Dropped
            status = self._answer(body, token, fault)
        except OSError:
            self._drop()
        finally:
            who, said = token.who if token else None, self.headers.get("Authorization")
            host.note(Asked(self.command, self.path, who, said, status))

    def _answer(self, body: bytes, token: Token | None, fault: Fault | None) -> int:
        if fault and fault.status:
            extra = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
            if fault.status == 401:
                extra["WWW-Authenticate"] = 'Basic realm="git"'
            return self._say(fault.status, extra)
        if fault and fault.redirect:
            return self._say(302, {"Location": f"{fault.redirect}{self.path}"})
        if refused := self._refused(token):
            return self._say(refused, {"WWW-Authenticate": 'Basic realm="git"'} if refused == 401 else {})
        if fault and fault.cut_request is not None:
            self._backend(body[: fault.cut_request], token)
            raise _Dropped
        head, _, answer = self._backend(body, token).partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("latin-1").splitlines())
        status = int(fields.pop("Status", "200").split()[0])
        if fault and fault.cut_response == -1:
            raise _Dropped
        self._head(status, fields, len(answer))
        most = fault and (fault.cut_response if fault.cut_response is not None else fault.stall)
        self.wfile.write(answer if most is None else answer[:most])
        self.wfile.flush()
        if fault and fault.cut_response is not None:
            raise _Dropped
        if fault and fault.stall is not None:
            self._wait_for_an_end()
            raise _Dropped
        return status

    def _token(self) -> Token | None:
        kind, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if kind.lower() != "basic":
            return None
        user, _, secret = base64.b64decode(given).decode("utf-8", "replace").partition(":")
        known = (t for t in self.server.host.tokens if t.secret == secret and t.user in (None, user))
        return next(known, None)

    def _refused(self, token: Token | None) -> int | None:
        if not self.server.host.tokens:
            return None
        if token is None:
            return 401
        name = urlsplit(self.path).path.split("/")[1].removesuffix(".git")
        if not any(fnmatchcase(name, pattern) for pattern in token.sees):
            return 404
        allowed = token.write if "git-receive-pack" in self.path else token.read
        return None if allowed else 403

    def _body(self) -> Iterator[bytes]:
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield self._exactly(size)
                self.rfile.readline()
            self.rfile.readline()
        elif size := int(self.headers.get("Content-Length") or 0):
            yield self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise _Dropped
        return data

    def _backend(self, body: bytes, token: Token | None) -> bytes:
        host, parts = self.server.host, urlsplit(self.path)
        config = {"core.hooksPath": str(host.hooks), "http.receivepack": "true", "safe.directory": "*"}
        config |= {"uploadpack.allowFilter": "true", "uploadpack.allowAnySHA1InWant": "true"}
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(host.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": str(len(config)),
            **{f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(config)},
            **{f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(config.values())},
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            "REMOTE_USER": token.who if token else "anybody",
            "REMOTE_ADDR": "127.0.0.1",
            "MAY_WRITE": " ".join(token.write) if token else "*",
            **host.environ,
        }
        done = subprocess.run(["git", "http-backend"], env=environ, input=body, capture_output=True, check=False)
        return done.stdout

    def _say(self, status: int, extra: Mapping[str, str]) -> int:
        words = b"" if status < 400 else b"the host says %d\n" % status
        self._head(status, {"Content-Type": "text/plain", **extra}, len(words))
        self.wfile.write(words)
        return status

    def _head(self, status: int, fields: Mapping[str, str], size: int) -> None:
        self.send_response(status)
        for key, value in fields.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(size))
        self.send_header("Connection", "close")  # curl asks again when a connection that it used before is dropped
        self.end_headers()

    def _wait_for_an_end(self) -> None:
        self.connection.settimeout(0.1)
        while not self.server.host.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue

    def _drop(self) -> None:
        """As a network does it: the other side sees a reset, not an end."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
