"""People approve and reject in Prefect's UI, in a real browser, on a real server with `promotion serve`; and what is restarted meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from promotion import answers, ledger, observe, reconcile
from promotion.config import load
from promotion.events import Event
from promotion.sites import open_sites
from tests.e2e.conftest import Server, Serving, kill, press, promotions, told, until
from tests.e2e.test_browser import see
from tests.support.asking import configure
from tests.support.hosted import Hosted
from tests.support.keys import key, line

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ALICE, BOB, CAROL, DAVE = (f"{name}@example.com" for name in ("alice", "bob", "carol", "dave"))
YES, NO = 1, 2
HELD = """\
#!/bin/sh
while read old new ref; do
  case $ref in refs/heads/promotion/*)
    git log -1 --format=%B $new > '{folder}'/$$
    while [ ! -e '{folder}/go' ]; do sleep 0.1; done
  esac
done
"""
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def asking(folder: Path, name: str, **settings: Any) -> Hosted:
    """dev -> qa -> prod, which asks two of alice, bob and dave, but nobody who wrote it."""
    gate = {"type": "approval", "count": 2, "from": [ALICE, BOB, DAVE], "not_author": True, **settings}
    return Hosted.create(folder, name, prod={"gates": [gate]})


def requests(server: Server, name: str) -> list[dict[str, Any]]:
    """The requests of an application, newest first."""
    found = server.ask("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", flows={"name": {"any_": ["approve"]}})
    return [run for run in found if run["parameters"].get("application") == name]


def request(server: Server, name: str, state: str, commit: str | None = None) -> dict[str, Any]:
    """The newest request of an application, once it is in this state."""

    def there() -> list[dict[str, Any]]:
        return [
            run
            for run in requests(server, name)[:1]
            if run["state_name"] == state and commit in (None, run["parameters"]["commit"])
        ]

    return until(there, 120)[0]


def events(shop: Hosted, *kinds: str) -> list[Event]:
    """What was recorded of these kinds, the oldest first."""
    with open_sites(load(shop.file), os.environ) as (site,):
        tip = observe.survey(site).ledger
        return [e for _, e in ledger.events(site.repository, tip) if e.event in kinds][::-1]


def approve(shop: Hosted, who: str) -> None:
    """On the command line of somebody."""
    with open_sites(load(shop.file), os.environ) as (site,):
        plan = answers.plan(site, observe.survey(site), site.application.environment("prod"))
        reconcile.approve(site, plan, who=who)


def resume(page: playwright.Page) -> playwright.Locator:
    """Opens the form of the run that is shown; on a phone its button is in the menu."""
    page.get_by_text("Suspended", exact=True).first.wait_for()
    button = page.get_by_role("button", name="Resume", exact=True).first
    if not button.is_visible():
        page.locator(".p-icon-button-menu button").last.click()
        button = page.get_by_text("Resume", exact=True).last
    button.click()
    dialog = page.locator(".p-modal")
    dialog.get_by_text("You approve exactly this plan").wait_for()
    page.wait_for_function("() => document.getAnimations().every(each => each.playState === 'finished')")
    return dialog


def fill_in(page: playwright.Page, photo: Path, decision: int, who: int, reason: str = "") -> None:
    """Opens the form of the run that is shown, and fills it in as a person does; choices by their place."""
    dialog = resume(page)
    for number, place in enumerate((decision, who)):
        dialog.locator(".p-select").nth(number).click()
        for _ in range(place):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    if reason:
        dialog.locator("textarea").last.fill(reason)
    page.screenshot(path=photo)
    submit = dialog.get_by_role("button", name="Submit", exact=True)
    press(submit, lambda ms: dialog.wait_for(state="hidden", timeout=ms))


def test_people_decide_in_the_browser(
    page: playwright.Page, photos: Path, tmp_path: Path, server: Server, serve: Callable[..., Serving]
) -> None:
    """One approves, the author is refused, a second approves and it lands; another change is rejected and held."""
    shop = asking(tmp_path / "shop", "asks")
    serve(shop)
    subject = "web <b>2</b> | {{7*7}} [x](http://evil.example)"
    shop.commit("dev", {"web": "2\n"}, message=subject)
    run = request(server, "asks", "Suspended")
    commit = run["parameters"]["commit"]
    before = shop.tip("prod")
    url = f"{server.url}/runs/flow-run/{run['id']}"

    page.goto(f"{server.url}/runs")
    see(page, f"approve asks: prod <- qa {commit[:7]}", "Suspended")
    page.screenshot(path=photos / "1-runs.png")
    page.goto(url)
    see(
        page,
        f"approve asks: prod <- qa {commit[:7]}",
        "Suspended",
        "approval 0 of 2: dave is an author; alice, bob may",
    )
    page.screenshot(path=photos / "2-run.png")
    dialog = resume(page)
    text = dialog.inner_text()
    page.screenshot(path=photos / "3-form.png")
    for wanted in ("approve plan", subject, "healthy in qa", "Identical to qa", "0 of 2", "promotion lift prod"):
        assert wanted in text, text
    assert page.locator("a[href*=evil]").count() == 0
    dialog.get_by_role("button", name="Submit", exact=True).click()
    see(page, "is a required property")
    page.screenshot(path=photos / "4-empty.png")
    page.goto(url)

    fill_in(page, photos / "5-alice.png", YES, 1)
    until(lambda: len(events(shop, "approved")) == 1)
    request(server, "asks", "Suspended")
    page.goto(url)
    see(page, "recorded: alice, 1 of 2")
    page.screenshot(path=photos / "6-one.png")
    fill_in(page, photos / "7-dave.png", YES, 3)
    until(lambda: "dave@example.com is an author" in server.artifacts("request-asks-prod")[0]["data"].replace("\\", ""))
    request(server, "asks", "Suspended")
    page.goto(url)
    see(page, "not recorded: dave@example.com is an author of it")
    page.screenshot(path=photos / "8-refused.png")
    assert [e.by for e in events(shop, "approved")] == [ALICE]
    assert shop.tip("prod") == before
    fill_in(page, photos / "9-bob.png", YES, 1, "go")
    request(server, "asks", "Approved")
    until(lambda: promotions(shop, "prod") == [commit])
    page.goto(url)
    see(page, "Approved", "recorded: bob, 2 of 2", "promoted by asks: prod <- qa")
    page.screenshot(path=photos / "10-approved.png")
    (artifact,) = server.artifacts("request-asks-prod")
    page.goto(f"{server.url}/artifacts/artifact/{artifact['id']}")
    page.get_by_text("You approve exactly this plan").wait_for()
    page.screenshot(path=photos / "11-page.png", full_page=True)

    shop.commit("dev", {"web": "3\n"})
    until(lambda: requests(server, "asks")[0]["id"] != run["id"], 120)
    run = request(server, "asks", "Suspended")
    page.set_viewport_size({"width": 390, "height": 844})  # a phone
    page.goto(f"{server.url}/runs/flow-run/{run['id']}")
    card = resume(page).locator(".p-modal__card").bounding_box()
    assert card is not None
    assert (card["x"] >= 0, card["width"] <= 390) == (True, True)
    page.screenshot(path=photos / "12-phone.png")
    page.goto(f"{server.url}/runs/flow-run/{run['id']}")
    fill_in(page, photos / "13-reject.png", NO, 2, "not before the holidays")
    request(server, "asks", "Rejected")
    page.goto(f"{server.url}/runs/flow-run/{run['id']}")
    see(page, "Rejected")
    page.screenshot(path=photos / "14-rejected.png")
    page.set_viewport_size({"width": 1280, "height": 900})
    until(lambda: "blocked by hold" in server.artifacts("board-asks")[0]["description"])
    page.goto(f"{server.url}/artifacts/key/board-asks")
    see(page, "blocked by hold", "not before the holidays")
    page.screenshot(path=photos / "15-board.png", full_page=True)
    assert promotions(shop, "prod") == [commit]


def test_a_request_survives_restarts(tmp_path: Path) -> None:
    """Serving process and server killed while it waits, an answer while nobody serves, another while there is no server: one form, one commit."""
    home = tmp_path / "prefect"
    home.mkdir()
    server, shop = Server(home), asking(tmp_path / "shop", "again")
    server.start()
    serving = [served(server, shop, tmp_path / "serve0.log")]
    try:
        shop.commit("dev", {"web": "2\n"})
        run = request(server, "again", "Suspended")
        kill(serving[-1])
        server.kill()
        server.start()
        typed = {"decision": "approve", "who": ALICE}
        assert server.ask(f"flow_runs/{run['id']}/resume", run_input=typed)["status"] == "ACCEPT"
        assert events(shop, "approved") == []
        serving.append(served(server, shop, tmp_path / "serve1.log"))
        until(lambda: [e.by for e in events(shop, "approved")] == [ALICE], 120)
        request(server, "again", "Suspended")
        server.kill()
        approve(shop, BOB)
        until(lambda: len(promotions(shop, "prod")) == 1, 120)
        server.start()
        ended = until(lambda: [r for r in requests(server, "again") if r["state_name"] == "Approved"], 120)
        assert [r["id"] for r in ended] == [run["id"]]
        assert len(requests(server, "again")) == 1
        assert [e.by for e in events(shop, "approved")] == [ALICE, BOB]
        assert promotions(shop, "prod") == [run["parameters"]["commit"]]
    finally:
        for process in serving:
            kill(process)
        server.kill()
        for number in range(len(serving)):
            told(tmp_path / f"serve{number}.log")


@contextmanager
def records_held(shop: Hosted, folder: Path) -> Iterator[Callable[[], list[str]]]:
    """The host keeps all that is recorded waiting until this is over; gives the messages that wait."""
    folder.mkdir()
    shop.origin.hook("pre-receive", HELD.format(folder=folder))
    try:
        yield lambda: [file.read_text() for file in folder.iterdir()]
    finally:
        (folder / "go").touch()


def test_three_channels_at_once_and_a_signature_while_serve_restarts(server: Server, tmp_path: Path) -> None:
    """A form, a name on the command line and a signature, all on their way at one moment, are three people, once each. Then only signed records count: the form takes no yes, a signature that is given while nobody serves does; all holds afterwards."""
    keys = {name: key(tmp_path / "keys", name) for name in ("bot", "alice", "carol")}
    (tmp_path / "signers").write_text("".join(line(f"{name}@example.com", keys[name]) for name in keys))
    trust = {"allowed_signers": str(tmp_path / "signers"), "orchestrators": ["bot@example.com"]}
    three = {"type": "approval", "count": 3, "from": [ALICE, BOB, CAROL]}
    gate = {"type": "approval", "from": [ALICE], "identity": "signed"}
    shop = Hosted.create(tmp_path / "shop", "signs", qa={"gates": [three]}, prod={"gates": [gate]})
    configure(shop, trust={**trust, "approvers": [ALICE, CAROL]})
    bot = {"PROMOTION_USER": "bot@example.com", "PROMOTION_SIGNING_KEY": str(keys["bot"])}
    logs = [tmp_path / "serve0.log", tmp_path / "serve1.log"]
    serving = served(server, shop, logs[0], **bot)

    def says(name: str, *words: str) -> subprocess.Popen[str]:
        """Somebody at a machine of their own."""
        theirs = {"PROMOTION_USER": f"{name}@example.com", "PROMOTION_SIGNING_KEY": str(keys[name])}
        argv = [sys.executable, "-m", "promotion.cli", "-c", shop.config, *words]
        environ = {**server.environ, **theirs, "PROMOTION_CACHE": str(tmp_path / name)}
        return subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ended(process: subprocess.Popen[str]) -> None:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said

    def form(run: dict[str, Any], who: str) -> None:
        typed = {"decision": "approve", "who": who}
        assert server.ask(f"flow_runs/{run['id']}/resume", run_input=typed)["status"] == "ACCEPT"

    def approved(environment: str) -> list[tuple[str, str]]:
        found = [e for e in events(shop, "approved") if e.environment == environment]
        return sorted((e.by, e.data["how"]) for e in found)

    try:
        commit = shop.commit("dev", {"web": "2\n"})
        run = request(server, "signs", "Suspended")
        plan = run["parameters"]["plan"][:8]
        with records_held(shop, tmp_path / "held") as waiting:
            form(run, BOB)
            people = [says("alice", "approve", plan, "--sign", "--yes"), says("carol", "approve", plan, "--yes")]
            until(lambda: sum("approved" in message for message in waiting()) == 3, 120)
        for process in people:
            ended(process)
        until(lambda: promotions(shop, "qa"), 120)
        assert approved("qa") == [(ALICE, "signed"), (BOB, "claimed"), (CAROL, "claimed")]
        first = run["id"]
        run = until(lambda: [r for r in requests(server, "signs")[:1] if r["id"] != first], 120)[0]
        run = request(server, "signs", "Suspended", run["parameters"]["commit"])
        form(run, ALICE)
        until(lambda: "wants a signature" in server.artifacts("request-signs-prod")[0]["data"], 120)
        request(server, "signs", "Suspended")
        kill(serving)
        signing = says("alice", "approve", run["parameters"]["plan"][:8], "--sign", "--yes")
        serving = served(server, shop, logs[1], **bot)
        ended(signing)
        request(server, "signs", "Approved")
        until(lambda: promotions(shop, "prod") == [run["parameters"]["commit"]], 120)
        assert approved("prod") == [(ALICE, "signed")]
        assert promotions(shop, "qa") == [commit]
        assert [r["state_name"] for r in requests(server, "signs")] == ["Approved", "Approved"]
        ended(says("carol", "audit"))
        assert "gpgsig" in shop.origin.git("cat-file", "commit", shop.tip("prod"))
    finally:
        kill(serving)
        for log in logs:
            if log.exists():
                told(log)


def served(server: Server, shop: Hosted, log: Path, **more: str) -> subprocess.Popen[bytes]:
    """A `promotion serve` that has registered its deployments."""
    argv = [sys.executable, "-m", "promotion.cli", "-c", shop.config, "serve", "--every", "1s", "--name", shop.name]
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv,
            env={**server.environ, **more},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    until(lambda: f"serving promote/{shop.name}" in log.read_text())
    return process
