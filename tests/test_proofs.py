"""S8: a one-time code is used once by a person, in whatever application of the file, in one repository or in several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion.config import load
from promotion.errors import RefusedError, TemporaryError
from promotion.model import Application, Seed
from promotion.reconcile import approve, reject
from promotion.sites import open_sites
from promotion.view import Plan
from tests.support.stage import Stage, environment
from tests.test_approvals import ALICE, BOB, CAROL, SEED, asks, code, refused
from tests.test_safety import consistent, inject, steps

FROM = [ALICE, BOB]
KINDS = pytest.mark.parametrize("alone", [False, True], ids=["one-repository", "two-repositories"])


@dataclass
class Pair:
    """shop and billing of one file, each with a change that waits for people by code."""

    shop: Stage
    billing: Stage
    plans: dict[str, Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.share(self.shop.application, self.billing.application)
        for stage in (self.shop, self.billing):
            root, target = stage.application.environments
            stage.round()
            stage.commit(root.name, {"web": "2\n"})
            stage.round()
            self.plans[stage.application.name] = stage.plan(target.name)

    def share(self, *applications: Application) -> None:
        """Makes these the applications of the file."""
        seeds = {who: Seed(code_env="SEED") for who in FROM}
        family = tuple(replace(a, approvers=seeds, family=()) for a in applications)
        for stage, each in zip((self.shop, self.billing), family, strict=True):
            stage.application = replace(each, family=family)
            known = {**os.environ, "SEED": SEED, "PROMOTION_CACHE": str(stage.folder / "cache")}
            stage.site = replace(stage.site, application=stage.application, environ=known)

    def says(self, stage: Stage, typed: str, who: str = ALICE) -> Any:
        return approve(stage.site, self.plans[stage.application.name], who=who, how="code", code=typed)

    def verdicts(self) -> list[str]:
        return [plan_of(stage).verdict for stage in (self.shop, self.billing)]

    def wait(self) -> None:
        """Until the next code."""
        for stage in (self.shop, self.billing):
            stage.wait(seconds=30)


def plan_of(stage: Stage) -> Plan:
    return stage.plan(stage.application.environments[1].name)


def answers_of(stage: Stage) -> list[str]:
    """What people did, oldest first."""
    said = ("identified", "approved", "rejected")
    return [event for event in stage.events() if event.startswith(said)]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    stages: list[Stage] = []

    def made(*, alone: bool, **settings: Any) -> Pair:
        gates = (asks(**{"identity": "code", "from_": FROM, **settings}),)
        ours = (environment(tmp_path, "dev"), environment(tmp_path, "qa", "dev", gates=gates))
        theirs = (environment(tmp_path, "next"), environment(tmp_path, "live", "next", gates=gates))
        shop = Stage.create(tmp_path, ours if alone else (*ours, *theirs))
        in_force = {"heartbeat": "10m", "environments": {e.name: dict(e.deciding) for e in ours}}
        shop.application = replace(shop.application, environments=ours, in_force=in_force)
        shop.site = replace(shop.site, application=shop.application)
        if alone:
            billing = Stage.create(tmp_path / "billing", theirs)
        else:
            billing = Stage(tmp_path, shop.origin, shop.application)
        in_force = {"heartbeat": "10m", "environments": {e.name: dict(e.deciding) for e in theirs}}
        billing.application = replace(
            billing.application,
            name="billing",
            ledger="refs/heads/promotion/billing",
            environments=theirs,
            in_force=in_force,
        )
        billing.site = replace(billing.site, application=billing.application)
        stages.extend((shop, billing))
        return Pair(shop, billing)

    yield made
    for stage in stages:
        stage.close()


@KINDS
def test_a_code_is_used_once_in_all_applications(pair: Callable[..., Pair], alone: bool) -> None:
    """Nor does an older one count, and nothing is written by what is refused; the next one counts."""
    it = pair(alone=alone)
    used, older = code(it.shop), code(it.shop, -1)
    it.says(it.shop, used)
    before = it.billing.origin.refs()
    refused(lambda: it.says(it.billing, used), "was used already, for shop")
    refused(lambda: it.says(it.billing, older), "was used already, for shop")
    no = lambda: reject(it.billing.site, it.plans["billing"], who=ALICE, how="code", code=used, reason="no")  # noqa: E731
    refused(no, "was used already, for shop")
    assert it.billing.origin.refs() == before
    assert it.verdicts() == ["pass", "wait"]
    it.says(it.billing, used, BOB)  # theirs, although it looks the same
    it.wait()
    it.says(it.shop, code(it.shop), BOB)
    assert it.verdicts() == ["pass", "pass"]
    assert answers_of(it.billing) == ["identified live", "approved live"]
    consistent(it.shop)


@KINDS
@steps
def test_a_code_is_used_once_in_two_applications_at_once(pair: Callable[..., Pair], step: str, alone: bool) -> None:
    """Whoever claims it later sees that it is claimed, and what that one said counts for nothing."""
    it = pair(alone=alone)
    typed = code(it.shop)
    inject(it.shop, step, lambda: it.says(it.billing, typed))
    refused(lambda: it.says(it.shop, typed), "was used already, for billing")
    assert it.verdicts() == ["wait", "pass"]
    assert answers_of(it.shop) == ["identified qa"]
    it.wait()
    it.says(it.shop, code(it.shop))
    assert it.verdicts() == ["pass", "pass"]
    consistent(it.shop)


@KINDS
def test_a_code_that_two_applications_claim_at_once_counts_in_none(pair: Callable[..., Pair], alone: bool) -> None:
    """Both claims are there before either looks again: neither can tell which was first."""
    it = pair(alone=alone)
    typed = code(it.shop)
    ours, theirs = it.shop.site.repository, it.billing.site.repository
    push, other = ours.push, theirs.push
    said: list[str] = []

    def between(*args: Any) -> str:
        theirs.push = other  # type: ignore[method-assign]
        said.append(push(*said_args))
        return other(*args)

    def first(*args: Any) -> str:
        ours.push = push  # type: ignore[method-assign]
        said_args.extend(args)
        theirs.push = between  # type: ignore[method-assign]
        refused(lambda: it.says(it.billing, typed), "was used already, for shop")
        return said[0]

    said_args: list[Any] = []
    ours.push = first  # type: ignore[method-assign]
    refused(lambda: it.says(it.shop, typed), "was used already, for billing")
    assert it.verdicts() == ["wait", "wait"]
    assert (answers_of(it.shop), answers_of(it.billing)) == (["identified qa"], ["identified live"])


def test_where_the_other_cannot_be_asked_no_code_counts(pair: Callable[..., Pair]) -> None:
    """It cannot be known whether it was used there; nothing is written, and a name alone would do as before."""
    it = pair(alone=True)
    away = it.billing.origin.path.rename(it.billing.folder / "away.git")
    before = it.shop.origin.refs()
    with pytest.raises(
        (TemporaryError, RefusedError), match=r"whether this code .* was used for billing cannot be known"
    ):
        it.says(it.shop, code(it.shop))
    assert it.shop.origin.refs() == before
    away.rename(it.billing.origin.path)
    it.says(it.shop, code(it.shop))
    assert it.verdicts() == ["pass", "wait"]


def test_where_the_other_goes_away_after_the_claim_no_code_counts(pair: Callable[..., Pair]) -> None:
    it = pair(alone=True)
    inject(it.shop, "push", lambda: it.billing.origin.path.rename(it.billing.folder / "away.git"))
    with pytest.raises((TemporaryError, RefusedError), match="cannot be known"):
        it.says(it.shop, code(it.shop))
    assert answers_of(it.shop) == ["identified qa"]
    assert plan_of(it.shop).verdict == "wait"


def test_a_ledger_that_was_rewound_hides_no_code(pair: Callable[..., Pair]) -> None:
    """Whoever takes the record of a used code away is noticed."""
    it = pair(alone=True)
    ledger = it.billing.application.ledger
    kept, typed = it.billing.origin.refs()[ledger], code(it.billing)
    it.says(it.billing, typed)
    refused(lambda: it.says(it.shop, typed), "was used already, for billing")
    it.billing.origin.git("update-ref", ledger, kept)
    refused(lambda: it.says(it.shop, typed), "cannot be known")


def test_a_code_counts_by_the_moment_it_was_given(pair: Callable[..., Pair]) -> None:
    """The others are read for minutes then: it is no other code for that, and is used up."""
    it = pair(alone=True)
    typed, others = code(it.shop), it.shop.folder / "others"
    site = replace(
        it.shop.site,
        clock=lambda: it.shop.now + timedelta(minutes=5 * others.exists()),
        environ={**it.shop.site.environ, "PROMOTION_CACHE": str(others)},
    )
    approve(site, it.plans["shop"], who=ALICE, how="code", code=typed)
    assert others.exists()
    assert answers_of(it.shop) == ["identified qa", "approved qa"]
    refused(lambda: it.says(it.billing, typed), "was used already, for shop")


def test_a_wrong_code_is_refused_before_any_other_is_asked(pair: Callable[..., Pair]) -> None:
    it = pair(alone=True)
    it.billing.origin.path.rename(it.billing.folder / "away.git")
    refused(lambda: it.says(it.shop, code(it.shop, -9)), "this is not the code")


def test_of_others_that_were_read_before_the_ledger_is_enough(pair: Callable[..., Pair]) -> None:
    """What their branches have by now is not fetched: here nobody could."""
    it = pair(alone=True)
    it.says(it.shop, code(it.shop))
    it.wait()
    broken = f"tree {'1' * 40}\nauthor a <a@example.com> 1 +0000\ncommitter a <a@example.com> 1 +0000\n\nx\n"
    oid = it.billing.origin.git("hash-object", "-t", "commit", "-w", "--stdin", input=broken).strip()
    it.billing.origin.git("update-ref", "refs/heads/env/next", oid)
    it.says(it.shop, code(it.shop), BOB)
    assert answers_of(it.shop)[-1] == "approved qa"


def test_a_ledger_that_is_gone_hides_no_code_from_a_new_clone(pair: Callable[..., Pair]) -> None:
    """It has not read any: what was promoted says that there was one."""
    it = pair(alone=True)
    typed = code(it.billing)
    it.says(it.billing, typed)
    it.billing.round()
    assert "promoted live" in it.billing.events()
    it.billing.origin.git("update-ref", "-d", it.billing.application.ledger)
    refused(lambda: it.says(it.shop, typed), "cannot be known: billing: its ledger promotion/billing is gone")


def test_who_asks_others_is_not_asked(pair: Callable[..., Pair]) -> None:
    """An application that does not ask this person takes none of their codes: it may be away, and costs nothing."""
    it = pair(alone=True)
    theirs = tuple(
        replace(e, gates=(asks(from_=[CAROL]),) if e.gates else ()) for e in it.billing.application.environments
    )
    it.share(it.shop.application, replace(it.billing.application, environments=theirs))
    it.billing.origin.path.rename(it.billing.folder / "away.git")
    it.says(it.shop, code(it.shop))
    assert answers_of(it.shop) == ["approved qa"]


def test_a_file_says_whose_codes_are_one(tmp_path: Path) -> None:
    """Also where one application of it is meant, as by `-a`."""
    file = tmp_path / "environments.yaml"
    file.write_text(
        "version: 1\n"
        "applications: [{name: shop, repository: /srv/shop.git}, {name: billing, repository: /srv/billing.git}]\n"
        "environments: [{name: dev, branch: dev, engine: {type: directory, path: '/srv/{application}'}, health: none}]\n"
    )
    with open_sites(load(file), {**os.environ, "PROMOTION_CACHE": str(tmp_path)}, lambda a: a.name == "shop") as (
        site,
    ):
        assert [each.name for each in site.application.family] == ["shop", "billing"]
        assert [each.family for each in site.application.family] == [(), ()]
