"""Server-side apply and merge patches as far as tests need them: who owns which field. Lists of named parts merge by name."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]
"""Keys; a part of a list is `k:{"name":"web"}`."""
KEYS = {"containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "ports": "containerPort"}
OURS = (("labels",), ("annotations",), ("finalizers",), ("ownerReferences",))
"""What somebody can own of metadata."""


def merged(live: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(live) if isinstance(live, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field with its value; a list without keys is one."""
    key = KEYS.get(path[-1]) if path else None
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif key and isinstance(value, list) and all(isinstance(each, Mapping) and key in each for each in value):
        for each in value:
            yield from leaves(each, (*path, "k:" + json.dumps({key: each[key]}, separators=(",", ":"))))
    else:
        yield path, value


def _step(holder: Any, part: str, make: Any) -> Any:
    """The inner value of a path's part, made when it lacks and `make` says what it is."""
    if part.startswith("k:"):
        wanted = json.loads(part[2:])
        for each in holder:
            if wanted.items() <= each.items():
                return each
        if make is not None:
            holder.append(dict(wanted))
            return holder[-1]
        return None
    if make is not None and not isinstance(holder.get(part), type(make)):
        holder[part] = make
    return holder.get(part)


def put(target: dict[str, Any], path: Path, value: Any) -> None:
    """Sets one field."""
    holder: Any = target
    for part, following in itertools.pairwise(path):
        holder = _step(holder, part, [] if following.startswith("k:") else {})
    if path[-1].startswith("k:"):
        _step(holder, path[-1], {})
    else:
        holder[path[-1]] = copy.deepcopy(value)


def take(target: dict[str, Any], path: Path) -> None:
    """Removes one field, and what is empty then."""
    holders: list[tuple[Any, str]] = []
    holder: Any = target
    for part in path:
        if holder is None:
            return
        holders.append((holder, part))
        holder = _step(holder, part, None)
    for holder, part in reversed(holders):
        if part.startswith("k:"):
            inner = _step(holder, part, None)
            if inner is None or set(inner) - set(json.loads(part[2:])):
                return
            holder.remove(inner)
        else:
            if (holder, part) != holders[-1] and holder.get(part):
                return
            holder.pop(part, None)


def shown(path: Path) -> str:
    """As a server writes a field: `.spec.containers[name="web"].image`."""
    said = ""
    for part in path:
        if part.startswith("k:"):
            said += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(part[2:]).items()) + "]"
        else:
            said += f".{part}"
    return said


def fields(paths: set[Path]) -> dict[str, Any]:
    """The fieldsV1 of managedFields."""
    result: dict[str, Any] = {}
    for path in sorted(paths):
        inner = result
        for part in path:
            inner = inner.setdefault(part if part.startswith("k:") else f"f:{part}", {})
    return result


Owners = dict[tuple[str, str], set[Path]]
"""(manager, Apply or Update) -> what it owns."""


def owned(body: Mapping[str, Any]) -> dict[Path, Any]:
    """What a body says, but for what names the object, what servers fill in, and its status."""
    return {
        path: value
        for path, value in leaves(body)
        if path and path[0] not in ("apiVersion", "kind", "status") and (path[0] != "metadata" or path[1:2] in OURS)
    }


def apply(
    live: dict[str, Any] | None, owners: Owners, body: Mapping[str, Any], manager: str, force: bool
) -> tuple[dict[str, Any], Owners, list[tuple[str, Path]]]:
    """The object afterwards, who owns what then, and the conflicts (manager, field) that forbid it."""
    wanted = owned(body)
    result = copy.deepcopy(live) if live is not None else {k: copy.deepcopy(body[k]) for k in ("apiVersion", "kind")}
    result.setdefault("metadata", {})
    have = dict(leaves(result))
    after = {key: set(paths) for key, paths in owners.items()}
    mine = (manager, "Apply")
    conflicts = [
        (key[0], path)
        for path, value in wanted.items()
        for key, paths in owners.items()
        if key != mine and path in paths and have.get(path) != value
    ]
    if conflicts and not force:
        return result, after, conflicts
    for other, path in conflicts:
        for key in after:
            if key[0] == other and key != mine:
                after[key].discard(path)
    for path in after.get(mine, set()) - set(wanted):
        if not any(path in paths for key, paths in after.items() if key != mine):
            take(result, path)
    for path, value in wanted.items():
        put(result, path, value)
    for key in ("name", "namespace"):
        if value := body["metadata"].get(key):
            result["metadata"][key] = value
    after[mine] = set(wanted)
    return result, {key: paths for key, paths in after.items() if paths}, []


def update(before: Mapping[str, Any] | None, after: Mapping[str, Any], owners: Owners, manager: str) -> Owners:
    """Who owns what when somebody has changed an object without apply: what changed is theirs."""
    had = owned(before or {})
    changed = {path for path, value in owned(after).items() if had.get(path) != value or path not in had}
    gone = set(had) - set(owned(after))
    result = {key: paths - changed - gone for key, paths in owners.items()}
    mine = (manager, "Update")
    result[mine] = result.get(mine, set()) | changed
    return {key: paths for key, paths in result.items() if paths}
