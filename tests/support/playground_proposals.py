"""The same server with what people propose, decide on proposals' branches, and merge; the model is told and judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from promotion import observe, report
from promotion.reconcile import Proposal, backport, resolve
from tests.support import model_proposals
from tests.support.model_values import Wanted
from tests.support.playground import Playground


class Proposing(Playground):
    """What a playground does, and proposals."""

    def backport(self, by: str, application: str, name: str) -> Proposal | None:
        """A person wants a hotfix proposed to the root; None when it was refused in words, or whoever did it was killed."""
        self.wait(timedelta(seconds=1))
        root = model_proposals.root_of(self.model, application, name)
        fits = self.model.fits(application, name, self.model.tips[name])
        wanted = model_proposals.backport(self.model, application, name, self.model.tips[root]) if fits else None
        asked = Wanted("backport", application, name, wanted)
        with self._proposing(asked), self._mortal(by), self._allowed():
            return backport(*self._at(by, application, name), reason="a person says so")
        return None

    def resolve(self, by: str, application: str, name: str) -> Proposal | None:
        """A person wants a conflict proposed; None as above."""
        self.wait(timedelta(seconds=1))
        release = self.model.known[application, name].release
        asked = Wanted("resolve", application, name, None, release[1] if release else None)
        with self._proposing(asked), self._mortal(by), self._allowed():
            return resolve(*self._at(by, application, name))
        return None

    @contextmanager
    def _proposing(self, asked: Wanted) -> Iterator[None]:
        self.model.proposing.append(asked)
        yield
        self.model.proposing.remove(asked)

    def decide(self, ref: str, changes: Mapping[str, str | None], author: str = "erin") -> str:
        """A person commits on the branch of a proposal."""
        made = self.origin.commit(ref.removeprefix("refs/heads/"), changes, message="decided", author=author)
        self.look(people=[ref])
        return made

    def merge(self, name: str, ref: str, changes: Mapping[str, str | None]) -> str:
        """A person merges a proposal into an environment's branch; `changes` is what that comes to there."""
        merges = [self.model.proposals[ref].tip]
        made = self.origin.commit(f"env/{name}", changes, message="merge it", author="erin", merges=merges)
        self.look(people=[name])
        return made

    def drift(self, by: str, application: str, name: str) -> set[str] | None:
        """What the product says that only this branch has; None when it says in words why it does not know."""
        site, environment = self._at(by, application, name)
        with self._allowed():
            _, found = report.drift(site, observe.survey(site), environment)
            return {path.decode() for path in found}
        return None
