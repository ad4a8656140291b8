"""Requests for an approval in Prefect: the page, the form, what is recorded, how a request ends, and when people are asked again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import SetStateStatus
from prefect.flow_engine import run_flow
from prefect.states import Crashed, Running

from flows import approve as approving
from flows import deployments, requests, runs
from flows.api import Api
from flows.promote import promote
from flows.rounds import Loop, Prefect, one_round
from promotion import answers, observe, reconcile
from promotion.config import load
from promotion.errors import TemporaryError
from promotion.sites import open_sites
from tests.support.asking import ALICE, BOB, CAROL, DAVE, Asking, askers
from tests.support.prefect import forget, prefect_server
from tests.support.shop import typed

pytestmark = pytest.mark.xdist_group("prefect")  # one server for all of them

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """One for the module."""
    with prefect_server():
        yield


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """Its API, and nothing of another test on it."""
    with get_client(sync_client=True) as client:
        forget(client)
        yield client


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody promotes while a request ends, so nobody is waited for; and requests are looked at in each round."""
    monkeypatch.setattr(approving, "FOLLOWED", 0.0)
    monkeypatch.setattr("flows.asks.BETWEEN", 0.0)
    monkeypatch.setattr(runs, "FIRST_PAUSE", timedelta(0))


@pytest.fixture
def asking(tmp_path: Path, client: SyncPrefectClient) -> Iterator[Callable[..., Asking]]:
    """Makes one; the settings are those of the gate, `qa` further keys of qa, `top` of the file."""
    with askers(tmp_path, client) as make:
        yield make


# --- the page and the form -----------------------------------------------------------------------------------------


def test_a_change_that_waits_for_people_is_one_request(asking: Callable[..., Asking]) -> None:
    """However many rounds see it wait; nothing lands, and its page and form say all that is needed to decide."""
    it = asking(count=2, not_author=True, from_=[ALICE, BOB, DAVE])
    commit = it.change(message="web | <b>2</b> {{7*7}}")
    it.round(3)
    (run,) = it.requests()
    plan = it.plan()
    assert run.name == f"approve shop: qa <- dev {commit[:7]}"
    assert run.parameters == {
        "application": "shop",
        "environment": "qa",
        "commit": commit,
        "plan": plan.plan_id,
        "config": it.shop.config,
    }
    run = it.leg()
    assert run.state_name == "Suspended"
    assert run.name == f"approve shop: qa <- dev {commit[:7]}"
    text = it.page(run)["data"]
    for line in (
        f"## shop to qa: approve plan `{(plan.plan_id or '')[:8]}`?",
        "**1 commit, 1 file, healthy in dev for ",
        "Lands when it is approved.",
        "**Identical to dev:** what was tested there is what lands",
        "**Then, and if it goes wrong:** verify 15m; degraded -&gt; nothing more",
        f"| `{commit[:7]}` | dave | web \\| &lt;b&gt;2&lt;/b&gt; {{{{7\\*7}}}} |",
        "| approval | 0 of 2 | 0 of 2: dave is an author; alice, bob may |",
        "You approve exactly this plan",
        f"undo with `promotion lift qa {commit[:7]}`",
        f"`promotion approve {(plan.plan_id or '')[:8]}`",
    ):
        assert line in text
    schema = it.form(run)
    assert schema["required"] == ["decision", "who"]
    assert [each for each in schema["properties"].values() if "default" in each] == []
    assert schema["properties"]["decision"]["enum"] == ["approve", "reject"]
    assert schema["properties"]["who"]["enum"] == [ALICE, BOB, f"{DAVE} (an author: may only reject)"]
    assert "code" not in schema["properties"]
    with Api(30) as api:
        narrow = json.loads(api.kept(run.id)["suspended-answer-0-description"])
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert set(filter(None, lines)) < set(narrow.splitlines())
    assert f"- `{commit[:7]}` dave: web | &lt;b&gt;2&lt;/b&gt; {{{{7\\*7}}}}".replace("|", "\\|") in narrow
    assert "|---" not in narrow.replace(" ", "")  # a table would not fit on a phone
    assert len(it.requests()) == 1


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"decision": "approve"},
        {"decision": "maybe", "who": ALICE},
        {"decision": "approve", "who": "mallory@example.com"},
        {"decision": "approve", "who": {"__prefect_kind": "json", "value": '["alice@example.com"]'}},
        {"decision": "approve", "who": ALICE, "reason": {"__prefect_kind": "json", "value": "[1]"}},
        {"decision": "approve", "who": ALICE, "more": "x"},
    ],
    ids=str,
)
def test_an_answer_that_nobody_gave_is_none(asking: Callable[..., Asking], typed: dict[str, Any]) -> None:
    """Missing, unknown, more, or no text: the form stays up, and nothing is recorded."""
    it = asking()
    run = it.asked()
    assert it.resume(run, **typed) == SetStateStatus.REJECT
    assert it.client.read_flow_run(run.id).state_name == "Suspended"
    assert it.events("approved") == []


