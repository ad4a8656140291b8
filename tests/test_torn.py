"""A server moves the refs of one push one after the other; whoever reads in between reads again, and nobody is told a fault."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from promotion import observe, reconcile
from promotion.errors import ContendedError, RefusedError, TemporaryError, TornError
from promotion.observe import Site
from promotion.reconcile import people
from promotion.reconcile.again import until_made
from promotion.repository import Git, Repository, Snapshot
from tests.support.stage import Stage

LEDGER = "refs/heads/promotion/shop"
QA = "refs/heads/env/qa"


class Slow(Repository):
    """A remote of which the `late` ref is shown as it was `before`, in every other look, so many times."""

    before: Snapshot = Snapshot({})
    late: str = ""
    times: int = 0
    looks: int = 0
    after: int = 0
    """How many looks are so after a push that lands."""

    def push(self, *args: Any) -> str:
        said = super().push(*args)
        self.times, self.after, self.looks = self.after or self.times, 0, 0
        return said

    def refresh(self, refs: Sequence[str], whole: Sequence[str] = ()) -> Snapshot:
        now = super().refresh(refs, whole)
        self.looks += 1
        if not self.times or not self.looks % 2:
            return now
        self.times -= 1
        return Snapshot({ref: (self.before[ref] or tip) if ref == self.late else tip for ref, tip in now.tips.items()})


@dataclass
class Read:
    """A promotion into qa, read by somebody while it lands."""

    stage: Stage
    site: Site
    slow: Slow

    def between(self, late: str, *, times: int = 1) -> Site:
        """What reads the new tips of everything but `late`, at first."""
        self.slow.late, self.slow.times, self.slow.looks = late, times, 0
        return self.site


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    stage = Stage.create(tmp_path)
    stage.round()
    slow = Slow(stage.application.repository, Git(dict(os.environ), tmp_path / "slow"), tmp_path / "slow")
    site = replace(stage.site, repository=slow)
    slow.before = observe.look([site])
    stage.commit("dev", {"web": "2\n"})
    stage.round()
    stage.round()
    assert stage.events().count("promoted qa") == 1
    yield Read(stage, site, slow)
    slow.close()
    stage.close()


@pytest.mark.parametrize("late", [LEDGER, QA])
def test_a_hop_reads_again(read: Read, late: str) -> None:
    """Its ledger or its branch comes late: there is nothing to do, which a second reading says."""
    result = reconcile.promote(read.between(late), read.stage.env("qa"))
    assert (result.outcome, result.status) == ("nothing", 0)
    assert read.slow.times == 0
    with pytest.raises(ContendedError, match="its branches moved while they were read 5 times"):
        reconcile.promote(read.between(late, times=99), read.stage.env("qa"))


@pytest.mark.parametrize("late", [LEDGER, QA])
def test_a_round_reads_again(read: Read, late: str) -> None:
    done = reconcile.reconcile(read.between(late), ["dev", "qa", "prod"])
    assert done.errors == ()
    assert done.plans["qa"].verdict == "nothing"


@pytest.mark.parametrize("late", [LEDGER, QA])
def test_a_rollback_reads_again(read: Read, late: str) -> None:
    result = reconcile.roll_back(read.between(late), read.stage.env("qa"), reason="it is bad")
    assert (result.outcome, result.status) == ("rolled-back", 0)


def test_a_person_reads_again(read: Read) -> None:
    """This clone knows a newer record than it is shown: nothing was lost."""
    observe.survey(read.site)
    assert people.freeze(read.between(LEDGER), [read.stage.env("qa")], reason="not today", until=None, strict=False)
    observe.survey(read.between(LEDGER))
    with pytest.raises(TornError, match="its branches moved while they were read"):
        observe.survey(read.between(LEDGER, times=99))


def test_what_landed_is_not_made_again(read: Read) -> None:
    """Its refs are moved for so long that no look after the push is of one moment: it is looked until one is."""
    observe.survey(read.site)
    read.between(LEDGER, times=0).repository.after = observe.READINGS + 1  # type: ignore[attr-defined]
    assert people.freeze(read.site, [read.stage.env("qa")], reason="not today", until=None, strict=False)
    assert read.slow.times == 0
    assert read.stage.events().count("frozen qa") == 1


def test_what_may_have_landed_is_not_made_again(read: Read) -> None:
    observe.survey(read.site)
    read.slow.late, read.slow.after = LEDGER, 999
    with pytest.raises(TemporaryError, match="after a push, which may have landed") as caught:
        people.freeze(read.site, [read.stage.env("qa")], reason="not today", until=None, strict=False)
    assert not isinstance(caught.value, (TornError, ContendedError))
    assert read.stage.events().count("frozen qa") == 1


def test_what_is_decided_again_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def torn() -> str:
        raise TornError("here")

    caplog.set_level("INFO")
    with pytest.raises(ContendedError, match="its branches moved while they were read 5 times"):
        until_made(torn, "shop")
    with pytest.raises(ContendedError, match="somebody was faster 5 times"):
        until_made(lambda: None, "shop")
    numbers = [f"deciding again ({n} of 5)" for n in range(2, 6)]
    reasons = ("here: its branches moved while they were read", "shop: somebody was faster")
    assert caplog.messages == [f"{why}; {number}" for why in reasons for number in numbers]


def test_what_stays_so_is_refused(read: Read) -> None:
    """A ledger that is as old in each reading was rewound."""
    read.stage.origin.set("promotion/shop", read.slow.before[LEDGER])
    with pytest.raises(RefusedError, match=r"which the ledger does not know|was rewound"):
        reconcile.promote(read.site, read.stage.env("qa"))
