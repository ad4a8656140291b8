"""Whether a required environment lets a candidate pass; pure, and must not read anything."""

from __future__ import annotations

from promotion.model import Health, Verdict
from promotion.state import EnvironmentState
from promotion.texts import short


def requirement(name: str, state: EnvironmentState, commit: str, *, has: bool, runs: bool, held: bool) -> Verdict:
    """Whether a required environment lets a candidate pass: it has it, by its present release, and is well with it.

    `has`: its release stands for the candidate or a later commit; `runs`: its last reading is of that release or of what
    people made on top of it; `held`: it holds this change.
    """
    watched, seen = state.verification, state.observed
    if held:
        return Verdict("requires", "block", f"{name} holds the change of {short(commit)}")
    if not has:
        return Verdict("requires", "wait", f"{name} does not have {short(commit)} yet")
    if watched is not None and watched.state == "pending":
        return Verdict("requires", "wait", f"{name} is being verified", watched.until)
    if seen is None or not runs:
        return Verdict("requires", "wait", f"{name} does not run it yet")
    if seen.health is not Health.HEALTHY:
        return Verdict("requires", "wait", f"{name} is {seen.health} ({'; '.join(seen.reasons)})")
    return Verdict("requires", "pass", f"{name} has it and is healthy")
