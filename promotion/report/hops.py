"""One plan, one outcome and one event as the objects that `--json` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from promotion.events import Event
from promotion.model import Commit, Verdict
from promotion.observe import Site
from promotion.report import conflicts
from promotion.report.origins import origin, origins
from promotion.report.returning import brought_back
from promotion.report.said import as_data
from promotion.rollback import Rollback
from promotion.state import State
from promotion.texts import iso, short, shown, span
from promotion.view import Change, Plan

COMMITS = 200
"""How many commits of a plan are listed; all are counted."""


class Outcome(Protocol):
    """What became of one hop, as `reconcile.Result` has it."""

    @property
    def outcome(self) -> str: ...
    @property
    def application(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def plan(self) -> Plan | None: ...
    @property
    def plan_id(self) -> str | None: ...
    @property
    def commit(self) -> str | None: ...
    @property
    def verification(self) -> str | None: ...
    @property
    def hint(self) -> str | None: ...
    @property
    def rollback(self) -> Rollback | None: ...


def plan(site: Site, plan: Plan, state: State | None = None) -> dict[str, Any]:
    """The object of `plan --json`. `commits` are the root's own, the newest of all `commit_count`. Without the ledger's `state`, what the plan knows of it."""
    view, merged = plan.view, plan.merged
    source = view.application.environment(view.environment.source or "")
    known = state or State(
        view.application.name,
        environments={view.environment.name: view.state, source.name: view.source_state},
    )
    commits = origins(site, known, source, view.base, plan.commit) if plan.commit else []
    return {
        "plan_id": plan.plan_id,
        "application": view.application.name,
        "environment": view.environment.name,
        "verdict": plan.verdict,
        "reason": plan.reason,
        "source": {
            "environment": source.name,
            "branch": source.branch,
            "commit": plan.commit,
            "origin": origin(site, known, source, plan.commit) if plan.commit else None,
        },
        "target": {"branch": view.environment.branch, "tip": view.tip},
        "base": view.base,
        "tree": merged.tree if merged else None,
        "identical": bool(merged and merged.identical),
        "absorbs": bool(merged and merged.absorbed),
        "commits": [_commit(c) for c in commits[:COMMITS]],
        "commit_count": len(commits),
        "changes": _changes(merged.changes if merged else ()),
        "kept": _changes(merged.kept if merged else ()),
        "conflicts": conflicts.sides(site, plan) if plan.verdict == "conflict" else [],
        "resolved_by": view.resolution.commit if view.resolution else None,
        "resolution": conflicts.resolution(plan) if plan.verdict == "conflict" else [],
        "verdicts": [_verdict(v) for v in plan.verdicts],
        "passed_over": [{"commit": p.commit, "verdict": p.verdict, "reason": p.reason} for p in plan.passed_over],
        "brings_back": brought_back(site, plan),
        "approval": as_data(plan.asked) if plan.asked else None,
        "overridden": list(plan.overridden),
        "then": _then(plan),
    }


def _commit(commit: Commit) -> dict[str, Any]:
    author = {"author": commit.author.name, "email": commit.author.email}
    return {"commit": commit.oid, **author, "subject": commit.subject, "at": iso(commit.at)}


def _changes(changes: Iterable[Change]) -> list[dict[str, str]]:
    return [{"path": shown(c.path), "change": c.change, "explained_by": c.explained_by} for c in changes]


def _verdict(verdict: Verdict) -> dict[str, Any]:
    until = iso(verdict.until) if verdict.until else None
    return {"gate": verdict.gate, "verdict": verdict.verdict, "reason": verdict.reason, "until": until}


def _then(plan: Plan) -> str:
    """What happens once this has landed, in words."""
    environment, rules = plan.view.environment, plan.view.environment.verify
    last = plan.view.state.releases.get(plan.view.tip)
    back = f"back to {short(plan.view.tip)}" if last and last.healthy and not last.undone else "rolled back"
    words = {"none": "nothing more", "hold": "held", "rollback": back}
    follows = [t.name for t in plan.view.application.targets_of(environment.name)]
    parts = [f"verify {span(rules.within)}", f"degraded -> {words[rules.on_failure]}"]
    parts += [f"no answer -> {words[rules.on_timeout]}"]
    return "; ".join([*parts, *([f"{', '.join(follows)} follow{'s' * (len(follows) == 1)}"] if follows else [])])


def result(result: Outcome) -> dict[str, Any]:
    """The object of `promote --json`, and one of the hops of `run --json`."""
    plan, back = result.plan, result.rollback
    source = {"environment": plan.view.environment.source, "commit": plan.commit} if plan else None
    if back is not None and back.back.source:
        source = {"environment": back.environment.source, "commit": back.back.source}
    return {
        "outcome": result.outcome,
        "plan_id": result.plan_id,
        "application": result.application,
        "environment": result.environment,
        "commit": result.commit,
        "reason": result.reason,
        "verification": result.verification,
        "source": source,
        **(_went_back(back) if back else {}),
    }


def _went_back(back: Rollback) -> dict[str, Any]:
    """What is restored, and what is held, let go and undone for it."""
    return {
        "restores": back.back.restores,
        "holds": [{"commit": oid, "paths": [shown(path) for path in entries]} for oid, entries in back.holds.items()],
        "lifts": list(back.lifts),
        "hotfixes": list(back.back.hotfixes),
        "undone": list(back.back.undone),
    }


def subjects(site: Site, data: Mapping[str, Any]) -> dict[str, str]:
    """What people call the commits that the object of a rollback names."""
    named = [data.get("restores"), *data.get("hotfixes", ()), *(hold["commit"] for hold in data.get("holds", ()))]
    commits = [site.repository.objects.commit(oid) for oid in named if oid]
    return {commit.oid: f'"{commit.subject[:60]}" ({commit.author.name})' for commit in commits}


def advice(result: Outcome, *, dry_run: bool = False) -> Iterator[str]:
    """What to type next, or what happens by itself."""
    plan = result.plan
    if dry_run:
        yield "  next    nothing was written: this was a dry run"
    elif result.hint:
        yield f"  next    {result.hint}"
    elif result.outcome == "rolled-back" and result.verification == "pending" and result.rollback:
        yield from _after(result.rollback)
    elif result.outcome == "promoted" and result.verification == "pending" and plan:
        within = span(plan.view.environment.verify.within)
        yield f"  next    deployed and verified within {within}:  promotion status {result.environment}"
    elif result.outcome == "conflict":
        yield f"  next    promotion plan {result.environment} --diff   shows both sides, and how to resolve it"
    elif result.outcome == "waiting" and plan and plan.commit and plan.commit not in plan.view.source_state.facts:
        source = plan.view.environment.source  # nobody looked at the candidate there yet
        yield f"  next    promotion sync {source}, if nothing else deploys it; then promotion observe {source}"
    elif plan and (freezes := [v for v in plan.verdicts if v.gate == "freeze"]):
        named = "" if len(freezes) > 1 or plan.view.frozen else f" {result.environment}"
        may = plan.view.application.overrides
        other = f"   or   --override freeze --reason R ({', '.join(may.by)} may)" if "freeze" in may.skip else ""
        yield f"  next    promotion thaw{named}{other}"
    elif plan and (held := _held(plan)):
        yield f"  next    promotion lift {result.environment} {short(held)}   lets it in as it is; a fix comes in by itself"
    elif result.outcome == "waiting" and plan and plan.asked and plan.plan_id:
        yield f"  next    promotion approve {plan.plan_id[:8]}"
    elif result.outcome in ("waiting", "refused") and plan:
        yield f"  next    promotion plan {result.environment}"


def _held(plan: Plan) -> str | None:
    """The held commit of this environment that keeps a plan out; None where something else does, or the source holds it."""
    said = " ".join(v.reason for v in plan.verdicts if v.gate == "hold")
    holds = plan.view.state.holds if said else ()
    return next((h.commit for h in holds if h.commit == plan.commit or short(h.commit) in said), None)


def _after(back: Rollback) -> Iterator[str]:
    """How a rollback goes on, and how the change comes back that it took back."""
    name, within = back.environment.name, span(back.environment.verify.within)
    yield f"  next    deployed and verified within {within}:  promotion status {name}"
    if back.holds:
        held = next(iter(back.holds))
        yield f"          a fix brings it all back; as it was:  promotion lift {name} {short(held)}"


def waits(site: Site, plans: Mapping[str, Plan], *, dry_run: bool = False) -> list[dict[str, Any]]:
    """What each environment waits for or is blocked by; in a dry run also what would land."""
    words = ("wait", "block", *(["pass"] if dry_run else []))
    return [
        {
            "application": site.application.name,
            "environment": name,
            "verdict": plan.verdict,
            "reason": plan.reason,
            "source": {"environment": plan.view.environment.source, "commit": plan.commit},
        }
        for name, plan in plans.items()
        if plan.verdict in words
    ]


def event(commit: Commit, event: Event) -> dict[str, Any]:
    """One of the events of `history --json`; `record` is its commit in the ledger."""
    return {**event.to_json(), "record": commit.oid}
