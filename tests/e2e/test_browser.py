"""What people see in Prefect's UI, in a real browser (Debian's Chromium); the screenshots are kept for whoever looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, Serving, press, until
from tests.support.hosted import Hosted

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    return Hosted.create(
        tmp_path_factory.mktemp("ui"), "ui", prod={"auto": False, "gates": [{"type": "soak", "for": "2h"}]}
    )


def test_people_see_what_happened(
    page: playwright.Page,
    photos: Path,
    shop: Hosted,
    server: Server,
    serve: Callable[..., Serving],
) -> None:
    """The list of runs, a run with its page, and the board say what is where and why, in words."""
    serve(shop)
    subject = "web <b>2</b> | {{7*7}} [x](http://evil.example) www.evil.example a@evil.example"
    commit = shop.commit("dev", {"web": "2\n"}, message=subject)
    run = until(lambda: [r for r in server.runs("ui") if r["state_name"].startswith("promoted")])[0]
    tip = shop.tip("qa")

    page.goto(f"{server.url}/runs")
    see(page, f"ui: qa <- dev {commit[:7]}", f"promoted {tip[:7]}")
    page.screenshot(path=photos / "runs.png")

    page.goto(f"{server.url}/runs/flow-run/{run['id']}")
    see(
        page,
        f"ui: qa <- dev {commit[:7]}",
        f"promoted {tip[:7]}",
        f"pushed {tip}",
        f"verified: qa is healthy at {tip[:7]}",
    )
    page.screenshot(path=photos / "run.png")
    page.get_by_text("Artifacts", exact=True).last.click()
    see(page, "hop-ui-qa")
    page.screenshot(path=photos / "run-artifacts.png")

    (artifact,) = [a for a in server.artifacts("hop-ui-qa") if a["flow_run_id"] == run["id"]]
    page.goto(f"{server.url}/artifacts/artifact/{artifact['id']}")
    page.get_by_text("Pushed:").wait_for()
    page.screenshot(path=photos / "page.png", full_page=True)
    see(page, "Pushed:", "Verification: verified", subject, "healthy in dev for", "exactly as tested in dev")
    assert page.locator("a[href*=evil]").count() == 0
    page.screenshot(path=photos / "page.png", full_page=True)

    until(lambda: tip[:7] in server.artifacts("board-ui")[0]["description"])
    page.goto(f"{server.url}/artifacts/key/board-ui")
    see(
        page,
        "environment",
        "waits for",
        "people push here",
        tip[:7],
        "auto, soak until",
        "promotion promote prod",
        "Read at",
    )
    page.screenshot(path=photos / "board.png", full_page=True)


def test_people_start_a_hop_that_waits(
    page: playwright.Page,
    photos: Path,
    shop: Hosted,
    server: Server,
    serve: Callable[..., Serving],
) -> None:
    """The form of the deployment, filled in by hand; the run says what it waits for, and until when."""
    serve(shop)
    shop.commit("dev", {"web": "3\n"})
    page.goto(f"{server.url}/deployments/deployment/{server.deployment(shop.name)['id']}")
    page.get_by_role("button", name="Run", exact=True).first.click()
    page.get_by_text("Custom run", exact=False).first.click()
    see(page, "Whose environment", "Where to")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=photos / "form.png", full_page=True)
    fields = page.locator("textarea")
    fields.nth(0).fill("ui")
    fields.nth(1).fill("prod")
    page.screenshot(path=photos / "filled.png", full_page=True)
    submit = page.get_by_role("button", name="Submit", exact=True)
    press(submit, lambda ms: page.wait_for_url(lambda url: not url.partition("?")[0].endswith("/run"), timeout=ms))
    waiting = until(lambda: [r for r in server.runs("ui", "prod") if r["state_name"].startswith("waiting: soak until")])
    page.goto(f"{server.url}/runs/flow-run/{waiting[0]['id']}")
    see(page, waiting[0]["state_name"], "wait soak: soaking in qa until", "pass auto: asked for by hand")
    page.screenshot(path=photos / "waiting.png")


def see(page: playwright.Page, *texts: str) -> None:
    """Every one of these is on the page, as text."""
    for text in texts:
        try:
            page.wait_for_function("wanted => document.body.innerText.replace(/\\s+/g, ' ').includes(wanted)", arg=text)
        except playwright.TimeoutError:
            pytest.fail(f"{text!r} is not on {page.url}:\n{page.inner_text('body')}")
