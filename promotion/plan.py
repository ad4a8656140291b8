"""The decision for one environment: which commit may land next, and why (not); pure.

`decide` never asks the world. Where it needs to know more (what a merge gives, what the gates say) it returns the question;
whoever called it finds the answer and calls again: so every decision can be replayed from its answers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from promotion.calendar import told
from promotion.model import Health, Verdict
from promotion.state import EnvironmentState, Fact, Freeze, Hold
from promotion.texts import short, shown, span
from promotion.view import (
    Answers,
    Approval,
    Gates,
    Merge,
    Merged,
    Overriding,
    PassedOver,
    Plan,
    Question,
    Required,
    Standing,
    View,
)


@dataclass(frozen=True, slots=True)
class _Judged:
    commit: str
    verdicts: tuple[Verdict, ...]
    merged: Merged | None
    asked: Standing | None = None
    open: bool = False
    """It waits for nothing but time and people."""
    overridden: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """What keeps it, in one line."""
        return "; ".join(self.said(v) for v in self.verdicts if v.verdict != "pass")

    def said(self, verdict: Verdict) -> str:
        asked = self.asked if verdict.gate == "approval" else None
        return f"approval {asked.brief}" if asked else f"{verdict.gate}: {verdict.reason}"

    @property
    def word(self) -> str:
        words = {v.verdict for v in self.verdicts}
        return "block" if "block" in words else "wait" if "wait" in words else "pass"


def decide(view: View, answers: Answers) -> Plan | Question:
    """The plan, or the first question whose answer is missing in `answers`."""
    candidates = [c.oid for c in view.chain if view.chosen in (None, c.oid)]
    if not candidates:
        if view.chosen and not view.arrived:
            reason = f"{short(view.chosen)} is no commit of {view.environment.source} after {short(view.base)}"
            return Plan(view, "block", reason, view.chosen, (Verdict("source", "block", reason),))
        if view.strayed:
            return _strayed(view)
        return Plan(view, "nothing", _nothing(view))
    passed_over: list[PassedOver] = []
    waiting: list[_Judged] = []
    conflict: _Judged | None = None
    for commit in candidates:
        source = qualified(view, commit)
        if source.verdict != "pass":
            passed_over.append(PassedOver(commit, source.reason, source.verdict))
            continue
        judged = _judge(view, commit, source, waiting, answers)
        if not isinstance(judged, _Judged):
            return judged
        if judged.word == "pass" and judged.merged is not None and judged.merged.conflicts:
            # an older one may be clean, and with it what this one is merged onto is another
            conflict = conflict or judged
            passed_over.append(PassedOver(commit, _clash(judged.merged), "conflict"))
            continue
        if judged.word == "pass":
            return _plan(view, judged, passed_over)
        passed_over.append(PassedOver(commit, judged.why, judged.word))
        waiting.append(judged)
    told = conflict or _told(waiting)
    commit = told.commit if told else candidates[0]
    merged = answers.get(Merge(commit))
    if merged is None:
        return Merge(commit)
    if told is None:
        told = _Judged(commit, (qualified(view, commit),), merged)
    elif told.merged is None:
        told = replace(told, merged=merged)
    return _plan(view, told, [p for p in passed_over if p.commit != commit])


def _told(waiting: Sequence[_Judged]) -> _Judged | None:
    """Which of those that wait is the plan: what somebody approved already, else what people are asked about, else the newest."""
    still = [j for j in waiting if j.word == "wait"]
    begun = (j for j in still if j.open and j.asked and j.asked.approved)
    asked = (j for j in still if j.open and j.asked)
    return next(begun, None) or next(asked, None) or next(iter(still or waiting), None)


def qualified(view: View, commit: str) -> Verdict:
    """The source gate: S1, from what was last recorded about exactly this commit in its source environment."""
    source, state = view.environment.source or "", view.source_state
    if any(hold.commit == commit for hold in state.holds):
        return Verdict("source", "block", f"held in {source}: {_hold_reason(state, commit)}")
    given = state.releases.get(commit)
    if given is not None and given.undone:
        return Verdict("source", "block", f"{short(commit)} was rolled back in {source}")
    fact = state.facts.get(commit)
    if fact is None:
        return Verdict("source", "wait", f"{short(commit)} was not yet observed in {source}")
    if fact.health is not Health.HEALTHY:
        word = "block" if fact.health is Health.DEGRADED else "wait"
        deployed = state.observed is not None and state.observed.revision == commit
        why = _because(state.observed.reasons) if deployed and state.observed else ""
        return Verdict("source", word, f"{fact.health} in {source}{why}")  # type: ignore[arg-type]
    if view.unread:
        return Verdict("source", "wait", view.unread)
    return Verdict("source", "pass", f"healthy in {source} {_since(view, fact)}")


def _since(view: View, fact: Fact) -> str:
    seen = view.source_state.observed.at if view.source_state.observed else fact.at
    return f"for {span(view.now - (fact.healthy_since or fact.at))}, seen {span(view.now - seen)} ago"


def _hold_reason(state: EnvironmentState, commit: str) -> str:
    return next(h.reason for h in state.holds if h.commit == commit)


def _judge(view: View, commit: str, source: Verdict, newer: Sequence[_Judged], answers: Answers) -> _Judged | Question:
    """All verdicts about one qualified candidate; merges only where the answer can matter, since there may be many."""
    merged: Merged | None = answers.get(Merge(commit))
    if merged is None and not newer:
        return Merge(commit)
    required: tuple[Verdict, ...] | None = answers.get(Required(commit)) if view.environment.requires else ()
    if required is None:
        return Required(commit)
    if merged is not None and merged.absorbed:
        return _Judged(commit, (source, *required), merged)
    always = (*required, *_always(view, commit))
    asked = Gates(commit, probe=all(v.verdict == "pass" for v in always))
    gates = answers.get(asked)
    if gates is None:
        return asked
    judged = _let(view, _Judged(commit, (source, *always, *gates), merged))
    wanted = view.environment.approval is not None and _is_wanted(view, judged, newer)
    if merged is None and (view.state.holds or view.source_state.holds or wanted or judged.word == "pass"):
        return Merge(commit)
    refused = _refused(view, merged) if merged is not None else None
    if refused:
        said = any(
            v.gate == refused.gate and v.reason in refused.reason for v in judged.verdicts
        )  # of the commit itself
        return judged if said else replace(judged, verdicts=(*judged.verdicts, refused))
    return _asked(view, judged, answers) if wanted else judged


def _is_wanted(view: View, judged: _Judged, newer: Sequence[_Judged]) -> bool:
    """Whether people are asked about a candidate: it is meant, somebody spoke of it, or it is the newest that is ready for them."""
    over = view.overriding is not None and "approval" in view.overriding.gates
    spoken = judged.commit in view.spoken or judged.commit == view.chosen
    return spoken or over or (_is_open(judged) and not any(j.open and j.asked for j in newer))


def _is_open(judged: _Judged) -> bool:
    """Whether it waits for nothing but time and people."""
    return all(
        v.verdict == "pass" or (v.verdict == "wait" and (v.until or v.unasked or v.gate == "auto"))
        for v in judged.verdicts
    )


def _asked(view: View, judged: _Judged, answers: Answers) -> _Judged | Question:
    """The same with what people say of this very plan."""
    merged = judged.merged
    assert merged is not None
    if merged.tree is None:
        conflict = Verdict("approval", "wait", f"{_clash(merged)}: there is nothing to approve yet")
        return replace(
            judged, verdicts=tuple(conflict if v.unasked and v.gate == "approval" else v for v in judged.verdicts)
        )
    question = Approval(judged.commit, plan_id(view, judged.commit, merged))
    standing: Standing | None = answers.get(question)
    if standing is None:
        return question
    verdicts = tuple(standing.verdict if v.gate == "approval" and v.unasked else v for v in judged.verdicts)
    return _let(view, replace(judged, verdicts=verdicts, asked=standing, open=_is_open(judged)))


def _let(view: View, judged: _Judged) -> _Judged:
    """The same where gates that somebody may get past let it through, and say so; what nobody was asked about waits still."""
    over = view.overriding
    if over is None:
        return judged
    bad = (v for v in judged.verdicts if v.gate in over.gates and v.verdict != "pass" and not v.unasked)
    kept = [v for v in bad if not _is_strict(view, v)]
    verdicts = tuple(_passed(over, v) if v in kept else v for v in judged.verdicts)
    said = dict.fromkeys([*judged.overridden, *(v.gate for v in kept)])
    return replace(judged, verdicts=verdicts, overridden=tuple(said))


def _passed(over: Overriding, verdict: Verdict) -> Verdict:
    return Verdict(verdict.gate, "pass", f"overridden by {over.by}: {over.reason} (it says: {verdict.reason})")


def _is_strict(view: View, verdict: Verdict) -> bool:
    """A strict freeze holds for everybody."""
    frozen = (view.frozen, view.state.frozen)
    return verdict.gate == "freeze" and any(f is not None and f.strict and f.holds(view.now) for f in frozen)


def _refused(view: View, merged: Merged) -> Verdict | None:
    """What of a candidate's content keeps it out."""
    if merged.held:
        return merged.held
    if merged.lost:
        paths = ", ".join(shown(path) for path in merged.lost[:5])
        name = view.environment.name
        return Verdict(
            "drift", "block", f"only {name} has its {paths}, and a mirror would lose it: take it to the root first"
        )
    if merged.empty and not view.allow_empty:
        return Verdict("content", "block", "nothing but protected files would be left (--allow-empty)")
    return None


