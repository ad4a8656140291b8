"""The checker is believed because every kind of violation that is planted is reported, and a true promotion is not."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.robustness import checker
from tests.robustness.play import Play

LEDGER = "refs/heads/promotion/shop"


@dataclass
class Forged:
    """A promotion of `source` into qa as the product would write it, before somebody spoils it."""

    play: Play
    source: str
    event: dict[str, Any]
    tree: str
    parents: list[str]
    trailers: dict[str, str]
    state: dict[str, Any]
    previous: str
    """The commit of the release before."""
    first: list[dict[str, Any]] = field(default_factory=list)
    """Events that are written before it."""
    torn: bool = False

    @property
    def git(self) -> Callable[..., str]:
        return self.play.shop.origin.git

    def write(self) -> None:
        """Pushes commit and events, in one transaction unless torn."""
        message = "forged\n\n" + "".join(f"{key}: {value}\n" for key, value in self.trailers.items())
        words = [word for parent in self.parents for word in ("-p", parent)]
        made = self.git("commit-tree", self.tree, *words, input=message).strip()
        event = {"commit": made, **self.event}
        release = {"commit": made, "source": event["source"], "previous": self.previous}
        self.state["environments"]["qa"].setdefault("release", release)
        tip = old = self.git("rev-parse", LEDGER).strip()
        for one in (*self.first, event):
            tip = self.record(one, tip)
        moves = [f"update refs/heads/env/qa {made} {self.event['target']}", f"update {LEDGER} {tip} {old}"]
        for lines in [[move] for move in moves] if self.torn else [moves]:
            self.git("update-ref", "--stdin", input="\n".join(["start", *lines, "prepare", "commit", ""]))

    def record(self, event: dict[str, Any], parent: str) -> str:
        blob = self.git("hash-object", "-w", "--stdin", input=json.dumps(self.state)).strip()
        tree = self.git("mktree", input=f"100644 blob {blob}\tstate.json\n").strip()
        message = f"an event\n\n[skip ci]\n{json.dumps(event)}\n"
        return self.git("commit-tree", tree, "-p", parent, input=message).strip()

    def with_file(self, path: str, text: str) -> None:
        """Another content at one path of the result, and of what the event says of it."""
        blob = self.git("hash-object", "-w", "--stdin", input=text).strip()
        env = {"GIT_INDEX_FILE": str(self.play.folder / "index")}
        self.git("read-tree", self.tree, env=env)
        self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
        self.tree = self.event["tree"] = self.git("write-tree", env=env).strip()


@pytest.fixture
def forged(tmp_path: Path) -> Forged:
    """One true promotion, then a change that is healthy in dev, and the promotion of it that is about to be written."""
    play = Play.create(tmp_path / "play")
    play.change("one")
    play.converge()
    play.hotfix()
    source = play.change("two")
    assert play.run("sync", "dev").status == play.run("observe", "dev").status == 0
    play.keep()
    assert play.run("promote", "qa").status == 0
    origin = play.shop.origin
    record = origin.log(LEDGER)[0]
    true = json.loads(record.message.partition("[skip ci]\n")[2])
    made = origin.log("env/qa")[0]
    play.back()
    event = {key: value for key, value in true.items() if key != "commit"}
    state = json.loads(origin.show(LEDGER, "state.json") or "")
    previous = state["environments"]["qa"].pop("release")["commit"]
    tree = rebuilt(play, event)
    return Forged(play, source, event, tree, list(made.parents), dict(made.trailers), state, previous)


def rebuilt(play: Play, event: dict[str, Any]) -> str:
    """The tree of the true promotion, made again by hand: its objects went with what was put back."""
    origin = play.shop.origin
    env = {"GIT_INDEX_FILE": str(play.folder / "index")}
    origin.git("read-tree", event["target"], env=env)
    text = (origin.show("env/dev", "app.conf") or "").replace("line 1\n", "line 1 mended\n")
    for path, content in {"app.conf": text, "web": "two\n"}.items():
        blob = origin.git("hash-object", "-w", "--stdin", input=content).strip()
        origin.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
    tree = origin.git("write-tree", env=env).strip()
    assert tree == event["tree"]
    return tree


def test_a_true_promotion_is_no_violation(forged: Forged) -> None:
    """What is spoilt below is right before: the checker has something to lose."""
    assert forged.play.violations() == []
    forged.write()
    assert forged.play.violations() == []


def unqualified(forged: Forged) -> None:
    forged.first.append(observed(forged, "degraded"))
    forged.state["environments"]["dev"]["facts"][forged.source][0] = "degraded"


def never_seen(forged: Forged) -> None:
    forged.source = forged.event["source"] = forged.trailers["Promotion-Source"] = forged.parents[1] = forged.play.push(
        "dev", {}, "the same content, never deployed"
    )


def observed(forged: Forged, health: str) -> dict[str, Any]:
    common = {"event": "observed", "application": "shop", "environment": "dev", "at": forged.event["at"], "by": "x"}
    return {**common, "id": health, "revision": forged.source, "health": health, "reasons": []}


def held(forged: Forged, commit: str, entries: dict[str, Any]) -> None:
    data = {"commit": commit, "entries": entries, "reason": "bad"}
    forged.first.append({**observed(forged, "x"), "event": "held", "environment": "qa", **data})
    forged.state["environments"]["qa"]["holds"] = [{"commit": commit}]


def held_source(forged: Forged) -> None:
    held(forged, forged.source, {})


def held_change(forged: Forged) -> None:
    mode, oid = forged.play.shop.origin.tree(forged.source)["web"]
    held(forged, forged.event["base"], {"web": [mode, oid]})


def another_base(forged: Forged) -> None:
    forged.event["base"] = forged.source


def another_parent(forged: Forged) -> None:
    forged.parents = [forged.event["target"], forged.event["base"]]


def another_tree(forged: Forged) -> None:
    forged.tree = forged.play.shop.origin.git("rev-parse", f"{forged.source}^{{tree}}").strip()


def another_plan(forged: Forged) -> None:
    forged.trailers["Promotion-Plan"] = "0" * 64


def protected(forged: Forged) -> None:
    forged.with_file("overlays/qa/limits", "two\n")


def lost(forged: Forged) -> None:
    forged.with_file("web", "one\n")


def added(forged: Forged) -> None:
    forged.with_file("surprise", "boo\n")


def badly_merged(forged: Forged) -> None:
    forged.with_file("app.conf", forged.play.shop.origin.show(forged.source, "app.conf") or "")


def torn(forged: Forged) -> None:
    forged.torn = True


def wrong_state(forged: Forged) -> None:
    forged.state["environments"]["qa"]["release"] = {"commit": "0" * 40, "source": forged.source, "previous": None}


def wrong_fact(forged: Forged) -> None:
    forged.state["environments"]["dev"]["facts"][forged.source][0] = "unknown"


def twin(forged: Forged) -> None:
    """The plan of the promotion before."""
    record = forged.play.shop.origin.log("env/qa")[1]
    forged.event["plan_id"] = forged.trailers["Promotion-Plan"] = record.trailers["Promotion-Plan"]


def no_event(forged: Forged) -> None:
    forged.first = [observed(forged, "healthy")]
    forged.event["event"] = "said-nothing"
    forged.state["environments"]["qa"]["release"] = None


SPOILT = [
    *((unqualified, "unqualified"), (never_seen, "unqualified"), (held_source, "held"), (held_change, "held")),
    *((another_base, "shape"), (another_parent, "shape"), (another_tree, "shape"), (another_plan, "shape")),
    *((protected, "protected"), (lost, "unexplained"), (added, "unexplained"), (badly_merged, "unexplained")),
    *((torn, "torn"), (wrong_state, "state"), (wrong_fact, "state"), (twin, "twice"), (no_event, "torn")),
]


@pytest.mark.parametrize(("spoil", "kind"), SPOILT, ids=lambda value: getattr(value, "__name__", value))
def test_a_spoilt_promotion_is_reported(forged: Forged, spoil: Callable[[Forged], None], kind: str) -> None:
    """Each kind of wrong promotion has its report."""
    spoil(forged)
    forged.write()
    assert kind in kinds(forged.play)


def kinds(play: Play) -> set[str]:
    return {line.partition(":")[0] for line in play.violations()}


# --- what goes back ---------------------------------------------------------------------------------------------------


@pytest.fixture
def back(tmp_path: Path) -> Forged:
    """Two changes, a protected file that people changed since, and the rollback of qa that is about to be written."""
    play = Play.create(tmp_path / "play")
    play.change("one")
    play.converge()
    play.change("two")
    play.converge()
    play.push("qa", {"overlays/qa/limits": "more\n"}, "what is protected")
    play.keep()
    assert play.run("rollback", "qa", "--reason", "bad").status == 0
    origin = play.shop.origin
    true = json.loads(origin.log(LEDGER)[0].message.partition("[skip ci]\n")[2])
    made, state = origin.log("env/qa")[0], json.loads(origin.show(LEDGER, "state.json") or "")
    play.back()
    event = {key: value for key, value in true.items() if key != "commit"}
    qa = state["environments"]["qa"]
    previous, qa["releases"] = qa.pop("release")["previous"], [one for one in qa["releases"] if one[0] != made.commit]
    forged = Forged(play, event["source"], event, "", list(made.parents), dict(made.trailers), state, previous)
    forged.tree = origin.git("rev-parse", f"{event['restores']}^{{tree}}").strip()
    forged.with_file("overlays/qa/limits", "more\n")
    assert (forged.tree, forged.source) == (true["tree"], made.trailers["Promotion-Source"])
    return forged


def test_a_true_rollback_is_no_violation(back: Forged) -> None:
    """What is spoilt below is right before."""
    assert back.play.violations() == []
    back.write()
    assert back.play.violations() == []


def with_a_second_parent(forged: Forged) -> None:
    forged.parents.append(forged.event["restores"])


def in_a_tree_that_is_not_told(forged: Forged) -> None:
    forged.tree = forged.play.shop.origin.git("rev-parse", f"{forged.event['restores']}^{{tree}}").strip()


def without_a_trailer(forged: Forged) -> None:
    del forged.trailers["Promotion-Restores"]


def to_no_release(forged: Forged) -> None:
    forged.event["restores"] = forged.trailers["Promotion-Restores"] = forged.play.shop.tip("dev")


def for_another_source(forged: Forged) -> None:
    forged.event["source"] = forged.trailers["Promotion-Source"] = forged.play.shop.tip("dev")


def over_less(forged: Forged) -> None:
    forged.event["undone"] = []


def with_the_protected(forged: Forged) -> None:
    forged.with_file("overlays/qa/limits", "qa\n")


def without_a_file(forged: Forged) -> None:
    forged.with_file("web", "two\n")


def with_another_file(forged: Forged) -> None:
    forged.with_file("surprise", "boo\n")


def holding_nothing(forged: Forged) -> None:
    forged.event["holds"] = forged.state["environments"]["qa"]["holds"] = []


def holding_less(forged: Forged) -> None:
    del forged.event["holds"][0]["entries"]["web"]


def with_no_hold_in_the_state(forged: Forged) -> None:
    forged.state["environments"]["qa"]["holds"] = []


def with_nothing_undone_in_the_state(forged: Forged) -> None:
    for one in forged.state["environments"]["qa"]["releases"]:
        one[3] = False


def as_if_made_by_hand(forged: Forged) -> None:
    forged.event["by"] = "git"


def in_two_pushes(forged: Forged) -> None:
    forged.torn = True


def lifting_what_is_not_there(forged: Forged) -> None:
    other, (hold,) = forged.play.shop.tip("dev"), forged.event["holds"]
    data = {"commit": other, "entries": hold["entries"], "reason": "bad"}
    forged.first.append({**observed(forged, "x"), "event": "held", "environment": "qa", **data})
    forged.event["lifts"] = [other]


SPOILT_BACKS = [
    *((with_a_second_parent, "shape"), (in_a_tree_that_is_not_told, "shape"), (without_a_trailer, "shape")),
    *((to_no_release, "shape"), (for_another_source, "shape"), (over_less, "shape"), (as_if_made_by_hand, "shape")),
    *((with_the_protected, "protected"), (without_a_file, "unexplained"), (with_another_file, "unexplained")),
    *((holding_nothing, "held"), (holding_less, "held"), (lifting_what_is_not_there, "held"), (in_two_pushes, "torn")),
    *((with_no_hold_in_the_state, "state"), (with_nothing_undone_in_the_state, "state")),
]


@pytest.mark.parametrize(("spoil", "kind"), SPOILT_BACKS, ids=lambda value: getattr(value, "__name__", value))
def test_a_spoilt_rollback_is_reported(back: Forged, spoil: Callable[[Forged], None], kind: str) -> None:
    """Each kind of wrong rollback has its report."""
    spoil(back)
    back.write()
    assert kind in kinds(back.play)


def test_what_was_gone_back_over_and_goes_on_is_reported(forged: Forged) -> None:
    """A source that its environment went back over is promoted no further."""
    old = forged.play.shop.origin.log("env/dev")[1].commit
    data = {
        "commit": forged.play.shop.tip("prod"),
        "restores": old,
        "source": None,
        "target": forged.source,
        "by": "git",
    }
    data |= {"undone": [forged.source], "holds": [], "lifts": [], "plan_id": "x"}
    forged.first.append({**observed(forged, "x"), "event": "rolled-back", **data})
    forged.write()
    assert "undone" in kinds(forged.play)


def test_true_rollbacks_of_every_kind_are_no_violation(tmp_path: Path) -> None:
    """Several releases at once, forward again, by hand with git, on a root, and a change that comes in again."""
    play = Play.create(tmp_path / "play")
    for word in ("one", "two", "three"):
        play.change(word)
        play.converge()
    first, _, third = (commit.commit for commit in play.shop.origin.log("env/qa")[2::-1])
    assert play.run("rollback", "qa", "--to", first, "--reason", "bad").status == 0
    assert play.run("rollback", "qa", "--to", third, "--reason", "not bad").status == 0
    play.converge()
    assert play.has("qa", "three")
    play.push("qa", {"web": "two\n", "app.conf": play.shop.origin.show(f"{third}~1", "app.conf")}, "Revert")
    play.converge()
    assert play.run("lift", "qa", third).status == 0
    play.converge()
    assert play.has("qa", "three")
    assert play.run("rollback", "dev", "--reason", "bad").status == 0
    play.converge()
    subjects = " ".join(commit.subject for commit in play.shop.origin.log(LEDGER))
    assert (subjects.count("qa rolled-back"), subjects.count("dev rolled-back")) == (3, 1)
    play.judged()


def test_a_true_rollback_of_one_application_of_several_is_no_violation(tmp_path: Path) -> None:
    """What belongs to others stays, although it came later."""
    play = Play.several(tmp_path / "play", "cart", "shop")
    for name in ("shop", "cart"):
        play.push("dev", {f"{name}/web": "two\n"}, f"two of {name}")
        play.converge()
    assert play.run("-a", "shop", "rollback", "qa", "--reason", "bad").status == 0
    assert [play.shop.origin.show("env/qa", f"{name}/web") for name in ("shop", "cart")] == [None, "two\n"]
    play.converge()
    play.judged()


def stranger(play: Play) -> None:
    play.shop.push("qa", {"web": "by hand\n"})


def forced(play: Play) -> None:
    play.shop.origin.commit("env/qa", {"web": "x\n"}, onto=play.shop.tip("qa") + "~1")


def ledger_rewound(play: Play) -> None:
    play.shop.origin.set("promotion/shop", play.shop.origin.log(LEDGER)[1].commit)


def ledger_deleted(play: Play) -> None:
    play.shop.origin.set("promotion/shop", None)


def ledger_replaced(play: Play) -> None:
    play.shop.origin.commit("promotion/shop", {"state.json": "{}"}, onto=play.shop.origin.log(LEDGER)[1].commit)


def ledger_garbage(play: Play) -> None:
    play.shop.origin.commit("promotion/shop", {}, message="no event")


def ledger_merge(play: Play) -> None:
    play.shop.origin.commit("promotion/shop", {}, merges=[play.shop.tip("dev")])


def behind_the_log(play: Play) -> None:
    tip = play.shop.origin.log("env/qa")[1].commit
    (play.shop.origin.path / "refs/heads/env/qa").write_text(f"{tip}\n")


def another_diary(play: Play) -> None:
    file = play.shop.origin.path / "logs/refs/heads/env/qa"
    file.write_text(file.read_text().replace(play.shop.tip("qa"), play.shop.tip("dev")))


SPOILT_REFS = [
    *((stranger, "stranger"), (forced, "rewritten"), (ledger_rewound, "rewritten"), (ledger_deleted, "rewritten")),
    *((ledger_replaced, "rewritten"), (ledger_garbage, "ledger"), (ledger_merge, "ledger"), (behind_the_log, "log")),
    (another_diary, "log"),
]


@pytest.fixture
def played(tmp_path: Path) -> Play:
    play = Play.create(tmp_path / "play")
    play.change("one")
    play.converge()
    assert play.has("prod", "one")
    assert kinds(play) == set()
    return play


@pytest.mark.parametrize(("spoil", "kind"), SPOILT_REFS, ids=lambda value: getattr(value, "__name__", value))
def test_refs_that_others_moved_are_reported(played: Play, spoil: Callable[[Play], None], kind: str) -> None:
    """The server's log is read as it is, whoever wrote."""
    spoil(played)
    assert kind in kinds(played)


def test_people_are_known_by_the_list_only(played: Play) -> None:
    """The same log, with pushes that nobody owns up to."""
    played.people.clear()
    assert kinds(played) == {"stranger"}


def test_it_imports_nothing_of_the_product() -> None:
    """A judge who shares code with the judged shares its mistakes."""
    tree = ast.parse(Path(checker.__file__).read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in names if re.match("promotion|flows|tests", name)]
