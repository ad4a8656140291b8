"""The naive model's word on approvals: who may say something of a plan, whose word counts, and when it is over.

A plan is all that it is made of (`Key`), not its id: that the product's ids say the same is one of the things that are
judged. Uses only the model's files and records, and nothing of the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support import model_origins, model_proposals
from tests.support.model_values import Asks, Files, Judged, Key, Known, Standing, Talk

if TYPE_CHECKING:
    from tests.support.model import Model

AHEAD = timedelta(minutes=5)
"""How far ahead the clock of who answered may have been."""


def key(model: Model, application: str, name: str, commit: str, tip: str, decided: str | None = None) -> Key:
    """The plan to bring a candidate onto a tip; `decided`: by which commit, where it conflicts."""
    known, rules = model.known[application, name], model.applications[application].environments[name]
    assert known.release
    base = known.release[1]
    result, _, _ = model.table(application, rules, base, tip, commit, decided)
    inside = model.applications[application].inside
    sides: list[Files] = [model.files(tip), model.files(base), result]
    contents = tuple(frozenset((p, text) for p, text in side.items() if inside(p)) for side in sides)
    return Key(application, name, commit, contents, known.epoch, decided)


def identify(model: Model, plan_id: str, plan: Key) -> None:
    """A plan id is of one plan, and a plan has one."""
    before = model.plans.setdefault(plan_id, plan)
    assert before == plan, (
        f"plan {plan_id} is of {plan.source}, {plan.epoch}, and was of {before.source}, {before.epoch}"
    )
    same = [oid for oid, other in model.plans.items() if other == plan]
    assert same == [plan_id], f"{same} are one plan"


def decided_with(model: Model, application: str, name: str) -> list[str]:
    """The environments whose decision counts for this one too."""
    rules, found = model.applications[application].environments, list[str]()
    while other := rules[name].same_as:
        found, name = [*found, other], other
    return found


def _known(model: Model, plan: Key) -> Known:
    return model.known[plan.application, plan.environment]


def _elsewhere(model: Model, plan: Key, name: str, tip: str) -> list[tuple[datetime, str, str]]:
    """What people said of the plan that another environment has for the same commit now: (when, who, word)."""
    known, rules = model.known[plan.application, name], model.applications[plan.application].environments[name]
    source = model.tips[rules.source or ""]
    if known.release is None or plan.source not in model.candidates(plan.application, source, known.release[1]):
        return []
    _, conflicts, _ = model.table(plan.application, rules, known.release[1], tip, plan.source)
    there = key(model, plan.application, name, plan.source, tip)
    return [(at, who, word) for (about, who), (word, at) in known.said.items() if about == there and not conflicts]


def standing(model: Model, plan: Key, now: datetime, tips: Mapping[str, str] | None = None) -> Standing:
    """How it stands with one plan."""
    asks, barred = _asks(model, plan), _barred(model, plan)
    words = [(at, who, word) for (about, who), (word, at) in _known(model, plan).said.items() if about == plan]
    yes = set[str]()
    for name in decided_with(model, plan.application, plan.environment):
        there = model.known[plan.application, name]
        if there.release and model.fits(plan.application, name, (tips or model.tips)[name]):
            yes |= there.granted.get(plan.source, {}).keys()
            words += _elsewhere(model, plan, name, (tips or model.tips)[name])
    for at, who, word in sorted(words, key=lambda each: each[0]):
        yes.discard(who)
        yes |= {who} if word == "approved" and -AHEAD <= now - at < asks.expires else set()
    approved = yes & {*asks.people} - barred
    return Standing(frozenset(approved), frozenset(set(asks.people) - barred - approved), frozenset(barred))


def _asks(model: Model, plan: Key) -> Asks:
    asks = model.applications[plan.application].environments[plan.environment].asks
    assert asks, f"{plan.environment} asks nobody"
    return asks


def _barred(model: Model, plan: Key) -> set[str]:
    asks, known = _asks(model, plan), model.known[plan.application, plan.environment]
    source = model.applications[plan.application].environments[plan.environment].source
    if not asks.not_author:
        return set()
    assert known.release
    new = model_origins.brought(model, plan.application, source or "", known.release[1], plan.source)
    authors = model_origins.writers(model, new.commits | model_proposals.deciding(model, plan.resolution))
    return {who for who in asks.people if not new.whole or who in authors}


# --- what people say -------------------------------------------------------------------------------------------------


def may(model: Model, talk: Talk, tips: Mapping[str, str], now: datetime) -> bool:
    """Whether somebody may say this, with the records as they are and the branches where `tips` says."""
    plan = talk.shown
    app, name = plan.application, plan.environment
    known, rules = model.known[app, name], model.applications[app].environments[name]
    if talk.word == "withdrawn":
        leads = any(name in decided_with(model, app, other) for other in model.applications[app].environments)
        return (plan, talk.who) in known.said or (leads and known.granted.get(plan.source, {}).get(talk.who) == plan)
    if talk.who not in _asks(model, plan).people or known.release is None or not model.fits(app, name, tips[name]):
        return False
    if plan.source not in model.candidates(app, tips[rules.source or ""], known.release[1]):
        return False
    if plan != key(model, app, name, plan.source, tips[name], plan.resolution):
        return False
    result, conflicts, _ = model.table(app, rules, known.release[1], tips[name], plan.source, plan.resolution)
    if conflicts or result == model.files(tips[name]):
        return False
    if talk.word == "rejected":
        return known.said.get((plan, talk.who), ("",))[0] != "rejected"
    now_it_is = standing(model, plan, now, tips)
    if talk.who in now_it_is.barred or (talk.who in now_it_is.approved and (plan, talk.who) in known.said):
        return False
    return not model.refusal(app, name, plan.source, tips[name], result, (plan, talk.who))


def said(model: Model, event: Mapping[str, Any], at: datetime) -> None:
    """Judges the record of what somebody said, and believes it: it stands in the place of all they said of that plan."""
    word, who, source = event["event"], event["by"].lower(), event["source"]
    talks = [t for t in model.talks if (t.word, t.who, t.shown.source) == (word, who, source)]
    assert talks, f"{who} did not say that {source} is {word}"
    talk = talks[-1]
    plan = talk.shown
    assert (event["application"], event["environment"]) == (plan.application, plan.environment)
    identify(model, event["plan_id"], plan)
    then = next((tips for tips in (talk.tips, model.tips) if may(model, talk, tips, at)), None)
    assert then is not None, f"{who} may not say that {source} is {word}"
    known = model.known[plan.application, plan.environment]
    known.rejected.pop((plan, who), None)
    known.said.pop((plan, who), None)
    if word == "withdrawn" and known.granted.get(plan.source, {}).get(who) == plan:
        del known.granted[plan.source][who]
    if word != "withdrawn":
        known.said[plan, who] = (word, at)
    if word == "rejected":
        _, _, result = (dict(side) for side in plan.contents)
        before = dict(plan.contents[0])
        entries = {p: result.get(p) for p in {*before, *result} if before.get(p) != result.get(p)}
        assert set(event["entries"]) == set(entries), f"{who} rejected {set(event['entries'])}, not {set(entries)}"
        known.rejected[plan, who] = entries


def let_in(model: Model, event: Mapping[str, Any], plan: Key, judged: Judged) -> None:
    """Judges on whose word something landed, and keeps it for those who take this decision."""
    said, known = {*event.get("approvers", ())}, _known(model, plan)
    if judged.asked:
        assert said == judged.asked.approved, (
            f"{plan.source} is in {plan.environment} by {judged.asked.approved}, not {said}"
        )
    others = (
        {name: model.tips[name] for name in decided_with(model, plan.application, plan.environment)} if said else {}
    )
    assert event.get("elsewhere", {}) == others, f"decided with {event.get('elsewhere')}, expected {others}"
    model.counted["landed on a decision elsewhere"] += bool(
        said and not said & {who for about, who in known.said if about == plan}
    )
    granted = {who: plan for about, who in known.said if about == plan and who in said}
    known.granted.pop(plan.source, None)
    known.granted |= {plan.source: granted} if granted else {}
