"""environments.yaml -> Pipeline; must not reach a repository, the network or an engine.

`parse` judges everything at once: the text, the schema, and how values belong together over whatever the schema let pass.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from promotion.config import credentials, document, healthrules, known, people, trust
from promotion.config.consistency import findings
from promotion.config.document import SIZE, Document, Problem, Steps
from promotion.config.places import directory
from promotion.config.questions import rooted
from promotion.config.schema import problems, schema
from promotion.config.written import Merged, Named, applications
from promotion.errors import ConfigError
from promotion.model import Application, Environment, Pipeline, Schedule, Spec, Verify
from promotion.texts import duration

__all__ = ["load", "parse", "schema"]

DECIDING = ("from", "requires", "strategy", "history", "protect", "gates", "health", "verify")
"""The keys of an environment that decide what may land, beside repository, paths and branch (section 6, plan_id)."""
HEARTBEAT = "10m"


def load(path: Path, cache: Path | None = None) -> Pipeline:
    """Reads a file. Raises ConfigError, with one line for each problem.

    `cache` is a folder that remembers texts that follow the schema: of one of those, only the rest is asked.
    """
    try:
        with path.open("rb") as file:
            text = file.read(SIZE + 1)
    except FileNotFoundError as exc:
        raise _unread(path, "no such file", "promotion init --repository URL --environments dev,qa,prod") from exc
    except IsADirectoryError as exc:
        raise _unread(path, "is a directory, not a file", "promotion -c DIRECTORY/environments.yaml") from exc
    except (OSError, ValueError) as exc:
        raise _unread(path, (getattr(exc, "strerror", None) or str(exc)).lower()) from exc
    return parse(text, path, cache)


def _unread(path: Path, what: str, hint: str | None = None) -> ConfigError:
    name = document.plain(str(path), 200)
    return ConfigError(what, where=name, hint=hint, problems=(f"{name}: {what}",))


def parse(text: bytes, path: Path, cache: Path | None = None) -> Pipeline:
    """The file's content as a Pipeline; `path` is the file's name as the user gave it. Raises ConfigError."""
    name = document.plain(str(path), 200)
    read = document.read(text, name)
    raw = read.data if isinstance(read.data, dict) else {}
    base = path.absolute().parent
    judged = _judged(read, text, path, cache)
    data = _sound(raw, judged, ())
    named = list(applications(data, raw, base))
    found = [read.problem(f.steps, f.text, at_key=f.at_key) for f in findings(data, raw, named, base)]
    if () in judged:
        found = []
    if wrong := [*read.problems, *judged.values(), *(p for p in found if p.steps not in judged)]:
        raise document.failure(name, wrong)
    return _pipeline(data, named, base, path)


def _judged(read: Document, text: bytes, path: Path, cache: Path | None) -> Mapping[Steps, Problem]:
    """What does not follow the schema."""
    if cache is not None and known.is_known(cache, path, text):
        return {}
    found = problems(read)
    if cache is not None and not found:
        known.keep(cache, path, text)
    return found


def _sound(value: Any, wrong: Mapping[Steps, Any], steps: Steps) -> Any:
    """The same without what the schema does not allow: keys are left out, and in a list None stands in its place."""
    if isinstance(value, dict):
        below = {key: (*steps, key) for key in value}
        return {key: _sound(value[key], wrong, way) for key, way in below.items() if way not in wrong}
    if isinstance(value, list):
        items = [(item, (*steps, i)) for i, item in enumerate(value)]
        return [None if way in wrong else _sound(item, wrong, way) for item, way in items]
    return value


# --- values that are right -----------------------------------------------------------------------------------------


def _pipeline(data: Mapping[str, Any], applications: list[Named], base: Path, path: Path) -> Pipeline:
    heartbeat = data.get("heartbeat", HEARTBEAT)
    made = ((_application(named, heartbeat, base, data), named) for named in applications)
    family = tuple(credentials.handed_on(each, named.steps, data, base) for each, named in made)
    return Pipeline(path, tuple(replace(each, family=family) for each in family))


def _application(named: Named, heartbeat: str, base: Path, data: Mapping[str, Any]) -> Application:
    ordered = people.expanded(_sources_first(named.environments), data.get("groups", {}))
    paths = tuple(path.removesuffix("/") for path in named.paths or ())
    rules = data.get(healthrules.KEY, ())
    environments = tuple(_environment(merged, named, base, rules) for merged in ordered)
    both = zip(ordered, environments, strict=True)
    overrides, seeds, trusted = people.overrides(data), people.seeds(data, base), trust.of(data, base)
    in_force = {"heartbeat": heartbeat, "environments": {e.name: _in_force(e, made) for e, made in both}}
    if overrides.by:
        in_force["overrides"] = {"by": list(overrides.by), "skip": list(overrides.skip)}
    if trusted:
        in_force["trust"] = trust.in_force(trusted)
    return Application(
        named.name,
        named.place,
        named.ledger,
        environments,
        in_force,
        duration(heartbeat),
        paths=paths,
        overrides=overrides,
        approvers=seeds,
        trust=trusted,
    )


def _sources_first(environments: Sequence[Merged]) -> list[Merged]:
    """In the order of the file, but each after those it takes commits from or requires."""
    waits = [{*([e.values["from"]] if "from" in e.values else []), *e.values.get("requires", ())} for e in environments]
    following: dict[str, list[int]] = {each.name: [] for each in environments}
    for i, before in enumerate(waits):
        for name in before:
            following[name].append(i)
    ready, ordered = [i for i, before in enumerate(waits) if not before], list[Merged]()
    while ready:
        each = environments[heapq.heappop(ready)]
        ordered.append(each)
        for i in following[each.name]:
            waits[i].discard(each.name)
            if not waits[i]:
                heapq.heappush(ready, i)
    return ordered


def _environment(merged: Merged, named: Named, base: Path, rules: Sequence[Mapping[str, Any]]) -> Environment:
    written, filled = merged.values, merged.filled
    engine = healthrules.given(_spec(_engine(filled["engine"], base)), healthrules.ENGINES, rules)
    health = () if isinstance(written["health"], str) else _checks(filled["health"], base, rules)
    gates = _checks(filled.get("gates", ()), base, rules)
    judges = any(healthrules.KEY in each.settings for each in (engine, *health, *gates))
    return Environment(
        name=merged.name,
        branch=filled["branch"],
        source=written.get("from"),
        auto=written.get("auto", True),
        engine=engine,
        health=health,
        engine_says=written["health"] == "engine",
        gates=gates,
        protect=tuple(written.get("protect", ())),
        requires=tuple(written.get("requires", ())),
        strategy=written.get("strategy", "merge"),
        history=written.get("history", "merge"),
        verify=_verify(written.get("verify", {})),
        dwell=duration(written.get("dwell", "0s")),
        credential=credentials.of(written, base),
        schedule=_schedule(written.get("schedule")),
        deciding={**_deciding(merged, named), **({healthrules.KEY: list(rules)} if judges else {})},
    )


def _engine(written: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """Relative paths are relative to the file; that of a program too, unless it is a mere name, to be found on PATH."""
    places: dict[str, Any] = {"path": directory(written["path"], base)} if written["type"] == "directory" else {}
    if "secret_file" in (hook := written.get("webhook", {})):
        places["webhook"] = {**hook, "secret_file": directory(hook["secret_file"], base)}
    programs = [key for key in ("deploy", "observe") if key in written and "/" in written[key][0]]
    places |= {key: [directory(written[key][0], base), *written[key][1:]] for key in programs}
    return {**rooted(written, base), **places}


def _deciding(merged: Merged, named: Named) -> Mapping[str, Any]:
    keys = {key: merged.filled.get(key, merged.values[key]) for key in DECIDING if key in merged.values}
    scope = {} if named.paths is None else {"paths": [path.removesuffix("/") for path in named.paths]}
    return {"repository": named.repository, **scope, "branch": merged.filled["branch"]} | keys


def _in_force(merged: Merged, environment: Environment) -> Mapping[str, Any]:
    return {**environment.deciding, **{key: merged.values[key] for key in ("dwell", "auto") if key in merged.values}}


def _checks(written: Sequence[Mapping[str, Any]], base: Path, rules: Sequence[Mapping[str, Any]]) -> tuple[Spec, ...]:
    specs = (_spec(rooted(each, base)) for each in written)
    return tuple(healthrules.given(spec, healthrules.CHECKS, rules) for spec in specs)


def _spec(written: Mapping[str, Any]) -> Spec:
    return Spec(written["type"], {key: value for key, value in written.items() if key != "type"})


def _verify(written: Mapping[str, str]) -> Verify:
    spans: dict[str, Any] = {key: duration(written[key]) for key in ("within", "grace") if key in written}
    ends: dict[str, Any] = {key: written[key] for key in ("on_failure", "on_timeout") if key in written}
    return Verify(**spans, **ends)


def _schedule(written: str | Mapping[str, str] | None) -> Schedule | None:
    if written is None:
        return None
    return Schedule(written) if isinstance(written, str) else Schedule(**written)
