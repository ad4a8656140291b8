"""Rounds over 20 applications x 13 environments that share one repository: their time, and their git processes, counted."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.fleet import service
from bench.hop import PLAIN, git
from bench.rounds import Rounds, started
from bench.table import Row, note

FILES = 10
"""Of each application."""
STAGES = ("st-1", "st-2", "st-3")
EU, US = (tuple(f"{where}-{number}" for number in range(1, 5)) for where in ("eu", "us"))
NAMES = ("dev", "qa", *STAGES, *EU, *US)

RAW_IDLE = 'cd "$1" && git ls-remote -q origin "refs/heads/*" > /dev/null'

# What lands a change of each application, one on top of the other, in one push; without ledger, health or gates.
RAW_HOPS = """
set -e
cd "$1"
git fetch -q origin '+refs/heads/env/*:refs/heads/env/*'
old=$(git rev-parse env/qa)
tip=$old
export GIT_INDEX_FILE="$1/index"
git read-tree env/qa
for application in $2; do
  git ls-tree -r env/dev "apps/$application/" | git update-index --index-info
  tip=$(git commit-tree "$(git write-tree)" -p "$tip" -m "qa <- dev")
done
git push -q --force-with-lease=env/qa:"$old" origin "$tip:refs/heads/env/qa"
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """Median seconds of rounds and of the raw commands, of `status`, and the git processes of one round of each kind."""

    idle: float
    raw_idle: float
    hops: float
    raw_hops: float
    status: float
    idle_processes: list[str]
    hops_processes: list[str]


