"""requires, mirror and linear: what decides in graphs of environments, on real repositories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from promotion.errors import ConfigError
from promotion.model import Environment, Health, Verify
from promotion.reconcile import adopt, hold, promote
from promotion.report import audit
from tests.support.shared import Shared, place
from tests.support.stage import Stage
from tests.test_safety import recorded

Share = Callable[..., Shared]

WAVES = (
    place("dev"),
    place("qa", "dev"),
    place("eu", "qa", verify=Verify(on_failure="hold")),
    place("us", "qa", requires=("eu",)),
)


def one(share: Share, *environments: Environment, **more: Any) -> Shared:
    """One application that has its repository for itself."""
    shared = share(names=("shop",), environments=environments, paths={"shop": ()}, **more)
    shared.settle()
    return shared


def walked(shared: Shared, files: dict[str, str] | None = None) -> str:
    """A change in dev that qa has, and that was observed there as soon as the next round."""
    shared.commit("dev", dict(files or {"web": f"{shared.origin.clock}\n"}))
    shared.round()
    shared["shop"].sync("qa")
    return shared.origin.tip("env/qa")


def verdict(shared: Shared, name: str) -> tuple[str, str]:
    plan = shared["shop"].plan(name)
    return plan.verdict, plan.reason


# --- requires ----------------------------------------------------------------------------------------------------------


def test_a_wave_follows_once_the_one_before_is_well(share: Share) -> None:
    """Behind, pending, then healthy: only then the next wave gets it, and gets what that has."""
    shared = one(share, *WAVES)
    change = walked(shared)
    shared.round()
    assert [source for _, source in shared.promotions("eu")] == [change]
    assert shared.promotions("us") == []
    assert "eu is being verified" in verdict(shared, "us")[1]
    shared.round()
    assert [source for _, source in shared.promotions("us")] == [change]
    assert audit(shared["shop"].site, shared["shop"].world()) == []


def test_a_wave_behind_is_waited_for(share: Share) -> None:
    """What the required environment does not have is not taken, whatever its health."""
    shared = one(
        share, place("dev"), place("qa", "dev"), place("eu", "qa", auto=False), place("us", "qa", requires=("eu",))
    )
    change = walked(shared)
    shared.round()
    said = verdict(shared, "us")
    assert said[0] == "wait"
    assert f"eu does not have {change[:7]} yet" in said[1]
    result = promote(shared["shop"].site, shared["shop"].env("us"))
    assert (result.outcome, result.status) == ("waiting", 3)
    assert shared.promotions("us") == []


@pytest.mark.parametrize(
    ("health", "word"), [("degraded", "wait"), ("unknown", "wait"), ("progressing", "wait"), ("healthy", "pass")]
)
def test_requires_is_about_the_present(share: Share, health: str, word: str) -> None:
    """It was verified; how it is now counts, whoever recorded it."""
    shared = one(share, *(WAVES[:3]), place("us", "qa", requires=("eu",), auto=False))
    walked(shared)
    shared.settle()
    stage = shared["shop"]
    recorded(stage, "eu", shared.origin.tip("env/eu"), health)
    assert stage.plan("us", by_hand=True).verdict == word


def test_another_revision_in_the_required_environment_does_not_vouch(share: Share) -> None:
    """Somebody rolled it back, or deployed another one: it does not run what is asked for."""
    shared = one(share, *(WAVES[:3]), place("us", "qa", requires=("eu",), auto=False))
    before = shared.origin.tip("env/eu")
    walked(shared)
    shared.settle()
    recorded(shared["shop"], "eu", before, "healthy")
    plan = shared["shop"].plan("us", by_hand=True)
    assert (plan.verdict, "eu does not run it yet" in plan.reason) == ("wait", True)


def test_a_hold_of_the_required_environment_blocks(share: Share) -> None:
    """By its own commit or by the source's, with what contains it."""
    shared = one(share, *(WAVES[:3]), place("us", "qa", requires=("eu",), auto=False))
    walked(shared)
    shared.settle()
    stage = shared["shop"]
    hold(stage.site, stage.env("eu"), shared.origin.tip("env/eu"), "slow")
    plan = stage.plan("us", by_hand=True)
    assert (plan.verdict, "eu holds the change" in plan.reason) == ("block", True)


