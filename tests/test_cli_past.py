"""history on a real ledger: what is chosen by time, kind and person, and the table for spreadsheets."""

from __future__ import annotations

import csv
import io
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion import ledger, observe
from promotion.cli.times import _midnight
from promotion.config import load
from promotion.events import Event
from promotion.repository import Update
from promotion.sites import open_sites
from tests.support.shop import Shop

NOON = datetime(2025, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Everything is deployed and recorded."""
    made = Shop(tmp_path)
    made.round()
    return made


def written(shop: Shop, *events: tuple[str, str, datetime, str]) -> None:
    """Appends events (kind, environment, when, by whom), as orchestrators with clocks of their own would."""
    with open_sites(load(shop.file), os.environ) as (site,):
        world = observe.survey(site)
        made = [
            Event(kind, "shop", environment, at, by, {"commit": shop.tip(environment), "entries": {}, "reason": by})
            for kind, environment, at, by in events
        ]
        tip, _ = ledger.append(site.repository, world.ledger, world.state, made)
        assert tip is not None
        site.repository.push([Update(site.application.ledger, world.ledger, tip)])


def said(shop: Shop, *words: str) -> list[str]:
    """Who did what is shown."""
    return [e["by"] for e in shop("--json", "history", *words).json["events"]]


@pytest.fixture
def told(shop: Shop) -> Shop:
    """Four more events, oldest first; the third was written by a clock that is three hours behind."""
    written(
        shop,
        ("held", "qa", NOON, "ann@example.com"),
        ("lifted", "qa", NOON + timedelta(hours=1, seconds=0.5), "ben@example.com"),
        ("held", "prod", NOON - timedelta(hours=2), "cat@example.com"),
        ("lifted", "prod", NOON + timedelta(hours=2), "Ann Other <other@example.com>"),
    )
    return shop


ANN, BEN, CAT, OTHER = "ann@example.com", "ben@example.com", "cat@example.com", "Ann Other <other@example.com>"


def test_history_is_newest_first_and_whole(shop: Shop) -> None:
    """Every event, unless a limit is asked for; one environment's only with its name."""
    events = shop("--json", "history").json["events"]
    assert {"event", "application", "environment", "at", "by"} <= events[0].keys()
    assert events[-1]["event"] == "configured"
    assert shop("--json", "history", "--limit", "2").json["events"] == events[:2]
    assert {e["environment"] for e in shop("--json", "history", "qa").json["events"]} == {"qa"}
    assert len(shop("history").out.splitlines()) == len(events) + 1


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--event", "held,lifted"], [OTHER, CAT, BEN, ANN]),
        (["--event", "held", "--event", "lifted", "--limit", "2"], [OTHER, CAT]),
        (["--event", "held", "--until", "2025-11-25"], [CAT, ANN]),
        (["--event", "held", "qa"], [ANN]),
        (["--by", "ANN"], [OTHER, ANN]),
        (["--by", "ann", "--event", "held"], [ANN]),
        (["--by", "nobody"], []),
        (["--since", "2025-11-24T12:00Z", "--until", "2025-11-24T14:00Z"], [OTHER, BEN, ANN]),
        (["--since", "2025-11-24T13:00:01+01:00", "--until", "2025-11-24T13:59Z"], [BEN]),
        (["--since", "2025-11-24T13:00Z", "--until", "2025-11-24T13:00Z"], [BEN]),
        (["--since", "2025-11-24", "--until", "2025-11-24", "--event", "held,lifted"], [OTHER, CAT, BEN, ANN]),
        (["--since", "2025-11-24", "--until", "2025-11-24T11:00Z"], [CAT]),
        (["--until", "99999d"], []),
    ],
)
def test_history_shows_what_is_asked_for(told: Shop, words: list[str], found: list[str]) -> None:
    """All that is asked for holds; an event by a slow clock is found although newer ones come before and after it."""
    assert said(told, *words) == found


def test_history_of_an_age_is_counted_back_from_now(told: Shop) -> None:
    """From it on, or up to it."""
    written(told, ("held", "dev", datetime.now(UTC) - timedelta(minutes=30), "dan@example.com"))
    assert said(told, "--since", "1h", "--event", "held", "dev") == ["dan@example.com"]
    assert said(told, "--since", "10m", "--event", "held", "dev") == []
    assert said(told, "--until", "10m", "--event", "held", "dev") == ["dan@example.com"]


