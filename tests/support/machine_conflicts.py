"""The same histories with people who decide conflicts on the branches of proposals."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from promotion.reconcile import Proposal
from tests.support import model_proposals
from tests.support.machine import ALL, AUTHORS, COUNTED, DOORS, EDITS, NUMBERS, acts_between
from tests.support.machine_proposals import Proposals
from tests.support.model_values import FILLER

CHOICES = st.lists(st.sampled_from([0, 1, 1, 2, 2, 3, 4]), min_size=6, max_size=6)
"""What a person does with the files in conflict, in their order: as the target, as the source, other, gone, not at all."""


class Conflicts(Proposals):
    """One history."""

    @rule(
        by=DOORS,
        edits=EDITS,
        where=st.tuples(NUMBERS, st.integers(1, 3)),
        choices=CHOICES,
        stray=st.booleans(),
        who=st.integers(0, 2),
        meanwhile=st.just([]) | st.just([]) | acts_between(),
        acts=st.just([]) | st.just([]) | acts_between(),
        fate=st.sampled_from(["lands", "lands", "answer lost", "dies before", "dies after"]),
    )
    def conflict(
        self,
        by: str,
        edits: list[Any],
        where: tuple[int, int],
        choices: list[int],
        stray: bool,
        who: int,
        meanwhile: list[Any],
        acts: list[Any],
        fate: Any,
    ) -> None:
        """The same lines are changed on an environment and on dev; a person decides, maybe more than that, and it is promoted."""
        app, name = self._app(where[0]), self._name(where[1])
        source = self._rules(app, name).source
        if source is None or len(self.model.tips) < len(self.names):
            return
        self._commit((where[1], [(where[0], *edit[1:]) for edit in edits]))
        self._commit((0, [(where[0], path, part, (value + 1) % 3) for _, path, part, value in edits]))
        self.rounds(by=by, number=where[1] % len(self.names), sync=True)
        self._disturb(by, meanwhile, fate)
        done = self._proposed(by, app, name, alone=not meanwhile and fate in ("lands", "answer lost"))
        ref = f"refs/heads/{done.branch}" if done else ""
        if ref not in self.model.proposals:
            return
        commit = self._decide(ref, choices, AUTHORS[who], stray=stray)
        self._name_it(by, app, name, commit, acts)
        self.rounds(by=by, number=2, sync=True)
        if acts:  # it may be about what is not there any more
            self._name_it(by, app, name, commit, [])

    def _proposed(self, by: str, app: str, name: str, *, alone: bool) -> Proposal | None:
        """What is said of it is so."""
        done = self.ground.resolve(by, app, name)
        COUNTED[f"resolve: {done.outcome if done else 'refused in words'}"] += 1
        if done is None or not alone:
            return done
        owed = self.model.owed(app, name, self.ground.now)
        if done.outcome == "nothing":
            assert owed.conflict is None, f"{owed.conflict} conflicts in {name} of {app}: {done.reason}"
        else:
            assert done.source in owed.candidates, f"{done.source} is none of {owed.candidates}"
            known = self.model.proposals[f"refs/heads/{done.branch}"]
            assert {path.decode() for path in done.marked} == known.sketch.marked.keys()
            assert {path.decode() for path in done.undecided or ()} == known.sketch.undecided
        return done

    def _decide(self, ref: str, choices: list[int], author: str, *, stray: bool) -> str:
        """A person's commit on the branch of a proposal."""
        proposal = self.model.proposals[ref]
        files, sketch = self.model.files(proposal.tip), proposal.sketch
        changes: dict[str, str | None] = {}
        for path, choice in zip(sorted({*sketch.marked, *sketch.undecided}), choices, strict=False):
            both = sketch.marked.get(path, (files.get(path), None))
            other = "fair\n" if path.endswith("health") else f"7\n{FILLER}7\n"
            if choice < 4:
                changes[path] = (*both, other, None)[choice]
        if stray:
            free = sorted(files.keys() - sketch.marked.keys() - sketch.undecided)
            changes |= {free[0]: "not asked\n", "smuggled": "in\n"}
        return self.ground.decide(ref, {p: t for p, t in changes.items() if t is not None or p in files}, author)

    def _name_it(self, by: str, app: str, name: str, commit: str, acts: list[Any]) -> None:
        """People see what comes of it, and it is promoted: that lands if it may."""
        if name == "prod":
            self._answer(by, app, ALL, commit)
        self._disturb(by, acts, "lands")
        done = self.ground.promote(by, app, name, None, resolution=commit)
        COUNTED[f"resolution: {done.outcome if done else 'refused in words'}"] += 1
        if not acts and (done is None or (done.commit is None and done.outcome != "absorbed")):
            why = self._kept(app, name, commit)
            assert why, f"{commit} decides for {name} of {app}: {done.outcome if done else ''}, {done and done.reason}"

    def _kept(self, app: str, name: str, commit: str) -> object:
        """What keeps a decided change out; nothing when it may land."""
        model, tip = self.model, self.model.tips.get(name, "")
        source = model_proposals.decides(model, app, name, tip, commit) if tip else ""
        owed = model.owed(app, name, self.ground.now) if tip else None
        if not source or owed is None or source not in owed.candidates:
            return "it is not about what is there"
        if source in model.known[app, self._rules(app, name).source or ""].past:
            return "nobody remembers"
        model.by_hand.add((app, name))
        judged = model.judge(app, name, source, tip, self.ground.now, commit)
        model.by_hand.discard((app, name))
        return judged.gates or judged.conflicts
