"""Looks at the Kustomizations of many environments at once, and again at what was settled before its objects were looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from promotion.engines.contract import Asked, Deployed, agreed
from promotion.engines.flux import asking, readers
from promotion.engines.flux.inventory import KUSTOMIZATION, OWN, SOURCES, Ref
from promotion.engines.flux.reading import fill, kind_of
from promotion.engines.flux.source import check_ours, source
from promotion.engines.flux.status import Live, taken
from promotion.engines.flux.tree import gathered, source_of, together
from promotion.engines.flux.walk import Shelf, Walk
from promotion.engines.kept import Kept
from promotion.errors import ConfigError, PromotionError
from promotion.health import Rules, judge, rules
from promotion.kube import Cluster, connect
from promotion.model import Health, Reading, Subject
from promotion.spelling import nearest

NAMESPACE = "flux-system"
DEEPEST = 50
"""How often what was read may name more that is to be read: Kustomizations make Kustomizations."""


@dataclass(frozen=True, slots=True)
class Question:
    """One environment, asked about at one moment."""

    tops: tuple[Ref, ...]
    subject: Subject
    repository: str
    rules: Rules
    now: datetime

    def walk(self, shelf: Shelf) -> Walk:
        return Walk(shelf, self.subject, self.repository, lambda live: judge(live, self.rules, self.now), self.now)


def question(settings: Mapping[str, Any], subject: Subject) -> Question:
    """Raises ConfigError for health rules that cannot be read."""
    names, namespace = settings["kustomization"], settings.get("namespace", NAMESPACE)
    tops = tuple(Ref(*KUSTOMIZATION, namespace, name) for name in ([names] if isinstance(names, str) else names))
    repository, written = settings.get("repository", subject.repository), settings.get("health_rules", ())
    return Question(tops, subject, repository, rules(written), datetime.now(UTC))


def look(asked: Sequence[Asked], kept: Kept | None = None) -> list[Deployed | PromotionError]:
    """An answer or an error for each. What several share is read once."""
    answers: list[Deployed | PromotionError | None] = [None] * len(asked)
    clusters: dict[int, tuple[Cluster, dict[int, Question]]] = {}
    for number, (settings, subject) in enumerate(asked):
        try:
            cluster = connect(settings, subject.environ)
            clusters.setdefault(id(cluster), (cluster, {}))[1][number] = question(settings, subject)
        except PromotionError as exc:
            answers[number] = exc
    for cluster, questions in clusters.values():
        for number, answer in zip(questions, _answers(cluster, list(questions.values()), kept), strict=True):
            answers[number] = answer
    return [answer for answer in answers if answer is not None]


def _answers(cluster: Cluster, questions: Sequence[Question], kept: Kept | None) -> list[Deployed | PromotionError]:
    shelf = dict[Ref, Any]()
    age = _read(cluster, questions, shelf, kept)
    walks = [each.walk(shelf) for each in questions]
    first = [_answer(each, walk, cluster) for each, walk in zip(questions, walks, strict=True)]
    looked = [
        _well(said) and bool(_below(each, walk)) for each, walk, said in zip(questions, walks, first, strict=True)
    ]
    rests_on = {ref: "" for walk, yes in zip(walks, looked, strict=True) if yes for ref in _to_be_confirmed(walk)}
    again = dict(shelf)
    fill(cluster, rests_on, again)
    return [
        _aged(_confirmed(said, _answer(each, each.walk(again), cluster)) if yes else said, age)
        for each, said, yes in zip(questions, first, looked, strict=True)
    ]


def _aged(said: Deployed | PromotionError, age: float) -> Deployed | PromotionError:
    return replace(said, age=age) if isinstance(said, Deployed) else said


def _well(said: Deployed | PromotionError) -> bool:
    return isinstance(said, Deployed) and said.reading is not None and said.reading.health is Health.HEALTHY


def _below(each: Question, walk: Walk) -> set[Ref]:
    """What was looked at after its Kustomizations had been read."""
    return {ref for ref in walk.used if ref not in each.tops and ref.group != SOURCES}


def _to_be_confirmed(walk: Walk) -> set[Ref]:
    """What Flux deploys by, and the sources and values of what is below: those may have been read for another environment, before
    this one's commit came."""
    return {ref for ref in walk.used if ref.what in (*OWN, ("", "ConfigMap"))} | walk.sources


