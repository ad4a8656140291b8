"""Branches that are proposed to people: created on the remote, never moved by us, and never merged by us."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from promotion import merge
from promotion.drifting import Hotfix
from promotion.errors import ConfigError
from promotion.merge import Entries
from promotion.model import Credential, Entry
from promotion.observe import Site
from promotion.reconcile.write import rejected
from promotion.repository import Update
from promotion.texts import shown
from promotion.view import DEPTH

LISTED = 20
"""How many files or commits a message names."""
KINDS = {0o100644: "a file", 0o100755: "an executable file", 0o120000: "a symlink", 0o160000: "a submodule"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed. `branch` is None when there is nothing to propose, for `reason`."""

    outcome: Literal["proposed", "nothing"]
    application: str
    environment: str
    onto: str
    """The environment whose branch people merge it into; of a conflict, the source."""
    reason: str
    source: str | None = None
    """S, where it is about a conflict."""
    branch: str | None = None
    commit: str | None = None
    """The branch's tip. None in a dry run."""
    created: bool = False
    """False: it was there already."""
    brings: tuple[bytes, ...] = ()
    marked: tuple[bytes, ...] = ()
    """Files that hold markers."""
    undecided: Mapping[bytes, str] | None = None
    """What no markers can show, and what both sides have there."""
    left: tuple[bytes, ...] = ()
    """Protected on the way: it is not brought, or never arrives."""
    hotfixes: tuple[Hotfix, ...] = ()


@dataclass(frozen=True, slots=True)
class Sketch:
    """A proposal's content: a tree, and what is left for people."""

    tree: str
    brings: tuple[bytes, ...]
    marked: tuple[bytes, ...]
    undecided: Mapping[bytes, str]

    @property
    def is_empty(self) -> bool:
        return not (self.brings or self.marked or self.undecided)


def sketch(site: Site, target: str, table: merge.Table, names: tuple[str, str]) -> Sketch:
    """A tree with what the table brings, and with markers where files conflict; other conflicts stay as the target has them."""
    objects = site.repository.objects
    markable = merge.markable(table, Entry(0o100644, objects.write_blob(b"")))
    files = site.repository.mark_conflicts(list(markable.values()), names) if markable else []
    marked = {path: entry for path, entry in zip(markable, files, strict=True) if entry is not None}
    conflicts = merge.conflicts(table)
    gains = {path: entry for path, entry in merge.gains(table).items() if path not in conflicts}
    sides = {name: {path: (row.d, row.s)[n] for path, row in conflicts.items()} for n, name in enumerate(names)}
    undecided = {
        path: ", ".join(f"{name} has {kind(path, entries)}" for name, entries in sides.items())
        for path in conflicts
        if path not in marked
    }
    return Sketch(objects.write_tree(target, {**gains, **marked}), tuple(gains), tuple(marked), undecided)


def kind(path: bytes, entries: Entries) -> str:
    """What one side has at a path, for people."""
    if (entry := entries[path]) is not None:
        return KINDS.get(entry.mode, "something")
    return "a directory" if any(e and other.startswith(path + b"/") for other, e in entries.items()) else "nothing"


def left_for_people(marked: Sequence[bytes], undecided: Mapping[bytes, str]) -> list[str]:
    """Paragraphs of a message that say what is left to decide."""
    parts = []
    if marked:
        parts.append("These files hold conflict markers:\n" + "\n".join(some([f"  {shown(p)}" for p in marked])))
    if undecided:
        lines = [f"  {shown(path)}: {what}" for path, what in undecided.items()]
        parts.append("These cannot hold markers, and are to be decided:\n" + "\n".join(some(lines)))
    return parts


def in_one_line(text: str) -> str:
    """What people wrote, without line breaks and control characters."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())[:200]


def some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - LISTED
    return [in_line(line) for line in lines[:LISTED]] + ([f"  and {more} more"] if more > 0 else [])


def in_line(text: str) -> str:
    """The same for a line that is indented: it must not begin another paragraph."""
    return "  " + in_one_line(text)


def there(site: Site, branch: str, trailer: str) -> str | None:
    """The tip of a proposal's branch, which must hold our commit; None where there is none yet. Raises ConfigError."""
    ref = f"refs/heads/{branch}"
    tip = site.repository.refresh([ref])[ref]
    if tip is None:
        return None
    for number, commit in enumerate(site.repository.first_parents(tip)):
        if trailer in commit.message.rstrip().rpartition("\n\n")[2].splitlines():
            return tip
        if number == DEPTH:
            break
    hint = f"git push {site.repository.url} :{ref}   deletes it"
    raise ConfigError(f"there is a branch `{branch}` already, and it is no proposal", hint=hint)


def create(site: Site, branch: str, commit: str, credential: Credential | None) -> bool:
    """Whether the branch is there now and ours (S6): it must not have been there. Raises what the remote's refusal means."""
    ref = f"refs/heads/{branch}"
    said = site.repository.push([Update(ref, None, commit)], credential)
    there = site.repository.refresh([ref])[ref]
    if there is None:
        raise rejected(site, said, credential)
    return there == commit
