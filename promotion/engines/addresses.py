"""Whether two addresses name one repository, as our file and a cluster may write them; pure, and asks nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}


@dataclass(frozen=True, slots=True)
class _Parts:
    scheme: str
    host: str
    port: int | None
    path: str


def same_repository(one: str, other: str) -> bool:
    """By whatever protocol: user, `.git` and the host's case do not count; ports do within one protocol."""
    a, b = _parts(one), _parts(other)
    if a is None or b is None or (a.host, a.path) != (b.host, b.path):
        return False
    return a.scheme != b.scheme or a.port == b.port


def _parts(address: str) -> _Parts | None:
    text = address.strip()
    if found := re.match(r"(?:[^/@:\s]+@)?([^/@:\s]+):(?!//)(.*)", text):  # as scp has it: git@host:path
        text = f"ssh://{found[1]}/{found[2]}"
    try:
        url = urlsplit(text)
        scheme, host = url.scheme or "file", (url.hostname or "").rstrip(".")
        port = url.port or PORTS.get(scheme)
    except ValueError:
        return None
    path = unquote(url.path).strip("/").removesuffix(".git").rstrip("/")
    return _Parts(scheme, "" if host == "localhost" and scheme == "file" else host, port, path) if path else None
