"""One application on a real bare repository with real directory engines, and a clock that tests move by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from promotion import answers, observe
from promotion.model import Application, Environment, Health, Spec, Verify
from promotion.observe import Site, World
from promotion.reconcile import Round, deploy, reconcile
from promotion.repository import Git, Repository
from promotion.view import Plan
from tests.support.git import Origin

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WELL = {"health": "ok\n"}
SICK = {"health": "sick\n"}


def environment(folder: Path, name: str, source: str | None = None, **more: Any) -> Environment:
    """An environment on branch env/NAME, deployed to FOLDER/NAME; healthy while its file `health` says ok."""
    place = folder / name
    ask = Spec("command", {"command": ["grep", "-q", "ok", str(place / "current" / "health")]})
    deciding = {"branch": f"env/{name}", "health": ["grep"], **({"from": source} if source else {})}
    if "gates" in more:
        deciding["gates"] = [{"type": gate.type, **gate.settings} for gate in more["gates"]]
    if "protect" in more:
        deciding["protect"] = list(more["protect"])
    return Environment(
        name=name,
        branch=f"env/{name}",
        source=source,
        engine=Spec("directory", {"path": str(place)}),
        health=(ask,),
        deciding=deciding,
        **more,
    )


@dataclass
class Stage:
    """dev -> qa -> prod, or whatever `environments` says."""

    folder: Path
    origin: Origin
    application: Application
    now: datetime = START
    site: Site = field(init=False)
    opened: list[Site] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.site = self.open()

    @classmethod
    def create(cls, folder: Path, environments: Sequence[Environment] = (), files: Mapping[str, str] = WELL) -> Stage:
        folder.mkdir(parents=True, exist_ok=True)
        environments = environments or (
            environment(folder, "dev"),
            environment(folder, "qa", "dev"),
            environment(folder, "prod", "qa"),
        )
        origin = Origin.create(folder / "shop.git", [e.branch for e in environments], files)
        in_force = {"heartbeat": "10m", "environments": {e.name: dict(e.deciding) for e in environments}}
        return cls(
            folder,
            origin,
            Application("shop", str(origin.path), "refs/heads/promotion/shop", tuple(environments), in_force),
        )

    def open(self, cache: str = "cache", by: str = "robot@example.com", **variables: str) -> Site:
        """Another orchestrator, with a clone cache of its own unless it names the same one."""
        git = Git({**os.environ, **variables}, self.folder / cache)
        repository = Repository(self.application.repository, git, self.folder / cache)
        self.opened.append(Site(self.application, repository, self.clock, by))
        return self.opened[-1]

    def close(self) -> None:
        for site in self.opened:
            site.repository.close()

    def change(self, name: str, **more: Any) -> None:
        """Changes one environment's settings, on every new site."""
        environments = tuple(replace(e, **more) if e.name == name else e for e in self.application.environments)
        self.application = replace(self.application, environments=environments)
        self.site = replace(self.site, application=self.application)

    def walked(self, rounds: int = 4) -> str:
        """A change that went all the way; returns dev's commit."""
        self.round()
        commit = self.commit("dev", {"web": "2\n"})
        for _ in range(rounds):
            self.round()
        return commit

    def prolong(self, length: int) -> list[str]:
        """Makes dev's history longer by so many commits; all of its commits, oldest first."""
        base = self.origin.tip("env/dev")
        lines = [f"reset refs/heads/env/dev\nfrom {base}\n\n"]
        for number in range(length):
            person = f"dave <dave@example.com> {1_790_000_000 + number} +0000"
            lines.append(f"commit refs/heads/env/dev\ncommitter {person}\ndata 1\n-\n")
        self.origin.git("fast-import", "--quiet", "--force", input="".join(lines))
        return [c.commit for c in self.origin.log("env/dev")][::-1]

    def clock(self) -> datetime:
        return self.now

    def wait(self, **more: float) -> None:
        self.now += timedelta(**more)

    def env(self, name: str) -> Environment:
        return self.application.environment(name)

    def commit(self, branch: str, files: Mapping[str, str | None], message: str = "a change") -> str:
        return self.origin.commit(f"env/{branch}", files, message=message)

    def tip(self, name: str) -> str:
        return self.origin.tip(f"env/{name}")

    def world(self) -> World:
        return observe.survey(self.site)

    def plan(self, name: str, **more: Any) -> Plan:
        return answers.plan(self.site, self.world(), self.env(name), **more)

    def round(self, *, sync: bool = True, **more: Any) -> Round:
        """One round over everything; the clock moves on by a second."""
        self.wait(seconds=1)
        return reconcile(self.site, [e.name for e in self.application.environments], sync=sync, **more)

    def sync(self, *names: str) -> None:
        deploy(self.site, self.world(), [self.env(name) for name in names])

    def health(self, name: str) -> tuple[str, Health]:
        """What is on record of an environment now: the commit, and how it is."""
        observed = self.world().state.of(name).observed
        assert observed is not None
        return observed.revision or "", observed.health

    def fact(self, name: str, commit: str) -> Health | None:
        """What is on record of one commit there."""
        fact = self.world().state.of(name).facts.get(commit)
        return fact.health if fact else None

    def events(self) -> list[str]:
        """Kinds of event with their environment, oldest first."""
        from promotion import ledger

        tip = self.origin.refs().get(self.application.ledger)
        self.world()
        return [f"{e.event} {e.environment}" for _, e in ledger.events(self.site.repository, tip)][::-1]


__all__ = ["SICK", "START", "WELL", "Stage", "Verify", "environment"]
