"""The safety properties on real repositories, while others write, while git lies, and while processes are killed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion import answers, ledger, merging
from promotion.errors import ConfigError, PromotionError, RefusedError, TemporaryError
from promotion.events import Event
from promotion.fold import fold
from promotion.merge import protected
from promotion.model import Health, Overrides, Spec, Verify
from promotion.observe import Site
from promotion.reconcile import (
    Round,
    adopt,
    configure,
    freeze,
    hold,
    lift,
    promote,
    reconcile,
    thaw,
    watch_only,
)
from promotion.reconcile.draft import Draft
from promotion.reconcile.write import write
from promotion.report import audit
from promotion.state import State
from promotion.stored import to_json
from tests.support.stage import SICK, Stage, environment

Build = Callable[..., Stage]
Act = Callable[[Stage], Any]


EVERYTHING = ("soak", "window", "approval", "freeze")


def allowing(stage: Stage, by: str = "robot@example.com") -> Stage:
    """A stage whose file lets one person past all that may be passed."""
    over = Overrides((by,), tuple(sorted(EVERYTHING)))
    in_force = {**stage.application.in_force, "overrides": {"by": [by], "skip": sorted(EVERYTHING)}}
    stage.application = replace(stage.application, overrides=over, in_force=in_force)
    stage.site = replace(stage.site, application=stage.application)
    return stage


def by_promote(stage: Stage) -> Any:
    return promote(stage.site, stage.env("qa"), by_hand=False)


def by_round(stage: Stage) -> Any:
    done = reconcile(stage.site, [e.name for e in stage.application.environments])
    for error in done.errors:
        raise error
    return done


def by_override(stage: Stage) -> Any:
    return promote(stage.site, stage.env("qa"), override=["soak"], reason="an outage")


ways = pytest.mark.parametrize("act", [by_promote, by_round])
steps = pytest.mark.parametrize("step", ["refresh", "push"])


def inject(stage: Stage | Site, step: str, action: Callable[[], object]) -> None:
    """Does `action` once: after what the next decision is made on was read, or just before its push."""
    repository = (stage.site if isinstance(stage, Stage) else stage).repository
    real = getattr(repository, step)

    def wrapped(*args: Any) -> Any:
        setattr(repository, step, real)
        if step == "push":
            action()
            return real(*args)
        read = real(*args)
        action()
        return read

    setattr(repository, step, wrapped)


def ready(stage: Stage) -> str:
    """A new commit, deployed in dev and not yet observed there."""
    stage.round()
    commit = stage.commit("dev", {"web": "2\n"})
    stage.sync("dev")
    stage.wait(seconds=1)
    return commit


def appended(site: Site, *events: Event) -> None:
    """Somebody else's events, written by the one writer."""
    from promotion import observe

    world = observe.survey(site)
    assert write(site, Draft(world, world.state).plus(*events)) is not None


def recorded(stage: Stage, name: str, revision: str | None, health: str) -> None:
    """One observation, as somebody else would record it."""
    stage.wait(seconds=1)
    data = {"revision": revision, "health": health, "reasons": [f"said {health}"]}
    appended(stage.open("other", "other"), Event("observed", "shop", name, stage.now, "other", data))


def landed(stage: Stage, name: str = "qa") -> list[str]:
    """The sources of the promotions on a branch, oldest first."""
    return [
        c.trailers["Promotion-Source"] for c in stage.origin.log(f"env/{name}") if "Promotion-Source" in c.trailers
    ][::-1]


def replayed(stage: Stage) -> None:
    """S16: the events, folded again from the first one, give what every record's state.json says."""
    world = stage.world()
    state = State("shop")
    repository = stage.site.repository
    for commit, event in reversed(list(ledger.events(repository, world.ledger))):
        state = fold(state, event)
        assert to_json(ledger.read(repository, "shop", commit.oid)) == to_json(state)


def consistent(stage: Stage) -> None:
    """What must hold at any rest: events and branches tell the same, and Git finds no fault in the origin."""
    replayed(stage)
    assert audit(stage.site, stage.world()) == []
    events = [e for _, e in ledger.events(stage.site.repository, stage.world().ledger)][::-1]
    for each in stage.application.environments:
        commits = [e.data["commit"] for e in events if e.event == "promoted" and e.environment == each.name]
        ours = [c for c in stage.origin.log(each.branch) if "Promotion-Plan" in c.trailers][::-1]
        assert [c.commit for c in ours] == commits
        assert len({c.trailers["Promotion-Attempt"] for c in ours}) == len(ours)
        sources = [c.trailers["Promotion-Source"] for c in ours]
        assert len(set(sources)) == len(sources), "a change was promoted twice"
    assert "error" not in stage.origin.git("fsck", "--full", "--strict")


