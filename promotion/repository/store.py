"""One long-lived `git cat-file --batch-command` for reading objects, and loose objects written in place; no process per object."""

from __future__ import annotations

import io
import os
import selectors
import subprocess
import time
from pathlib import Path

from gitdb import IStream, LooseObjectDB  # type: ignore[import-untyped]

from promotion.errors import ConfigError, TemporaryError
from promotion.repository.process import CAP, LOCAL_SECONDS, Git, on_disk, spawn

# A missing object is an answer here, never a reason to go to the network: that is prefetch's job.
OFFLINE = (
    ("protocol.file.allow", "never"),
    ("protocol.https.allow", "never"),
    ("protocol.http.allow", "never"),
    ("protocol.ssh.allow", "never"),
)


class MissingError(Exception):
    """The clone has no such object."""


class Store:
    """Objects of one bare repository. Not for several threads at once."""

    def __init__(self, git: Git, path: Path) -> None:
        self._git = git
        self._path = path
        self._loose = LooseObjectDB(str(path / "objects"))
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def read(self, oid: str, kind: str) -> bytes:
        """The object's content. Raises MissingError, ValueError when it is of another kind, ConfigError when too large."""
        found, size, deadline = self._ask("contents", oid)
        if found != kind or (kind != "blob" and size > CAP):
            self.close()  # unread: it may be larger than memory
            if found != kind:
                raise ValueError(f"{oid} is a {found}, not a {kind}")
            raise ConfigError(f"{kind} {oid} has {size >> 20} MiB; Promotion reads at most {CAP >> 20} MiB")
        assert self._process is not None
        try:
            return self._exactly(self._process, size + 1, deadline)[:-1]
        except (OSError, EOFError) as exc:  # a corrupt object ends the process
            self.close()
            raise MissingError(oid) from exc

    def _ask(self, command: str, oid: str) -> tuple[str, int, float]:
        """Kind and size of an object, and until when git may take for the rest."""
        process = self._process or self._open()
        deadline = time.monotonic() + LOCAL_SECONDS
        assert process.stdin is not None
        try:
            process.stdin.write(f"{command} {oid}\n".encode("ascii"))
            process.stdin.flush()
            header = self._line(process, deadline).split(b" ")
        except (OSError, EOFError) as exc:
            self.close()
            raise MissingError(oid) from exc
        if header[-1] == b"missing":
            raise MissingError(oid)
        return header[1].decode("ascii"), int(header[2]), deadline

    def has(self, oid: str) -> bool:
        """Whether the object is there, whatever it is."""
        try:
            self._ask("info", oid)
        except MissingError:
            return False
        return True

    def write(self, kind: str, data: bytes) -> str:
        """Stores one object; returns its id. Raises TemporaryError when the disk is full."""
        with on_disk(self._path):
            stored = self._loose.store(IStream(kind.encode("ascii"), len(data), io.BytesIO(data)))
        return str(stored.hexsha.decode("ascii"))

    def close(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None
            self._buffer = b""

    def _open(self) -> subprocess.Popen[bytes]:
        args = [*self._git.options(self._path, OFFLINE), "cat-file", "--batch-command"]
        self._process = spawn(args, self._git.environment, subprocess.PIPE, subprocess.DEVNULL)
        return self._process

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        while b"\n" not in self._buffer:
            self._more(process, deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _exactly(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        chunks, have = [self._buffer], len(self._buffer)
        while have < size:
            self._buffer = b""
            self._more(process, deadline)
            chunks.append(self._buffer)
            have += len(self._buffer)
        data = b"".join(chunks)
        self._buffer = data[size:]
        return data[:size]

    def _more(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        assert process.stdout is not None
        with selectors.PollSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                self.close()
                raise TemporaryError("git cat-file did not answer in time")
        data = os.read(process.stdout.fileno(), 1 << 18)
        if not data:
            raise EOFError
        self._buffer += data
