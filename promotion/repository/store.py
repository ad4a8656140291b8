"""One long-lived `git cat-file --batch-command` for reading objects, and loose objects written in place; no process per object."""

from __future__ import annotations

import contextlib
import io
import os
import re
import selectors
import subprocess
import time
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path

from gitdb import IStream, LooseObjectDB  # type: ignore[import-untyped]

from promotion.errors import ConfigError, TemporaryError
from promotion.repository import cache
from promotion.repository.process import CAP, LOCAL_SECONDS, Git, on_disk, spawn

AHEAD = 500
"""How many objects are asked for before the first answer is read: their names fit into a pipe, so that nobody blocks."""


OID = re.compile(r"[0-9a-f]{40}")


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
        deadline = self._ask("contents", [oid])
        return self._content(oid, kind, deadline)

    def read_all(self, oids: Sequence[str], kind: str) -> list[bytes]:
        """As `read`, for many at once: git answers while they are asked for. Holds them all."""
        found: list[bytes] = []
        for start in range(0, len(oids), AHEAD):
            asked = oids[start : start + AHEAD]
            deadline = self._ask("contents", asked)
            try:
                found += [self._content(oid, kind, deadline) for oid in asked]
            except MissingError:
                self.close()  # the other answers are still to come
                raise
        return found

    def _content(self, oid: str, kind: str, deadline: float) -> bytes:
        found, size = self._header(oid, deadline)
        if found != kind or (kind != "blob" and size > CAP):
            self.close()  # unread: it may be larger than memory
            if found != kind:
                raise ValueError(f"{oid} is a {found}, not a {kind}")
            raise ConfigError(f"{kind} {oid} has {size >> 20} MiB; Promotion reads at most {CAP >> 20} MiB")
        assert self._process is not None
        try:
            data = self._exactly(self._process, size + 1, deadline)[:-1]
        except (OSError, EOFError) as exc:  # a corrupt object ends the process
            self.close()
            raise MissingError(oid) from exc
        # git itself does not look whether what it finds under a name is what was stored under it
        if sha1(f"{kind} {size}\0".encode("ascii") + data, usedforsecurity=False).hexdigest() != oid:
            raise MissingError(oid)
        return data

    def _ask(self, command: str, oids: Sequence[str]) -> float:
        """Sends a question about each of these; until when git may take for the answers."""
        process = self._process or self._open()
        assert process.stdin is not None
        try:
            process.stdin.write("".join(f"{command} {oid}\n" for oid in oids).encode("ascii"))
            process.stdin.flush()
        except OSError as exc:
            self.close()
            raise MissingError(oids[0]) from exc
        return time.monotonic() + LOCAL_SECONDS

    def _header(self, oid: str, deadline: float) -> tuple[str, int]:
        """Kind and size of the object that is answered next."""
        assert self._process is not None
        try:
            header = self._line(self._process, deadline).split(b" ")
        except (OSError, EOFError) as exc:
            self.close()
            raise MissingError(oid) from exc
        if header[-1] == b"missing":
            raise MissingError(oid)
        return header[1].decode("ascii"), int(header[2])

    def has(self, oid: str) -> bool:
        """Whether the object is there, whatever it is; what is no id is not there, even where git would find something."""
        if not OID.fullmatch(oid):
            return False
        try:
            self._header(oid, self._ask("info", [oid]))
        except MissingError:
            return False
        return True

    def missing(self, oids: Sequence[str], kind: str) -> list[str]:
        """Those of many ids that are not there as objects of this kind, in their order."""
        found: list[str] = []
        for start in range(0, len(oids), AHEAD):
            asked = oids[start : start + AHEAD]
            deadline = self._ask("info", asked)
            for oid in asked:
                try:
                    there = self._header(oid, deadline)[0] == kind
                except MissingError:
                    if self._process is None:  # it ended: nothing more will be answered
                        raise
                    there = False
                found += [] if there else [oid]
        return found

    def write(self, kind: str, data: bytes) -> str:
        """Stores one object; returns its id. Raises TemporaryError when the disk is full."""
        with on_disk(self._path):
            stored = self._loose.store(IStream(kind.encode("ascii"), len(data), io.BytesIO(data)))
        return str(stored.hexsha.decode("ascii"))

    def close(self) -> None:
        if self._process is not None:
            # what could not be written to a process that died is written once more by the closing of its pipe
            with contextlib.suppress(OSError), self._process as process:
                process.kill()
            self._process = None
            self._buffer = b""

    def _open(self) -> subprocess.Popen[bytes]:
        # A missing object is an answer here, and no reason to go to the network: that is prefetch's job. Asked in the clone
        # itself, which is a partial one, git would fetch it, and for what stands in a cut pack it would do so for ever.
        args = [*self._git.options(self._path / cache.READER), "cat-file", "--batch-command"]
        environment = {**self._git.environment, "GIT_OBJECT_DIRECTORY": str(self._path / "objects")}
        self._process = spawn(args, environment, subprocess.PIPE, subprocess.DEVNULL)
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
