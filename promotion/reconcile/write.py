"""The one push: compare-and-swap of ledgers, and with them at most one branch (S4-S6).

Applications that share a repository are written together: their commits on one branch stand on top of each other.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from promotion import ledger, merging, observe, restoring, trust
from promotion.errors import ConfigError, LockedError, PromotionError, TemporaryError, TornError
from promotion.model import Credential, Environment
from promotion.observe import Site, World
from promotion.reconcile import hints
from promotion.reconcile.again import TRIES
from promotion.reconcile.draft import Draft
from promotion.repository import Update
from promotion.repository.words import failure, gist
from promotion.rollback import Rollback
from promotion.state import State
from promotion.view import Plan

_PASSING = r"failed to update ref|atomic transaction failed|incorrect old value|already exists|unpacker error"
"""Reasons to reject a ref that are the server's trouble, not a rule."""
LOOKS, PAUSE = 10, 0.1
"""How often it is looked whether a push landed while its refs are moved one by one, and the seconds between."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one application writes: drafted events, and with a plan or a rollback the commit that the last event tells of, if it does."""

    site: Site
    draft: Draft
    plan: Plan | None = None
    rollback: Rollback | None = None

    @property
    def commit(self) -> str | None:
        """M or R, when one is to land."""
        return self.draft.events[-1].data.get("commit") if self.plan or self.rollback else None

    @property
    def environment(self) -> Environment | None:
        """Whose branch it is about."""
        return self.plan.view.environment if self.plan else self.rollback.environment if self.rollback else None

    def read_on(self) -> set[str | None]:
        """The environments whose state was decided on, beside those that events are about."""
        if self.plan is None:
            return set()
        environment = self.plan.view.environment
        others = self.site.application.decided_with(environment)
        names = {environment.name, environment.source, *environment.requires}
        return names | {name for other in others for name in (other.name, other.source)}


def write(site: Site, draft: Draft) -> Draft | None:
    """What `write_all` does, for the events of one application."""
    return write_all([Part(site, draft)])[0]


def write_all(parts: Sequence[Part]) -> list[Draft | None]:
    """Pushes everything at once, then looks whether it landed (S6); all parts are of one repository, all their commits of one branch.

    Each part gets a fresh draft on what is there now, or None when somebody was faster and it must be decided again.
    Raises ConfigError or TemporaryError when the remote refuses.
    """
    lot = [part for part in parts if part.draft.events]
    if not lot:
        return [part.draft for part in parts]
    written = dict(zip(map(id, lot), _written(lot), strict=True))
    pushed = [(p.site, p.environment, p.commit) for p in lot if p.environment and p.commit and written[id(p)]]
    hints.ask((site, environment, commit) for site, environment, commit in pushed if environment and commit)
    return [written.get(id(part), part.draft) for part in parts]


def _written(lot: Sequence[Part]) -> list[Draft | None]:
    repository, branch, credential = lot[0].site.repository, _branch_update(lot), _credential(lot)
    worlds = [part.draft.world for part in lot]
    for _ in range(TRIES):
        tips = [_appended(part, world) for part, world in zip(lot, worlds, strict=True)]
        updates = [
            Update(p.site.application.ledger, w.ledger, t) for p, w, (t, _) in zip(lot, worlds, tips, strict=True)
        ]
        said = repository.push([*updates, *([branch] if branch else [])], credential)
        afters = _afters(lot)
        landed = [_landed(part, tip, after) for part, (tip, _), after in zip(lot, tips, afters, strict=True)]
        if any(landed):
            fresh = [observe.carried(w, a, s) for w, a, (_, s) in zip(worlds, afters, tips, strict=True)]
            return [Draft(f, f.state) if there else None for f, there in zip(fresh, landed, strict=True)]
        moved = [after.ledger != world.ledger for after, world in zip(afters, worlds, strict=True)]
        if not any(moved) and (branch is None or afters[0].snapshot[branch.ref] == branch.old):
            raise rejected(lot[0].site, said, credential)
        if not all(_same(part, after, branch) for part, after in zip(lot, afters, strict=True)):
            break
        worlds = [
            replace(world, snapshot=after.snapshot, ledger=after.ledger, state=after.state, ignored=after.ignored)
            for world, after in zip(worlds, afters, strict=True)
        ]
    return [None] * len(lot)


def _credential(lot: Sequence[Part]) -> Credential | None:
    """What may push the branch; without one the applications' own, which is the same for all that share a clone."""
    pushing = [part.environment.credential for part in lot if part.environment is not None and part.commit]
    return pushing[0] if pushing else lot[0].site.application.credential


def _appended(part: Part, world: World) -> tuple[str, State]:
    tip, state = ledger.append(part.site.repository, world.ledger, world.state, part.draft.events)
    trust.check(part.site.repository, part.site.application, tip, part.draft.events)
    assert tip is not None
    return tip, state


