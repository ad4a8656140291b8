"""A token on its way to the one git process that talks to its remote: read where used, through a pipe, and nowhere else.

Never in an argument, a variable, a file or a message: `Git.run` gives that process a credential helper which reads the
pipe, for the remote's own host only. Who else could speak for us there (kept helpers, ~/.netrc, cookies, headers) is left
out of its environment, and so is tracing, which would print what is sent.
"""

from __future__ import annotations

import os
import re
import stat
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from promotion.errors import ConfigError
from promotion.model import Credential

LONGEST = 8 << 10
"""Bytes of a token."""
READERS = 4
"""How many helpers may ask: one does, and git starts another one for what it finds missing."""
USER = "x-access-token"
SPEAKS_FOR_OTHERS = re.compile(r"GIT_TRACE\w*|GIT_ASKPASS|SSH_ASKPASS\w*")
HELPER = '!f() { [ "$1" != get ] || { read -r u && read -r p && printf "%%s\\n" "$u" "$p"; } </dev/fd/%d; }; f'


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are for one remote, at this moment."""

    host: str
    """Scheme, host and port: what may see the token."""
    user: str
    token: str = field(repr=False)

    @contextmanager
    def pipe(self) -> Iterator[int]:
        """The descriptor that a helper reads the user and the token from."""
        reading, writing = os.pipe()
        try:
            try:
                os.write(writing, f"username={self.user}\npassword={self.token}\n".encode() * READERS)
            finally:
                os.close(writing)
            yield reading
        finally:
            os.close(reading)

    def settings(self, descriptor: int) -> list[tuple[str, str]]:
        """What git is told by `-c`: whom to ask about this host, and nobody else."""
        return [("credential.helper", ""), (f"credential.{self.host}.helper", HELPER % descriptor)]

    def hide_in(self, output: bytes) -> bytes:
        return self.hide(output.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def hide(self, text: str) -> str:
        """The text without the token, should anybody ever have said it."""
        basic = b64encode(f"{self.user}:{self.token}".encode()).decode("ascii")
        for form in (basic, self.token, quote(self.token, safe=""), quote(self.token)):
            text = text.replace(form, "***")
        return text


def login(credential: Credential, url: str, environ: Mapping[str, str]) -> Login:
    """Reads the token. Raises ConfigError, which names the variable or the file and never its content."""
    parts = urlsplit(url)
    user = unquote(parts.username or USER)
    if parts.scheme not in ("http", "https") or not user.isprintable():
        raise ConfigError("takes no token: only http:// and https:// do", where=url)
    return Login(f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}", user, token(credential, environ))


def token(credential: Credential, environ: Mapping[str, str]) -> str:
    """What stands there. Raises ConfigError, which names the variable or the file and never its content."""
    read = environ.get(credential.token_env) if credential.token_env else _content(credential)
    if read is None:
        hint = f"export {credential.token_env}=..., where this is started"
        raise ConfigError("no such variable", where=str(credential), hint=hint)
    found = read.strip()
    if wrong := _wrong(found):
        raise ConfigError(wrong, where=str(credential), hint="a token stands there alone, on one line")
    return found


def _wrong(token: str) -> str | None:
    if not token:
        return "is empty"
    if len(token.encode("utf-8", "replace")) > LONGEST:
        return f"is longer than the {LONGEST >> 10} KiB that a token may have"
    if "\n" in token:
        return "has more than one line"
    return None if token.isprintable() else "is not text that can be sent"


def _content(credential: Credential) -> str:
    where = str(credential)
    try:
        # not blocking: what is no file, such as a pipe that nobody feeds, must not hold anything up
        handle = os.open(credential.token_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ConfigError("is not a file", where=where)
            return file.read(LONGEST + 100).decode("utf-8", "replace")
    except FileNotFoundError as exc:
        raise ConfigError("no such file", where=where, hint="write the token into it, for your eyes only") from exc
    except (OSError, ValueError) as exc:
        said = (getattr(exc, "strerror", None) or str(exc)).lower()
        raise ConfigError(f"cannot be read: {said}", where=where) from exc


_NOT_OURS = re.compile(r"http\.(.*\.)?(cookiefile|savecookies|emptyauth)|credential\..*", re.IGNORECASE)


def environment(base: Mapping[str, str], kept: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Git's environment for a process with a token: `kept` is the user's configuration, of which some must not count."""
    environ = {key: value for key, value in base.items() if not SPEAKS_FOR_OTHERS.fullmatch(key)}
    home = environ.get("HOME", "")
    left = [(key, value) for key, values in kept.items() for value in values if not _speaks(key, value)]
    environ |= {
        "HOME": os.devnull,  # curl reads ~/.netrc before it asks us
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(left)),
    }
    for n, (key, value) in enumerate(left):
        whole = home + value[1:] if value.startswith("~/") else value
        environ |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": whole}
    return environ


def _speaks(key: str, value: str) -> bool:
    """Whether a setting could say who we are, in place of the token."""
    header = key.lower().endswith("extraheader") and value.lower().lstrip().startswith("authorization")
    return header or _NOT_OURS.fullmatch(key) is not None
