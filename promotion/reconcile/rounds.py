"""A round: sync, observe, verify, then one hop into each environment at most, sources first; applications of a repository together.

What they share is asked for once, and hops onto one branch are decided one on top of the other and pushed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from promotion import answers, observe, watching
from promotion.engines.kept import Kept
from promotion.errors import ConfigError, LockedError, PromotionError, TemporaryError, TornError, once
from promotion.model import Environment, OutcomeWord, VerificationWord
from promotion.observe import Site, World
from promotion.reconcile import hints, undo
from promotion.reconcile.again import TRIES
from promotion.reconcile.draft import Draft, holds, news
from promotion.reconcile.hop import Result, judged, landed, prepare
from promotion.reconcile.sync import Synced, deploy, with_synced
from promotion.reconcile.write import Part, write, write_all
from promotion.repository import Snapshot
from promotion.state import State
from promotion.view import Plan


def always(environment: Environment) -> bool:  # noqa: ARG001
    return True


@dataclass(frozen=True, slots=True)
class Task:
    """One application's part of a round: its environments by name, and into which of them a hop is attempted now."""

    site: Site
    names: Collection[str]
    due: Callable[[Environment], bool] = always


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. `hops` has what was promoted, absorbed, failed, conflicted, contended or refused by the remote."""

    world: World
    hops: tuple[Result, ...] = ()
    plans: dict[str, Plan] = field(default_factory=dict)
    """The decision for each environment that was decided for."""
    errors: tuple[PromotionError, ...] = ()

    @property
    def trouble(self) -> tuple[PromotionError, ...]:
        """The errors and what could not be read, each said once: what cannot be deployed often cannot be observed either."""
        return once((*self.errors, *self.world.unread.values()))


@dataclass(slots=True)
class _Turn:
    """One application while a round goes on."""

    site: Site
    wanted: list[Environment]
    due: list[Environment]
    draft: Draft
    hops: list[Result] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)
    errors: list[PromotionError] = field(default_factory=list)
    landed: bool = False
    """Whether a push of this round landed: then what it did is told, whatever came after."""
    failed: PromotionError | None = None
    """What ended this application's round."""


def reconcile(
    site: Site,
    names: Collection[str],
    *,
    due: Callable[[Environment], bool] = always,
    sync: bool = False,
    land_hops: bool = True,
    dry_run: bool = False,
) -> Round:
    """One round over these environments of one application. Raises what ends it; errors of one environment are collected."""
    (done,) = together([Task(site, names, due)], sync=sync, land_hops=land_hops, dry_run=dry_run)
    if isinstance(done, PromotionError):
        raise done
    return done


def together(
    tasks: list[Task], *, sync: bool = False, land_hops: bool = True, dry_run: bool = False, kept: Kept | None = None
) -> list[Round | PromotionError]:
    """One round over applications that share a repository: for each what it did, or what ended it.

    Without `land_hops` everything is recorded and decided, and nothing is promoted; with `dry_run` nothing is written at
    all. `kept` is what a round over other repositories beside this one has read. Raises what is wrong with the repository.
    """
    turns = _begun(tasks)
    running = [turn for turn in turns if turn.failed is None]
    _observed(running, kept, sync=sync and not dry_run)
    if not dry_run:
        hints.ask(w for turn in running for w in hints.unsettled(turn.site, turn.draft.world, turn.wanted))
    for environments in _branches(running):
        _hops(environments, land_hops=land_hops and not dry_run, again=not dry_run)
    if not dry_run:
        _record([turn for turn in running if turn.failed is None])
    return [_done(turn) for turn in turns]


def _done(turn: _Turn) -> Round | PromotionError:
    """What an application's round comes to: nothing that landed is hidden by what ended it afterwards."""
    if turn.failed is not None and not turn.landed:
        return turn.failed
    errors = [*turn.errors, *([turn.failed] if turn.failed is not None else [])]
    said = {str(exc): exc for exc in errors}  # a remote that is away is so at each step
    return Round(turn.draft.drafted, tuple(turn.hops), turn.plans, tuple(said.values()))


def _begun(tasks: Sequence[Task]) -> list[_Turn]:
    """What the remote says, asked for once."""
    snapshot, turns = observe.look([task.site for task in tasks]), []
    for task in tasks:
        site, environments = task.site, task.site.application.environments
        site.probed.clear()
        wanted = [e for e in environments if e.name in task.names]
        due = [e for e in wanted if e.source and task.due(e)]
        world, failed = _read(site, snapshot)
        turns.append(_Turn(site, wanted, due, Draft(world, world.state), failed=failed))
    return turns