def test_a_failed_wave_keeps_the_next_one_away(share: Share) -> None:
    """And a fix goes through both."""
    shared = one(share, *WAVES)
    walked(shared)
    shared.round()
    shared.memory.running["shop", "eu"] = (shared.origin.tip("env/eu"), Health.DEGRADED)
    shared.round(sync=False)
    shared.round(sync=False)
    assert shared.promotions("us") == []
    fixed = walked(shared, {"web": "fixed\n"})
    shared.settle()
    assert [source for _, source in shared.promotions("us")] == [fixed]


def test_a_required_environment_with_a_later_commit_has_it(share: Share) -> None:
    """The next wave may stay behind: what comes later stands for what came before."""
    shared = one(share, *(WAVES[:3]), place("us", "qa", requires=("eu",), auto=False))
    first = walked(shared)
    shared.settle()
    walked(shared, {"other": "2\n"})
    shared.settle()
    assert len(shared.promotions("eu")) == 2
    assert promote(shared["shop"].site, shared["shop"].env("us"), chosen=first).outcome == "promoted"


def test_what_is_absorbed_is_there(share: Share) -> None:
    """No commit, and the next wave follows."""
    shared = one(share, *WAVES)
    shared.commit("eu", {"web": "2\n"})
    walked(shared, {"web": "2\n"})
    shared.settle()
    assert shared.promotions("eu") == []
    assert len(shared.promotions("us")) == 1


def test_a_required_environment_that_cannot_be_read_is_waited_for(share: Share) -> None:
    """Its last word, that it was well, is not enough in a round."""
    shared = one(share, *(WAVES[:3]), place("us", "qa", requires=("eu",), auto=False))
    walked(shared)
    shared.settle()
    shared.memory.away.add(("shop", "eu"))
    verdicts = {v.gate: v for v in shared.round()["shop"].plans["us"].verdicts}
    assert verdicts["requires"].verdict == "wait"
    assert "eu could not be read" in verdicts["requires"].reason
    shared.memory.away.clear()
    verdicts = {v.gate: v for v in shared.round()["shop"].plans["us"].verdicts}
    assert verdicts["requires"].verdict == "pass"


def test_a_required_environment_with_another_source(share: Share) -> None:
    """Both are followed to the environment that they come from together."""
    shared = one(
        share,
        place("dev"),
        place("qa", "dev"),
        place("perf", "qa", auto=False),
        place("staging", "qa"),
        place("prod", "staging", requires=("perf",)),
    )
    walked(shared)
    shared.settle()
    assert len(shared.promotions("staging")) == 1
    assert shared.promotions("prod") == []
    assert promote(shared["shop"].site, shared["shop"].env("perf")).outcome == "promoted"
    shared.settle()
    assert len(shared.promotions("prod")) == 1


@pytest.mark.parametrize("what", ["degraded", "held"])
def test_s4_a_required_environment_that_changed_before_the_push(share: Share, what: str) -> None:
    """It is in the read-set: what somebody recorded of it in between wins."""
    from tests.test_together import inject

    shared = one(share, *(WAVES[:3]), place("us", "qa", requires=("eu",), auto=False))
    walked(shared)
    shared.settle()
    stage: Stage = shared["shop"]
    tip = shared.origin.tip("env/eu")
    assert stage.plan("us", by_hand=True).verdict == "pass"

    def changes() -> None:
        if what == "degraded":
            recorded(stage, "eu", tip, "degraded")
            shared.memory.running["shop", "eu"] = (tip, Health.DEGRADED)
        else:
            other = stage.open("other", "other")
            hold(other, stage.env("eu"), tip, "slow")

    inject(shared, changes)
    assert promote(stage.site, stage.env("us")).outcome == ("waiting" if what == "degraded" else "refused")
    assert shared.promotions("us") == []


def test_s4_what_a_required_environment_stands_for_is_in_the_read_set(share: Share) -> None:
    """Somebody adopts, in between, the environment that it has its commits from: it stands for an older change now."""
    from tests.test_together import inject

    shared = one(
        share,
        place("dev"),
        place("qa", "dev"),
        place("load", "dev"),
        place("perf", "load"),
        place("prod", "qa", requires=("perf",), auto=False),
    )
    root = shared.origin.tip("env/dev")
    walked(shared)
    shared.settle()
    stage: Stage = shared["shop"]
    other = stage.open("other", "other")
    assert stage.plan("prod", by_hand=True).verdict == "pass"
    inject(shared, lambda: adopt(other, stage.env("load"), root))
    assert promote(stage.site, stage.env("prod")).outcome == "waiting"
    assert shared.promotions("prod") == []


# --- mirror --------------------------------------------------------------------------------------------------------------