# --- S1: the exact commit, healthy, as the last word -------------------------------------------------------------------


def test_s1_only_the_last_word_counts(stage: Stage) -> None:
    """Degraded after healthy disqualifies, healthy after that qualifies again."""
    commit = ready(stage)
    stage.change("qa", auto=True)
    for health, verdict in [
        *(("healthy", "pass"), ("degraded", "block"), ("unknown", "wait"), ("progressing", "wait")),
        *(("suspended", "wait"), ("missing", "wait"), ("healthy", "pass")),
    ]:
        recorded(stage, "dev", commit, health)
        assert (health, stage.plan("qa").verdict) == (health, verdict)


def test_s1_superseded_while_healthy_stays_qualified(stage: Stage) -> None:
    """A newer commit that is deployed and sick says nothing about the one before it."""
    first = ready(stage)
    recorded(stage, "dev", first, "healthy")
    second = stage.commit("dev", {"web": "3\n"})
    recorded(stage, "dev", second, "degraded")
    plan = stage.plan("qa")
    assert (plan.verdict, plan.commit) == ("pass", first)
    assert [(p.commit, p.verdict) for p in plan.passed_over] == [(second, "block")]


def test_s1_a_neighbour_does_not_vouch(stage: Stage) -> None:
    """Neither a commit before nor one after it, nor one with the same content, makes a commit healthy."""
    before = ready(stage)
    unseen = stage.commit("dev", {"web": "3\n"})
    twin = stage.commit("dev", {}, "same content")
    recorded(stage, "dev", twin, "degraded")
    recorded(stage, "dev", before, "degraded")
    assert stage.plan("qa").verdict != "pass"
    recorded(stage, "dev", twin, "healthy")
    assert stage.plan("qa", chosen=unseen).verdict == "wait"
    assert stage.plan("qa").commit == twin


# --- S2, S3: stale and unknown -----------------------------------------------------------------------------------------


def test_s2_a_revision_that_changes_while_it_is_asked_is_not_healthy(tmp_path: Path, build: Build) -> None:
    """The check says ok about what was there a moment ago: that is nobody's health."""
    folder = tmp_path / "stage"
    current = folder / "dev" / "current"
    switch = f"cat {current}/health && ln -sfn releases/$(cat {folder}/next) {current}"
    check = Spec("command", {"command": ["sh", "-c", switch]})
    stage = build(replace(environment(folder, "dev"), health=(check,)), environment(folder, "qa", "dev"))
    (folder / "next").write_text(stage.tip("dev"))
    stage.round()
    first, second = stage.commit("dev", {"web": "2\n"}), None
    stage.sync("dev")
    second = stage.commit("dev", {"web": "3\n"})
    stage.sync("dev")
    current.unlink()
    current.symlink_to(f"releases/{first}")
    (folder / "next").write_text(second)
    stage.round(sync=False)
    facts = stage.world().state.of("dev").facts
    assert Health.HEALTHY not in {facts[oid].health for oid in (first, second) if oid in facts}
    assert landed(stage) == []


NEVER = {
    "none": (),
    "exit 2": (Spec("command", {"command": ["sh", "-c", "exit 2"]}),),
    "no program": (Spec("command", {"command": ["/nowhere/program"]}),),
    "timeout": (Spec("command", {"command": ["sleep", "20"], "timeout": "0s"}),),
    "killed": (Spec("command", {"command": ["sh", "-c", "kill -9 $$"]}),),
    "no answer": (Spec("http", {"url": "http://127.0.0.1:9/", "timeout": "1s"}),),
    "one of two": (Spec("command", {"command": ["true"]}), Spec("command", {"command": ["sh", "-c", "exit 7"]})),
    "degraded": (Spec("command", {"command": ["true"]}), Spec("command", {"command": ["false"]})),
}


@pytest.mark.parametrize("checks", NEVER.values(), ids=NEVER.keys())
def test_s3_what_is_not_known_is_never_healthy(tmp_path: Path, build: Build, checks: tuple[Spec, ...]) -> None:
    """No check, no answer, a late or odd answer, one of several: nothing moves on."""
    folder = tmp_path / "stage"
    stage = build(replace(environment(folder, "dev"), health=checks), environment(folder, "qa", "dev"))
    ready(stage)
    for _ in range(2):
        assert stage.round().hops == ()
    assert landed(stage) == []


