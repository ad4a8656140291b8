"""What the naive model of promotion (`model`) is told and keeps, as plain values; decides nothing, and knows nothing of the product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

Files = dict[str, str]
HEARTBEAT = timedelta(minutes=10)
FILLER = "".join(f"line {n}\n" for n in range(9))
"""Stands between the two parts of a file, so that changes of one part never touch changes of the other."""
WELL = {"fine": ("ok", "fair"), "picky": ("ok",), "storm": ()}
"""Weather -> what a release may say of itself and be healthy."""


@dataclass(frozen=True, slots=True)
class Asks:
    """Whom an environment asks, as emails in lower case, and how long their yes counts."""

    count: int
    people: tuple[str, ...]
    not_author: bool
    expires: timedelta


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of one environment of one application."""

    source: str | None = None
    protect: tuple[str, ...] = ()
    """Folders, each with a `/` at its end."""
    mirror: bool = False
    linear: bool = False
    soak: timedelta = timedelta(0)
    requires: tuple[str, ...] = ()
    on_failure: Literal["none", "hold", "rollback"] = "none"
    auto: bool = True
    asks: Asks | None = None
    same_as: str = ""
    """The environment whose decision about a commit counts here too; `asks` is as there."""

    def kept(self, path: str) -> bool:
        return any(path.startswith(folder) for folder in self.protect)


@dataclass(frozen=True, slots=True)
class Application:
    """One application. `scope` has its files and folders, without a `/`; empty: everything."""

    environments: Mapping[str, Rules]
    scope: tuple[str, ...] = ()
    overriders: tuple[str, ...] = ()
    """Who may get past gates, as emails in lower case, and past which."""
    skip: tuple[str, ...] = ()

    @property
    def health(self) -> str:
        """The file whose content decides whether a release is healthy."""
        return f"{self.scope[0]}/health" if self.scope else "health"

    def inside(self, path: str) -> bool:
        return not self.scope or any(path == root or path.startswith(f"{root}/") for root in self.scope)


@dataclass(frozen=True, slots=True)
class Read:
    """What one orchestrator read of an environment; `order` counts all readings of the history."""

    order: int
    by: str
    application: str
    environment: str
    revision: str | None
    health: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """All that somebody answers about: once any of it is another, the answer is about something else."""

    application: str
    environment: str
    source: str
    contents: tuple[frozenset[tuple[str, str]], ...]
    """What target, base and result have in scope."""
    epoch: int
    """How often the environment was given a release."""
    resolution: str | None = field(default=None, compare=False)
    """The commit that decides where it conflicts; another one that decides the same is of the same plan."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Somebody is about to say something of a plan that was shown to them, while the branches' tips are these."""

    word: str
    who: str
    shown: Key
    tips: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose yes counts now, who may still say it, and who never may."""

    approved: frozenset[str]
    may: frozenset[str]
    barred: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a proposal should be: content, and what it leaves to people."""

    files: Files
    """Outside of what conflicts."""
    marked: Mapping[str, tuple[str, str]]
    """Path -> what is to be read there for either side."""
    undecided: frozenset[str] = frozenset()
    """What no markers can show; the target's stays."""
    brings: frozenset[str] = frozenset()
    """Where it differs from what it stands on, beside `marked`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants proposed, with what it should be, or what the target stood for, at that moment."""

    kind: str
    application: str
    environment: str
    sketch: Sketch | None = None
    base: str | None = None


@dataclass(slots=True)
class Proposed:
    """A branch that was proposed: what for, and where it is now."""

    kind: str
    application: str
    environment: str
    commit: str
    """Ours."""
    tip: str
    sketch: Sketch
    source: str = ""
    """S, where it is about a conflict; and what D and B had in scope then."""
    contents: tuple[Files, ...] = ()


@dataclass(slots=True)
class Known:
    """What the records of a ledger say of one environment, up to one of them."""

    release: tuple[str, str] | None = None
    """The commit, and the source that it stands for."""
    word: dict[str, str] = field(default_factory=dict)
    """Commit -> the last health that was recorded of it."""
    well: dict[str, datetime] = field(default_factory=dict)
    """Commit -> when it was first recorded as healthy."""
    past: set[str] = field(default_factory=set)
    """What all that take commits from here had left behind at some time: what was said of it may be forgotten."""
    seen: tuple[str | None, str] | None = None
    order: int = -1
    """Of the reading that was recorded last."""
    stretch: list[datetime] = field(default_factory=list)
    """When the environment was looked at, since it was last bad or nobody looked for too long."""
    good: set[str] = field(default_factory=set)
    """The commits that the last word about them, but for that nobody knows, says are well."""
    holds: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Held commit -> path -> text, None where it deleted."""
    watched: str | None = None
    until: datetime | None = None
    outcome: str = ""
    acted: bool = False
    given: dict[str, str | None] = field(default_factory=dict)
    """What can be gone back to: commit -> the source that it stands for, None for what the release before it does."""
    undone: set[str] = field(default_factory=set)
    backs: set[str] = field(default_factory=set)
    """The commits that went back themselves."""
    frozen: bool = False
    strict: bool = False
    """Whether what is frozen is so for everybody."""
    over: tuple[str, frozenset[str]] | None = None
    """(plan id, gates) that somebody got past, until it lands with the very next record."""
    epoch: int = 0
    said: dict[tuple[Key, str], tuple[str, datetime]] = field(default_factory=dict)
    """(plan, person) -> the last word, and when."""
    granted: dict[str, dict[str, Key]] = field(default_factory=dict)
    """Source -> who let it in, and by which plan; since the last rollback or adoption."""
    rejected: dict[tuple[Key, str], dict[str, str | None]] = field(default_factory=dict)
    """(plan, person) -> path -> text, as for what is held."""

    def given_release(self, commit: str, source: str | None) -> None:
        """Something is there from now on; what people said was about what was there before."""
        self.release = (commit, source) if source else None
        self.given[commit] = source
        self.epoch += 1
        self.said.clear()

    def kept_out(self, but: tuple[Key, str] | None = None) -> list[tuple[str, dict[str, str | None]]]:
        """Each commit that is held or was rejected, with its entries, but for what one person rejected."""
        return [*self.holds.items(), *((key[0].source, each) for key, each in self.rejected.items() if key != but)]


@dataclass(frozen=True, slots=True)
class Judged:
    """What keeps a candidate out, by gate, the paths in conflict, and what the target would become."""

    gates: Mapping[str, str]
    conflicts: tuple[str, ...]
    result: Files
    absorbed: bool
    open: bool = False
    """It waits for nothing but time and people."""
    asked: Standing | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """What an environment is owed: `candidates` newest first, `why` there can be none, `owed` the one that may land."""

    why: str
    candidates: tuple[str, ...] = ()
    judged: Mapping[str, Judged] = field(default_factory=dict)
    owed: str | None = None
    conflict: str | None = None


def three_ways(b: str | None, d: str | None, s: str | None) -> tuple[str | None, bool]:
    """What a path becomes, and whether it does without a person."""
    if d == s or b == s:
        return d, True
    if b == d:
        return s, True
    if b is None or d is None or s is None:
        return d, False
    parts = list(zip(*(text.split(FILLER) for text in (b, d, s)), strict=True))
    merged = [three_ways(*each) for each in parts] if len(parts) > 1 else []
    if not merged or not all(clean for _, clean in merged):
        return d, False
    return FILLER.join(text or "" for text, _ in merged), True
