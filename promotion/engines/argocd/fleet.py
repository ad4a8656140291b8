"""Finds the Applications of many environments with few questions, has them judged, and asks Argo CD to look at Git."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from promotion.engines.argocd import webhook
from promotion.engines.argocd.judge import PATHS, REFRESH, judge
from promotion.engines.argocd.server import AbsentError
from promotion.engines.argocd.sources import Json, at, name_of
from promotion.engines.argocd.ways import Way, key, labels, way
from promotion.engines.contract import Asked, Deployed, agreed
from promotion.engines.kept import FEW, Kept
from promotion.errors import ConfigError, PromotionError
from promotion.model import Subject
from promotion.spelling import nearest

SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True)
class Found:
    """The Applications of one question, or why there are none; `age` in seconds."""

    apps: list[Json] | PromotionError
    age: float = 0.0


def look(asked: Sequence[Asked], kept: Kept | None = None) -> list[Deployed | PromotionError]:
    """What is deployed in each, or why that is not known; one list for all that have their Applications in one place."""
    places: dict[object, list[int]] = {}
    for number, (settings, _) in enumerate(asked):
        places.setdefault(key(settings), []).append(number)
    found: dict[int, Found] = {}
    with ThreadPoolExecutor(min(SIDE_BY_SIDE, max(1, len(places)))) as pool:
        for numbers, answers in zip(
            places.values(),
            pool.map(lambda numbers: _of_place([asked[n] for n in numbers], kept), places.values()),
            strict=True,
        ):
            found |= zip(numbers, answers, strict=True)
    return [_judged(settings, subject, found[number]) for number, (settings, subject) in enumerate(asked)]


def _judged(settings: Mapping[str, Any], subject: Subject, found: Found) -> Deployed | PromotionError:
    if isinstance(found.apps, PromotionError):
        return found.apps
    repository, beside = _repository(settings, subject), {name_of(app) for app in found.apps}
    try:
        said = [(name_of(app), judge(app, subject, repository, beside)) for app in found.apps]
        return replace(agreed(said, subject.revision), age=found.age)
    except PromotionError as exc:
        return exc


def _repository(settings: Mapping[str, Any], subject: Subject) -> str:
    return str(settings.get("repository", subject.repository))


# --- finding Applications --------------------------------------------------------------------------------------------


def names(settings: Mapping[str, Any]) -> list[str]:
    """Those that are named; none where they are chosen by labels."""
    written = settings.get("application", [])
    return [written] if isinstance(written, str) else list(dict.fromkeys(written))


def _of_place(asked: Sequence[Asked], kept: Kept | None) -> list[Found]:
    """The Applications of each question, or why there are none."""
    try:
        door = way(asked[0][0], asked[0][1].environ)
        wanted = {*(name for settings, _ in asked for name in names(settings))}
        selectors = {labels(settings["selector"]) for settings, _ in asked if "selector" in settings}
        many = len(wanted) + len(selectors)
        if kept and (known := kept.everything(key(asked[0][0]), many, lambda: door.list({}))):
            everything, age = known
            return [_tried(lambda s=settings: _kept(s, everything, door), age) for settings, _ in asked]  # type: ignore[misc]
        if many > FEW:
            everything = door.list({})
            return [_tried(lambda s=settings: _chosen(s, everything, door)) for settings, _ in asked]  # type: ignore[misc]
    except PromotionError as exc:
        return [Found(exc)] * len(asked)
    with ThreadPoolExecutor(FEW) as pool:
        return list(pool.map(lambda one: _tried(lambda: _asked_for(one[0], door)), asked))


def _tried(find: Callable[[], list[Json]], age: float = 0.0) -> Found:
    try:
        return Found(find(), age)
    except PromotionError as exc:
        return Found(exc)


def _kept(settings: Mapping[str, Any], everything: Sequence[Json], door: Way) -> list[Json]:
    """Out of a list that is some seconds old: one that is not there may have come since."""
    try:
        return _chosen(settings, everything, door)
    except ConfigError:
        return _asked_for(settings, door)


def _asked_for(settings: Mapping[str, Any], door: Way) -> list[Json]:
    """By one question each. Raises PromotionError."""
    if selector := settings.get("selector"):
        return _some(door.list(selector), settings, door)
    return [_one(name, door) for name in names(settings)]


def _one(name: str, door: Way) -> Json:
    from promotion.kube import MissingError

    try:
        return door.get(name)
    except (AbsentError, MissingError) as exc:
        try:
            others = [name_of(app) for app in door.list({})]
        except PromotionError:
            raise exc from None  # the first error says more
        raise _absent(name, others, door) from exc


def _chosen(settings: Mapping[str, Any], everything: Sequence[Json], door: Way) -> list[Json]:
    """Out of a list of all."""
    if selector := settings.get("selector"):
        return _some([app for app in everything if _has(app, selector)], settings, door)
    found = []
    for name in names(settings):
        same = [app for app in everything if at(app, "metadata", "name") == name]
        if not same:
            raise _absent(name, [name_of(app) for app in everything], door)
        found.append(same[0] if len(same) == 1 else door.get(name))  # several namespaces have one of this name
    return found


def _has(app: Json, selector: Mapping[str, str]) -> bool:
    return all(at(app, "metadata", "labels", name) == value for name, value in selector.items())


def _some(found: list[Json], settings: Mapping[str, Any], door: Way) -> list[Json]:
    if not found:
        raise ConfigError(f"no Application has the labels {labels(settings['selector'])}", where=door.where)
    return sorted(found, key=name_of)


def _absent(name: str, others: Iterable[str], door: Way) -> ConfigError:
    return ConfigError(f"no such Application `{name}`{nearest(name, sorted(others), 8)}", where=door.where)


# --- asking it to look -----------------------------------------------------------------------------------------------


def ask_for(settings: Mapping[str, Any], subject: Subject) -> None:
    """Asks for a look by annotations, or by a push event, as `refresh` says. Raises PromotionError."""
    if settings["refresh"] == "webhook":
        webhook.push(settings, subject, _repository(settings, subject))
        return
    door = way(settings, subject.environ)
    for app in _asked_for(settings, door):
        _look(app, door)


def _look(app: Json, door: Way) -> None:
    """A request that is there already is left alone: a `hard` one that became `normal` would not be what was asked for."""
    pending = at(app, "metadata", "annotations", REFRESH)
    if at(app, "metadata", "annotations", PATHS) is None:
        if pending is None:
            door.look(app, "normal", None)
    elif pending != "hard":
        door.look(app, "hard", _mark(app))


def _mark(app: Json) -> str:
    """What a hard refresh is asked for: what is compared now, and what `reconciledAt` was before it.

    Not what is expected: a look that did not see it yet would be taken for proof of it later.
    """
    sync = at(app, "status", "sync")
    commits = dict.fromkeys(filter(None, [at(sync, "revision"), *(at(sync, "revisions") or [])]))
    return " ".join([*map(str, commits), str(at(app, "status", "reconciledAt") or "never")])