@pytest.mark.parametrize("fault", ["unlinked", "elsewhere", "a directory", "a file"])
def test_s3_nothing_that_can_be_named_is_deployed(stage: Stage, fault: str) -> None:
    """Where the engine cannot say which revision runs, a healthy answer is about nothing, and the others go on."""
    ready(stage)
    current = stage.folder / "dev" / "current"
    content = current.resolve()
    current.unlink()
    if fault == "elsewhere":
        current.symlink_to(content.parent.parent / "elsewhere")
        shutil.copytree(content, current.parent / "elsewhere")
    if fault == "a directory":
        shutil.copytree(content, current)
    if fault == "a file":
        current.write_text("ok\n")
    stage.round(sync=False)
    assert landed(stage) == []
    assert stage.world().state.of("dev").observed.health in (Health.MISSING, Health.UNKNOWN)  # type: ignore[union-attr]


def test_s3_one_broken_engine_does_not_stop_the_others(stage: Stage) -> None:
    """A directory that people must mend: the hops of the other environments land, and the fault is told."""
    ready(stage)
    place = stage.folder / "prod" / "current"
    place.unlink()
    place.mkdir()
    done = stage.round()
    assert [(hop.environment, hop.outcome) for hop in done.hops] == [("qa", "promoted")]
    assert [error.exit_status for error in done.errors] == [2]


# --- S4, S13: others write between our reading and our push -------------------------------------------------------------


@ways
@steps
@pytest.mark.parametrize(("name", "observed"), [("qa", False), ("dev", False), ("dev", True)])
def test_s13_a_hold_that_landed_before_the_push_wins(
    stage: Stage, act: Act, step: str, name: str, observed: bool
) -> None:
    """On the target or in the source: the candidate is refused, also where nothing else would be written about it."""
    commit = ready(stage)
    if observed:
        watch_only(stage.site, ["dev"])
    other = stage.open("other", "ann")
    inject(stage, step, lambda: hold(other, stage.env(name), commit, "no"))
    act(stage)
    assert landed(stage) == []
    assert stage.plan("qa").verdict == "block"
    lift(other, stage.env(name), commit)
    act(stage)
    assert landed(stage) == [commit]


@ways
@steps
@pytest.mark.parametrize("name", ["qa", None])
@pytest.mark.parametrize("observed", [False, True])
def test_s13_a_freeze_that_landed_before_the_push_wins(
    stage: Stage, act: Act, step: str, name: str | None, observed: bool
) -> None:
    """Of the target, or of everything: nothing lands until it is thawed, also where nothing else would be written."""
    commit = ready(stage)
    if observed:
        watch_only(stage.site, ["dev"])
    other, chosen = stage.open("other", "ann"), [stage.env(name)] if name else []
    inject(stage, step, lambda: freeze(other, chosen, "no", None, strict=False))
    act(stage)
    assert landed(stage) == []
    assert stage.plan("qa").verdict == "block"
    thaw(other, chosen)
    act(stage)
    assert landed(stage) == [commit]


@ways
@steps
def test_s4_a_degraded_source_before_the_push_wins(stage: Stage, act: Act, step: str) -> None:
    """Somebody recorded that the candidate fell ill after we saw it well: our older reading does not outvote that."""
    commit = ready(stage)

    def falls_ill() -> None:
        (stage.folder / "dev" / "current" / "health").write_text("sick\n")
        recorded(stage, "dev", commit, "degraded")

    inject(stage, step, falls_ill)
    act(stage)
    assert landed(stage) == []
    assert stage.world().state.of("dev").facts[commit].health is Health.DEGRADED
    assert watch_only(stage.site, ["dev"]).state.of("dev").facts[commit].health is Health.DEGRADED


def test_s4_an_older_reading_does_not_outvote_a_newer_one(stage: Stage) -> None:
    """The same where only observing is asked for."""
    commit = ready(stage)
    inject(stage, "push", lambda: recorded(stage, "dev", commit, "degraded"))
    watch_only(stage.site, ["dev"])
    assert stage.world().state.of("dev").facts[commit].health is Health.DEGRADED


@ways
@steps
def test_s4_a_target_that_moved_is_decided_on_again(stage: Stage, act: Act, step: str) -> None:
    """A hotfix lands before our push: it is the new first parent, and survives."""
    ready(stage)
    fixes: list[str] = []
    inject(stage, step, lambda: fixes.append(stage.commit("qa", {"hotfix": "1\n"})))
    act(stage)
    assert stage.origin.log("env/qa")[0].parents[0] == fixes[0]
    assert stage.origin.show("env/qa", "hotfix") == "1\n"
    assert len(landed(stage)) == 1
    consistent(stage)


@ways
@steps
def test_s4_a_target_that_was_rewound_gets_nothing(stage: Stage, act: Act, step: str) -> None:
    """History that somebody rewrote under us is not written on."""
    ready(stage)
    stage.round()
    stage.round()
    stage.commit("dev", {"web": "3\n"})
    stage.sync("dev")
    root = stage.origin.log("env/qa")[-1].commit
    inject(stage, step, lambda: stage.origin.set("env/qa", root))
    with pytest.raises(PromotionError, match="rewound"):
        act(stage)
    assert stage.tip("qa") == root


