"""`status` and `plan` as whole processes, as a person at a terminal waits for them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.hop import PLAIN, change, repository

FILE = """\
version: 1
repository: {repository}
environments:
  - {{name: dev, branch: env/dev, engine: {{type: directory, path: dev}}, health: [{{type: command, command: ["true"]}}]}}
  - {{name: qa, from: dev, branch: env/qa, engine: {{type: directory, path: qa}}, health: [{{type: command, command: ["true"]}}]}}
  - {{name: prod, from: qa, branch: env/prod, engine: {{type: directory, path: prod}}, health: [{{type: command, command: ["true"]}}]}}
"""


PROMOTION = str(Path(sys.executable).with_name("promotion"))


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Median seconds of `python -c pass`, `promotion status` and `promotion plan prod`, warm, three environments."""
    origin = repository(folder / "shop.git", 200)
    subprocess.run(["git", "branch", "env/prod", "env/qa"], cwd=origin, check=True, env=PLAIN)
    (folder / "environments.yaml").write_text(FILE.format(repository=origin))
    promotion = [PROMOTION, "-c", str(folder / "environments.yaml")]
    environ = {**PLAIN, "HOME": str(folder), "PROMOTION_CACHE": str(folder / "cache")}
    for number in range(4):
        subprocess.run([*promotion, "-q", "run", "--sync"], check=True, env=environ, stdout=subprocess.DEVNULL)
        change(origin, number)
    return {
        name: median(whole(words, environ) for _ in range(rounds))
        for name, words in {
            "python": [sys.executable, "-c", "pass"],
            "status": [*promotion, "status"],
            "plan": [*promotion, "plan", "qa"],
        }.items()
    }


def whole(words: list[str], environ: dict[str, str]) -> float:
    """Seconds of a process that prints for nobody."""
    began = time.perf_counter()
    subprocess.run(words, env=environ, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began
