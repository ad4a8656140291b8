"""Where people find runs in Prefect's UI. By plain requests, and only for addresses: Prefect itself takes a second to load."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from promotion.web import Door, Limits, UnansweredError

QUICKLY = Limits(connect=1.0, idle=1.0, total=1.5)
"""For an address beside an answer that is there already."""
MOST = 100
"""How many plans are asked about at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for an approval: the plan, and the page of its run."""

    plan: str
    page: str


def page_of(address: str, name: str) -> str | None:
    """The page of the run of this name; None when there is none."""
    found = _runs(address, {"flow_runs": {"name": {"any_": [name]}}})
    return _page(address, found[0]) if found else None


def asked(address: str, application: str) -> Request | None:
    """Where people are asked about an application now; None while they are not."""
    state, tags = {"name": {"any_": ["Suspended"]}}, {"all_": [f"application-{application}"]}
    found = _runs(address, {"flow_runs": {"state": state, "tags": tags}, "flows": {"name": {"any_": ["approve"]}}})
    return Request(found[0]["parameters"]["plan"], _page(address, found[0])) if found else None


def asks(plans: Sequence[str], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Where people are asked about plans now, by plan id, on the server that PREFECT_API_URL names; what is not known at once is left out."""
    api = environ.get("PREFECT_API_URL", "").rstrip("/")
    if not plans or not api.startswith(("http://", "https://")) or "@" in api:
        return {}
    tags = {f"plan-{plan_id[:16]}": plan_id for plan_id in plans[:MOST]}
    open_states = {"type": {"any_": ["PAUSED", "SCHEDULED", "PENDING", "RUNNING"]}}
    question = {
        "flow_runs": {"state": open_states, "tags": {"any_": [*tags]}},
        "flows": {"name": {"any_": ["approve"]}},
    }
    ui = environ.get("PREFECT_UI_URL", api).rstrip("/").removesuffix("/api")
    found: dict[str, str] = {}
    with suppress(UnansweredError, ValueError, LookupError, TypeError):
        for run in _runs(api.removesuffix("/api"), question, environ, MOST):
            for tag in set(run["tags"]) & tags.keys():
                found.setdefault(tags[tag], _page(ui, run))
    return found


def _page(address: str, run: dict[str, Any]) -> str:
    return f"{address}/runs/flow-run/{run['id']}"


def _runs(
    address: str, question: dict[str, Any], environ: Mapping[str, str] | None = None, most: int = 1
) -> list[dict[str, Any]]:
    """The first ones that are found. Raises UnansweredError, and ValueError for what is no list of runs."""
    headers = {"Content-Type": "application/json", **_who(environ or {})}
    content = json.dumps({**question, "limit": most}).encode()
    limits = Limits() if environ is None else QUICKLY
    with Door() as door:
        answer = door.ask("POST", f"{address}/api/flow_runs/filter", headers=headers, content=content, limits=limits)
    if answer.status != 200:
        raise ValueError(f"Prefect answers {answer.status}")
    return list(json.loads(answer.body))


def _who(environ: Mapping[str, str]) -> dict[str, str]:
    """The header of a server that wants a password."""
    password = environ.get("PREFECT_API_AUTH_STRING")
    return {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"} if password else {}
