"""Argo CD's own API, for whoever has no right in its cluster: a project role that may `get` is enough.

A refresh is asked for with a `get` too. Tokens are read where they are used, and never said.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from promotion.engines.argocd.sources import Json, at, rows
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Credential
from promotion.repository.credentials import token
from promotion.said import one_line
from promotion.web import Door, Limits, TooLargeError, UnansweredError, UntrustedError

ONE = Limits(connect=5.0, idle=10.0, total=15.0, cap=16 << 20)
MANY = Limits(connect=5.0, idle=30.0, total=60.0, cap=256 << 20)
"""All Applications come in one answer, 30 KiB each: it has no pages."""
LOOK = Limits(connect=5.0, idle=5.0, total=6.0, cap=16 << 20)
"""That it was asked is all that we want."""
APPLICATIONS = "/api/v1/applications"


@dataclass(frozen=True, slots=True)
class Api:
    """One server, with a token."""

    url: str
    namespace: str | None
    credential: Credential | None
    ca_file: str
    environ: Mapping[str, str]

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def get(self, name: str) -> Json:
        return self._asked(f"{APPLICATIONS}/{quote(name, safe='')}", {}, ONE, f"Application {one_line(name, 100)}")

    def list(self, labels: Mapping[str, str]) -> list[Json]:
        chosen = ",".join(f"{name}={value}" for name, value in labels.items())
        answer = self._asked(APPLICATIONS, {"selector": chosen} if chosen else {}, MANY, "Applications")
        return rows(answer, "items")

    def look(self, name: str, kind: str) -> None:
        """Asks for a `normal` or a `hard` refresh."""
        path = f"{APPLICATIONS}/{quote(name, safe='')}"
        with suppress(TemporaryError):  # it answers only when it has looked
            self._asked(path, {"refresh": kind}, LOOK, f"Application {one_line(name, 100)}")

    def _asked(self, path: str, query: Mapping[str, str], limits: Limits, said: str) -> Mapping[str, Any]:
        query = {**query, **({"appNamespace": self.namespace} if self.namespace else {})}
        url = self.url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json"}
        if self.credential:
            headers["Authorization"] = f"Bearer {token(self.credential, self.environ)}"
        try:
            answer = door(self.ca_file).ask("GET", url, headers=headers, limits=limits)
        except UntrustedError as exc:
            why = f"its certificate is not trusted ({exc})"
            raise ConfigError(why, where=self.host, hint="`ca_file` of the engine names an authority") from exc
        except TooLargeError as exc:
            raise TemporaryError(f"cannot get {said}: {exc}", where=self.host) from exc
        except UnansweredError as exc:
            raise TemporaryError(f"cannot get {said}: {exc}", where=self.host) from exc
        if answer.status != 200:
            raise self._refused(answer.status, answer.body, said)
        return _read(answer.body, said, self.host)

    def _refused(self, status: int, body: bytes, said: str) -> PromotionError:
        why = _message(body)
        if status == 401:
            mend = (
                f"put a valid one into {self.credential}"
                if self.credential
                else "name it as `token_env` or `token_file`"
            )
            return ConfigError(f"Argo CD does not accept the token, if any (401){why}", where=self.host, hint=mend)
        if status == 403:
            hint = "the token's role needs `applications, get`"
            return ConfigError(f"may not get {said} (403), or there is none{why}", where=self.host, hint=hint)
        if status == 404:
            return AbsentError(f"there is no {said}{why}", where=self.host)
        if status in (408, 429) or status >= 500:
            return TemporaryError(f"cannot get {said}: Argo CD answers {status}{why}", where=self.host)
        return ConfigError(f"cannot get {said}: it answers {status}, which is not Argo CD's{why}", where=self.host)


class AbsentError(ConfigError):
    """There is no such Application."""


def api(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Api:
    credential = None
    if "token_env" in settings or "token_file" in settings:
        credential = Credential(settings.get("token_env", ""), settings.get("token_file", ""))
    return Api(settings["server"], settings.get("namespace"), credential, settings.get("ca_file", ""), environ)


def _message(body: bytes) -> str:
    try:
        said = at(json.loads(body), "message")
    except (ValueError, RecursionError):
        return ""
    return f": {one_line(said, 200)}" if isinstance(said, str) and said else ""


def _read(body: bytes, said: str, host: str) -> Mapping[str, Any]:
    try:
        read = json.loads(body)
        if not isinstance(read, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as exc:
        raise TemporaryError(f"cannot get {said}: the answer is not JSON, or was cut off", where=host) from exc
    return read


_DOORS: dict[str, Door] = {}
_LOCK = threading.Lock()


def door(ca_file: str) -> Door:
    """Connections that are kept, of the whole process; any number of threads may ask. Raises ConfigError."""
    with _LOCK:
        if ca_file not in _DOORS:
            _DOORS[ca_file] = Door(lambda: _trusting(ca_file)) if ca_file else Door()
        return _DOORS[ca_file]


def _trusting(ca_file: str) -> ssl.SSLContext:
    """The machine's authorities, and those of a file. Raises ConfigError."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except (ssl.SSLError, OSError) as exc:
        raise ConfigError("holds no certificate that can be read", where=ca_file) from exc
    return context
