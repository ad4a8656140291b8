"""The append-only event log of an application: a branch whose commits are events and whose tree is the folded state.

The tree is `state.json`, and where there are many holds `holds/ENVIRONMENT/NUMBER`, the older ones in pieces that are
written once. A record of before that has all of them in its state.json is read as it is.

Writes objects only; whether a chain of events becomes the ledger is decided by the push that carries it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha1
from typing import Any, cast

from promotion.errors import ConfigError, RefusedError
from promotion.events import Event
from promotion.fold import fold
from promotion.model import Commit, Entry
from promotion.repository import Repository
from promotion.repository.formats import TREE, format_tree
from promotion.state import Hold, State
from promotion.stored import COMPLETE, from_json, holds_from_json, holds_to_json, pieces_of, to_json

STATE, HOLDS = b"state.json", b"holds"
BLOB = 0o100644
ENOUGH = 8192
"""How many bytes of holds make a piece, which is written once; what is less is written with every record."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of an environment's holds, and the blob that has them."""

    holds: tuple[Hold, ...]
    oid: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The pieces of one record by environment, and the tree that has them all."""

    pieces: Mapping[str, tuple[Piece, ...]] = field(default_factory=dict)
    folder: str = ""


def read(repository: Repository, application: str, tip: str | None) -> State:
    """The folded state at a tip; an empty one when there is no ledger yet. One object read, however long the history,
    and those pieces of holds that were not read before.

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
    return entry is not None and bool(_load(repository.blob(entry.oid), tip)["format"] < COMPLETE)


def _read(repository: Repository, application: str, tip: str) -> State:
    tree = repository.objects.commit(tip).tree
    entry = repository.objects.look(tree, STATE)
    if entry is None:
        raise RefusedError(f"{tip[:12]} is no ledger: it has no state.json", where=repository.url)
    data = _load(repository.blob(entry.oid), tip)
    state = from_json(data)
    if state.application != application:
        raise RefusedError(
            f"this ledger belongs to {state.application!r}, not to {application!r}", where=repository.url
        )
    return _whole(repository, state, pieces_of(data), tip)


def _whole(repository: Repository, state: State, counts: Mapping[str, int], tip: str) -> State:
    """The state of a record with the holds that stand beside it."""
    objects, tree = repository.objects, repository.objects.commit(tip).tree
    known = {piece.oid: piece for found in _kept(repository, state).pieces.values() for piece in found}
    pieces: dict[str, tuple[Piece, ...]] = {}
    for name, count in counts.items():
        oids = [_piece(repository, tip, name, n) for n in range(count)]
        new = [oid for oid in oids if oid not in known]
        read = (holds_from_json(_load(data, oid)) for oid, data in zip(new, repository.blobs(new), strict=True))
        known |= {oid: Piece(holds, oid) for oid, holds in zip(new, read, strict=True)}
        pieces[name] = tuple(known[oid] for oid in oids)
        older = [hold for piece in pieces[name] for hold in piece.holds]
        e = state.of(name)
        state = state.with_environment(name, replace(e, holds=(*older, *e.holds)))
    folder = objects.look(tree, HOLDS) if pieces else None
    repository.memo[("pieces", state.application)] = Kept(pieces, folder.oid if folder else "")
    return state


def _piece(repository: Repository, tip: str, name: str, number: int) -> str:
    """The blob of one piece. Raises RefusedError."""
    path = b"%s/%s/%d" % (HOLDS, _encoded(name), number)
    entry = repository.objects.look(repository.objects.commit(tip).tree, path)
    if entry is None or not entry.is_file:
        raise RefusedError(f"ledger record {tip[:12]} lacks holds of {name}", where=repository.url)
    return entry.oid


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")  # whoever may write a ledger may write anything into it


def _kept(repository: Repository, state: State) -> Kept:
    return cast("Kept", repository.memo.get(("pieces", state.application), Kept()))


def append(repository: Repository, tip: str | None, state: State, events: Sequence[Event]) -> tuple[str | None, State]:
    """Writes one commit for each event on top of `tip`; returns the new tip and state. Nothing is pushed.

    Raises ConfigError where this machine's clock is so far off that nobody could read the record.
    """
    for event in events:
        if not 2000 <= event.at.year < 8000:
            raise ConfigError(f"this machine's clock says {event.at:%Y-%m-%d}: nothing is recorded by it")
        state = fold(state, event)
        tree, kept = tree_of(state, _kept(repository, state), repository.objects.write)
        repository.memo[("pieces", state.application)] = kept
        message = f"{event.subject}\n\n[skip ci]\n{_dump(event.to_json()).decode('ascii')}"
        tip = repository.commit_tree(tree, [tip] if tip else [], message, event.at)
    return tip, state


def events(repository: Repository, tip: str | None) -> Iterator[tuple[Commit, Event]]:
    """Every event with its commit, newest first. Raises RefusedError at the first that is not readable."""
    if tip is not None:
        for commit in repository.history.line(tip):
            yield commit, event_of(commit)


# --- the tree of a record -----------------------------------------------------------------------------------------


def _hashed(kind: str, data: bytes) -> str:
    """The id of a Git object, which is not written."""
    return sha1(b"%s %d\0%s" % (kind.encode("ascii"), len(data), data), usedforsecurity=False).hexdigest()


def tree_of(state: State, kept: Kept, write: Callable[[str, bytes], str] = _hashed) -> tuple[str, Kept]:
    """The tree that a record has when its state is this one, and what the next one need not make again (of before: `kept`).

    Older holds stand in pieces of their own, so that a record costs the same however many there ever were. `write` stores
    an object and returns its id.
    """
    cut = {name: _cut(e.holds, kept.pieces.get(name, ()), write) for name, e in sorted(state.environments.items())}
    pieces = {name: found for name, found in cut.items() if found}
    folder = kept.folder
    if pieces != kept.pieces:
        below = {
            name: {b"%d" % n: Entry(BLOB, piece.oid) for n, piece in enumerate(found)} for name, found in pieces.items()
        }
        folders = {
            _encoded(name): Entry(TREE, write("tree", format_tree(numbered))) for name, numbered in below.items()
        }
        folder = write("tree", format_tree(folders))
    for name, found in pieces.items():
        e = state.of(name)
        state = state.with_environment(name, replace(e, holds=e.holds[sum(len(piece.holds) for piece in found) :]))
    counts = {name: len(found) for name, found in pieces.items()}
    root = {STATE: Entry(BLOB, write("blob", _dump(to_json(state, counts))))}
    root |= {HOLDS: Entry(TREE, folder)} if pieces else {}
    return write("tree", format_tree(root)), Kept(pieces, folder)


def _cut(holds: tuple[Hold, ...], known: tuple[Piece, ...], write: Callable[[str, bytes], str]) -> tuple[Piece, ...]:
    """The pieces of an environment's holds, oldest first; what is left is shorter than one. What is known is gone on from."""
    pieces, begin, size = list[Piece](), 0, 0
    for piece in known:
        if holds[begin : begin + len(piece.holds)] != piece.holds:
            break
        pieces.append(piece)
        begin += len(piece.holds)
    for end, hold in enumerate(holds[begin:], begin + 1):
        size += len(_dump(holds_to_json([hold])))
        if size >= ENOUGH:
            part = holds[begin:end]
            pieces.append(Piece(part, write("blob", _dump(holds_to_json(part)))))
            begin, size = end, 0
    return tuple(pieces)


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
