"""The folded state as JSON, as each record of a ledger keeps it; must not know what anything means, or where it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

from promotion.errors import RefusedError
from promotion.model import AnswerWord, Entry, Health, HowWord
from promotion.state import (
    Answer,
    EnvironmentState,
    Fact,
    Freeze,
    Given,
    Hold,
    Observed,
    Override,
    Release,
    State,
    Steady,
    Verification,
)
from promotion.texts import instant, iso

FORMAT = 4
"""Of state.json and of the events. A newer one is refused; this one keeps older holds beside it, and is written only where it must."""
COMPLETE = 3
"""What knows all of a state, with all of its holds; the first knew no freezes, the second no answers of people and no rollbacks."""


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


def to_json(state: State, pieces: Mapping[str, int] | None = None) -> dict[str, Any]:
    """`pieces` says, by environment, in how many pieces holds stand elsewhere that come before those of this state."""
    environments = {name: _environment_to_json(e) for name, e in sorted(state.environments.items())}
    for name, count in (pieces or {}).items():
        environments[name]["pieces"] = count
    return {
        "format": FORMAT if pieces else COMPLETE,
        "application": state.application,
        "in_force": state.in_force,
        "frozen": _freeze_to_json(state.frozen),
        "environments": environments,
        **({"codes": dict(state.codes)} if state.codes else {}),
    }


def from_json(data: Mapping[str, Any]) -> State:
    """All but the holds that stand elsewhere. Raises RefusedError when the record is of a newer format, or is none of ours."""
    with _readable():
        if data["format"] > FORMAT:
            raise RefusedError(f"the ledger has format {data['format']}, this version reads {FORMAT}: update Promotion")
        environments = {name: _environment_from_json(e) for name, e in data["environments"].items()}
        codes = {who: int(step) for who, step in data.get("codes", {}).items()}
        return State(data["application"], data["in_force"], environments, _freeze(data.get("frozen")), codes)


def pieces_of(data: Mapping[str, Any]) -> dict[str, int]:
    """By environment, in how many pieces its older holds stand elsewhere. Raises RefusedError."""
    with _readable():
        return {name: int(e["pieces"]) for name, e in data["environments"].items() if "pieces" in e}


def holds_to_json(holds: Sequence[Hold]) -> list[dict[str, Any]]:
    return [
        {"commit": h.commit, "entries": entries_to_json(h.entries), "reason": h.reason, "by": h.by, "at": iso(h.at)}
        | ({"plan_id": h.plan_id} if h.plan_id else {})
        for h in holds
    ]


def holds_from_json(data: Sequence[Mapping[str, Any]]) -> tuple[Hold, ...]:
    """Raises RefusedError."""
    with _readable():
        return tuple(
            Hold(h["commit"], entries_from_json(h["entries"]), h["reason"], h["by"], instant(h["at"]), h.get("plan_id"))
            for h in data
        )


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
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
    if e.releases or e.release:
        data["releases"] = [[oid, g.source, g.healthy, g.undone, g.restores] for oid, g in e.releases.items()]
    if v := e.verification:
        data["verification"] = {"commit": v.commit, "until": iso(v.until), "state": v.state}
        data["verification"] |= {"degraded_since": _iso(v.degraded_since), "acted": v.acted}
    data["frozen"] = _freeze_to_json(e.frozen)
    data["holds"] = holds_to_json(e.holds)
    if e.answers:
        data["answers"] = [_answer_to_json(answer) for answer in e.answers]
    if over := e.overridden:
        data["overridden"] = [over.plan_id, list(over.gates), over.reason, over.by]
    if e.granted:
        data["granted"] = {oid: [_answer_to_json(answer) for answer in said] for oid, said in e.granted.items()}
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
        releases=_releases(data),
        verification=Verification(
            verification["commit"],
            instant(verification["until"]),
            verification["state"],
            _instant(verification["degraded_since"]),
            verification["acted"],
        )
        if verification
        else None,
        holds=holds_from_json(data["holds"]),
        frozen=_freeze(data.get("frozen")),
        reverted_at=_instant(data["reverted_at"]),
        answers=tuple(map(_answer, data.get("answers", ()))),
        overridden=_override(data["overridden"]) if "overridden" in data else None,
        granted={oid: tuple(map(_answer, said)) for oid, said in data.get("granted", {}).items()},
    )


def _override(data: Sequence[Any]) -> Override:
    plan_id, gates, reason, by = data
    return Override(plan_id, tuple(gates), reason, by)


def _answer_to_json(a: Answer) -> list[str]:
    return [a.plan_id, a.source, a.by, a.word, iso(a.at), a.how]


def _answer(data: Sequence[str]) -> Answer:
    plan_id, source, by, word, at, how = data
    return Answer(plan_id, source, by, cast(AnswerWord, word), instant(at), cast(HowWord, how))


def _releases(data: Mapping[str, Any]) -> dict[str, Given]:
    """Of a record that knows none yet: the present one."""
    if "releases" in data or not (release := data.get("release")):
        return {oid: Given(*given) for oid, *given in data.get("releases", ())}
    health = data["facts"].get(release["commit"], [None])[0]
    return {release["commit"]: Given(release["source"], healthy=health == Health.HEALTHY)}


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
