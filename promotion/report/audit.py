"""Replays a ledger and its branches from Git alone and says what does not hold (S16); must not write anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from promotion import answers, ledger
from promotion.errors import PromotionError, RefusedError
from promotion.events import Event, fold
from promotion.lineage import is_ours
from promotion.model import Commit, Environment, Health, short, shown
from promotion.observe import Site, World
from promotion.plan import View
from promotion.state import State

Finding = dict[str, Any]
"""`application`, `record` (the ledger's commit, or None), `environment` and `problem`."""


@dataclass
class _Replay:
    """What has been read so far, oldest first."""

    site: Site
    state: State
    branches: dict[str, dict[str, Commit]]
    """Environment -> the first-parent commits of its branch."""
    promoted: dict[str, str] = field(default_factory=dict)
    """Plan id -> the commit that it became."""
    commits: set[str] = field(default_factory=set)
    """Every M that an event tells of."""


def audit(site: Site, world: World) -> list[Finding]:
    """Everything that does not hold, oldest first; nothing found means that it all holds.

    Commits that people made on a branch are no violation.
    """
    app, repository = site.application, site.repository
    records = list(repository.first_parents(world.ledger))[::-1] if world.ledger else []
    branches = {e.name: {c.oid: c for c in repository.first_parents(world.tip(e))} for e in app.environments}
    replay = _Replay(site, State(app.name), branches)
    findings: list[Finding] = []
    for record in records:
        environment, problems = _replayed(replay, record)
        findings += [_finding(site, problem, record.oid, environment) for problem in problems]
    for name, commits in branches.items():
        for commit in reversed(commits.values()):
            if is_ours(commit, app.name, name) and commit.oid not in replay.commits:
                problem = f"{short(commit.oid)} says that it is a promotion, and no record tells of it"
                findings.append(_finding(site, problem, None, name))
    return findings


def _finding(site: Site, problem: str, record: str | None, environment: str | None) -> Finding:
    return {
        "application": site.application.name,
        "record": record,
        "environment": environment,
        "problem": problem,
    }


def _replayed(replay: _Replay, record: Commit) -> tuple[str | None, list[str]]:
    """One record: the environment that it is about, and what does not hold."""
    problems = [f"record has {len(record.parents)} parents"] if len(record.parents) > 1 else []
    environment: str | None = None
    try:
        event = ledger.event_of(record)
        environment = event.environment
        if event.application != replay.state.application:
            problems.append(f"record of application {event.application!r}")
        if event.event in JUDGED:
            problems += JUDGED[event.event](replay, event)
        replay.state = fold(replay.state, event)
    except (RefusedError, KeyError, TypeError, ValueError, AttributeError) as exc:
        problems.append(f"record is not readable: {exc}")
    try:
        recorded = ledger.read(replay.site.repository, replay.state.application, record.oid)
    except PromotionError as exc:
        return environment, [*problems, f"its state is not readable: {exc}"]
    if recorded != replay.state:
        problems.append("its state is not what the events up to here make of it")
        replay.state = recorded  # said once; the records after it are judged from here
    return environment, problems


def _promotion(replay: _Replay, event: Event) -> Iterator[str]:
    """What does not hold about one promotion, judged by the state before it."""
    data, name = event.data, event.environment or ""
    commit, source, plan_id = data["commit"], data["source"], data["plan_id"]
    before = replay.promoted.setdefault(plan_id, commit)
    if before != commit:
        yield f"plan {plan_id[:8]} was promoted twice, as {short(before)} and {short(commit)}"
    elif commit in replay.commits:
        yield f"{short(commit)} is recorded twice"
    replay.commits.add(commit)
    yield from _source(replay, event)
    if any(hold.commit == source for hold in replay.state.of(name).holds):
        yield f"{short(source)} was held for {name} when it was promoted there"
    if not replay.site.repository.find(commit):
        yield f"{short(commit)} is not in the repository any more"
        return
    made = replay.site.repository.objects.commit(commit)
    yield from _shape(replay, event, made)
    lost = list(_lost(replay, name, commit))
    yield from lost
    if name in replay.branches and not lost and made.parents == _parents(replay, event) and made.tree == data["tree"]:
        yield from _content(replay, event, commit)


def _absorption(replay: _Replay, event: Event) -> Iterator[str]:
    """What does not hold about one change that the target is said to have had already."""
    target, name = event.data["target"], event.environment or ""
    yield from _source(replay, event)
    if not replay.site.repository.find(target):
        yield f"{short(target)} is not in the repository any more"
        return
    yield from _lost(replay, name, target)
    if replay.site.repository.find(event.data["source"]):
        yield from _content(replay, event, target)
    else:
        yield f"{short(event.data['source'])} is not in the repository any more"


JUDGED: Mapping[str, Callable[[_Replay, Event], Iterator[str]]] = {"promoted": _promotion, "absorbed": _absorption}
"""The events that say that a change entered an environment."""


def _lost(replay: _Replay, name: str, commit: str) -> Iterator[str]:
    if name in replay.branches and commit not in replay.branches[name]:
        yield f"{short(commit)} is not on the branch of {name}: was it rewound?"


def _source(replay: _Replay, event: Event) -> Iterator[str]:
    """S1: the exact commit was healthy, and not held, in its source at the time; B is what the target stood for."""
    into = "promoted to" if event.event == "promoted" else "absorbed by"
    source, base, name = event.data["source"], event.data["base"], event.environment or ""
    environment = _environment(replay.state, name)
    origin = replay.state.of(environment.source or "")
    fact = origin.facts.get(source)
    if fact is None or fact.health is not Health.HEALTHY:
        word = fact.health.value if fact else "never observed"
        yield f"{short(source)} was {word} in {environment.source} when it was {into} {name}"
    if any(hold.commit == source for hold in origin.holds):
        yield f"{short(source)} was held in {environment.source} when it was {into} {name}"
    release = replay.state.of(name).release
    if release is not None and release.source != base:
        yield f"the base was {short(base)}, and {name} stood for {short(release.source)}"


def _shape(replay: _Replay, event: Event, made: Commit) -> Iterator[str]:
    """S5 and what M says of itself."""
    data, who = event.data, short(made.oid)
    if made.parents != (parents := _parents(replay, event)):
        yield f"{who} does not have the parents {' and '.join(map(short, parents))}"
    if made.tree != data["tree"]:
        yield f"{who} does not have the tree that its record names"
    says = {
        "Plan": data["plan_id"],
        "Application": replay.state.application,
        "Environment": event.environment,
        "Source": data["source"],
        "Attempt": event.id,
    }
    said = made.trailers
    wrong = [key for key, value in says.items() if said.get(f"Promotion-{key}") != value]
    if wrong:
        yield f"{who} says another {', '.join(f'Promotion-{key}' for key in wrong)} than its record"


def _content(replay: _Replay, event: Event, commit: str) -> Iterator[str]:
    """S9 and S10: every path of M, or of the tip that had it all already, is what the entry table says, recomputed under the configuration then in force."""
    site, data, view = replay.site, event.data, _view(replay, event)
    if not site.repository.find(data["base"]):
        yield f"the base {short(data['base'])} is not in the repository any more"
        return
    wrong = answers.unexplained(site, view, data["source"], site.repository.objects.commit(commit).tree)
    if wrong:
        paths = ", ".join(shown(path) for path in wrong[:5])
        yield f"{short(commit)} is not what the entry table says at {paths}"


def _view(replay: _Replay, event: Event) -> View:
    """What a promotion was decided on, by the configuration that was in force then."""
    data, app = event.data, replay.site.application
    environment = _environment(replay.state, event.environment or "")
    return View(
        application=replace(app, paths=tuple(_settings(replay.state, environment.name).get("paths", ()))),
        environment=environment,
        now=datetime.fromtimestamp(0, UTC),
        state=replay.state.of(environment.name),
        source_state=replay.state.of(environment.source or ""),
        tip=data["target"],
        base=data["base"],
        source_tip=data["source"],
        chain=(),
        contents=("", ""),
    )


def _parents(replay: _Replay, event: Event) -> tuple[str, ...]:
    return _view(replay, event).parents(event.data["source"])


def _settings(state: State, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (state.in_force or {}).get("environments", {}).get(name, {})
    return found


def _environment(state: State, name: str) -> Environment:
    """An environment as the configuration in force had it: what decides about content."""
    settings = _settings(state, name)
    return Environment(
        name,
        settings.get("branch", ""),
        source=settings.get("from"),
        protect=tuple(settings.get("protect", ())),
        strategy=settings.get("strategy", "merge"),
        history=settings.get("history", "merge"),
    )