def test_a_mirror_is_its_source_but_for_what_is_protected(share: Share) -> None:
    """Modes, deletions and folders that became files, too."""
    qa = place("qa", "dev", strategy="mirror", protect=("qa/**",))
    shared = one(share, place("dev"), qa, files={"web": "1\n", "old/a": "1\n", "qa/replicas": "1\n"})
    shared.commit("qa", {"qa/replicas": "9\n"})
    shared.commit(
        "dev", {"web": ("100755", "2\n"), "old/a": None, "old": "a file\n", "qa/replicas": "3\n", "qa/new": "n\n"}
    )
    shared.settle()
    dev, mirrored = shared.origin.tree("env/dev"), shared.origin.tree("env/qa")
    outside = {path: entry for path, entry in mirrored.items() if not path.startswith("qa/")}
    assert outside == {path: entry for path, entry in dev.items() if not path.startswith("qa/")}
    assert {path for path in mirrored if path.startswith("qa/")} == {"qa/replicas"}
    assert shared.origin.show("env/qa", "qa/replicas") == "9\n"
    assert audit(shared["shop"].site, shared["shop"].world()) == []


@pytest.mark.parametrize("made", [{"web": "by hand\n"}, {"only": "here\n"}, {"db": None}])
def test_a_mirror_refuses_what_it_would_lose(share: Share, made: dict[str, str | None]) -> None:
    """Changed, added or deleted by hand: it is named; once the source has it, everything goes on, without a commit for it."""
    files = {"web": "1\n", "db": "1\n"}
    shared = one(share, place("dev"), place("qa", "dev", strategy="mirror"), files=files)
    shared.commit("qa", made)  # type: ignore[arg-type]
    shared.commit("dev", {"web": "2\n"})
    shared.settle()
    said = verdict(shared, "qa")
    assert said[0] == "block"
    assert next(iter(made)) in said[1]
    assert shared.promotions("qa") == []
    shared.commit("dev", {"web": "1\n"} | made)  # type: ignore[arg-type]
    shared.settle()
    assert shared.promotions("qa") == []
    shared.commit("dev", {"db": "3\n"})
    shared.settle()
    assert len(shared.promotions("qa")) == 1
    assert shared.origin.tree("env/qa") == shared.origin.tree("env/dev")


def test_the_strategy_is_in_the_plan_id(share: Share) -> None:
    """What was approved as a merge is not what a mirror does."""
    ids = set()
    for more in ({}, {"strategy": "mirror"}, {"history": "linear"}):
        shared = one(share, place("dev"), place("qa", "dev", auto=False, **more))
        shared.commit("dev", {"web": "2\n"})
        shared.round()
        plan = shared["shop"].plan("qa")
        ids.add((plan.commit, plan.plan_id))
    assert len({commit for commit, _ in ids}) == 1
    assert len({plan_id for _, plan_id in ids}) == 3


# --- linear ----------------------------------------------------------------------------------------------------------------


def test_a_linear_history_walks_on(share: Share) -> None:
    """One parent, S only named; hop after hop, into environments of either kind, and the audit holds."""
    shared = one(
        share,
        place("dev"),
        place("qa", "dev", history="linear"),
        place("eu", "qa", history="linear"),
        place("us", "qa"),
    )
    for number in range(3):
        shared.commit("dev", {"web": f"{number} again\n"})
        shared.settle()
    for name, parents in (("qa", 1), ("eu", 1), ("us", 2)):
        made = [c for c in shared.origin.log(f"env/{name}") if "Promotion-Plan" in c.trailers]
        assert [len(c.parents) for c in made] == [parents] * 3
        assert shared.origin.tree(f"env/{name}") == shared.origin.tree("env/dev")
    assert audit(shared["shop"].site, shared["shop"].world()) == []
    place_of = shared["shop"].plan("eu")
    assert place_of.verdict == "nothing"


def test_adopting_again_without_merges_wants_to_know_the_source(share: Share) -> None:
    """The merge base is from before all promotions: taken for what qa has, it would make the next one a conflict."""
    shared = one(share, place("dev"), place("qa", "dev", history="linear"))
    change = shared.commit("dev", {"web": "2\n"})
    shared.settle()
    stage = shared["shop"]
    with pytest.raises(ConfigError, match="has no merges of") as refused:
        adopt(stage.site, stage.env("qa"), None)
    assert refused.value.hint == "promotion adopt qa --source COMMIT"
    adopt(stage.site, stage.env("qa"), change)
    assert stage.world().state.of("qa").release.source == change  # type: ignore[union-attr]
