"""The engine `directory`: our own sync loop, for a service that is run out of a directory.

    PATH/current -> releases/<revision>     switched atomically; `.2`, `.3` ... mark repairs of the same revision
    PATH/releases/                          the current release and some older ones; `.new-*` is being written
    PATH/.promotion/                        lock, what each release consists of, reloads, what was put back

A release that is there is complete, and never changed by us: whatever differs is replaced by a new one and a switch.
It asks nobody about health, and removes nothing that it did not make.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from promotion.checks.command import run
from promotion.engines.contract import Content, Deployed
from promotion.engines.export import export, row_of
from promotion.engines.manifest import Row, compare, dumps, loads
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Health, Reading, Reverted, Subject
from promotion.texts import instant, iso, shown

log = logging.getLogger(__name__)

RELEASE = re.compile(r"([0-9a-f]{40})(\.\d+)?")
KEEP = 5
RECORDS = 200
"""Lines of reverted.jsonl, the newest ones; at most as many paths in a line."""
FOR_PEOPLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG
}  # fmt: skip
"""What no later try mends."""


def observe(settings: Mapping[str, Any], subject: Subject) -> Deployed:  # noqa: ARG001 - the contract's
    """Reads where `current` leads and how its reload went. Raises ConfigError, TemporaryError."""
    place = Path(settings["path"])
    with _translated(place):
        link = place / "current"
        if not os.path.lexists(link):
            return Deployed(None, Reading(Health.MISSING, f"nothing deployed in {place}"), records=_records(place))
        name = _current(place)
        if name is None:
            return Deployed(None, Reading(Health.UNKNOWN, f"{link} is not a link to one of our releases"))
        if not (place / "releases" / name).is_dir():
            return Deployed(None, Reading(Health.MISSING, f"{link} leads to a release that is not there"))
        return Deployed(_revision(name), _reload_reading(settings, place, name), records=_records(place))


def sync(settings: Mapping[str, Any], subject: Subject, content: Content) -> Deployed:
    """Makes `current` lead to exactly the files of `subject.revision`; costs stats when it does already.

    Raises TemporaryError (another loop, a full disk: the old release goes on serving) and ConfigError.
    """
    place, revision = Path(settings["path"]), subject.revision or ""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ConfigError(f"not a commit that can be deployed: {revision or 'none'}", where=str(place))
    with _translated(place), _locked(place):
        _tidy(place)
        name = _current(place)
        reverted = _reverted(place, name, revision, content)
        if reverted:
            _record(place, revision, reverted)
        if name is None or _revision(name) != revision or reverted:
            name = _release(place, revision, content)
            _switch(place, name)
        if "reload" in settings and _reloads(place).get("done") != name:
            _reload(settings, subject, place, name)
        _prune(place, {name, _reloads(place).get("done")}, settings.get("keep", KEEP))
        return Deployed(revision, _reload_reading(settings, place, name), tuple(map(shown, reverted)))


# --- what is there -------------------------------------------------------------------------------------------------


def _current(place: Path) -> str | None:
    """The name of the release that `current` leads to; None when there is none, or it leads elsewhere."""
    try:
        target = (place / "current").readlink()
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.EINVAL):  # EINVAL: it is no link
            return None
        raise
    parent, name = os.path.split(target)
    return name if parent == "releases" and RELEASE.fullmatch(name) else None


def _releases(place: Path) -> list[str]:
    return [path.name for path in (place / "releases").iterdir() if RELEASE.fullmatch(path.name)]


def _revision(name: str) -> str:
    return name.partition(".")[0]


def _reverted(place: Path, name: str | None, revision: str, content: Content) -> list[bytes]:
    """What was changed by hand in what is current, `current` itself included."""
    if name is None:
        return [b"current"] if os.path.lexists(place / "current") else []
    if not _is_ours(place / "releases" / name):
        return [b"releases/" + name.encode("ascii")]
    rows = _rows(place, name)
    if rows is None:
        if _revision(name) != revision:
            return []
        rows = tuple(row_of(path, entry) for path, entry in content.entries())
    changed, now = compare(place / "releases" / name, rows)
    if not changed and set(now) != set(rows):
        _write(_manifest(place, name), dumps(now))
    return changed


def _is_ours(release: Path) -> bool:
    try:
        return release.lstat().st_mode == stat.S_IFDIR | 0o755
    except FileNotFoundError:
        return False


def _manifest(place: Path, name: str) -> Path:
    return place / ".promotion" / "manifests" / f"{name}.json"


def _rows(place: Path, name: str) -> tuple[Row, ...] | None:
    try:
        return loads(_manifest(place, name).read_text())
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


# --- a new release -------------------------------------------------------------------------------------------------


def _release(place: Path, revision: str, content: Content) -> str:
    """Writes a whole release under a name that was never current before; returns the name."""
    releases = place / "releases"
    draft = Path(tempfile.mkdtemp(prefix=f".new-{revision}-", dir=releases))
    try:
        rows = export(draft, content)
        draft.chmod(0o755)
        name = _free_name(place, revision)
        _write(_manifest(place, name), dumps(rows))
        _sync_file_system(releases)
        draft.rename(releases / name)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # on a full disk it is in the way
        raise
    _sync_folder(releases)
    return name


def _free_name(place: Path, revision: str) -> str:
    """Not the one last reloaded either: its reload was about other files."""
    taken = {*_releases(place), _reloads(place).get("done"), _reloads(place).get("failed")}
    number = 1
    while (name := revision if number == 1 else f"{revision}.{number}") in taken:
        number += 1
    return name


def _switch(place: Path, name: str) -> None:
    draft = place / ".promotion" / "current.new"
    draft.unlink(missing_ok=True)
    draft.symlink_to(f"releases/{name}")
    draft.rename(place / "current")
    _sync_folder(place)


def _sync_file_system(place: Path) -> None:
    """One flush of this file system: an fsync of each file is slow, and os.sync() waits for everybody's disks."""
    import ctypes  # here: only a new release needs it

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    with _folder(place) as handle:
        if syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(place))


