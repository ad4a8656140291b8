"""Which source of an Application is an environment's branch, and the revisions that its status has for it; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promotion.engines.addresses import same_repository
from promotion.errors import ConfigError
from promotion.model import Subject
from promotion.said import one_line

FULL_ID = re.compile(r"[0-9a-f]{40}")
KEPT_WHOLE = "valuesObject"
"""People's own values: there, an empty value is a value."""

Json = Mapping[str, Any]


def at(value: Any, *keys: str) -> Any:
    """What is at the end of these keys; None where anything on the way is no object."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def rows(value: Any, *keys: str) -> list[Json]:
    """The objects of a list at the end of these keys."""
    found = at(value, *keys)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def name_of(application: Json) -> str:
    return one_line(str(at(application, "metadata", "name") or "?"), 100)


@dataclass(frozen=True, slots=True)
class Tracked:
    """How an Application follows our branch.

    `numbers` are the positions of its sources that do. `dry`: it follows a branch that a hydrator writes from ours.
    `by_head`: it names no branch, but the repository's default one.
    """

    sources: tuple[Json, ...]
    numbers: tuple[int, ...]
    several: bool = False
    dry: bool = False
    by_head: bool = False

    def revision(self, said: Any) -> str | None:
        """What a status says of our sources, whatever it is: None where they do not agree, or where it says nothing.

        `said` holds `revisions` for several sources, else `revision`; a sync's result also has the sources it was about.
        """
        if not self.several:
            found = at(said, "revision")
            return found if isinstance(found, str) else None
        revisions = at(said, "revisions")
        if not isinstance(revisions, list) or len(revisions) != len(self.sources):
            return None
        found = {revisions[number] for number in self.numbers if isinstance(revisions[number], str)}
        return found.pop() if len(found) == 1 else None


def tracked(application: Json, subject: Subject, repository: str) -> Tracked:
    """Raises ConfigError when none of its sources is our branch of `repository`."""
    spec, name = at(application, "spec"), name_of(application)
    hydrator = at(spec, "sourceHydrator")
    if isinstance(hydrator, Mapping):
        return _hydrated(hydrator, name, subject, repository)
    several = tuple(rows(spec, "sources"))
    single = at(spec, "source")
    sources = several or ((single,) if isinstance(single, Mapping) else ())
    ours = [i for i, source in enumerate(sources) if not source.get("chart") and _is_ours(source, repository)]
    if not ours:
        raise _other_repository(name, [str(source.get("repoURL", "")) for source in sources], repository)
    numbers = tuple(i for i in ours if _branch(sources[i].get("targetRevision")) == subject.branch)
    if numbers:
        return Tracked(sources, numbers, bool(several))
    heads = tuple(i for i in ours if _branch(sources[i].get("targetRevision")) in ("", "HEAD"))
    if heads:
        return Tracked(sources, heads, bool(several), by_head=True)
    raise _other_branch(name, [str(sources[i].get("targetRevision")) for i in ours], subject)


def _hydrated(hydrator: Json, name: str, subject: Subject, repository: str) -> Tracked:
    dry, synced = at(hydrator, "drySource"), at(hydrator, "syncSource")
    if not _is_ours(dry, repository):
        raise _other_repository(name, [str(at(dry, "repoURL"))], repository)
    target = at(synced, "targetBranch")
    source = {"repoURL": at(synced, "repoURL") or at(dry, "repoURL"), "path": at(synced, "path")}
    source["targetRevision"] = target
    if _branch(target) == subject.branch and _is_ours(source, repository):
        return Tracked((source,), (0,))
    branch = _branch(at(dry, "targetRevision"))
    if branch not in (subject.branch, "", "HEAD"):
        raise _other_branch(name, [str(at(dry, "targetRevision")), str(target)], subject)
    return Tracked((source,), (0,), dry=True, by_head=branch != subject.branch)


def _is_ours(source: Any, repository: str) -> bool:
    return same_repository(str(at(source, "repoURL") or ""), repository)


def _branch(revision: Any) -> str:
    return str(revision or "").removeprefix("refs/heads/")


def _other_repository(name: str, found: Sequence[str], repository: str) -> ConfigError:
    listed = ", ".join(one_line(url, 150) for url in found if url) or "nowhere"
    return ConfigError(
        f"the Application deploys from {listed}, not from {one_line(repository)}",
        where=name,
        hint="`repository` of the engine says how Argo CD calls it, where that is another address",
    )


def _other_branch(name: str, found: Sequence[str], subject: Subject) -> ConfigError:
    listed = " and ".join(f"`{one_line(branch, 100)}`" for branch in dict.fromkeys(found))
    return ConfigError(
        f"the Application tracks {listed}, but {subject.branch} is the branch of {subject.environment}",
        where=name,
        hint=f"write `targetRevision: {subject.branch}` into the Application",
    )


# --- what is one and the same ----------------------------------------------------------------------------------------


def same_spec(application: Json, followed: Tracked) -> bool:
    """Whether a status was made for the sources and the destination that the Application has now."""
    compared = at(application, "status", "sync", "comparedTo")
    if not isinstance(compared, Mapping):
        return False
    was = rows(compared, "sources") if followed.several else [at(compared, "source") or {}]
    wanted = [*followed.sources, at(application, "spec", "destination")]
    return same(wanted, [*was, at(compared, "destination")])


def same(one: Any, other: Any) -> bool:
    """Whether two parts of a specification mean the same."""
    return json.dumps(_dense(one), sort_keys=True) == json.dumps(_dense(other), sort_keys=True)


def _dense(value: Any) -> Any:
    """Without what is empty: Argo CD leaves it out of what it writes, people may not."""
    if isinstance(value, Mapping):
        found = {key: inner if key == KEPT_WHOLE else _dense(inner) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner not in (None, "", False, 0, [], {})}
    return [_dense(inner) for inner in value] if isinstance(value, list | tuple) else value
