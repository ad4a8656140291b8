"""What a decision is made of: what is known when it begins, what it asks, and the plan that it ends with. Frozen values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from promotion.model import Application, Commit, Entry, Environment, HowWord, PlanWord, Verdict
from promotion.state import EnvironmentState, Freeze, Hold

DEPTH = 200
"""How many commits of a source branch are looked at, from its tip."""


@dataclass(frozen=True, slots=True)
class Overriding:
    """The gates that somebody wants to get past, which is theirs to say by the configuration."""

    gates: tuple[str, ...]
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person decided at the paths where one candidate conflicts, and the commit on a proposal branch that has it."""

    commit: str
    entries: Mapping[bytes, Entry | None]


@dataclass(frozen=True, slots=True)
class View:
    """All that is known when a decision begins; what S4 calls the plan's read-set is in it."""

    application: Application
    environment: Environment
    now: datetime
    state: EnvironmentState
    source_state: EnvironmentState
    tip: str
    """D, the target branch's tip."""
    base: str
    """B, the source of the target's release."""
    source_tip: str
    chain: tuple[Commit, ...]
    """The source branch's first-parent commits that descend from B, newest first."""
    contents: tuple[str, str]
    """Digests of what D and B hold in scope."""
    unread: str | None = None
    """Why the source could not be observed in this round; None when it was."""
    chosen: str | None = None
    """The one candidate that a person asked for."""
    arrived: bool = False
    """Whether the target has `chosen` already: it is B, or B descends from it."""
    by_hand: bool = False
    """Whether a person asked for this hop: `auto: false` waits for that."""
    allow_empty: bool = False
    """Whether nothing but protected files may be left."""
    frozen: Freeze | None = None
    """What holds for everything in the application."""
    strayed: bool = False
    """Whether the source's history left B behind: it neither descends from B nor leads to it."""
    spoken: frozenset[str] = frozenset()
    """The commits about which people have said something, here or where this environment's decision is made."""
    rejections: tuple[Hold, ...] = ()
    """Of the environments whose decision counts here too."""
    overriding: Overriding | None = None
    resolution: Resolution | None = None
    """Of the conflict of `chosen`."""

    def parents(self, commit: str) -> tuple[str, ...]:
        """What M descends from."""
        return (self.tip, commit) if self.application.merges(self.environment) else (self.tip,)


@dataclass(frozen=True, slots=True)
class Gates:
    """Question: what do the configured gates say of this candidate? Answer: a tuple of verdicts.

    Without `probe` nobody is asked who is outside, since this candidate waits for something else anyway.
    """

    commit: str
    probe: bool = True


@dataclass(frozen=True, slots=True)
class Required:
    """Question: do the environments that the target requires have this candidate? Answer: a tuple of verdicts."""

    commit: str


@dataclass(frozen=True, slots=True)
class Approval:
    """Question: how does it stand with people's approval of this very plan? Answer: a Standing."""

    commit: str
    plan_id: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Question: what would this candidate give on the target? Answer: a Merged."""

    commit: str


@dataclass(frozen=True, slots=True)
class Change:
    """One path that the target gains, loses or keeps against its source, and the rule that says so."""

    path: bytes
    change: str
    explained_by: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What a candidate would give. `tree` is None when it conflicts."""

    tree: str | None
    digest: str = ""
    """Of what T holds in scope."""
    absorbed: bool = False
    """T equals D in scope: there is nothing to land."""
    identical: bool = False
    """T equals S in scope: what was tested is what lands."""
    empty: bool = False
    """Nothing but protected files would be left."""
    changes: tuple[Change, ...] = ()
    kept: tuple[Change, ...] = ()
    """Paths where T is not S, with the rule that keeps them."""
    conflicts: tuple[bytes, ...] = ()
    lost: tuple[bytes, ...] = ()
    """What only the target has, and would not have any more."""
    held: Verdict | None = None
    """A hold that this candidate's content runs into."""


@dataclass(frozen=True, slots=True)
class Approved:
    """Somebody's approval that counts, until then; None: it let the same commit in where this decision is made."""

    by: str
    at: datetime
    until: datetime | None
    how: HowWord


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows who wrote what a plan brings. `why` is a line that names the commit."""

    why: str


@dataclass(frozen=True, slots=True)
class Barred:
    """Somebody of the list who may not approve this, and why."""

    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with people's approval of one plan. People are emails in lower case."""

    count: int
    approved: tuple[Approved, ...]
    may: tuple[str, ...]
    """Who may approve still."""
    barred: tuple[Barred, ...]
    expires: timedelta
    """How long an approval counts."""
    identity: HowWord
    """What it takes at least to prove who somebody is."""
    verdict: Verdict

    @property
    def brief(self) -> str:
        """`1 of 2 (alice)`."""
        names = ", ".join(a.by.partition("@")[0] for a in self.approved)
        return f"{len(self.approved)} of {self.count}" + (f" ({names})" if names else "")


Question = Gates | Merge | Required | Approval
Answers = Mapping[Question, Any]


@dataclass(frozen=True, slots=True)
class PassedOver:
    commit: str
    reason: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision. `plan_id` is None when there is nothing to do, or a conflict."""

    view: View
    verdict: PlanWord
    reason: str
    commit: str | None = None
    """S, the candidate."""
    verdicts: tuple[Verdict, ...] = ()
    merged: Merged | None = None
    plan_id: str | None = None
    passed_over: tuple[PassedOver, ...] = ()
    asked: Standing | None = None
    """How it stands with people, where they are asked about this plan."""
    overridden: tuple[str, ...] = ()
    """The gates that do not pass by themselves."""

    @property
    def status(self) -> int:
        """The exit status that it means, or would mean if it did not land."""
        return {"pass": 0, "wait": 3, "block": 4, "conflict": 5, "nothing": 0}[self.verdict]

    @property
    def absorbs(self) -> bool:
        return self.verdict == "pass" and self.merged is not None and self.merged.absorbed