@ways
@steps
def test_s14_a_configuration_that_changed_before_the_push_wins(stage: Stage, act: Act, step: str) -> None:
    """What we decided by is no longer in force: stop, and show the difference."""
    ready(stage)
    other = stage.open("other", "ann")
    changed = replace(stage.application, in_force={**stage.application.in_force, "heartbeat": "1m"})
    inject(stage, step, lambda: configure(replace(other, application=changed), "tighter"))
    with pytest.raises(ConfigError, match=r"heartbeat.*1m"):
        act(stage)
    assert landed(stage) == []


@ways
@steps
def test_s4_a_mere_heartbeat_costs_no_second_decision(tmp_path: Path, build: Build, act: Act, step: str) -> None:
    """The same read-set: the event gets a new parent, the push lands, and no gate is asked again."""
    folder = tmp_path / "stage"
    asked = tmp_path / "asked"
    probe = Spec("command", {"command": ["sh", "-c", f"echo x >>{asked}"]})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(probe,)))
    ready(stage)
    other = stage.open("other", "other")
    beats = {"environments": ["dev", "qa"]}
    inject(stage, step, lambda: appended(other, Event("observed", "shop", None, stage.now, "other", beats)))
    stage.site = replace(stage.site, probed={})
    answers.REUSED, kept = timedelta(0), answers.REUSED
    try:
        act(stage)
    finally:
        answers.REUSED = kept
    assert len(landed(stage)) == 1
    assert asked.read_text() == "x\n"
    consistent(stage)


@ways
def test_s4_a_ledger_that_was_rewound_gets_nothing(stage: Stage, act: Act) -> None:
    """What somebody took out of the ledger before our push is not put back by it, and it is not gone on from either."""
    commit = ready(stage)
    before = stage.origin.refs()[stage.application.ledger]
    hold(stage.open("other", "ann"), stage.env("prod"), commit, "no")
    inject(stage, "push", lambda: stage.origin.set("promotion/shop", before))
    with pytest.raises(RefusedError, match="rewound or replaced"):
        act(stage)
    assert landed(stage) == []
    assert stage.origin.refs()[stage.application.ledger] == before


@ways
def test_s4_what_is_required_fell_ill_before_the_push(tmp_path: Path, build: Build, act: Act) -> None:
    """What the target requires is part of what was decided on, though nothing is written about it."""
    folder = tmp_path / "stage"
    stage = build(
        *(environment(folder, "dev"), environment(folder, "wave", "dev")),
        environment(folder, "qa", "dev", requires=("wave",), schedule=None),
    )
    stage.change("qa", auto=False)
    commit = ready(stage)
    for _ in range(2):
        stage.round()
    stage.change("qa", auto=True)
    assert landed(stage, "wave") == [commit]
    assert landed(stage) == []
    release = stage.tip("wave")

    def falls_ill() -> None:
        (stage.folder / "wave" / "current" / "health").write_text("sick\n")
        recorded(stage, "wave", release, "degraded")

    inject(stage, "push", falls_ill)
    act(stage)
    assert landed(stage) == []


def test_s4_a_heartbeat_is_not_written_over_what_fell_ill(tmp_path: Path, build: Build) -> None:
    """Ours would say "as before" of what somebody saw fall ill since we looked."""
    folder = tmp_path / "stage"
    soak = Spec("soak", {"for": "1h"})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(soak,)))
    commit = ready(stage)
    stage.round()
    stage.wait(minutes=11)
    inject(stage, "push", lambda: recorded(stage, "dev", commit, "degraded"))
    watch_only(stage.site, ["dev"])
    assert stage.events()[-1] == "observed dev"
    assert stage.world().state.of("dev").observed.health is Health.DEGRADED  # type: ignore[union-attr]


@ways
@pytest.mark.parametrize("ref", ["refs/heads/promotion/shop", "refs/heads/env/qa"])
def test_s4_torn_reads_are_not_taken_for_a_rewound_ledger(stage: Stage, act: Act, ref: str) -> None:
    """A server's refs move one after the other: who reads in between sees a branch without its event, or the reverse."""
    ready(stage)
    repository, real = stage.site.repository, stage.site.repository.refresh
    old = repository.refresh([ref])[ref]
    assert promote(stage.open("other", "other"), stage.env("qa")).outcome == "promoted"

    def torn(*args: Any) -> Any:
        repository.refresh = real  # type: ignore[method-assign]
        read = real(*args)
        return replace(read, tips={**read.tips, ref: old or ""})

    repository.refresh = torn  # type: ignore[method-assign, assignment]
    with contextlib.suppress(TemporaryError):
        act(stage)
    act(stage)
    assert len(landed(stage)) == 1
    consistent(stage)


