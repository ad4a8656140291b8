"""Several applications in one real repository, deployed into memory: no process and no file for a health check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from promotion.engines.contract import Content, Deployed
from promotion.errors import TemporaryError
from promotion.model import Application, Environment, Health, Reading, Spec, Subject
from promotion.reconcile import Round, Task, together
from tests.support.git import File, Origin
from tests.support.stage import Stage

Files = Mapping[str | bytes, File | None]
Key = tuple[str, str]
"""(application, environment)"""


@dataclass
class Memory:
    """An engine: what it was given last is what runs, and is degraded while there is a file called `sick`."""

    running: dict[Key, tuple[str, Health]] = field(default_factory=dict)
    files: dict[Key, dict[bytes, str]] = field(default_factory=dict)
    deployments: list[tuple[str, str, str]] = field(default_factory=list)
    """(application, environment, revision), each time that another one is deployed."""
    away: set[Key] = field(default_factory=set)

    def observe(self, settings: Mapping[str, Any], subject: Subject) -> Deployed:  # noqa: ARG002
        key = (subject.application, subject.environment)
        if key in self.away:
            raise TemporaryError("it is away", where=subject.environment)
        revision, health = self.running.get(key, (None, Health.MISSING))
        return Deployed(revision, Reading(health, f"it is {health}"))

    def sync(self, settings: Mapping[str, Any], subject: Subject, content: Content) -> Deployed:
        key = (subject.application, subject.environment)
        assert subject.revision
        if self.running.get(key, (None, None))[0] != subject.revision:
            self.files[key] = {path: entry.oid for path, entry in content.entries()}
            sick = any(path.endswith(b"sick") for path in self.files[key])
            self.running[key] = (subject.revision, Health.DEGRADED if sick else Health.HEALTHY)
            self.deployments.append((*key, subject.revision))
        return self.observe(settings, subject)


def place(name: str, source: str | None = None, **more: Any) -> Environment:
    """An environment on branch env/NAME that runs in memory."""
    written = {key: list(value) if isinstance(value, tuple) else value for key, value in more.items()}
    written.pop("credential", None)
    if "gates" in more:
        written["gates"] = [{"type": gate.type, **gate.settings} for gate in more["gates"]]
    if "verify" in more:
        written["verify"] = {"on_failure": more["verify"].on_failure}
    deciding = {"branch": f"env/{name}", "health": "engine", **written, **({"from": source} if source else {})}
    return Environment(
        name,
        f"env/{name}",
        source=source,
        engine=Spec("memory"),
        engine_says=True,
        deciding=deciding,
        **more,
    )


def application(name: str, url: str, environments: Sequence[Environment], paths: Sequence[str] = ()) -> Application:
    """As the configuration makes it: what decides is in force for each environment."""
    scope = {"paths": list(paths)} if paths else {}
    made = tuple(replace(e, deciding={**e.deciding, **scope}) for e in environments)
    in_force = {"heartbeat": "10m", "environments": {e.name: dict(e.deciding) for e in made}}
    return Application(name, url, f"refs/heads/promotion/{name}", made, in_force, paths=tuple(paths))


WAY = (place("dev"), place("qa", "dev"), place("prod", "qa"))


class Shared:
    """Applications of one repository; each has a directory of its name, unless `paths` says something else."""

    def __init__(
        self,
        folder: Path,
        memory: Memory,
        names: Sequence[str] = ("shop", "billing"),
        environments: Sequence[Environment] | Callable[[str], Sequence[Environment]] = WAY,
        paths: Mapping[str, Sequence[str]] | None = None,
        files: Files | None = None,
    ) -> None:
        self.folder, self.memory = folder, memory
        of = environments if callable(environments) else lambda _: environments
        places = {name: of(name) for name in names}
        branches = dict.fromkeys(e.branch for each in places.values() for e in each)
        start = {f"{name}/web": "1\n" for name in names} | {"README.md": "All of them.\n"} if files is None else files
        self.origin = Origin.create(folder / "platform.git", branches, start)  # type: ignore[arg-type]
        scopes = {name: (paths or {}).get(name, (name,)) for name in names}
        url = str(self.origin.path)
        self.stages = {
            name: Stage(folder, self.origin, application(name, url, places[name], scopes[name])) for name in names
        }
        first = next(iter(self.stages.values()))
        for stage in self.stages.values():
            stage.site = replace(stage.site, repository=first.site.repository)

    def __getitem__(self, name: str) -> Stage:
        return self.stages[name]

    def close(self) -> None:
        for stage in self.stages.values():
            stage.close()

    def tasks(self, *names: str) -> list[Task]:
        stages = [self.stages[name] for name in names or self.stages]
        return [Task(s.site, [e.name for e in s.application.environments]) for s in stages]

    def wait(self, **more: float) -> None:
        for stage in self.stages.values():
            stage.wait(**more)

    def round(self, *names: str, sync: bool = True, **more: Any) -> dict[str, Round]:
        """One round over all of them, or these; the clock moves on by a second. Raises what ended one of them."""
        rounds = {}
        for name, done in self.tried(*names, sync=sync, **more).items():
            if not isinstance(done, Round):
                raise done
            rounds[name] = done
        return rounds

    def tried(self, *names: str, sync: bool = True, **more: Any) -> dict[str, Any]:
        """The same, with what ended an application's round in its place."""
        self.wait(seconds=1)
        tasks = self.tasks(*names)
        done = together(tasks, sync=sync, **more)
        return {task.site.application.name: each for task, each in zip(tasks, done, strict=True)}

    def settle(self, most: int = 12) -> int:
        """Rounds until nothing happens; how many made a hop."""
        for number in range(most):
            before = self.origin.refs()
            self.round()
            if self.origin.refs() == before:
                return number
        raise AssertionError(f"something still happens after {most} rounds")

    def commit(self, branch: str, files: Files, message: str = "a change") -> str:
        return self.origin.commit(f"env/{branch}", files, message=message)

    def others(self, branch: str, count: int, path: str = "other/file") -> str:
        """Many commits outside of every application's scope, by one process; the branch's new tip."""
        ref, lines = f"refs/heads/env/{branch}", list[str]()
        for number in range(count):
            self.origin.clock += 1
            who = f"dave <dave@example.com> {self.origin.clock} +0000"
            lines += [f"commit {ref}", f"mark :{number + 1}", f"author {who}", f"committer {who}"]
            lines += ["data 5", "other", f"from {ref}^0" if number == 0 else f"from :{number}"]
            lines += [f"M 100644 inline {path}", f"data {len(str(number)) + 7}", f"number {number}", ""]
        lines += ["done", ""]
        self.origin.git("fast-import", "--quiet", "--done", input="\n".join(lines))
        return self.origin.tip(f"env/{branch}")

    def promotions(self, branch: str, name: str | None = None) -> list[tuple[str, str]]:
        """(application, source) of the promotions on a branch, oldest first."""
        found = [c.trailers for c in self.origin.log(f"env/{branch}") if "Promotion-Plan" in c.trailers][::-1]
        said = [(t["Promotion-Application"], t["Promotion-Source"]) for t in found]
        return [(application, source) for application, source in said if name in (None, application)]


__all__ = ["WAY", "Memory", "Shared", "application", "place"]
