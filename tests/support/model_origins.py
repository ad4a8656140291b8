"""The naive model's word on where a change comes from: all that it brings, followed to the root, and who made that.

Uses only the model's commits and records, and nothing of the product.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.model import Model


@dataclass(frozen=True, slots=True)
class Brought:
    """The commits that come along, those of every environment up to the root; not `whole` where the way up is lost."""

    commits: frozenset[str]
    whole: bool


def brought(model: Model, application: str, name: str, old: str, new: str) -> Brought:
    """What `new` has and `old` has not, two commits of one environment."""
    found: set[str] = set()
    while True:
        between = model.ancestors(new) - model.ancestors(old)
        found |= {oid for oid in between if model.changed(application, oid)}
        source = model.applications[application].environments[name].source
        if source is None:
            return Brought(frozenset(found), whole=True)
        ups = [_stands_for(model, application, name, oid) for oid in (old, new)]
        if ups[0] is None or ups[1] is None:
            return Brought(frozenset(found), whole=False)
        (old, new), name = (ups[0], ups[1]), source


def origin(model: Model, application: str, name: str, commit: str) -> str | None:
    """The root's commit that a commit of an environment stands for; None where nobody knows."""
    found: str | None = commit
    while found and (source := model.applications[application].environments[name].source):
        found, name = _stands_for(model, application, name, found), source
    return found


def _stands_for(model: Model, application: str, name: str, commit: str) -> str | None:
    """The commit of the source that one of an environment stands for; before all releases, what both have in common."""
    known = model.known[application, name]
    for oid in model.objects.chain(commit):
        if known.release and known.release[0] == oid:
            return known.release[1]
        if source := known.given.get(oid):
            return source
    bases = model.bases(commit, known.release[1]) if known.release else set()
    return next(iter(bases)) if len(bases) == 1 else None


def writers(model: Model, commits: frozenset[str]) -> frozenset[str]:
    """Emails, in lower case, of all who had a hand in these."""
    found: set[str] = set()
    for oid in commits:
        head, _, message = model.objects.raw(oid).decode().partition("\n\n")
        found |= {*re.findall(r"^(?:author|committer) .*<(.*)>", head, re.MULTILINE)}
        found |= {*re.findall(r"^Co-authored-by: .*<(.*)>", message, re.MULTILINE)}
    return frozenset(email.lower() for email in found)
