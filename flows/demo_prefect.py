"""What the demo asks its Prefect server: which run made a hop, and where people are asked. By plain requests, and only for addresses."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any


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


def _page(address: str, run: dict[str, Any]) -> str:
    return f"{address}/runs/flow-run/{run['id']}"


def _runs(address: str, question: dict[str, Any]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/api/flow_runs/filter",
        json.dumps({**question, "limit": 1}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return list(json.load(answer))
