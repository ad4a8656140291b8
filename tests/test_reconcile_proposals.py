"""Backports: what only one branch has goes to the root as a branch that people merge, and comes down by promotions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promotion.errors import ConfigError
from promotion.reconcile import Proposal, backport
from promotion.report import drift, status
from tests.support.git import Origin
from tests.support.shared import Shared, place
from tests.support.stage import Stage

Share = Callable[..., Shared]
LINES = [f"{number}\n" for number in range(9)]


def text(**changed: str) -> str:
    """Nine lines; `l4="x"` is another fifth one."""
    lines = list(LINES)
    for name, line in changed.items():
        lines[int(name[1:])] = f"{line}\n"
    return "".join(lines)


def one(share: Share, paths: Sequence[str] = (), **more: Any) -> tuple[Shared, Stage]:
    """dev -> qa -> prod of one application, with `list` everywhere; `more` has settings of environments."""
    way = [place(name, source, **more.get(name, {})) for name, source in (("dev", None), ("qa", "dev"), ("prod", "qa"))]
    files = {"shop/list": text(), "shop/own/x": "1\n", "README.md": "All.\n"}
    shared = share(names=["shop"], environments=way, paths={"shop": paths}, files=files)
    shared.settle()
    return shared, shared["shop"]


def taken(origin: Origin, branch: str, *, squash: bool) -> str:
    """Merges a proposal into dev, as people or their host do."""
    dev, tip = origin.tip("env/dev"), origin.tip(branch)
    tree = origin.git("merge-tree", "--write-tree", dev, tip).split()[0]
    parents = ["-p", dev, *([] if squash else ["-p", tip])]
    commit = origin.git("commit-tree", tree, *parents, "-m", f"Merge {branch}").strip()
    origin.set("env/dev", commit)
    return commit


def drifts(stage: Stage) -> dict[str, list[str]]:
    return {r["environment"]: r["drift_paths"] for r in status(stage.site, stage.world())["environments"] if r["drift"]}


def proposed(stage: Stage, name: str = "prod", **more: Any) -> Proposal:
    made = backport(stage.site, stage.env(name), **more)
    assert made.outcome == "proposed"
    assert made.branch
    return made


@pytest.mark.parametrize("squash", [True, False])
@pytest.mark.parametrize("strategy", ["merge", "mirror"])
@pytest.mark.parametrize("paths", [(), ("shop",)])
def test_the_whole_way(share: Share, strategy: Any, paths: Sequence[str], squash: bool) -> None:
    """A hotfix on prod goes to dev and comes down again: no drift is left, and later changes of its lines land."""
    protects = {"strategy": strategy, "protect": ("shop/own/",)}
    shared, stage = one(share, paths, qa={"strategy": strategy}, prod=protects)
    fix = shared.origin.commit(
        "env/prod", {"shop/list": text(l0="hot"), "shop/new": "1\n", "shop/own/x": "mine\n"}, author="carol"
    )
    before = shared.origin.refs()
    made = proposed(stage)
    after = shared.origin.refs()
    assert after.items() - before.items() == {(f"refs/heads/{made.branch}", made.commit)}
    assert (made.created, made.brings, made.marked) == (True, (b"shop/list", b"shop/new"), ())
    commit = shared.origin.log(made.branch or "")[0]
    assert commit.parents == (shared.origin.tip("env/dev"),)
    assert commit.trailers["Co-authored-by"] == "carol <carol@example.com>"
    assert fix[:7] in commit.message
    again = proposed(stage)
    assert (again.branch, again.commit, again.created) == (made.branch, made.commit, False)
    shared.commit("dev", {"shop/list": text(l8="last"), "README.md": "More.\n"})
    taken(shared.origin, made.branch or "", squash=squash)
    assert drifts(stage) == {"prod": ["shop/list", "shop/new"]}
    shared.settle()
    assert drifts(stage) == {}
    assert shared.origin.show("env/prod", "shop/list") == text(l0="hot", l8="last")
    assert shared.origin.show("env/prod", "shop/own/x") == "mine\n"
    assert shared.origin.show("env/qa", "shop/own/x") == "1\n"
    assert backport(stage.site, stage.env("prod")).reason == "prod has no drift"
    shared.commit("dev", {"shop/list": text(l0="hot, but other", l8="last")})
    shared.settle()
    assert shared.origin.show("env/prod", "shop/list") == text(l0="hot, but other", l8="last")


def test_nothing_of_the_root_is_lost(share: Share) -> None:
    """What both changed is merged; what only the root has stays; other commits of it are not taken back."""
    shared, stage = one(share)
    shared.commit("prod", {"shop/list": text(l0="hot")})
    shared.commit("dev", {"shop/list": text(l8="last"), "shop/dev": "1\n"})
    made = proposed(stage)
    assert shared.origin.show(made.branch or "", "shop/list") == text(l0="hot", l8="last")
    assert shared.origin.show(made.branch or "", "shop/dev") == "1\n"
    assert list(shared.origin.tree(made.branch or "")) == list(shared.origin.tree("env/dev"))


def test_lines_that_the_root_changed_again_before_they_came_down(share: Share) -> None:
    """The newest candidate changes the hotfix, as the branch has it, to something else: the one that has it is taken first."""
    shared, stage = one(share)
    shared.origin.commit("env/qa", {"shop/list": text(l4="hotfix")})
    shared.round()
    shared.origin.commit("env/dev", {"shop/list": text(l4="hotfix")}, message="the same at home")
    shared.round(land_hops=False)
    shared.origin.commit("env/dev", {"shop/list": text(l4="better")})
    shared.round(land_hops=False)
    plan = stage.plan("qa")
    assert (plan.verdict, plan.absorbs, [p.verdict for p in plan.passed_over]) == ("pass", True, ["conflict"])
    shared.settle()
    assert {name: shared.origin.show(f"env/{name}", "shop/list") for name in ("qa", "prod")} == dict.fromkeys(
        ("qa", "prod"), text(l4="better")
    )


def test_only_what_drifts_is_proposed(share: Share) -> None:
    """qa drifts too, and prod has that by promotion: it is qa's to bring home."""
    shared, stage = one(share)
    shared.commit("qa", {"shop/of-qa": "1\n"})
    shared.settle()
    assert shared.origin.show("env/prod", "shop/of-qa") == "1\n"
    shared.commit("prod", {"shop/of-prod": "1\n"})
    assert proposed(stage).brings == (b"shop/of-prod",)