def _sync_folder(place: Path) -> None:
    with _folder(place) as handle:
        os.fsync(handle)


@contextmanager
def _folder(place: Path) -> Iterator[int]:
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


# --- reload --------------------------------------------------------------------------------------------------------


def _reloads(place: Path) -> Mapping[str, Any]:
    """`done`: the release last reloaded; `failed` and `reason`: the one that failed since.

    What was done is kept, not what is to do: so a kill anywhere after the switch leaves a reload to be done.
    """
    try:
        found = json.loads((place / ".promotion" / "reload.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _reload(settings: Mapping[str, Any], subject: Subject, place: Path, name: str) -> None:
    ended = run(settings["reload"], subject, settings.get("reload_timeout", "60s"))
    state: dict[str, Any] = {"done": name}
    if ended.status != 0:
        how = "" if ended.status is None else f" exited {ended.status}"
        reason = f"reload{how}: {ended.said}" if ended.said else f"reload{how}"
        state = {"done": _reloads(place).get("done"), "failed": name, "reason": reason}
    _write(place / ".promotion" / "reload.json", json.dumps(state), durable=True)


def _reload_reading(settings: Mapping[str, Any], place: Path, name: str) -> Reading | None:
    state = _reloads(place) if "reload" in settings else {"done": name}
    if state.get("done") == name:
        return None
    if state.get("failed") == name:
        return Reading(Health.DEGRADED, str(state.get("reason")))
    return Reading(Health.PROGRESSING, "reload pending")


# --- the house -----------------------------------------------------------------------------------------------------


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    if (place / "current").is_dir() and not (place / "current").is_symlink():
        raise ConfigError("is a directory and not our link; move it away", where=str(place / "current"))
    for folder in (place, place / "releases", place / ".promotion", place / ".promotion" / "manifests"):
        folder.mkdir(parents=folder == place, exist_ok=True)
    handle = os.open(place / ".promotion" / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise TemporaryError("another sync loop works on this directory", where=str(place)) from exc
        yield
    finally:
        os.close(handle)


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        error = ConfigError if exc.errno in FOR_PEOPLE else TemporaryError
        where = shown(os.fsencode(exc.filename)) if isinstance(exc.filename, str | bytes) else str(place)
        raise error((exc.strerror or str(exc)).lower(), where=where) from exc


def _tidy(place: Path) -> None:
    """Removes what a killed sync left: we hold the lock, so nobody is writing it."""
    for left in (place / "releases").glob(".new-*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in (*(place / ".promotion").glob("*.new"), *(place / ".promotion" / "manifests").glob("*.new")):
        left.unlink(missing_ok=True)


def _prune(place: Path, kept: set[str | None], keep: int) -> None:
    """Removes all but the newest releases; when one cannot be removed, that is no reason to fail."""
    old = [name for name in _releases(place) if name not in kept]
    for name in sorted(old, key=lambda name: _age(place, name))[: max(0, len(old) - keep)]:
        shutil.rmtree(place / "releases" / name, ignore_errors=True)
        if (place / "releases" / name).exists():
            log.warning("cannot remove the old release %s", place / "releases" / name)
        else:
            _manifest(place, name).unlink(missing_ok=True)


def _age(place: Path, name: str) -> int:
    with suppress(FileNotFoundError):
        return _manifest(place, name).stat().st_mtime_ns
    return 0


def _record(place: Path, revision: str, reverted: Sequence[bytes]) -> None:
    """Keeps what is put back beside the releases, before it is: written twice is better than never."""
    path = place / ".promotion" / "reverted.jsonl"
    lines = path.read_text("utf-8", "replace").splitlines()[-RECORDS + 1 :] if path.exists() else []
    paths = [shown(one) for one in reverted[:RECORDS]]
    entry = {"at": iso(datetime.now(UTC)), "revision": revision, "paths": paths, "count": len(reverted)}
    _write(path, "".join(f"{line}\n" for line in (*lines, json.dumps(entry))), durable=True)


def _records(place: Path) -> tuple[Reverted, ...]:
    """What `_record` kept; a line that cannot be read was not written by us."""
    try:
        lines = (place / ".promotion" / "reverted.jsonl").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ()
    records = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            records.append(Reverted(instant(entry["at"]), entry["revision"], tuple(entry["paths"])))
    return tuple(records)


def _write(path: Path, text: str, *, durable: bool = False) -> None:
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.rename(path)
