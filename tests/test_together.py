"""Rounds of applications that share a repository: what lands on one branch is one push, and nobody stops the others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promotion.errors import ConfigError, RefusedError, TemporaryError
from promotion.events import Event
from promotion.model import Credential, Environment, Spec
from promotion.observe import Site
from promotion.reconcile import adopt, configure, hold, promote
from promotion.reconcile.rounds import _in_order
from promotion.report import audit
from tests.support.shared import WAY, Shared, place
from tests.support.stage import START
from tests.test_safety import appended, exit_of, forked, quiet

Share = Callable[..., Shared]
NAMES = ("shop", "billing", "search", "mail")


def consistent(shared: Shared) -> None:
    """Every ledger and branch tell the same; first parents lead from the tip to the start; git finds no fault."""
    for stage in shared.stages.values():
        assert audit(stage.site, stage.world()) == []
    assert "error" not in shared.origin.git("fsck", "--full", "--strict")


def changed(shared: Shared, *names: str) -> dict[str, str]:
    """A commit in dev for each of these applications, deployed there."""
    made = {name: shared.commit("dev", {f"{name}/web": f"changed {shared.origin.clock}\n"}) for name in names}
    for name in names:
        shared[name].sync("dev")
    return made


def pushes(shared: Shared) -> list[list[str]]:
    """The refs of each push that landed since `counted`."""
    file = shared.origin.path / "pushes"
    lots = file.read_text().split("push\n")[1:] if file.exists() else []
    return [sorted(line.split()[2] for line in lot.splitlines()) for lot in lots]


def counted(shared: Shared) -> None:
    (shared.origin.path / "pushes").unlink(missing_ok=True)
    shared.origin.hook("post-receive", "#!/bin/sh\n{ echo push; cat; } >> pushes\n")


def ledgers(*names: str) -> list[str]:
    return [f"refs/heads/promotion/{name}" for name in names]


@pytest.fixture
def shared(share: Share) -> Shared:
    made: Shared = share(names=NAMES)
    made.settle()
    return made


def test_hops_onto_one_branch_are_one_push(shared: Shared) -> None:
    """With all their ledgers; each commit stands on the one before, and each is what its own plan says."""
    made, before = changed(shared, *NAMES), shared.origin.tip("env/qa")
    counted(shared)
    done = shared.round()
    assert [[hop.outcome for hop in done[name].hops] for name in NAMES] == [["promoted"]] * 4
    assert pushes(shared)[0] == sorted([*ledgers(*NAMES), "refs/heads/env/qa"])
    assert len(pushes(shared)) == 1
    assert shared.promotions("qa") == list(made.items())
    log = shared.origin.log("env/qa")
    assert [c.parents for c in log[:4]] == [(c.commit,) for c in log[1:5]]
    assert log[4].commit == before
    assert [hop.commit for name in NAMES for hop in done[name].hops] == [c.commit for c in log[3::-1]]
    consistent(shared)


@pytest.mark.parametrize(
    ("ways", "order"),
    [
        (["dev prod", "dev qa prod"], "dev qa prod"),
        (["dev qa prod", "dev qa test prod", "dev"], "dev qa test prod"),
        (["dev prod qa", "dev qa prod"], "dev prod qa"),
        ([], ""),
    ],
)
def test_sources_come_first_in_every_application(ways: list[str], order: str) -> None:
    """One application may leave out what lies between for another; where they contradict each other, some order will do."""
    assert list(_in_order([way.split() for way in ways])) == order.split()


def test_what_does_not_land_stops_only_itself(share: Share) -> None:
    """A gate, a hold, a conflict and an absorbed change in between: the others stand on top of each other."""
    soak = Spec("soak", {"for": "1h"})
    names = ("first", "gated", "held", "conflicts", "absorbs", "last")

    def environments(name: str) -> Sequence[Environment]:
        return (place("dev"), place("qa", "dev", **({"gates": (soak,)} if name == "gated" else {})))

    shared = share(names=names, environments=environments)
    shared.settle()
    shared.commit("qa", {"conflicts/web": "by hand\n", "absorbs/web": "the same\n"})
    shared.commit("dev", {f"{name}/web": "the same\n" for name in names})
    hold(shared["held"].site, shared["held"].env("qa"), shared.origin.tip("env/dev"), "slow")
    for name in names:
        shared[name].sync("dev", "qa")
    counted(shared)
    done = shared.round()
    outcomes = {name: [hop.outcome for hop in done[name].hops] for name in names}
    assert outcomes == {
        "first": ["promoted"],
        "gated": [],
        "held": [],
        "conflicts": ["conflict"],
        "absorbs": ["absorbed"],
        "last": ["promoted"],
    }
    assert pushes(shared)[0] == sorted([*ledgers("first", "absorbs", "last"), "refs/heads/env/qa"])
    assert [name for name, _ in shared.promotions("qa")] == ["first", "last"]
    consistent(shared)


def inject(shared: Shared, action: Callable[[], object]) -> None:
    """Does `action` once, just before the next push."""
    repository = next(iter(shared.stages.values())).site.repository
    real = repository.push

    def wrapped(*args: Any) -> Any:
        repository.push = real  # type: ignore[method-assign]
        action()
        return real(*args)

    repository.push = wrapped  # type: ignore[method-assign]


def elsewhere(shared: Shared, name: str) -> Site:
    """The same application in another process."""
    return replace(shared[name].open("other", "other"), clock=shared[name].clock)


def test_a_lost_race_for_the_branch_decides_all_again(shared: Shared) -> None:
    """Somebody pushes to the branch in between: everything lands on top of that, once."""
    made = changed(shared, *NAMES)
    inject(shared, lambda: shared.commit("qa", {"README.md": "by hand\n"}))
    done = shared.round()
    assert [[hop.outcome for hop in done[name].hops] for name in NAMES] == [["promoted"]] * 4
    assert shared.promotions("qa") == list(made.items())
    assert shared.origin.show("env/qa", "README.md") == "by hand\n"
    consistent(shared)


def test_a_hold_on_one_ledger_before_the_push_wins(shared: Shared) -> None:
    """The others land all the same in this round."""
    made = changed(shared, *NAMES)
    other = elsewhere(shared, "billing")
    inject(shared, lambda: hold(other, other.application.environment("qa"), made["billing"], "stop"))
    shared.round()
    assert shared.promotions("qa") == [(name, made[name]) for name in NAMES if name != "billing"]
    consistent(shared)


def test_a_heartbeat_on_one_ledger_before_the_push_costs_no_decision(shared: Shared) -> None:
    """The same commits land, with that ledger's events on its new tip."""
    changed(shared, *NAMES)
    other = elsewhere(shared, "billing")
    beat = Event("observed", "billing", None, shared["billing"].now, "other", {"environments": ["qa"]})
    inject(shared, lambda: appended(other, beat))
    counted(shared)
    shared.round()
    assert pushes(shared)[1] == sorted([*ledgers(*NAMES), "refs/heads/env/qa"])
    assert len(shared.promotions("qa")) == 4
    consistent(shared)


