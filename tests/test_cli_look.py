"""status, plan, where and audit on a real repository."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from promotion.cli import output, render
from promotion.cli.context import Call, each, sites_of
from promotion.cli.look import read
from promotion.cli.rounds import Loop
from promotion.sites import utc_now
from tests.support.git import File, Origin
from tests.support.shop import SICK, WELL, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Everything is deployed and recorded."""
    made = Shop(tmp_path)
    made.round()
    return made


def test_status_is_one_table(shop: Shop) -> None:
    """The first screen answers what is where, since when, is it well, what comes next and what keeps it."""
    commit = shop.push("dev", {"web": "2\n"})
    shop.round()
    lines = shop("status").out.splitlines()
    assert lines[0] == "shop   ledger: unsigned"
    assert lines[1].split() == ["ENV", "RELEASE", "ORIGIN", "SINCE", "HEALTH", "NEXT", "WAITS", "FOR"]
    assert lines[2].startswith(f"dev   {commit[:7]}  {commit[:7]}")
    assert lines[2].endswith("people push here")
    assert lines[3].startswith(f"qa    {shop.tip('qa')[:7]}  {commit[:7]}")
    assert "was not yet observed in qa" in lines[4]
    assert lines[5].startswith("! qa: ")


def test_status_of_a_fresh_repository_knows_the_origins(tmp_path: Path) -> None:
    """Before anything was recorded."""
    rows = Shop(tmp_path)("--json", "status").json["applications"][0]["environments"]
    assert {row["origin"] for row in rows} == {rows[0]["tip"]}


def test_status_writes_nothing(shop: Shop) -> None:
    """Not even with --live."""
    shop.push("dev", {"web": "2\n"})
    before = shop.origin.refs()
    for words in (["status"], ["status", "--live"], ["plan", "qa", "--live", "--diff"], ["promote", "qa", "--dry-run"]):
        shop(*words)
    assert shop.origin.refs() == before


def test_status_live_asks_now(shop: Shop) -> None:
    """The recorded word is healthy; the file says otherwise."""
    (shop.folder / "deployed/qa/current/health").write_text("sick\n")
    recorded, live = (shop("--json", "status", "qa", *more).json["applications"][0] for more in ([], ["--live"]))
    assert recorded["environments"][0]["health"] == "healthy"
    assert live["environments"][0]["health"] == "degraded"


def test_status_live_says_what_could_not_be_asked(shop: Shop) -> None:
    """What was recorded of it is nothing that it says now."""
    shop.set("dev", engine={"type": "command", "deploy": ["true"], "observe": ["false"]})
    assert "! dev: could not be read: observe: exit 1" in shop("status", "--live").out.splitlines()
    asked = shop("--json", "status", "--live").json["applications"][0]["environments"]
    assert [bool(e["unread"]) for e in asked] == [True, False, False]
    assert "could not be read" not in shop("status").out


def test_advice_names_the_application_where_there_are_several(shop: Shop) -> None:
    """Typed as it is, it does what it says, and of one that was named it is about that one."""
    shop.several(web=str(shop.origin.path), pay=str(shop.origin.path))
    for entry in shop.top["applications"]:
        entry["paths"] = [f"{entry['name']}/"]
    shop.write()
    shop("freeze", "prod", "--reason", "R")
    advised = [line.partition("     ")[2] for line in shop("status").out.splitlines() if "is frozen" in line]
    assert advised == ["promotion -a web thaw prod", "promotion -a pay thaw prod"]
    said = shop("-a", "web", "thaw", "prod")
    assert said.out.splitlines()[-1] == "  undo    promotion -a web freeze prod --reason R"
    assert shop(*advised[1].split()[1:]).status == 0
    assert output.addressed("    promotion lift qa, as Ann said", "web") == "    promotion lift qa, as Ann said"


def test_status_takes_globs(shop: Shop) -> None:
    """And shows only those rows."""
    rows = shop("--json", "status", "p*").json["applications"][0]["environments"]
    assert [row["environment"] for row in rows] == ["prod"]


