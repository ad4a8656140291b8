"""The entry table: what a merge of branches makes of every path, and whether a tree is just that; must not do I/O.

Three trees take part: B (the base, what the target was last given), D (the target's tip) and S (the candidate). Whatever
happens to a path is one row of the table, with the rule that explains it (S9, S10, S11). T is the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypeAlias

from promotion.model import Entry

Entries: TypeAlias = Mapping[bytes, Entry | None]
"""Path -> entry, None where there is nothing."""
Difference: TypeAlias = Mapping[bytes, tuple[Entry | None, Entry | None]]
"""A raw recursive tree diff, path -> (left, right): files, symlinks and submodules only, no trees, no renames."""
Look: TypeAlias = Callable[[bytes], Entry | None]
"""What one tree has at a path."""


class Rule(StrEnum):
    """Why a path lands as it does."""

    TESTED = "tested"
    """As it is in the source, where it was tested."""
    KEPT = "kept"
    """Protected: as it is in the target."""
    DRIFT = "drift"
    """Only the target changed it, so the target's stays."""
    MERGE = "merge"
    """Both changed the content of one file."""
    CONFLICT = "conflict"
    """Both changed it and no rule decides; a person does."""
    RESOLUTION = "resolution"
    """They conflicted, and a person decided on a proposal branch."""


@dataclass(frozen=True, slots=True)
class Row:
    """One path. `t` is None under MERGE until `settle`, and D's entry under CONFLICT, where nothing lands."""

    b: Entry | None
    d: Entry | None
    s: Entry | None
    rule: Rule
    t: Entry | None


@dataclass(frozen=True, slots=True)
class Table:
    """Every path that differs between B, D and S, in the order of paths. All others are the same in B, D, S and T."""

    rows: Mapping[bytes, Row]


@dataclass(frozen=True, slots=True)
class Change:
    """What the target gains at one path."""

    path: bytes
    change: Literal["added", "modified", "deleted"]
    rule: Rule


# --- protected paths -----------------------------------------------------------------------------------------------

_GLOB = re.compile(rb"(?<![^/])(?:\*\*+/)+|\*\*+|\*|[^*]+")