def test_a_configuration_that_changed_on_one_ledger_stops_only_that_one(shared: Shared) -> None:
    """Even just before the push (S14)."""
    made = changed(shared, *NAMES)
    other = elsewhere(shared, "billing")
    changed_application = replace(other.application, in_force={**other.application.in_force, "heartbeat": "1h"})
    inject(shared, lambda: configure(replace(other, application=changed_application), "slower"))
    done = shared.tried()
    assert isinstance(done["billing"], ConfigError)
    assert shared.promotions("qa") == [(name, made[name]) for name in NAMES if name != "billing"]


def test_a_file_that_decides_differently_stops_only_its_application(shared: Shared) -> None:
    """So does a branch that is missing, or a release that is not on its branch."""
    stage = shared["billing"]
    application = replace(stage.application, in_force={**stage.application.in_force, "heartbeat": "1h"})
    stage.site = replace(stage.site, application=application)
    made = changed(shared, "shop", "mail")
    done = shared.tried()
    assert isinstance(done["billing"], ConfigError)
    assert "decides differently" in str(done["billing"])
    assert shared.promotions("qa") == list(made.items())


def test_a_missing_branch_of_one_stops_only_that_one(share: Share) -> None:
    """The others of the repository go on."""
    shared = share(environments=lambda name: (place("dev"), place("qa" if name == "shop" else "staging", "dev")))
    shared.settle()
    shared.origin.set("env/staging", None)
    change = shared.commit("dev", {"shop/web": "2\n"})
    done = shared.tried()
    assert "staging has no branch" in str(done["billing"])
    assert shared.promotions("qa") == [("shop", change)]


