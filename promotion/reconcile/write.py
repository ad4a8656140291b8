"""The one push: compare-and-swap of the ledger, and with it at most one new commit on one environment's branch (S4-S6)."""

from __future__ import annotations

import re
from dataclasses import replace

from promotion import answers, ledger, observe
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.events import Event
from promotion.model import Credential
from promotion.observe import Site, World
from promotion.plan import Plan
from promotion.reconcile.draft import Draft
from promotion.repository import Update
from promotion.repository.words import failure, gist

_PASSING = r"failed to update ref|atomic transaction failed|incorrect old value|already exists|unpacker error"
"""Reasons to reject a ref that are the server's trouble, not a rule."""
TRIES = 5
"""How often a lost compare-and-swap is tried, and decided, again."""


def write(site: Site, draft: Draft, plan: Plan | None = None) -> Draft | None:
    """Pushes the drafted events, and the plan's commit if the last event promoted one; then looks whether it landed (S6).

    Returns a fresh draft on what is there now, or None when somebody was faster and it must be decided again.
    Raises ConfigError or TemporaryError when the remote refuses.
    """
    if not draft.events:
        return draft
    world = draft.world
    branch = _branch_update(site, draft.events[-1], plan) if plan else None
    credential = plan.view.environment.credential if plan and branch else site.application.credential
    for _ in range(TRIES):
        tip, state = ledger.append(site.repository, world.ledger, world.state, draft.events)
        assert tip is not None
        updates = [Update(site.application.ledger, world.ledger, tip), *([branch] if branch else [])]
        said = site.repository.push(updates, credential)
        after = observe.survey(site, any_configuration=True)
        if after.ledger == tip or (after.ledger and site.repository.is_ancestor(tip, after.ledger)):
            fresh = observe.carried(world, after, state)
            return Draft(fresh, fresh.state)
        if after.ledger == world.ledger and (branch is None or after.snapshot[branch.ref] == branch.old):
            raise _rejected(site, said, credential)
        if not _same(site, draft, after, plan):
            return None
        world = replace(world, snapshot=after.snapshot, ledger=after.ledger, state=after.state)
    return None


def _branch_update(site: Site, event: Event, plan: Plan) -> Update | None:
    """The update of the target's branch, after a last look at what is about to land (S5, S9, S10)."""
    if event.event != "promoted" or plan.commit is None:
        return None
    view = plan.view
    commit = site.repository.objects.commit(event.data["commit"])
    if commit.parents != (view.tip, plan.commit):
        raise AssertionError(f"{commit.oid} does not have {view.tip} as its first parent")
    if wrong := answers.unexplained(site, view, plan.commit, commit.tree):
        raise AssertionError(f"{commit.oid} is not what the entry table says at {wrong[:3]}")
    return Update(view.environment.ref, view.tip, commit.oid)


def _same(site: Site, draft: Draft, after: World, plan: Plan | None) -> bool:
    """Whether what was decided on is still so: then the same events may be written on the new tip (S4, S13)."""
    before = draft.world
    names: set[str | None] = {e.environment for e in draft.events}
    if plan is not None:
        names |= {plan.view.environment.name, plan.view.environment.source}
        if after.tip(plan.view.environment) != plan.view.tip:
            return False
    if any(e.environment is None for e in draft.events):
        names |= {e.name for e in site.application.environments}
    return before.state.in_force == after.state.in_force and all(
        before.state.of(name).deciding() == after.state.of(name).deciding() for name in names if name
    )


def _rejected(site: Site, said: str, credential: Credential | None) -> PromotionError:
    """Nobody moved anything, so the remote itself said no; its words, and what to do."""
    where = site.repository.url
    declined = "declined" in said
    if not declined and re.search(r"cannot lock ref|\.lock': File exists", said):
        hint = "if no git process works there, remove the lock file that it names"
        return TemporaryError(f"the remote's repository is locked: {gist(said)}", where=where, hint=hint)
    if declined or ("remote rejected" in said and not re.search(_PASSING, said)):
        words = f"the remote refused the push: {_their_words(said)}"
        return ConfigError(words, where=where, hint=f"may {credential or 'this credential'} push there?")
    return failure(said, where, credential)


def _their_words(said: str) -> str:
    """What a server and its hooks say of a push, without what git adds to it."""
    lines = [line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:")]
    reasons = dict.fromkeys(re.findall(r"\[remote rejected\][^(]*\(([^)]*)\)", said))
    return "; ".join([*filter(None, lines), *([f"({', '.join(reasons)})"] if reasons else [])])[:400] or gist(said)
