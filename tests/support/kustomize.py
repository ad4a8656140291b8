"""What `kubectl kustomize` makes of a folder; the program is the one beside our Python, which the lock pins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

KUBECTL = Path(sys.executable).with_name("kubectl")


def rendered(folder: Path) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k` would send; fails on an error, and on a warning."""
    done = subprocess.run([str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))
