"""Asks engines and health checks what is deployed and how it is; decides nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from promotion import lineage, scope
from promotion.checks import CHECKS
from promotion.engines import ENGINES
from promotion.engines.contract import Deployed, Fleet, agreed
from promotion.engines.kept import Kept
from promotion.errors import PromotionError, TemporaryError, reworded
from promotion.model import WORST_FIRST, Environment, Health, Observation, Reading, Subject
from promotion.observe import Site, World, head, subject
from promotion.texts import short

SIDE_BY_SIDE = 8

Answer = Deployed | PromotionError


@dataclass(frozen=True, slots=True)
class Question:
    """One environment that is observed; `expected` is what its engine is asked about."""

    site: Site
    environment: Environment
    expected: Subject


def watch(site: Site, world: World, environments: Sequence[Environment]) -> World:
    """Observes these environments side by side. One that cannot be reached is in `unread` and gets no observation."""
    return watch_all([(site, world, environments)])[0]


def watch_all(asked: Sequence[tuple[Site, World, Sequence[Environment]]], kept: Kept | None = None) -> list[World]:
    """The same for several applications, all side by side; an engine that answers for a fleet is asked once for all of them.

    `kept` has what such an engine told other applications of this round some seconds ago.

    Others may share a branch: what is observed is the newest commit at or before the deployed one that changed the scope.
    """
    worlds, numbers, questions = [world for _, world, _ in asked], [], []
    for number, (site, world, environments) in enumerate(asked):
        for environment in environments:
            numbers.append(number)
            questions.append(Question(site, environment, subject(site, environment, head(site, world, environment))))
    answers = _seen(questions, kept)
    if late := [n for n, seen in enumerate(answers) if kept and _is_older(seen, worlds[numbers[n]], questions[n])]:
        for n, seen in zip(late, _seen([questions[n] for n in late]), strict=True):
            answers[n] = seen
    for number, question, seen in zip(numbers, questions, answers, strict=True):
        before, name = worlds[number], question.environment.name
        if isinstance(seen, Observation):
            worlds[number] = _with(question, before, seen)
        else:
            why = reworded(seen, f"{name} could not be read: {seen}")
            worlds[number] = replace(before, unread={**before.unread, name: why})
    return worlds


def _is_older(seen: Observation | PromotionError, world: World, question: Question) -> bool:
    """Whether somebody has recorded something since it was read: a reading that others made may be the older one."""
    last = world.state.of(question.environment.name).observed
    return isinstance(seen, Observation) and last is not None and last.at > seen.at


def observe(site: Site, environment: Environment, head: str) -> Observation:
    """One reading of the engine and of all health checks, which are about the revision that it names.

    Raises TemporaryError when the engine cannot be reached, and when what it answers is gone before the answers are in.
    """
    (seen,) = _seen([Question(site, environment, subject(site, environment, head))])
    if isinstance(seen, PromotionError):
        raise seen
    return seen


def _seen(questions: Sequence[Question], kept: Kept | None = None) -> list[Observation | PromotionError]:
    """Engines, then checks about what they name, then those engines again: what was asked about must still be there."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        first = _deployed(pool, questions, kept)
        checked = [n for n, seen in enumerate(first) if _is_checked(questions[n], seen)]
        answers = pool.map(_asked_of_checks, [(questions[n], first[n]) for n in checked])
        said = dict(zip(checked, answers, strict=True))
        again = dict(zip(checked, _deployed(pool, [questions[n] for n in checked]), strict=True))
    return [
        _observation(question, seen, said.get(n, []), again.get(n))
        for n, (question, seen) in enumerate(zip(questions, first, strict=True))
    ]


def _is_checked(question: Question, seen: Answer) -> bool:
    return isinstance(seen, Deployed) and seen.revision is not None and bool(question.environment.health)


def _asked_of_checks(asked: tuple[Question, Answer]) -> list[Reading]:
    question, seen = asked
    assert isinstance(seen, Deployed)
    about = replace(question.expected, revision=seen.revision)
    return [CHECKS[check.type](check.settings, about) for check in question.environment.health]


# --- engines ---------------------------------------------------------------------------------------------------------