def rows(quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 10
    found = {}
    for applications in (2, 20):
        with tempfile.TemporaryDirectory() as folder:
            found[applications] = one = measure(Path(folder), applications, rounds)
        note(
            f"{applications} x {len(NAMES)} in one repository: an idle round {one.idle:.2f} s, raw ls-remote {one.raw_idle:.3f} s;"
            f" {applications} hops {one.hops:.2f} s, raw commands {one.raw_hops:.2f} s; status {one.status:.2f} s;"
            f" git processes: idle {one.idle_processes}, hops {one.hops_processes}"
        )
    few, many = found[2], found[20]
    counts = [len(one.idle_processes) for one in (few, many)]
    pushes = many.hops_processes.count("push")
    what = f"20 applications x {len(NAMES)} environments in one repository"
    text = f"{counts[1]} ({counts[0]} with 2 applications)"
    yield Row(f"{what}: git processes of an idle round", text, "the same", counts[0] == counts[1])
    yield Row(f"{what}: pushes of a round with 20 hops onto one branch", str(pushes), "1", pushes == 1)
    yield Row(f"{what}: that round against raw git commands", f"{many.hops / many.raw_hops:.2f} x", "")
    yield Row(f"{what}: an idle round, and `promotion status`", f"{many.idle:.2f} s, {many.status:.2f} s", "")


def measure(folder: Path, applications: int, rounds: int) -> Shared:
    names = [f"s{number:02d}" for number in range(1, applications + 1)]
    origin, raw = _repository(folder / "platform.git", names), _repository(folder / "raw.git", names)
    clone = folder / "clone.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(raw), str(clone)], env=PLAIN, check=True)
    times: dict[str, list[float]] = {name: [] for name in ("idle", "raw_idle", "hops", "raw_hops")}
    with service() as url:
        config = _file(folder, names, url)
        _deployed(folder, names, NAMES, git(origin, "rev-parse", "env/dev"))
        with started(config, _environ(folder)) as door:
            for _ in range(2):
                door.once()
            for number in range(rounds):
                times["idle"].append(_round(door, 0))
                times["raw_idle"].append(_timed(RAW_IDLE, clone))
                _changed(folder, origin, names, number)
                times["hops"].append(_round(door, applications))
                change(raw, names, number)
                times["raw_hops"].append(_timed(RAW_HOPS, clone, " ".join(names)))
                _arrived(folder, origin, names, door)
        status = _status(config, _environ(folder), rounds)
        counts = _counted(folder, config, origin, names)
    medians = {name: median(seconds) for name, seconds in times.items()}
    return Shared(**medians, status=status, idle_processes=counts[0], hops_processes=counts[1])


def _round(door: Rounds, hops: int) -> float:
    told = door.once()
    if told.hops != hops:
        raise SystemExit(f"the round that is measured had {told.hops} hops, not {hops}")
    return told.seconds


def _changed(folder: Path, origin: Path, names: list[str], number: int) -> None:
    """A change of every application arrives in dev."""
    change(origin, names, number)
    _deployed(folder, names, ("dev",), git(origin, "rev-parse", "env/dev"))


def _arrived(folder: Path, origin: Path, names: list[str], door: Rounds) -> None:
    """What landed in qa is deployed there, and recorded."""
    _deployed(folder, names, ("qa",), git(origin, "rev-parse", "env/qa"))
    _round(door, 0)


def _counted(folder: Path, config: Path, origin: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """The git processes of an idle round and of one with a hop for each application, by their first word."""
    log, real = folder / "log", shutil.which("git")
    (folder / "bin").mkdir()
    (folder / "bin" / "git").write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {real} "$@"\n')
    (folder / "bin" / "git").chmod(0o755)
    environ = _environ(folder)
    with started(config, {**environ, "PATH": f"{folder / 'bin'}:{environ['PATH']}"}) as door:
        for _ in range(2):
            _round(door, 0)
        found = []
        for hops in (0, len(names)):
            if hops:
                _changed(folder, origin, names, 99)
            log.write_text("")
            _round(door, hops)
            found.append(words(log.read_text()))
    return found[0], found[1]


def words(log: str) -> list[str]:
    """Which git command each line of a log called; what a path remote itself starts is not ours."""
    found = [re.sub(r"--git-dir=\S+|-c \S+", "", line).split()[0] for line in log.splitlines()]
    return [word for word in found if word not in ("upload-pack", "receive-pack")]


def _status(config: Path, environ: dict[str, str], rounds: int) -> float:
    from bench.commands import PROMOTION, whole

    return median(whole([PROMOTION, "-c", str(config), "status"], environ) for _ in range(rounds))


def _timed(script: str, *args: object) -> float:
    began = time.perf_counter()
    subprocess.run(["sh", "-c", script, "sh", *map(str, args)], env=PLAIN, check=True, start_new_session=True)
    return time.perf_counter() - began


def _environ(folder: Path) -> dict[str, str]:
    return {**PLAIN, "HOME": str(folder), "PROMOTION_CACHE": str(folder / "cache")}


# --- the repository --------------------------------------------------------------------------------------------------


def _repository(path: Path, names: list[str]) -> Path:
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare", "-b", "main")
    git(path, "config", "gc.auto", "0")
    lines = [b"commit refs/heads/env/dev\ncommitter b <b@example.com> 1767225600 +0000\ndata 5\nstart\n"]
    lines += [_content(name, number, 0) for name in names for number in range(FILES)]
    git(path, "fast-import", "--quiet", stdin=b"".join(lines))
    for name in NAMES[1:]:
        git(path, "branch", f"env/{name}", "env/dev")
    return path


def change(path: Path, names: list[str], number: int) -> None:
    """Each application's people commit a file of theirs to env/dev."""
    text, start = b"", b"from refs/heads/env/dev^0\n"
    for name in names:
        head = b"commit refs/heads/env/dev\ncommitter b <b@example.com> %d +0000\ndata 6\nchange\n" % (
            1767225601 + number
        )
        text, start = text + head + start + _content(name, 0, number + 1), b""
    git(path, "fast-import", "--quiet", stdin=text)


def _content(name: str, file: int, number: int) -> bytes:
    data = b"replicas: %d\nround: %d\n" % (file, number)
    return b"M 100644 inline apps/%s/%d.yaml\ndata %d\n%s\n" % (name.encode(), file, len(data), data)


def _deployed(folder: Path, names: list[str], environments: tuple[str, ...], tip: str) -> None:
    """What sync loops would have done already: their time is not the round's."""
    for name in names:
        for environment in environments:
            place = folder / "run" / name / environment
            (place / "releases" / tip).mkdir(parents=True, exist_ok=True)
            (place / "next").symlink_to(Path("releases") / tip)
            (place / "next").replace(place / "current")


def _file(folder: Path, names: list[str], url: str) -> Path:
    place = 'engine: {type: directory, path: "run/{application}/{environment}"}'
    common = f'{place}, health: [{{type: http, url: "{url}"}}]'
    lines = ["version: 1", "environments:", f"  - {{name: dev, branch: env/dev, {common}}}"]
    lines += [f"  - {{name: qa, from: dev, branch: env/qa, {common}}}"]
    for name in STAGES:  # by hand: what is measured ends in qa
        lines += [f"  - {{name: {name}, from: qa, branch: env/{name}, auto: false, {common}}}"]
    for name in EU:
        lines += [f"  - {{name: {name}, from: st-1, branch: env/{name}, requires: [st-2, st-3], {common}}}"]
    for name in US:
        lines += [f"  - {{name: {name}, from: st-1, branch: env/{name}, requires: [{', '.join(EU)}], {common}}}"]
    lines += ["applications:"]
    lines += [f"  - {{name: {name}, repository: platform.git, paths: [apps/{name}/]}}" for name in names]
    path = folder / "environments.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path
