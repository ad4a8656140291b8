"""A ledger that was rewound, deleted, replaced or forged is refused, said how to mend, and mended; with and without trust."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from promotion import ledger, observe, reconcile, report
from promotion.errors import RefusedError
from promotion.observe import Site
from promotion.reconcile import people
from promotion.report.past import Asked
from promotion.repository import cache
from promotion.state import State
from tests.support.trusted import LEDGER, Trusted


@pytest.fixture(params=["signed", "unsigned"])
def ours(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trusted]:
    """A change went all the way; another orchestrator, with a clone of its own, has seen it too."""
    made = Trusted.create(tmp_path)
    if request.param == "unsigned":
        app = made.stage.application
        in_force = {key: value for key, value in app.in_force.items() if key != "trust"}
        made.stage.application = replace(app, trust=None, in_force=in_force)
        made.stage.site = made.site("nobody")
    made.stage.walked()
    yield made
    made.stage.close()


def another(ours: Trusted, cache: str) -> Site:
    """Another orchestrator, who signs as the stage's own does."""
    return ours.site("bot" if ours.stage.application.trust else "nobody", cache)


def names(ours: Trusted) -> list[str]:
    return [e.name for e in ours.stage.application.environments]


def rewound(ours: Trusted) -> None:
    """To before the last promotion."""
    planned_on = ours.stage.origin.log("env/prod")[0].trailers["Promotion-Ledger"]
    ours.stage.origin.set("promotion/shop", ours.stage.origin.log(planned_on)[1].commit)


def deleted(ours: Trusted) -> None:
    ours.stage.origin.set("promotion/shop", None)


def replaced(ours: Trusted) -> None:
    """By the same events, written once more: a chain of the same content, by whoever can sign."""
    site, tip, state = ours.stage.site, None, State("shop")
    for _, event in reversed(list(ledger.events(site.repository, ours.tip()))):
        tip, state = ledger.append(site.repository, tip, state, [replace(event, by="eve")])
    assert tip
    ours.put(tip)


def anothers(ours: Trusted) -> None:
    """By the ledger of another application, which the same keys signed."""
    site, tip, state = ours.stage.site, None, State("billing")
    for _, event in reversed(list(ledger.events(site.repository, ours.tip()))):
        tip, state = ledger.append(site.repository, tip, state, [replace(event, application="billing")])
    assert tip
    ours.put(tip)


def nonsense(ours: Trusted) -> None:
    """By a branch that is no ledger at all."""
    ours.stage.origin.set("promotion/shop", ours.stage.tip("dev"))


def both(ours: Trusted) -> None:
    """The ledger and prod's branch together, to where they fitted: only who saw the rest can tell."""
    log = ours.stage.origin.log("promotion/shop")
    at = next(n for n, c in enumerate(log) if '"event":"promoted"' in c.message and '"environment":"prod"' in c.message)
    ours.stage.origin.set("promotion/shop", log[at + 1].commit)
    ours.stage.origin.set("env/prod", ours.stage.origin.log("env/prod")[1].commit)


LOSSES = (rewound, deleted, replaced, anothers, nonsense, both)
losses = pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
Lose = Callable[[Trusted], None]


@losses
def test_a_ledger_that_lost_something_is_refused_and_put_back(ours: Trusted, lose: Lose) -> None:
    """Whatever is asked: nothing is written; audit names it; the command that is told mends it, and all goes on."""
    site, whole = ours.stage.site, ours.stage.origin.refs()
    lose(ours)
    before = ours.stage.origin.refs()
    asks: tuple[Callable[[], object], ...] = (
        lambda: reconcile.reconcile(site, names(ours), sync=True),
        lambda: reconcile.promote(site, ours.stage.env("qa")),
        lambda: reconcile.watch_only(site, names(ours)),
        lambda: people.freeze(site, [], "r", None, strict=False),
        lambda: people.adopt(site, ours.stage.env("qa"), None),
        lambda: people.configure(site, "r"),
        lambda: report.history(site, observe.look([site]), Asked()),
    )
    for ask in asks:
        with pytest.raises(RefusedError, match=r"its ledger promotion/shop (is gone|was rewound or replaced)") as told:
            ask()
    assert ours.stage.origin.refs() == before
    world = observe.survey(site, any_configuration=True, partly=True, any_history=True)
    assert "promotion/shop" in report.audit(site, world)[0]["problem"]
    command, _, rest = (told.value.hint or "").partition("   puts it back;")
    assert "--accept-loss" in rest
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert ours.stage.origin.refs()[LEDGER] == whole[LEDGER]
    if lose is not both:
        assert report.audit(site, ours.stage.world()) == []
        ours.stage.commit("dev", {"web": "3\n"})
        for _ in range(4):
            ours.stage.round()
        assert ours.stage.origin.files("env/prod")["web"] == "3\n"