def _afters(lot: Sequence[Part]) -> list[World]:
    """What is there now, whatever the configuration in force says by now.

    Never raises TornError, which means that all may be decided again: what landed would be made twice. TemporaryError.
    """
    for _ in range(LOOKS):
        with suppress(TornError):
            return observe.worlds([part.site for part in lot], any_configuration=True)
        time.sleep(PAUSE)
    what = "its branches moved whenever they were read after a push, which may have landed"
    raise TemporaryError(what, where=lot[0].site.repository.url, hint="promotion history   says whether it did")


def _landed(part: Part, tip: str, after: World) -> bool:
    """Our own event is in the ledger: that alone says so."""
    return after.ledger == tip or (after.ledger is not None and part.site.repository.is_ancestor(tip, after.ledger))


def _branch_update(lot: Sequence[Part]) -> Update | None:
    """The update of the target's branch, after a last look at what is about to land (S5, S9, S10, S12)."""
    steps = [(part, part.environment, part.commit) for part in lot if part.environment and part.commit]
    if not steps:
        return None
    first = steps[0][1]
    old = tip = steps[0][0].draft.world.tip(first)
    for part, _, oid in steps:
        if part.plan is not None:
            _look_at_promotion(part.site, part.plan, oid, tip)
        elif part.rollback is not None:
            _look_at_rollback(part.site, part.rollback, oid, tip)
        tip = oid
    return Update(first.ref, old, tip)


def _look_at_promotion(site: Site, plan: Plan, oid: str, tip: str) -> None:
    view, commit = plan.view, site.repository.objects.commit(oid)
    if plan.commit is None or view.tip != tip or commit.parents != view.parents(plan.commit):
        raise AssertionError(f"{oid} does not have {tip} as its first parent")
    if wrong := merging.unexplained(site, view, plan.commit, commit.tree):
        raise AssertionError(f"{oid} is not what the entry table says at {wrong[:3]}")


def _look_at_rollback(site: Site, back: Rollback, oid: str, tip: str) -> None:
    commit = site.repository.objects.commit(oid)
    if back.target != tip or commit.parents != (tip,):
        raise AssertionError(f"{oid} does not have {tip} as its only parent")
    wrong = restoring.misplaced(site, back.application, back.environment, tip, back.back.restores, commit.tree)
    if wrong:
        raise AssertionError(f"{oid} does not restore {back.back.restores} at {wrong[:3]}")


def _same(part: Part, after: World, branch: Update | None) -> bool:
    """Whether what was decided on is still so: then the same events may be written on the new tip (S4, S13)."""
    before, plan, target = part.draft.world, part.plan, part.environment
    names: set[str | None] = {*(e.environment for e in part.draft.events), *part.read_on()}
    others = part.site.application.decided_with(plan.view.environment) if plan else ()
    if any(before.snapshot[other.ref] != after.snapshot[other.ref] for other in others):
        return False
    if target is not None and after.tip(target) != (branch.old if branch else before.tip(target)):
        return False
    if any(e.environment is None for e in part.draft.events):
        names |= {e.name for e in part.site.application.environments}
    # what the required ones stand for is followed through the releases of all that their commits come from
    followed = [e.name for e in part.site.application.environments] if plan and plan.view.environment.requires else []
    if any(before.state.of(name).release != after.state.of(name).release for name in followed):
        return False
    if any("step" in e.data for e in part.draft.events) and before.state.codes != after.state.codes:
        return False
    everywhere = [(world.state.in_force, world.state.frozen) for world in (before, after)]
    return everywhere[0] == everywhere[1] and all(
        before.state.of(name).deciding() == after.state.of(name).deciding() for name in names if name
    )


def rejected(site: Site, said: str, credential: Credential | None) -> PromotionError:
    """Nobody moved anything, so the remote itself said no; its words, and what to do."""
    where = site.repository.url
    declined = "declined" in said
    if not declined and re.search(r"cannot lock ref|\.lock': File exists", said):
        hint = "if no git process works there, remove the lock file that it names"
        return LockedError(f"the remote's repository is locked: {gist(said)}", where=where, hint=hint)
    if declined or ("remote rejected" in said and not re.search(_PASSING, said)):
        words = f"the remote refused the push: {_their_words(said)}"
        return ConfigError(words, where=where, hint=f"may {credential or 'this credential'} push there?")
    return failure(said, where, credential)


def _their_words(said: str) -> str:
    """What a server and its hooks say of a push, without what git adds to it."""
    lines = [line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:")]
    reasons = dict.fromkeys(re.findall(r"\[remote rejected\][^(]*\(([^)]*)\)", said))
    return "; ".join([*filter(None, lines), *([f"({', '.join(reasons)})"] if reasons else [])])[:400] or gist(said)
