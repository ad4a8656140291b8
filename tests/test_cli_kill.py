"""`promotion run` killed at any moment, as a machine that dies kills it; then undisturbed rounds."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from tests.support.shop import Shop

KILLS = 12
ENVIRONMENTS = 3


def test_run_killed_at_random_moments_converges(tmp_path: Path) -> None:
    """Each change lands once in each environment, no lock stays, and the audit is clean; nobody lent a hand."""
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1 << 32)
    moments = random.Random(seed)
    shop = Shop(tmp_path)
    changes = []
    for number in range(KILLS):
        changes.append(shop.push("dev", {"web": f"{number}\n"}))
        process = shop.start("-q", "run", "--every", "1s", "--sync")
        time.sleep(0.25 + moments.random() * 0.5)  # an interpreter needs 0.25 s to its first git command
        process.kill()
        process.communicate()
        time.sleep(0.05)  # a push whose client died is finished by the server: also such a one must count
    for _ in range(ENVIRONMENTS + 1):
        said = shop("-q", "run", "--sync")
        assert said.status in (0, 75), f"seed {seed}: {said.err}"
    assert shop.origin.tree("env/prod") == shop.origin.tree("env/dev"), f"seed {seed}"
    for name in ("qa", "prod"):
        sources = [
            c.trailers["Promotion-Source"] for c in shop.origin.log(f"env/{name}") if "Promotion-Source" in c.trailers
        ]
        assert len(sources) == len(set(sources)), f"seed {seed}: {name} got a change twice"
    assert shop("audit").status == 0, f"seed {seed}"
    assert list(shop.origin.path.rglob("*.lock")) == [], f"seed {seed}"
    shop.origin.git("fsck", "--strict")
