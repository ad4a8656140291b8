"""Whose records count: the state that the trusted ones of a ledger make, and why the others change nothing.

A record that an orchestrator signed is believed with its state, since whoever wrote it had judged all before it; what people
signed on top of it is folded here. Reads only; must not decide what may land.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from promotion import ledger
from promotion.errors import ConfigError, RefusedError
from promotion.events import Event
from promotion.fold import fold
from promotion.model import Application, Commit, Trust
from promotion.repository import Repository
from promotion.repository.objects import EMPTY_TREE
from promotion.repository.signing import TO_SIGN, Signed
from promotion.state import State

ANSWERS = frozenset({"approved", "rejected", "withdrawn"})
DECISIONS = ANSWERS | {"identified", "held", "lifted", "frozen", "thawed"}
"""What approvers may record: what people decide. What is deployed, and the configuration, is for orchestrators to say."""
PAGE = 64
"""How many records are verified at once."""
STRANGE = (RefusedError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What a record that nobody of ours wrote may raise when it is read."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a ledger comes to. `sound` is its newest record that counts; None where none does."""

    state: State
    sound: str | None
    ignored: Mapping[str, str] = field(default_factory=dict)
    """The records after an orchestrator's last one that change nothing, with why."""


def read(repository: Repository, app: Application, tip: str | None) -> Standing:
    """The state at a tip as the trusted records make it; as it is written where nobody is named to be trusted.

    It is also as it is written where no record is signed and the configuration in force names nobody yet. Remembered while
    the tip is what it was. Raises RefusedError for what is no ledger of this application.
    """
    if app.trust is None or tip is None:
        return Standing(ledger.read(repository, app.name, tip), tip)
    key = ("trusted", app.name)  # without the tip: what was before it is of no use any more
    known = cast("tuple[str, Trust, Standing] | None", repository.memo.get(key))
    if known is None or known[:2] != (tip, app.trust):
        repository.memo[key] = known = (tip, app.trust, _read(repository, app, app.trust, tip))
    return known[2]


def _read(repository: Repository, app: Application, trust: Trust, tip: str) -> Standing:
    above: list[tuple[Commit, Signed]] = []
    for signed in _line(repository, trust, tip):
        record = repository.objects.commit(signed.oid)
        if is_orchestrator(trust, signed) and judged(app.name, trust, record, signed) is None:
            return _folded(app.name, trust, ledger.read(repository, app.name, record.oid), record.oid, above[::-1])
        above.append((record, signed))
    try:
        written = ledger.read(repository, app.name, tip)
    except RefusedError:
        written = State(app.name, in_force={"trust": None})
    begun = "trust" in (written.in_force or {})
    return Standing(State(app.name) if begun else written, None)


def _line(repository: Repository, trust: Trust, tip: str) -> Iterator[Signed]:
    """Who signed each record, newest first; nearly always the first one is all that is asked for."""
    signed = repository.memo.get(("signed", tip, trust))
    yield cast("Signed", signed) if signed else repository.signatures.one(trust.signers, tip)
    parents = repository.objects.commit(tip).parents
    while parents:
        page = repository.signatures.line(trust.signers, parents[0], PAGE)
        yield from page
        parents = repository.objects.commit(page[-1].oid).parents


def _folded(name: str, trust: Trust, state: State, sound: str, above: Sequence[tuple[Commit, Signed]]) -> Standing:
    ignored: dict[str, str] = {}
    for record, signed in above:
        why = judged(name, trust, record, signed)
        if why is None:
            try:
                state, sound = fold(state, ledger.event_of(record)), record.oid
                continue
            except STRANGE as exc:
                why = f"it is not readable: {exc}"
        ignored[record.oid] = why
    return Standing(state, sound, ignored)


def is_orchestrator(trust: Trust, signed: Signed) -> bool:
    return signed.principal in trust.orchestrators


def judged(name: str, trust: Trust, record: Commit, signed: Signed) -> str | None:
    """Why a record of this application's ledger changes nothing; None when it counts."""
    if signed.principal is None:
        return f"it is {signed.why}" if signed.why.startswith(("not ", "signed ")) else signed.why
    if len(record.parents) > 1:
        return f"it has {len(record.parents)} parents"
    try:
        event = ledger.event_of(record)
    except STRANGE as exc:
        return f"it is not readable: {exc}"
    return _barred(name, trust, event, signed.principal)


def _barred(name: str, trust: Trust, event: Event, principal: str) -> str | None:
    """Why an event that this principal signed does not count."""
    if event.application != name:
        return f"it is of application {event.application!r}"
    own = str(event.by).casefold() == principal.casefold()
    if event.event in ANSWERS and event.data.get("how") == "signed" and not own:
        return f"{principal} signed it for {event.by}"
    if principal in trust.orchestrators:
        return None
    if principal.casefold() not in _approvers(trust):
        return f"{principal} is neither an orchestrator nor an approver"
    if event.event not in DECISIONS:
        return f"{principal} is an approver, and `{event.event}` is for orchestrators"
    return None if own else f"{principal} signed it for {event.by}"


def check(repository: Repository, app: Application, tip: str | None, events: Sequence[Event]) -> None:
    """Raises ConfigError unless what is about to be pushed will count: it is verified as whoever reads it will.

    `tip` is the last of these events as a commit of this clone.
    """
    if app.trust is None or tip is None or not events:
        return
    signed, name = _own(repository, app, app.trust, tip)
    repository.memo[("signed", tip, app.trust)] = signed
    for event in events:
        if why := _barred(app.name, app.trust, event, name):
            raise _uncounted(app, why)


def signs_as(repository: Repository, app: Application, now: datetime) -> str:
    """The name that the key of this set-up has in the list. Raises ConfigError where what it signs cannot count."""
    assert app.trust is not None
    tried = repository.commit_tree(EMPTY_TREE, [], "is this key known?", now)
    _, name = _own(repository, app, app.trust, tried)
    if name not in app.trust.orchestrators and name.casefold() not in _approvers(app.trust):
        raise _uncounted(app, f"{name} is neither an orchestrator nor an approver")
    return name


def _own(repository: Repository, app: Application, trust: Trust, oid: str) -> tuple[Signed, str]:
    """Who signed a commit that was written just now. Raises ConfigError."""
    if repository.signatures.key is None:
        raise ConfigError("only signed records count, and there is no key to sign with", where=app.name, hint=TO_SIGN)
    signed = repository.signatures.one(trust.signers, oid)
    if signed.principal is None:
        raise _uncounted(app, f"it is {signed.why}")
    return signed, signed.principal


def _uncounted(app: Application, why: str) -> ConfigError:
    hint = "have it done by an orchestrator, or let `trust` of environments.yaml name the key"
    return ConfigError(f"what this would record does not count: {why}", where=app.name, hint=hint)


def _approvers(trust: Trust) -> frozenset[str]:
    return frozenset(each.casefold() for each in trust.approvers)