def protected(patterns: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether a path is protected by any of these patterns, which match whole paths, as bytes.

    `*` stops at `/`, `**` does not; `d/` and `d/**` protect `d` and everything below it. All else is literal.
    """
    matches = re.compile(b"|".join(map(_expression, patterns)) or rb"(?!)", re.DOTALL).fullmatch
    return lambda path: matches(path) is not None


def _expression(pattern: str) -> bytes:
    glob = pattern.encode("utf-8", "surrogatepass")
    stem = re.sub(rb"(?:/\*\*+)*/?\Z", b"", glob)
    return b"".join(map(_piece, _GLOB.findall(stem))) + (b"" if stem == glob else rb"(?:/.*)?")


def _piece(glob: bytes) -> bytes:
    if glob.endswith(b"*/"):
        return rb"(?:.*/)?"
    if glob.startswith(b"*"):
        return rb"[^/]*" if glob == b"*" else rb".*"
    return re.escape(glob)


def within(roots: Collection[bytes]) -> Callable[[bytes], bool]:
    """Whether a path is in a scope: one of these files and directories, or below one; everything is without any."""
    return lambda path: not roots or any(path == root or path.startswith(root + b"/") for root in roots)


# --- the table -----------------------------------------------------------------------------------------------------


def lay(
    base_to_target: Difference, base_to_source: Difference, kept: Callable[[bytes], bool], *, mirror: bool = False
) -> Table:
    """The table of two diffs from one base, both of what is in scope; `kept` says which paths are protected.

    Rows with the rule MERGE wait for their contents: see `pending` and `settle`. With `mirror` the source's entry lands
    wherever nothing is protected, and what the target would lose by that is in `lost`.
    """
    rows = {}
    for path in sorted(base_to_target.keys() | base_to_source.keys()):
        b = (base_to_target.get(path) or base_to_source[path])[0]
        d = base_to_target.get(path, (b, b))[1]
        s = base_to_source.get(path, (b, b))[1]
        protects = kept(path)
        rows[path] = Row(b, d, s, Rule.TESTED, s) if mirror and not protects else _decide(b, d, s, protects)
    return Table(_without_clashes(rows))


def _decide(b: Entry | None, d: Entry | None, s: Entry | None, kept: bool) -> Row:
    if kept:
        return Row(b, d, s, Rule.KEPT, d)
    if d == s:
        return Row(b, d, s, Rule.TESTED, d)
    if b == s:
        return Row(b, d, s, Rule.DRIFT, d)
    if b == d:
        return Row(b, d, s, Rule.TESTED, s)
    if all(entry is not None and entry.is_file for entry in (b, d, s)):
        return Row(b, d, s, Rule.MERGE, None)
    return Row(b, d, s, Rule.CONFLICT, d)


def _without_clashes(rows: Mapping[bytes, Row]) -> dict[bytes, Row]:
    """A path of T that is also a directory of T is a conflict, and so is all that T has below it.

    Comparing rows with rows is enough. A path q without a row is the same in B, D and S. If p has a row and T has an
    entry there, then that entry is D's or S's (or a merge of both), so p and q are both in D or both in S, which is
    a tree and has no clash. The same holds for a conflict, which has an entry in D or in S, and a row that waits for
    its content is in B, D and S, so it never clashes.
    """
    present = {path for path, row in rows.items() if row.t is not None or row.rule is Rule.CONFLICT}
    clashes = present & {parent for path in present for parent in _parents(path)}
    if not clashes:
        return dict(rows)
    lost = clashes | {path for path in present if not clashes.isdisjoint(_parents(path))}
    return {path: replace(row, rule=Rule.CONFLICT, t=row.d) if path in lost else row for path, row in rows.items()}


def _parents(path: bytes) -> Iterable[bytes]:
    """Each directory that holds this path, the innermost first."""
    while (end := path.rfind(b"/")) >= 0:
        path = path[:end]
        yield path


def pending(table: Table) -> dict[bytes, tuple[Entry, Entry, Entry]]:
    """The contents still to merge: path -> entries of (B, D, S), all three regular files that differ."""
    return {
        path: (row.b, row.d, row.s)
        for path, row in table.rows.items()
        if row.rule is Rule.MERGE and row.t is None and row.b and row.d and row.s
    }


def settle(table: Table, merged: Entries) -> Table:
    """The table with the contents of `pending` filled in, where None says that they conflict.

    A path that is not in `merged` stays pending; a path that is not pending is left alone.
    """
    rows = dict(table.rows)
    for path in pending(table).keys() & merged.keys():
        row, t = rows[path], merged[path]
        rows[path] = replace(row, rule=Rule.CONFLICT, t=row.d) if t is None else replace(row, t=t)
    return Table(rows)


def resolve(table: Table, decided: Entries) -> Table:
    """The table with what a person decided where it conflicts; everywhere else nobody has a say."""
    rows = dict(table.rows)
    for path in conflicts(table).keys() & decided.keys():
        rows[path] = replace(rows[path], rule=Rule.RESOLUTION, t=decided[path])
    return Table(rows)


# --- what the table says -------------------------------------------------------------------------------------------


def conflicts(table: Table) -> dict[bytes, Row]:
    """The rows that a person has to decide, with both sides."""
    return {path: row for path, row in table.rows.items() if row.rule is Rule.CONFLICT}


def markable(table: Table, nothing: Entry) -> dict[bytes, tuple[Entry, Entry, Entry]]:
    """The conflicts that markers in a file can show: path -> entries of (B, D, S), where `nothing` stands for no base."""
    found = {}
    for path, row in conflicts(table).items():
        if row.d and row.s and row.d.is_file and row.s.is_file:
            found[path] = (row.b if row.b and row.b.is_file else nothing, row.d, row.s)
    return found


def lost(table: Table) -> list[bytes]:
    """Where the target has something of its own that would be gone: drift that a mirror overwrites."""
    return [path for path, row in table.rows.items() if row.t == row.s and row.d not in (row.b, row.t)]


def deviations(table: Table) -> dict[bytes, Row]:
    """The rows where T is not what was tested in the source: kept, drift, merge, conflict."""
    return {path: row for path, row in table.rows.items() if row.t != row.s}


def gains(table: Table) -> dict[bytes, Entry | None]:
    """What to write onto D's tree to get T; None deletes. Only for a table without conflicts and pending contents."""
    return {path: row.t for path, row in table.rows.items() if row.t != row.d}


def identical(table: Table) -> bool:
    """Whether T equals S in every path that is not kept: what was tested is what lands."""
    return all(row.rule is Rule.KEPT for row in deviations(table).values())


def changes(table: Table) -> list[Change]:
    """What the target gains, by path. Only for a table without conflicts and pending contents."""
    return [
        Change(path, "added" if row.d is None else "deleted" if row.t is None else "modified", row.rule)
        for path, row in table.rows.items()
        if row.t != row.d
    ]


def unexplained(table: Table, base_to_result: Difference) -> list[bytes]:
    """The paths where a tree is not what the table says, sorted; empty: every path is explained (S10).

    `base_to_result` is the raw diff from B to the tree as it was written. Without it a path of the tree is B's, so
    this one diff tells the whole tree: a row that is not in it was lost, a path of it without a row was smuggled in.
    Conflicts and pending contents are never explained.
    """
    wrong = []
    for path in table.rows.keys() | base_to_result.keys():
        row = table.rows.get(path)
        b, t = base_to_result.get(path) or ((row.b, row.b) if row else (None, None))
        expected = (row.b, row.t) if row else (b, b)
        undecided = row is not None and (row.rule is Rule.CONFLICT or (row.rule is Rule.MERGE and row.t is None))
        if undecided or (b, t) != expected:
            wrong.append(path)
    return sorted(wrong)


# --- holds ---------------------------------------------------------------------------------------------------------


def contains(entries: Entries, look: Look) -> bool:
    """Whether a tree has all of these entries (None: has nothing there). No entries are contained nowhere."""
    return bool(entries) and all(look(path) == entry for path, entry in entries.items())


def held(entries: Entries, result: Look, target: Look) -> bool:
    """Whether a candidate brings a held change in: T contains all of its entries and D does not."""
    return contains(entries, result) and not contains(entries, target)