def _because(reasons: Sequence[str]) -> str:
    return f" ({'; '.join(reasons)})" if reasons else ""


def _always(view: View, commit: str) -> tuple[Verdict, ...]:
    """The gates that no file has to name, where they have something to say."""
    verdicts: list[Verdict] = []
    target, state = view.environment, view.state
    if not target.auto:
        wait = Verdict("auto", "wait", f"promoted by hand: promotion promote {target.name}")
        verdicts.append(Verdict("auto", "pass", "asked for by hand") if view.by_hand else wait)
    pending = state.verification
    if pending is not None and pending.state == "pending" and view.now < pending.until:
        reason = f"{short(pending.commit)} is being verified in {target.name}"
        verdicts.append(Verdict("verification", "wait", reason, pending.until))
    for frozen in (view.frozen, state.frozen):
        if frozen is not None and frozen.holds(view.now):
            verdicts.append(_frozen(view, frozen))
    verdicts += [_held(target.name, hold) for hold in (*state.holds, *view.rejections) if hold.commit == commit]
    return tuple(verdicts)


def _held(name: str, hold: Hold) -> Verdict:
    what = f"rejected by {hold.by}" if hold.plan_id else f"held for {name}"
    return Verdict("hold", "block", f"{what}: {hold.reason}")


def _frozen(view: View, frozen: Freeze) -> Verdict:
    last = f" until {told(frozen.until, view.now)}" if frozen.until else ""
    what = "everything is frozen" if frozen is view.frozen else "frozen"
    reason = f'{what} by {frozen.by} since {told(frozen.at, view.now)}{last}: "{frozen.reason}"'
    return Verdict("freeze", "block", reason, frozen.until)


