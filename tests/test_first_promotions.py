"""Branches that have lived for years: what a first promotion makes of them, and what it says when a person has to decide."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from promotion.errors import ConfigError, RefusedError
from promotion.reconcile import adopt, promote
from promotion.report import audit, conflicts
from tests.support.shared import Shared, place

Share = Callable[..., Shared]


def lived(share: Share) -> Shared:
    """dev and qa of one application, which have the repository for themselves, and no ledger yet."""
    made: Shared = share(names=("shop",), environments=(place("dev"), place("qa", "dev")), paths={"shop": ()})
    return made


def test_a_first_promotion_without_any_ledger(share: Share) -> None:
    """By hand, before any round: the one merge base is what qa has."""
    shared = lived(share)
    change = shared.commit("dev", {"web": "2\n"})
    stage = shared["shop"]
    stage.sync("dev")
    stage.wait(seconds=1)
    assert promote(stage.site, stage.env("qa")).outcome == "promoted"
    assert shared.promotions("qa") == [("shop", change)]
    assert audit(stage.site, stage.world()) == []


@pytest.mark.parametrize("history", ["unrelated", "several bases"])
def test_nobody_knows_what_qa_has(share: Share, history: str) -> None:
    """It is said with the command that mends it; once adopted, what comes after that commit is promoted."""
    shared = lived(share)
    start = shared.origin.tip("env/dev")
    if history == "unrelated":
        shared.origin.set("env/qa", None)
        shared.commit("qa", {"shop/web": "1\n", "README.md": "All of them.\n"})
    else:  # a criss-cross: each was merged into the other
        one, two = shared.commit("dev", {"a": "1\n"}), shared.commit("qa", {"b": "1\n"})
        shared.origin.commit("env/dev", {"b": "1\n"}, merges=[two])
        shared.origin.commit("env/qa", {"a": "1\n"}, merges=[one])
    base = start if history == "unrelated" else shared.origin.tip("env/dev")
    change = shared.commit("dev", {"shop/web": "2\n"})
    stage = shared["shop"]
    stage.sync("dev")
    with pytest.raises(ConfigError) as told:
        promote(stage.site, stage.env("qa"))
    assert ("no common history" if history == "unrelated" else "2 merge bases") in str(told.value)
    assert told.value.hint == "promotion adopt qa --source COMMIT"
    shared.round()
    assert shared.promotions("qa") == []
    adopt(stage.site, stage.env("qa"), base)
    shared.settle()
    assert shared.promotions("qa") == [("shop", change)]
    assert shared.origin.tree("env/qa") == shared.origin.tree("env/dev")
    assert audit(stage.site, stage.world()) == []


def test_squash_merges_until_now(share: Share) -> None:
    """The merge base is far back: changes that both have are no conflict; where they are, adopt says what qa has."""
    shared = lived(share)
    for number in range(3):
        last = shared.commit("dev", {"shop/web": f"{number}\n", f"file{number}": "1\n"})
        shared.commit("qa", {"shop/web": f"{number}\n", f"file{number}": "1\n"}, message="squashed")
    shared.commit("dev", {"shop/web": "new\n"})
    shared.settle()
    stage = shared["shop"]
    plan = stage.plan("qa")
    assert plan.verdict == "conflict"
    assert "promotion adopt qa --source COMMIT" in conflicts.resolution(plan)[-1]
    adopt(stage.site, stage.env("qa"), last)
    shared.settle()
    assert shared.origin.tree("env/qa") == shared.origin.tree("env/dev")
    assert len(shared.promotions("qa")) == 1
    shared.commit("qa", {"shop/web": "by hand\n"})
    shared.commit("dev", {"shop/web": "newer\n"})
    shared.round()
    plan = stage.plan("qa")
    assert plan.verdict == "conflict"
    assert not any("adopt" in line for line in conflicts.resolution(plan))


def test_a_root_that_was_replaced(share: Share) -> None:
    """dev was made anew, with a history of its own: nothing of it lands until somebody adopts."""
    shared = lived(share)
    shared.settle()
    shared.commit("dev", {"shop/web": "2\n"})
    shared.settle()
    before = shared.origin.tip("env/qa")
    shared.origin.set("env/dev", None)
    anew = shared.commit("dev", dict(shared.origin.files("env/qa")))
    shared.commit("dev", {"shop/web": "3\n"})
    shared.settle()
    stage = shared["shop"]
    plan = stage.plan("qa")
    assert (plan.verdict, "promotion adopt qa" in plan.reason) == ("block", True)
    assert shared.origin.tip("env/qa") == before
    with pytest.raises((ConfigError, RefusedError)):
        adopt(stage.site, stage.env("qa"), None)
    adopt(stage.site, stage.env("qa"), anew)
    shared.settle()
    assert shared.origin.tree("env/qa") == shared.origin.tree("env/dev")


def test_an_application_that_comes_to_a_shared_repository_later(share: Share) -> None:
    """Others were promoted there for long, with single parents: its first change lands, and theirs are untouched."""
    shared = share(names=("shop", "late"), environments=(place("dev"), place("qa", "dev")), files={"shop/web": "1\n"})
    for number in range(3):
        shared.commit("dev", {"shop/web": f"{number} again\n"})
        for _ in range(3):
            shared.round("shop")
    change = shared.commit("dev", {"late/web": "1\n"})
    shared.settle()
    assert shared.promotions("qa")[-1] == ("late", change)
    assert len(shared.promotions("qa", "shop")) == 3
    for stage in shared.stages.values():
        assert audit(stage.site, stage.world()) == []
