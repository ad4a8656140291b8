"""How each event changes what an environment can go back to; pure, and must not know how a branch orders its commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from promotion.model import Health
from promotion.state import EnvironmentState, Given, State

KEPT = 50
"""How many releases of one environment the state remembers at most, but for what was rolled back and may still be asked about."""

Releases = Mapping[str, Given]


def began(releases: Releases, commit: str, source: str | None, restores: str | None = None) -> Releases:
    """A commit is the release from now on; what was seen of it before holds."""
    old = releases.get(commit, Given())
    return _newest(releases, {commit: Given(source, old.healthy, restores=restores)})


def stands_for(releases: Releases, commit: str, source: str) -> Releases:
    """A commit has all of another source by now."""
    return {**releases, commit: replace(releases.get(commit, Given()), source=source)}


def seen(releases: Releases, commit: str, health: Health) -> Releases:
    """What was observed of a commit. One that nobody released, and that is well, is one that can be gone back to."""
    old = releases.get(commit)
    if old is None:
        return {**releases, commit: Given(healthy=True)} if health is Health.HEALTHY else releases
    healthy = {Health.HEALTHY: True, Health.DEGRADED: False, Health.MISSING: False}.get(health, old.healthy)
    return releases if healthy == old.healthy else {**releases, commit: replace(old, healthy=healthy)}


def went_back(releases: Releases, undone: Collection[str], again: Collection[str]) -> Releases:
    """`undone`, newest first, was gone back over; `again` was undone, and is there again."""
    known = {oid: replace(g, undone=False) if oid in again else g for oid, g in releases.items()}
    return _newest(known, {oid: replace(known.get(oid, Given()), undone=True) for oid in reversed(list(undone))})


def _newest(releases: Releases, more: Releases) -> Releases:
    return {**{oid: given for oid, given in releases.items() if oid not in more}, **more}


def bounded(e: EnvironmentState) -> EnvironmentState:
    """Without what is long past: the present release stays, and what was rolled back while facts of it are known (S1)."""
    if len(e.releases) <= KEPT:
        return e
    keep = {*list(e.releases)[-KEPT:], e.release.commit if e.release else ""}
    releases = {oid: g for oid, g in e.releases.items() if oid in keep or (g.undone and oid in e.facts)}
    return replace(e, releases=releases)


def without_releases(state: State) -> State:
    """What versions knew of a state that had no rollbacks yet."""
    return replace(state, environments={name: replace(e, releases={}) for name, e in state.environments.items()})