def _plan(view: View, judged: _Judged, passed_over: list[PassedOver]) -> Plan:
    merged = judged.merged
    assert merged is not None
    word: Any = judged.word
    reason = "; ".join(judged.said(v) for v in judged.verdicts if v.verdict == word)
    if word == "pass":
        past = f"past {', '.join(judged.overridden)}: all other gates pass" if judged.overridden else "all gates pass"
        reason = "already there: nothing to deploy" if merged.absorbed else past
    if merged.conflicts and judged.verdicts[0].verdict == "pass" and word != "block":
        return Plan(
            view,
            "conflict",
            _clash(merged),
            judged.commit,
            judged.verdicts,
            merged,
            None,
            tuple(passed_over),
        )
    identity = plan_id(view, judged.commit, merged) if merged.tree else None
    over = tuple(passed_over)
    asked, overridden = judged.asked, judged.overridden
    return Plan(view, word, reason, judged.commit, judged.verdicts, merged, identity, over, asked, overridden)


def _clash(merged: Merged) -> str:
    return f"both sides changed {', '.join(shown(path) for path in merged.conflicts[:5])}"


def _strayed(view: View) -> Plan:
    source, target = view.environment.source, view.environment.name
    more = "" if view.application.merges(view.environment) else " --source COMMIT"
    reason = (
        f"{source} was rewound: {short(view.base)}, which {target} has, is not in it: promotion adopt {target}{more}"
    )
    return Plan(view, "block", reason, view.source_tip, (Verdict("source", "block", reason),))


def _nothing(view: View) -> str:
    if view.chosen:
        return f"{view.environment.name} has {short(view.chosen)}"
    return f"{view.environment.name} has all of {view.environment.source}"


def plan_id(view: View, commit: str, merged: Merged) -> str:
    """64 hex digits over everything that was decided on; the same before and after waiting or observing (section 6)."""
    known = inputs(view, commit, merged)
    return sha256(json.dumps(known, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def inputs(view: View, commit: str, merged: Merged) -> dict[str, Any]:
    """What a plan is made of: when one of these changes, it is another plan (S8)."""
    return {
        "format": 1,
        "application": view.application.name,
        "environment": view.environment.name,
        "source": commit,
        "contents": [*view.contents, merged.digest],
        "deciding": view.environment.deciding,
        "epoch": view.state.epoch,
    }
