"""Whether somebody may get past gates, as the configuration in force allows it; and the record of it. Decides nothing about a change."""

from __future__ import annotations

from collections.abc import Sequence

from promotion.config.schema import schema
from promotion.errors import ConfigError, RefusedError
from promotion.events import Event
from promotion.gates.approval import called
from promotion.observe import Site
from promotion.reconcile.draft import event_for
from promotion.spelling import nearest
from promotion.texts import person
from promotion.view import Overriding, Plan
from promotion.wording import line
from promotion.wording import reason as a_reason


def overriding(site: Site, gates: Sequence[str], reason: str) -> Overriding | None:
    """What somebody wants to get past; None without gates.

    Raises ConfigError for a gate that nobody ever may override and without a reason, RefusedError for somebody who may not.
    """
    if not gates:
        return None
    known = list(schema()["$defs"]["overrides"]["properties"]["skip"]["items"]["enum"])
    for gate in gates:
        if gate not in known:
            raise ConfigError(f"`{gate}` is never overridden{nearest(gate, known)}", where="--override")
    allowed, who = site.application.overrides, line(site.by, "a name")
    if person(who) not in allowed.by:
        may = ", ".join(called(allowed.by).values()) or "nobody"
        raise RefusedError(f"{who} may not override anything here: {may} may", where=site.application.name)
    if wrong := [gate for gate in gates if gate not in allowed.skip]:
        skip = ", ".join(allowed.skip)
        raise RefusedError(f"{', '.join(wrong)} is not overridden here: {skip} may be", where=site.application.name)
    return Overriding(tuple(dict.fromkeys(gates)), who, a_reason(reason, "--reason"))


def overridden(site: Site, plan: Plan) -> list[Event]:
    """The record of the gates that a plan gets past; nothing where all pass by themselves."""
    over = plan.view.overriding
    if over is None or not plan.overridden:
        return []
    data = {"plan_id": plan.plan_id, "gates": list(plan.overridden), "reason": over.reason}
    return [event_for(site, "overridden", plan.view.environment, data)]
