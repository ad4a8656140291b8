"""What a release consists of, and what of it was changed since; reads the file system and changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

SETTLED_NS = 2_000_000_000
"""A file changed twice within one tick of the clock looks unchanged; younger times are not trusted."""

BYTES = ("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Row:
    """One file or symlink of a release; `ctime` and `mtime` (ns) are what it had when its content was `oid`."""

    path: bytes
    mode: int
    """0o100644, 0o100755 or 0o120000."""
    oid: str
    size: int = -1
    mtime: int = -1
    ctime: int = -1

    @property
    def permissions(self) -> int:
        return self.mode & 0o777


def with_times(row: Row, status: os.stat_result) -> Row:
    return replace(row, size=status.st_size, mtime=status.st_mtime_ns, ctime=status.st_ctime_ns)


def oid_of(data: bytes) -> str:
    """The id Git gives to this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def parents(paths: Iterable[bytes]) -> set[bytes]:
    """Every directory that these paths need."""
    found: set[bytes] = set()
    for path in paths:
        while (path := path.rpartition(b"/")[0]) and path not in found:
            found.add(path)
    return found


def dumps(rows: Iterable[Row]) -> str:
    return json.dumps([[r.path.decode(*BYTES), r.mode, r.oid, r.size, r.mtime, r.ctime] for r in rows])


def loads(text: str) -> tuple[Row, ...]:
    """Reads what `dumps` wrote. Raises ValueError, TypeError or AttributeError on anything else."""
    return tuple(Row(path.encode(*BYTES), *rest) for path, *rest in json.loads(text))


def compare(root: Path, rows: Iterable[Row]) -> tuple[list[bytes], tuple[Row, ...]]:
    """What differs from a release's rows (changed, missing, extra), sorted, and the rows with times that are true now.

    Costs a stat for what was not touched; only what was touched is read.
    """
    expected = {row.path: row for row in rows}
    folders = parents(expected)
    changed: set[bytes] = set()
    seen: dict[bytes, Row] = {}
    for path, status in _walk(os.fsencode(root), folders):
        if path in folders:
            if not stat.S_ISDIR(status.st_mode) or stat.S_IMODE(status.st_mode) != 0o755:
                changed.add(path)
        elif row := _same(os.fsencode(root) + b"/" + path, expected.get(path), status):
            seen[path] = row
        else:
            changed.add(path)
    missing = {path for path in expected if path not in seen}
    return sorted(changed | missing), tuple(seen.values())


def _walk(root: bytes, folders: set[bytes]) -> Iterator[tuple[bytes, os.stat_result]]:
    """Everything below `root`, without entering what is no folder of ours: an extra one is one finding."""
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root + b"/" + folder) as found:
                for entry in found:
                    path = folder + b"/" + entry.name if folder else entry.name
                    status = entry.stat(follow_symlinks=False)
                    yield path, status
                    if path in folders and stat.S_ISDIR(status.st_mode):
                        waiting.append(path)
        except (PermissionError, FileNotFoundError):
            continue  # closed or taken away under our eyes: what should be in it counts as missing


def _same(path: bytes, row: Row | None, status: os.stat_result) -> Row | None:
    if row is None or stat.S_IFMT(status.st_mode) != stat.S_IFMT(row.mode):
        return None
    if stat.S_ISREG(row.mode) and stat.S_IMODE(status.st_mode) != row.permissions:
        return None
    if (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == (row.size, row.mtime, row.ctime):
        return row
    if row.size not in (-1, status.st_size) or _content(path, row.mode) != row.oid:
        return None
    return with_times(row, status) if time.time_ns() - status.st_ctime_ns > SETTLED_NS else row


def _content(path: bytes, mode: int) -> str | None:
    try:
        if stat.S_ISLNK(mode):
            return oid_of(os.readlink(path))  # noqa: PTH115 - a Path would tidy the target
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False)
            while data := file.read(1 << 20):
                found.update(data)
            return found.hexdigest()
    except OSError:
        return None  # unreadable is not what we wrote
