"""One warm hop, against the same hop as raw git commands, and against clone + merge + push."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from promotion.model import Application, Environment, Spec, Verify
from promotion.observe import Site
from promotion.reconcile import promote
from promotion.repository import Git, Repository

# The fewest commands that do it without a checkout, with a compare-and-swap of the branch; it keeps no audit trail, asks
# no health and knows no gate.
RAW = """
set -e
cd "$1"
git fetch -q origin '+refs/heads/env/*:refs/heads/env/*'
t=$(git merge-tree --write-tree env/qa env/dev)
m=$(git commit-tree "$t" -p env/qa -p env/dev -m "qa <- dev")
git push -q --force-with-lease=env/qa:"$(git rev-parse env/qa)" origin "$m:refs/heads/env/qa"
"""

FULL = """
set -e
rm -rf "$2"
git clone -q -b env/qa "$1" "$2"
cd "$2"
git merge -q --no-ff -m "qa <- dev" origin/env/dev
git push -q origin HEAD:refs/heads/env/qa
"""

PLAIN = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{what}": "bench@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@dataclass(frozen=True, slots=True)
class Hop:
    """Median seconds of one hop at one size of repository; `full` is one run."""

    files: int
    ours: float
    raw: float
    full: float


def measure(folder: Path, files: int, rounds: int) -> Hop:
    """Both ways take turns on the same kind of repository, so that what else the machine does hits both."""
    ours, raw = repository(folder / "ours.git", files), repository(folder / "raw.git", files)
    times: dict[str, list[float]] = {"ours": [], "raw": []}
    with _open(folder, ours) as door:
        site = _site(ours, folder / "deployed", door)
        _ready(site, folder / "deployed", change(ours, 0))
        clone = _raw_clone(folder, raw)
        for number in range(rounds + 2):
            _deployed(folder / "deployed", change(ours, number + 1))
            times["ours"].append(_timed(lambda: _hop(site)))
            change(raw, number + 1)
            times["raw"].append(_timed(lambda: _run(RAW, clone)))
    change(raw, 10_000)
    whole = _timed(lambda: _run(FULL, raw, folder / "full"))
    return Hop(files, median(times["ours"][2:]), median(times["raw"][2:]), whole)


def _hop(site: Site) -> None:
    result = promote(site, site.application.environments[1])
    if result.outcome != "promoted":
        raise SystemExit(f"the hop that is measured did not land: {result.outcome}: {result.reason}")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _run(script: str, *args: Path) -> None:
    """In a session of its own, as ours are: on a busy machine the system gives each session its share."""
    subprocess.run(["sh", "-c", script, "sh", *map(str, args)], env=PLAIN, check=True, start_new_session=True)


def git(where: Path, *args: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *args], cwd=where, env=PLAIN, check=True, input=stdin, capture_output=True)
    return done.stdout.decode().strip()


def repository(path: Path, files: int) -> Path:
    """A bare repository with branches env/dev and env/qa on one commit of so many files, a hundred a folder."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare", "-b", "main")
    git(path, "config", "gc.auto", "0")
    lines = [b"commit refs/heads/env/dev\ncommitter b <b@example.com> 1767225600 +0000\ndata 5\nstart\n"]
    for number in range(files):
        content = b"replicas: %d\n" % number
        name = b"apps/%03d/%02d/%d.yaml" % (number // 10_000, number // 100 % 100, number)
        lines.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(content), content))
    git(path, "fast-import", "--quiet", stdin=b"".join(lines))
    git(path, "branch", "env/qa", "env/dev")
    return path


def change(path: Path, number: int) -> str:
    """People commit one file to env/dev."""
    content = b"replicas: %d\nround: %d\n" % (number, number)
    text = (
        b"commit refs/heads/env/dev\nmark :1\ncommitter b <b@example.com> %d +0000\ndata 6\nchange\nfrom refs/heads/env/dev^0\n"
        % (1767225601 + number)
        + b"M 100644 inline apps/000/00/0.yaml\ndata %d\n%s\nget-mark :1\ndone\n" % (len(content), content)
    )
    return git(path, "fast-import", "--quiet", "--done", stdin=text)


def _raw_clone(folder: Path, raw: Path) -> Path:
    change(raw, 0)
    clone = folder / "raw-clone.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(raw), str(clone)], env=PLAIN, check=True)
    _run(RAW, clone)
    return clone


def _open(folder: Path, url: Path) -> Repository:
    return Repository(str(url), Git(PLAIN, folder / "cache"), folder / "cache")


def _site(url: Path, deployed: Path, repository: Repository) -> Site:
    check = Spec("command", {"command": ["true"]})
    place = Spec("directory", {"path": str(deployed)})
    dev = Environment("dev", "env/dev", engine=place, health=(check,))
    at_once = Verify(within=timedelta(0))  # nobody deploys qa here: the next hop need not wait for that
    qa = Environment("qa", "env/qa", source="dev", engine=place, health=(check,), verify=at_once)
    in_force = {"heartbeat": "10m", "environments": {"dev": {}, "qa": {"from": "dev"}}}
    app = Application("bench", str(url), "refs/heads/promotion/bench", (dev, qa), in_force)
    return Site(app, repository, lambda: datetime.now(UTC), "bench@example.com")


def _ready(site: Site, deployed: Path, commit: str) -> None:
    _deployed(deployed, commit)
    _hop(site)


def _deployed(place: Path, commit: str) -> None:
    """What a sync loop would have done already: its time is not the hop's."""
    (place / "releases" / commit).mkdir(parents=True, exist_ok=True)
    draft = place / "next"
    draft.symlink_to(Path("releases") / commit)
    draft.replace(place / "current")
    for old in (place / "releases").iterdir():
        if old.name != commit:
            shutil.rmtree(old)