@pytest.mark.parametrize(
    ("settings", "change", "status", "word"),
    [
        ({}, {"web": "2\n"}, 0, "PASS"),
        ({}, {}, 0, "NOTHING"),
        ({"auto": False}, {"web": "2\n"}, 3, "WAIT"),
        ({}, SICK, 4, "BLOCK"),
    ],
    ids=["pass", "nothing", "wait", "block"],
)
def test_plan_exits_by_its_verdict(
    tmp_path: Path, settings: dict[str, object], change: Mapping[str | bytes, File], status: int, word: str
) -> None:
    """0, 3, 4; and it is the third thing that the first line says."""
    shop = Shop(tmp_path, qa=settings)
    shop.round()
    if change:
        shop.push("dev", change)
        shop("sync", "dev")
        shop("observe", "dev")
    said = shop("plan", "qa")
    assert said.status == status
    assert f"   {word}" in said.out.splitlines()[0]


def test_plan_of_a_conflict(shop: Shop) -> None:
    """Exit status 5, and the paths."""
    shop.push("qa", {"web": "qa\n"})
    shop.push("dev", {"web": "dev\n"})
    shop("sync", "dev")
    shop("observe", "dev")
    said = shop("plan", "qa")
    assert said.status == 5
    assert "both    web" in said.out
    assert shop("--json", "plan", "qa").json["plan_id"] is None


def test_plan_says_how_files_land(tmp_path: Path) -> None:
    """As tested, merged, kept because protected or because changed here."""
    shop = Shop(tmp_path, qa={"protect": ["mine/**"]})
    lines = [f"{n}\n" for n in range(9)]
    shop.push("dev", {"web": "".join(lines), "mine/x": "1\n"})
    shop.round()
    shop("observe")
    shop.push("qa", {"web": "".join([*lines[:-1], "hotfix\n"]), "mine/x": "2\n", "extra": "1\n"})
    shop.push("dev", {"web": "".join(["new\n", *lines[1:]]), "other": "1\n"})
    (line,) = [line for line in shop("plan", "qa").out.splitlines() if line.startswith("  lands ")]
    assert "1 as tested in dev" in line
    assert "1 merged (web)" in line
    assert "kept: changed here (extra)" in line
    assert "kept: protected (mine/x)" in line


def test_plan_shows_the_difference(shop: Shop) -> None:
    """A unified diff; what is no text is only named."""
    shop.push("dev", {"health": "ok\nvery\n", "logo": b"\0\1".decode(), "gone": None})
    said = shop("plan", "qa", "--diff")
    assert "--- a/health\n+++ b/health\n@@ -1 +1,2 @@\n ok\n+very\n" in said.out
    assert "binary files /dev/null and b/logo differ" in said.out
    assert "+very" in shop("--json", "plan", "qa", "--diff").json["diff"]


def test_plan_of_a_particular_commit(shop: Shop) -> None:
    """By a prefix; one that is not there is exit status 2."""
    first = shop.push("dev", {"web": "2\n"})
    shop.push("dev", {"web": "3\n"})
    assert shop("--json", "plan", "qa", "--commit", first[:6]).json["source"]["commit"] == first
    assert shop("plan", "qa", "--commit", "0000000").status == 2


def test_where_is_the_change(shop: Shop) -> None:
    """One line an environment."""
    commit = shop.push("dev", {"web": "2\n"})
    shop.round()
    lines = shop("where", commit[:7]).out.splitlines()
    assert lines[0].startswith("dev   in since ")
    assert lines[1].endswith(f"(as {shop.tip('qa')[:7]})")
    assert "not yet observed in qa" in lines[2]


def test_audit_ends_with_four_when_something_does_not_hold(shop: Shop) -> None:
    """Clean first; then a branch is rewound."""
    first = shop.tip("qa")
    shop.push("dev", {"web": "2\n"})
    shop.round()
    assert shop("audit").status == 0
    shop.origin.set("env/qa", first)
    said = shop("--json", "audit")
    assert said.status == 4
    assert "rewound" in said.json["findings"][0]["problem"]


