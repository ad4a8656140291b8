"""Counts the git processes that the product starts: a `git` found first on PATH writes each one down."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Counted:
    """A folder to be put in front of PATH, and what was started through it."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Counted:
        folder.mkdir(parents=True)
        wrapper = folder / "git"
        wrapper.write_text(f'#!/bin/sh\necho "$*" >> {folder}/log\nexec {shutil.which("git")} "$@"\n')
        wrapper.chmod(0o755)
        return cls(folder)

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {**environ, "PATH": f"{self.folder}:{environ['PATH']}"}

    def since(self) -> list[str]:
        """The git commands since the last time, sorted; without what git itself starts for a path remote."""
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.write_text("")
        words = [re.sub(r"--git-dir=\S+|-c \S+", "", line).split()[0] for line in lines]
        return sorted(word for word in words if word not in ("upload-pack", "receive-pack"))
