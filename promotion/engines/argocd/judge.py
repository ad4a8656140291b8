"""What one read of an Application proves: the commit that is deployed, and how it is; pure, and asks nobody.

Argo CD writes what it compares, what it syncs and what it sees of health at different times, into one object. So healthy is
said only when everything in it is about one commit, and was written after the last sync ended. Whatever is not settled is
said of the commit that is on its way: what ran before it was well, and stays so on record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from promotion.engines.argocd.sources import FULL_ID, Json, Tracked, at, name_of, rows, same, same_spec, tracked
from promotion.engines.contract import Deployed
from promotion.model import Health, Reading, Subject
from promotion.said import one_line
from promotion.texts import short

REFRESH, HYDRATE = "argocd.argoproj.io/refresh", "argocd.argoproj.io/hydrate"
PATHS = "argocd.argoproj.io/manifest-generate-paths"
ASKED = "promotion.dev/hard-refresh"
"""Ours: the commits that were compared when a hard refresh was asked for, and `reconciledAt` before it."""
GROUP = "argoproj.io"

HEALTH = {
    "Healthy": Health.HEALTHY,
    "Progressing": Health.PROGRESSING,
    "Degraded": Health.DEGRADED,
    "Suspended": Health.SUSPENDED,
    "Missing": Health.MISSING,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One read, taken apart. Revisions are full ids, and commits of our branch; None where the status has none."""

    app: Json
    followed: Tracked
    expected: str | None
    compared: str | None
    """What it was last compared with."""
    applied: str | None
    """What the last sync, over or not, is about."""
    beside: Collection[str] = ()
    """The Applications that are asked together with it."""

    def status(self, *keys: str) -> Any:
        return at(self.app, "status", *keys)

    def annotation(self, name: str) -> str | None:
        found = at(self.app, "metadata", "annotations", name)
        return None if found is None else str(found)

    @property
    def phase(self) -> str:
        """Of the last sync; '' when there was none."""
        state = self.status("operationState")
        return "" if state is None else str(at(state, "phase") or "in no phase")

    @property
    def moving(self) -> str | None:
        """What it is on the way to."""
        return self.compared or self.expected or self.applied


def judge(application: Json, subject: Subject, repository: str, beside: Collection[str] = ()) -> Deployed:
    """`beside` names those that are asked together.

    Raises ConfigError when no source of the Application is the environment's branch in `repository`.
    """
    followed = tracked(application, subject, repository)
    status = at(application, "status")
    compared = _commit(application, followed, followed.revision(at(status, "sync")))
    applied = _commit(application, followed, followed.revision(at(status, "operationState", "syncResult")))
    seen = Seen(application, followed, subject.revision, compared, applied, beside)
    for rule in RULES:
        if found := rule(seen):
            return found
    return Deployed(compared, Reading(Health.HEALTHY, f"{name_of(application)} is Synced and Healthy"))


def _commit(application: Json, followed: Tracked, revision: str | None) -> str | None:
    """A full id as a commit of our branch: what was hydrated is known by what it was made of."""
    if revision is None or not FULL_ID.fullmatch(revision):
        return None
    if not followed.dry:
        return revision
    done = at(application, "status", "sourceHydrator", "lastSuccessfulOperation")
    dry = at(done, "drySHA")
    known = at(done, "hydratedSHA") == revision and isinstance(dry, str) and FULL_ID.fullmatch(dry)
    return dry if known else None


def _unsettled(revision: str | None, why: str, health: Health = Health.PROGRESSING) -> Deployed:
    return Deployed(revision, Reading(health, one_line(why, 400)))


def _said(message: Any) -> str:
    return f": {one_line(str(message), 250)}" if message else ""


# --- the rules, in their order ---------------------------------------------------------------------------------------


def _deleted(seen: Seen) -> Deployed | None:
    if at(seen.app, "metadata", "deletionTimestamp") is None:
        return None
    return _unsettled(seen.moving, "the Application is being deleted")


def _never_compared(seen: Seen) -> Deployed | None:
    if seen.status("sync", "status"):
        return None
    return _unsettled(seen.moving, "Argo CD has not looked at the Application yet")


def _sync_wanted(seen: Seen) -> Deployed | None:
    """`.operation` stays until a sync is over, its retries too."""
    if at(seen.app, "operation") is None:
        return None
    wanted = _commit(seen.app, seen.followed, seen.followed.revision(at(seen.app, "operation", "sync")))
    what = _running(seen) if seen.phase in ("Running", "Terminating") else "a sync is asked for"
    return _unsettled(wanted or seen.applied or seen.moving, what)


