"""Replays a ledger and its branches from Git alone and says what does not hold (S16); must not write anything."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promotion import continuity, ledger, merging, trust
from promotion.errors import PromotionError, RefusedError
from promotion.events import Event
from promotion.fold import fold
from promotion.lineage import is_ours
from promotion.model import Commit, Health
from promotion.observe import Site, World
from promotion.releases import without_releases
from promotion.report import consent, inforce, undoing
from promotion.repository.signing import Signed
from promotion.resolving import leaf
from promotion.state import State
from promotion.texts import short, shown
from promotion.view import View

AHEAD = 500
"""How many records are read at once."""
NAMED = ("commit", "source", "base", "target", "restores")
"""The keys of a promotion's record that name commits."""
ASKED = 20
"""How many commits the remote is asked for in vain before the rest is taken for gone, too."""

Finding = dict[str, Any]
"""`application`, `record` (the ledger's commit, or None), `environment` and `problem`."""
Note = dict[str, Any]
"""An override that was allowed: `application`, `record`, `environment`, `by`, `gates`, `reason` and `at`."""


@dataclass
class _Replay:
    """What has been read so far, oldest first."""

    site: Site
    state: State
    branches: Mapping[str, frozenset[str]]
    """Environment -> the first-parent commits of its branch; none of an environment without one."""
    promoted: dict[str, str] = field(default_factory=dict)
    """Plan id -> the commit that it became."""
    commits: set[str] = field(default_factory=set)
    """Every M that an event tells of."""
    begun: bool = False
    """Whether a signed record said that only signed ones count: from there on the others change nothing."""
    signed: dict[str, Signed] = field(default_factory=dict)
    """Who signed the records that are judged now, where anybody is trusted."""
    kept: ledger.Kept = field(default_factory=ledger.Kept)
    """What of the tree of the record before is in the next one's, too."""
    before: str | None = None
    """The record before the one that is judged."""
    passed: tuple[str, frozenset[str]] = ("", frozenset())
    """The plan that the record before was about, and the gates that somebody got past with it."""
    notes: list[Note] = field(default_factory=list)
    made: dict[str, Commit] = field(default_factory=dict)
    """What the records that are judged now name, as far as the clone has it."""

    def read(self, records: Sequence[Commit]) -> None:
        objects, named = self.site.repository.objects, _named(records)
        lost = set(objects.missing(named))
        self.made = {made.oid: made for made in objects.commits([oid for oid in named if oid not in lost])}
        if trusted := self.site.application.trust:
            found = self.site.repository.signatures.line(trusted.signers, records[-1].oid, len(records))
            self.signed = {one.oid: one for one in found}

    def begin(self, record: Commit, event: Event) -> None:
        """Notes that a record says that only signed ones count, if it counts itself."""
        trusted = self.site.application.trust
        if trusted and event.event == "configured" and "trust" in event.data["in_force"]:
            self.begun = self.begun or trust.is_orchestrator(trusted, self.signed[record.oid])

    def strange(self, record: Commit) -> str | None:
        """Why a record changes nothing, where only signed ones count."""
        app = self.site.application
        if app.trust is None or not self.begun:
            return None
        return trust.judged(app.name, app.trust, record, self.signed[record.oid])


def audit(site: Site, world: World) -> list[Finding]:
    """Everything that does not hold, oldest first; nothing found means that it all holds."""
    return audited(site, world)[0]


def audited(site: Site, world: World) -> tuple[list[Finding], list[Note]]:
    """Everything that does not hold, and what holds and should be seen all the same; oldest first.

    Commits that people made on a branch are no violation. An environment whose branch is not there is said once, at the end.
    """
    app, history = site.application, site.repository.history
    records = history.ids(world.ledger)[::-1] if world.ledger else []
    tips = {e.name: tip for e in app.environments if (tip := world.snapshot[e.ref])}
    replay = _Replay(site, State(app.name), {name: frozenset(history.ids(tip)) for name, tip in tips.items()})
    _bring_back(site, world)
    gone = continuity.lost(site.repository, app, world.snapshot)
    findings = [_finding(site, continuity.said(app, world.snapshot, loss), None, None) for loss in gone]
    for start in range(0, len(records), AHEAD):
        read = site.repository.objects.commits(records[start : start + AHEAD])
        replay.read(read)
        for record in read:
            environment, problems = _replayed(replay, record)
            findings += [_finding(site, problem, record.oid, environment) for problem in problems]
    for name, tip in tips.items():
        for commit in reversed(history.saying(tip, "Promotion-Plan: ")):
            if is_ours(commit, app.name, name) and commit.oid not in replay.commits:
                problem = f"{short(commit.oid)} says that it is a promotion, and no record tells of it"
                findings.append(_finding(site, problem, None, name))
    if app.trust and records and not replay.begun:
        findings.append(_finding(site, "no orchestrator signed that only signed records count", None, None))
    return findings + [_finding(site, said, None, name) for name, said in world.missing.items()], replay.notes


