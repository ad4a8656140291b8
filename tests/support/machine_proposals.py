"""The same histories with people who bring home what only one environment has."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from promotion.reconcile import Proposal
from tests.support import model_proposals
from tests.support.machine import COUNTED, DOORS, EDITS, NUMBERS, acts_between
from tests.support.machine_overrides import Overriding
from tests.support.model_values import three_ways
from tests.support.playground_proposals import Proposing


class Proposals(Overriding):
    """One history."""

    ground: Proposing
    kind = Proposing

    @rule(
        by=DOORS,
        edits=EDITS,
        more=st.just([]) | EDITS,
        where=st.tuples(NUMBERS, st.integers(1, 3)),
        acts=st.just([]) | st.just([]) | acts_between(),
        fate=st.sampled_from(["lands", "lands", "answer lost", "dies before", "dies after"]),
        side=st.integers(0, 1),
    )
    def hotfix_brought_home(
        self, by: str, edits: list[Any], more: list[Any], where: tuple[int, int], acts: list[Any], fate: Any, side: int
    ) -> None:
        """A commit on an environment, which is proposed to the root while that goes on, is merged there, and comes back down."""
        app, name = self._app(where[0]), self._name(where[1])
        root = model_proposals.root_of(self.model, app, name)
        if root == name or len(self.model.tips) < len(self.names):
            return
        self._commit((where[1], [(where[0], *edit[1:]) for edit in edits]))
        if more:
            self._commit((0, [(where[0], *edit[1:]) for edit in more]))
        self.rounds(by=by, number=1, sync=True)
        self._same_drift(by, app, name)
        self._disturb(by, acts, fate)
        done = self._backported(by, app, name, alone=not acts and fate in ("lands", "answer lost"))
        if done is None or done.branch is None or f"refs/heads/{done.branch}" not in self.model.proposals:
            return
        self._merge(root, f"refs/heads/{done.branch}", side)
        self.rounds(by=by, number=3, sync=True)
        self._same_drift(by, app, name)
        COUNTED["drift over" if not model_proposals.drift(self.model, app, name) else "drift still"] += 1

    def _backported(self, by: str, app: str, name: str, *, alone: bool) -> Proposal | None:
        """What is said of it is so."""
        model, root = self.model, model_proposals.root_of(self.model, app, name)
        done = self.ground.backport(by, app, name)
        COUNTED[f"backport: {done.outcome if done else 'refused in words'}"] += 1
        if done is None or not alone:
            return done
        wanted = model_proposals.backport(model, app, name, model.tips[root])
        assert wanted is not None
        left = wanted.brings or wanted.marked or wanted.undecided
        if done.outcome == "nothing":
            before = [each for each in model.proposals.values() if (each.application, each.environment) == (app, name)]
            decided = any(each.tip in model.ancestors(model.tips[root]) for each in before)
            assert not left or (decided and not wanted.brings), (
                f"{left} of {name} of {app} is to be proposed: {done.reason}"
            )
            return done
        assert left, f"{done.branch} of {name} of {app} proposes nothing"
        if done.created:
            assert {path.decode() for path in done.brings} == wanted.brings
            assert {path.decode() for path in done.marked} == wanted.marked.keys()
            assert {path.decode() for path in done.undecided or ()} == wanted.undecided
        return done

    def _merge(self, root: str, ref: str, side: int) -> None:
        """As a person does it: what conflicts, in the proposal or since, is as one side has it."""
        model, proposal = self.model, self.model.proposals[ref]
        parent = model.parent(proposal.commit) or ""
        base, ours, theirs = (model.files(oid) for oid in (parent, model.tips[root], proposal.tip))
        changes: dict[str, str | None] = {}
        for path in sorted({*base, *ours, *theirs}):
            text = theirs.get(path)
            if text and "<<<<<<<" in text:
                text = model_proposals.sides(text)[side]
            new, clean = three_ways(base.get(path), ours.get(path), text)
            new = new if clean else (ours.get(path), text)[side]
            if new != ours.get(path):
                changes[path] = new
        self.ground.merge(root, ref, changes)

    def _same_drift(self, by: str, app: str, name: str) -> None:
        """What is said to be only there is what is only there."""
        if len(self.model.tips) == len(self.names) and self.model.known[app, name].release:
            said, wanted = self.ground.drift(by, app, name), model_proposals.drift(self.model, app, name)
            assert said in (None, wanted.keys()), f"{name} of {app} drifts in {said}, expected {wanted}"