# --- S6: what a push did is known by reading again ----------------------------------------------------------------------


def lying_git(folder: Path, push: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git on PATH that does `push` instead of a push, once; the file that is returned says that it did."""
    real, folder = shutil.which("git"), folder / "bin"
    folder.mkdir()
    mark = folder / "lied"
    script = (
        f'#!/bin/sh\nreal={real}\ncase " $* " in *" push "*) if [ ! -e {mark} ]; then touch {mark}\n{push}\nfi;; esac\n'
    )
    (folder / "git").write_text(script + f'exec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return mark


LANDS = {
    "exit 1": '"$real" "$@" >/dev/null 2>&1; echo "! [rejected] garbage"; echo "fatal: nothing was pushed" >&2; exit 1',
    "killed": '"$real" "$@" >/dev/null 2>&1; kill -9 $$',
    "rejected": '"$real" "$@" >/dev/null 2>&1; echo "! x [remote rejected] (pre-receive hook declined)"; exit 1',
}
DOES_NOT = {
    "exit 0": 'echo "To somewhere"; echo "= all is well"; echo Done; exit 0',
    "killed": "kill -9 $$",
    "silent": "exit 128",
}


@ways
@pytest.mark.parametrize("lie", LANDS.values(), ids=LANDS.keys())
def test_s6_a_push_that_landed_is_known_whatever_git_says(
    stage: Stage, act: Act, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git says no and it is there: promoted, once."""
    commit = ready(stage)
    mark = lying_git(tmp_path, lie, monkeypatch)
    stage.site = stage.open("liar")
    act(stage)
    assert mark.exists()
    assert landed(stage) == [commit]
    stage.round()
    stage.round()
    assert landed(stage) == [commit]
    consistent(stage)


@ways
@pytest.mark.parametrize("lie", DOES_NOT.values(), ids=DOES_NOT.keys())
def test_s6_a_push_that_did_not_land_is_known_whatever_git_says(
    stage: Stage, act: Act, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git says yes and it is not there: temporary, and the next round does it, once."""
    commit = ready(stage)
    mark = lying_git(tmp_path, lie, monkeypatch)
    stage.site = stage.open("liar")
    with pytest.raises(TemporaryError):
        act(stage)
    assert mark.exists()
    stage.round()
    assert landed(stage) == [commit]
    consistent(stage)


@ways
def test_s6_a_push_that_landed_is_known_although_others_wrote_since(stage: Stage, act: Act) -> None:
    """Our event is in the ledger's history and not its tip any more: promoted, by us."""
    commit = ready(stage)
    other, repository, real = stage.open("other", "other"), stage.site.repository, stage.site.repository.push

    def push(*args: Any) -> str:
        repository.push = real  # type: ignore[method-assign]
        said = real(*args)
        appended(other, Event("observed", "shop", None, stage.now, "other", {"environments": ["dev"]}))
        return said

    repository.push = push  # type: ignore[method-assign]
    done = act(stage)
    assert [hop.outcome for hop in getattr(done, "hops", [done])] == ["promoted"]
    assert landed(stage) == [commit]


# --- S7: kills, and races ----------------------------------------------------------------------------------------------


def forked(work: Callable[[], int]) -> int:
    """Runs `work` in a child that is killed without a word when this process says so; returns its number."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            status = work()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def exit_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def quiet(folder: Path) -> None:
    """Waits until no git that a killed process left behind works below `folder`."""
    for _ in range(1000):
        lines: list[bytes] = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                lines.append(process.read_bytes())
        if not any(line.startswith((b"git\0", b"sh\0", b"/")) and os.fsencode(folder) in line for line in lines):
            return
        time.sleep(0.01)
    raise AssertionError("git does not end")


def rounds(folder: Path, stage: Stage, cache: str) -> int:
    """Rounds for ever, as `run --every 0s --sync` would."""
    site = replace(stage, folder=folder).open(cache)
    while True:
        with contextlib.suppress(TemporaryError):
            reconcile(site, [e.name for e in stage.application.environments], sync=True)


def test_s7_kills_at_any_moment_need_nobody(stage: Stage) -> None:
    """Killed 25 times in the middle of rounds, while changes come; then as many rounds as environments, and one."""
    seed = random.randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    stage.round()
    for number in range(25):
        if number % 3 == 0:
            commit = stage.commit("dev", {"web": f"{number}\n"})
        pid = forked(lambda: rounds(stage.folder, stage, "killed"))
        time.sleep(chance.uniform(0.02, 0.35))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        stage.wait(seconds=30)
    stage.close()
    quiet(stage.folder)
    stage.site = stage.open("killed")
    for _ in range(len(stage.application.environments) + 1):
        done = stage.round()
        assert done.errors == ()
    assert stage.origin.tree("env/prod") == stage.origin.tree(commit)
    assert done.hops == ()
    for name in ("qa", "prod"):
        assert stage.world().state.of(name).verification.state == "verified"  # type: ignore[union-attr]
    consistent(stage)
    assert not list(stage.origin.path.rglob("*.lock"))


@ways
@pytest.mark.parametrize("shared", [False, True], ids=["separate caches", "one cache"])
def test_s7_eight_race_for_one_hop(stage: Stage, act: Act, shared: bool) -> None:
    """One commit, one event; everybody else finds it there, or is told to try again. No lock is left."""
    commit = ready(stage)
    stage.site.repository.close()
    start = time.monotonic() + 0.5

    def race(number: int) -> int:
        stage.site = stage.open("cache" if shared else f"cache{number}", f"robot{number}")
        time.sleep(max(0.0, start - time.monotonic()))
        try:
            result = act(stage)
        except PromotionError as exc:
            return exc.exit_status
        results = result.hops if isinstance(result, Round) else [result]
        return max((r.status if r.outcome in ("promoted", "nothing", "contended") else 99 for r in results), default=0)

    statuses = [exit_of(pid) for pid in [forked(lambda n=n: race(n)) for n in range(8)]]  # type: ignore[misc]
    assert set(statuses) <= {0, 75}, statuses
    assert 0 in statuses
    assert landed(stage) == [commit]
    consistent(stage)
    assert not list(stage.origin.path.rglob("*.lock"))


# --- S9, S10, S11: what lands ------------------------------------------------------------------------------------------


def test_s9_protected_paths_are_byte_identical(tmp_path: Path, build: Build) -> None:
    """Changed, added, deleted and replaced in the source, mode and symlink too: the target's stay as they are."""
    folder = tmp_path / "stage"
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", protect=("own/**", "*.key", "l")))
    stage.origin.commit(
        "env/qa", {"own/a": "qa\n", "own/run": ("100755", "x"), "x.key": b"\xff\0", "l": ("120000", "a")}
    )
    mine = protected(("own/**", "*.key", "l"))
    before = {p: e for p, e in stage.origin.tree("env/qa").items() if mine(os.fsencode(p))}
    for change in (
        {"own/a": "dev\n", "own/b": "new\n", "web": "1\n", "x.key": "dev", "l": "file"},
        {"own/a": None, "own/run": ("100644", "x"), "web": "2\n", "x.key": None, "l": None},
        {"own": "a file now\n", "web": "3\n", "y.key": "dev"},
    ):
        if "own" in change:
            change |= dict.fromkeys(p for p in stage.origin.tree("env/dev") if p.startswith("own/"))
        stage.origin.commit("env/dev", change)  # type: ignore[arg-type]
        stage.round()
        after = {p: e for p, e in stage.origin.tree("env/qa").items() if mine(os.fsencode(p))}
        assert after == before
    assert stage.origin.show("env/qa", "web") in ("2\n", "3\n")


@pytest.mark.parametrize("act", [by_promote, by_round, by_override])
@pytest.mark.parametrize("plant", ["smuggled", "lost", "protected", "source"])
def test_s10_a_tree_that_the_table_does_not_explain_never_lands(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch, act: Act, plant: str
) -> None:
    """A bug in the merge is caught by the last look before the push, also of whoever may pass the gates."""
    folder = tmp_path / "stage"
    gates = (Spec("soak", {"for": "9d"}),) if act is by_override else ()
    qa = environment(folder, "qa", "dev", protect=("own/**",), gates=gates)
    stage = allowing(build(environment(folder, "dev"), qa))
    stage.origin.commit("env/qa", {"own/a": "qa\n"})
    ready(stage)
    real = merging.merged

    def wrong(site: Site, view: Any, commit: str) -> Any:
        made: Any
        made, objects = real(site, view, commit), site.repository.objects
        file = objects.look(objects.commit(commit).tree, b"web")
        changes: dict[str, Any] = {"smuggled": {b"extra": file}, "lost": {b"web": None}, "protected": {b"own/a": file}}
        tree = objects.commit(commit).tree if plant == "source" else objects.write_tree(made.tree, changes[plant])
        return replace(made, tree=tree, digest=tree)

    monkeypatch.setattr(merging, "merged", wrong)
    tip, records = stage.tip("qa"), stage.origin.refs()[stage.application.ledger]
    with pytest.raises(AssertionError, match="entry table"):
        act(stage)
    assert (stage.tip("qa"), stage.origin.refs()[stage.application.ledger]) == (tip, records)


def test_s11_a_conflict_names_the_paths_and_writes_nothing(stage: Stage) -> None:
    """Three files in conflict, one of them by its lines, and one that is not: neither the branch nor a promoted event."""
    ready(stage)
    tip = stage.commit("qa", {"web": "qa\n", "dir/\u00e4": "qa\n", "health": "ok by qa\n"})
    stage.commit("dev", {"web": "dev\n", "dir/\u00e4": "dev\n", "fine": "1\n", "health": "ok by dev\n"})
    stage.sync("dev")
    result = promote(stage.site, stage.env("qa"))
    assert (result.outcome, result.status, result.plan_id) == ("conflict", 5, None)
    assert "web" in result.reason
    assert "dir/\u00e4" in result.reason
    assert "health" in result.reason
    assert stage.tip("qa") == tip
    assert "promoted qa" not in stage.events()


# --- S14: the configuration in force -----------------------------------------------------------------------------------


def test_s14_an_edited_copy_is_stopped_everywhere(stage: Stage) -> None:
    """Another health check than the one in force: 2, with both, and nothing is written by anything but `configure`."""
    ready(stage)
    records = stage.origin.refs()[stage.application.ledger]
    environments = {**stage.application.in_force["environments"], "qa": {"branch": "env/qa", "from": "prod"}}
    stage.application = replace(
        stage.application, in_force={**stage.application.in_force, "environments": environments}
    )
    stage.site = stage.open("laptop", "eve")
    qa = stage.env("qa")
    for act in (
        *(lambda: promote(stage.site, qa), lambda: stage.round(), lambda: watch_only(stage.site, ["qa"])),
        *(lambda: hold(stage.site, qa, stage.tip("qa"), "x"), lambda: adopt(stage.site, qa, None), stage.world),
    ):
        with pytest.raises(ConfigError) as stopped:
            act()
        assert stopped.value.exit_status == 2
        assert '- environments.qa.from: "dev"' in str(stopped.value)
        assert '+ environments.qa.from: "prod"' in str(stopped.value)
        assert "configure" in (stopped.value.hint or "")
    assert stage.origin.refs()[stage.application.ledger] == records
    assert len(configure(stage.site, "meant it")) >= 2
    stage.world()


def test_s14_a_commit_cannot_remove_its_own_gate(tmp_path: Path, build: Build) -> None:
    """The pipeline's file inside the repository that is promoted has no say."""
    folder = tmp_path / "stage"
    gate = Spec("command", {"command": ["false"]})
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", gates=(gate,)))
    stage.round()
    stage.commit("dev", {"environments.yaml": "version: 1\nenvironments: [{name: qa, from: dev}]\n", "web": "2\n"})
    for _ in range(3):
        stage.round()
    assert landed(stage) == []
    assert stage.plan("qa").verdict == "block"


# --- a remote that says no ---------------------------------------------------------------------------------------------

REFUSALS = {
    "update": """#!/bin/sh
[ "$1" = refs/heads/env/qa ] || exit 0
printf '\\033[31mblocked by policy\\033[0m see https://bob:hunter2@wiki.example.com/rules, ask about poetry.lock\\n' >&2
exit 1
""",
    "pre-receive": """#!/bin/sh
while read old new ref; do
  [ "$ref" = refs/heads/env/qa ] || continue
  printf '\\033[31mblocked by policy\\033[0m see https://bob:hunter2@wiki.example.com/rules\\n' >&2; exit 1
done
""",
}


@pytest.mark.parametrize("hook", REFUSALS)
def test_a_hook_that_refuses_one_branch_stops_only_that_one(tmp_path: Path, build: Build, hook: str) -> None:
    """2 with the hook's words, cleaned; what was observed is still recorded, and the other branch still gets its commit."""
    folder = tmp_path / "stage"
    qa, other = environment(folder, "qa", "dev"), environment(folder, "other", "dev")
    stage = build(environment(folder, "dev"), qa, other)
    ready(stage)
    stage.origin.hook(hook, REFUSALS[hook])
    done = stage.round()
    assert [(hop.environment, hop.outcome) for hop in done.hops] == [("other", "promoted")]
    (error,) = done.errors
    assert (type(error), error.exit_status) == (ConfigError, 2)
    assert "blocked by policy" in str(error)
    assert "wiki.example.com/rules" in str(error)
    assert "hunter2" not in str(error)
    assert "\x1b" not in str(error)
    assert landed(stage) == []
    assert {"observed dev", "promoted other"} <= set(stage.events())
    consistent(stage)


@pytest.mark.parametrize("ref", ["refs/heads/env/qa", "refs/heads/promotion/shop"])
def test_a_lock_in_the_servers_repository_is_told_and_left_alone(stage: Stage, ref: str) -> None:
    """75 with its text and the advice; once it is gone, the next round goes on."""
    commit = ready(stage)
    lock = stage.origin.path / f"{ref}.lock"
    lock.touch()
    with pytest.raises(TemporaryError) as told:
        promote(stage.site, stage.env("qa"))
    assert told.value.exit_status == 75
    assert "lock" in str(told.value)
    assert "remove the lock" in (told.value.hint or "")
    assert lock.exists()
    lock.unlink()
    stage.round()
    assert landed(stage) == [commit]


def test_a_remote_without_atomic_pushes_is_refused(stage: Stage) -> None:
    """2: the whole control plane rests on it."""
    ready(stage)
    stage.origin.git("config", "receive.advertiseatomic", "false")
    with pytest.raises(ConfigError, match="atomic"):
        promote(stage.site, stage.env("qa"))
    assert landed(stage) == []


def test_a_remote_that_went_away_is_temporary_or_said(stage: Stage) -> None:
    """Nothing is lost while it is away."""
    commit = ready(stage)
    away = stage.origin.path.with_name("away.git")
    stage.origin.path.rename(away)
    with pytest.raises(PromotionError) as told:
        stage.round()
    assert told.value.where == str(stage.origin.path)
    away.rename(stage.origin.path)
    stage.round()
    assert landed(stage) == [commit]


# --- S16: the ledger ---------------------------------------------------------------------------------------------------


def test_s16_every_state_is_the_fold_of_its_events(tmp_path: Path, build: Build) -> None:
    """Promotions, failures, holds, lifts, hotfixes: replayed from Git alone."""
    folder = tmp_path / "stage"
    verify = Verify(on_failure="hold")
    stage = build(environment(folder, "dev"), environment(folder, "qa", "dev", verify=verify))
    ready(stage)
    for change in ({"web": "3\n"}, SICK, {"health": "ok\n", "\udcff": "odd\n"}):
        stage.origin.commit("env/dev", {os.fsencode(p): t for p, t in change.items()})
        for _ in range(2):
            stage.round()
    held = hold(stage.site, stage.env("qa"), stage.tip("dev"), "by hand")
    replayed(stage)
    lift(stage.site, stage.env("qa"), held.data["commit"][:8])
    consistent(stage)


@pytest.mark.parametrize("what", ["event", "state", "dropped"])
def test_s16_a_record_that_was_changed_is_noticed(stage: Stage, what: str) -> None:
    """Somebody with the right to push rewrites a record in the middle, and all that come after it."""
    ready(stage)
    for _ in range(3):
        stage.round()
    consistent(stage)
    records = stage.origin.log(stage.application.ledger)[::-1]
    number = next(n for n, c in enumerate(records) if '"event":"promoted"' in c.message)
    tip, made = records[number - 1].commit, list[str]()
    for record in records[number + (what == "dropped") :]:
        message, tree = record.message, f"{record.commit}^{{tree}}"
        if record is records[number] and what == "event":
            message = message.replace('"by":"robot', '"by":"eve').replace('"event":"promoted"', '"event":"absorbed"')
        if record is records[number] and what == "state":
            tree = f"{records[number - 1].commit}^{{tree}}"
        tip = stage.origin.git("commit-tree", "-p", tip, "-F", "-", tree, input=message).strip()
        made.append(tip)
    stage.origin.git("update-ref", stage.application.ledger, tip)
    from promotion import observe

    world = observe.survey(stage.site, any_history=True)
    found = [f for f in audit(stage.site, world) if "rewound or replaced" not in f["problem"]]
    assert found[0]["record"] == made[0], "the first that does not hold"
    with pytest.raises(RefusedError, match="rewound or replaced"):
        stage.world()


def test_s7_a_verification_is_not_timed_out_by_who_did_not_look(tmp_path: Path, build: Build) -> None:
    """Nobody ran for an hour; a single hop into qa says nothing about prod, which is healthy: the next round sees it."""
    folder = tmp_path / "stage"
    verify = Verify(on_timeout="hold")
    stage = build(
        environment(folder, "dev"), environment(folder, "qa", "dev"), environment(folder, "prod", "qa", verify=verify)
    )
    ready(stage)
    stage.round()
    assert [hop.environment for hop in stage.round().hops] == ["prod"]
    stage.sync("prod")
    stage.wait(hours=1)
    promote(stage.site, stage.env("qa"))
    stage.round()
    assert stage.events().count("timed-out prod") == 0
    assert stage.world().state.of("prod").holds == ()