def test_a_day_is_the_readers(told: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Auckland it was the 25th already, an hour after noon; the longest day of a year has 25 hours."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert said(told, "--since", "2025-11-25", "--until", "2025-11-25") == [OTHER, BEN, ANN]
        assert _midnight(datetime(2026, 4, 6)) - _midnight(datetime(2026, 4, 5)) == timedelta(hours=25)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--since", "yesterday"], "--since: `yesterday` is no time: write 2026-11-24T12:00Z"),
        (["--since", "2026-02-30"], "`2026-02-30` is no time"),
        (["--until", "2025-11-24T12:00"], "--until: `2025-11-24T12:00` has no zone: write 2025-11-24T12:00Z"),
        (["--since", "9999999999d"], "is no time"),
        (["--since", "999999999d"], "is no time"),
        (["--since", "9999-12-31"], "is no time"),
        (["--since", "2025-11-24", "--until", "2025-11-23"], "--until: 2025-11-23 is before --since 2025-11-24"),
        (["--since", "1h", "--until", "2h"], "2h is before --since 1h"),
        (["--event", "promotet"], "--event: no kind of event `promotet`; did you mean `promoted`?"),
        (["--event", "held,"], "no kind of event ``"),
    ],
)
def test_history_of_nonsense_is_one_line(shop: Shop, words: list[str], error: str) -> None:
    """Exit status 2; what, and what is allowed."""
    answer = shop("history", *words)
    assert (answer.status, answer.out) == (2, "")
    assert error in answer.err
    assert len(answer.err.splitlines()) == 1


