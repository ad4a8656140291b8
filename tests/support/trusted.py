"""A stage on which only signed records count: keys of an orchestrator, of two approvers and of a stranger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promotion import ledger
from promotion.config.trust import in_force
from promotion.events import Event
from promotion.model import Trust
from promotion.observe import Site
from promotion.state import State
from tests.support.keys import key, line
from tests.support.stage import Stage

BOT, ALICE, BOB = "bot@example.com", "alice@example.com", "bob@example.com"
LEDGER = "refs/heads/promotion/shop"


@dataclass
class Trusted:
    """A stage, and the keys by name: `bot`, `alice`, `bob`, `stranger`, and `old`, whose time as an orchestrator is over."""

    stage: Stage
    keys: dict[str, Path]
    trust: Trust

    @classmethod
    def create(cls, folder: Path, **settings: Any) -> Trusted:
        """With nothing written yet; the stage's own site signs as the orchestrator."""
        stage = Stage.create(folder, **settings)
        keys = {name: key(folder / "keys", name) for name in ("bot", "alice", "bob", "stranger", "old")}
        lines = [line(f"{name}@example.com", keys[name]) for name in ("bot", "alice", "bob")]
        lines.append(line("old@example.com", keys["old"], 'valid-before="20260101"'))
        trust = Trust("".join(lines).encode(), (BOT, "old@example.com"), (ALICE, BOB))
        made = cls(stage, keys, trust)
        made.turn_on()
        return made

    def turn_on(self, trust: Trust | None = None) -> None:
        """The file has `trust` from now on."""
        self.trust = trust or self.trust
        app = self.stage.application
        said = {**app.in_force, "trust": in_force(self.trust)}
        self.stage.application = replace(app, trust=self.trust, in_force=said)
        self.stage.site = self.site("bot")

    def site(self, name: str, cache: str = "cache") -> Site:
        """Somebody who signs with a key of this name; nobody's is no key at all."""
        named = str(self.keys[name]) if name in self.keys else ""
        return self.stage.open(cache, by=f"{name}@example.com", PROMOTION_SIGNING_KEY=named)

    def record(self, name: str, event: Event, state: State | None = None, tip: str | None = None) -> str:
        """A record as somebody may push it past all our code, with whatever state; returns its commit."""
        site = self.site(name, cache="cache")
        world = self.stage.world()
        tip, _ = ledger.append(site.repository, tip or world.ledger, state or world.state, [event])
        assert tip is not None
        self.put(tip)
        return tip

    def put(self, tip: str) -> None:
        """Sets the ledger on the server to a commit of the clone, whatever it was."""
        git = ["push", "--quiet", "--force", str(self.stage.origin.path), f"{tip}:{LEDGER}"]
        answer = self.stage.site.repository._git.run(self.stage.site.repository.path, *git)
        assert not answer.status, answer.said

    def event(self, kind: str, environment: str | None, by: str, **data: Any) -> Event:
        return Event(kind, "shop", environment, self.stage.now, by, data)

    def tip(self) -> str:
        return self.stage.origin.refs()[LEDGER]


__all__ = ["ALICE", "BOB", "BOT", "LEDGER", "Trusted"]
