"""What plans were made of that were shown on this machine, so that it can be said why one is void: a small file that may be lost."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from promotion.observe import Site
from promotion.plan import inputs
from promotion.view import Plan

KEPT = 100
LARGEST = 4 << 20


def remember(site: Site, plan: Plan) -> None:
    """Keeps what a plan that was shown is made of; whatever is in the way of that is no trouble."""
    if plan.plan_id is None or plan.commit is None or plan.merged is None:
        return
    known = _read(site)
    if plan.plan_id in known:
        return
    decided = plan.view.resolution
    made_of = inputs(plan.view, plan.commit, plan.merged)
    known[plan.plan_id] = made_of | ({"resolution": decided.commit} if decided else {})
    path = site.repository.path.with_suffix(".shown.json")
    with contextlib.suppress(OSError):
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(dict(list(known.items())[-KEPT:])))
        draft.replace(path)


def recalled(site: Site, prefix: str) -> list[dict[str, Any]]:
    """What the plans were made of that begin so, newest first."""
    return [made for identity, made in reversed(_read(site).items()) if identity.startswith(prefix)]


def _read(site: Site) -> dict[str, dict[str, Any]]:
    path = site.repository.path.with_suffix(".shown.json")
    try:
        if path.stat().st_size > LARGEST:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    wanted = {"application", "environment", "source", "contents", "deciding", "epoch"}
    whole = isinstance(found, dict) and all(isinstance(m, dict) and wanted <= m.keys() for m in found.values())
    return found if whole else {}
