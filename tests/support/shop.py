"""The command line on a real bare repository with directory engines: a file, commits, and what a command prints."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promotion.cli import main
from tests.support.git import File, Origin

WELL: Mapping[str | bytes, File] = {"health": "ok\n"}
SICK: Mapping[str | bytes, File] = {"health": "sick\n"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def typed(file: Path, *words: str) -> Said:
    """Runs a command about this file in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["-c", str(file), *words])
    return Said(status, out.getvalue(), err.getvalue())


class Shop:
    """dev -> qa -> prod in a folder; `more` has further settings of an environment, by its name."""

    def __init__(self, folder: Path, name: str = "shop", **more: Mapping[str, Any]) -> None:
        self.folder = folder
        self.name = name
        self.origin = Origin.create(folder / f"{name}.git", files=WELL)
        self.file = folder / "environments.yaml"
        self.top: dict[str, Any] = {"name": name, "repository": str(self.origin.path)}
        self.settings: dict[str, dict[str, Any]] = {
            "dev": self._environment("dev"),
            "qa": {"from": "dev", **self._environment("qa")},
            "prod": {"from": "qa", **self._environment("prod")},
        }
        for environment, settings in more.items():
            self.settings[environment] |= settings
        self.write()

    def _environment(self, name: str) -> dict[str, Any]:
        place = self.folder / "deployed" / name
        check = {"type": "command", "command": ["grep", "-q", "ok", str(place / "current" / "health")]}
        return {
            "name": name,
            "branch": f"env/{name}",
            "engine": {"type": "directory", "path": str(place)},
            "health": [check],
        }

    def write(self, **top: Any) -> None:
        """Writes the file; JSON is YAML."""
        self.file.write_text(
            json.dumps({"version": 1, **self.top, "environments": list(self.settings.values()), **top})
        )

    def several(self, **repositories: str) -> None:
        """Makes the file one of several applications, with these URLs, deployed apart from each other."""
        place = str(self.folder / "deployed" / "{application}" / "{environment}")
        check = {"type": "command", "command": ["grep", "-q", "ok", f"{place}/current/health"]}
        for settings in self.settings.values():
            settings |= {"engine": {"type": "directory", "path": place}, "health": [check]}
        self.top = {"applications": [{"name": name, "repository": url} for name, url in repositories.items()]}
        self.write()

    def set(self, environment: str, **settings: Any) -> None:
        """Changes the settings of one environment."""
        self.settings[environment] |= settings
        self.write()

    def __call__(self, *words: str) -> Said:
        """Runs a command in this process."""
        return typed(self.file, *words)

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Starts a command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "promotion.cli", "-c", str(self.file), *words],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def push(
        self,
        environment: str,
        files: Mapping[str | bytes, File | None] | Mapping[str | bytes, File],
        message: str = "a change",
    ) -> str:
        return self.origin.commit(f"env/{environment}", files, message=message)

    def tip(self, environment: str) -> str:
        return self.origin.tip(f"env/{environment}")

    def round(self) -> Any:
        """One round with the sync loops; its hops."""
        return self("--json", "run", "--sync").json["hops"]

    def events(self) -> list[str]:
        """Kinds of event with their environment, oldest first."""
        events = self("--json", "history").json["events"]
        return [f"{e['event']} {e['environment']}" for e in events][::-1]
