"""The naive model's word on overrides: who gets past which gates, and that nothing is said of it but what is so.

Uses only the model's records, and nothing of the product.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.support.model_values import Judged, Known, Owed

if TYPE_CHECKING:
    from tests.support.model import Model

EVER = {"soak", "window", "approval", "freeze"}
"""What anybody may ever get past, whatever is configured."""


def may(model: Model, application: str, who: str, gates: Collection[str]) -> bool:
    """Whether somebody may get past these gates."""
    app = model.applications[application]
    return who.lower() in app.overriders and {*gates} <= {*app.skip} & EVER


def past(known: Known, judged: Judged, gates: Collection[str]) -> Judged:
    """The same, once somebody who may gets past these gates; a strict freeze stays, and so does all that has no name here."""
    left = {gate: why for gate, why in judged.gates.items() if gate not in gates or (gate == "freeze" and known.strict)}
    return replace(judged, gates=left)


def overridden(model: Model, event: Mapping[str, Any]) -> None:
    """Judges the record of an override, which must come to something with the very next one."""
    app, name, who, gates = event["application"], event["environment"], event["by"], event["gates"]
    asked = [wanted for *about, wanted in model.overriding if about == [app, name, who]]
    assert asked, f"{who} did not override {gates} for {name} of {app}"
    assert {*gates} <= {*asked[-1]}, f"{who} is said to override {gates} for {name}, and meant {asked[-1]}"
    assert may(model, app, who, asked[-1]), f"{who} overrode {gates} for {name} of {app}, who may not"
    assert gates, f"{who} overrode nothing for {name} of {app}"
    assert event["reason"], f"{who} overrode {gates} for {name} of {app}, and nobody knows why"
    model.known[app, name].over = (event["plan_id"], frozenset(gates))


def let_in(model: Model, event: Mapping[str, Any], judged: Judged) -> Judged:
    """What keeps out still what somebody got in; each gate that is recorded as overridden did not pass by itself."""
    app, name = event["application"], event["environment"]
    known = model.known[app, name]
    plan, gates = known.over or (None, frozenset[str]())
    known.over = None
    if plan is None:
        return judged
    assert plan == event["plan_id"], f"{sorted(gates)} overridden for {plan}, and {event['plan_id']} landed on {name}"
    assert gates <= judged.gates.keys(), f"{sorted(gates)} overridden for {name} of {app}, and it is {judged.gates}"
    model.counted[f"past {', '.join(sorted(gates))}"] += 1
    return past(known, judged, gates)


def open_at(model: Model, application: str, name: str, owed: Owed, gates: Collection[str], chosen: str | None) -> str:
    """The commit that somebody who gets past these gates may have now; '' for none."""
    known, rules = model.known[application, name], model.applications[application].environments[name]
    left = model.known[application, rules.source or ""].past
    for oid in owed.candidates:
        judged = past(known, owed.judged[oid], gates)
        if chosen in (None, oid) and oid not in left and not (judged.gates or judged.conflicts or judged.absorbed):
            return oid
    return ""