# --- what is recorded ----------------------------------------------------------------------------------------------


def test_two_people_approve_and_the_loop_has_it_promoted(asking: Callable[..., Asking]) -> None:
    """One after the other in the form; the request ends when they are enough, and one run of `promote` follows."""
    it = asking(count=2)
    run = it.asked()
    run = it.answer(run, "approve", ALICE)
    assert run.state_name == "Suspended"
    assert "> recorded: alice, 1 of 2" in it.page(run)["data"]
    assert it.form(run)["properties"]["who"]["enum"] == [BOB, CAROL, f"{ALICE} (has approved: may only reject)"]
    it.round()
    assert len(it.requests()) == 1
    run = it.answer(run, "approve", BOB, reason="fine")
    assert (run.state_name, run.state and run.state.message) == ("Approved", "approval 2 of 2 (alice, bob)")
    assert "> recorded: bob, 2 of 2" in it.page(run)["data"]
    assert [(e.by, e.data["how"], e.data["reason"]) for e in it.events("approved")] == [
        (ALICE, "claimed", ""),
        (BOB, "claimed", "fine"),
    ]
    before = it.shop.tip("qa")
    it.round(2)
    (hop,) = it.hops()
    assert it.shop.tip("qa") == before
    state: State[Any] = run_flow(promote, flow_run=hop, return_type="state")  # type: ignore[assignment]
    assert state.name == f"promoted {it.shop.tip('qa')[:7]}"
    assert len(it.requests()) == 1


