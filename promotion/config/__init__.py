"""environments.yaml -> Pipeline; must not reach a repository, the network or an engine.

`parse` judges everything at once: the text, the schema, and how values belong together over whatever the schema let pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from promotion.config import document, names
from promotion.config.consistency import Named, directory, fill, findings, words_of
from promotion.config.document import SIZE, Steps
from promotion.config.schema import problems, schema
from promotion.errors import ConfigError
from promotion.model import Application, Environment, Pipeline, Schedule, Spec, Verify, duration

__all__ = ["load", "parse", "schema"]

DECIDING = ("from", "strategy", "protect", "gates", "health", "verify")
"""The keys of an environment that decide what may land, beside repository and branch (section 6, plan_id)."""
HEARTBEAT = "10m"


def load(path: Path) -> Pipeline:
    """Reads a file. Raises ConfigError, with one line for each problem."""
    try:
        with path.open("rb") as file:
            text = file.read(SIZE + 1)
    except FileNotFoundError as exc:
        raise _unread(path, "no such file", "promotion init --repository URL --environments dev,qa,prod") from exc
    except IsADirectoryError as exc:
        raise _unread(path, "is a directory, not a file", "promotion -c DIRECTORY/environments.yaml") from exc
    except (OSError, ValueError) as exc:
        raise _unread(path, (getattr(exc, "strerror", None) or str(exc)).lower()) from exc
    return parse(text, path)


def _unread(path: Path, what: str, hint: str | None = None) -> ConfigError:
    name = document.plain(str(path), 200)
    return ConfigError(what, where=name, hint=hint, problems=(f"{name}: {what}",))


def parse(text: bytes, path: Path) -> Pipeline:
    """The file's content as a Pipeline; `path` is the file's name as the user gave it. Raises ConfigError."""
    name = document.plain(str(path), 200)
    read = document.read(text, name)
    raw = read.data if isinstance(read.data, dict) else {}
    base = path.absolute().parent
    judged = problems(read)
    data = _sound(raw, judged, ())
    applications = list(_applications(data, base))
    found = [read.problem(f.steps, f.text, at_key=f.at_key) for f in findings(data, raw, applications, base)]
    if () in judged:
        found = []
    if wrong := [*read.problems, *judged.values(), *(p for p in found if p.steps not in judged)]:
        raise document.failure(name, wrong)
    return _pipeline(data, applications, base, path)


def _sound(value: Any, wrong: Mapping[Steps, Any], steps: Steps) -> Any:
    """The same without what the schema does not allow: keys are left out, and in a list None stands in its place."""
    if isinstance(value, dict):
        below = {key: (*steps, key) for key in value}
        return {key: _sound(value[key], wrong, way) for key, way in below.items() if way not in wrong}
    if isinstance(value, list):
        items = [(item, (*steps, i)) for i, item in enumerate(value)]
        return [None if way in wrong else _sound(item, wrong, way) for item, way in items]
    return value


def _applications(data: Mapping[str, Any], base: Path) -> Iterator[Named]:
    entries: list[tuple[Steps, Any]] = [((), data)]
    if "applications" in data:
        entries = [(("applications", i), entry) for i, entry in enumerate(data["applications"])]
    for steps, entry in entries:
        if entry and "repository" in entry:
            repository = entry["repository"]
            name = entry.get("name", names.last_segment(repository))
            ledger = entry.get("ledger", f"promotion/{name}")
            ref = ledger if ledger.startswith("refs/") else f"refs/heads/{ledger}"
            yield Named(steps, name, repository, names.place(repository, base), ref)


# --- values that are right -----------------------------------------------------------------------------------------


def _pipeline(data: Mapping[str, Any], applications: list[Named], base: Path, path: Path) -> Pipeline:
    heartbeat = data.get("heartbeat", HEARTBEAT)
    ordered = _sources_first(data["environments"])
    made = []
    for named in applications:
        environments = tuple(_environment(written, named, base) for written in ordered)
        in_force = {
            "heartbeat": heartbeat,
            "environments": {
                e["name"]: _in_force(e, made_of) for e, made_of in zip(ordered, environments, strict=True)
            },
        }
        made.append(Application(named.name, named.place, named.ledger, environments, in_force, duration(heartbeat)))
    return Pipeline(path, tuple(made))


def _sources_first(environments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order of the file, but each after the one it takes commits from."""
    left, ordered, there = list(environments), [], {None}
    while left:
        following = next(e for e in left if e.get("from") in there)
        left.remove(following)
        ordered.append(following)
        there.add(following["name"])
    return ordered


def _environment(written: Mapping[str, Any], named: Named, base: Path) -> Environment:
    filled = {key: fill(value, words_of(named.name, written["name"])) for key, value in written.items()}
    engine = filled["engine"] | {"path": directory(filled["engine"]["path"], base)}
    return Environment(
        name=written["name"],
        branch=filled["branch"],
        source=written.get("from"),
        auto=written.get("auto", True),
        engine=_spec(engine),
        health=() if written["health"] == "none" else tuple(map(_spec, filled["health"])),
        gates=tuple(map(_spec, filled.get("gates", ()))),
        protect=tuple(written.get("protect", ())),
        verify=_verify(written.get("verify", {})),
        dwell=duration(written.get("dwell", "0s")),
        schedule=_schedule(written.get("schedule")),
        deciding=_deciding(written, filled, named),
    )


def _deciding(written: Mapping[str, Any], filled: Mapping[str, Any], named: Named) -> Mapping[str, Any]:
    may_hold_placeholders = {"gates", "health"}
    keys = {k: (filled if k in may_hold_placeholders else written)[k] for k in DECIDING if k in written}
    return {"repository": named.repository, "branch": filled["branch"]} | keys


def _in_force(written: Mapping[str, Any], environment: Environment) -> Mapping[str, Any]:
    return {**environment.deciding, **{key: written[key] for key in ("dwell", "auto") if key in written}}


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