def _sync_running(seen: Seen) -> Deployed | None:
    """Everything that is no end. A time of its end is none either: a sync that waits for a retry has one."""
    if seen.phase in ("", "Succeeded", "Failed", "Error"):
        return None
    return _unsettled(seen.applied or seen.moving, _running(seen))


def _running(seen: Seen) -> str:
    state = seen.status("operationState")
    tries = at(state, "retryCount")
    if seen.phase == "Running" and at(state, "finishedAt"):
        return f"a sync failed{f' {tries} times' if tries else ''} and is tried again{_said(at(state, 'message'))}"
    return f"a sync is {seen.phase.lower() or 'asked for'}{_said(at(state, 'message'))}"


def _other_spec(seen: Seen) -> Deployed | None:
    if same_spec(seen.app, seen.followed):
        return None
    return _unsettled(seen.expected or seen.moving, "the Application was changed since Argo CD looked at it")


def _failed(seen: Seen) -> Deployed | None:
    """A sync of exactly what is compared, or expected, ended badly; the failure of another commit is none of this one."""
    if not _ended_badly(seen) or seen.applied is None or seen.applied not in (seen.compared, seen.expected):
        return None
    why = f"the sync of {short(seen.applied)} failed{_said(seen.status('operationState', 'message'))}"
    return Deployed(seen.applied, Reading(Health.DEGRADED, one_line(why, 400)))


def _ended_badly(seen: Seen) -> bool:
    """A dry run, or one of somebody's own files, says nothing of a commit."""
    sync = seen.status("operationState", "operation", "sync")
    return seen.phase in ("Failed", "Error") and not at(sync, "dryRun") and not at(sync, "manifests")


def _asked_again(seen: Seen) -> Deployed | None:
    if seen.annotation(REFRESH) is None and not (seen.followed.dry and seen.annotation(HYDRATE) is not None):
        return None
    return _unsettled(seen.expected or seen.moving, "Argo CD is asked to look at Git, and has not yet")


def _broken(seen: Seen) -> Deployed | None:
    found = [row for row in rows(seen.app, "status", "conditions") if str(row.get("type")).endswith("Error")]
    if not found:
        return None
    why = "; ".join(f"{row.get('type')}{_said(row.get('message'))}" for row in found[:3])
    return _unsettled(seen.expected or seen.moving, why, Health.UNKNOWN)


def _no_commit(seen: Seen) -> Deployed | None:
    if seen.compared is not None:
        return _by_head(seen)
    said = seen.followed.revision(seen.status("sync"))
    if seen.followed.dry and said and FULL_ID.fullmatch(said):
        return _unsettled(seen.expected, "what was hydrated last is not what is compared")
    told = f"`{one_line(said, 60)}`, which is no commit" if said else "no one commit"
    return _unsettled(seen.expected, f"Argo CD says that it compared {told}", Health.UNKNOWN)


def _by_head(seen: Seen) -> Deployed | None:
    """Which branch is a repository's default one is not said: only our branch's own newest commit is surely ours."""
    if not seen.followed.by_head or seen.compared == seen.expected:
        return None
    why = f"it tracks HEAD, which is at {short(seen.compared)}: name the branch in its targetRevision"
    return _unsettled(seen.expected, why)


def _hydrating(seen: Seen) -> Deployed | None:
    if not seen.followed.dry:
        return None
    now = seen.status("sourceHydrator", "currentOperation")
    phase, dry = at(now, "phase"), at(now, "drySHA")
    if phase == "Hydrated" and dry == seen.compared:
        if same(at(now, "sourceHydrator"), at(seen.app, "spec", "sourceHydrator")):
            return None
        return _unsettled(seen.expected or seen.moving, "its hydrator was changed since it was hydrated")
    revision = dry if isinstance(dry, str) and FULL_ID.fullmatch(dry) else seen.moving
    return _unsettled(
        revision, f"its hydration is {one_line(str(phase or 'missing'), 20).lower()}{_said(at(now, 'message'))}"
    )


def _out_of_sync(seen: Seen) -> Deployed | None:
    status = seen.status("sync", "status")
    if status == "Synced":
        return None
    if status != "OutOfSync":
        return _unsettled(seen.compared, f"its sync status is {one_line(str(status), 30)}", Health.UNKNOWN)
    why = f"OutOfSync at {short(seen.compared)}"
    return _unsettled(seen.compared, f"{why}: {_what_keeps_it(seen)}")