def _confirmed(first: Deployed | PromotionError, second: Deployed | PromotionError) -> Deployed | PromotionError:
    """What was settled may not have been any more when its objects were looked at: the same again, or nothing."""
    if isinstance(first, Deployed) and isinstance(second, Deployed) and first.revision != second.revision:
        return Deployed(
            second.revision, Reading(Health.PROGRESSING, "another commit came while its objects were looked at")
        )
    return second


def _answer(each: Question, walk: Walk, cluster: Cluster) -> Deployed | PromotionError:
    try:
        said = [(top.name, one) for top, one in zip(each.tops, together(each.tops, walk), strict=True)]
    except PromotionError as exc:
        return _told(exc, each, walk.shelf, cluster)
    if walk.wanted:
        return Deployed(
            None, Reading(Health.UNKNOWN, f"{next(iter(walk.wanted))} was not there when it was first read")
        )
    return agreed(said, each.subject.revision)


def _read(cluster: Cluster, questions: Sequence[Question], shelf: dict[Ref, Any], kept: Kept | None) -> float:
    """Everything that the questions want, and what that makes them want; returns the seconds since the oldest of it was read."""
    oldest = 0.0
    for _ in range(DEEPEST):
        wanted: dict[Ref, str] = {}
        for each in questions:
            walk = each.walk(shelf)
            with suppress(PromotionError):  # told when all is read
                together(each.tops, walk)
            wanted |= walk.wanted
        if not wanted:
            break
        oldest = max(oldest, fill(cluster, wanted, shelf, kept))
    return oldest


def _told(exc: PromotionError, each: Question, shelf: Shelf, cluster: Cluster) -> PromotionError:
    """With the nearest name, for a Kustomization that is not there."""
    gone = next((top for top in each.tops if top in shelf and shelf[top] is None), None)
    if gone is None:
        return exc
    try:
        there = cluster.list(kind_of(cluster, gone))
    except PromotionError:
        return exc
    names = sorted(one["metadata"]["name"] for one in there if one["metadata"].get("namespace") == gone.namespace)
    elsewhere = [one["metadata"]["namespace"] for one in there if one["metadata"]["name"] == gone.name]
    hint = f"it is in {elsewhere[0]}: write `namespace: {elsewhere[0]}`" if elsewhere else None
    return ConfigError(f"there is no {gone}{nearest(gone.name, names, 8)}", where=each.subject.environment, hint=hint)


def ask_for(settings: Mapping[str, Any], subject: Subject) -> None:
    """Asks whoever is to be asked next for the commit that is expected. Raises PromotionError."""
    cluster, each, now = connect(settings, subject.environ), question(settings, subject), datetime.now(UTC)
    asked = []
    for top in each.tops:
        try:
            asked.append(_ask_for(cluster, each, top, now))
        except ValueError as exc:
            raise ConfigError(f"{top} cannot be read: {exc}") from exc
    if subject.revision and not any(asked):
        _ask_readers(cluster, each, now)


def _ask_for(cluster: Cluster, each: Question, top: Ref, now: datetime) -> bool:
    live = _taken(cluster, top)
    from_ = source(_taken(cluster, source_of(live)))
    check_ours(from_, each.subject, each.repository)
    expected = each.subject.revision
    who = asking.due(live, from_, expected, now) if expected else None
    if expected and who:
        asking.ask(cluster, who, expected, now)
    return who is not None


def _ask_readers(cluster: Cluster, each: Question, now: datetime) -> None:
    """Those that may not have looked at their values since the commit was applied, once all else is well."""
    shelf = dict[Ref, Any]()
    _read(cluster, [each], shelf, None)
    walk = each.walk(shelf)
    revision = together(each.tops, walk)[0].revision
    for live in walk.unasked.values():
        if revision and asking.to_be_asked(live, revision, now, applied=True):
            asking.ask(cluster, live, revision, now, applied=True)


def advise(settings: Mapping[str, Any], subject: Subject) -> list[tuple[str, str]]:
    """What of a commit only time proves, and the remedy. Raises PromotionError."""
    cluster, each = connect(settings, subject.environ), question(settings, subject)
    shelf = dict[Ref, Any]()
    _read(cluster, [each], shelf, None)
    _, below = gathered(each.tops, each.walk(shelf))
    return readers.advice(below)


def _taken(cluster: Cluster, ref: Ref) -> Live:
    return taken(cluster.get(kind_of(cluster, ref), ref.name, ref.namespace))
