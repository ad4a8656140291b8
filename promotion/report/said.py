"""How it stands with people's approval, as JSON."""

from __future__ import annotations

from typing import Any

from promotion.texts import iso
from promotion.view import Standing


def as_data(standing: Standing) -> dict[str, Any]:
    """How it stands with people, as JSON."""
    approved = [
        {"by": a.by, "at": iso(a.at), "until": iso(a.until) if a.until else None, "how": a.how}
        for a in standing.approved
    ]
    return {
        "count": standing.count,
        "approved": approved,
        "may": list(standing.may),
        "barred": [{"who": b.who, "why": b.why} for b in standing.barred],
        "expires": int(standing.expires.total_seconds()),
        "identity": standing.identity,
    }
