"""Writes the files of one commit below one new directory, from Git objects; must never write outside of it.

Everything is judged before anything is written. Nothing here knows which release is current.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from promotion.engines.contract import Content
from promotion.engines.manifest import Row, oid_of, parents, with_times
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Entry
from promotion.said import one_line
from promotion.texts import shown

DEEPEST = 200
LONGEST_NAME = 255
LONGEST_LINK = 4095
LINKS_FOLLOWED = 40
"""Linux follows no more in one path: what needs more cannot be reached."""


def export(root: Path, content: Content) -> tuple[Row, ...]:
    """Writes all files below `root`, an empty directory of ours; returns what is there now.

    Raises ConfigError when the commit holds what must not be written, TemporaryError when Git lacks an object.
    """
    rows = tuple(row_of(path, entry) for path, entry in content.entries())
    _check_paths([row.path for row in rows])
    links = [row for row in rows if stat.S_ISLNK(row.mode)]
    targets = {row.path: data for row, data in _contents(content, links)}
    check_links(targets)
    _make_folders(root, [row.path for row in rows])
    files = [row for row in rows if stat.S_ISREG(row.mode)]
    written = [_write(root, row, data) for row, data in _contents(content, files)]
    # Last, so that while files are written there is no link that one could be written through.
    return (*written, *(_link(root, row, targets[row.path]) for row in links))


def row_of(path: bytes, entry: Entry) -> Row:
    """What an entry of a commit is in a release. Raises ConfigError when it cannot be."""
    if entry.mode == 0o160000:
        raise _refused(path, "is a submodule, which is not deployed")
    if stat.S_ISLNK(entry.mode):
        return Row(path, 0o120000, entry.oid)
    if not stat.S_ISREG(entry.mode):
        raise _refused(path, f"has the mode {entry.mode:o}; files, executables and symlinks are deployed")
    return Row(path, 0o100755 if entry.mode & 0o100 else 0o100644, entry.oid)


def _check_paths(paths: list[bytes]) -> None:
    for path in paths:
        if why := unsafe(path):
            raise _refused(path, why)
    if len(set(paths)) != len(paths):
        raise _refused(next(p for p in sorted(paths) if paths.count(p) > 1), "is there twice")
    if both := parents(paths) & set(paths):
        raise _refused(min(both), "is a file and a directory")


def unsafe(path: bytes) -> str | None:
    """Why a path of a commit must not be written, if so."""
    names = path.split(b"/")
    if b"\0" in path:
        return "has a NUL in its path"
    if any(name in (b"", b".", b"..") for name in names):
        return "has a path that leads elsewhere"
    if any(name.lower() == b".git" for name in names):
        return "would be a Git repository's own file"
    if len(names) > DEEPEST or max(map(len, names)) > LONGEST_NAME:
        return f"has a path that is too long ({DEEPEST} names of {LONGEST_NAME} bytes are allowed)"
    return None


def check_links(targets: Mapping[bytes, bytes]) -> None:
    """Raises ConfigError when a symlink (path to target) leads, through other ones or not, out of the release."""
    for path, target in targets.items():
        if not target or b"\0" in target or len(target) > LONGEST_LINK:
            raise _refused(path, "is a symlink without a valid target")
        if _escapes(path, targets):
            raise _refused(path, f"is a symlink that leads out of the release ({shown(target[:80])})")


def _escapes(path: bytes, targets: Mapping[bytes, bytes]) -> bool:
    """Follows a path as the kernel would: `..` after a symlinked directory goes up from where the link leads."""
    at: list[bytes] = []
    to_go = path.split(b"/")[::-1]
    followed = 0
    while to_go:
        name = to_go.pop()
        if name == b"..":
            if not at:
                return True
            at.pop()
        elif name not in (b"", b"."):
            at.append(name)
            if (target := targets.get(b"/".join(at))) is not None:
                followed += 1
                if target.startswith(b"/"):
                    return True
                if followed > LINKS_FOLLOWED:
                    return False
                at.pop()
                to_go.extend(target.split(b"/")[::-1])
    return False


def _contents(content: Content, rows: Iterable[Row]) -> Iterator[tuple[Row, bytes]]:
    """Each row with its content, checked against its id: the clone's disk is not believed."""
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        waiting.setdefault(row.oid, []).append(row)
    for oid, data in content.blobs(list(waiting)) if waiting else ():
        if oid_of(data) != oid:
            raise TemporaryError(f"Git object {oid} is damaged", hint="remove the clone cache and try again")
        for row in waiting.pop(oid, ()):
            yield row, data
    if waiting:
        raise TemporaryError(f"Git has no object {next(iter(waiting))}")


def _make_folders(root: Path, paths: list[bytes]) -> None:
    for folder in sorted(parents(paths)):
        made = root / os.fsdecode(folder)
        made.mkdir()
        made.chmod(0o755)  # whatever the umask


def _write(root: Path, row: Row, data: bytes) -> Row:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(root / os.fsdecode(row.path), flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), row.permissions)
        return with_times(row, os.fstat(file.fileno()))


def _link(root: Path, row: Row, target: bytes) -> Row:
    made = root / os.fsdecode(row.path)
    made.symlink_to(os.fsdecode(target))
    return with_times(row, made.lstat())


def _refused(path: bytes, why: str) -> ConfigError:
    return ConfigError(one_line(f"{shown(path[:200]) or '(no path)'} {why}", 400))
