"""The folded state of a ledger: what is known of each environment; frozen values and their JSON, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from promotion.errors import RefusedError
from promotion.model import Entry, Health, VerificationWord, instant, iso

FORMAT = 2
"""Of state.json and of the events. A newer one is refused; the first knew no freezes."""


@dataclass(frozen=True, slots=True)
class Release:
    """What an environment has been given; `source` is the commit of its source environment that it stands for."""

    commit: str
    source: str
    previous: str | None = None


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
    """The id of the last promoted or adopted event: the same content, promoted again, is another plan."""
    observed: Observed | None = None
    steady: Steady | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    verification: Verification | None = None
    holds: tuple[Hold, ...] = ()
    frozen: Freeze | None = None
    reverted_at: datetime | None = None
    """When the last hand-made change that was recorded was put back."""

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

    def of(self, environment: str) -> EnvironmentState:
        return self.environments.get(environment) or EnvironmentState()

    def with_environment(self, name: str, state: EnvironmentState) -> State:
        return replace(self, environments={**self.environments, name: state})


# --- JSON ----------------------------------------------------------------------------------------------------------


def entries_to_json(entries: Mapping[bytes, Entry | None]) -> dict[str, Any]:
    """Paths keep all their bytes: what is not UTF-8 becomes lone surrogates, which JSON escapes."""
    return {
        path.decode("utf-8", "surrogateescape"): [f"{entry.mode:o}", entry.oid] if entry else None
        for path, entry in sorted(entries.items())
    }


def entries_from_json(data: Mapping[str, Any]) -> dict[bytes, Entry | None]:
    return {
        path.encode("utf-8", "surrogateescape"): Entry(int(item[0], 8), item[1]) if item else None
        for path, item in data.items()
    }


def to_json(state: State) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "application": state.application,
        "in_force": state.in_force,
        "frozen": _freeze_to_json(state.frozen),
        "environments": {name: _environment_to_json(e) for name, e in sorted(state.environments.items())},
    }


def from_json(data: Mapping[str, Any]) -> State:
    """Raises RefusedError when the record is of a newer format, or is none of ours."""
    try:
        if data["format"] > FORMAT:
            raise RefusedError(f"the ledger has format {data['format']}, this version reads {FORMAT}: update Promotion")
        environments = {name: _environment_from_json(e) for name, e in data["environments"].items()}
        return State(data["application"], data["in_force"], environments, _freeze(data.get("frozen")))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise RefusedError(f"the ledger's state is not readable ({type(exc).__name__}: {exc})") from exc


def _environment_to_json(e: EnvironmentState) -> dict[str, Any]:
    data: dict[str, Any] = {"epoch": e.epoch, "since": _iso(e.since), "reverted_at": _iso(e.reverted_at)}
    if e.release:
        data["release"] = {"commit": e.release.commit, "source": e.release.source, "previous": e.release.previous}
    if o := e.observed:
        data["observed"] = {"revision": o.revision, "health": o.health.value, "reasons": list(o.reasons)}
        data["observed"] |= {"since": iso(o.since), "at": iso(o.at), "well_since": _iso(o.well_since)}
    if e.steady:
        data["steady"] = [iso(e.steady.since), iso(e.steady.at)]
    data["facts"] = {
        oid: [f.health.value, iso(f.first), iso(f.at), _iso(f.healthy_since)] for oid, f in e.facts.items()
    }
    if v := e.verification:
        data["verification"] = {"commit": v.commit, "until": iso(v.until), "state": v.state}
        data["verification"] |= {"degraded_since": _iso(v.degraded_since), "acted": v.acted}
    data["frozen"] = _freeze_to_json(e.frozen)
    data["holds"] = [
        {"commit": h.commit, "entries": entries_to_json(h.entries), "reason": h.reason, "by": h.by, "at": iso(h.at)}
        for h in e.holds
    ]
    return data


def _environment_from_json(data: Mapping[str, Any]) -> EnvironmentState:
    release, observed, verification = data.get("release"), data.get("observed"), data.get("verification")
    steady = data.get("steady")
    return EnvironmentState(
        release=Release(**release) if release else None,
        since=_instant(data["since"]),
        epoch=data["epoch"],
        observed=_observed(observed) if observed else None,
        steady=Steady(instant(steady[0]), instant(steady[1])) if steady else None,
        facts={
            oid: Fact(Health(f[0]), instant(f[1]), instant(f[2]), _instant(f[3])) for oid, f in data["facts"].items()
        },
        verification=Verification(
            verification["commit"],
            instant(verification["until"]),
            verification["state"],
            _instant(verification["degraded_since"]),
            verification["acted"],
        )
        if verification
        else None,
        holds=tuple(
            Hold(h["commit"], entries_from_json(h["entries"]), h["reason"], h["by"], instant(h["at"]))
            for h in data["holds"]
        ),
        frozen=_freeze(data.get("frozen")),
        reverted_at=_instant(data["reverted_at"]),
    )


def _freeze_to_json(frozen: Freeze | None) -> dict[str, Any] | None:
    if frozen is None:
        return None
    said = {"reason": frozen.reason, "by": frozen.by, "at": iso(frozen.at)}
    return {**said, "until": _iso(frozen.until), "strict": frozen.strict}


def _freeze(data: Mapping[str, Any] | None) -> Freeze | None:
    if data is None:
        return None
    return Freeze(data["reason"], data["by"], instant(data["at"]), _instant(data["until"]), data["strict"])


def _observed(data: Mapping[str, Any]) -> Observed:
    return Observed(
        revision=data["revision"],
        health=Health(data["health"]),
        reasons=tuple(data["reasons"]),
        since=instant(data["since"]),
        at=instant(data["at"]),
        well_since=_instant(data["well_since"]),
    )


def _iso(at: datetime | None) -> str | None:
    return iso(at) if at else None


def _instant(text: str | None) -> datetime | None:
    return instant(text) if text else None
