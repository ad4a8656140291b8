"""Runs git: one scrubbed environment, deadlines with the whole process group killed, bounded output; knows no repository.

Nothing else in the project starts git. Git's words are cleaned here and its failures translated into our errors.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from promotion.errors import ConfigError, TemporaryError
from promotion.model import Credential, Person
from promotion.repository import credentials
from promotion.repository.credentials import Login
from promotion.repository.words import clean

log = logging.getLogger(__name__)

OLDEST = (2, 38)
"""merge-tree --write-tree came with 2.38."""
LOCAL_SECONDS = 60
UNUSED_SECONDS = 24 * 3600
CAP = 64 << 20
"""Bytes of output that one git command may print."""

PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|XDG_CONFIG_HOME|SSH_\w+|GIT_SSH\w*|GIT_SSL\w*|GIT_ASKPASS|GIT_(AUTHOR|COMMITTER)_\w+"
    r"|GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|GIT_TRACE\w*|(https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY|GNUPGHOME"
)
KEPT_CONFIG = re.compile(r"(user|credential|http|gpg|safe)\..*|core\.sshcommand", re.IGNORECASE)
"""Who acts, credentials, signing, and whose repositories may be read; nothing else of a user's own configuration."""

SIGNING_KEY = "PROMOTION_SIGNING_KEY"
"""The variable that names a key file, or holds the public key of one that ssh-agent has."""
PUBLIC_KEY = re.compile(r"key::|(ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+ ")

