"""The network as an HTTP library sees it: every step ends at the deadline of whoever asks; knows nothing of HTTP."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

from promotion.said import one_line
from promotion.texts import span


class UnansweredError(Exception):
    """There was no answer that could be used; the text says why in words of ours, and not from whom."""


class TooLargeError(UnansweredError):
    """The answer's body is larger than the cap."""


class UntrustedError(UnansweredError):
    """Nobody who is trusted vouches for the server's certificate."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, without hearing anything, and for all of it; bytes of an answer's body."""

    connect: float = 5.0
    idle: float = 5.0
    total: float = 10.0
    cap: int = 1 << 20


class Wire:
    """Makes connections whose every step ends at the deadline of whoever asks.

    The library limits each step only, so a byte now and then would keep it for ever; and nothing limits a name's look-up.
    """

    def __init__(self) -> None:
        self._asking = threading.local()

    def bound(self, limits: Limits, begun: float | None) -> None:
        """What this thread does next ends at these limits."""
        self._asking.limits = limits
        self._asking.deadline = (time.monotonic() if begun is None else begun) + limits.total

    def left(self, step: float) -> float:
        """The seconds that a step may take. Raises UnansweredError when there are none."""
        left = self._asking.deadline - time.monotonic()
        if left <= 0:
            raise UnansweredError(late(self._asking.limits))
        return float(min(step, left))

    @contextmanager
    def step(self, *, connects: bool = False) -> Iterator[float]:
        """One step, which may take the seconds that are yielded; what goes wrong in it is an UnansweredError."""
        limits: Limits = self._asking.limits
        allowed = limits.connect if connects else limits.idle
        seconds = self.left(allowed)
        try:
            yield seconds
        except TimeoutError as exc:
            said = f"{'no connection within' if connects else 'nothing heard for'} {_seconds(allowed)}"
            raise UnansweredError(said if seconds == allowed else late(limits)) from exc
        except ssl.SSLCertVerificationError as exc:
            raise UntrustedError(why(exc)) from exc
        except OSError as exc:
            raise UnansweredError(why(exc)) from exc

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> Stream:
        """Called by the library; its time-outs are not ours."""
        failed: UnansweredError | None = None
        for each in self._addresses(host):
            try:
                with self.step(connects=True) as seconds:
                    connection = socket.create_connection((each, port), seconds)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return Stream(connection, self)
            except UnansweredError as exc:
                failed = exc
        raise failed or UnansweredError("its name has no address")

    def _addresses(self, host: str) -> Sequence[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        found: list[str] = []
        failed: list[OSError] = []

        def look_up() -> None:
            try:
                infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                found.extend(dict.fromkeys(str(info[4][0]) for info in infos))
            except (OSError, UnicodeError) as exc:
                failed.append(exc if isinstance(exc, OSError) else OSError(0, "no such name"))

        with self.step(connects=True) as seconds:
            looking = threading.Thread(target=look_up, daemon=True)
            looking.start()
            looking.join(seconds)
            if failed:
                raise failed[0]
            if looking.is_alive():
                raise TimeoutError
        return found


@dataclass(slots=True)
class Stream:
    """An open connection, as the library wants it; its time-outs are not ours."""

    connection: socket.socket
    wire: Wire

    def read(self, most: int, *_: Any, **__: Any) -> bytes:
        with self.wire.step() as seconds:
            self.connection.settimeout(seconds)
            return self.connection.recv(most)

    def write(self, buffer: bytes, *_: Any, **__: Any) -> None:
        import httpcore

        view = memoryview(buffer)
        while view:
            try:
                with self.wire.step() as seconds:
                    self.connection.settimeout(seconds)
                    view = view[self.connection.send(view) :]
            except UnansweredError as exc:
                if isinstance(exc.__cause__, TimeoutError) or exc.__cause__ is None:
                    raise
                raise httpcore.WriteError from exc  # there may be an answer though: why it was not read to its end

    def close(self) -> None:
        self.connection.close()

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: Any, **__: Any) -> Stream:
        try:
            with self.wire.step(connects=True) as seconds:
                self.connection.settimeout(seconds)
                return Stream(ssl_context.wrap_socket(self.connection, server_hostname=server_hostname), self.wire)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection that is: the server has ended it
            poll = select.poll()
            poll.register(self.connection, select.POLLIN)
            return bool(poll.poll(0))
        return None


def late(limits: Limits) -> str:
    return f"no complete answer within {_seconds(limits.total)}"


def _seconds(seconds: float) -> str:
    return span(timedelta(seconds=seconds)) if seconds >= 1 else f"{seconds:g}s"


def why(exc: BaseException) -> str:
    """What went wrong in words of ours: a library's may hold the URL."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return one_line(f"TLS: {getattr(cause, 'verify_message', None) or cause.reason or 'failed'}")
        if isinstance(cause, OSError) and cause.strerror:
            return one_line(cause.strerror.lower())
        cause = cause.__cause__ or cause.__context__
    return f"failed ({type(exc).__name__})"