def _read(site: Site, snapshot: Snapshot) -> tuple[World, PromotionError | None]:
    try:
        try:
            return observe.world(site, snapshot), None
        except TornError:
            return observe.survey(site), None
    except PromotionError as exc:
        return World(snapshot, None, State(site.application.name)), exc


def _observed(turns: Sequence[_Turn], kept: Kept | None, *, sync: bool) -> None:
    """Deploys, observes all environments of all applications side by side, and drafts what that calls for."""
    asked, synced = [], []
    for turn in turns:
        seen = {name for e in turn.wanted for name in (e.name, e.source, *e.requires)}
        environments = [e for e in turn.site.application.environments if e.name in seen]
        asked.append((turn.site, turn.draft.world, environments))
        synced.append(deploy(turn.site, turn.draft.world, turn.wanted) if sync else Synced())
    for turn, world, done in zip(turns, watching.watch_all(asked, kept), synced, strict=True):
        turn.errors += done.errors
        turn.draft = holds(turn.site, news(turn.site, with_synced(world, done)))
        turn.hops += failures(turn.draft)


_Hop = tuple[_Turn, Environment]
_Lot = list[tuple[_Turn, Environment, Part]]

# --- hops ------------------------------------------------------------------------------------------------------------


def _branches(turns: Sequence[_Turn]) -> Iterator[list[tuple[_Turn, Environment]]]:
    """The hops that are due, those onto one branch together, sources before what takes commits from them."""
    for name in _in_order([[e.name for e in turn.site.application.environments] for turn in turns]):
        onto: dict[object, list[tuple[_Turn, Environment]]] = {}
        for turn in turns:
            failing = [e for e in turn.wanted if e not in turn.due and undo.is_failing(turn.draft, e)]
            for environment in (e for e in (*turn.due, *failing) if e.name == name):
                onto.setdefault((environment.ref, environment.credential), []).append((turn, environment))
        yield from onto.values()


def _in_order(ways: Sequence[Sequence[str]]) -> Iterator[str]:
    """The environments of all applications, in the order that each of them has them in, as far as they agree."""
    left = [way for way in ways if way]
    while left:
        firsts = [way[0] for way in left]
        name = next((first for first in firsts if not any(first in way[1:] for way in left)), firsts[0])
        yield name
        left = [rest for way in left if (rest := [other for other in way if other != name])]


def _hops(wanted: Sequence[_Hop], *, land_hops: bool, again: bool) -> None:
    """One hop each onto one branch, decided one on top of the other and pushed together; decided again where somebody was faster."""
    for _ in range(TRIES):
        lot, wanted = _decided(wanted, land_hops=land_hops, again=again)
        try:
            drafts = write_all([part for _, _, part in lot])
        except PromotionError as exc:
            _refused(lot, exc, land_hops=land_hops)
            lot, drafts = [], []
        for (turn, environment, part), draft in zip(lot, drafts, strict=True):
            if draft is None:
                wanted.append((turn, environment))
            else:
                turn.draft, turn.landed = draft, True
                turn.hops.append(landed(part))
        if not wanted:
            return
        _again([turn for turn, _ in wanted])
    for turn, environment in wanted:
        plan = turn.plans.pop(environment.name, None)
        reason = f"somebody was faster {TRIES} times"
        turn.hops.append(Result("contended", turn.site.application.name, environment.name, reason, plan, status=75))


def _decided(wanted: Iterable[_Hop], *, land_hops: bool, again: bool) -> tuple[_Lot, list[_Hop]]:
    """What lands these hops, each on the tip that the one before it leaves, and those that were read while refs moved.

    What failed and is to be rolled back by itself gets that and no hop, whether one is due or not.
    """
    lot, torn = _Lot(), list[_Hop]()
    tip: str | None = None
    for turn, environment in wanted:
        if turn.failed is not None:
            continue
        try:
            part = _rollback(turn, environment, tip) if again else None
            if part is None and environment not in turn.due:
                continue
            plan = None if part else answers.plan(turn.site, _ahead(turn, environment, tip), environment)
            if plan is not None:
                part = prepare(turn.site, turn.draft, plan) if land_hops else None
        except PromotionError as exc:
            if again and isinstance(exc, TornError):
                torn.append((turn, environment))
                continue
            turn.errors.append(exc)
            if again:
                _again([turn])
            continue
        if plan is not None:
            turn.plans[environment.name] = plan
        if part is not None:
            lot.append((turn, environment, part))
            tip = part.commit or tip
        elif land_hops and plan is not None and plan.verdict == "conflict":
            turn.hops.append(judged(plan))
    return lot, torn


