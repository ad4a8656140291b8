"""`kill -9` at every git process that a command starts: before it runs, while it goes on alone, and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.robustness.conftest import SCALE, Figures, scaled
from tests.robustness.play import LINES, Play
from tests.robustness.shooting import MODES, Gun, killed, quiet
from tests.support.git import Commit

pytestmark = pytest.mark.robustness


@dataclass(frozen=True, slots=True)
class Case:
    """What is prepared, the command that is shot, and what must be so after one undisturbed time of it."""

    prepare: Callable[[Play], None]
    words: tuple[str, ...]
    converged: Callable[[Play], bool]
    finish: Callable[[Play], object] = Play.converge
    fine: tuple[int, ...] = (0,)
    """How the undisturbed command may end."""


def old_hands(play: Play) -> None:
    """One change everywhere, a hotfix on qa that drifts, and a new change that is not deployed yet."""
    play.change("one")
    play.converge()
    play.hotfix()
    play.change("two")


def deployed(play: Play) -> None:
    old_hands(play)
    assert play.run("sync", "dev").status == 0


def cold(play: Play) -> None:
    """No ledger and no clone yet: everything is done for the first time."""
    play.change("two")


def edited(play: Play) -> None:
    old_hands(play)
    play.shop.set("prod", verify={"within": "20m"})


def asked(play: Play) -> None:
    """The new change is healthy in dev, and waits for whoever this machine is."""
    old_hands(play)
    play.shop.set("qa", gates=[{"type": "approval", "from": ["promotion@localhost"]}])
    assert play.run("configure", "--reason", "people are asked").status == 0
    assert play.run("run", "--sync").status == 0


def recorded_once(play: Play, kind: str) -> int:
    return sum(f" qa {kind} " in f"{commit.subject} " for commit in play.shop.origin.log("promotion/shop"))


def approved(play: Play) -> bool:
    plan = play.run("--json", "plan", "qa").json
    return plan["verdict"] == "pass" and recorded_once(play, "approved") == 1


def rejected(play: Play) -> bool:
    return one_is_held(play) and recorded_once(play, "rejected") == 1


def conflicting(play: Play) -> None:
    """One line that qa and dev changed, each for itself."""
    deployed(play)
    play.push("qa", {"web": "mended\n"}, "hotfix of what changed")


def proposed_once(play: Play) -> bool:
    """One branch for people, one commit on top of what it is proposed to, and nothing else moved."""
    tips = [ref for ref in play.shop.origin.refs() if "/backport/" in ref or "/resolve/" in ref]
    log = play.shop.origin.log(tips[0]) if len(tips) == 1 else []
    onto = {play.shop.tip("dev" if "backport" in tips[0] else "qa")} if log else set()
    return bool(log) and set(log[0].parents) == onto


def resolved(play: Play) -> None:
    """A person decides on the branch, and that lands."""
    (branch,) = (ref.removeprefix("refs/heads/") for ref in play.shop.origin.refs() if "/resolve/" in ref)
    commit = play.shop.origin.commit(branch, {"web": "both\n"})
    play.people.add(commit)
    assert play.run("promote", "qa", "--resolution", commit).status == 0
    assert play.shop.origin.show("env/qa", "web") == "both\n"
    play.converge()


def two_arrived_once(play: Play) -> bool:
    landed = play.landed("qa")
    return play.has("qa", "two") and landed[-1] == play.shop.tip("dev") and len(landed) == len(set(landed))


def one_is_held(play: Play) -> bool:
    status = play.run("--json", "status", "qa").json["applications"][0]["environments"][0]
    return len(status["holds"]) == 1


def adopted(play: Play) -> bool:
    play.again = True
    return f"adopted {play.shop.tip('qa')[:7]}" in play.shop.origin.log("promotion/shop")[0].subject


def spread(play: Play) -> None:
    """One change and a hotfix on qa, and a second change that is everywhere and well, and still bad.

    What is protected was changed since.
    """
    play.change("one")
    play.converge()
    play.hotfix()
    play.converge()
    play.change("two")
    play.converge()
    assert play.shop.origin.show("env/prod", "web") == "two\n"
    play.push("qa", {"overlays/qa/limits": "qa\nmore\n"}, "what is protected")


def went_back_once(play: Play) -> bool:
    """One R with what was there before, which goes on; what was bad is held and stays away, and the next fix lands whole."""
    target, bad = (commit.commit for commit in play.shop.origin.log("env/qa")[1:3])
    assert one_is_back(play, target, bad)
    play.converge()
    assert one_is_back(play, target, bad)
    assert play.shop.origin.show("env/prod", "web") == "one\n"
    play.change("three")
    play.converge()
    texts = [(play.shop.origin.show(f"env/{name}", "web"), changed_lines(play, name)) for name in ("qa", "prod")]
    assert texts == [("three\n", ["line 1 mended", "line 29 three"])] * 2
    return [commit.commit for commit in restoring(play)] == [play.shop.origin.log("env/qa")[1].commit]


def one_is_back(play: Play, target: str, bad: str) -> bool:
    origin = play.shop.origin
    (holds,) = (one["holds"] for one in play.run("--json", "status", "qa").json["applications"][0]["environments"])
    assert [hold["commit"] for hold in holds] == [bad]
    assert [(commit.commit, commit.parents) for commit in restoring(play)] == [(play.shop.tip("qa"), (target,))]
    assert recorded_once(play, "rolled-back") == 1
    assert changed_lines(play, "qa") == ["line 1 mended", "line 29 one"]
    return (origin.show("env/qa", "web"), origin.show("env/qa", "overlays/qa/limits")) == ("one\n", "qa\nmore\n")


def failing(play: Play) -> None:
    """A change that is well in dev was promoted to qa, where it will not be, and where what fails goes back by itself."""
    play.change("one")
    play.converge()
    play.hotfix()
    play.converge()
    place = play.folder / "deployed/qa/current"
    check = ["sh", "-c", f"grep -q ok {place}/health && ! grep -q two {place}/web"]
    play.shop.set("qa", health=[{"type": "command", "command": check}], verify={"on_failure": "rollback"})
    assert play.run("configure", "--reason", "what fails goes back").status == 0
    play.change("two")
    assert play.run("run", "--sync").status == 0
    assert play.shop.origin.show("env/qa", "web") == "two\n"


def went_back_by_itself_once(play: Play) -> bool:
    """One R on the change that failed, which is held and stays away; and the next one lands whole."""
    bad = play.shop.origin.log("env/qa")[1].commit
    for _ in range(2):
        (holds,) = (one["holds"] for one in play.run("--json", "status", "qa").json["applications"][0]["environments"])
        assert [hold["commit"] for hold in holds] == [bad]
        assert [(commit.commit, commit.parents) for commit in restoring(play)] == [(play.shop.tip("qa"), (bad,))]
        assert recorded_once(play, "rolled-back") == 1
        assert changed_lines(play, "qa") == ["line 1 mended", "line 29 one"]
        assert [play.shop.origin.show(f"env/{name}", "web") for name in ("qa", "prod")] == ["one\n"] * 2
        play.converge()
    play.change("three")
    play.converge()
    texts = [(play.shop.origin.show(f"env/{name}", "web"), changed_lines(play, name)) for name in ("qa", "prod")]
    return texts == [("three\n", ["line 1 mended", "line 29 three"])] * 2 and len(restoring(play)) == 1


def restoring(play: Play) -> list[Commit]:
    return [commit for commit in play.shop.origin.log("env/qa") if "Promotion-Restores" in commit.trailers]


def changed_lines(play: Play, name: str) -> list[str]:
    lines = (play.shop.origin.show(f"env/{name}", "app.conf") or "").splitlines()
    return [line for line in lines if line not in LINES.splitlines()]


def in_force(play: Play) -> bool:
    return play.run("status").status == 0 and play.run("configure", "--reason", "again").status == 0


CASES = {
    "promote": Case(deployed, ("promote", "qa"), two_arrived_once),
    "run": Case(old_hands, ("run", "--sync"), two_arrived_once),
    "first-run": Case(cold, ("run", "--sync"), two_arrived_once),
    "hold": Case(old_hands, ("hold", "qa", "env/dev", "--reason", "leaks"), one_is_held),
    "adopt": Case(old_hands, ("adopt", "qa", "--source", "env/dev"), adopted),
    "approve": Case(asked, ("approve", "PLAN", "--yes"), approved),
    "reject": Case(asked, ("reject", "PLAN", "--reason", "no", "--yes"), rejected),
    "rollback": Case(spread, ("rollback", "qa", "--reason", "it is bad"), went_back_once),
    "rollback-by-itself": Case(failing, ("run", "--sync"), went_back_by_itself_once, fine=(0, 6)),
    "backport": Case(old_hands, ("backport", "qa"), proposed_once),
    "resolve": Case(conflicting, ("resolve", "qa"), proposed_once, resolved),
    "configure": Case(edited, ("configure", "--reason", "longer"), in_force),
}


NAMES = ("billing", "cart", "shop")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", MODES)
def test_several_applications_killed_at_every_git_process(tmp_path: Path, figures: Figures, how: str) -> None:
    """Hops of one round onto one branch are pushed together: each arrives once, whatever of it was cut short."""
    play, gun = Play.several(tmp_path / "play", *NAMES), Gun.create(tmp_path / "bin")
    play.converge()
    for name in NAMES:
        play.push("dev", {f"{name}/web": "two\n"}, f"two of {name}")
    play.keep()
    for call in calls_of(figures):
        gun.aim(call, how)
        if not killed(play.start("-q", "run", "--sync", PATH=gun.path)):
            break
        quiet(play.folder)
        where = f"{how} git call {call}"
        assert play.run("run", "--sync").status == 0, where
        assert [play.shop.origin.show("env/qa", f"{name}/web") for name in NAMES] == ["two\n"] * 3, where
        assert len(play.landed("qa")) == len(set(play.landed("qa"))) == 3, where
        assert play.violations() == [], where
        figures(kills=1, rounds=1)
        play.back()
    play.converge()
    play.judged()


def calls_of(figures: Figures) -> list[int]:
    """The numbers of the git processes to shoot at: all of them, or some."""
    return list(range(1, 200)) if SCALE >= 1 else sorted(figures.chance.sample(range(1, 16), scaled(16, 2)))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("name", CASES)
def test_killed_at_every_git_process(tmp_path: Path, figures: Figures, name: str, how: str) -> None:
    """After each kill the same command once more, undisturbed: it is done, once, and nothing was violated."""
    case, play, gun = CASES[name], Play.create(tmp_path / "play"), Gun.create(tmp_path / "bin")
    case.prepare(play)
    plan = play.run("--json", "plan", "qa").json["plan_id"] if "PLAN" in case.words else ""
    words = [{"env/dev": play.shop.tip("dev"), "PLAN": plan}.get(word, word) for word in case.words]
    play.keep()
    for call in calls_of(figures):
        gun.aim(call, how)
        if not killed(play.start("-q", *words, PATH=gun.path)):
            break
        quiet(play.folder)
        said = play.run(*words)
        where = f"{how} git call {call} of {' '.join(words)}"
        assert said.status in case.fine, f"{where}: {said.err}"
        assert case.converged(play), where
        assert play.violations() == [], where
        figures(kills=1, rounds=1)
        play.back()
    else:
        assert SCALE < 1, "it never ended"
    assert play.run(*words).status in case.fine
    case.finish(play)
    play.judged()
