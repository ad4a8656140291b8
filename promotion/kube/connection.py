"""One connection to an API server: signs in, waits where it is told to, says what went wrong; knows no kinds."""

from __future__ import annotations

import json
import logging
import math
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from promotion.errors import ConfigError, TemporaryError
from promotion.kube.access import Access
from promotion.kube.credentials import Credentials, current
from promotion.kube.refusals import refusal
from promotion.web import Answer, Door, Limits, TooLargeError, UnansweredError, UntrustedError

LIMITS = Limits(connect=5.0, idle=15.0, total=30.0, cap=32 << 20)
TRIES = 5
logger = logging.getLogger(__name__)


class Connection:
    """Thread-safe. `reload` reads again how the cluster is reached, when the server does not accept what was read."""

    def __init__(self, reload: Callable[[], Access], environ: Mapping[str, str], limits: Limits = LIMITS) -> None:
        self._reload = reload
        self._environ = environ
        self._limits = limits
        self._lock = threading.Lock()
        self._access = reload()
        self._readings = 1
        self._credentials: Credentials | None = None
        self._door: Door | None = None
        self._retired: Door | None = None
        self._trusts: Any = None

    @property
    def access(self) -> Access:
        return self._access

    @property
    def host(self) -> str:
        """The server, for people."""
        return urlsplit(self._access.server).netloc.rpartition("@")[2]

    def close(self) -> None:
        with self._lock:
            for door in (self._door, self._retired):
                if door:
                    door.close()
            self._door = self._retired = None

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        *,
        doing: str,
        said: str,
        until: float | None = None,
    ) -> dict[str, Any]:
        """What the server answers, by `until` (time.monotonic()). `doing` and `said` are for people: `get`, `Pod shop/web`.

        Raises DeniedError, MissingError, ContestedError, InvalidError, TemporaryError; ConfigError for a server that is not
        trusted; TooLargeError.
        """
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Accept": accept, **({"Content-Type": content_type} if content else {})}
        target = path + ("?" + urlencode(query) if query else "")
        renewed, tries = False, 1
        self._opened()
        begun = time.monotonic()  # to sign in has a deadline of its own
        limits = self._limits if until is None else _shorter(self._limits, until - begun)
        while True:
            reading = self._readings
            try:
                answer = self._once(method, target, headers, content, begun, limits)
            except UntrustedError as exc:
                if renewed:
                    why = f"the server's certificate is not trusted ({str(exc).removeprefix('TLS: ')})"
                    hint = f"the authority comes from {self._access.said}"
                    raise ConfigError(f"cannot {doing} {said}: {why}", where=self.host, hint=hint) from exc
            except TooLargeError:
                raise
            except UnansweredError as exc:
                raise TemporaryError(f"cannot {doing} {said}: {exc}", where=self.host) from exc
            else:
                if answer.status != 401 or renewed:
                    waiting = self._waits(method, answer, begun, limits) if tries < TRIES else None
                    if waiting is None:
                        return self._read(answer, doing, said)
                    tries += 1
                    time.sleep(waiting)
                    continue
            renewed = True
            self._renew(reading)
            begun = time.monotonic()

    def _once(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes, begun: float, limits: Limits
    ) -> Answer:
        door, credentials, server = self._opened()
        if credentials.authorization:
            headers = {**headers, "Authorization": credentials.authorization}
        return door.ask(method, server + target, headers=headers, content=content, limits=limits, begun=begun)

    def _waits(self, method: str, answer: Answer, begun: float, limits: Limits) -> float | None:
        """Seconds to wait before the same is asked again, when the server is busy and there is time for it."""
        # A create may have happened before a 503 was said; a 429 is said before anything is done.
        if answer.status != 429 and (answer.status != 503 or method == "POST" or "retry-after" not in answer.headers):
            return None
        told = answer.headers.get("retry-after", "1")
        seconds = float(told) if told.isascii() and told.isdigit() else 1.0
        return seconds if time.monotonic() + seconds < begun + limits.total else None

    def _read(self, answer: Answer, doing: str, said: str) -> dict[str, Any]:
        if not 200 <= answer.status < 300:
            raise refusal(answer.status, answer.body, doing, said, self.host, self._access.said)
        try:
            read = json.loads(answer.body)
            if not isinstance(read, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as exc:
            raise TemporaryError(
                f"cannot {doing} {said}: the answer is not JSON, or was cut off", where=self.host
            ) from exc
        return read

    # --- who we are ---------------------------------------------------------------------------------------------------

    def _opened(self) -> tuple[Door, Credentials, str]:
        with self._lock:
            access = self._access
            self._credentials = current(access, self._environ, self._credentials)
            client = self._credentials.client
            trusts = (access.server, access.ca, access.insecure, access.server_name, client)
            if self._door is None or self._trusts != trusts:
                self._trusts = trusts
                self._retire()
                self._door = Door(lambda: trusting(access, client), access.server_name)
            return self._door, self._credentials, access.server

    def _retire(self) -> None:
        """Others may still be asking by a door that is replaced: it is closed when the next one is."""
        if self._retired:
            self._retired.close()
        self._retired = self._door

    def _renew(self, reading: int) -> None:
        """Reads everything again that says who we are and whom we trust, unless another thread has, and signs in."""
        with self._lock:
            if self._readings == reading:
                logger.debug("%s: signing in again", self.host)
                self._readings += 1
                self._access = self._reload()
                self._credentials = None
        self._opened()


def _shorter(limits: Limits, seconds: float) -> Limits:
    """In tenths of a second, as they are told."""
    return replace(limits, total=min(limits.total, max(0, math.ceil(seconds * 10)) / 10))


def trusting(access: Access, client: tuple[str, str] | None) -> ssl.SSLContext:
    """Only the given authorities count, as everywhere with Kubernetes; the machine's where none is given. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cadata=access.ca or None)
        # Authorities of clusters lack what newer Pythons ask for; other clients take them, too.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if access.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if client:
            with tempfile.NamedTemporaryFile(
                "w"
            ) as file:  # only its owner may read it, and the library reads files only
                file.write("\n".join(client))
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, OSError, ValueError) as exc:
        raise ConfigError(f"{access.said}: a certificate or key in it is not valid") from exc
    return context
