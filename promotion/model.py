"""Frozen values that everyone shares; must not do I/O, read a clock or decide anything.

Object ids are 40 hex digits (`str`), paths inside Git are `bytes`, times are timezone-aware UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

VerdictWord = Literal["pass", "wait", "block"]
PlanWord = Literal["pass", "wait", "block", "conflict", "nothing"]
OutcomeWord = Literal["promoted", "rolled-back", "absorbed", "nothing", "waiting", "refused", "conflict", "contended"]
AnswerWord = Literal["approved", "rejected"]
HowWord = Literal["claimed", "code", "signed"]
VerificationWord = Literal["pending", "verified", "failed", "timed-out"]


class Health(StrEnum):
    """What an environment or a check says of itself; only `HEALTHY` ever lets anything pass."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    DEGRADED = "degraded"
    SUSPENDED = "suspended"
    MISSING = "missing"
    UNKNOWN = "unknown"


WORST_FIRST = (Health.DEGRADED, Health.MISSING, Health.UNKNOWN, Health.PROGRESSING, Health.SUSPENDED, Health.HEALTHY)
"""Of several answers the worst one wins; what is plainly bad is said before what is not known."""


# --- configuration -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spec:
    """One engine, check or gate as configured: its kind and its settings, as written and schema-checked."""

    type: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verify:
    """How a promotion is watched after its push."""

    within: timedelta = timedelta(minutes=15)
    grace: timedelta = timedelta(0)
    on_failure: Literal["none", "hold", "rollback"] = "none"
    on_timeout: Literal["none", "hold"] = "none"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When hops into an environment are attempted: five cron fields, in a zone of the IANA database."""

    cron: str
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Credential:
    """Where the token for a remote is found, never the token itself: in a variable, or in a file (an absolute path)."""

    token_env: str = ""
    token_file: str = ""

    def __str__(self) -> str:
        return f"token_env {self.token_env}" if self.token_env else f"token_file {self.token_file}"


@dataclass(frozen=True, slots=True)
class Seed:
    """Where the seed of a person's one-time codes is found, never the seed itself: in a variable, or in a file."""

    code_env: str = ""
    code_file: str = ""


@dataclass(frozen=True, slots=True)
class Overrides:
    """Who may promote past a gate that does not pass (emails in lower case), and past which."""

    by: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose records count, as names of `signers`, an allowed_signers file; of approvers only their own decisions do."""

    signers: bytes
    orchestrators: tuple[str, ...]
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """One stage of one application, with every placeholder filled in."""

    name: str
    branch: str
    source: str | None = None
    """The environment named by `from`; None for a root."""
    auto: bool = True
    engine: Spec = field(default_factory=lambda: Spec("directory"))
    health: tuple[Spec, ...] = ()
    """Empty means `health: none`, which is never healthy (S3), unless the engine's own word is to count."""
    engine_says: bool = False
    """`health: engine`: no checks, what the engine says of health is the answer."""
    gates: tuple[Spec, ...] = ()
    protect: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    """Environments that must have the candidate, verified and healthy, before this one may get it."""
    strategy: Literal["merge", "mirror"] = "merge"
    history: Literal["merge", "linear"] = "merge"
    """Whether the candidate is a parent of the commit that lands."""
    verify: Verify = field(default_factory=Verify)
    dwell: timedelta = timedelta(0)
    schedule: Schedule | None = None
    credential: Credential | None = None
    """What pushes its branch: its own, else its application's; None: what the user's git has."""
    deciding: Mapping[str, Any] = field(default_factory=dict)
    """The explicitly written keys that decide what may land (section 6, plan_id), as JSON values."""

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def approval(self) -> Mapping[str, Any] | None:
        """The settings of the gate that asks people; None when nobody is asked."""
        return next((gate.settings for gate in self.gates if gate.type == "approval"), None)


