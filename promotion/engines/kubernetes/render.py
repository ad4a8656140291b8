"""The files of a commit -> the documents in them: plain YAML and JSON, or what kustomize makes of them.

It runs kustomize and nothing else, and asks no server: what is deployed comes from the commit alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from promotion.checks.command import Ended, run
from promotion.engines.contract import Content
from promotion.engines.kubernetes.documents import UnreadableError, Written, read
from promotion.engines.workplace import claimed, filled
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Entry, Subject
from promotion.said import first_line
from promotion.spelling import nearest
from promotion.texts import shown

KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
ENDINGS = (".yaml", ".yml", ".json")
TIMEOUT = timedelta(minutes=1)
SIZE = 64 << 20
"""Bytes of a rendering."""
NOWHERE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
    "GIT_ALLOW_PROTOCOL": "none",
}
"""Variables with which kustomize fetches nothing: what it would is not in the commit, and may change."""


def rendered(settings: Mapping[str, Any], subject: Subject, content: Content) -> list[Written]:
    """The documents of `path`. Raises ConfigError with a line for each file that cannot be read, TemporaryError."""
    path = str(settings.get("path", "")).strip("/")
    entries = list(content.entries())
    names = {shown(name): entry for name, entry in entries}
    below = {name: entry for name, entry in names.items() if not path or name.startswith(f"{path}/")}
    if not below:
        folders = sorted({name.rpartition("/")[0] for name in names if name.endswith(ENDINGS)})
        raise ConfigError(f"no files below `{path}` in this commit{nearest(path, folders, 8)}")
    prefix = f"{path}/" if path else ""
    if any(f"{prefix}{name}" in below for name in KUSTOMIZATION):
        return _kustomized(path, subject, content)
    if found := next((name for name in sorted(below) if name.rpartition("/")[2] in KUSTOMIZATION), None):
        folder = found.rpartition("/")[0]
        raise ConfigError(f"`{found}` is kustomize's, and is not in `path` itself: write `path: {folder}`")
    return _plain({name: entry for name, entry in below.items() if _is_manifest(name.removeprefix(prefix))}, content)


def _is_manifest(name: str) -> bool:
    """What is hidden is a tool's: `.github/workflows/test.yaml`."""
    return name.endswith(ENDINGS) and not any(part.startswith(".") for part in name.split("/"))


def _plain(files: Mapping[str, Entry], content: Content) -> list[Written]:
    documents, problems = list[Written](), list[str]()
    wanted = {name: entry.oid for name, entry in sorted(files.items()) if entry.is_file}
    # Left out, its objects would be pruned.
    problems += [
        f"{name}: is no file but a link, and none is followed" for name in sorted(files.keys() - wanted.keys())
    ]
    data = dict(content.blobs(sorted(set(wanted.values()))))
    if sum(map(len, data.values())) > SIZE:
        raise ConfigError(f"more than {SIZE >> 20} MiB of manifests")
    for name, oid in wanted.items():
        if oid not in data:
            raise TemporaryError(f"Git has no object {oid}")
        try:
            documents += read(name, data[oid])
        except UnreadableError as exc:
            problems.append(_line(name, exc))
    if problems:
        raise ConfigError(
            problems[0] if len(problems) == 1 else f"{len(problems)} files cannot be read", problems=tuple(problems)
        )
    return documents


def _line(name: str, exc: UnreadableError) -> str:
    return f"{name}:{exc.line}: {exc}" if exc.line else f"{name}: {exc}"


# --- kustomize -----------------------------------------------------------------------------------------------------


def _kustomized(path: str, subject: Subject, content: Content) -> list[Written]:
    search = subject.environ.get("PATH")
    program = shutil.which("kustomize", path=search)
    kubectl = shutil.which("kubectl", path=search)
    if not (program or kubectl):
        where = path or "."
        raise ConfigError(f"`{where}` needs kustomize: neither `kustomize` nor `kubectl` is on PATH")
    argv = [program, "build"] if program else [str(kubectl), "kustomize"]
    with claimed(subject, TIMEOUT) as claim, filled(claim, content) as folder:
        made = claim.place / "rendered"
        made.unlink(missing_ok=True)
        place = folder / path if path else folder
        try:
            ended = run(
                [*argv, "--output", str(made), str(place)],
                subject,
                f"{int(TIMEOUT.total_seconds())}s",
                sweep=True,
                folder=place,
                handed=[claim.handle],
                variables=NOWHERE,
            )
            if ended.status != 0:
                raise _failed(_said(ended).replace(str(folder), "").strip() or f"exit {ended.status}", path)
            return _made(path, made)
        finally:
            made.unlink(missing_ok=True)


def _said(ended: Ended) -> str:
    """Its error: warnings come before it."""
    lines = ended.complaint.decode("utf-8", "replace").splitlines()
    return first_line(next((line for line in lines if line.lower().startswith("error")), ended.said), 400)


def _failed(said: str, path: str) -> ConfigError:
    named = re.search("accumulating resources from '([^']*)'", said)
    if (named and re.search("://|@", named[1])) or "127.0.0.1:9" in said:
        what = f"`{named[1]}`" if named else "what it names"
        hint = "copy it into the repository: what is deployed comes from the commit"
        return ConfigError(f"kustomize: {what} would have to be fetched, and nothing is", where=path or None, hint=hint)
    return ConfigError(f"kustomize: {said}", where=path or None)


def _made(path: str, made: Path) -> list[Written]:
    with made.open("rb") as file:
        data = file.read(SIZE + 1)
    if len(data) > SIZE:
        raise ConfigError(f"kustomize made more than {SIZE >> 20} MiB", where=path)
    name = f"kustomize {path}".strip()
    try:
        return read(name, data)
    except UnreadableError as exc:
        raise ConfigError(_line(name, exc)) from exc