FIXED = (
    ("core.hooksPath", os.devnull),
    ("core.attributesFile", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.commitGraph", "false"),  # nothing checks what it says: only `history` uses one, and looks at its sum first
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    *((f"protocol.{name}.allow", "always") for name in ("file", "http", "https", "ssh")),
    ("transfer.fsckObjects", "true"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("http.followRedirects", "initial"),
    ("push.followTags", "false"),
    ("advice.objectNameWarning", "false"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a git command left: exit status, output, and what it said, cleaned for people."""

    status: int
    output: bytes
    said: str


class Git:
    """Git as one set of settings: environment, configuration and a folder for what is derived from them."""

    def __init__(self, environ: Mapping[str, str], cache: Path) -> None:
        self._variables = environ  # as they are at any time: tokens are read where they are used
        self._environ = {key: value for key, value in environ.items() if PASSED.fullmatch(key)}
        self._cache = cache

    @cached_property
    def kept(self) -> Mapping[str, tuple[str, ...]]:
        """The part of the user's and the machine's configuration that is honoured."""
        out = self._start(["config", "--list", "-z"], self._environ | {"GIT_DIR": os.devnull}).output
        kept: dict[str, tuple[str, ...]] = {}
        for item in out.decode("utf-8", "surrogateescape").split("\0"):
            key, _, value = item.partition("\n")
            if KEPT_CONFIG.fullmatch(key):
                kept[key] = (*kept.get(key, ()), value)
        return kept

    @cached_property
    def signing_key(self) -> str | None:
        """The SSH key that commits are signed with, as git takes it: PROMOTION_SIGNING_KEY, else git's own configuration.

        None: they are not signed. An empty variable says so, whatever git's configuration has.
        """
        chosen = self._variables.get(SIGNING_KEY)
        if chosen is None:
            key = self.kept.get("user.signingkey", ("",))[-1]
            return key if key and self.kept.get("gpg.format", ("",))[-1] == "ssh" else None
        if not chosen or PUBLIC_KEY.match(chosen):
            return chosen or None
        return str(Path(chosen).expanduser().absolute())

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of every git process that works on a repository."""
        with on_disk(self._cache):
            self._write_config()  # again, when somebody cleaned up meanwhile
        return self._settings

    @cached_property
    def _settings(self) -> Mapping[str, str]:
        self._check_version()
        return self._environ | {
            # A file and not -c: a path remote's own upload-pack reads safe.directory nowhere else.
            "GIT_CONFIG_GLOBAL": str(self._own_config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": self._environ.get("GIT_SSH_COMMAND")
            or self.kept.get("core.sshcommand", ("",))[-1]
            or "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=2",
            "LC_ALL": "C",
        }

    @cached_property
    def people(self) -> tuple[Person, Person]:
        """Author and committer: GIT_AUTHOR_*, GIT_COMMITTER_*, then user.*, then promotion itself."""
        name = self.kept.get("user.name", ("promotion",))[-1]
        email = self.kept.get("user.email", ("promotion@localhost",))[-1]
        return (self._person("AUTHOR", name, email), self._person("COMMITTER", name, email))

    def run(
        self,
        repository: Path,
        *args: str,
        stdin: bytes = b"",
        seconds: float = LOCAL_SECONDS,
        config: Sequence[tuple[str, str]] = (),
        login: Login | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """Runs one git command on a bare repository, as `login` if it is one that talks to a remote with a token.

        `variables` are for a command that talks to none. Raises TemporaryError when its deadline passes.
        """
        if login is None:
            return self._start(
                [*self.options(repository, config), *args], {**self.environment, **variables}, stdin, seconds
            )
        environ = credentials.environment(self.environment, self.kept)
        with login.pipe() as pipe:
            options = self.options(repository, [*config, *login.settings(pipe)])
            answer = self._start([*options, *args], environ, stdin, seconds, (pipe,))
        return Answer(answer.status, login.hide_in(answer.output), login.hide(answer.said))

    def login(self, credential: Credential | None, url: str) -> Login | None:
        """Reads the token that `url` is to be talked to with. Raises ConfigError."""
        return credentials.login(credential, url, self._variables) if credential else None

    def options(self, repository: Path, config: Sequence[tuple[str, str]] = ()) -> list[str]:
        fixed = [word for key, value in (*FIXED, *config) for word in ("-c", f"{key}={value}")]
        return [f"--git-dir={repository}", *fixed]

    def _person(self, role: str, name: str, email: str) -> Person:
        return Person(self._environ.get(f"GIT_{role}_NAME", name), self._environ.get(f"GIT_{role}_EMAIL", email))

    def _check_version(self) -> None:
        said = self._start(["version"], self._environ).output.decode("utf-8", "replace").strip()
        found = re.search(r"(\d+)\.(\d+)", said)
        if not found or (int(found[1]), int(found[2])) < OLDEST:
            raise ConfigError(f"{said or 'git'} is too old; Promotion needs git {OLDEST[0]}.{OLDEST[1]} or newer")

    @cached_property
    def _own_text(self) -> str:
        return "".join(_config_line(key, value) for key, values in self.kept.items() for value in values)

    @cached_property
    def _own_config(self) -> Path:
        return self._cache / f"gitconfig-{sha256(self._own_text.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"

    def _write_config(self) -> None:
        """Marks our copy of the configuration as in use, or writes it; those that nobody uses go: they may hold a token."""
        path = self._own_config
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        draft.touch(mode=0o600)
        draft.write_text(self._own_text, encoding="utf-8", errors="surrogateescape")
        draft.rename(path)
        for other in self._cache.glob("gitconfig-*"):
            with contextlib.suppress(FileNotFoundError):
                if other.stat().st_mtime < path.stat().st_mtime - UNUSED_SECONDS:
                    other.unlink()

    def _start(
        self,
        args: Sequence[str],
        environment: Mapping[str, str],
        stdin: bytes = b"",
        seconds: float = LOCAL_SECONDS,
        descriptors: Sequence[int] = (),
    ) -> Answer:
        began = time.monotonic()
        given = subprocess.PIPE if stdin else subprocess.DEVNULL
        process = spawn(args, environment, given, subprocess.PIPE, descriptors)
        with process:
            try:
                output, said = _talk(process, stdin, began + seconds)
                process.wait(max(0.0, began + seconds - time.monotonic()))
            except subprocess.TimeoutExpired as exc:
                _kill(process)
                raise TemporaryError("git did not answer in time") from exc
            except BaseException:
                _kill(process)
                raise
        log.debug("git %s: %d in %.3fs", _verb(args), process.returncode, time.monotonic() - began)
        return Answer(process.returncode, output, clean(said.decode("utf-8", "replace")))


def spawn(
    args: Sequence[str], environment: Mapping[str, str], stdin: int, stderr: int, descriptors: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Starts git. Raises ConfigError where it cannot be run, TemporaryError where the machine has no room for it now."""
    try:
        return subprocess.Popen(
            ["git", *args],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=dict(environment),
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C ends us between two steps, never git in the middle of one
        )
    except FileNotFoundError as exc:
        raise ConfigError("git is not installed, or not on PATH") from exc
    except OSError as exc:
        error = TemporaryError if passing(exc) else ConfigError
        raise error(f"git cannot be started: {(exc.strerror or str(exc)).lower()}") from exc


_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def passing(exc: OSError) -> bool:
    """Whether the machine is short of something, or failing: nobody's set-up is wrong."""
    return exc.errno in _PASSING


@contextlib.contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Translates what a disk says of a cache: TemporaryError when it is full or failing, else ConfigError."""
    try:
        yield
    except OSError as exc:
        error = TemporaryError if passing(exc) else ConfigError
        raise error(f"the cache cannot be written: {(exc.strerror or str(exc)).lower()}", where=str(path)) from exc


def _talk(process: subprocess.Popen[bytes], stdin: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Feeds and drains a process until it closes both its outputs."""
    got: dict[int, bytearray] = {}
    with selectors.PollSelector() as selector:  # needs no descriptor of its own
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            got[stream.fileno()] = bytearray()
            selector.register(stream, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        left = memoryview(stdin)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if time.monotonic() > deadline:
                raise TemporaryError("git did not answer in time")
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    left = _feed(selector, process.stdin, left)
                elif data := os.read(key.fd, 1 << 16):
                    got[key.fd] += data
                    if len(got[key.fd]) > CAP:
                        raise TemporaryError(f"git printed more than {CAP >> 20} MiB")
                else:
                    selector.unregister(key.fileobj)
    output, said = got.values()
    return bytes(output), bytes(said)


def _feed(selector: selectors.BaseSelector, pipe: object, left: memoryview) -> memoryview:
    assert hasattr(pipe, "fileno")
    try:
        left = left[os.write(pipe.fileno(), left[: 1 << 16]) :]
    except BrokenPipeError:
        left = left[len(left) :]
    if not left:
        selector.unregister(pipe.fileno())
        pipe.close()  # type: ignore[attr-defined]
    return left


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _verb(args: Sequence[str]) -> str:
    """The command without our fixed options, for the log."""
    words = [
        a for i, a in enumerate(args) if a != "-c" and (i == 0 or args[i - 1] != "-c") and not a.startswith("--git-dir")
    ]
    return " ".join(words)


def _config_line(key: str, value: str) -> str:
    section, _, name = key.rpartition(".")
    head, _, sub = section.partition(".")
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    sub = ' "' + sub.replace("\\", "\\\\").replace('"', '\\"') + '"' if sub else ""
    return f"[{head}{sub}]\n\t{name} = {quoted}\n"