def test_a_ledger_that_was_lost_stops_only_its_application(shared: Shared) -> None:
    """It is said each round with the advice, wherever the application stands among those that land."""
    shared.commit("dev", {f"{name}/web": "2\n" for name in NAMES})
    shared.settle()
    made = changed(shared, *NAMES)
    shared.origin.set(
        "promotion/billing", shared.origin.git("rev-list", "--max-parents=0", "promotion/billing").strip()
    )
    done = shared.tried()
    assert isinstance(done["billing"], RefusedError)
    assert "promotion/billing was rewound or replaced" in str(done["billing"])
    assert "puts it back" in (done["billing"].hint or "")
    assert shared.promotions("qa")[-3:] == [(name, made[name]) for name in NAMES if name != "billing"]


REFUSES = {
    "one commit": """#!/bin/sh
while read old new ref; do
  git log --format=%B $old..$new 2>/dev/null | grep -q '^Promotion-Application: billing' && echo "not billing" >&2 && exit 1
done; exit 0
""",
    "one ledger": """#!/bin/sh
while read old new ref; do case $ref in refs/heads/promotion/billing) echo "not billing" >&2; exit 1;; esac; done
""",
}


@pytest.mark.parametrize("hook", REFUSES.values(), ids=REFUSES.keys())
def test_a_rule_against_one_stops_only_that_one(shared: Shared, hook: str) -> None:
    """The remote took nothing of the whole push: then one after the other, and the rule's words are that one's error."""
    made = changed(shared, *NAMES)
    shared.origin.hook("pre-receive", hook)
    done = shared.tried()
    assert shared.promotions("qa") == [(name, made[name]) for name in NAMES if name != "billing"]
    said = done["billing"] if isinstance(done["billing"], ConfigError) else done["billing"].errors[0]
    assert "not billing" in str(said)
    assert all(done[name].errors == () for name in NAMES if name != "billing")
    (shared.origin.path / "hooks" / "pre-receive").unlink()
    shared.settle()
    assert ("billing", made["billing"]) in shared.promotions("qa")
    consistent(shared)


@pytest.mark.parametrize("busy", [True, False], ids=["with hops", "with observations"])
def test_a_lock_on_one_ledger_stops_only_that_one(shared: Shared, busy: bool) -> None:
    """A process that was killed on the server left it: the others go on until somebody removes it."""
    made = changed(shared, *NAMES)
    if not busy:
        for name in NAMES:
            shared[name].change("qa", auto=False)
    lock = shared.origin.path / "refs/heads/promotion/billing.lock"
    lock.touch()
    tips = shared.origin.refs()
    done = shared.tried()
    assert isinstance(done["billing"], TemporaryError)
    assert "locked" in str(done["billing"])
    others = [name for name in NAMES if name != "billing"]
    assert shared.promotions("qa") == ([(name, made[name]) for name in others] if busy else [])
    moved = [ref for ref, oid in shared.origin.refs().items() if tips.get(ref) != oid]
    assert set(ledgers(*others)) <= set(moved)
    lock.unlink()
    shared.settle()
    consistent(shared)


def test_a_remote_that_is_away_ends_the_round_of_all(shared: Shared) -> None:
    """As one error, at once."""
    changed(shared, *NAMES)
    shared.origin.path.rename(shared.origin.path.with_suffix(".away"))
    with pytest.raises((TemporaryError, ConfigError)):
        shared.round(sync=False)
    shared.origin.path.with_suffix(".away").rename(shared.origin.path)
    shared.settle()
    assert len(shared.promotions("qa")) == 4


def gone_after_a_push(shared: Shared, error: Exception | None) -> None:
    """The remote lets one more push land and then is away, with this error, or git's own."""
    repository, away = shared[NAMES[0]].site.repository, shared.origin.path.with_suffix(".away")
    real, landed = repository.push, list[None]()

    def push(*args: Any) -> str:
        if not landed:
            landed.append(None)
        elif error is not None:
            raise error
        elif not away.exists():
            shared.origin.path.rename(away)
        return real(*args)

    repository.push = push  # type: ignore[method-assign]


