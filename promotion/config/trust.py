"""`trust` of environments.yaml: whose signatures count for which records. Reads the list of keys that it names; verifies none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from promotion.config.document import SIZE, Steps, plain
from promotion.config.people import people
from promotion.config.places import directory
from promotion.config.written import Finding
from promotion.model import Trust
from promotion.spelling import nearest

FILE = ("trust", "allowed_signers")
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')


def findings(data: Mapping[str, Any], base: Path) -> Iterator[Finding]:
    """A list that cannot be read, and names that are not in it."""
    trust = data.get("trust") or {}
    if "allowed_signers" not in trust:
        return
    text = _read(trust["allowed_signers"], base)
    if isinstance(text, str):
        yield Finding(FILE, text)
        return
    known, groups = principals(text), data.get("groups") or {}
    if not known:
        yield Finding(FILE, "no key in it: a line is `NAME ssh-ed25519 AAAA...`, as ssh-keygen(1) has it")
        return
    for role, allowed in (("orchestrators", {}), ("approvers", groups)):
        for i, name in enumerate(trust.get(role) or ()):
            yield from _of_name(name, ("trust", role, i), known, allowed, groups)


def _of_name(
    name: Any, steps: Steps, known: Sequence[str], allowed: Mapping[str, Any], groups: Mapping[str, Any]
) -> Iterator[Finding]:
    if not isinstance(name, str):
        return
    if name not in allowed:
        if name not in known:
            what = "no principal of allowed_signers, nor a group," if allowed else "no principal of allowed_signers"
            what = "a group, and only a key may be an orchestrator:" if name in groups and not allowed else what
            yield Finding(steps, f"{what} `{plain(name)}`{nearest(name, [*known, *allowed])}")
        return
    for member in allowed[name] or ():
        if isinstance(member, str) and member.casefold() not in {each.casefold() for each in known}:
            yield Finding(steps, f"`{plain(member)}` of group `{plain(name)}` has no key in allowed_signers")


def of(data: Mapping[str, Any], base: Path) -> Trust | None:
    """What the file says, its groups expanded; None when it trusts whoever may push."""
    trust = data.get("trust")
    if trust is None:
        return None
    text, groups = _read(trust["allowed_signers"], base), data.get("groups") or {}
    assert isinstance(text, bytes)
    approvers = people(trust.get("approvers", ()), groups)
    return Trust(text, tuple(trust["orchestrators"]), tuple(approvers))


def in_force(trust: Trust) -> Mapping[str, Any]:
    """What a `configured` event records of it; the keys themselves only as their sum."""
    said = {"allowed_signers": sha256(trust.signers).hexdigest(), "orchestrators": list(trust.orchestrators)}
    return {**said, **({"approvers": list(trust.approvers)} if trust.approvers else {})}


def principals(text: bytes) -> list[str]:
    """The names of an allowed_signers file that stand alone on a line: a list or a pattern names nobody in particular."""
    found: dict[str, None] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        words = _WORD.findall(line)
        if len(words) >= 3 and not words[0].startswith("#") and not re.search(r"[,*?!]", words[0]):
            found[words[0].strip('"')] = None
    return list(found)


def _read(written: str, base: Path) -> bytes | str:
    """The content, or what is wrong."""
    try:
        with Path(directory(written, base)).open("rb") as file:
            text = file.read(SIZE + 1)
    except FileNotFoundError:
        return f"no such file `{plain(written)}`"
    except (OSError, ValueError) as exc:
        return f"`{plain(written)}` cannot be read: {(getattr(exc, 'strerror', None) or str(exc)).lower()}"
    return text if len(text) <= SIZE else f"`{plain(written)}` is larger than {SIZE >> 10} KiB"
