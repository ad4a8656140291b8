"""Questions asked about one candidate: the kinds that `gates:` may name, all in one explicit dict.

The gates `source`, `auto` and `hold` always apply and live in `plan`, which also asks for an approval: it is about a plan.
"""

from __future__ import annotations

from promotion.gates import approval, probe, timing
from promotion.gates.contract import Gate

PURE: dict[str, Gate] = {"soak": timing.soak, "window": timing.window, "approval": approval.unasked}
PROBES: dict[str, Gate] = probe.GATES
"""Every check is a gate too; these ask the world."""
GATES: dict[str, Gate] = PURE | PROBES