@pytest.mark.parametrize("error", [None, TemporaryError("the remote cannot be reached")], ids=["file", "server"])
def test_what_landed_is_told_although_the_rest_is_not_recorded(shared: Shared, error: Exception | None) -> None:
    """The remote goes away between a hop and the records of the others: who landed says so, the others say what is wrong."""
    for name in NAMES[1:]:
        shared[name].change("qa", auto=False)
    changed(shared, *NAMES)
    gone_after_a_push(shared, error)
    done = shared.tried()
    assert [(hop.environment, hop.outcome) for hop in done["shop"].hops] == [("qa", "promoted")]
    assert done["shop"].errors == ()
    assert all(isinstance(done[name], (TemporaryError, ConfigError)) for name in NAMES[1:])


def test_what_landed_is_told_although_the_next_hop_does_not(shared: Shared) -> None:
    """The remote goes away between two hops of one application: the first one is told with what is wrong, once."""
    changed(shared, "shop")
    assert [hop.environment for hop in shared.round("shop")["shop"].hops] == ["qa"]
    second = changed(shared, "shop")["shop"]
    shared["shop"].sync("qa")
    gone_after_a_push(shared, None)
    done = shared.tried("shop", sync=False)["shop"]
    assert [(hop.environment, hop.plan.commit) for hop in done.hops] == [("qa", second)]
    assert len(done.errors) == 1
    assert done.errors[0].exit_status in (2, 75)


def test_credentials_are_not_mixed_in_one_push(share: Share) -> None:
    """One branch, two tokens: two pushes, each with its own."""

    def environments(name: str) -> Sequence[Environment]:
        token = Credential(token_env="SHOP" if name == "shop" else "OTHERS")
        return (place("dev"), place("qa", "dev", credential=token))

    shared = share(names=NAMES, environments=environments)
    shared.settle()
    made = changed(shared, *NAMES)
    used: list[tuple[str, int]] = []
    repository = shared["shop"].site.repository
    real = repository.push

    def push(updates: Sequence[Any], credential: Credential | None = None) -> str:
        if any(update.ref == "refs/heads/env/qa" for update in updates):
            used.append((credential.token_env if credential else "", len(updates)))
        return real(updates)

    repository.push = push  # type: ignore[method-assign]
    shared.round()
    assert used[0] == ("SHOP", 2)
    assert {name for name, _ in used[1:]} == {"OTHERS"}
    assert used[-1] == ("OTHERS", 4)
    assert shared.promotions("qa") == list(made.items())
    consistent(shared)