@pytest.mark.parametrize("lose", LOSSES[:-1], ids=lambda lose: lose.__name__)
def test_a_new_clone_asks_the_promotions(ours: Trusted, lose: Lose) -> None:
    """It remembers nothing, and each promotion names the record that it was planned on."""
    lose(ours)
    before = ours.stage.origin.refs()
    with pytest.raises(RefusedError, match=r"on which \w{7} came to") as told:
        reconcile.reconcile(another(ours, "new"), names(ours), sync=True)
    assert ours.stage.origin.refs() == before
    assert "--accept-loss" in (told.value.hint or "")


@losses
def test_a_loss_may_be_accepted(ours: Trusted, lose: Lose) -> None:
    """By a person, in words that are recorded: everybody goes on, the others too who remember more, from what is adopted."""
    other = another(ours, "other")
    observe.survey(other)
    lose(ours)
    lines = people.configure(ours.stage.site, "the disk is gone", accept_loss=True)
    assert lines[0].startswith("lost: its ledger promotion/shop")
    state = observe.survey(other).state
    for name, source in () if lose is both else (("qa", "dev"), ("prod", "qa")):
        people.adopt(other, ours.stage.env(name), ours.stage.tip(source))
    observe.survey(another(ours, "new"))
    if lose in (deleted, nonsense, anothers):
        assert state.of("qa").release is None
    ours.stage.commit("dev", {"web": "3\n"})
    for _ in range(5):
        ours.stage.round()
    assert ours.stage.origin.files("env/prod")["web"] == "3\n"
    assert [c for c in ours.stage.origin.log("promotion/shop") if "the disk is gone" in c.message]
    again = ours.stage.origin.log("promotion/shop")[3].commit
    ours.stage.origin.set("promotion/shop", again)
    with pytest.raises(RefusedError, match="rewound or replaced"):
        ours.stage.world()


def test_an_accepted_loss_is_an_orchestrators_word(tmp_path: Path) -> None:
    """Where only signatures count, anybody else who says that something is lost says nothing."""
    ours = Trusted.create(tmp_path)
    ours.stage.walked()
    kept = ours.tip()
    rewound(ours)
    event = ours.event("configured", None, "eve", in_force={}, reason="r", lost=[kept])
    site = ours.site("stranger")
    tip, _ = ledger.append(site.repository, ours.tip(), State("shop"), [event])
    assert tip
    ours.put(tip)
    with pytest.raises(RefusedError, match="rewound or replaced"):
        ours.stage.world()
    ours.stage.close()


def test_forged_trailers_on_a_branch_stop_that_environment(ours: Trusted) -> None:
    """A commit that claims to be a promotion: qa gets nothing more until somebody adopts it, and audit names it."""
    said = {"Plan": "0" * 64, "Application": "shop", "Environment": "qa", "Source": "1" * 40, "Ledger": "2" * 40}
    trailers = "\n".join(f"Promotion-{key}: {value}" for key, value in said.items())
    forged = ours.stage.commit("qa", {"web": "9\n"}, f"shop: qa <- dev\n\n{trailers}")
    ours.stage.commit("dev", {"web": "3\n"})
    done = ours.stage.round()
    assert any("which the ledger does not know" in str(error) for error in done.errors)
    assert ours.stage.tip("qa") == forged
    problems = [f["problem"] for f in report.audit(ours.stage.site, ours.stage.world())]
    assert problems == [f"{forged[:7]} says that it is a promotion, and no record tells of it"]


def test_what_is_remembered_outlives_a_tidied_clone(ours: Trusted) -> None:
    """Git packs refs, and drops what none of them holds: what was lost is still there to be put back."""
    path = ours.stage.site.repository.path
    ours.stage.world()
    assert cache.kept(path, LEDGER) == ours.tip()
    whole = ours.tip()
    deleted(ours)
    for words in (["pack-refs", "--all"], ["update-ref", "-d", LEDGER], ["gc", "--quiet", "--prune=now"]):
        subprocess.run(["git", f"--git-dir={path}", *words], check=True, capture_output=True)
    assert cache.kept(path, LEDGER) == whole
    ours.stage.site = another(ours, "cache")
    with pytest.raises(RefusedError, match="is gone") as told:
        ours.stage.world()
    subprocess.run((told.value.hint or "").partition("   ")[0], shell=True, check=True, capture_output=True)
    assert ours.tip() == whole
