"""The same histories with people who promote past gates, whether they may or not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from promotion.reconcile import Result
from tests.support import model_overrides
from tests.support.machine import COUNTED, DOORS, EDITS, NUMBERS, SKIP, SPEAKERS, Machine, acts_between

GATES = st.sampled_from(
    [(), (), (), SKIP, SKIP[:2], SKIP[2:], (*SKIP, "hold"), ("source",), ("freeze", "verification")]
)
"""What somebody wants to get past; nothing in particular: all that may be overridden there."""
WHO = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4])


class Overriding(Machine):
    """One history."""

    @rule(
        by=DOORS,
        edits=EDITS,
        where=st.tuples(NUMBERS, st.sampled_from([1, 2, 2, 3])),
        who=WHO,
        gates=GATES,
        before=st.sampled_from(["nothing", "freeze", "freeze", "strict", "hold", "sick"]),
        acts=st.just([]) | acts_between(),
    )
    def urgent_release(
        self, by: str, edits: list[Any], where: tuple[int, int], who: int, gates: Any, before: str, acts: list[Any]
    ) -> None:
        """A commit on dev, and somebody cannot wait until it may be further on: not for time, not for people, not for a thaw."""
        app, name = self._app(where[0]), self._name(where[1])
        if before in ("freeze", "strict"):
            self.ground.freeze(by, app, name, strict=before == "strict")
        self._commit((0, [*edits, (where[0], "health", "top", 2)] if before == "sick" else edits))
        self.rounds(by=by, number=where[1] % len(self.names), sync=True)
        if before == "hold":
            self._hold(by, (where[0], where[1], 1))
        self._override(by, (where[0], where[1]), who, gates, None, acts)
        for key in [key for key, known in self.model.known.items() if known.strict]:
            self.ground.thaw(by, *key)
        self.rounds(by=by, number=1, sync=True)

    @rule(
        by=DOORS,
        where=st.tuples(NUMBERS, st.integers(1, 3)),
        who=WHO,
        gates=GATES,
        chosen=st.none() | NUMBERS,
        acts=st.just([]) | acts_between(),
    )
    def override(
        self, by: str, where: tuple[int, int], who: int, gates: Any, chosen: int | None, acts: list[Any]
    ) -> None:
        """Somebody promotes past gates, whatever there is."""
        self._override(by, where, who, gates, chosen, acts)

    def _override(
        self, by: str, where: tuple[int, int], who: int, gates: tuple[str, ...], chosen: int | None, acts: list[Any]
    ) -> None:
        app, name = self._app(where[0]), self._name(where[1])
        gates = gates or self.model.applications[app].skip
        source = self._rules(app, name).source
        if source is None or len(self.model.tips) < len(self.names):
            return
        line = list(self.model.objects.chain(self.model.tips[source]))
        oid = line[min(chosen, len(line) - 1)] if chosen is not None else None
        self._disturb(by, acts, "lands")
        done = self.ground.promote(by, app, name, oid, (SPEAKERS[who], gates))
        said = done.outcome if done else "refused in words"
        COUNTED[f"override: {said}"] += 1
        if not acts:
            self._let(app, name, SPEAKERS[who], gates, done, oid)

    def _let(self, app: str, name: str, who: str, gates: tuple[str, ...], done: Result | None, oid: str | None) -> None:
        """Who may not is refused in words; who may has what is to be had."""
        allowed = model_overrides.may(self.model, app, who, gates)
        assert allowed or done is None, f"{who} may not override {gates} for {app}, and it is {done and done.outcome}"
        self.model.by_hand.add((app, name))
        owed = self.model.owed(app, name, self.ground.now)
        self.model.by_hand.discard((app, name))
        if not allowed or owed.why == "refused":
            return
        assert done is not None, f"{who} may override {gates} for {app}, and was refused in words"
        if done.commit is None and done.outcome != "absorbed":
            left = model_overrides.open_at(self.model, app, name, owed, gates, oid)
            assert not left, f"{who} may have {left} past {gates} in {name} of {app}: {done.outcome}, {done.reason}"