@dataclass(frozen=True, slots=True)
class Application:
    """What is promoted as a unit: one environment repository, or some paths of one."""

    name: str
    repository: str
    """A URL or an absolute path, ready for Git."""
    ledger: str
    """The full name of the ledger's ref."""
    environments: tuple[Environment, ...]
    """Sources come before what takes commits from them."""
    in_force: Mapping[str, Any] = field(default_factory=dict)
    """The part of the file that decides, as one JSON document: what a `configured` event records (S14)."""
    heartbeat: timedelta = timedelta(minutes=10)
    credential: Credential | None = None
    """What reads, and pushes the ledger alone: its own, else that of the first environment that names one."""
    paths: tuple[str, ...] = ()
    """The scope: files and directories, the latter without a `/` at their end; empty means the whole repository."""
    trust: Trust | None = None
    """Whose records count in its ledger; None: those of whoever may push there."""
    overrides: Overrides = field(default_factory=Overrides)
    approvers: Mapping[str, Seed] = field(default_factory=dict)
    """By email, in lower case: whose one-time codes can be told from others."""
    family: tuple[Application, ...] = field(default=(), compare=False, repr=False)
    """All of the file, itself included, and none of them with a family: a code is used once in all of their ledgers."""

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The scope as Git's paths."""
        return tuple(path.encode() for path in self.paths)

    def merges(self, environment: Environment) -> bool:
        """Whether what lands has its source as a parent. One that holds more than the scope, or is not wanted, is only named."""
        return not self.paths and environment.history == "merge"

    def environment(self, name: str) -> Environment:
        return next(e for e in self.environments if e.name == name)

    def decided_with(self, environment: Environment) -> tuple[Environment, ...]:
        """The environments whose decision about a commit counts for this one too (`same_as`), the nearest first."""
        found: list[Environment] = []
        rules = environment.approval
        while rules is not None and "same_as" in rules:
            found.append(self.environment(rules["same_as"]))
            rules = found[-1].approval
        return tuple(found)

    def targets_of(self, name: str) -> tuple[Environment, ...]:
        return tuple(e for e in self.environments if e.source == name)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A whole environments.yaml."""

    path: Path
    applications: tuple[Application, ...]


# --- the world, as read --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer of a check."""

    health: Health
    reason: str


@dataclass(frozen=True, slots=True)
class Reverted:
    """What a sync loop put back, because somebody had changed it by hand."""

    at: datetime
    revision: str
    paths: tuple[str, ...]
    found: str | None = None
    """The revision that ran in its place, where all of it was another one."""
    managers: tuple[str, ...] = ()
    """Under which names it was changed, where the system keeps them."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading of an environment. `revision` is the deployed commit, None when nothing is deployed."""

    revision: str | None
    health: Health
    reasons: tuple[str, ...]
    at: datetime
    reverted: tuple[Reverted, ...] = ()
    """What its sync loop keeps of this, oldest first, whether it was recorded or not."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check or an engine is asked about."""

    application: str
    environment: str
    revision: str | None
    repository: str = ""
    """Its address, which holds no secret; '' where nobody needs it."""
    branch: str = ""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The variables in which the secrets that its settings name are found."""


# --- Git -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree: a mode (0o100644, 0o100755, 0o120000, 0o160000, and 0o40000 for a tree) and an object id."""

    mode: int
    oid: str

    @property
    def is_file(self) -> bool:
        return self.mode in (0o100644, 0o100755)


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    at: datetime
    """The committer's time."""
    message: str

    @property
    def subject(self) -> str:
        return self.message.split("\n", 1)[0]

    @property
    def trailers(self) -> Mapping[str, str]:
        """The `Key: value` lines of the last paragraph; the last of equal keys counts."""
        _, found, last = self.message.rstrip().rpartition("\n\n")
        lines = [re.match(r"([A-Za-z][A-Za-z-]*): (.*)", line) for line in last.splitlines()] if found else []
        return {line[1]: line[2].strip() for line in lines if line}


# --- decisions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one gate about one candidate, with its reason always, and `until` when a wait's end is known."""

    gate: str
    verdict: VerdictWord
    reason: str
    until: datetime | None = None
    unasked: bool = False
    """Nobody was asked: something else keeps the candidate, or people come last."""
