"""The shop of the other tests, watched by the checker, with everything in one folder that can be put back as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.robustness import checker
from tests.robustness.checker import Rules
from tests.support.git import File
from tests.support.shop import Said, Shop

RULES = {
    "dev": Rules("env/dev"),
    "qa": Rules("env/qa", "dev", ("overlays/qa/**",)),
    "prod": Rules("env/prod", "qa", ("overlays/prod/**",)),
}
LINES = "".join(f"line {n}\n" for n in range(30))


@dataclass
class Play:
    """dev -> qa -> prod; protected files, a hotfix on qa that drifts, and people who push."""

    folder: Path
    shop: Shop
    people: set[str] = field(default_factory=set)
    applications: checker.Applications = field(default_factory=lambda: {"shop": RULES})
    again: bool = False
    """Whether a source may enter an environment twice (after `adopt`)."""

    @classmethod
    def create(cls, folder: Path, **more: Mapping[str, Any]) -> Play:
        """`more` has further settings of an environment, by its name."""
        folder.mkdir(parents=True)
        settings = {name: {"protect": list(rules.protect)} for name, rules in RULES.items() if rules.protect}
        shop = Shop(folder, **{name: {**settings.get(name, {}), **more.get(name, {})} for name in RULES})
        first = {"app.conf": LINES, **{f"overlays/{name}/limits": f"{name}\n" for name in RULES}}
        tip = shop.push("dev", first, "what there was")
        for name in ("qa", "prod"):
            shop.origin.set(f"env/{name}", tip)
        play = cls(folder, shop)
        checker.watch(shop.origin.path, play.log)
        return play

    @classmethod
    def several(cls, folder: Path, *names: str) -> Play:
        """Applications that share one repository and its branches, each with a folder of its own."""
        folder.mkdir(parents=True)
        shop = Shop(folder)
        for environment in shop.settings.values():
            place = str(folder / "deployed" / "{application}" / environment["name"])
            health = f"{place}/current/{{application}}/health"
            check = {"type": "command", "command": ["grep", "-q", "ok", health]}
            environment |= {"engine": {"type": "directory", "path": place}, "health": [check]}
        url = str(shop.origin.path)
        shop.top = {"applications": [{"name": name, "repository": url, "paths": [f"{name}/"]} for name in names]}
        shop.write()
        tip = shop.push("dev", {f"{name}/health": "ok\n" for name in names}, "what there was")
        for environment in ("qa", "prod"):
            shop.origin.set(f"env/{environment}", tip)
        rules = {
            name: {e: replace(rule, protect=(), paths=(f"{name}/",)) for e, rule in RULES.items()} for name in names
        }
        play = cls(folder, shop, applications=rules)
        checker.watch(shop.origin.path, play.log)
        return play

    @property
    def log(self) -> Path:
        return self.folder / "transactions"

    @property
    def cache(self) -> Path:
        """The clone cache of the command line in this process."""
        return Path(os.environ["PROMOTION_CACHE"])

    def push(self, name: str, files: Mapping[str | bytes, File | None], message: str = "a change") -> str:
        """People push to a branch that nobody else writes at the moment."""
        commit = self.shop.push(name, files, message)
        self.people.add(commit)
        return commit

    def change(self, word: str, *, sick: bool = False) -> str:
        """A change of dev that touches a shared file, adds one, and meddles with what belongs to others."""
        text = LINES.replace("line 29", f"line 29 {word}")
        files: dict[str | bytes, File | None] = {
            "app.conf": text,
            "web": f"{word}\n",
            "overlays/qa/limits": f"{word}\n",
        }
        return self.push("dev", {**files, "health": "sick\n" if sick else "ok\n"}, word)

    def hotfix(self, name: str = "qa") -> str:
        """A change of the same shared file, elsewhere in it: what is promoted next needs a content merge."""
        text = (self.shop.origin.show(f"env/{name}", "app.conf") or "").replace("line 1\n", "line 1 mended\n")
        return self.push(name, {"app.conf": text}, "hotfix")

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """A command in a process of its own, as people start it."""
        return self.shop.start(*words, **environ)

    def run(self, *words: str) -> Said:
        """A command in this process, undisturbed."""
        return self.shop(*words)

    def converge(self, rounds: int = 8, excused: int = 0) -> int:
        """Undisturbed rounds until nothing is left to do; each must be well. Nobody lends a hand. Returns how many.

        So many as are `excused` may say 75: damage is noticed where it is met.
        """
        for number in range(1, rounds + 1):
            said = self.run("--json", "run", "--sync")
            if said.status == 75 and excused:
                excused -= 1
                continue
            assert said.status == 0, said.err + said.out
            if not said.json["hops"]:
                return number
        raise AssertionError(f"still not done after {rounds} rounds: {said.out}")

    def landed(self, name: str) -> list[str]:
        """The sources of what was promoted into an environment, oldest first."""
        trailers = [commit.trailers for commit in self.shop.origin.log(f"env/{name}")]
        return [each["Promotion-Source"] for each in trailers if "Promotion-Source" in each][::-1]

    def has(self, name: str, word: str) -> bool:
        """Whether an environment has the change `word`, whole, beside the hotfix and its own files."""
        origin = self.shop.origin
        return (
            origin.show(f"env/{name}", "web") == f"{word}\n"
            and f"line 29 {word}" in (origin.show(f"env/{name}", "app.conf") or "")
            and origin.show(f"env/{name}", f"overlays/{name}/limits") == f"{name}\n"
        )

    def judged(self) -> None:
        """The checker has nothing to say, and neither have git and the product's own audit; no lock is left anywhere."""
        assert self.violations() == []
        assert [str(path) for path in self.shop.origin.path.rglob("*.lock")] == []
        assert "error" not in self.shop.origin.git("fsck", "--strict", "--no-dangling")
        audit = self.run("audit")
        assert audit.status == 0, audit.out + audit.err

    def violations(self) -> list[str]:
        return checker.violations(self.shop.origin.path, self.log, self.people, self.applications, again=self.again)

    # --- put back as it was ------------------------------------------------------------------------------------------

    def keep(self, name: str = "kept") -> None:
        """Remembers the folder, its caches and repository as they are."""
        shutil.copytree(self.folder, self.folder.with_suffix(f".{name}"), symlinks=True)

    def back(self, name: str = "kept") -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.with_suffix(f".{name}"), self.folder, symlinks=True)


def python(code: str, *args: str, **environ: str) -> subprocess.Popen[str]:
    """A process of this interpreter that runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