def test_the_run_that_promotes_is_linked(asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page, and in the last state."""
    it = asking()
    run = it.asked()
    monkeypatch.setattr(approving, "FOLLOWED", 60.0)
    reconcile.approve(it.site, it.plan(), who=ALICE)
    it.loop.asks.looked_at = float("inf")  # this round only starts the hop
    it.round()
    (hop,) = it.hops()
    it.loop.asks.looked_at = 0.0
    run = it.answer(run, "approve", BOB)
    assert f"/runs/flow-run/{hop.id}" in ((run.state and run.state.message) or "")
    assert f"promoted by [{hop.name.replace('<-', '←')}](" in it.page(run)["data"]


def test_one_says_no_and_the_change_is_held(asking: Callable[..., Asking]) -> None:
    """A no needs a reason; it holds, ends the request, and nobody is asked again until it is lifted."""
    it = asking(count=2)
    run = it.asked()
    run = it.answer(run, "reject", BOB)
    assert run.state_name == "Suspended"
    assert "> not recorded: a reason is one that people can read" in it.page(run)["data"].replace("--reason: ", "")
    run = it.answer(run, "reject", BOB, reason="too late today")
    assert (run.state_name, run.state and run.state.message) == ("Rejected", f"by {BOB}: too late today")
    it.round(2)
    assert it.plan().verdict == "block"
    assert len(it.requests()) == 1
    reconcile.lift(it.site, it.site.application.environment("qa"), run.parameters["commit"])
    it.round(2)
    assert it.requests()[0].state_name == "Rejected"
    assert len(it.requests()) == 2


def test_whoever_approved_may_change_their_mind(asking: Callable[..., Asking]) -> None:
    """The last word of a person counts, in the form too."""
    it = asking(count=2)
    run = it.answer(it.asked(), "approve", ALICE)
    run = it.answer(run, "reject", f"{ALICE} (has approved: may only reject)", reason="saw something")
    assert run.state_name == "Rejected"
    assert [e.by for e in it.events("approved", "rejected")] == [ALICE, ALICE]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"decision": "approve", "who": f"{DAVE} (an author: may only reject)"}, "dave@example.com is an author of it"),
        ({"decision": "reject", "who": ALICE, "reason": "  "}, "a reason is one that people can read"),
        ({"decision": "approve", "who": ALICE, "reason": "a\nb"}, "control character U+000A"),
        ({"decision": "approve", "who": ALICE, "reason": "{{7*7}}"}, "templates are not filled in"),
        ({"decision": "approve", "who": ALICE, "reason": "Promotion-Plan: 1"}, "which only commits say"),
        ({"decision": "approve", "who": ALICE, "reason": "x" * 2001}, "reason has 2001 characters"),
    ],
    ids=str,
)
def test_a_refused_answer_is_said_and_asked_again(
    asking: Callable[..., Asking], typed: dict[str, str], said: str
) -> None:
    """On the page, with the form up again; nothing is recorded."""
    it = asking(not_author=True, from_=[ALICE, DAVE])
    run = it.asked()
    assert it.resume(run, **typed) == SetStateStatus.ACCEPT
    run = it.leg(run)
    assert run.state_name == "Suspended"
    assert "> not recorded: " in it.page(run)["data"]
    assert said in it.page(run)["data"].replace("\\", "")
    assert it.events("approved", "rejected") == []
    assert it.answer(run, "approve", ALICE).state_name == "Approved"


def test_a_template_in_the_api_is_no_more_than_its_text(asking: Callable[..., Asking]) -> None:
    """Prefect's server fills in what is marked as a template; what comes out is text like any other, and judged like it."""
    it = asking()
    run = it.asked()
    reason = {"__prefect_kind": "jinja", "template": "{{ '{{' }}7*7}}\n"}
    run = it.answer(run, "approve", ALICE, reason=reason)
    assert run.state_name == "Suspended"
    assert it.events("approved") == []
    run = it.answer(run, "approve", ALICE, reason={"__prefect_kind": "jinja", "template": "{{7*191}}"})
    assert run.state_name == "Approved"
    assert [e.data["reason"] for e in it.events("approved")] == ["1337"]


def test_a_code_proves_who_it_is_and_each_is_used_once(
    asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`identity: code`: the form has a field for it; a wrong and a used one are refused."""
    monkeypatch.setenv("ALICE_SEED", SEED)
    seed = {"code_env": "ALICE_SEED"}
    it = asking(count=2, identity="code", from_=[ALICE, BOB], top={"approvers": {ALICE: seed, BOB: seed}})
    run = it.asked()
    assert it.form(run)["required"] == ["decision", "who", "code"]
    run = it.answer(run, "approve", ALICE, code="000000" if pyotp.TOTP(SEED).now() != "000000" else "111111")
    assert "this is not the code of alice" in it.page(run)["data"]
    code = pyotp.TOTP(SEED).at(it.site.clock() + timedelta(seconds=30))
    run = it.answer(run, "approve", ALICE, code=code)
    assert "> recorded: alice, 1 of 2" in it.page(run)["data"]
    (event,) = it.events("approved")
    assert event.data["how"] == "code"
    reconcile.withdraw(it.site, it.plan(), who=ALICE)
    run = it.answer(run, "approve", f"{ALICE} (has approved: may only reject)", code=code)
    assert "was used already" in it.page(run)["data"]
    assert len(it.events("approved")) == 1
    assert code not in json.dumps([it.page(run), event.data])


def test_a_signature_cannot_be_given_in_a_form(asking: Callable[..., Asking]) -> None:
    """`identity: signed`: the page says how, and the form refuses."""
    it = asking(identity="signed")
    run = it.asked()
    assert "promotion approve" in it.page(run)["data"]
    assert "--sign`" in it.page(run)["data"]
    run = it.answer(run, "approve", ALICE)
    assert "wants a signature" in it.page(run)["data"]
    assert it.events("approved") == []


def test_an_answer_is_recorded_once_however_often_it_is_replayed(asking: Callable[..., Asking]) -> None:
    """Prefect gives a stored answer again each time: a withdrawn approval does not come back by that."""
    it = asking(count=2)
    run = it.answer(it.asked(), "approve", ALICE)
    reconcile.withdraw(it.site, it.plan(), who=ALICE)
    run = it.answer(run, "approve", BOB)
    assert "> recorded: bob, 1 of 2" in it.page(run)["data"]
    it.client.set_flow_run_state(run.id, Running(), force=True)  # as after a retry by hand
    it.leg(run)
    assert [(e.event, e.by) for e in it.events("approved", "withdrawn")] == [
        ("approved", ALICE),
        ("withdrawn", ALICE),
        ("approved", BOB),
    ]


def test_a_process_killed_while_it_records_does_not_record_twice(
    asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the push: whoever runs the request again asks, and records nothing by itself."""
    it = asking(count=2)
    run = it.asked()
    real = reconcile.approve

    def killed(*args: Any, **more: Any) -> None:
        real(*args, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(reconcile, "approve", killed)
    with pytest.raises(KeyboardInterrupt):
        it.answer(run, "approve", ALICE)
    monkeypatch.setattr(reconcile, "approve", real)
    reconcile.withdraw(it.site, it.plan(), who=ALICE)
    it.client.set_flow_run_state(run.id, Running(), force=True)
    assert it.leg(run).state_name == "Suspended"
    assert [e.event for e in it.events("approved", "withdrawn")] == ["approved", "withdrawn"]


def test_a_remote_that_is_away_loses_no_form(asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be recorded is said, and asked again."""
    it = asking()
    run = it.asked()

    def away(*_: Any, **__: Any) -> None:
        raise TemporaryError("the remote cannot be reached")

    with monkeypatch.context() as broken:
        broken.setattr(reconcile, "approve", away)
        run = it.answer(run, "approve", ALICE)
    assert run.state_name == "Suspended"
    assert "perhaps not recorded, see who has answered: the remote cannot be reached" in it.page(run)["data"]
    assert it.answer(run, "approve", ALICE).state_name == "Approved"


# --- any mixture of channels ---------------------------------------------------------------------------------------


def test_one_in_each_channel_counts_people_once(asking: Callable[..., Asking]) -> None:
    """Scenario 6: alice in the form and on the command line is one person; bob with a signed event makes two."""
    it = asking(count=2)
    run = it.answer(it.asked(), "approve", ALICE)
    with pytest.raises(Exception, match="has approved plan"):
        reconcile.approve(it.site, it.plan(), who="Alice@Example.com")
    plan = it.plan()
    assert plan.asked is not None
    assert plan.asked.brief == "1 of 2 (alice)"
    it.round()
    reconcile.approve(it.site, plan, who=BOB, how="signed")
    it.round()
    run = it.client.read_flow_run(run.id)
    assert (run.state_name, run.state and run.state.message) == ("Approved", "approval 2 of 2 (alice, bob)")
    assert "Approved: approval 2 of 2" in it.page(run)["description"]


def test_an_answer_given_elsewhere_is_shown(asking: Callable[..., Asking]) -> None:
    """The page of a request that waits is brought up to date, and so is the board, which links it."""
    it = asking(count=2)
    run = it.asked()
    it.round()
    reconcile.approve(it.site, it.plan(), who=CAROL)
    it.round()
    assert it.page(run)["description"] == "**approval 1 of 2 (carol)**"
    assert "| approval | 1 of 2 |" in it.page(run)["data"]
    (board,) = it.client.request(
        "POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": ["board-shop"]}}}
    ).json()
    assert "[approval 1 of 2 (carol)](" in board["description"]
    assert f"/runs/flow-run/{run.id})" in board["description"]


def test_a_hop_by_hand_links_the_request(asking: Callable[..., Asking]) -> None:
    """Its name says that it waits, its page where that is answered."""
    it = asking(count=2)
    run = it.asked()
    state = promote(application="shop", environment="qa", config=it.shop.config, return_state=True)  # type: ignore[call-overload]
    assert state.name == "waiting: approval 0 of 2"
    (page,) = it.client.request(
        "POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": ["hop-shop-qa"]}}}
    ).json()
    assert f"/runs/flow-run/{run.id})" in page["data"]


def test_plan_names_the_page(asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PREFECT_API_URL says whom to ask for it; a server that is away costs nothing but the address, and no password is said."""
    it = asking()
    run = it.asked()
    plan = run.parameters["plan"][:8]
    api = str(it.client.api_url).rstrip("/")
    monkeypatch.setenv("PREFECT_API_URL", api)
    page = f"{api.removesuffix('/api')}/runs/flow-run/{run.id}"
    said = typed(it.shop.file, "plan", "qa")
    assert f"  next    promotion approve {plan}   or   {page}" in said.out.splitlines()
    assert typed(it.shop.file, "--json", "plan", "qa").json["page"] == page
    for other in ("http://127.0.0.1:9/api", "file:///etc/passwd", api.replace("://", "://me:secret@")):
        monkeypatch.setenv("PREFECT_API_URL", other)
        assert f"  next    promotion approve {plan}" in typed(it.shop.file, "plan", "qa").out.splitlines()


def test_what_waits_for_people_names_the_pages(asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever may approve, and for whoever may only tell others; a server that is away costs nothing but the addresses."""
    it = asking()
    run = it.asked()
    plan, api = run.parameters["plan"][:8], str(it.client.api_url).rstrip("/")
    page = f"{api.removesuffix('/api')}/runs/flow-run/{run.id}"

    def lines(who: str) -> list[str]:
        monkeypatch.setenv("PROMOTION_USER", who)
        return typed(it.shop.file, "approve").out.splitlines()[1:]

    assert lines(ALICE) == [f"  next    promotion approve {plan}"]
    monkeypatch.setenv("PREFECT_API_URL", api)
    assert lines(ALICE) == [f"  next    promotion approve {plan}   or   {page}"]
    assert lines(DAVE) == [f"  asked   {page}", f"nothing waits for {DAVE}"]
    assert [row["page"] for row in typed(it.shop.file, "--json", "approve").json["waiting"]] == [page]
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert lines(ALICE) == [f"  next    promotion approve {plan}"]


def test_without_a_server_the_command_line_is_enough(asking: Callable[..., Asking]) -> None:
    """The loop promotes by itself; the request that Prefect still shows is ended from Git once the server is back."""
    it = asking()
    run = it.asked()
    reconcile.approve(it.site, it.plan(), who=ALICE)
    it.loop.prefect.away(TemporaryError("Prefect does not answer"))
    one_round([it.loop])
    tip = it.shop.tip("qa")
    assert it.shop.origin.log("env/qa")[0].trailers["Promotion-Environment"] == "qa"
    it.loop.prefect.next_try = 0.0
    it.round()
    run = it.client.read_flow_run(run.id)
    assert (run.state_name, run.state and run.state.message) == ("Approved", f"landed as {tip[:7]}")


def test_a_rejection_elsewhere_ends_the_request(asking: Callable[..., Asking]) -> None:
    """From Git, with whose it was and why."""
    it = asking()
    run = it.asked()
    reconcile.reject(it.site, it.plan(), who=BOB, reason="no")
    it.round()
    assert it.client.read_flow_run(run.id).state_name == "Rejected"


# --- how a request ends, and when people are asked again -----------------------------------------------------------


def test_a_newer_candidate_supersedes_what_nobody_approved(asking: Callable[..., Asking]) -> None:
    """One request at a time, as long as nobody has said yes to the older one."""
    it = asking()
    first = it.asked()
    newer = it.change("3\n")
    it.round()
    first = it.client.read_flow_run(first.id)
    assert first.state_name == "Superseded"
    assert newer[:7] in ((first.state and first.state.message) or "")
    assert [r.parameters["commit"] for r in it.requests()][1:] == [newer]


def test_what_somebody_approved_is_not_superseded(asking: Callable[..., Asking]) -> None:
    """Its request stays, and the newer candidate waits for its turn."""
    it = asking(count=2)
    first = it.answer(it.asked(), "approve", ALICE)
    it.change("3\n")
    it.round()
    assert it.client.read_flow_run(first.id).state_name == "Suspended"
    assert len(it.requests()) == 1
    assert it.answer(first, "approve", BOB).state_name == "Approved"


def test_two_plans_that_people_have_begun_to_approve_are_both_asked(asking: Callable[..., Asking]) -> None:
    """Any valid plan may be approved: a yes to the newer one does not end the older one's request."""
    it = asking(count=2)
    first = it.answer(it.asked(), "approve", ALICE)
    newer = it.change("3\n")
    environment = it.site.application.environment("qa")
    plan = answers.plan(it.site, observe.survey(it.site), environment, chosen=newer)
    reconcile.approve(it.site, plan, who=BOB)
    it.round(2)
    assert it.client.read_flow_run(first.id).state_name == "Suspended"
    assert [r.parameters["commit"] for r in it.requests()] == [first.parameters["commit"], newer]


def test_an_answer_that_waits_to_be_recorded_is_not_superseded(
    asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given while nobody serves: it is judged once somebody does, whatever came in the meantime."""
    it = asking(count=2)
    run = it.asked()
    assert it.resume(run, decision="approve", who=ALICE) == SetStateStatus.ACCEPT
    monkeypatch.setattr(runs, "PICKED_UP", timedelta(0))
    it.shop.commit("dev", {"web": "3\n"})
    it.round(3)
    assert it.client.read_flow_run(run.id).state_name == "Resuming"
    assert "> recorded: alice, 1 of 2" in it.page(it.leg(run))["data"]


def test_a_void_plan_says_what_changed(asking: Callable[..., Asking]) -> None:
    """Somebody pushed to the target: the old request ends, another one asks about the plan of now; the old form counts no more."""
    it = asking()
    first = it.asked()
    stale = it.client.read_flow_run(first.id)
    it.shop.commit("qa", {"qa": "1\n"})
    assert it.resume(first, decision="approve", who=ALICE) == SetStateStatus.ACCEPT
    first = it.leg(stale)
    assert (first.state_name, first.state and first.state.message) == (
        "Void",
        f"plan {first.parameters['plan'][:8]} is void: target moved",
    )
    assert it.events("approved") == []
    it.round(2)
    assert len(it.requests()) == 2
    second = it.leg()
    it.shop.commit("qa", {"qa": "2\n"})
    it.round(2)
    assert it.client.read_flow_run(second.id).state_name == "Void"
    assert len(it.requests()) == 3


def test_nobody_in_time_expires_and_is_asked_again(
    asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request says so; the next one has the next number, and an approval that still counts counts there."""
    it = asking(count=2, expires="1h")
    first = it.answer(it.asked(), "approve", ALICE)
    monkeypatch.setattr(requests, "since", lambda run, now: now - timedelta(hours=1 if run.id == first.id else 0))
    it.round()
    first = it.client.read_flow_run(first.id)
    assert first.state_name == "Expired"
    it.round(2)
    second = it.leg()
    assert second.id != first.id
    assert second.parameters == first.parameters
    assert "| approval | 1 of 2 |" in it.page(second)["data"]


def test_a_request_whose_process_is_gone_is_asked_again(
    asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crashed, or running without a sign of life for long: then another one; while it may be alive, none."""
    it = asking()
    first = it.asked()
    it.client.set_flow_run_state(first.id, Running(), force=True)
    it.round(2)
    assert len(it.requests()) == 1
    monkeypatch.setattr(requests, "LOST", timedelta(0))
    it.round(2)
    assert it.client.read_flow_run(first.id).state_name == "lost"
    assert len(it.requests()) == 2
    it.client.set_flow_run_state(it.requests()[-1].id, Crashed(), force=True)
    it.round(2)
    assert len(it.requests()) == 3


def test_a_restart_asks_nobody_twice(asking: Callable[..., Asking]) -> None:
    """Another process, which remembers nothing, finds the request that is there."""
    it = asking()
    run = it.asked()
    with Api(30) as api:
        it.loop = Loop(it.site, Prefect(api, it.shop.config), sync=False)
        it.round(2)
        assert [r.id for r in it.requests()] == [run.id]
        assert it.answer(run, "approve", ALICE).state_name == "Approved"


def test_two_loops_and_two_served_deployments_are_one_form(asking: Callable[..., Asking]) -> None:
    """Scenario 15: at once, by deployments of two names: one request, one commit."""
    it = asking()
    it.shop.commit("dev", {"web": "2\n"})
    for deployment in deployments.deployments(load(it.shop.file), "other"):
        deployment.apply()
    names = ("promote/other", "propagate/other", "approve/other")
    with open_sites(load(it.shop.file), os.environ) as (site,), Api(30) as api:
        other = Loop(site, Prefect(api, it.shop.config, *names), sync=False)

        def rounds(loop: Loop) -> None:
            for _ in range(4):
                loop.prefect.look()
                one_round([loop])

        threads = [threading.Thread(target=rounds, args=(loop,)) for loop in (it.loop, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (run,) = it.requests()
        run = it.answer(it.leg(run), "approve", ALICE)
        assert run.state_name == "Approved"
        for loop in (it.loop, other):
            rounds(loop)
    (hop,) = it.hops()
    run_flow(promote, flow_run=hop, return_type="state")
    it.round(2)
    assert len([c for c in it.shop.origin.log("env/qa") if "Promotion-Plan" in c.trailers]) == 1
    assert len(it.requests()) == 1


class Early(Api):
    """The server as somebody sees it who looked before anybody had asked for anything."""

    def runs(self, *_: Any, **__: Any) -> list[FlowRun]:
        return []

    def tagged(self, *_: Any, **__: Any) -> list[FlowRun]:
        return []


def test_two_that_look_at_once_ask_once_and_start_one_hop(asking: Callable[..., Asking]) -> None:
    """Both find nothing, and ask Prefect for the same: one request, and one run once it is approved."""
    it = asking()
    it.change()
    with Early(30) as early:
        other = Loop(it.site, Prefect(early, it.shop.config), sync=False)
        for loop in (other, it.loop):
            loop.prefect.look()
            one_round([loop])
        assert len(it.requests()) == 1
        reconcile.approve(it.site, it.plan(), who=ALICE)
        for loop in (it.loop, other, other):
            one_round([loop])
        assert len(it.hops()) == 1


def test_a_pause_of_the_deployment_asks_nobody(asking: Callable[..., Asking]) -> None:
    """Until it is resumed in Prefect."""
    it = asking()
    it.round()
    assert it.loop.prefect.asking is not None
    it.client.pause_deployment(it.loop.prefect.asking.id)
    it.change()
    assert it.requests() == []
    it.client.resume_deployment(it.loop.prefect.asking.id)
    it.round()
    assert len(it.requests()) == 1


def test_an_environment_that_takes_a_decision_asks_nobody_itself(asking: Callable[..., Asking]) -> None:
    """`same_as`: one form for both, and its answer counts in both."""
    rules = {"type": "approval", "same_as": "qa"}
    it = asking(from_=[ALICE])
    config = json.loads(it.shop.file.read_text())
    config["environments"][2] |= {"from": "dev", "gates": [rules]}
    it.shop.file.write_text(json.dumps(config))
    with open_sites(load(it.shop.file), os.environ) as (site,), Api(30) as api:
        it.loop = Loop(site, Prefect(api, it.shop.config), sync=False)
        it.change()
        assert [r.parameters["environment"] for r in it.requests()] == ["qa"]
        assert it.answer(it.leg(), "approve", ALICE).state_name == "Approved"
        it.round()
        hops = [r.parameters["environment"] for r in it.hops()]
        assert sorted(hops) == ["prod", "qa"]
