"""Which commits are promotions by the ledger's word, on real repositories: messages that were copied, and records that do not count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion import authors, confirmed, observe, report, restoring
from promotion.events import Event
from promotion.observe import Site
from promotion.reconcile import people
from tests.support.stage import Stage, environment
from tests.support.trusted import ALICE, Trusted

Build = Callable[..., Stage]


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Trusted]:
    """A change went from dev to qa and prod; only signed records count."""
    made = Trusted.create(tmp_path)
    made.stage.walked()
    yield made
    made.stage.close()


def places(stage: Stage, commit: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """The change that a commit stands for, and where it is."""
    data = report.where(stage.site, observe.survey(stage.site, partly=True), commit)
    return data["origin"], {place["environment"]: place for place in data["environments"]}


def message(environment: str, source: str, attempt: str = "a" * 32) -> str:
    """What a promotion says of itself."""
    said = {
        "Plan": "0" * 64,
        "Application": "shop",
        "Environment": environment,
        "Source": source,
        "Attempt": attempt,
    }
    return "by hand\n\n" + "\n".join(f"Promotion-{key}: {value}" for key, value in said.items())


def told(stage: Stage, commit: str, source: str, attempt: str = "a" * 32) -> Event:
    """A record that says that a commit was promoted to qa, as whoever may push to the ledger may write it."""
    data = dict.fromkeys(("base", "target"), source) | {"plan_id": "0" * 64, "commit": commit, "source": source}
    tree = stage.site.repository.objects.commit(source).tree
    data |= {"tree": tree, "until": "2026-11-25T12:00:00Z"}
    return Event("promoted", "shop", "qa", stage.now, "bot@example.com", data, attempt)


@pytest.mark.parametrize("history", ["merge", "linear"])
def test_where_believes_no_message_that_was_copied_along(tmp_path: Path, build: Build, history: str) -> None:
    """A hotfix with an older promotion's message, or with one that was made up, says nothing of other changes, and is itself."""
    folder = tmp_path / "stage"
    qa, prod = (environment(folder, name, source, history=history) for name, source in (("qa", "dev"), ("prod", "qa")))
    stage = build(environment(folder, "dev"), qa, prod)
    stage.round()
    changes = []
    for number in range(2):
        changes.append(stage.commit("dev", {"web": f"{number}\n"}))
        for _ in range(2):
            stage.round()
    expected = places(stage, changes[1])
    assert expected[1]["prod"]["in"]
    copied = stage.commit("qa", {"hotfix": "1\n"}, stage.origin.log("env/qa")[1].message)
    assert places(stage, changes[1])[1]["qa"] == expected[1]["qa"]
    change, found = places(stage, copied)
    assert change == copied
    assert [name for name, place in found.items() if place["in"]] == ["qa"]
    stage.change("qa", auto=False)
    newer = stage.commit("dev", {"web": "3\n"})
    forged = stage.commit("qa", {"hotfix": "2\n"}, message("qa", newer))
    assert not places(stage, newer)[1]["qa"]["in"]
    assert places(stage, forged)[0] == forged


def test_where_believes_no_record_that_does_not_count(ours: Trusted) -> None:
    """Unsigned, or signed by an approver: qa does not have what it says, and what it has it has still."""
    stage = ours.stage
    old, newer = stage.tip("dev"), stage.commit("dev", {"web": "3\n"})
    expected = places(stage, old)[1]
    assert expected["prod"]["in"]
    made = stage.commit("qa", {"hotfix": "1\n"}, message("qa", newer))
    adopted = {"commit": made, "source": newer}
    for name in ("nobody", "alice"):
        ours.record(name, told(stage, made, newer))
        ours.record(name, ours.event("adopted", "qa", ALICE, **adopted))
        assert not places(stage, newer)[1]["qa"]["in"]
        assert places(stage, old)[1] == expected
    ours.record("bot", told(stage, made, newer))
    assert places(stage, newer)[1]["qa"]["in"]


def test_a_record_that_does_not_count_hides_no_author(ours: Trusted) -> None:
    """Who wrote it may push to the ledger as well, and is its author all the same."""
    stage = ours.stage
    base = stage.tip("dev")
    made = stage.origin.commit("env/dev", {"web": "3\n"}, author="dave", message=message("qa", base))

    def wrote(site: Site) -> frozenset[str] | None:
        return authors.of(site, observe.survey(site), stage.env("qa"), base, made)

    for number, name in enumerate(("nobody", "alice", "bot")):
        ours.record(name, told(stage, made, base))
        found = wrote(ours.site("bot", cache=f"cache {number}"))
        assert found == (frozenset() if name == "bot" else {"dave@example.com"})


def test_a_message_of_any_length_names_no_record(build: Build) -> None:
    """Git's command line has no room for it: the hotfix is one all the same."""
    stage = build()
    stage.walked()
    change = stage.tip("dev")
    strange = [stage.commit("qa", {"hot": f"{n}\n"}, message("qa", change, "a" * n)) for n in (31, 33, 200_000)]
    world = stage.world()
    commits = [stage.site.repository.objects.commit(oid) for oid in strange]
    assert confirmed.of(stage.site, world, commits) == frozenset()
    line = restoring.line(stage.site, world, stage.env("qa"), strange[-1])
    assert [step.ours for step in line[:4]] == [False, False, False, True]


def test_what_landed_before_only_signed_records_counted_did_land(tmp_path: Path) -> None:
    """Whoever signed the first record that asks for signatures had judged it; what is unsigned since is nobody's word."""
    ours = Trusted.create(tmp_path)
    stage, signing = ours.stage, ours.stage.application
    stage.application = replace(
        signing, trust=None, in_force={k: v for k, v in signing.in_force.items() if k != "trust"}
    )
    stage.site = ours.site("nobody")
    change = stage.walked()
    landed = stage.site.repository.objects.commit(stage.tip("qa"))
    before = places(stage, change)
    stage.application = signing
    stage.site = ours.site("bot")
    people.configure(stage.site, "trust")
    assert places(stage, change) == before
    forged = stage.commit("qa", {"hotfix": "1\n"}, message("qa", change))
    ours.record("nobody", told(stage, forged, change))
    world = stage.world()
    commits = [landed, stage.site.repository.objects.commit(forged)]
    assert confirmed.of(stage.site, world, commits) == {landed.oid}
    stage.close()
