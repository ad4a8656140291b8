"""The folder of one clone: made, locked, tidied and removed. It is only a cache, so whatever is wrong with it is deleted."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TextIO

from promotion.errors import ConfigError, TemporaryError
from promotion.repository.process import Git, on_disk
from promotion.repository.words import gist

LOOSE, PACKS = 6700, 50
"""How many loose objects and packs are too many, as Git's own gc.auto has it."""
NEVER_OURS = ("shallow", "commondir", "info/grafts", "objects/info/alternates")
"""Files by which git would believe another history, or look elsewhere."""
READER = "reader"
"""Within a clone: a repository without objects of its own, by which git reads the clone's and never fetches any."""
TIDY_SECONDS = 600
LOCK_SECONDS = 600
"""How long another process may take: a fetch of everything, at most."""


def make(git: Git, path: Path, url: str) -> bool:
    """Makes an empty, blob-less bare clone of `url` unless there is one; says whether it made one. Raises ConfigError."""
    if _is_clone(path, url):
        return False
    with lock(path), on_disk(path):
        if _is_clone(path, url):
            return True
        draft = path.with_suffix(f".{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        answer = git.run(draft, "init", "--quiet", "--bare", "--template=", str(draft))
        if answer.status:
            raise ConfigError(gist(answer.said), where=str(path))
        (draft / "config").write_text(_config(url), encoding="utf-8")
        (draft / READER / "refs").mkdir(parents=True)
        (draft / READER / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
        remove(path)
        draft.rename(path)
    return True


def _is_clone(path: Path, url: str) -> bool:
    """Whether a clone of this remote is there as we make it: enough of one for git to say itself what else is wrong."""
    try:
        head, config = (path / "HEAD").read_bytes(), (path / "config").read_text("utf-8", "replace")
    except OSError:
        return False
    ours = (
        head.startswith(b"ref: ")
        and config == _config(url)
        and (path / "objects").is_dir()
        and (path / READER).is_dir()
    )
    return ours and not any((path / name).exists() for name in NEVER_OURS)


def identity(path: Path) -> object:
    """Which clone is there now: another one that takes its place differs. None when there is none."""
    with suppress(OSError):
        found = (path / "config").stat()
        return found.st_ino, found.st_mtime_ns
    return None


def remove(path: Path) -> None:
    grave = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.gone")
    shutil.rmtree(grave, ignore_errors=True)  # of a killed process with our number
    try:
        path.rename(grave)
    except FileNotFoundError:
        return
    if grave.is_dir():
        shutil.rmtree(grave, ignore_errors=True)
    else:
        grave.unlink(missing_ok=True)


def tidy(git: Git, path: Path) -> None:
    """Packs what has piled up. Objects of others that are not pushed yet stay: git keeps two weeks."""
    loose, packs = path / "objects" / "17", path / "objects" / "pack"
    if len(list(loose.glob("*"))) > LOOSE // 256 or len(list(packs.glob("*.pack"))) > PACKS:
        git.run(path, "gc", "--quiet", seconds=TIDY_SECONDS)


def kept(path: Path, ref: str) -> str | None:
    """The tip that was remembered of a remote's ref, whatever the ref is now."""
    name = _keeping(ref)
    with suppress(OSError):
        return (path / name).read_text("ascii").strip()
    with suppress(OSError):  # gc has packed it
        lines = (path / "packed-refs").read_text("utf-8", "replace").splitlines()
        return next((line[:40] for line in lines if line.endswith(f" {name}")), None)
    return None


def keep(path: Path, ref: str, oid: str) -> None:
    """Remembers a tip. A ref of the clone, so that git keeps all that it leads to; written in place, for no process's price."""
    draft, file = path / f"kept.{os.getpid()}.{threading.get_ident()}", path / _keeping(ref)
    with on_disk(path):
        file.parent.mkdir(exist_ok=True)
        draft.write_text(f"{oid}\n", "ascii")
        draft.rename(file)


def _keeping(ref: str) -> str:
    return f"refs/kept/{sha256(ref.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}"


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """One process at a time changes a clone's refs and packs, whoever shares it. Raises TemporaryError when none lets go."""
    with on_disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.with_suffix(".lock").open("w")
    with file:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _locked(file):
            if time.monotonic() > deadline:
                raise TemporaryError("another process has not let go of this lock in time", where=file.name)
            time.sleep(0.02)
        yield


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _config(url: str) -> str:
    """A clone that is bare, blob-less and written to.

    With `fetch` a push moves the clone's own ref too: else what we pushed is held by none, is never packed, and goes. No
    bitmaps, or git refuses to pack such commits where their blobs are not here.
    """
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    text = (
        "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n\tlogAllRefUpdates = false\n"
        "[extensions]\n\tpartialClone = origin\n"
        "[repack]\n\twriteBitmaps = false\n"
        f'[remote "origin"]\n\turl = "{quoted}"\n\tfetch = +refs/*:refs/*\n\tpromisor = true\n\tpartialCloneFilter = blob:none\n'
    )
    if "://" not in url or url.startswith("file://"):
        # A path remote rarely allows filters by its own configuration; its upload-pack is ours to start.
        options = "-c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true"
        text += f'\tuploadpack = "git {options} upload-pack"\n'
    return text
