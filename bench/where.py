"""`promotion where COMMIT` as a whole process, on a history of 100,000 commits that was promoted some hundred times."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.commands import FILE
from bench.hop import PLAIN

STEP = 250
"""Commits between two promotions."""


def measure(folder: Path, commits: int, rounds: int) -> dict[str, float]:
    """Median seconds for the oldest, a middle and the newest commit, and of a promotion in the middle; warm."""
    origin, line = history(folder / "shop.git", commits)
    (folder / "environments.yaml").write_text(FILE.format(repository=origin))
    promotion = [str(Path(sys.executable).with_name("promotion")), "-c", str(folder / "environments.yaml")]
    environ = {**PLAIN, "HOME": str(folder), "PROMOTION_CACHE": str(folder / "cache")}
    asked = {"oldest": line[0], "middle": line[len(line) // 2], "newest": line[-1]}
    asked["promotion"] = _git(origin, "rev-parse", f"env/prod~{commits // STEP // 2}")
    for commit in asked.values():  # makes the clone, and what git writes beside it
        subprocess.run([*promotion, "where", commit], check=True, env=environ, stdout=subprocess.DEVNULL)
    return {
        name: median(_whole([*promotion, "where", commit], environ) for _ in range(rounds))
        for name, commit in asked.items()
    }


def _whole(words: list[str], environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _git(where: Path, *args: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *args], cwd=where, env=PLAIN, check=True, input=stdin, capture_output=True)
    return done.stdout.decode().strip()


def history(path: Path, commits: int) -> tuple[Path, list[str]]:
    """A bare repository, and dev's commits, oldest first. qa and prod took every STEPth."""
    path.mkdir(parents=True)
    _git(path, "init", "-q", "--bare", "-b", "main")
    _git(path, "config", "gc.auto", "0")
    lines = [_commit(b"env/dev", n, b"change %d of shop" % n, _file(n), mark=n) for n in range(1, commits + 1)]
    _git(path, "fast-import", "--quiet", stdin=b"".join(lines))
    line = _git(path, "rev-list", "--reverse", "env/dev").split()
    tips = {b"qa": line[STEP // 2], b"prod": line[STEP // 2]}
    for number in range(STEP, commits - STEP, STEP):
        source = line[number]
        text = b""
        for name in tips:
            said = {
                "Plan": "0" * 64,
                "Application": "shop",
                "Environment": name.decode(),
                "Source": source,
                "Attempt": "1" * 32,
            }
            message = "shop\n\n" + "".join(f"Promotion-{key}: {value}\n" for key, value in said.items())
            parents = b"from %s\nmerge %s\n" % (tips[name].encode(), source.encode())
            text = _commit(b"env/" + name, commits + number, message.encode(), parents + _file(number + 1), mark=1)
            tips[name] = source = _git(path, "fast-import", "--quiet", "--done", stdin=text + b"get-mark :1\ndone\n")
    return path, line


def _file(number: int) -> bytes:
    content = b"replicas: %d\n" % number
    return b"M 100644 inline apps/%d.yaml\ndata %d\n%s\n" % (number % 500, len(content), content)


def _commit(branch: bytes, second: int, message: bytes, rest: bytes, mark: int) -> bytes:
    person = b"b <b@example.com> %d +0000" % (1_600_000_000 + second)
    head = b"commit refs/heads/%s\nmark :%d\nauthor %s\ncommitter %s\n" % (branch, mark, person, person)
    return head + b"data %d\n%s\n" % (len(message), message) + rest
