"""Where a deployment by a program happens on this machine: one of an environment at a time, in fresh files of a commit.

    TEMPORARY/promotion-UID/KEY/lock       held by the deployment, and by its program even after we were killed
    TEMPORARY/promotion-UID/KEY/content/   the files, for as long as the program runs

Nothing that is here is needed by the next deployment: all of it may be removed at any time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from promotion.engines.contract import Content
from promotion.engines.export import export
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Subject
from promotion.texts import span

MARGIN = timedelta(minutes=5)
"""How much longer than its program a deployment may hold the lock: to fetch, to write files, to ask."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A held place. A program that inherits `handle` holds it too."""

    place: Path
    handle: int


@contextmanager
def claimed(subject: Subject, limit: timedelta) -> Iterator[Claim]:
    """Holds an environment's place for a deployment whose program may run for `limit`.

    Raises TemporaryError while another one holds it. One that was killed is waited for as long as its program runs, but
    not longer than that program was allowed to: a service that it started would hold the place for ever.
    """
    place = _place(subject)
    handle = _lock(place / "lock", limit + MARGIN)
    try:
        yield Claim(place, handle)
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # for whatever inherited it as well: what we waited for is over
        os.close(handle)


@contextmanager
def filled(claim: Claim, content: Content) -> Iterator[Path]:
    """A directory with exactly these files, until the end. Raises ConfigError for files that cannot be, TemporaryError."""
    folder = claim.place / "content"
    shutil.rmtree(folder, ignore_errors=True)  # of a deployment that was killed
    try:
        try:
            folder.mkdir()
            folder.chmod(0o755)  # whatever the umask: programs copy what they see
            export(folder, content)
            os.utime(claim.handle)
        except OSError as exc:
            raise TemporaryError(f"cannot write the files to deploy: {exc.strerror or exc}", where=str(folder)) from exc
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place(subject: Subject) -> Path:
    """Made where it lacks. What anybody else could have put there is refused: files below it become programs' input."""
    ours = Path(tempfile.gettempdir()) / f"promotion-{os.getuid()}"
    key = json.dumps([subject.repository, subject.application, subject.environment])
    place = ours / sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    try:
        for folder in (ours, place):
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
                raise ConfigError("is not a directory of ours alone: remove it", where=str(folder))
    except FileExistsError as exc:
        raise ConfigError("is not a directory of ours alone: remove it", where=str(ours)) from exc
    except OSError as exc:
        raise TemporaryError((exc.strerror or str(exc)).lower(), where=str(ours)) from exc
    return place


def _lock(path: Path, limit: timedelta) -> int:
    try:
        for _ in range(3):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, handle):
                    os.utime(handle)
                    return handle
                os.close(handle)
            except BlockingIOError as exc:
                age = timedelta(seconds=time.time() - os.fstat(handle).st_mtime)
                os.close(handle)
                if age <= limit:
                    said = f"another deployment of this environment is at work, for {span(age)} now"
                    raise TemporaryError(said, where=str(path)) from exc
                path.unlink(missing_ok=True)
    except OSError as exc:
        raise TemporaryError((exc.strerror or str(exc)).lower(), where=str(path)) from exc
    raise TemporaryError("another deployment of this environment begins", where=str(path))


def _is_at(path: Path, handle: int) -> bool:
    """Whether the file that was locked is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
