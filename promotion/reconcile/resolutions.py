"""A conflict, proposed to a person: the target with both sides in its files, on a branch of its own. Nothing of it is ever merged."""

from __future__ import annotations

from dataclasses import replace

from promotion import merge, merging, observe, report, resolving
from promotion.errors import ConfigError
from promotion.model import Environment
from promotion.observe import Site
from promotion.reconcile.again import until_made
from promotion.reconcile.proposals import Proposal, create, left_for_people, sketch, there
from promotion.texts import short
from promotion.view import Plan

_STEPS = "Decide what is listed below, commit that on this branch and push it; then"
_ONLY = "takes these paths from that commit, and nothing else. This branch is never merged; delete it afterwards."


def resolve(site: Site, environment: Environment, *, chosen: str | None = None, dry_run: bool = False) -> Proposal:
    """Proposes D with both sides in the files that conflict, for a person to edit there; typed again, the same branch."""
    if environment.source is None:
        raise ConfigError(f"{environment.name} takes commits from nobody, so nothing conflicts there")

    def attempt() -> Proposal | None:
        return _resolve(site, report.quick(site, observe.survey(site), environment, chosen=chosen), dry_run=dry_run)

    return until_made(attempt, site.repository.url)


def _resolve(site: Site, plan: Plan, *, dry_run: bool) -> Proposal | None:
    """One try; None: somebody was faster."""
    view, environment = plan.view, plan.view.environment
    origin = environment.source or ""
    said = Proposal("nothing", view.application.name, environment.name, origin, "nothing conflicts", plan.commit)
    if plan.commit is None or plan.merged is None or not plan.merged.conflicts:
        return replace(said, reason=f"nothing conflicts: {plan.reason}")
    identity = resolving.conflict_id(view, plan.commit)
    target = site.repository.objects.commit(view.tip).tree
    conflicts = merge.conflicts(merging.table_of(site, view, plan.commit))
    made = sketch(site, target, merge.Table(conflicts), (environment.name, origin))
    branch, trailer = resolving.branch_of(identity), f"{resolving.TRAILER}: {identity}"
    said = replace(said, outcome="proposed", reason=plan.reason, branch=branch)
    said = replace(said, marked=made.marked, undecided=made.undecided)
    tip = there(site, branch, trailer)
    if tip is not None or dry_run:
        return replace(said, commit=tip)
    parts = [f"{view.application.name}: {environment.name} <- {origin} {short(plan.commit)} conflicts", _STEPS]
    parts += [f"  promotion promote {environment.name} --resolution COMMIT", _ONLY]
    parts += left_for_people(made.marked, made.undecided)
    about = {"Application": view.application.name, "Environment": environment.name, "Source": plan.commit}
    trailers = [*(f"Promotion-{key}: {value}" for key, value in about.items()), trailer]
    message = "\n\n".join([*parts, "\n".join(trailers)])
    commit = site.repository.commit_tree(made.tree, [view.tip], message, site.clock())
    landed = create(site, branch, commit, environment.credential)
    return replace(said, commit=commit, created=True) if landed else None