def test_audit_needs_no_more_than_a_mirror(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repository and the clone cache are away; what is changed in the mirror is found there too."""
    first = shop.tip("qa")
    shop.push("dev", {"web": "2\n"})
    shop.round()
    assert shop("rollback", "qa", "--reason", "it is bad").status == 0
    events, mirror = len(shop.events()), shop.folder / "mirror.git"
    shop.origin.git("clone", "--quiet", "--mirror", str(shop.origin.path), str(mirror))
    shop.origin.path.rename(shop.folder / "away.git")
    monkeypatch.setenv("XDG_CACHE_HOME", str(shop.folder / "another cache"))
    shop.write(repository=str(mirror))
    said = shop("--json", "audit")
    assert (said.status, said.json["findings"], said.json["applications"][0]["events"]) == (0, [], events)
    Origin(mirror).set("env/qa", first)
    assert shop("audit").status == 4


@pytest.fixture
def two(shop: Shop) -> Shop:
    """`gone` cannot be read, `web` can."""
    shop.several(gone=str(shop.folder / "gone.git"), web=str(shop.origin.path))
    shop("-a", "web", "run", "--sync")
    return shop


@pytest.mark.parametrize("verb", ["status", "history", "where", "audit"])
def test_one_application_that_cannot_be_read_is_not_the_end(two: Shop, verb: str) -> None:
    """The other is shown; the trouble is on stderr and in the exit status."""
    words = [verb, two.tip("dev")] if verb == "where" else [verb]
    whole, said = (two(*more, *words) for more in (("-a", "web"), ()))
    assert (whole.status, whole.err) == (0, "")
    assert said.out == whole.out
    assert "gone.git" in said.err
    assert said.status == 2


def test_where_prefers_what_went_wrong_over_what_is_unknown(two: Shop) -> None:
    """A commit that `web` has not may be in `gone`."""
    assert "gone.git" in two("where", "abcdef1").err
    assert "no commit abcdef1" in two("-a", "web", "where", "abcdef1").err


def children() -> set[str]:
    """The processes that this one has."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread of a pool that ended meanwhile
            found |= set((task / "children").read_text().split())
    return found


@pytest.mark.parametrize("rounds", [False, True], ids=["each", "run"])
def test_many_applications_keep_no_processes(shop: Shop, rounds: bool) -> None:
    """What reads one application's objects ends with its turn."""
    shop.several(web=str(shop.origin.path), shop=str(Origin.create(shop.folder / "other.git", files=WELL).path))
    call = Call(shop.file, None, json=False, quiet=True, verbose=False, environ=os.environ)
    before = children()
    with sites_of(call) as found:
        if rounds:
            Loop(call, found, sync=False, dry_run=True, scheduled=False).once()
        else:
            each(found, lambda site, environments: read(site, environments, live=False))
        assert children() == before


def test_a_file_that_decides_differently_is_shown_and_refused(shop: Shop) -> None:
    """S14: with both values, and the way to make it the one in force."""
    shop.set("prod", auto=False)
    said = shop("status")
    assert said.status == 2
    assert "+ environments.prod.auto: false" in said.err
    assert "promotion configure" in said.err
    assert shop("history").status == shop("audit").status == 0


def test_watch_prints_changes_until_it_is_ended(shop: Shop) -> None:
    """As one object a line with --json."""
    with shop.start("--json", "status", "--watch") as running:
        assert running.stdout is not None
        before = running.stdout.readline()
        shop.push("dev", {"web": "2\n"})
        assert running.stdout.readline() != before
        running.send_signal(signal.SIGINT)
        assert running.wait() == 0


def test_times_are_short_when_recent_and_absolute_when_old() -> None:
    """Today the time, this week the day, else the date."""
    from datetime import timedelta

    now = utc_now().replace(hour=12, minute=30)
    shown = [render.clock((now - timedelta(days=n)).isoformat(), now) for n in (0, 2, 400)]
    assert shown[0] == "12:30"
    assert shown[1] == f"{now - timedelta(days=2):%a} 12:30"
    assert shown[2] == f"{now - timedelta(days=400):%Y-%m-%d}"


def test_colour_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never with NO_COLOR."""
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    assert output.has_colour({"TERM": "xterm"})
    assert not output.has_colour({"TERM": "xterm", "NO_COLOR": "1"})
    monkeypatch.setattr(output, "is_terminal", lambda: False)
    assert not output.has_colour({"TERM": "xterm"})