def _bring_back(site: Site, world: World) -> None:
    """Asks the remote for what records name and no branch has any more, newest first: older ones mostly come along."""
    objects, history = site.repository.objects, site.repository.history
    words = [f'"event":"{kind}"' for kind in JUDGED]
    records = history.saying(world.ledger, *words) if world.ledger else []
    failures = 0
    for oid in objects.missing(_named(records)):
        failures += not site.repository.find(oid)
        if failures == ASKED:
            return  # a remote that has not these has not the others


def _named(records: Iterable[Commit]) -> list[str]:
    """The commits that promotions, absorptions and rollbacks name."""
    named: dict[str, None] = {}
    for record in records:
        with contextlib.suppress(RefusedError):  # the replay says what is wrong with it
            event = ledger.event_of(record)
            values = [str(event.data.get(key)) for key in NAMED] if event.event in JUDGED else []
            named |= dict.fromkeys(oid for oid in values if re.fullmatch("[0-9a-f]{40}", oid))
    return list(named)


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
    if why := replay.strange(record):
        return None, [f"record changes nothing: {why}"]
    try:
        event = ledger.event_of(record)
        environment = event.environment
        if event.application != replay.state.application:
            problems.append(f"record of application {event.application!r}")
        if event.event in JUDGED:
            problems += JUDGED[event.event](replay, event)
        replay.passed = ("", frozenset())
        if event.event == "overridden":
            wrong = list(consent.overridden(replay.state, event))
            problems += wrong
            replay.notes += [] if wrong else [{"record": record.oid, **consent.said(event)}]
            replay.passed = (event.data["plan_id"], frozenset(event.data["gates"]))
        replay.state = fold(replay.state, event)
        replay.begin(record, event)
    except (RefusedError, KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        problems.append(f"record is not readable: {exc}")
    replay.before = record.oid
    tree, replay.kept = ledger.tree_of(replay.state, replay.kept)
    if tree == record.tree:
        return environment, problems
    try:
        recorded = ledger.read(replay.site.repository, replay.state.application, record.oid)
    except PromotionError as exc:
        return environment, [*problems, f"its state is not readable: {exc}"]
    if recorded == replay.state:
        return environment, problems
    older = ledger.is_older(replay.site.repository, record.oid)  # it knew less: what follows goes on from what is in it
    if not older or without_releases(recorded) != without_releases(replay.state):
        problems.append("its state is not what the events up to here make of it")
        if replay.begun:
            return environment, problems
    replay.state = recorded  # said once; the records after it are judged from here
    return environment, problems


def _promotion(replay: _Replay, event: Event) -> Iterator[str]:
    """What does not hold about one promotion, judged by the state before it."""
    data, name = event.data, event.environment or ""
    commit, source = data["commit"], data["source"]
    yield from _once(replay, event)
    yield from _source(replay, event)
    if any(hold.commit == source for hold in replay.state.of(name).holds):
        yield f"{short(source)} was held for {name} when it was promoted there"
    past = replay.passed[1] if replay.passed[0] == data["plan_id"] else frozenset()
    if "approval" not in past:
        yield from consent.approved(replay.site, replay.state, replay.before, event, replay.branches)
    for frozen in (replay.state.frozen, replay.state.of(name).frozen):
        if frozen is not None and frozen.holds(event.at) and (frozen.strict or "freeze" not in past):
            yield f"{name} was frozen by {frozen.by} when {short(source)} was promoted there"
    if commit not in replay.made:
        yield f"{short(commit)} is not in the repository any more"
        return
    made = replay.made[commit]
    yield from _shape(replay, event, made)
    lost = list(_lost(replay, name, commit))
    yield from lost
    if name in replay.branches and not lost and made.parents == _parents(replay, event) and made.tree == data["tree"]:
        yield from _content(replay, event, commit)


def _once(replay: _Replay, event: Event) -> Iterator[str]:
    """One plan is one commit, and one commit one record."""
    commit, plan_id = event.data["commit"], event.data["plan_id"]
    before = replay.promoted.setdefault(plan_id, commit)
    if before != commit:
        yield f"plan {plan_id[:8]} was promoted twice, as {short(before)} and {short(commit)}"
    elif commit in replay.commits:
        yield f"{short(commit)} is recorded twice"
    replay.commits.add(commit)


def _rollback(replay: _Replay, event: Event) -> Iterator[str]:
    """What does not hold about one rollback."""
    data, name = event.data, event.environment or ""
    yield from _once(replay, event)
    if gone := [key for key in ("commit", "target", "restores") if data[key] not in replay.made]:
        yield from (f"{short(data[key])} is not in the repository any more" for key in gone)
        return
    lost = list(_lost(replay, name, data["commit"]))
    yield from lost
    if not lost:
        app, environment = (
            inforce.application(replay.site.application, replay.state, name),
            inforce.environment(replay.state, name),
        )
        yield from undoing.problems(replay.site, app, environment, replay.state, event)


def _absorption(replay: _Replay, event: Event) -> Iterator[str]:
    """What does not hold about one change that the target is said to have had already."""
    target, name = event.data["target"], event.environment or ""
    yield from _source(replay, event)
    if target not in replay.made:
        yield f"{short(target)} is not in the repository any more"
        return
    yield from _lost(replay, name, target)
    if event.data["source"] in replay.made:
        yield from _content(replay, event, target)
    else:
        yield f"{short(event.data['source'])} is not in the repository any more"


JUDGED: Mapping[str, Callable[[_Replay, Event], Iterator[str]]] = {
    "promoted": _promotion,
    "absorbed": _absorption,
    "rolled-back": _rollback,
}
"""The events that say that a change entered an environment, or was taken back there."""


def _lost(replay: _Replay, name: str, commit: str) -> Iterator[str]:
    if commit not in replay.branches.get(name, {commit}):
        yield f"{short(commit)} is not on the branch of {name}: was it rewound?"


def _source(replay: _Replay, event: Event) -> Iterator[str]:
    """S1: the exact commit was healthy, and not held, in its source at the time; B is what the target stood for."""
    into = "promoted to" if event.event == "promoted" else "absorbed by"
    source, base, name = event.data["source"], event.data["base"], event.environment or ""
    environment = inforce.environment(replay.state, name)
    origin = replay.state.of(environment.source or "")
    fact = origin.facts.get(source)
    if fact is None or fact.health is not Health.HEALTHY:
        word = fact.health.value if fact else "never observed"
        yield f"{short(source)} was {word} in {environment.source} when it was {into} {name}"
    if any(hold.commit == source for hold in origin.holds):
        yield f"{short(source)} was held in {environment.source} when it was {into} {name}"
    if (given := origin.releases.get(source)) is not None and given.undone:
        yield f"{short(source)} was rolled back in {environment.source} when it was {into} {name}"
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
    says |= {"Resolution": data["resolution"]["commit"]} if "resolution" in data else {}
    said = made.trailers
    wrong = [key for key, value in says.items() if said.get(f"Promotion-{key}") != value]
    if wrong:
        yield f"{who} says another {', '.join(f'Promotion-{key}' for key in wrong)} than its record"


def _content(replay: _Replay, event: Event, commit: str) -> Iterator[str]:
    """S9 and S10: every path of M, or of the tip that had it all already, is what the entry table says, recomputed under the configuration then in force."""
    data, view = event.data, inforce.view(replay.site.application, replay.state, event)
    yield from _resolution(replay, view)
    gone = [f"the {key} {short(data[key])}" for key in ("base", "source") if data[key] not in replay.made]
    if gone:
        yield f"{' and '.join(gone)} is not in the repository any more"
        return
    base, target, source, made = (
        replay.made[oid].tree for oid in (data["base"], data["target"], data["source"], commit)
    )
    if (target, made) == (base, source) and not view.environment.protect and not view.application.paths:
        return  # nothing was kept and nothing merged: all of it is what was tested
    wrong = merging.unexplained(replay.site, view, data["source"], made)
    if wrong:
        paths = ", ".join(shown(path) for path in wrong[:5])
        yield f"{short(commit)} is not what the entry table says at {paths}"


def _resolution(replay: _Replay, view: View) -> Iterator[str]:
    """What a person decided is recorded path by path; the commit itself may be gone with its branch."""
    decided, objects = view.resolution, replay.site.repository.objects
    if decided is None or not objects.has_commit(decided.commit):
        return
    tree = objects.commit(decided.commit).tree
    wrong = [path for path, entry in decided.entries.items() if leaf(replay.site, tree, path) != entry]
    if wrong:
        yield f"resolution {short(decided.commit)} does not have what its record says at {shown(wrong[0])}"


def _parents(replay: _Replay, event: Event) -> tuple[str, ...]:
    return inforce.view(replay.site.application, replay.state, event).parents(event.data["source"])
