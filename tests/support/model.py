"""What promotion is, told naively: dictionaries of files, a list of readings, one record of a ledger after the other.

The model is told what people do, what is deployed and what is read. Everything else that moves on the server it judges:
whether what landed may have landed, and is what it should be. It uses none of the product's code, and no cleverness.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from tests.robustness.checker import Objects
from tests.support import model_back, model_origins, model_overrides, model_people, model_proposals
from tests.support.model_values import (
    HEARTBEAT,
    WELL,
    Application,
    Files,
    Judged,
    Key,
    Known,
    Owed,
    Proposed,
    Read,
    Rules,
    Standing,
    Talk,
    Wanted,
    three_ways,
)


class Model:
    """The history of one server, as it is seen by somebody who believes nothing."""

    def __init__(self, objects: Objects, applications: Mapping[str, Application], branches: Mapping[str, str]) -> None:
        self.objects = objects
        self.applications = applications
        self.refs = branches
        """Environment -> the full name of its branch."""
        self.tips: dict[str, str] = {}
        """Environment -> its branch's tip."""
        self.ledgers: dict[str, str | None] = dict.fromkeys(applications)
        self.lines: dict[str, set[str]] = {name: set() for name in branches}
        """Environment -> all that was ever on its branch, by first parents."""
        self.known = {(a, e): Known() for a, app in applications.items() for e in app.environments}
        self.deployed: dict[tuple[str, str], str] = {}
        self.weather: dict[tuple[str, str], str] = {}
        self.readings: list[Read] = []
        self.promoted: dict[tuple[str, str], str] = {}
        """(application, plan id) -> the commit that it became."""
        self.asked: set[tuple[str, str, str, str]] = set()
        """(kind of event, application, environment, by whom): what people are about to record."""
        self.talks: list[Talk] = []
        self.plans: dict[str, Key] = {}
        """Plan id -> what it stands for: the same is never said of something else, nor something else of the same."""
        self.by_hand: set[tuple[str, str]] = set()
        self.proposing: list[Wanted] = []
        """What people want proposed at this moment."""
        self.proposals: dict[str, Proposed] = {}
        """Ref -> what became of what was proposed there."""
        self.resolving: list[tuple[str, str, str]] = []
        """(application, environment, commit): the decisions about conflicts that people name at this moment."""
        self.overriding: list[tuple[str, str, str, tuple[str, ...]]] = []
        """(application, environment, who, gates): what people want to get past at this moment."""
        self.rewound: set[str] = set()
        """Environments whose branch people took something from."""
        self.counted: Counter[str] = Counter()
        """Records, by kind."""
        self._files: dict[str, Files] = {}
        self._ancestors: dict[str, frozenset[str]] = {}

    # --- commits ---------------------------------------------------------------------------------------------------

    def files(self, commit: str) -> Files:
        if commit not in self._files:
            entries = self.objects.files(self.objects.commit(commit).tree)
            assert all(mode == "100644" for mode, _ in entries.values())
            self._files[commit] = {path: self.objects.raw(oid).decode() for path, (_, oid) in entries.items()}
        return self._files[commit]

    def parent(self, commit: str) -> str | None:
        return next(iter(self.objects.commit(commit).parents), None)

    def ancestors(self, commit: str) -> frozenset[str]:
        """A commit and all that it descends from."""
        if commit not in self._ancestors:
            parents = self.objects.commit(commit).parents
            self._ancestors[commit] = frozenset({commit}).union(*(self.ancestors(p) for p in parents))
        return self._ancestors[commit]

    def scoped(self, application: str, commit: str | None) -> Files:
        app = self.applications[application]
        return {path: text for path, text in self.files(commit).items() if app.inside(path)} if commit else {}

    def changed(self, application: str, commit: str) -> bool:
        """Whether a commit is one of this application."""
        if not self.applications[application].scope:
            return True
        return self.scoped(application, commit) != self.scoped(application, self.parent(commit))

    def head(self, application: str, commit: str) -> str:
        """The newest commit at or before this one that is about the application."""
        return next((oid for oid in self.objects.chain(commit) if self.changed(application, oid)), commit)

    # --- what is told ----------------------------------------------------------------------------------------------

    def deploy(self, application: str) -> None:
        """The embedded loops made every environment run what its branch has."""
        for name in self.applications[application].environments:
            self.deployed[application, name] = self.head(application, self.tips[name])

    def read(self, by: str, application: str, environments: Collection[str], now: datetime) -> None:
        """An orchestrator is about to look at these environments."""
        for name in environments:
            revision = self.deployed.get((application, name))
            health = self._health(application, name, revision)
            self.readings.append(Read(len(self.readings), by, application, name, revision, health, now))

    def _health(self, application: str, environment: str, revision: str | None) -> str:
        if revision is None:
            return "missing"
        said = self.files(revision).get(self.applications[application].health)
        weather = self.weather.get((application, environment), "fine")
        if said is None or weather == "silent":
            return "unknown"
        return "healthy" if said.strip() in WELL[weather] else "degraded"

    # --- what is seen ----------------------------------------------------------------------------------------------

    def look(self, refs: Mapping[str, str], people: Collection[str] = ()) -> None:
        """Judges all that moved since the last look; what people did to branches themselves is taken as it is."""
        landed: dict[str, tuple[str, str]] = {}
        for name, ref in self.refs.items():
            old, new = self.tips.get(name), refs.get(ref)
            if name in people or old is None:
                self._moved(name, old, new)
            elif new != old:
                assert new, f"{name} was deleted by somebody"
                steps = self.objects.steps(old, new)
                assert steps is not None, f"{new} on {name} does not have the old tip {old} in its first-parent line"
                landed |= {oid: (name, self.parent(oid) or "") for oid in steps}
        left = dict(landed)
        for application, old in self.ledgers.items():
            new = refs.get(f"refs/heads/promotion/{application}")
            for oid in self._records(old, new):
                event = _event(self.objects.commit(oid).message)
                self._judge_record(application, event, landed, left)
                self._leave_behind(application)
            over = [name for (app, name), known in self.known.items() if app == application and known.over]
            assert not over, f"gates of {over} of {application} were overridden, and nothing came of it"
            if new != old and new:
                self._compare(application, new)
            self.ledgers[application] = new
        assert not left, f"landed without a record: {left}"
        for oid, (name, _) in landed.items():
            self.lines[name].add(oid)
        self.tips |= {name: refs[ref] for name, ref in self.refs.items() if ref in refs}
        model_proposals.look(self, refs, people)

    def _moved(self, name: str, old: str | None, new: str | None) -> None:
        if new is not None:
            line = set(self.objects.chain(new))
            if old not in line | {None}:
                self.rewound.add(name)
            self.lines[name] |= line
            self.tips[name] = new

    def _records(self, old: str | None, new: str | None) -> list[str]:
        if new == old:
            return []
        assert new, "a ledger was deleted"
        line = list(self.objects.chain(new))[::-1]
        assert old is None or old in line, "a ledger was rewritten"
        return line[line.index(old) + 1 :] if old else line

    def _judge_record(
        self, application: str, event: dict[str, Any], landed: dict[str, tuple[str, str]], left: dict[str, Any]
    ) -> None:
        kind, name = event["event"], event["environment"]
        assert event["application"] == application
        self.counted[kind] += 1
        if kind == "configured":
            return
        if name is None:
            self._still(application, event)
            return
        known, at = self.known[application, name], datetime.fromisoformat(event["at"])
        assert known.over is None or kind == "promoted", f"{known.over} overridden for {name}, and it {kind}"
        match kind:
            case "adopted":
                self._adopted(application, name, event)
            case "observed":
                self._observed(known, application, name, event, at)
            case "promoted":
                commit = event["commit"]
                assert commit in left, f"{commit} is recorded as promoted and did not come with its record"
                branch, before = landed[commit]
                del left[commit]
                assert branch == name, f"{commit} of {name} landed on {branch}"
                self._promoted(application, name, event, before, at)
            case "absorbed":
                self._absorbed(application, name, event, landed, at)
            case "verified" | "failed" | "timed-out":
                self._verified(known, application, event, at)
            case "held":
                self._held(known, application, name, event)
            case "rolled-back":
                self._rolled_back(application, name, event, landed, left)
            case "approved" | "rejected" | "withdrawn":
                model_people.said(self, event, at)
            case "frozen":
                self._frozen(known, event)
            case "overridden":
                model_overrides.overridden(self, event)
            case "thawed":
                assert self._by_people(event), f"nobody thawed {name}"
                known.frozen = known.strict = False
            case "lifted":
                assert self._by_people(event), f"nobody lifted anything of {name}"
                assert event["commit"] in dict(known.kept_out())
                known.holds.pop(event["commit"], None)
                known.rejected = {key: e for key, e in known.rejected.items() if key[0].source != event["commit"]}
            case _:
                assert kind == "reverted", f"unknown record {kind}"

    def _by_people(self, event: dict[str, Any]) -> bool:
        return (event["event"], event["application"], event["environment"], event["by"]) in self.asked

    # --- records ---------------------------------------------------------------------------------------------------

    def _observed(self, known: Known, application: str, name: str, event: dict[str, Any], at: datetime) -> None:
        """Somebody read just this; and no older word that all is well is put over a newer one."""
        what = (event["by"], application, name, event["revision"], event["health"], at)
        found = [r for r in self.readings if (r.by, r.application, r.environment, r.revision, r.health, r.at) == what]
        assert found, f"nobody read {what}"
        assert event["health"] != "healthy" or found[-1].order > known.order, f"{what} is older than what is recorded"
        known.order = found[-1].order
        revision, health = found[-1].revision, found[-1].health
        known.seen = (revision, health)
        if revision:
            known.word[revision] = health
            known.past.discard(revision)
            if health in ("degraded", "missing"):
                known.good.discard(revision)
            if health == "healthy":
                known.good.add(revision)
                known.well.setdefault(revision, at)
                known.given.setdefault(revision, None)
        _looked(known, health, at)

    def _still(self, application: str, event: dict[str, Any]) -> None:
        """A heartbeat: these were read again and are as they were."""
        at = datetime.fromisoformat(event["at"])
        for name in event["environments"]:
            known = self.known[application, name]
            read = [
                (r.revision, r.health)
                for r in self.readings
                if (r.by, r.application, r.environment, r.at) == (event["by"], application, name, at)
            ]
            assert known.seen in read, f"{name} is said to be as it was, {known.seen}, and was {read}"
            if known.seen:
                _looked(known, known.seen[1], at)

    def _adopted(self, application: str, name: str, event: dict[str, Any]) -> None:
        known = self.known[application, name]
        commit, source = event["commit"], event["source"]
        origin = self.applications[application].environments[name].source
        if not self._by_people(event):
            assert known.release is None, f"{name} of {application} was adopted again by nobody"
            bases = self.bases(commit, self.tips[origin or ""])
            assert bases == {source}, f"first sight of {name}: {source}, and the merge bases are {bases}"
        assert commit == self.head(application, self.tips[name]), f"{name} was adopted as {commit}, which it is not"
        assert source in self.lines[origin or ""], f"{source} was never on {origin}"
        known.watched, known.outcome = None, ""
        known.granted.clear()
        known.given_release(commit, source)
        known.undone.discard(commit)
        known.backs.discard(commit)

    def _leave_behind(self, application: str) -> None:
        environments = self.applications[application].environments
        for name in environments:
            releases = [self.known[application, e].release for e, rules in environments.items() if rules.source == name]
            if releases and all(releases):
                old = [self.ancestors(release[1]) - {release[1]} for release in releases if release]
                self.known[application, name].past |= frozenset.intersection(*old)

    def bases(self, one: str, two: str) -> set[str]:
        common = self.ancestors(one) & self.ancestors(two)
        return {oid for oid in common if not any(oid != other and oid in self.ancestors(other) for other in common)}

    def _promoted(self, application: str, name: str, event: dict[str, Any], before: str, at: datetime) -> None:
        rules, known = self.applications[application].environments[name], self.known[application, name]
        commit, source = event["commit"], event["source"]
        made = self.objects.commit(commit)
        only = bool(self.applications[application].scope) or rules.linear
        assert made.parents == ((before,) if only else (before, source)), f"{commit} has parents {made.parents}"
        assert made.trailers["Promotion-Source"] == source
        plan = (application, event["plan_id"])
        assert plan not in self.promoted, f"two commits for one plan: {self.promoted.get(plan)} and {commit}"
        self.promoted[plan] = commit
        decided = model_proposals.decided(self, event, before)
        assert made.trailers.get("Promotion-Resolution") == decided
        judged = self._may(application, name, source, before, at, decided)
        plan_of = model_people.key(self, application, name, source, before, decided)
        model_people.identify(self, event["plan_id"], plan_of)
        judged = model_overrides.let_in(self, event, judged)
        model_people.let_in(self, event, plan_of, judged)
        assert not judged.gates, f"{source} landed on {name} of {application}: {judged.gates}"
        assert not judged.conflicts, f"{source} landed on {name} over conflicts in {judged.conflicts}"
        assert not judged.absorbed, f"{commit} changes nothing"
        self._content(application, name, source, before, commit)
        assert self.files(commit) == judged.result, f"{commit} is {self.files(commit)}, expected {judged.result}"
        known.given_release(commit, source)
        known.watched, known.until, known.outcome = commit, datetime.fromisoformat(event["until"]), "pending"
        known.acted = False

    def _rolled_back(
        self,
        application: str,
        name: str,
        event: dict[str, Any],
        landed: Mapping[str, tuple[str, str]],
        left: dict[str, Any],
    ) -> None:
        """The content of an earlier release is there again, by a commit of its own; what was taken back is held."""
        known, rules = self.known[application, name], self.applications[application].environments[name]
        commit, back, target = event["commit"], event["restores"], event["target"]
        line = list(self.objects.chain(target))
        assert back in line, f"{back} was never on {name} before {commit}"
        passed = [oid for oid in line[: line.index(back)] if self.changed(application, oid)]
        assert back in known.given, f"{back} is no release of {name}"
        assert event["undone"] == passed, f"{passed} is taken back, and {event['undone']} said"
        source = next((s for oid in line[line.index(back) :] if (s := known.given.get(oid))), None)
        assert event["source"] == source, f"{back} stands for {source}, not for {event['source']}"
        if event["by"] == "git":
            assert commit in self.lines[name] | set(landed)
            assert known.release
            assert known.release[0] in passed, f"{commit} is older than the release"
        else:
            assert not known.strict, f"{name} of {application} went back, and it is frozen for everybody"
            if not self._by_people(event):
                why_not = model_back.why_not(self, application, name, event["by"], target)
                assert not why_not, f"{name} of {application} went back by itself, and {why_not}"
                assert back == model_back.way(self, application, name, target), f"{name} went back to {back} by itself"
                self.counted["rolled-back by itself"] += 1
            assert landed.get(commit) == (name, target), f"{commit} did not come with its record"
            del left[commit]
            self._only(application, rules, target, commit)
        assert self.parent(commit) == target
        assert not self.between(application, rules, back, commit), f"{commit} is not what {back} was"
        bad = [oid for oid in passed if oid in known.given or (rules.source is None and oid == passed[0])]
        held = {oid: self.between(application, rules, back, oid) for oid in bad}
        good = known.undone | known.backs
        wanted = {oid: entries for oid, entries in held.items() if entries and oid not in good}
        said = {hold["commit"]: set(hold["entries"]) for hold in event["holds"]}
        assert said == {oid: set(entries) for oid, entries in wanted.items()}, f"{commit} holds {said}"
        for oid in (*event["lifts"], *wanted):
            known.holds.pop(oid, None)
        known.holds |= {hold["commit"]: wanted[hold["commit"]] for hold in event["holds"]}
        known.undone = (known.undone - {back, *event["lifts"]}) | set(passed)
        known.undone.discard(commit)
        known.given |= {oid: known.given.get(oid) for oid in passed}
        known.backs.add(commit)
        known.granted.clear()
        known.given_release(commit, source)
        known.watched, known.until, known.outcome = commit, datetime.fromisoformat(event["until"]), "pending"
        known.acted = False

    def _only(self, application: str, rules: Rules, before: str, commit: str) -> None:
        """Nothing that is protected or out of scope moved."""
        new, old = self.files(commit), self.files(before)
        for path in {*new, *old}:
            if rules.kept(path) or not self.applications[application].inside(path):
                assert new.get(path) == old.get(path), f"{commit} touches {path}"

    def between(self, application: str, rules: Rules, old: str, new: str) -> dict[str, str | None]:
        """What one commit has otherwise than another, in scope and unprotected."""
        before, after = self.scoped(application, old), self.scoped(application, new)
        paths = {p for p in {*before, *after} if before.get(p) != after.get(p) and not rules.kept(p)}
        return {path: after.get(path) for path in paths}

    def _frozen(self, known: Known, event: dict[str, Any]) -> None:
        """By a person, or by an orchestrator that saw a rollback fail."""
        if self._by_people(event):
            known.frozen, known.strict = True, event["strict"]
            return
        assert not event["strict"], f"{event['by']} froze for everybody by itself"
        commit = event["commit"]
        assert not known.frozen, f"frozen for {commit}, and it was already"
        assert (known.watched, known.outcome, known.acted) == (commit, "failed", False), f"frozen for {commit}"
        assert commit in known.backs, f"{commit} is no rollback"
        known.frozen = known.acted = True

    def _content(self, application: str, name: str, source: str, before: str, commit: str) -> None:
        """What the rules come to, without any table: nothing foreign moves, and what was tested is what lands."""
        app, rules, known = self.applications[application], self.applications[application].environments[name], None
        known = self.known[application, name]
        new, old, tested = self.files(commit), self.files(before), self.files(source)
        mine = {path for path in {*new, *old, *tested} if app.inside(path) and not rules.kept(path)}
        for path in {*new, *old} - mine:
            assert new.get(path) == old.get(path), f"{commit} touches {path}, which is protected or out of scope"
        base = self.files(known.release[1]) if known.release else {}
        if all(old.get(path) == base.get(path) for path in {*mine, *base} if app.inside(path)):
            assert all(new.get(p) == tested.get(p) for p in mine), f"{commit} is not what was tested, without any drift"

    def _absorbed(
        self, application: str, name: str, event: dict[str, Any], landed: Mapping[str, object], at: datetime
    ) -> None:
        known, target, source = self.known[application, name], event["target"], event["source"]
        assert target in self.lines[name] or target in landed, f"{target} was never on {name}"
        judged = self._may(application, name, source, target, at, model_proposals.decided(self, event, target))
        assert not judged.gates, f"{source} was absorbed by {name} of {application}: {judged.gates}"
        assert not judged.conflicts
        assert judged.absorbed, f"{source} was absorbed by {name}, which does not have it"
        assert known.release is not None
        assert target == self.head(application, target), (
            f"{target} is none of {application}, and said to stand for {source}"
        )
        known.release = (known.release[0], source)
        known.given[target] = source

    def _may(
        self, application: str, name: str, source: str, tip: str, at: datetime, decided: str | None = None
    ) -> Judged:
        """The judgement of what landed, which must be a candidate at all."""
        rules, known = self.applications[application].environments[name], self.known[application, name]
        assert known.release is not None, f"{name} has no release to go on from"
        assert source in self.lines[rules.source or ""], f"{source} was never on {rules.source}"
        base = known.release[1]
        assert source != base, f"{name} has {source} already"
        assert base in self.ancestors(source), f"{source} does not descend from {name}'s {base}"
        assert self.changed(application, source), f"{source} is none of {application}"
        assert self.fits(application, name, tip), f"{name} was rewound, and got {source}"
        return self.judge(application, name, source, tip, at, decided)

    def _verified(self, known: Known, application: str, event: dict[str, Any], at: datetime) -> None:
        kind, commit = event["event"], event["commit"]
        assert (known.watched, known.outcome) == (commit, "pending"), f"{kind} {commit}, and {known.watched} is watched"
        revision, health = known.seen or (None, "")
        if kind == "timed-out":
            assert known.until is not None
            assert at >= known.until, f"{commit} timed out before its time"
        else:
            assert health == {"verified": "healthy", "failed": "degraded"}[kind], f"{commit} {kind} while {health}"
            assert kind == "verified" or (known.until and at <= known.until), f"{commit} failed after its time"
            assert revision, f"{kind} with nothing deployed"
            same = self.scoped(application, revision) == self.scoped(application, commit)
            assert same, f"{kind} {commit}, and {revision} runs"
            assert commit in self.ancestors(revision), f"{kind} {commit}, and {revision} runs"
        known.outcome = kind

    def _held(self, known: Known, application: str, name: str, event: dict[str, Any]) -> None:
        commit = event["commit"]
        rules = self.applications[application].environments[name]
        if not self._by_people(event):
            assert rules.on_failure != "none", f"{commit} was held by nobody"
            assert (known.watched, known.outcome, known.acted) == (commit, "failed", False), f"{commit} was held"
            assert commit not in known.backs, f"{commit} is a rollback, and was held"
            if rules.on_failure == "rollback":
                why_not = model_back.why_not_held(self, application, name, event["by"])
                assert not why_not, f"{commit} was held, and {why_not}"
                self.counted["held for want of a way back"] += 1
        known.acted = known.acted or known.watched == commit
        new, old = self.scoped(application, commit), self.scoped(application, self.parent(commit))
        paths = {p for p in {*new, *old} if new.get(p) != old.get(p) and not rules.kept(p)}
        assert set(event["entries"]) == paths, f"the hold of {commit} is of {set(event['entries'])}, not of {paths}"
        known.holds.pop(commit, None)
        known.holds[commit] = {path: new.get(path) for path in paths}

    def _compare(self, application: str, tip: str) -> None:
        """state.json says what the records say."""
        files = self.objects.files(self.objects.commit(tip).tree)
        state = json.loads(self.objects.raw(files["state.json"][1]))
        for name, said in state["environments"].items():
            known = self.known[application, name]
            release = said.get("release")
            assert (release and (release["commit"], release["source"])) == known.release
            pieces = [self.objects.raw(files[f"holds/{name}/{n}"][1]) for n in range(said.get("pieces", 0))]
            holds = [hold for piece in pieces for hold in json.loads(piece)] + said["holds"]
            assert [h["commit"] for h in holds if "plan_id" not in h] == list(known.holds)
            noes = [(self.plans[h["plan_id"]], h["by"].lower()) for h in holds if "plan_id" in h]
            assert noes == list(known.rejected)
            words = {(self.plans[a[0]], a[2]): (a[3], datetime.fromisoformat(a[4])) for a in said.get("answers", ())}
            assert words == known.said
            assert bool(said["frozen"]) == known.frozen
            assert bool(said["frozen"] and said["frozen"]["strict"]) == known.strict
            assert {oid: fact[0] for oid, fact in said["facts"].items()}.items() <= known.word.items()
            seen = said.get("observed")
            assert (seen and (seen["revision"], seen["health"])) == known.seen
            watched = said.get("verification")
            assert (watched and (watched["commit"], watched["state"])) == (
                (known.watched, known.outcome) if known.watched else None
            )

    # --- what may land ---------------------------------------------------------------------------------------------

    def fits(self, application: str, name: str, tip: str) -> bool:
        """Whether the release is on the branch, and no promotion after it."""
        release = self.known[application, name].release
        for oid in self.objects.chain(tip):
            if release and oid == release[0]:
                return True
            said = self.objects.commit(oid).trailers
            if (said.get("Promotion-Application"), said.get("Promotion-Environment")) == (application, name):
                return False
        return release is None

    def judge(
        self, application: str, name: str, commit: str, tip: str, now: datetime, decided: str | None = None
    ) -> Judged:
        """Everything that keeps a candidate out of an environment now; `decided`: by which commit, where it conflicts."""
        rules, known = self.applications[application].environments[name], self.known[application, name]
        assert rules.source
        assert known.release
        asked: Standing | None = None
        source = self.known[application, rules.source]
        result, conflicts, lost = self.table(application, rules, known.release[1], tip, commit, decided)
        gates: dict[str, str] = {}
        if source.word.get(commit) != "healthy":
            gates["source"] = f"{source.word.get(commit, 'never seen')} in {rules.source}"
        if commit in dict(source.kept_out()):
            gates["source"] = f"held in {rules.source}"
        if commit in source.undone:
            gates["source"] = f"rolled back in {rules.source}"
        for other in rules.requires:
            if why := self._lacks(application, other, commit):
                gates["requires"] = f"{other}: {why}"
        absorbed = not conflicts and result == self.files(tip)
        if absorbed:
            return Judged(gates, (), result, True)
        if not rules.auto and (application, name) not in self.by_hand:
            gates["auto"] = "by hand only"
        if known.frozen:
            gates["freeze"] = "frozen"
        if known.outcome == "pending" and known.until and now < known.until:
            gates["verification"] = f"{known.watched} until {known.until}"
        begun = _soaks_since(source, commit, now)
        if rules.soak and (begun is None or now - begun < rules.soak):
            gates["soak"] = f"healthy since {source.well.get(commit)}, {source.stretch[:1]} to {source.stretch[-1:]}"
        if why := self.refusal(application, name, commit, tip, None if conflicts else result):
            gates["hold"] = why
        if rules.asks and conflicts:
            gates["approval"] = "there is nothing to approve yet"
        elif rules.asks:
            plan = model_people.key(self, application, name, commit, tip, decided)
            asked = model_people.standing(self, plan, now)
            if len(asked.approved) < rules.asks.count:
                gates["approval"] = f"{sorted(asked.approved)} of {rules.asks.count}"
        if lost and rules.mirror:
            gates["drift"] = f"a mirror would lose {lost}"
        waits = {"approval", "auto", "verification", *(["soak"] if begun else [])}
        return Judged(gates, tuple(conflicts), result, False, not conflicts and gates.keys() <= waits, asked)

    def table(
        self, application: str, rules: Rules, base: str, tip: str, commit: str, decided: str | None = None
    ) -> tuple[Files, list[str], list[str]]:
        """T, the paths in conflict that nobody `decided`, and what only the target has and would lose."""
        b, d, s = self.files(base), self.files(tip), self.files(commit)
        result, conflicts, lost = dict(d), list[str](), list[str]()
        for path in sorted({*b, *d, *s}):
            if not self.applications[application].inside(path) or rules.kept(path):
                continue
            old, ours, theirs = b.get(path), d.get(path), s.get(path)
            if rules.mirror:
                new, clean = theirs, True
                both = three_ways(old, ours, theirs)
                lost += [path] if ours not in (old, theirs) and both != (theirs, True) else []
            else:
                new, clean = three_ways(old, ours, theirs)
            if not clean and decided:
                new, clean = self.files(decided).get(path), True
            conflicts += [] if clean else [path]
            result.pop(path, None)
            result |= {} if new is None else {path: new}
        return result, conflicts, lost

    def _lacks(self, application: str, name: str, commit: str) -> str:
        """Why a required environment does not let a candidate pass."""
        known = self.known[application, name]
        if any(commit == held or _contains(self.files(commit), entries) for held, entries in known.kept_out()):
            return "it holds the change"
        if known.release is None or commit not in self.ancestors(known.release[1]):
            return "it does not have it"
        if known.outcome == "pending":
            return "it is being verified"
        revision, health = known.seen or (None, "")
        if revision is None or known.release[0] not in self.ancestors(revision):
            return "it does not run it"
        return "" if health == "healthy" else f"it is {health}"

    def refusal(
        self,
        application: str,
        name: str,
        commit: str,
        tip: str,
        result: Files | None,
        but: tuple[Key, str] | None = None,
    ) -> str:
        """What is held or was rejected, here or in the source, that a candidate is or has; but for what one person rejected."""
        rules, known = self.applications[application].environments[name], self.known[application, name]
        if commit in dict(known.kept_out(but)):
            return f"{commit} is held"
        others = [
            each
            for other in model_people.decided_with(self, application, name)
            for (plan, _), entries in self.known[application, other].rejected.items()
            for each in [(plan.source, entries)]
        ]
        if commit in dict(others):
            return f"{commit} was rejected where this is decided"
        if result is None:
            return ""
        for held, entries in [*known.kept_out(but), *others]:
            brought = _contains(result, entries) and not _contains(self.files(tip), entries)
            if brought and not self._fixed(application, name, commit, held):
                return f"brings back {held}"
        for held, entries in self.known[application, rules.source or ""].kept_out():
            if _contains(self.files(commit), entries) and not self._fixed(application, name, commit, held):
                return f"has {held}, held in {rules.source}"
        return ""

    def _fixed(self, application: str, name: str, commit: str, held: str) -> bool:
        release = self.known[application, name].release
        rules, known = self.applications[application].environments[name], [held]
        while source := self.objects.commit(known[-1]).trailers.get("Promotion-Source"):
            known.append(source)
        new = model_origins.brought(self, application, rules.source or "", release[1] if release else commit, commit)
        said = {self.objects.commit(oid).trailers.get("Promotion-Fixes", "") for oid in new.commits}
        return any(len(one) >= 7 and oid.startswith(one) for one in said for oid in known)

    # --- what is owed ----------------------------------------------------------------------------------------------

    def owed(self, application: str, name: str, now: datetime) -> Owed:
        """The newest candidate that may land now, or why there is none."""
        rules, known = self.applications[application].environments[name], self.known[application, name]
        if known.release is None or not self.fits(application, name, self.tips[name]):
            return Owed("refused")
        base, tip = known.release[1], self.tips[rules.source or ""]
        candidates = list(self.candidates(application, tip, base))
        if not candidates:
            strayed = tip not in self.ancestors(base) and base not in self.ancestors(tip)
            return Owed("strayed" if strayed else "nothing")
        judged = {oid: self.judge(application, name, oid, self.tips[name], now) for oid in candidates}
        past = self.known[application, rules.source or ""].past
        known_well = [oid for oid in candidates if "source" not in judged[oid].gates and oid not in past]
        # What is there already lands nothing: it is looked for only in the newest that is known to be well.
        may = [
            oid for oid in known_well if not judged[oid].gates and not (judged[oid].absorbed and oid != known_well[0])
        ]
        clean = next((oid for oid in may if not judged[oid].conflicts), None)
        conflict = next((oid for oid in may if judged[oid].conflicts), None)
        return Owed("", tuple(candidates), judged, clean, None if clean else conflict)

    def candidates(self, application: str, tip: str, base: str) -> Iterator[str]:
        for oid in self.objects.chain(tip):
            if oid == base:
                return
            if self.changed(application, oid) and base in self.ancestors(oid):
                yield oid


def _event(message: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.partition("[skip ci]\n")[2])
    return found


def _looked(known: Known, health: str, at: datetime) -> None:
    if health in ("degraded", "missing"):
        known.stretch.clear()
    elif health != "unknown":
        if known.stretch and at - max(known.stretch) > 2 * HEARTBEAT:
            known.stretch.clear()
        known.stretch.append(at)


def _soaks_since(source: Known, commit: str, now: datetime) -> datetime | None:
    if commit not in source.well or not source.stretch or now - max(source.stretch) > 2 * HEARTBEAT:
        return None
    return max(source.well[commit], source.stretch[0])


def _contains(files: Files, entries: Mapping[str, str | None]) -> bool:
    return bool(entries) and all(files.get(path) == text for path, text in entries.items())