def killing_git(folder: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git on PATH that kills whoever runs it at its first push, `before` or `after` it; the file says that it did."""
    real, folder = shutil.which("git"), folder / "bin"
    folder.mkdir()
    mark, kill = folder / "killed", "kill -9 $PPID $$"
    push = kill if when == "before" else f'{real} "$@"; {kill}'
    body = f'case " $* " in *" push "*) if [ ! -e {mark} ]; then touch {mark}\n{push}\nfi;; esac\nexec {real} "$@"\n'
    (folder / "git").write_text(f"#!/bin/sh\n{body}")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return mark


@pytest.mark.parametrize("when", ["before", "after"])
def test_s7_killed_at_a_stacked_push(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """All of it is there or nothing; the next round of anybody goes on from there, and each change lands once."""
    made = changed(shared, *NAMES)
    repository = shared["shop"].site.repository
    repository.close()
    mark = killing_git(tmp_path, when, monkeypatch)

    def dies() -> int:
        for name in NAMES:
            shared[name].site = replace(elsewhere(shared, name), repository=elsewhere(shared, "shop").repository)
        shared.round()
        return 0

    assert exit_of(forked(dies)) == -9
    assert mark.exists()
    quiet(shared.origin.path)
    assert len(shared.promotions("qa")) == (4 if when == "after" else 0)
    shared.settle()
    assert sorted(shared.promotions("qa")) == sorted(made.items())
    consistent(shared)


def test_two_orchestrators_of_a_shared_repository(shared: Shared) -> None:
    """One has all applications, the other one of them, at once: every change lands once."""
    for _ in range(3):
        made = changed(shared, *NAMES)
        other = elsewhere(shared, "billing")
        inject(shared, lambda other=other: promote(other, other.application.environment("qa")))  # type: ignore[misc]
        shared.round()
        assert sorted(shared.promotions("qa")[-4:]) == sorted(made.items())
    shared.settle()
    consistent(shared)


def test_a_release_off_its_branch_is_said_where_others_land(shared: Shared) -> None:
    """Somebody rewound qa: who lost a release hears it with the advice, and adopts; the others go on (no stale tip is taken for a race)."""
    before = shared.origin.tip("env/qa")
    changed(shared, "billing")
    shared.round()
    shared.origin.set("env/qa", before)
    made = changed(shared, "shop", "mail")
    done = shared.round()
    assert shared.promotions("qa") == list(made.items())
    (error,) = {str(error) for error in done["billing"].errors}
    assert "was it rewound?" in error
    stage = shared["billing"]
    adopt(stage.site, stage.env("qa"), before)
    shared.settle()
    assert [name for name, _ in shared.promotions("qa")] == ["shop", "mail", "billing"]


# --- twenty applications in thirteen environments ------------------------------------------------------------------------

PRODS = [f"prod-{n}" for n in range(1, 9)]


def thirteen(name: str) -> Sequence[Environment]:
    """dev, qa, three stagings, four prods and, once the first of them has it, four more; a few do it by hand."""
    first, second = PRODS[:4], PRODS[4:]
    own = {"auto": False} if name in ("app-03", "app-07") else {}
    return (
        place("dev"),
        place("qa", "dev"),
        *(place(f"staging-{n}", "qa") for n in range(1, 4)),
        *(place(prod, "staging-1", **own) for prod in first),
        *(place(prod, "staging-1", requires=("prod-1", "staging-2")) for prod in second),
    )


def processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts the git processes that are started from now on."""
    real, folder = shutil.which("git"), folder / "counted"
    folder.mkdir()
    log = folder / "log"
    (folder / "git").write_text(f'#!/bin/sh\necho git >> {log}\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: len(log.read_text().split()) if log.exists() else 0


def idle(shared: Shared, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many git processes a round of another orchestrator costs in which nothing happens, once it knows the repository."""
    with monkeypatch.context() as patch:
        count = processes(folder, patch)
        first = elsewhere(shared, next(iter(shared.stages)))
        for stage in shared.stages.values():
            stage.site = replace(stage.site, repository=first.repository)
        shared.round()
        first.repository.close()
        before = count()
        shared.round()
        first.repository.close()
        return count() - before


def test_twenty_applications_in_thirteen_environments(
    share: Share, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three changes walk everywhere in four rounds, a push a branch; the others stay; idle rounds cost no more than for two."""
    names = [f"app-{n:02}" for n in range(20)]
    shared = share(names=names, environments=thirteen)
    shared.settle()
    quiet_ones = {name: oid for name, oid in shared.origin.refs().items() if "promotion/app-1" in name}
    walking = ["app-00", "app-03", "app-05"]
    changed(shared, *walking)
    counted(shared)
    landed: list[set[str]] = []
    for _ in range(5):
        done = shared.round()
        landed.append({hop.environment for each in done.values() for hop in each.hops})
    assert landed == [{"qa"}, {"staging-1", "staging-2", "staging-3"}, set(PRODS[:4]), set(PRODS[4:]), set()]
    branches = [ref for lot in pushes(shared) for ref in lot if ref.startswith("refs/heads/env/")]
    assert len(branches) == len(set(branches)) == 12
    assert shared.promotions("staging-3")[-1][0] == "app-05"
    assert [name for name, _ in shared.promotions("prod-8")] == ["app-00", "app-05"]
    assert {name: shared.origin.refs()[name] for name in quiet_ones} == quiet_ones
    for name in walking:
        assert audit(shared[name].site, shared[name].world()) == []
    few = share(names=names[:2], environments=thirteen)
    few.settle()
    numbers = [idle(each, tmp_path / f"shared{n or ''}", monkeypatch) for n, each in enumerate((shared, few))]
    assert numbers == [1, 1], "ls-remote"


def test_nothing_is_written_without_need(share: Share) -> None:
    """A round in which nothing happens pushes nothing, whoever's it is."""
    shared = share(names=NAMES, environments=WAY)
    shared.settle()
    counted(shared)
    shared.round()
    shared.round()
    assert pushes(shared) == []
    assert shared["shop"].now > START
