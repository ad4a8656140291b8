"""What a round does, decided from what is wanted, what the inventory says and what is there; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from promotion.engines.kubernetes import fields
from promotion.engines.kubernetes.inventory import Inventory, Item
from promotion.engines.kubernetes.objects import OWNER, PRUNE, Manifest, Ref, rank
from promotion.said import one_line
from promotion.texts import instant, iso

Live = Mapping[str, Any]

TRIVIAL = 4
"""Of so few objects any number may go at once, as long as one is left."""
CAREFUL = ("Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "PersistentVolume")
"""What takes other things with it, data above all: pruned only where it says so itself."""
MARGIN = timedelta(minutes=1)
"""A Job that would run twice is worse than one that does not run: clocks differ, and looks take a while."""
STARTED = "started "


@dataclass(frozen=True, slots=True)
class Steps:
    """What is to be done, in this order."""

    apply: tuple[Manifest, ...] = ()
    drift: Mapping[Ref, list[tuple[str, str]]] = field(default_factory=dict)
    """What was changed by hand: a path in the object, '' for all of it, and who did, '' for nobody knows."""
    delete: tuple[Item, ...] = ()
    keep: Mapping[Ref, str] = field(default_factory=dict)
    """What is gone from Git and stays where it is, with why."""
    leaving: Mapping[Ref, str] = field(default_factory=dict)
    """What is gone from Git and being deleted already, with what that waits for."""


def steps(
    manifests: Sequence[Manifest], inventory: Inventory, live: Mapping[Ref, Live], label: str, now: datetime
) -> Steps:
    """`manifests` in the order in which they are applied; `live` has all of them and of the inventory that is there."""
    items = inventory.items
    apply = tuple(m for m in manifests if not is_as_applied(m, items.get(m.ref), live.get(m.ref), now))
    drift = {m.ref: _drift(m, items.get(m.ref), live.get(m.ref)) for m in apply}
    wanted = {manifest.ref for manifest in manifests}
    gone = [item for ref, item in items.items() if ref not in wanted]
    ours = [item for item in gone if item.ref in live and is_ours(item, live[item.ref], label)]
    keep = {item.ref: why for item in ours if (why := keeps(item, live[item.ref]))}
    go = [item for item in ours if item.ref not in keep]
    leave = {item.ref: why for item in go if (why := leaving(live[item.ref]))}
    delete = sorted((i for i in go if i.ref not in leave), key=lambda i: (rank(i.ref), i.ref), reverse=True)
    return Steps(apply, {ref: found for ref, found in drift.items() if found}, tuple(delete), keep, leave)


def is_as_applied(manifest: Manifest, item: Item | None, live: Live | None, now: datetime) -> bool:
    """Whether this very object has what was applied, and nobody took any of it; or has run, and is gone since."""
    if item is None or item.kept or item.digest != manifest.digest:
        return False
    return is_untouched(item, live) or has_run(item, live, now)


def is_untouched(item: Item, live: Live | None) -> bool:
    """Whether what is there is what was applied, and nobody changed a field of ours since."""
    if live is None or "deletionTimestamp" in live["metadata"]:
        return False
    return live["metadata"].get("uid") == item.uid and fields.ours(live) == item.fields


def run_of(live: Live, now: datetime) -> str:
    """What is kept of a Job that its cluster removes once it has finished; '' of all else.

    How it ended, or that it has started, with when its cluster may remove it: it had not finished `now`, or a little later.
    """
    spec, status = live.get("spec") or {}, live.get("status") or {}
    ttl = spec.get("ttlSecondsAfterFinished")
    if (live["apiVersion"], live["kind"]) != ("batch/v1", "Job") or ttl is None:
        return ""
    conditions = {str(c.get("type")): c.get("status") for c in status.get("conditions") or () if isinstance(c, dict)}
    ended = next((how for how in ("Failed", "Complete") if conditions.get(how) == "True"), None)
    return ended or STARTED + iso((now + timedelta(seconds=ttl)).replace(microsecond=0))


def is_news(run: str, before: str, now: datetime) -> bool:
    """Whether what is seen of a Job is worth writing down: that it still runs is when half of the time is over, or it may go earlier."""
    first, then = _removable(before), _removable(run)
    return run != before and (first is None or then is None or then < first or 2 * (then - first) > then - now)


def has_run(item: Item, live: Live | None, now: datetime) -> bool:
    """Whether an object is one that its cluster removes once it has finished, and is gone, or going.

    Nobody sees how a Job ended that is removed between two looks, so it counts as having run: it runs once, whatever it did. One that
    is gone before its cluster may have removed it was deleted by somebody while it ran, and so was one that goes and has not finished.
    """
    if not item.run or not item.uid:
        return False
    if live is None:
        removable = _removable(item.run)
        return removable is None or now >= removable - MARGIN
    is_going = "deletionTimestamp" in live["metadata"] and live["metadata"].get("uid") == item.uid
    return is_going and not run_of(live, now).startswith(STARTED)


def _removable(run: str) -> datetime | None:
    """When its cluster may remove a Job that has started, at the earliest; None where that is not known."""
    try:
        return instant(run.removeprefix(STARTED)) if run.startswith(STARTED) else None
    except ValueError:
        return None


def _drift(manifest: Manifest, item: Item | None, live: Live | None) -> list[tuple[str, str]]:
    if item is None or not item.uid:  # it was never all there
        return []
    if live is None:  # where Git has changed it, it may have been us who deleted it, to make it again
        return [("", "")] if item.digest == manifest.digest else []
    if "deletionTimestamp" in live["metadata"] or fields.ours(live) == item.fields:
        return []
    return fields.drift(manifest.body, live, deleted=item.digest == manifest.digest)


# --- what is gone from Git -----------------------------------------------------------------------------------------


def leaving(live: Live) -> str | None:
    """What is said of an object that is being deleted."""
    if "deletionTimestamp" not in live["metadata"]:
        return None
    names = [one_line(str(name), 100) for name in live["metadata"].get("finalizers") or ()]
    return f"is being deleted, and waits for {', '.join(names[:5])}" if names else "is being deleted"


def too_much(inventory: Inventory, todo: Steps) -> str | None:
    """What a revision would prune, when it is suspiciously much: `all 3 objects`, `30 of 40 objects`."""
    have = sum(not item.kept and ref not in todo.leaving for ref, item in inventory.items.items())
    less = sum(not item.kept for item in todo.delete)
    if less and less == have:
        return f"all {have} objects" if have > 1 else "the only object"
    return f"{less} of {have} objects" if have > TRIVIAL and 2 * less > have else None


def keeps(item: Item, live: Live) -> str | None:
    """Why an object that is gone from Git stays where it is, if so."""
    said = (live["metadata"].get("annotations") or {}).get(PRUNE)
    if said == "disabled":
        return f"it has {PRUNE}: disabled"
    if item.ref.kind in CAREFUL and said != "enabled":
        return f"a {item.ref.kind} is pruned only where it has {PRUNE}: enabled"
    return None


def is_ours(item: Item, live: Live, label: str) -> bool:
    """Whether what is there is what we made, and not what somebody made in its place or took over."""
    metadata = live["metadata"]
    labelled = (metadata.get("labels") or {}).get(OWNER)
    if item.uid and metadata.get("uid") == item.uid:
        return labelled in (None, label)
    return labelled == label and bool(fields.ours(live))


def foreign(live: Live | None, label: str) -> str | None:
    """The other environment of ours that has an object, if so."""
    other = (live["metadata"].get("labels") or {}).get(OWNER) if live else None
    return str(other) if other not in (None, "", label) else None
