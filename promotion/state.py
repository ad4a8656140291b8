"""The folded state of a ledger: what is known of each environment; frozen values, nothing else. `stored` has their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from promotion.model import AnswerWord, Entry, Health, HowWord, VerificationWord


@dataclass(frozen=True, slots=True)
class Release:
    """What an environment has been given; `source` is the commit of its source environment that it stands for."""

    commit: str
    source: str
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """One commit that an environment had as a release, or that people made on its branch and that was healthy there."""

    source: str | None = None
    """What it stands for in the environment's source; None: what the nearest release before it stands for."""
    healthy: bool = False
    """Whether the last word about it says that it is well."""
    undone: bool = False
    """Whether it was rolled back."""
    restores: str | None = None
    """The release that it is the content of, when it is a rollback."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What was last recorded about one commit in one environment."""

    health: Health
    first: datetime
    at: datetime
    healthy_since: datetime | None = None
    """When it was first healthy there."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The last recorded observation; `since` is when this revision got this health."""

    revision: str | None
    health: Health
    reasons: tuple[str, ...]
    since: datetime
    at: datetime
    well_since: datetime | None = None
    """Since when every check says healthy, while the dwell is not over."""


@dataclass(frozen=True, slots=True)
class Steady:
    """A stretch in which an environment was never degraded, missing, or unobserved for over two heartbeats."""

    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Verification:
    """How the last promotion into an environment turned out; pending until `until`."""

    commit: str
    until: datetime
    state: VerificationWord = "pending"
    degraded_since: datetime | None = None
    acted: bool = False
    """Whether its failure was followed by a hold, which a person may have lifted since."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A change that an environment refuses: `commit`, and whatever contains all of `entries`."""

    commit: str
    entries: Mapping[bytes, Entry | None]
    reason: str
    by: str
    at: datetime
    plan_id: str | None = None
    """The plan that was rejected; None when it was not a rejection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person said of one plan, last: the word, when, and what proves who it was."""

    plan_id: str
    source: str
    by: str
    word: AnswerWord
    at: datetime
    how: HowWord


@dataclass(frozen=True, slots=True)
class Override:
    """The gates that somebody got past with the release that is there."""

    plan_id: str
    gates: tuple[str, ...]
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing is accepted until it is thawed, or until its own end; a strict one holds for rollbacks too."""

    reason: str
    by: str
    at: datetime
    until: datetime | None = None
    strict: bool = False

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """All that the ledger knows of one environment."""

    release: Release | None = None
    since: datetime | None = None
    """When the release was made."""
    epoch: str = ""
    """The id of the last promoted, rolled-back or adopted event: the same content, promoted again, is another plan."""
    observed: Observed | None = None
    steady: Steady | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    releases: Mapping[str, Given] = field(default_factory=dict)
    """What can be gone back to, and what was rolled back; in the order of records, which need not be the branch's."""
    verification: Verification | None = None
    holds: tuple[Hold, ...] = ()
    frozen: Freeze | None = None
    reverted_at: datetime | None = None
    """When the last hand-made change that was recorded was put back."""
    answers: tuple[Answer, ...] = ()
    """Of people about plans; one for each plan and person. Gone with the epoch, as the plans are."""
    overridden: Override | None = None
    """Past which gates the present release came."""
    granted: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    """By source: the approvals with which it was promoted, for those who take this environment's decision."""

    def deciding(self) -> EnvironmentState:
        """This state without what a mere heartbeat changes: equal before and after one (S4's read-set)."""
        observed, steady = self.observed, self.steady
        return replace(
            self,
            observed=replace(observed, at=observed.since) if observed else None,
            steady=replace(steady, at=steady.since) if steady else None,
        )


@dataclass(frozen=True, slots=True)
class State:
    """The folded state of one application's ledger."""

    application: str
    in_force: Mapping[str, Any] | None = None
    """The configuration in force, as a `configured` event recorded it."""
    environments: Mapping[str, EnvironmentState] = field(default_factory=dict)
    frozen: Freeze | None = None
    """Of everything in the application."""
    codes: Mapping[str, int] = field(default_factory=dict)
    """By person: the newest step of their one-time codes that was used."""

    def of(self, environment: str) -> EnvironmentState:
        return self.environments.get(environment) or EnvironmentState()

    def with_environment(self, name: str, state: EnvironmentState) -> State:
        return replace(self, environments={**self.environments, name: state})
