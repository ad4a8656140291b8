"""The naive model's word on what may land: everything that keeps a candidate out, what the target would become, and what is owed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from tests.support import model_origins, model_people
from tests.support.model_facts import Facts
from tests.support.model_values import HEARTBEAT, Files, Judged, Key, Known, Owed, Rules, Standing, three_ways


class Landing(Facts):
    """What it knows, and what it makes of that."""

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

    # --- what landed -----------------------------------------------------------------------------------------------

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

    def _only(self, application: str, rules: Rules, before: str, commit: str) -> None:
        """Nothing that is protected or out of scope moved."""
        new, old = self.files(commit), self.files(before)
        for path in {*new, *old}:
            if rules.kept(path) or not self.applications[application].inside(path):
                assert new.get(path) == old.get(path), f"{commit} touches {path}"


def _soaks_since(source: Known, commit: str, now: datetime) -> datetime | None:
    if commit not in source.well or not source.stretch or now - max(source.stretch) > 2 * HEARTBEAT:
        return None
    return max(source.well[commit], source.stretch[0])


def _contains(files: Files, entries: Mapping[str, str | None]) -> bool:
    return bool(entries) and all(files.get(path) == text for path, text in entries.items())
