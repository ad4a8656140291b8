"""What the naive model is told and can look up: commits as dictionaries of files, what is deployed, what was read; judges nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from tests.robustness.checker import Objects
from tests.support.model_values import WELL, Application, Files, Key, Known, Proposed, Read, Rules, Talk, Wanted


class Facts:
    """The server and what happened to it, up to now."""

    def __init__(self, objects: Objects, applications: Mapping[str, Application], branches: Mapping[str, str]) -> None:
        self.objects = objects
        self.applications = applications
        self.refs = branches
        """Environment -> the full name of its branch."""
        self.tips: dict[str, str] = {}
        """Environment -> its branch's tip."""
        self.ledgers: dict[str, str | None] = dict.fromkeys(applications)
        self.lines: dict[str, set[str]] = {name: set() for name in branches}
        """Environment -> all that was ever on its branch, by first parents."""
        self.known = {(a, e): Known() for a, app in applications.items() for e in app.environments}
        self.deployed: dict[tuple[str, str], str] = {}
        self.weather: dict[tuple[str, str], str] = {}
        self.readings: list[Read] = []
        self.promoted: dict[tuple[str, str], str] = {}
        """(application, plan id) -> the commit that it became."""
        self.asked: set[tuple[str, str, str, str]] = set()
        """(kind of event, application, environment, by whom): what people are about to record."""
        self.talks: list[Talk] = []
        self.plans: dict[str, Key] = {}
        """Plan id -> what it stands for: the same is never said of something else, nor something else of the same."""
        self.by_hand: set[tuple[str, str]] = set()
        self.proposing: list[Wanted] = []
        """What people want proposed at this moment."""
        self.proposals: dict[str, Proposed] = {}
        """Ref -> what became of what was proposed there."""
        self.resolving: list[tuple[str, str, str]] = []
        """(application, environment, commit): the decisions about conflicts that people name at this moment."""
        self.overriding: list[tuple[str, str, str, tuple[str, ...]]] = []
        """(application, environment, who, gates): what people want to get past at this moment."""
        self.rewound: set[str] = set()
        """Environments whose branch people took something from."""
        self.counted: Counter[str] = Counter()
        """Records, by kind."""
        self._files: dict[str, Files] = {}
        self._ancestors: dict[str, frozenset[str]] = {}

    # --- commits ---------------------------------------------------------------------------------------------------

    def files(self, commit: str) -> Files:
        if commit not in self._files:
            entries = self.objects.files(self.objects.commit(commit).tree)
            assert all(mode == "100644" for mode, _ in entries.values())
            self._files[commit] = {path: self.objects.raw(oid).decode() for path, (_, oid) in entries.items()}
        return self._files[commit]

    def parent(self, commit: str) -> str | None:
        return next(iter(self.objects.commit(commit).parents), None)

    def ancestors(self, commit: str) -> frozenset[str]:
        """A commit and all that it descends from."""
        if commit not in self._ancestors:
            parents = self.objects.commit(commit).parents
            self._ancestors[commit] = frozenset({commit}).union(*(self.ancestors(p) for p in parents))
        return self._ancestors[commit]

    def scoped(self, application: str, commit: str | None) -> Files:
        app = self.applications[application]
        return {path: text for path, text in self.files(commit).items() if app.inside(path)} if commit else {}

    def changed(self, application: str, commit: str) -> bool:
        """Whether a commit is one of this application."""
        if not self.applications[application].scope:
            return True
        return self.scoped(application, commit) != self.scoped(application, self.parent(commit))

    def head(self, application: str, commit: str) -> str:
        """The newest commit at or before this one that is about the application."""
        return next((oid for oid in self.objects.chain(commit) if self.changed(application, oid)), commit)

    # --- what is told ----------------------------------------------------------------------------------------------

    def deploy(self, application: str) -> None:
        """The embedded loops made every environment run what its branch has."""
        for name in self.applications[application].environments:
            self.deployed[application, name] = self.head(application, self.tips[name])

    def read(self, by: str, application: str, environments: Collection[str], now: datetime) -> None:
        """An orchestrator is about to look at these environments."""
        for name in environments:
            revision = self.deployed.get((application, name))
            health = self._health(application, name, revision)
            self.readings.append(Read(len(self.readings), by, application, name, revision, health, now))

    def _health(self, application: str, environment: str, revision: str | None) -> str:
        if revision is None:
            return "missing"
        said = self.files(revision).get(self.applications[application].health)
        weather = self.weather.get((application, environment), "fine")
        if said is None or weather == "silent":
            return "unknown"
        return "healthy" if said.strip() in WELL[weather] else "degraded"

    def bases(self, one: str, two: str) -> set[str]:
        common = self.ancestors(one) & self.ancestors(two)
        return {oid for oid in common if not any(oid != other and oid in self.ancestors(other) for other in common)}

    def between(self, application: str, rules: Rules, old: str, new: str) -> dict[str, str | None]:
        """What one commit has otherwise than another, in scope and unprotected."""
        before, after = self.scoped(application, old), self.scoped(application, new)
        paths = {p for p in {*before, *after} if before.get(p) != after.get(p) and not rules.kept(p)}
        return {path: after.get(path) for path in paths}
