"""The writes of a round, one after the other: goes on after an object that cannot be applied, and says which; prunes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from promotion.engines.kubernetes import fields, inventory
from promotion.engines.kubernetes.apply import WaitError, put, remove, served
from promotion.engines.kubernetes.conflicts import may_take
from promotion.engines.kubernetes.inventory import Inventory, Item, Target
from promotion.engines.kubernetes.live import There
from promotion.engines.kubernetes.objects import RECREATE, Manifest, Ref, defined
from promotion.engines.kubernetes.pace import SkippedError, Spent, turn
from promotion.engines.kubernetes.steps import Steps, leaving, run_of
from promotion.errors import ConfigError, ConflictError, PromotionError, TemporaryError
from promotion.kube import Kind
from promotion.kube.errors import ContestedError, InvalidError, MissingError
from promotion.said import one_line

log = logging.getLogger(__name__)

STRIKES = 2
"""So many objects for which the server has no answer, and it is asked for another one: it may be away."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds that are served, by apiVersion and kind, and those that definitions of the revision bring, by group and kind."""

    served: dict[tuple[str, str], Kind]
    coming: Mapping[tuple[str, str], Kind]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is there now, as far as we know, and a line for each object that is not as it shall be.

    `unanswered`: the server had no answer for some of what waits; for the rest nothing is wrong.
    """

    items: Mapping[Ref, Item]
    errors: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    unanswered: bool = False


def apply_all(target: Target, before: Inventory, todo: Steps, kinds: Kinds, there: There, deadline: float) -> Outcome:
    """Applies what is to be applied, in its order. Raises TemporaryError when the server is away."""
    items, errors, waits = dict(before.items), list[str](), list[str]()
    spent, undone = Spent(target.pace), dict[tuple[str, str], bool]()
    """Kinds whose definitions could not be applied, and whether that is an error."""
    for manifest in todo.apply:
        ref = manifest.ref
        try:
            if (ref.group, ref.kind) in undone:
                error = ConfigError if undone[ref.group, ref.kind] else WaitError
                raise error("skipped, because its definition could not be applied")
            if ref in there.denied:
                raise there.denied[ref]
            kind = _kind(target, manifest, kinds, deadline)
            may = partial(may_take, target.force, before, ref, datetime.now(UTC))
            with turn(spent, ref) as until:
                made = put(target, kind, manifest, there.objects.get(ref), may, deadline, until)
            run = run_of(made, datetime.now(UTC))
            items[ref] = Item(
                ref, manifest.version, made["metadata"]["uid"], manifest.digest, fields.ours(made), run=run
            )
        except (ConfigError, ConflictError) as exc:
            is_error = not _passes(exc, coming=(ref.group, ref.kind) in kinds.coming)
            (errors if is_error else waits).append(f"{manifest.where}: {ref}: {_why(exc)}")
            undone |= dict.fromkeys(defined([manifest]), is_error)
        except TemporaryError as exc:
            waits.append(f"{manifest.where}: {ref}: {_unanswered(target, spent, exc)}")
            undone |= dict.fromkeys(defined([manifest]), False)
    return Outcome(items, tuple(errors), tuple(waits), spent.unanswered)


def _unanswered(target: Target, spent: Spent, exc: TemporaryError) -> str:
    """What is said of an object for which the server has no answer. Raises TemporaryError when it has none for anything."""
    if "webhook" not in exc.message and not isinstance(exc, SkippedError):
        spent.strikes += 1
        if spent.strikes % STRIKES == 0:
            inventory.load(target)
    return one_line(exc.message, 300) + ("; does an admission webhook hang?" if spent.over else "")


def _kind(target: Target, manifest: Manifest, kinds: Kinds, deadline: float) -> Kind:
    key = manifest.api_version, manifest.ref.kind
    if key not in kinds.served and (manifest.ref.group, manifest.ref.kind) in kinds.coming:
        kinds.served[key] = served(target.cluster, manifest, deadline)
    return kinds.served.get(key) or target.cluster.kind(*key)


def _passes(exc: PromotionError, *, coming: bool = False) -> bool:
    """Whether the next round may do it: somebody was faster, or a definition is `coming` and not everywhere yet."""
    raced = isinstance(exc, ContestedError) and not exc.causes
    return raced or isinstance(exc, WaitError) or (coming and isinstance(exc, MissingError))


def _why(exc: PromotionError) -> str:
    """What is said of an object that could not be applied."""
    if isinstance(exc, ContestedError) and exc.causes:
        held = "; ".join(f"{field} is {manager}'s" for manager, field in exc.causes[:3])
        return f"{held}: leave it to that controller, or write `conflicts: force`"
    said = re.sub("^cannot apply [^:]*: ", "", one_line(exc.message, 400))
    if isinstance(exc, InvalidError) and re.search("immutable|[Ff]orbidden: updates to|may not be changed", said):
        said += f"; with the annotation {RECREATE}: enabled it is deleted and made again"
    return said


def delete_all(
    target: Target, outcome: Outcome, gone: Iterable[Ref], todo: Steps, there: There, kinds: Kinds
) -> Outcome:
    """Prunes what is gone from Git, and forgets what is not there or not ours any more. Raises TemporaryError.

    What has to finish something first before it can go is looked after until it is gone.
    """
    items, failed = dict(outcome.items), dict[Ref, PromotionError]()
    leaves, spent = dict(todo.leaving), Spent(target.pace)
    for item in todo.delete:
        uid = there.objects[item.ref]["metadata"]["uid"]
        try:
            with turn(spent, item.ref) as until:
                left = remove(target.cluster, kinds.served[item.api_version, item.ref.kind], item.ref, uid, until)
            if left and (why := leaving(left)):
                leaves[item.ref] = why
        except (ConfigError, ConflictError) as exc:
            failed[item.ref] = exc
        except TemporaryError as exc:
            failed[item.ref] = WaitError(_unanswered(target, spent, exc))
    for ref in gone:
        if ref in there.denied:
            failed[ref] = there.denied[ref]
        elif ref in todo.keep:
            if not items[ref].kept:
                log.warning("%s is gone from Git and stays: %s", ref, todo.keep[ref])
            items[ref] = replace(items[ref], kept=True)
        elif ref not in failed and ref not in leaves:
            del items[ref]
    lines = {ref: f"{ref}: cannot be pruned: {one_line(exc.message, 300)}" for ref, exc in failed.items()}
    errors = tuple(line for ref, line in lines.items() if not _passes(failed[ref]))
    waits = [line for ref, line in lines.items() if _passes(failed[ref])]
    waits += [f"{ref}: {why}" for ref, why in sorted(leaves.items())]
    return Outcome(items, errors, tuple(waits), spent.unanswered)


def summary(lines: Sequence[str], most: int = 2) -> str:
    """Some lines in one."""
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more
