"""Which release an environment goes back to, what that takes back, and what is held then; pure, and must not do I/O.

What a branch had is a line of steps, newest first. The release that is gone back to is one of them, and all before it in
the line is taken back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from promotion.merge import Entries
from promotion.model import Application, Environment
from promotion.state import Given, Hold
from promotion.texts import short

NAMED = 8
"""How many releases are named that could be gone back to."""


@dataclass(frozen=True, slots=True)
class Step:
    """One commit of an environment's branch that is about the application's scope."""

    commit: str
    given: Given | None
    """What it is as a release; None of one that people made and that was never seen healthy."""
    ours: bool
    """Whether it is a promotion or a rollback of ours."""
    same: bool
    """Whether it has what the newest of the line has, where nothing is protected."""


@dataclass(frozen=True, slots=True)
class Back:
    """A way back: to `restores`, which stands for `source` (None: nobody knows, or it is a root)."""

    restores: str
    source: str | None
    undone: tuple[str, ...]
    """What is taken back, newest first."""
    held: tuple[str, ...]
    """Whose change is refused from then on, newest first, as far as it is another content than the restored one."""
    hotfixes: tuple[str, ...]
    """What people made on the branch that is taken back, newest first."""
    forward: bool
    """Whether it was taken back before, and is there again."""


@dataclass(frozen=True, slots=True)
class Stays:
    """There is no way back: `nothing` to do, `refused`, or `unknown` where what was asked for is no release."""

    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """What is to land as R on top of `target`, the branch's tip: `tree`, with what is held and what is not any more."""

    application: Application
    environment: Environment
    target: str
    back: Back
    tree: str
    holds: Mapping[str, Entries]
    lifts: tuple[str, ...]
    plan_id: str
    reason: str


def choose(line: Sequence[Step], to: str | None, holds: Collection[Hold], environment: Environment) -> Back | Stays:
    """The way back to one release, or to the newest that was well, is not undone or held, and has another content.

    Nobody goes back twice without saying where to: whoever was cut off may say the same again.
    """
    name, there = environment.name, _already(line)
    if to is None and there is not None:
        others = releases(line)
        further = f"--to goes to another release ({others})" if others else "no other release is known"
        return Stays("nothing", f"{name} is rolled back to {short(there)} already: {further}")
    if to is not None:
        number = next((n for n, step in enumerate(line) if step.commit == to), None)
        if number is None or line[number].given is None:
            return Stays("unknown", f"{short(to)} is no release of {name} (there are: {releases(line) or 'none'})")
        if line[number].same:
            return Stays("nothing", f"{name} has just what {short(to)} has")
        return back(line, number, environment)
    bad = {hold.commit for hold in holds}
    for number, step in enumerate(line):
        if step.given and step.given.healthy and not (step.same or step.given.undone or step.commit in bad):
            return back(line, number, environment)
    others = releases(line)
    hint = f"; --to names one that was not ({others})" if others else ""
    return Stays(
        "refused", f"{name} has nothing to go back to: no earlier release with another content was healthy{hint}"
    )


def _already(line: Sequence[Step]) -> str | None:
    """The release that is restored now, with nothing on top of it that makes a difference."""
    for step in line:
        if not step.same:
            return None
        if step.given and step.given.restores and not step.given.undone:
            return step.given.restores
    return None


def back(line: Sequence[Step], number: int, environment: Environment) -> Back:
    """The way back from the newest of a line to one of its releases."""
    target, taken, root = line[number], line[:number], environment.source is None
    assert target.given is not None
    held = [s for n, s in enumerate(taken) if (s.given or (root and n == 0)) and not _is_back(s)]
    source = next((s.given.source for s in line[number:] if s.given and s.given.source), None)
    direct = [] if root else [s for s in taken if not (s.ours or _is_back(s))]
    return Back(
        target.commit,
        source,
        tuple(s.commit for s in taken),
        tuple(s.commit for s in held),
        tuple(s.commit for s in direct),
        target.given.undone,
    )


def _is_back(step: Step) -> bool:
    """Whether a step went back itself, or was gone back over already."""
    return step.given is not None and (step.given.undone or step.given.restores is not None)


def releases(line: Sequence[Step]) -> str:
    """The releases of a line that have another content than its newest, for people: what could be gone back to."""
    found = [step for step in line if step.given is not None and not step.same]
    words = [short(s.commit) + (" undone" if s.given and s.given.undone else "") for s in found[:NAMED]]
    return ", ".join(words) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def by_hand(line: Sequence[Step], release: str, alike: Sequence[Collection[str]]) -> tuple[int, int] | None:
    """The newest commit that people made on top of a release and that has what an older one had: both, as numbers in the line.

    `alike` has for each commit on top of the release, in the order of the line, which releases have the same content. Where
    the present release's own content is there again, nothing was taken back.
    """
    place = {step.commit: number for number, step in enumerate(line)}
    for number, same in enumerate(alike):
        if release in same:
            return None
        older = [place[oid] for oid in same if place[oid] > place[release]]
        if older:
            return number, min(older, key=lambda n: (_is_undone(line[n]), n))
    return None


def _is_undone(step: Step) -> bool:
    return step.given is not None and step.given.undone


def plan_id(application: Application, environment: Environment, back: Back, contents: Sequence[str], epoch: str) -> str:
    """64 hex digits over everything that was decided on. `contents`: digests of what D, X and R hold in scope."""
    inputs = {
        "format": 1,
        "application": application.name,
        "environment": environment.name,
        "restores": back.restores,
        "source": back.source,
        "contents": [*contents],
        "deciding": environment.deciding,
        "epoch": epoch,
    }
    return sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
