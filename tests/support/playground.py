"""A real server with applications, people and two orchestrators, each step of which a naive model is told and judges.

Both orchestrators have clone caches and sites of their own; what either pushes is looked at by the model at once. A push
can be disturbed: by what others do just before it, by the death of who pushes, by an answer that is lost.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from promotion import answers, observe, report
from promotion.errors import PromotionError
from promotion.model import Application, Environment, Overrides, Spec, Verify
from promotion.observe import Site
from promotion.reconcile import (
    Result,
    Round,
    Task,
    adopt,
    approve,
    freeze,
    hold,
    lift,
    promote,
    reject,
    roll_back,
    thaw,
    together,
    withdraw,
)
from promotion.repository import Git, Repository
from promotion.resolving import resolution_of
from promotion.view import Plan
from tests.robustness.checker import Objects
from tests.support import model_values as model
from tests.support.git import Origin
from tests.support.model import Model
from tests.support.stage import START

Fate = Literal["lands", "dies before", "dies after", "answer lost", "lands late"]


class Killed(BaseException):
    """An orchestrator ends here, as by kill -9."""


@dataclass
class Door:
    """One orchestrator: who it is, its clone, its sites by application, and what happens at its next push."""

    by: str
    repository: Repository
    sites: Mapping[str, Site]
    before: list[Callable[[], None]] = field(default_factory=list)
    fate: Fate = "lands"


class Playground:
    """`applications` share one server and its branches; all have the same environments."""

    def __init__(self, folder: Path, applications: Mapping[str, model.Application], files: Mapping[str, str]) -> None:
        self.folder = folder
        self.now = START
        first = next(iter(applications.values()))
        branches = {name: f"env/{name}" for name in first.environments}
        self.origin = Origin.create(folder / "server.git", branches.values(), files)
        self.objects = Objects(self.origin.path)
        self.model = Model(self.objects, applications, {e: f"refs/heads/{b}" for e, b in branches.items()})
        self.opened: list[Repository] = []
        """All clones that were ever opened: what the dead had sent opens theirs again."""
        self.applications = {name: self._application(name, app) for name, app in applications.items()}
        self.doors = {name: self._open(name) for name in ("one", "two")}
        self.late: list[Callable[[], object]] = []
        """Pushes that the server gets after who sent them died."""
        for application in applications:
            for name in first.environments:
                self.weather(application, name, "fine")
        self.look(people=branches)

    # --- what is there ---------------------------------------------------------------------------------------------

    def _application(self, name: str, app: model.Application) -> Application:
        environments = tuple(self._environment(name, app, e, rules) for e, rules in app.environments.items())
        in_force: dict[str, Any] = {
            "heartbeat": "10m",
            "environments": {e.name: dict(e.deciding) for e in environments},
        }
        if app.overriders:
            in_force["overrides"] = {"by": [*app.overriders], "skip": [*app.skip]}
        return Application(
            name,
            str(self.origin.path),
            f"refs/heads/promotion/{name}",
            environments,
            in_force,
            model.HEARTBEAT,
            paths=app.scope,
            overrides=Overrides(app.overriders, app.skip),
        )

    def _environment(self, application: str, app: model.Application, name: str, rules: model.Rules) -> Environment:
        place = self.folder / application / name
        minutes = int(rules.soak.total_seconds()) // 60
        gates = (Spec("soak", {"for": f"{minutes}m"}),) if minutes else ()
        same = {"same_as": rules.same_as} if rules.same_as else {}
        gates += (Spec("approval", _asking(rules.asks) | same),) if rules.asks else ()
        protect = tuple(f"{folder}**" for folder in rules.protect)
        decides: dict[str, Any] = {"branch": f"env/{name}", "protect": list(protect), "requires": list(rules.requires)}
        decides |= {"strategy": "mirror" if rules.mirror else "merge", "history": "linear" if rules.linear else "merge"}
        decides |= {"gates": [{"type": gate.type, **gate.settings} for gate in gates], "paths": list(app.scope)}
        return Environment(
            name,
            f"env/{name}",
            rules.source,
            rules.auto,
            Spec("directory", {"path": str(place)}),
            (
                Spec(
                    "command",
                    {
                        "command": [
                            "grep",
                            "-qxFf",
                            str(self._sky(application, name)),
                            str(place / "current" / app.health),
                        ]
                    },
                ),
            ),
            gates=gates,
            protect=protect,
            requires=rules.requires,
            strategy="mirror" if rules.mirror else "merge",
            history="linear" if rules.linear else "merge",
            verify=Verify(on_failure=rules.on_failure),
            deciding={**decides, **({"from": rules.source} if rules.source else {})},
        )

    def _sky(self, application: str, environment: str) -> Path:
        return self.folder / f"{application}-{environment}.weather"

    def _open(self, name: str) -> Door:
        cache, by = self.folder / name, f"{name}@example.com"
        repository = Repository(str(self.origin.path), Git(os.environ, cache), cache)
        self.opened.append(repository)
        door = Door(by, repository, {a: Site(app, repository, self.clock, by) for a, app in self.applications.items()})
        push = repository.push

        def disturbed(*args: Any) -> str:
            acts, door.before, fate, door.fate = door.before, [], door.fate, "lands"
            for act in acts:
                act()
            if fate == "lands late":
                self.late.append(lambda: push(*args))
            if fate in ("dies before", "lands late"):
                raise Killed
            said = push(*args)
            self.look()
            if fate == "dies after":
                raise Killed
            return "fatal: the remote end hung up unexpectedly" if fate == "answer lost" else said

        repository.push = disturbed  # type: ignore[method-assign]
        return door

    def clock(self) -> datetime:
        return self.now

    def look(self, people: Mapping[str, object] | Sequence[str] = ()) -> None:
        self.model.look(self.origin.refs(), list(people))

    def close(self) -> None:
        for repository in self.opened:
            repository.close()
        self.objects.__exit__()

    # --- people ----------------------------------------------------------------------------------------------------

    def commit(
        self, name: str, changes: Mapping[str, str | None], message: str = "a change", author: str = "dave"
    ) -> str:
        made = self.origin.commit(f"env/{name}", changes, message=message, author=author)
        self.look(people=[name])
        return made

    def point(self, name: str, commit: str) -> None:
        """Forces a branch to be there, whatever it was."""
        self.origin.set(f"env/{name}", commit)
        self.look(people=[name])

    def delete(self, name: str) -> None:
        self.origin.set(f"env/{name}", None)
        self.look(people=[name])

    def weather(self, application: str, name: str, word: str) -> None:
        """fine; picky: only what is `ok` is well; storm: every release is degraded; silent: nobody knows."""
        sky = self._sky(application, name)
        if word == "silent":
            sky.unlink(missing_ok=True)
        else:
            sky.write_text("".join(f"{each}\n" for each in (*model.WELL[word], "storm")))
        self.model.weather[application, name] = word

    def wait(self, delta: timedelta) -> None:
        self.now += delta

    def hold(self, by: str, application: str, name: str, commit: str) -> None:
        with self._asked("held", by, application, name), self._allowed():
            self.doors[by].repository.refresh([e.ref for e in self.applications[application].environments])
            hold(*self._at(by, application, name), commit, "a person says so")

    def lift(self, by: str, application: str, name: str, commit: str) -> None:
        with self._asked("lifted", by, application, name), self._allowed():
            lift(*self._at(by, application, name), commit)

    def freeze(self, by: str, application: str, name: str, *, strict: bool = False) -> None:
        with self._asked("frozen", by, application, name), self._allowed():
            environments = [self.applications[application].environment(name)]
            freeze(self.doors[by].sites[application], environments, "a person says so", None, strict=strict)

    def thaw(self, by: str, application: str, name: str) -> None:
        with self._asked("thawed", by, application, name), self._allowed():
            thaw(self.doors[by].sites[application], [self.applications[application].environment(name)])

    def roll_back(self, by: str, application: str, name: str, to: str | None) -> None:
        """A person goes back, to what was well before or to what may be anything."""
        self.wait(timedelta(seconds=1))
        with self._asked("rolled-back", by, application, name), self._mortal(by), self._allowed():
            self.doors[by].repository.refresh([e.ref for e in self.applications[application].environments])
            roll_back(*self._at(by, application, name), to=to, reason="a person says so")

    def adopt(self, by: str, application: str, name: str, source: str | None) -> None:
        with self._asked("adopted", by, application, name), self._allowed():
            adopt(*self._at(by, application, name), source)

    def shown(self, by: str, application: str, name: str, resolution: str | None = None) -> Plan | None:
        """The plan that a person is shown; None where it is said in words that there is none."""
        site, environment = self._at(by, application, name)
        with self._allowed():
            oid = resolution_of(site, resolution) if resolution else None
            return answers.plan(site, observe.survey(site), environment, resolution=oid)
        return None

    def say(self, by: str, plan: Plan, key: model.Key, word: str, who: str) -> bool | None:
        """A person approves, rejects or withdraws; whether that is recorded, None when whoever recorded it was killed."""
        site = self.doors[by].sites[key.application]
        talk = model.Talk(word, who.lower(), key, dict(self.model.tips))
        self.model.talks.append(talk)
        try:
            with self._mortal(by):
                if word == "approved":
                    approve(site, plan, who=who)
                elif word == "rejected":
                    reject(site, plan, who=who, reason="a person says so")
                else:
                    withdraw(site, plan, who=who)
                return True
        except PromotionError:
            return False
        finally:
            self.model.talks.remove(talk)
        return None

    def _at(self, by: str, application: str, name: str) -> tuple[Site, Environment]:
        return self.doors[by].sites[application], self.applications[application].environment(name)

    @contextmanager
    def _asked(self, kind: str, by: str, application: str, name: str) -> Iterator[None]:
        asked = (kind, application, name, self.doors[by].by)
        self.model.asked.add(asked)
        yield
        self.model.asked.discard(asked)

    @contextmanager
    def _allowed(self) -> Iterator[None]:
        """What is refused is refused in words; anything else is a bug."""
        with suppress(PromotionError):
            yield

    # --- orchestrators ---------------------------------------------------------------------------------------------

    def round(self, by: str, *, sync: bool = True) -> dict[str, Round | PromotionError]:
        """One round over all applications; empty when whoever did it was killed."""
        door = self.doors[by]
        self.wait(timedelta(seconds=1))
        if len(self.model.tips) == len(self.model.refs):
            for application, app in self.applications.items():
                if sync:
                    self.model.deploy(application)
                self.model.read(door.by, application, [e.name for e in app.environments], self.now)
        tasks = [Task(site, [e.name for e in site.application.environments]) for site in door.sites.values()]
        with self._mortal(by):
            return dict(zip(self.applications, together(tasks, sync=sync), strict=True))
        return {}

    def promote(
        self,
        by: str,
        application: str,
        name: str,
        chosen: str | None,
        over: tuple[str, tuple[str, ...]] | None = None,
        resolution: str | None = None,
    ) -> Result | None:
        """One hop that a person asks for; None when it was refused in words, or whoever did it was killed.

        `over`: somebody, and the gates that they want to get past. `resolution` decides where it conflicts.
        """
        door, (site, environment) = self.doors[by], self._at(by, application, name)
        who, past = over or (door.by, ())
        self.wait(timedelta(seconds=1))
        asked = [environment.source or "", *environment.requires]

        def read() -> None:
            self.model.read(who, application, asked, self.now)

        read()
        door.before.append(read)  # it reads again when somebody was faster
        wanted = (application, name, who, past)
        self.model.by_hand.add((application, name))
        self.model.overriding.append(wanted)
        self.model.resolving.append((application, name, resolution or ""))
        try:
            with self._mortal(by), self._allowed():
                more: dict[str, Any] = {"override": past, "reason": "a person says so" if past else ""}
                more |= {"resolution": resolution_of(site, resolution)} if resolution else {}
                return promote(replace(site, by=who), environment, chosen=chosen, **more)
            return None
        finally:
            self.model.by_hand.discard((application, name))
            self.model.overriding.remove(wanted)
            self.model.resolving.pop()

    @contextmanager
    def _mortal(self, by: str) -> Iterator[None]:
        try:
            yield
        except Killed:
            self.restart(by)
        finally:
            self.doors[by].before, self.doors[by].fate = [], "lands"

    def restart(self, by: str, *, forget: bool = False) -> None:
        """A new process; with `forget` its clone cache is gone too."""
        self.doors[by].repository.close()
        if forget:
            shutil.rmtree(self.folder / by, ignore_errors=True)
        self.doors[by] = self._open(by)

    def arrive(self) -> None:
        """What the dead had sent arrives at the server."""
        for push in self.late:
            push()
            self.look()
        self.late = []

    # --- proof -----------------------------------------------------------------------------------------------------

    def audit(self) -> list[str]:
        """What the product's own audit finds, but for what it must say of branches that people rewound."""
        site_of = self.doors["one"].sites
        found = [each for site in site_of.values() for each in report.audit(site, observe.survey(site))]
        return [
            f"{each['application']} {each['environment']}: {each['problem']}"
            for each in found
            if not (each["environment"] in self.model.rewound and "was it rewound?" in each["problem"])
        ]


def _asking(asks: model.Asks) -> dict[str, Any]:
    minutes = int(asks.expires.total_seconds()) // 60
    people = {"count": asks.count, "from": list(asks.people), "not_author": asks.not_author}
    return people | {"expires": f"{minutes}m"}