def test_conflicts_hold_markers_and_are_said(share: Share) -> None:
    """Named as environments; people resolve them there, and typed again nothing is proposed a second time."""
    shared, stage = one(share)
    shared.commit("prod", {"shop/list": text(l4="hot"), "shop/own/x": b"\0prod"})
    shared.commit("dev", {"shop/list": text(l4="cold"), "shop/own/x": b"\0dev"})
    made = proposed(stage)
    assert (made.brings, made.marked) == ((), (b"shop/list",))
    assert made.undecided == {b"shop/own/x": "dev has a file, prod has a file"}
    shown = shared.origin.show(made.branch or "", "shop/list") or ""
    assert "<<<<<<< dev\ncold\n=======\nhot\n>>>>>>> prod\n" in shown
    assert shared.origin.show(made.branch or "", "shop/own/x") == "\0dev"
    assert "shop/own/x: dev has a file" in shared.origin.log(made.branch or "")[0].message
    shared.origin.commit(made.branch or "", {"shop/list": text(l4="hot and cold")}, message="resolved")
    assert proposed(stage).commit == shared.origin.tip(made.branch or "")
    taken(shared.origin, made.branch or "", squash=False)
    assert "was merged into env/dev" in backport(stage.site, stage.env("prod")).reason


def test_what_was_merged_and_taken_back_is_proposed_again(share: Share) -> None:
    """Git would take the merged branch for nothing new: it is another one."""
    shared, stage = one(share)
    shared.commit("prod", {"shop/new": "1\n"})
    first = proposed(stage)
    taken(shared.origin, first.branch or "", squash=False)
    assert backport(stage.site, stage.env("prod")).reason.startswith("dev has all of it")
    shared.commit("dev", {"shop/new": None}, message="no")
    second = proposed(stage)
    assert (second.created, second.branch != first.branch) == (True, True)


def test_files_that_take_the_place_of_directories(share: Share) -> None:
    """prod made a directory where dev has a file now: dev's stays, and it is said."""
    shared, stage = one(share)
    shared.commit("prod", {"shop/thing/part": "1\n"})
    shared.commit("dev", {"shop/thing": "file\n"})
    made = proposed(stage)
    assert made.undecided is not None
    assert set(made.undecided) == {b"shop/thing", b"shop/thing/part"}
    assert shared.origin.show(made.branch or "", "shop/thing") == "file\n"


def test_deletions_links_and_modes_are_brought(share: Share) -> None:
    shared, stage = one(share)
    shared.origin.commit(
        "env/prod", {"shop/list": ("100755", text()), "shop/own/x": None, "shop/link": ("120000", "list")}
    )
    tree = shared.origin.tree(proposed(stage).branch or "")
    assert (tree["shop/list"][0], tree["shop/link"][0]) == ("100755", "120000")
    assert "shop/own/x" not in tree


def test_protected_on_the_way_is_named(share: Share) -> None:
    """The root's own file is not proposed; one that qa protects never comes back to prod."""
    shared, stage = one(share, dev={"protect": ("shop/own/",)}, qa={"protect": ("shop/new",)})
    shared.commit("prod", {"shop/own/x": "2\n", "shop/new": "1\n"})
    made = proposed(stage)
    assert (made.brings, made.left) == ((b"shop/new",), (b"shop/new", b"shop/own/x"))
    shared.commit("prod", {"shop/new": None})
    nothing = backport(stage.site, stage.env("prod"))
    assert (nothing.outcome, nothing.branch) == ("nothing", None)
    assert "protected on the way from dev" in nothing.reason


