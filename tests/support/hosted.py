"""A whole small set-up as people have it: a repository, an environments.yaml, and a sync loop that is a hook of the host."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.git import Origin

HOOK = """\
#!/bin/sh
while read old new ref; do
  case $ref in refs/heads/env/*)
    place='{folder}'/${{ref##*/}}
    mkdir -p "$place/releases/$new"
    git archive "$new" | tar -x -C "$place/releases/$new"
    ln -sfn "releases/$new" "$place/current"
  esac
done
"""
WELL = {"health": "ok\n", "quality": "ok\n"}


@dataclass(frozen=True)
class Hosted:
    """dev -> qa -> prod. An environment is healthy while its file says ok: `health` in dev, `quality` elsewhere."""

    folder: Path
    origin: Origin
    name: str

    @classmethod
    def create(cls, folder: Path, name: str = "shop", *, hook: bool = True, **settings: Mapping[str, Any]) -> Hosted:
        """`settings` are further keys by environment. Without `hook` nothing is deployed but by `--sync`."""
        folder.mkdir(parents=True, exist_ok=True)
        shop = cls(folder, Origin.create(folder / f"{name}.git", files=WELL), name)
        if hook:
            shop.origin.hook("post-receive", HOOK.format(folder=folder))
            for environment in ("dev", "qa", "prod"):
                shop.deploy(environment)
        environments = [
            shop.environment(*pair, settings=settings) for pair in (("dev",), ("qa", "dev"), ("prod", "qa"))
        ]
        config = {"version": 1, "name": name, "repository": str(shop.origin.path), "environments": environments}
        shop.file.write_text(json.dumps(config, indent=1))
        return shop

    def environment(self, name: str, source: str | None = None, *, settings: Mapping[str, Any]) -> dict[str, Any]:
        file = self.folder / name / "current" / ("quality" if source else "health")
        return {
            "name": name,
            "branch": f"env/{name}",
            "engine": {"type": "directory", "path": str(self.folder / name)},
            "health": [{"type": "command", "command": ["grep", "-q", "ok", str(file)]}],
            **({"from": source} if source else {}),
            **settings.get(name, {}),
        }

    @property
    def file(self) -> Path:
        return self.folder / "environments.yaml"

    @property
    def config(self) -> str:
        return str(self.file)

    def commit(self, name: str, files: Mapping[str, str | None], message: str = "a change") -> str:
        """People push: the host's hook deploys it, where there is one."""
        commit = self.origin.commit(f"env/{name}", files, message=message)
        if (self.origin.path / "hooks/post-receive").exists():
            self.deploy(name)
        return commit

    def deploy(self, name: str) -> None:
        line = f"{'0' * 40} {self.tip(name)} refs/heads/env/{name}\n"
        subprocess.run(["hooks/post-receive"], cwd=self.origin.path, input=line.encode(), check=True)

    def tip(self, name: str) -> str:
        return self.origin.tip(f"env/{name}")
