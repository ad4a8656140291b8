"""What tests ask about processes."""

from __future__ import annotations

import time
from pathlib import Path


def gone(pid: int, tries: int = 500) -> bool:
    """Whether a process ends, or is only waited for, within so many tries of 20 ms."""
    for _ in range(tries):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
