"""An application and its environments as the configuration in force at some time had them, as far as it decides about content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from promotion import scope
from promotion.events import Event
from promotion.model import Application, Environment
from promotion.observe import Site
from promotion.state import State
from promotion.stored import entries_from_json
from promotion.view import Resolution, View


def application(app: Application, state: State, name: str) -> Application:
    """With the scope of then; `name` is an environment of it."""
    return replace(app, paths=tuple(_settings(state, name).get("paths", ())))


def environment(state: State, name: str) -> Environment:
    settings = _settings(state, name)
    return Environment(
        name,
        settings.get("branch", ""),
        source=settings.get("from"),
        protect=tuple(settings.get("protect", ())),
        strategy=settings.get("strategy", "merge"),
        history=settings.get("history", "merge"),
    )


def _settings(state: State, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (state.in_force or {}).get("environments", {}).get(name, {})
    return found


def view(app: Application, state: State, event: Event) -> View:
    """What a promotion was decided on; `state` is from before it."""
    data, target = event.data, environment(state, event.environment or "")
    return View(
        application=application(app, state, target.name),
        environment=target,
        now=datetime.fromtimestamp(0, UTC),
        state=state.of(target.name),
        source_state=state.of(target.source or ""),
        tip=data["target"],
        base=data["base"],
        source_tip=data["source"],
        chain=(),
        contents=("", ""),
        resolution=_decided(data),
    )


def standing(site: Site, state: State, name: str, tip: str, source: str) -> View:
    """What is decided on where nothing was promoted yet: a release is there, and these commits are in the clone."""
    app, there = application(site.application, state, name), state.of(name)
    deciding = {key: value for key, value in _settings(state, name).items() if key not in ("dwell", "auto")}
    target = replace(environment(state, name), deciding=deciding)
    base = there.release.source if there.release else source
    return View(
        application=app,
        environment=target,
        now=datetime.fromtimestamp(0, UTC),
        state=there,
        source_state=state.of(target.source or ""),
        tip=tip,
        base=base,
        source_tip=source,
        chain=(),
        contents=(scope.digest(site.repository, app, tip), scope.digest(site.repository, app, base)),
    )


def _decided(data: Mapping[str, Any]) -> Resolution | None:
    if "resolution" not in data:
        return None
    return Resolution(data["resolution"]["commit"], entries_from_json(data["resolution"]["entries"]))