def _deployed(pool: ThreadPoolExecutor, questions: Sequence[Question], kept: Kept | None = None) -> list[Answer]:
    """What the engines say, in the order of the questions; those of a fleet are asked together."""
    lots: list[list[int]] = []
    fleets: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        kind = question.environment.engine.type
        if isinstance(ENGINES[kind], Fleet):
            fleets.setdefault(kind, []).append(number)
        else:
            lots.append([number])
    lots = [*fleets.values(), *lots]
    found: dict[int, Answer] = {}
    for numbers, answers in zip(
        lots, pool.map(partial(_one_lot, kept), [[questions[n] for n in lot] for lot in lots]), strict=True
    ):
        found |= zip(numbers, answers, strict=True)
    return [_in_scope(question, found[number]) for number, question in enumerate(questions)]


def _one_lot(kept: Kept | None, questions: Sequence[Question]) -> list[Answer]:
    engine = ENGINES[questions[0].environment.engine.type]
    asked = [(question.environment.engine.settings, question.expected) for question in questions]
    if isinstance(engine, Fleet):
        return engine.observe_all(asked, kept)
    ((settings, about),) = asked
    try:
        return [engine.observe(settings, about)]
    except PromotionError as exc:
        return [exc]


def _in_scope(question: Question, seen: Answer) -> Answer:
    """Objects agree as well where they are at different commits that are the same in scope."""
    if not isinstance(seen, Deployed) or len({part.revision for _, part in seen.parts}) < 2:
        return seen
    parts = [(name, replace(part, revision=_newest(question, part))) for name, part in seen.parts]
    return replace(agreed(parts, question.expected.revision), age=seen.age)


def _newest(question: Question, deployed: Deployed) -> str | None:
    site = question.site
    return scope.newest(site.repository, site.application, deployed.revision) if deployed.revision else None


# --- what it comes to ------------------------------------------------------------------------------------------------


def _observation(
    question: Question, seen: Answer, answers: Sequence[Reading], again: Answer | None
) -> Observation | PromotionError:
    if isinstance(seen, PromotionError):
        return seen
    if isinstance(again, PromotionError):
        return again
    environment = question.environment
    readings = [seen.reading] if seen.reading else []
    if seen.revision is None:  # whatever is said of it, it is not healthy
        bad = [reading for reading in readings if reading.health is not Health.HEALTHY]
        readings = bad or [Reading(Health.MISSING, "nothing is deployed")]
    elif environment.engine_says:
        readings = readings or [Reading(Health.UNKNOWN, "health: engine, and the engine says nothing about health")]
    elif not environment.health or again is None:
        readings.append(Reading(Health.UNKNOWN, "health: none, so nothing says that it is healthy"))
    elif _newest(question, again) != _newest(question, seen):  # S2: what was asked is gone already
        return TemporaryError("the deployed revision changed while it was read")
    else:
        readings += [*answers, *([again.reading] if again.reading else [])]
    health = min((r.health for r in readings), key=WORST_FIRST.index)
    reasons = tuple(dict.fromkeys(r.reason for r in readings if r.health is health))
    age = seen.age if again is None else 0.0  # what was asked again just now is of now
    at = question.site.clock() - timedelta(seconds=age)
    return Observation(seen.revision, health, reasons, at, seen.records)


def _with(question: Question, world: World, seen: Observation) -> World:
    """A world with one more observation."""
    site, environment, head = question.site, question.environment, question.expected.revision
    if seen.revision and head:
        revision = scope.newest(site.repository, site.application, seen.revision)
        astray = _astray(site, world, environment, head, revision)
        seen = replace(seen, revision=revision, reasons=(*seen.reasons, *astray))
    return replace(world, observations={**world.observations, environment.name: seen})


def _astray(site: Site, world: World, environment: Environment, head: str, revision: str) -> tuple[str, ...]:
    """What is to be said where another commit runs than the branch's, and not because the branch's is new."""
    if revision == head:
        return ()
    if ran_before(world, environment, head, revision):
        return (_in_its_place(environment, head, revision),)
    if lineage.leads_to(site.repository, revision, head):
        return ()
    return (
        f"runs {short(revision)}, which is not on {environment.branch}: deployed by hand, or the branch was rewound?",
    )


def ran_before(world: World, environment: Environment, head: str, revision: str) -> bool:
    """Whether a branch's head was deployed before this other revision, as far as the ledger knows."""
    state = world.state.of(environment.name)
    said = state.observed.reasons if state.observed else ()  # facts are forgotten, the last reading is not
    return head in state.facts or _in_its_place(environment, head, revision) in said


def _in_its_place(environment: Environment, head: str, revision: str) -> str:
    return f"runs {short(revision)}, which is not {environment.branch}'s {short(head)}: deployed by hand?"
