"""What promotion is, told naively: dictionaries of files, a list of readings, one record of a ledger after the other.

The model is told what people do, what is deployed and what is read. Everything else that moves on the server it judges:
whether what landed may have landed, and is what it should be. It uses none of the product's code, and no cleverness.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from tests.support import model_back, model_overrides, model_people, model_proposals, model_state
from tests.support.model_landing import Landing
from tests.support.model_values import (
    HEARTBEAT,
    Known,
)


class Model(Landing):
    """The history of one server, as it is seen by somebody who believes nothing."""

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
                model_state.compare(self, application, new)
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
