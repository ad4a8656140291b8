"""Engines that answer for fleets, objects that must agree, and hints to engines that are no sync loop of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from promotion import observe, watching
from promotion.engines import ENGINES
from promotion.engines.contract import Asked, Deployed, agreed
from promotion.engines.kept import Kept
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Health, Reading, Spec, Subject
from promotion.reconcile import promote, watch_only
from tests.support.shared import Shared, place

Share = Callable[..., Shared]
A, B = "a" * 40, "b" * 40
OK = Reading(Health.HEALTHY, "well")


@dataclass
class Elsewhere:
    """An engine that deploys by itself: answers for many at once, and remembers what it was asked."""

    said: dict[str, Deployed | PromotionError] = field(default_factory=dict)
    """By environment."""
    rounds: list[list[str]] = field(default_factory=list)
    hints: list[tuple[str, str | None]] = field(default_factory=list)
    broken: bool = False

    def observe(self, settings: Mapping[str, Any], subject: Subject) -> Deployed:
        (answer,) = self.observe_all([(settings, subject)])
        if isinstance(answer, PromotionError):
            raise answer
        return answer

    def observe_all(self, asked: Sequence[Asked], kept: Kept | None = None) -> list[Deployed | PromotionError]:  # noqa: ARG002
        self.rounds.append([subject.environment for _, subject in asked])
        return [self.said.get(subject.environment, Deployed(subject.revision, OK)) for _, subject in asked]

    def refresh(self, settings: Mapping[str, Any], subject: Subject) -> None:  # noqa: ARG002
        self.hints.append((subject.environment, subject.revision))
        if self.broken:
            raise TemporaryError("nobody answers", where="argo.example.com")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    made = Elsewhere()
    monkeypatch.setitem(ENGINES, "elsewhere", made)
    return made


def way(**qa: Any) -> tuple[Any, ...]:
    """dev -> qa, deployed elsewhere."""
    spec = Spec("elsewhere")
    return replace(place("dev"), engine=spec), replace(place("qa", "dev"), engine=spec, **qa)


def one(share: Share, *environments: Any) -> Shared:
    return share(names=("shop",), environments=environments or way(), paths={"shop": ()})


# --- fleets ----------------------------------------------------------------------------------------------------------


def test_a_fleet_is_asked_once_a_round(share: Share, elsewhere: Elsewhere) -> None:
    """All environments of all applications of a round in one question, whatever their number."""
    names = [f"s{number}" for number in range(5)]
    shared = share(names=names, environments=way())
    shared.round(sync=False)
    assert elsewhere.rounds == [["dev", "qa"] * 5]


def test_the_second_reading_is_one_question_too(share: Share, elsewhere: Elsewhere) -> None:
    """S2: after the checks, only of those that have some."""
    check = Spec("command", {"command": ["true"]})
    dev, qa = way(health=(check,), engine_says=False)
    shared = share(names=("shop", "billing"), environments=(dev, qa))
    shared.round(sync=False)
    assert elsewhere.rounds == [["dev", "qa"] * 2, ["qa"] * 2]


def test_the_trouble_of_one_is_not_that_of_the_fleet(share: Share, elsewhere: Elsewhere) -> None:
    shared = one(share)
    elsewhere.said["dev"] = ConfigError("no such Application", where="shop-dev")
    stage = shared["shop"]
    world = watching.watch(stage.site, stage.world(), stage.application.environments)
    assert str(world.unread["dev"]) == "dev could not be read: shop-dev: no such Application"
    assert isinstance(world.unread["dev"], ConfigError)
    assert world.observations.keys() == {"qa"}


def test_what_changes_while_checks_are_asked_is_not_read(share: Share, elsewhere: Elsewhere) -> None:
    """S2, for an engine that is asked about many."""
    dev, qa = way(health=(Spec("command", {"command": ["true"]}),), engine_says=False)
    shared = one(share, dev, qa)
    answers = iter([A, B])
    elsewhere.observe_all = lambda asked, _: [Deployed(next(answers), OK) for _ in asked]  # type: ignore[method-assign]
    stage = shared["shop"]
    world = watching.watch(stage.site, stage.world(), [stage.env("qa")])
    assert "changed while it was read" in str(world.unread["qa"])


def test_what_others_read_is_used_once_and_told_with_its_age(share: Share, elsewhere: Elsewhere) -> None:
    """Of then it is, and what confirms it is of now: an engine that is asked again is never answered from what is kept."""
    dev, qa = way(health=(Spec("command", {"command": ["true"]}),), engine_says=False)
    stage = one(share, dev, qa)["shop"]
    given = []

    def observed(asked: Sequence[Asked], kept: Kept | None) -> list[Deployed | PromotionError]:
        given.append(kept)
        return [Deployed(subject.revision, OK, age=7.0 if kept else 0.0) for _, subject in asked]

    elsewhere.observe_all = observed  # type: ignore[method-assign]
    kept = Kept()
    (world,) = watching.watch_all([(stage.site, stage.world(), stage.application.environments)], kept)
    assert given == [kept, None]
    now = stage.site.clock()
    assert {name: now - seen.at for name, seen in world.observations.items()} == {
        "dev": timedelta(seconds=7),
        "qa": timedelta(0),
    }


def test_s1_what_others_read_before_the_last_record_is_no_news(share: Share, elsewhere: Elsewhere) -> None:
    """It was well, is recorded as ill since, and a list from before says well again: asked anew, it is ill."""
    stage = one(share, *way())["shop"]
    ill = Reading(Health.DEGRADED, "sick")

    def observed(asked: Sequence[Asked], kept: Kept | None) -> list[Deployed | PromotionError]:
        return [Deployed(subject.revision, OK if kept else ill, age=7.0 if kept else 0.0) for _, subject in asked]

    elsewhere.observe_all = observed  # type: ignore[method-assign]
    stage.wait(seconds=1)
    watch_only(stage.site, ["dev"])
    stage.wait(seconds=3)
    (world,) = watching.watch_all([(stage.site, stage.world(), [stage.env("dev")])], Kept())
    assert world.observations["dev"].health is Health.DEGRADED
    stage.wait(seconds=9)
    (world,) = watching.watch_all([(stage.site, stage.world(), [stage.env("dev")])], Kept())
    assert world.observations["dev"].health is Health.HEALTHY


# --- several objects that must agree -----------------------------------------------------------------------------------


def test_several_objects_agree_or_are_on_their_way() -> None:
    """One revision for all, and then the worst answer; never healthy while one is elsewhere."""
    ill, silent = Deployed(A, Reading(Health.DEGRADED, "sick")), Deployed(A)
    both = agreed([("web", Deployed(A, OK)), ("db", Deployed(A, OK))], A)
    assert (both.revision, both.reading) == (A, Reading(Health.HEALTHY, "web: well; db: well"))
    assert agreed([("web", Deployed(A, OK)), ("db", ill)], A).reading == Reading(Health.DEGRADED, "db: sick")
    assert agreed([("web", Deployed(A, OK)), ("db", silent)], A).reading == Reading(
        Health.UNKNOWN, "db: says nothing of its health"
    )
    apart = agreed([("web", Deployed(A, OK)), ("db", Deployed(B, OK))], B)
    assert (apart.revision, apart.reading) == (
        B,
        Reading(Health.PROGRESSING, "not all at one commit: web aaaaaaa, db bbbbbbb"),
    )
    assert agreed([("web", Deployed(None)), ("db", Deployed(B, OK))], A).revision == A


def test_objects_agree_at_commits_that_are_the_same_in_scope(share: Share, elsewhere: Elsewhere) -> None:
    """Others move a shared branch all the time: objects that looked at it at different times are at one release."""
    shared = share(environments=way())
    stage, before = shared["shop"], shared.origin.tip("env/qa")
    after = shared.others("qa", 1)
    parts = [("web", Deployed(before, OK)), ("db", Deployed(after, OK))]
    elsewhere.said["qa"] = agreed(parts, before)
    seen = watching.watch(stage.site, stage.world(), [stage.env("qa")]).observations["qa"]
    assert (seen.revision, seen.health) == (observe.head(stage.site, stage.world(), stage.env("qa")), Health.HEALTHY)
    theirs = shared.commit("qa", {"shop/web": "2\n"})
    elsewhere.said["qa"] = agreed([("web", Deployed(before, OK)), ("db", Deployed(theirs, OK))], theirs)
    seen = watching.watch(stage.site, stage.world(), [stage.env("qa")]).observations["qa"]
    assert seen.health is Health.PROGRESSING


# --- hints -----------------------------------------------------------------------------------------------------------


def test_an_engine_is_asked_to_look_after_our_push(share: Share, elsewhere: Elsewhere) -> None:
    shared = one(share)
    shared.round(sync=False)
    shared.commit("dev", {"web": "2\n"})
    shared.round(sync=False)
    assert elsewhere.hints == [("qa", shared.origin.tip("env/qa"))]


def test_a_promotion_by_hand_asks_too(share: Share, elsewhere: Elsewhere) -> None:
    stage = one(share, *way(auto=False))["shop"]
    stage.round(sync=False)
    stage.commit("dev", {"web": "2\n"})
    promote(stage.site, stage.env("qa"))
    assert elsewhere.hints == [("qa", stage.tip("qa"))]


def test_while_something_else_runs_it_is_asked_again_and_more_and_more_rarely(
    share: Share, elsewhere: Elsewhere
) -> None:
    """A hint may be lost; one that is not heard is not repeated every few seconds. Another commit begins anew."""
    stage = one(share)["shop"]
    stage.round(sync=False)
    elsewhere.said["dev"] = Deployed(stage.tip("dev"), OK)
    commit, counts = stage.commit("dev", {"web": "2\n"}), []
    for _ in range(4):
        for _ in range(60):
            stage.wait(seconds=1)
            watch_only(stage.site, ["dev"])
        counts.append(len(elsewhere.hints))
    assert set(elsewhere.hints) == {("dev", commit)}
    assert counts == [2, 3, 3, 4]
    newer = stage.commit("dev", {"web": "3\n"})
    watch_only(stage.site, ["dev"])
    assert elsewhere.hints[-1] == ("dev", newer)


def test_what_runs_and_is_not_settled_is_asked_for_too(share: Share, elsewhere: Elsewhere) -> None:
    """Unless it is plainly ill: looking again mends nothing."""
    stage = one(share)["shop"]
    for health, count in ((Health.DEGRADED, 0), (Health.SUSPENDED, 0), (Health.PROGRESSING, 1)):
        elsewhere.said["dev"] = Deployed(stage.tip("dev"), Reading(health, "so it is"))
        watch_only(stage.site, ["dev"])
        assert len(elsewhere.hints) == count


def test_a_hint_that_fails_stops_nothing(share: Share, elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture) -> None:
    shared = one(share)
    elsewhere.broken = True
    shared.round(sync=False)
    shared.commit("dev", {"web": "2\n"})
    (hop,) = shared.round(sync=False)["shop"].hops
    assert hop.outcome == "promoted"
    assert "qa was not asked to look at Git: argo.example.com: nobody answers" in caplog.text


def test_a_dry_run_asks_for_nothing(share: Share, elsewhere: Elsewhere) -> None:
    stage = one(share)["shop"]
    elsewhere.said["dev"] = Deployed(A, OK)
    stage.round(sync=False, dry_run=True)
    assert elsewhere.hints == []


def test_what_others_deploy_is_not_synced(share: Share, elsewhere: Elsewhere) -> None:  # noqa: ARG001
    """`run --sync` leaves it alone."""
    (done,) = one(share).round(sync=True).values()
    assert done.errors == ()
