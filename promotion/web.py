"""The one door to the web: asks over HTTP within deadlines and a size cap, on connections that are kept; knows no service.

It takes nothing from the environment (proxies, netrc), follows no redirect by itself, and never says what may hold a
secret: user info, query strings, headers, bodies.
"""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, cast

from promotion.said import one_line
from promotion.wire import Limits, TooLargeError, UnansweredError, UntrustedError, Wire, late, why

__all__ = ["Answer", "Door", "Limits", "TooLargeError", "UnansweredError", "UntrustedError", "place", "tls"]

if TYPE_CHECKING:
    import httpcore
    import httpx

HEADERS = {"Accept-Encoding": "identity", "Cache-Control": "no-cache", "User-Agent": "promotion"}
CONNECTIONS = 16
KEPT_SECONDS = 60.0
USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, or its head when its body was not wanted. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    location: str | None = field(default=None, repr=False)
    """Where a redirect leads."""


@cache
def tls() -> ssl.SSLContext:
    """Trusts the machine's authorities, private ones too, and the well-known ones for machines that have none."""
    import httpx

    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def place(url: str) -> str:
    """A URL without user info, query and fragment: they may hold tokens."""
    head = url.split("?", 1)[0].split("#", 1)[0]
    scheme, _, rest = head.partition("://")
    host, slash, path = rest.partition("/")
    return one_line(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}")


class Door:
    """Connections to servers, kept for the next question; any number of threads may ask. `tls` vouches for servers."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] = tls, server_name: str | None = None) -> None:
        # Here and not at the top: they cost 90 ms, and `promotion status` asks nobody.
        import httpcore

        logging.getLogger("httpcore").setLevel(logging.WARNING)  # below that it writes whole URLs and headers
        self._wire = Wire()
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls(),
            max_connections=CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=cast("httpcore.NetworkBackend", self._wire),
        )

    def __enter__(self) -> Door:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        self._pool.close()

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        limits: Limits = USUAL,
        begun: float | None = None,
        wanted: Callable[[int], bool] = lambda _: True,
    ) -> Answer:
        """One question. The body is read when its status is `wanted`; the total counts from `begun` (time.monotonic()).

        Raises UnansweredError, of which TooLargeError and UntrustedError are kinds.
        """
        import httpcore
        import httpx

        self._wire.bound(limits, begun)
        try:
            address = httpx.URL(url)
            request = httpx.Request(method, address, headers=_headers(address, headers or {}), content=content)
            asked = httpcore.Request(
                method,
                httpcore.URL(
                    scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path
                ),
                headers=request.headers.raw,
                content=content,
                extensions={"timeout": {"pool": limits.total}, **self._extensions},
            )
            with closing(self._pool.handle_request(asked)) as response:
                return _answer(address, response, limits.cap, wanted)
        except UnansweredError:
            raise
        except httpcore.PoolTimeout as exc:
            raise UnansweredError(late(limits)) from exc
        except httpcore.ProtocolError as exc:
            raise UnansweredError("the answer is not HTTP, or was cut off") from exc
        except Exception as exc:  # whatever a server, or an address, makes a library do
            raise UnansweredError(why(exc)) from exc


def _headers(address: httpx.URL, headers: Mapping[str, str]) -> dict[str, str]:
    if not address.userinfo:
        return {**HEADERS, **headers}
    login = base64.b64encode(f"{address.username}:{address.password}".encode()).decode()
    return {**HEADERS, "Authorization": f"Basic {login}", **headers}


def _answer(address: httpx.URL, response: httpcore.Response, cap: int, wanted: Callable[[int], bool]) -> Answer:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    location = headers.get("location") if 300 <= response.status < 400 else None
    return Answer(
        response.status,
        headers,
        _body(response, headers, cap) if wanted(response.status) else b"",
        str(address.join(location)) if location else None,
    )


def _body(response: httpcore.Response, headers: Mapping[str, str], cap: int) -> bytes:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnansweredError("a compressed answer, which was not asked for")
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > cap:
            raise TooLargeError(f"an answer of more than {cap >> 20} MiB")
    return bytes(body)
