"""Approvals in Prefect where only signed records count: the process that serves signs, people sign for themselves, the rest changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.flow_engine import run_flow

from flows import approve as approving
from flows import runs
from flows.promote import promote
from promotion import ledger, observe, report
from promotion.config import load
from promotion.events import Event
from promotion.plan import inputs
from promotion.repository.remote import Update
from promotion.sites import open_sites
from tests.support.asking import ALICE, BOB, Asking, askers
from tests.support.keys import key, line
from tests.support.prefect import forget, prefect_server
from tests.support.shop import Said, typed

pytestmark = pytest.mark.xdist_group("prefect")  # one server for all of them
BOT = "bot@example.com"


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_server():
        yield


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """Its API, and nothing of another test on it."""
    with get_client(sync_client=True) as client:
        forget(client)
        yield client


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Of the bot, as which this process serves and signs, of two people, and of a stranger."""
    made = {name: key(tmp_path / "keys", name) for name in ("bot", "alice", "bob", "mallory")}
    (tmp_path / "signers").write_text(
        "".join(line(f"{name}@example.com", made[name]) for name in ("bot", "alice", "bob"))
    )
    monkeypatch.setenv("PROMOTION_SIGNING_KEY", str(made["bot"]))
    monkeypatch.setenv("PROMOTION_USER", BOT)
    monkeypatch.setattr(approving, "FOLLOWED", 0.0)
    monkeypatch.setattr("flows.asks.BETWEEN", 0.0)
    monkeypatch.setattr(runs, "FIRST_PAUSE", timedelta(0))
    return made


@pytest.fixture
def trusting(tmp_path: Path, client: SyncPrefectClient, keys: dict[str, Path]) -> Iterator[Callable[..., Asking]]:  # noqa: ARG001
    """Makes one where `trust` names the bot, and alice and bob for what people decide."""
    trust = {"allowed_signers": str(tmp_path / "signers"), "orchestrators": [BOT], "approvers": [ALICE, BOB]}
    with askers(tmp_path, client) as make:
        yield lambda **gate: make(top={"trust": trust}, **gate)


def asked(it: Asking) -> Any:
    """A change that people are asked about."""
    it.round()
    return it.asked()


def lands(it: Asking) -> None:
    """The hop follows, and everything that was written holds."""
    it.round(2)
    (hop,) = it.hops()
    run_flow(promote, flow_run=hop, return_type="state")
    assert it.shop.origin.log("env/qa")[0].trailers["Promotion-Environment"] == "qa"
    assert report.audit(it.site, observe.survey(it.site)) == []


def signs(it: Asking, who: str, where: Path, plan: str) -> Said:
    """`approve --sign` as somebody types it, with a key and a clone of their own."""
    with pytest.MonkeyPatch.context() as theirs:
        theirs.setenv("PROMOTION_USER", f"{who}@example.com")
        theirs.setenv("PROMOTION_SIGNING_KEY", str(where))
        theirs.setenv("PROMOTION_CACHE", str(it.shop.folder / who))
        return typed(it.shop.file, "approve", plan, "--sign", "--yes")


def test_an_answer_in_the_form_is_signed_by_who_serves(trusting: Callable[..., Asking]) -> None:
    """The bot vouches for who said it; the record counts, the request ends, and the hop lands."""
    it = trusting(count=1)
    run = it.answer(asked(it), "approve", ALICE)
    assert run.state_name == "Approved"
    (event,) = it.events("approved")
    assert (event.by, event.data["how"]) == (ALICE, "claimed")
    tip = observe.survey(it.site).ledger
    assert "\ngpgsig " in it.shop.origin.git("cat-file", "commit", str(tip))
    lands(it)


def test_without_a_key_nothing_is_recorded(trusting: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is anything with another one than those that are trusted: the page says why, and asks again."""
    it = trusting()
    run = asked(it)
    for other, said in (
        ("", "no key to sign with"),
        (str(it.shop.folder.parent / "keys" / "mallory"), "does not count"),
    ):
        with monkeypatch.context() as served:
            served.setenv("PROMOTION_SIGNING_KEY", other)
            run = it.answer(run, "approve", ALICE)
        assert run.state_name == "Suspended"
        assert "> not recorded: " in it.page(run)["data"]
        assert said in it.page(run)["data"].replace("\\", "")
    assert it.events("approved") == []
    assert it.answer(run, "approve", ALICE).state_name == "Approved"


def test_a_signature_lands_the_hop(trusting: Callable[..., Asking], keys: dict[str, Path]) -> None:
    """`identity: signed`: not in the form, not by a stranger, not for somebody else; `approve --sign` with one's own key ends the request."""
    it = trusting(identity="signed")
    run = it.answer(asked(it), "approve", ALICE)
    assert "wants a signature" in it.page(run)["data"]
    plan = run.parameters["plan"][:8]
    assert f"promotion approve {plan} --sign" in it.page(run)["data"]
    for who, where in (("mallory", keys["mallory"]), ("alice", keys["mallory"]), ("alice", keys["bob"])):
        said = signs(it, who, where, plan)
        assert said.status in (2, 4), said
    assert it.events("approved") == []
    it.round()
    assert it.client.read_flow_run(run.id).state_name == "Suspended"
    said = signs(it, "alice", keys["alice"], plan)
    assert said.status == 0, said.err
    it.round()
    run = it.client.read_flow_run(run.id)
    assert (run.state_name, run.state and run.state.message) == ("Approved", "approval 1 of 1 (alice)")
    lands(it)


@pytest.mark.parametrize("who", ["", "mallory"], ids=["unsigned", "a stranger's"])
def test_what_nobody_trusted_signed_ends_no_request(
    trusting: Callable[..., Asking], keys: dict[str, Path], who: str
) -> None:
    """Pushed to the ledger past all our code: people are asked still, nothing lands, and audit names the record."""
    it = trusting()
    run = asked(it)
    plan, world = it.plan(), observe.survey(it.site)
    made_of = inputs(plan.view, plan.commit or "", plan.merged)  # type: ignore[arg-type]
    data = {"plan_id": plan.plan_id, "source": plan.commit, "contents": made_of["contents"], "epoch": made_of["epoch"]}
    said = Event("approved", "shop", "qa", it.site.clock(), ALICE, {**data, "how": "claimed", "reason": ""})
    environ = {
        **os.environ,
        "PROMOTION_SIGNING_KEY": str(keys[who]) if who else "",
        "PROMOTION_CACHE": str(it.shop.folder / "x"),
    }
    with open_sites(load(it.shop.file), environ) as (site,):
        observe.survey(site)
        tip, _ = ledger.append(site.repository, world.ledger, world.state, [said])
        site.repository.push([Update("refs/heads/promotion/shop", world.ledger, str(tip))], None)
    assert observe.survey(it.site).ledger == tip
    it.round(2)
    assert it.client.read_flow_run(run.id).state_name == "Suspended"
    assert it.hops() == []
    assert any(str(tip)[:7] in str(each) for each in report.audit(it.site, observe.survey(it.site)))
    assert it.answer(run, "approve", BOB).state_name == "Approved"