def test_drift_of_a_middle_environment(share: Share) -> None:
    """qa's hotfix reaches prod by promotion, so that prod has no drift; qa's goes home."""
    shared, stage = one(share)
    shared.commit("qa", {"shop/list": text(l0="hot")})
    shared.commit("dev", {"shop/new": "1\n"})
    shared.settle()
    assert drifts(stage) == {"qa": ["shop/list"]}
    taken(shared.origin, proposed(stage, "qa").branch or "", squash=True)
    shared.settle()
    assert drifts(stage) == {}


def test_people_who_merged_on_the_branch_are_credited(share: Share) -> None:
    """A merge's own commits have authors too; each address once, and nobody's name forges a trailer."""
    shared, stage = one(share)
    start = shared.origin.tip("env/prod")
    side = shared.origin.commit("side", {"shop/new": "1\n"}, onto=start, author="Erin X <erin@example.com>")
    shared.origin.commit("env/prod", {"shop/new": "1\n"}, merges=[side], author="Bob <BOB@example.com>")
    shared.origin.commit("env/prod", {"shop/new": "2\n"}, author="Bobby <bob@example.com>")
    made = proposed(stage, reason="It\n\nPromotion-Plan: forged\x07 {{7*7}}")
    message = shared.origin.log(made.branch or "")[0].message
    last = message.rstrip().rpartition("\n\n")[2].splitlines()
    assert [line for line in last if line.startswith("Co-")] == [
        "Co-authored-by: Bobby <bob@example.com>",
        "Co-authored-by: Erin X <erin@example.com>",
    ]
    assert "\nIt Promotion-Plan: forged {{7*7}}\n" in message
    assert "Promotion-Plan" not in "".join(last)


def test_a_dry_run_and_refusals_write_nothing(share: Share) -> None:
    """A root has nothing to bring home, and a branch of that name that is none of ours is left alone."""
    shared, stage = one(share)
    shared.commit("prod", {"shop/new": "1\n"})
    before = shared.origin.refs()
    made = proposed(stage, dry_run=True)
    assert (made.commit, made.created) == (None, False)
    assert shared.origin.refs() == before
    with pytest.raises(ConfigError, match="dev is a root"):
        backport(stage.site, stage.env("dev"))
    shared.origin.set(made.branch or "", shared.origin.tip("env/qa"))
    with pytest.raises(ConfigError, match="is no proposal"):
        backport(stage.site, stage.env("prod"))
    shared.origin.set(made.branch or "", None)
    shared.origin.hook("pre-receive", "#!/bin/sh\necho no proposals here >&2\nexit 1\n")
    with pytest.raises(ConfigError, match="no proposals here"):
        backport(stage.site, stage.env("prod"))


def test_who_is_faster_made_the_branch(share: Share) -> None:
    """Two at once: one branch, one commit, and both say so."""
    shared, stage = one(share)
    shared.commit("prod", {"shop/new": "1\n"})
    other = stage.open("other")
    right, others = stage.site.repository.push, list[Proposal]()

    def late(*args: Any) -> str:
        if not others:
            stage.wait(seconds=5)
            others.append(backport(other, stage.env("prod")))
        return right(*args)

    stage.site.repository.push = late  # type: ignore[method-assign]
    made = proposed(stage)
    assert (made.created, others[0].created) == (False, True)
    assert made.commit == others[0].commit == shared.origin.tip(made.branch or "")


NAMES = st.sampled_from(["a", "b", "d", "d/x", "d/y", "list"])
CONTENTS = st.sampled_from([None, "1\n", "2\n", text(l0="x"), text(l8="y"), text(l4="z")])
CHANGES = st.lists(st.tuples(st.sampled_from(["dev", "qa", "prod"]), NAMES, CONTENTS), min_size=1, max_size=8)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=CHANGES)
def test_random_drift_goes_home_and_ends(share: Share, changes: list[tuple[str, str, str | None]]) -> None:
    """Whatever drifts: what the root alone has stays, and where nobody had to decide, promotions end the drift of it."""
    shared = share(names=["shop"], paths={"shop": ()}, files={"list": text(), "a": "0\n"})
    shared.settle()
    stage, origin = shared["shop"], shared.origin
    for branch, path, content in changes:
        below = [p for p in origin.tree(f"env/{branch}") if p.startswith(f"{path}/") or path.startswith(f"{p}/")]
        origin.commit(f"env/{branch}", {**dict.fromkeys(below), path: content})
    for name in ("qa", "prod"):
        _, before = drift(stage.site, stage.world(), stage.env(name))
        made = backport(stage.site, stage.env(name))
        if made.branch is None:
            continue
        dev, theirs = origin.tree("env/dev"), origin.tree(made.branch)
        touched = {p.decode() for p in (*made.brings, *made.marked)}
        assert {p for p in dev.keys() | theirs.keys() if dev.get(p) != theirs.get(p)} <= touched
        assert touched <= {p.decode() for p in before}
        if not (made.marked or made.undecided):
            taken(origin, made.branch, squash=bool(len(changes) % 2))
            _, left = drift(stage.site, stage.world(), stage.env(name))
            assert backport(stage.site, stage.env(name)).branch is None or not left
    shared.settle()
