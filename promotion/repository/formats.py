"""Git's object formats, read and written as bytes; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from promotion.model import Commit, Entry, Person

TREE, SUBMODULE = 0o40000, 0o160000

_PERSON = re.compile(rb"(.*?) ?<([^>]*)> (-?\d+) ([+-]\d{4})")


def parse_commit(oid: str, data: bytes) -> Commit:
    """Raises ValueError on bytes that are no commit."""
    head, _, message = data.partition(b"\n\n")
    fields: dict[str, list[bytes]] = {}
    for line in head.split(b"\n"):
        if not line.startswith(b" "):  # continuation lines belong to signatures
            key, _, value = line.partition(b" ")
            fields.setdefault(key.decode("ascii", "replace"), []).append(value)
    if "tree" not in fields or "committer" not in fields:
        raise ValueError(f"{oid} is no commit")
    author, _ = _person(fields["author"][0])
    committer, at = _person(fields["committer"][0])
    return Commit(
        oid=oid,
        tree=fields["tree"][0].decode("ascii"),
        parents=tuple(p.decode("ascii") for p in fields.get("parent", ())),
        author=author,
        committer=committer,
        at=at,
        message=message.decode("utf-8", "replace").rstrip("\n"),
    )


def _person(line: bytes) -> tuple[Person, datetime]:
    found = _PERSON.fullmatch(line)
    if not found:
        return Person("unknown", ""), datetime.fromtimestamp(0, UTC)
    name, email = (found[n].decode("utf-8", "replace") for n in (1, 2))
    try:
        at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(found[3]))
    except OverflowError:
        at = datetime.fromtimestamp(0, UTC)
    return Person(name, email), at


def format_commit(
    tree: str, parents: Sequence[str], author: Person, committer: Person, at: datetime, message: str
) -> bytes:
    stamp = f"{int(at.timestamp())} +0000"
    lines = [f"tree {tree}", *(f"parent {p}" for p in parents)]
    for role, person in (("author", author), ("committer", committer)):
        name, email = signature(person)
        lines.append(f"{role} {name} <{email}> {stamp}")
    return ("\n".join(lines) + "\n\n" + message.rstrip("\n") + "\n").encode("utf-8", "replace")


def signature(person: Person) -> tuple[str, str]:
    """Name and address as git accepts them: none of the characters that would forge another header."""
    name, email = (re.sub(r"[\x00-\x1f<>]", "", text).strip() for text in (person.name, person.email))
    return name or "unknown", email


def parse_tree(data: bytes) -> dict[bytes, Entry]:
    """Entries by name. Raises ValueError on bytes that are no tree."""
    entries: dict[bytes, Entry] = {}
    at = 0
    while at < len(data):
        nul = data.index(b"\0", at)
        mode, _, name = data[at:nul].partition(b" ")
        entries[name] = Entry(int(mode, 8), data[nul + 1 : nul + 21].hex())
        at = nul + 21
    return entries


def format_tree(entries: Mapping[bytes, Entry]) -> bytes:
    def order(name: bytes) -> bytes:
        return name + b"/" if entries[name].mode == TREE else name

    return b"".join(
        b"%o %s\0%s" % (entries[name].mode, name, bytes.fromhex(entries[name].oid))
        for name in sorted(entries, key=order)
    )