def table(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_history_as_a_table_for_spreadsheets(told: Shop) -> None:
    """RFC 4180: a header, ends of line, quotes; the same events as JSON."""
    answer = told("history", "--csv")
    events = told("--json", "history").json["events"]
    rows = table(answer.out)
    assert answer.out.startswith("at,application,environment,event,by,commit,source,health,reason,plan_id,record\r\n")
    assert answer.out.endswith("\r\n")
    assert [row["record"] for row in rows] == [e["record"] for e in events]
    assert [row["commit"] for row in rows] == [e.get("commit", e.get("revision", "")) for e in events]
    assert [row["health"] for row in rows] == [e.get("health", "") for e in events]
    assert table(told("history", "--csv", "--by", "nobody").out) == []


def test_what_people_write_is_no_formula(shop: Shop) -> None:
    """A spreadsheet would compute it; commas and quotes stay inside their cell."""
    for reason in ("=1+1", "@SUM(A1)", "-2", "+3", 'a "b", c', "a=b"):
        shop("hold", "qa", shop.tip("qa"), "--reason", reason)
    rows = table(shop("history", "--csv", "--event", "held").out)
    assert [row["reason"] for row in rows] == ["a=b", 'a "b", c', "'+3", "'-2", "'@SUM(A1)", "'=1+1"]


def test_one_answer_at_a_time(shop: Shop) -> None:
    """A table or JSON."""
    answer = shop("--json", "history", "--csv")
    assert answer.status == 2
    assert "--csv" in answer.json["error"]["where"]


def test_history_needs_no_branch_but_the_ledger(told: Shop) -> None:
    """Every environment's branch was deleted; and the clone cache is made anew."""
    before = told("history").out
    for name in ("dev", "qa", "prod"):
        told.origin.set(f"env/{name}", None)
    assert told("history").out == before
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    assert told("history").out == before


def test_history_of_a_long_ledger_is_whole(shop: Shop) -> None:
    """More events than are read ahead at first."""
    written(shop, *(("held", "qa", NOON, f"{n}") for n in range(150)))
    assert said(shop, "--event", "held") == [str(n) for n in range(149, -1, -1)]


def test_what_can_be_said_is_said_while_a_branch_is_not_there(shop: Shop) -> None:
    """qa's was deleted: the others as ever, its own row says why, and the exit status that somebody must mend it."""
    commit = shop.push("dev", {"web": "2\n"})
    for _ in range(3):
        shop.round()
    shop.origin.set("env/qa", None)
    status, where = shop("--json", "status"), shop("--json", "where", commit)
    assert status.status == where.status == 2
    assert "no branch `env/qa`" in status.err
    rows = {row["environment"]: row for row in status.json["applications"][0]["environments"]}
    assert (rows["dev"]["tip"], rows["dev"]["verdict"]) == (commit, None)
    assert rows["prod"]["origin"] is None or rows["prod"]["origin"] == commit
    assert rows["qa"]["tip"] is None
    assert rows["qa"]["deployed"] is not None
    for row in (rows["qa"], rows["prod"]):
        assert row["verdict"] == "block"
        assert "no branch `env/qa`" in row["waiting_for"]
    assert [place["in"] for place in where.json["applications"][0]["environments"]] == [True, False, True]
    assert "block: " in shop("status").out.splitlines()[3]
    assert shop("status", "dev").status == 0
    assert shop("status", "--live").status == 2
    shop.origin.set("env/dev", None)
    assert "people push here" not in shop("status").out


def test_a_repository_without_any_of_the_branches_is_one_error(tmp_path: Path) -> None:
    """Another repository, most likely."""
    shop = Shop(tmp_path)
    for name in ("dev", "qa", "prod"):
        shop.origin.set(f"env/{name}", None)
    shop.origin.commit("main", {"a": "1\n"})
    answer = shop("status")
    assert (answer.status, answer.out) == (2, "")
    assert "no branch `env/dev`" in answer.err


def test_where_of_several_applications_is_a_list(shop: Shop) -> None:
    """Those that have such a commit; a prefix that means two is said."""
    shop.origin.set("promotion/shop", None)
    shutil.copytree(shop.origin.path, shop.folder / "copy.git")
    shop.several(web=str(shop.folder / "copy.git"), pay=str(shop.origin.path))
    said = shop("--json", "where", shop.tip("dev")[:9])
    assert [a["application"] for a in said.json["applications"]] == ["web", "pay"]


def test_history_of_several_applications_says_whose_it_is(shop: Shop) -> None:
    """Of one alone that would be said again in each line."""
    assert shop("history").out.split()[:3] == ["AT", "ENV", "EVENT"]
    shop.several(web=str(shop.origin.path), pay=str(shop.origin.path))
    for entry in shop.top["applications"]:
        entry["paths"] = [f"{entry['name']}/"]
    shop.write()
    shop("freeze", "--reason", "R")
    head, *lines = (line.split() for line in shop("history", "--event", "frozen").out.splitlines())
    assert head[:3] == ["AT", "APPLICATION", "ENV"]
    assert {line[1] for line in lines} == {"web", "pay"}
    assert shop("-a", "web", "history").out.split()[:3] == ["AT", "ENV", "EVENT"]


def test_where_of_a_shared_repository_is_about_whom_it_concerns(shop: Shop) -> None:
    """Those whose scope it changes; asked for another one, it is about what that one was then."""
    shop.several(web=str(shop.origin.path), pay=str(shop.origin.path))
    for entry in shop.top["applications"]:
        entry["paths"] = [f"{entry['name']}/", *(["health"] if entry["name"] == "web" else [])]
    shop.write()
    web = shop.push("dev", {"web/a": "1\n"})
    pay = shop.push("dev", {"pay/a": "1\n"})
    said = shop("where", web[:9])
    assert said.out.splitlines()[0] == "web"
    assert [a["application"] for a in shop("--json", "where", pay[:9]).json["applications"]] == ["pay"]
    (about,) = shop("--json", "-a", "web", "where", pay[:9]).json["applications"]
    assert (about["application"], about["commit"], about["origin"]) == ("web", pay, web)


def test_where_of_an_ambiguous_prefix_names_both(shop: Shop) -> None:
    """Four digits, and as many commits as it takes."""
    seen: dict[str, str] = {}
    for number in range(3000):
        commit = shop.origin.commit("env/dev", {}, message=f"change {number}")
        if (other := seen.setdefault(commit[:4], commit)) != commit:
            break
    answer = shop("where", commit[:4])
    assert answer.status == 2
    assert commit[:12] in answer.err
    assert other[:12] in answer.err


def test_audit_survives_a_deleted_branch(shop: Shop) -> None:
    """Exit status 4, a finding for it, and the number of events."""
    shop.origin.set("env/qa", None)
    said = shop("--json", "audit")
    assert said.status == 4
    assert [f["environment"] for f in said.json["findings"]] == ["qa"]
    assert said.json["applications"][0]["events"] == len(shop.events())