def _what_keeps_it(seen: Seen) -> str:
    automated = at(seen.app, "spec", "syncPolicy", "automated")
    if not isinstance(automated, Mapping) or automated.get("enabled") is False:
        return f"auto-sync is off, so somebody has to: argocd app sync {name_of(seen.app)}"
    left = [row for row in rows(seen.app, "status", "resources") if row.get("status") == "OutOfSync"]
    if left and not automated.get("prune") and all(row.get("requiresPruning") for row in left):
        return f"{len(left)} objects are to be pruned, and `prune` is off"
    if seen.applied == seen.compared and not automated.get("selfHeal"):
        return "changed since its sync, and `selfHeal` is off"
    if _ended_badly(seen):
        return f"the last sync, of {short(seen.applied)}, failed{_said(seen.status('operationState', 'message'))}"
    return "auto-sync has not begun yet (or a sync window is closed)"


def _older_than_its_sync(seen: Seen) -> Deployed | None:
    """Times are whole seconds, and one is taken before what it stands for: equal ones prove no order."""
    looked = _time(seen.status("reconciledAt"))
    ended = _time(seen.status("operationState", "finishedAt"))
    if looked is not None and (not seen.phase or (ended is not None and looked > ended)):
        return None
    return _unsettled(seen.applied or seen.moving, "a sync ended, and Argo CD has not looked at what came of it yet")


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


def _half_done(seen: Seen) -> Deployed | None:
    """What a sync of another commit did before it failed is there, and nothing was synced since."""
    done = rows(seen.app, "status", "operationState", "syncResult", "resources")
    refused = any(row.get("status") == "SyncFailed" for row in done)
    if not _ended_badly(seen) or all(_did_nothing(row, refused=refused) for row in done):
        return None
    why = f"the last sync, of {short(seen.applied)}, failed half-way, and {short(seen.compared)} was not synced since"
    return _unsettled(seen.compared, f"{why}: argocd app sync {name_of(seen.app)}")


def _did_nothing(row: Json, *, refused: bool) -> bool:
    """`refused`: an object could not be applied, so that whatever is Synced now is another content."""
    # Of what it applied itself the server does not say whether it changed: if it did, what is taken back is out of sync.
    words = r"\b(unchanged|serverside-applied)$" if refused else r"\bunchanged$"
    unchanged = re.search(words, str(row.get("message", "")))
    return not row.get("hookType") and (row.get("status") == "SyncFailed" or unchanged is not None)


def _old_manifests(seen: Seen) -> Deployed | None:
    """With paths named and several sources, a refresh may take a new commit for Synced without making its manifests."""
    if seen.annotation(PATHS) is None or not seen.followed.several:
        return None
    asked = (seen.annotation(ASKED) or "").split(" ")
    if seen.compared in asked[:-1] and asked[-1] != seen.status("reconciledAt"):
        return None
    how = "`refresh: annotate` asks for it, in its cluster and not by `server`"
    why = f"several sources with {PATHS}: only a hard refresh shows what changed ({how})"
    return _unsettled(seen.compared, why, Health.UNKNOWN)


def _others(seen: Seen) -> Deployed | None:
    """What it makes of other Applications it knows nothing of; nor is there anything to be said of none at all."""
    made = rows(seen.app, "status", "resources")
    if not made:
        return _unsettled(seen.compared, "it has no objects", Health.UNKNOWN)
    for row in made:
        kind, name = row.get("kind"), row.get("name")
        known = name in seen.beside if kind == "Application" else len(seen.beside) > 1
        if row.get("group") == GROUP and kind in ("Application", "ApplicationSet") and not known:
            why = f"it makes the {kind} {one_line(str(name), 100)}, and says nothing of what that deploys: ask about that, too"
            return _unsettled(seen.compared, why, Health.UNKNOWN)
    return None


def _unwell(seen: Seen) -> Deployed | None:
    word = seen.status("health", "status")
    health = HEALTH.get(word, Health.UNKNOWN) if isinstance(word, str) else Health.UNKNOWN
    if health is Health.HEALTHY:
        return None
    return _unsettled(
        seen.compared, f"its health is {one_line(str(word or 'not known'), 30)}{_why_unwell(seen)}", health
    )


def _why_unwell(seen: Seen) -> str:
    """The message of the whole, or of the first object that is not well."""
    if message := seen.status("health", "message"):
        return _said(message)
    for row in rows(seen.app, "status", "resources"):
        word = at(row, "health", "status")
        if word not in (None, "Healthy"):
            object_ = one_line(f"{row.get('kind')} {row.get('name')} is {word}", 150)
            return f": {object_}{_said(at(row, 'health', 'message'))}"
    return ""


RULES: tuple[Callable[[Seen], Deployed | None], ...] = (
    _deleted,
    _never_compared,
    _sync_wanted,
    _sync_running,
    _other_spec,
    _failed,
    _asked_again,
    _broken,
    _no_commit,
    _hydrating,
    _out_of_sync,
    _older_than_its_sync,
    _half_done,
    _old_manifests,
    _others,
    _unwell,
)
