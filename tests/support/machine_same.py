"""The same histories where one decision counts for several environments (`same_as`)."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.support.machine import ALL, DOORS, EDITS, NUMBERS, WORDS, acts_between
from tests.support.machine_conflicts import Conflicts


class Everything(Conflicts):
    """One history."""

    @property
    def following(self) -> list[str]:
        """The applications in which eu takes prod's decision."""
        return [app for app in getattr(self, "apps", ()) if "eu" in self.names and self._rules(app, "eu").same_as]

    @rule(
        by=DOORS,
        edits=EDITS,
        app=NUMBERS,
        words=st.just(ALL) | st.lists(WORDS, min_size=1, max_size=3),
        there=st.just([]) | st.lists(WORDS, min_size=1, max_size=2),
        acts=st.just([]) | acts_between(),
        old=st.sampled_from(["", "", "withdrawn", "rejected"]),
    )
    @precondition(lambda self: self.following)
    def decided_once(
        self, by: str, edits: list[Any], app: int, words: list[Any], there: list[Any], acts: list[Any], old: str
    ) -> None:
        """A commit on dev that people decide about for prod, which counts for eu; they may say something there as well, or later."""
        name = self.following[app % len(self.following)]
        self._commit((0, edits))
        self.rounds(by=by, number=3, sync=True)
        self._answer(by, name, words)
        self._answer(by, name, there, name="eu")
        self._disturb(by, acts, "lands")
        self.rounds(by=by, number=1, sync=True)
        if old and self.shown:
            self._say(by, *self.shown[-1], 0, old)
        self.rounds(by=by, number=2, sync=True)
