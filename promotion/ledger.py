"""The append-only event log of an application: a branch whose commits are events and whose tree is the folded state.

Writes objects only; whether a chain of events becomes the ledger is decided by the push that carries it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha1
from typing import Any, cast

from promotion.errors import ConfigError, RefusedError
from promotion.events import Event
from promotion.fold import fold
from promotion.model import Commit, Entry
from promotion.repository import Repository
from promotion.repository.formats import format_tree
from promotion.repository.objects import EMPTY_TREE
from promotion.state import State
from promotion.stored import FORMAT, from_json, to_json

STATE = b"state.json"


def read(repository: Repository, application: str, tip: str | None) -> State:
    """The folded state at a tip; an empty one when there is no ledger yet. One object read, however long the history.

    None while the tip is what it was: a tip never means anything else. Raises RefusedError when the ledger is another
    application's or of a newer format.
    """
    if tip is None:
        return State(application)
    key = ("state", application)  # without the tip: the states before it are of no use any more
    known = cast("tuple[str, State] | None", repository.memo.get(key))
    if known is None or known[0] != tip:
        repository.memo[key] = known = (tip, _read(repository, application, tip))
    return known[1]


def is_older(repository: Repository, tip: str) -> bool:
    """Whether the record at a tip was written by a version that knew less of the state."""
    entry = repository.objects.look(repository.objects.commit(tip).tree, STATE)
    return entry is not None and bool(_load(repository.blob(entry.oid), tip)["format"] < FORMAT)


def _read(repository: Repository, application: str, tip: str) -> State:
    entry = repository.objects.look(repository.objects.commit(tip).tree, STATE)
    if entry is None:
        raise RefusedError(f"{tip[:12]} is no ledger: it has no state.json", where=repository.url)
    state = from_json(_load(repository.blob(entry.oid), tip))
    if state.application != application:
        raise RefusedError(
            f"this ledger belongs to {state.application!r}, not to {application!r}", where=repository.url
        )
    return state


def append(repository: Repository, tip: str | None, state: State, events: Sequence[Event]) -> tuple[str | None, State]:
    """Writes one commit for each event on top of `tip`; returns the new tip and state. Nothing is pushed.

    Raises ConfigError where this machine's clock is so far off that nobody could read the record.
    """
    for event in events:
        if not 2000 <= event.at.year < 8000:
            raise ConfigError(f"this machine's clock says {event.at:%Y-%m-%d}: nothing is recorded by it")
        state = fold(state, event)
        blob = repository.objects.write_blob(_dump(to_json(state)))
        tree = repository.objects.write_tree(EMPTY_TREE, {STATE: Entry(0o100644, blob)})
        message = f"{event.subject}\n\n[skip ci]\n{_dump(event.to_json()).decode('ascii')}"
        tip = repository.commit_tree(tree, [tip] if tip else [], message, event.at)
    return tip, state


def events(repository: Repository, tip: str | None) -> Iterator[tuple[Commit, Event]]:
    """Every event with its commit, newest first. Raises RefusedError at the first that is not readable."""
    if tip is not None:
        for commit in repository.history.line(tip):
            yield commit, event_of(commit)


def tree_of(state: State) -> str:
    """The tree that a record has when its state is this one, without reading or writing anything."""
    blob = _hashed("blob", _dump(to_json(state)))
    return _hashed("tree", format_tree({STATE: Entry(0o100644, blob)}))


def _hashed(kind: str, data: bytes) -> str:
    """The id of a Git object."""
    return sha1(b"%s %d\0%s" % (kind.encode("ascii"), len(data), data), usedforsecurity=False).hexdigest()


def event_of(commit: Commit) -> Event:
    _, found, body = commit.message.partition("[skip ci]\n")
    if not found:
        raise RefusedError(f"ledger record {commit.oid[:12]} holds no event")
    return Event.from_json(_load(body.encode("utf-8", "replace"), commit.oid))


def _dump(data: Any) -> bytes:
    return (json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")


def _load(data: bytes, oid: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise RefusedError(f"ledger record {oid[:12]} is not readable: {exc}") from exc