def _ahead(turn: _Turn, environment: Environment, tip: str | None) -> World:
    """What is decided on: with the tip that an earlier hop of the same push leaves."""
    world = turn.draft.drafted
    return world.moved(environment, tip) if tip else world


def _rollback(turn: _Turn, environment: Environment, tip: str | None) -> Part | None:
    """What goes back by itself; a hold in its place is drafted."""
    found = undo.automatic(turn.site, turn.draft, _ahead(turn, environment, tip), environment)
    if isinstance(found, Draft):
        turn.draft = found
        return None
    return found


def _refused(lot: _Lot, why: PromotionError, *, land_hops: bool) -> None:
    """The remote took nothing of several: one at a time, so that what is wrong with one does not stop the others."""
    turns = [turn for turn, _, _ in lot]
    if len(lot) == 1 or not isinstance(why, (ConfigError, LockedError)):
        for turn in turns:
            turn.errors.append(why)
        _again(turns)
        return
    for turn, environment, _ in lot:
        _again([turn])
        _hops([(turn, environment)], land_hops=land_hops, again=True)


def _again(turns: Sequence[_Turn]) -> None:
    """Reads branches and ledgers again and drafts anew from what this round observed."""
    try:
        snapshot = observe.look([turn.site for turn in turns])
    except PromotionError as exc:
        _ended(turns, exc)
        return
    for turn in turns:
        fresh, turn.failed = _read(turn.site, snapshot)
        if turn.failed is not None:
            continue
        world = observe.carried(turn.draft.world, fresh, turn.draft.world.state)
        turn.draft = holds(turn.site, news(turn.site, world))


def _record(turns: Sequence[_Turn]) -> None:
    """Writes what is drafted still, reading again where somebody was faster."""
    left = [turn for turn in turns if turn.draft.events]
    for _ in range(TRIES):
        try:
            drafts = write_all([Part(turn.site, turn.draft) for turn in left])
        except PromotionError as exc:
            if len(left) == 1 or not isinstance(exc, (ConfigError, LockedError)):
                _ended(left, exc)
                return
            for turn in left:
                _record([turn])
            return
        lost = []
        for turn, draft in zip(left, drafts, strict=True):
            if draft is None:
                lost.append(turn)
            else:
                turn.draft = draft
        if not lost:
            return
        _again(lost)
        left = [turn for turn in lost if turn.failed is None]
    for turn in left:
        turn.failed = TemporaryError(f"somebody was faster {TRIES} times", where=turn.site.application.ledger)


def _ended(turns: Sequence[_Turn], why: PromotionError) -> None:
    for turn in turns:
        turn.failed = why


# --- parts of a round -----------------------------------------------------------------------------------------------


def failures(draft: Draft) -> list[Result]:
    """The verifications that ended badly in this round."""
    app = draft.state.application
    frozen = {event.environment for event in draft.events if event.event == "frozen"}
    found = []
    for event in (event for event in draft.events if event.event in ("failed", "timed-out")):
        name, commit = event.environment or "", event.data["commit"]
        given = draft.state.of(name).releases.get(commit)
        outcome: OutcomeWord = "rolled-back" if given and given.restores else "promoted"
        reason = "; ".join(event.data["reasons"]) or "no answer"
        reason += f"; {name} is frozen: promotion thaw {name}" if name in frozen else ""
        word: VerificationWord = "failed" if event.event == "failed" else "timed-out"
        found.append(Result(outcome, app, name, reason, commit=commit, verification=word, status=6))
    return found


def watch_only(site: Site, names: Collection[str]) -> World:
    """Records what is deployed and healthy, verified, failed or timed out; promotes and holds nothing."""
    world = observe.survey(site)
    wanted = [e for e in site.application.environments if e.name in names]
    world = watching.watch(site, world, wanted)
    hints.ask(hints.unsettled(site, world, wanted))
    draft = news(site, world)
    for _ in range(TRIES):
        after = write(site, draft)
        if after is not None:
            return after.drafted
        draft = news(site, observe.carried(draft.world, observe.survey(site), draft.world.state))
    raise TemporaryError(f"somebody was faster {TRIES} times", where=site.application.ledger)
