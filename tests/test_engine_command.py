"""The engine `command`: what a program may say, how one is run, one deployment at a time, and a whole walk with real programs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promotion.engines import command, workplace
from promotion.engines.contract import Deployed
from promotion.engines.manifest import oid_of
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Entry, Health, Reading, Spec, Subject
from promotion.texts import short
from tests.support.processes import gone
from tests.support.shop import Said, Shop
from tests.support.stage import Stage, environment

A, B = "a" * 40, "b" * 40
SUBJECT = Subject("shop", "qa", A, "https://git.example/shop.git", "env/qa")


class Files:
    """The content of one commit."""

    def __init__(self, **files: str) -> None:
        self.files = {name.encode(): data.encode() for name, data in files.items()}

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        yield from ((path, Entry(0o100644, oid_of(data))) for path, data in self.files.items())

    def blobs(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        yield from ((oid_of(data), data) for data in self.files.values() if oid_of(data) in oids)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Places of deployments below the test's own folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """What runs: a file with a revision, which `observe` reports; each `deploy` leaves a line in `started` beside it."""
    return tmp_path / "runs"


def observing(script: str, **more: Any) -> Deployed:
    return command.observe({"observe": ["sh", "-c", script], "deploy": ["false"], **more}, SUBJECT)


def settings(runs: Path, deploy: str = "", **more: Any) -> dict[str, Any]:
    """Programs in shell; `deploy` runs before the revision is written."""
    ask = f'if test -e {runs}; then echo "{{\\"revision\\": \\"$(cat {runs})\\"}}"; else echo \'{{"revision": null}}\'; fi'
    return {
        "observe": ["sh", "-c", ask],
        "deploy": [
            "sh",
            "-ec",
            f"echo $PROMOTION_REVISION >> {runs}.started; {deploy or ':'}; echo $PROMOTION_REVISION > {runs}",
        ],
        **more,
    }


def sync(runs: Path, deploy: str = "", revision: str = A, content: Any = None, **more: Any) -> Deployed:
    subject = replace(SUBJECT, revision=revision)
    return command.sync(settings(runs, deploy, **more), subject, content or Files(web="1\n"))


def started(runs: Path) -> list[str]:
    path = Path(f"{runs}.started")
    return path.read_text().split() if path.exists() else []


# --- what observe may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "deployed"),
    [
        ({"revision": A}, Deployed(A)),
        ({"revision": None}, Deployed(None)),
        ({"revision": A, "reason": "no word on health"}, Deployed(A)),
        ({"revision": A, "health": "healthy"}, Deployed(A, Reading(Health.HEALTHY, "observe says healthy"))),
        ({"revision": A, "health": "degraded", "reason": "2 of 3"}, Deployed(A, Reading(Health.DEGRADED, "2 of 3"))),
        ({"revision": None, "health": "missing"}, Deployed(None, Reading(Health.MISSING, "observe says missing"))),
        (
            {"revision": A, "health": "unknown", "reason": "a\n\x1b[31mb \ud800"},
            Deployed(A, Reading(Health.UNKNOWN, "a b")),
        ),
        *(({"revision": A, "health": str(h), "reason": "x"}, Deployed(A, Reading(h, "x"))) for h in Health),
    ],
)
def test_answers(said: dict[str, Any], deployed: Deployed) -> None:
    """A revision or null, and what the program says of health, made fit for one line."""
    assert command.answer(json.dumps(said).encode()) == deployed
    assert command.answer(b"\n  " + json.dumps(said, indent=2).encode() + b"\n\n") == deployed


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (b"", 'it printed nothing; {"revision": null} says that nothing is deployed'),
        (b" \n\n", "it printed nothing"),
        (b"deployed " + A.encode(), f"it printed no JSON: deployed {A}"),
        (b"{'revision': null}", "it printed no JSON: {'revision': null}"),
        (b"\xef\xbb\xbf{}", "it printed no JSON"),
        (b'{"revision": null', "it printed no JSON"),
        (b'{"revision": null,}', "it printed no JSON"),
        (b'{"revision": null}{"revision": null}', "it printed more than one JSON value"),
        (b'{"revision": null}\nok', "it printed more than one JSON value"),
        (b'{"revision": null, "reason": "\xff"}', "it printed bytes that are no UTF-8"),
        (b'{"revision": null, "reason": NaN}', "it printed NaN, which is no JSON"),
        (b"-Infinity", "it printed -Infinity, which is no JSON"),
        (b"[" * 30_000, "it printed JSON that is nested too deeply"),
        (b"1" * 30_000, "a JSON object is needed, not Infinity"),
        (b'"' + A.encode() + b'"', f'a JSON object is needed, not "{A}"'),
        (b"null", "a JSON object is needed, not null"),
        (b'[{"revision": null}]', 'a JSON object is needed, not [{"revision": null}]'),
        (b"{}", "no `revision` in what it printed: a commit, or null when nothing is deployed"),
        (b'{"health": "healthy"}', "no `revision` in what it printed"),
        (b'{"revision": null, "revision": null}', "the key `revision` stands twice in what it printed"),
        (b'{"revision": null, "helth": "degraded"}', "unknown key `helth`; did you mean `health`? (revision, health, reason)"),
        (b'{"revision": null, "reason": ["x"]}', '`reason` is a text, not ["x"]'),
        (b'{"revision": null, "reason": null}', "`reason` is a text, not null"),
        (b'{"revision": null, "health": "Healthy"}', '"Healthy" is no `health`; did you mean `healthy`? (healthy, progressing'),
        (b'{"revision": null, "health": null}', "null is no `health` (healthy, progressing"),
        (b'{"revision": null, "health": ["healthy"]}', '["healthy"] is no `health` (healthy'),
        (b'{"revision": null, "health": "healthy"}', "it says healthy, and that nothing is deployed"),
        (b'{"revision": null}' + b" " * (64 << 10), "it printed more than 64 KiB"),
    ],
)  # fmt: skip
def test_whatever_else_is_printed_is_no_answer(output: bytes, said: str) -> None:
    """S3: one clear line, and never a guess."""
    with pytest.raises(ValueError, match="^" + re.escape(said)) as caught:
        command.answer(output)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [A[:39], A + "a", A.upper(), "", "HEAD", f"{A}\n", f" {A}", "g" * 40, 4, True, [A], {"is": A}, "٣" * 40]
)
def test_a_revision_is_never_guessed(wrong: Any) -> None:
    """40 hex digits in lower case, and nothing that could be meant for them."""
    with pytest.raises(ValueError, match="`revision` is 40 hex digits in lower case, or null; not "):
        command.answer(json.dumps({"revision": wrong, "health": "healthy"}).encode())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such release >&2; exit 3", "observe: exit 3: no such release"),
        ("echo '{\"revision\": null}'; exit 1", 'observe: exit 1: {"revision": null}'),
        ("exit 4", "observe: exit 4"),
        ("kill -KILL $$", "observe: killed by SIGKILL"),
        ("echo '{\"revision\": null}'; sleep 300", "observe: no end within 1s"),
        ("yes", "observe: no end within 1s"),
        ("echo '{}'", "observe: no `revision`"),
        ("yes '{}' | head -c 2000000", "observe: it printed more than 64 KiB"),
        ("true", "observe: it printed nothing"),
    ],
)
def test_a_program_without_an_answer_is_an_engine_that_cannot_be_asked(script: str, said: str) -> None:
    """So nothing is recorded (S3)."""
    with pytest.raises(TemporaryError) as caught:
        observing(script, observe_timeout="1s" if "no end" in said else "60s")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("argv", [["/nowhere/observe"], ["no-such-program-of-ours"], ["/etc"], ["nul\0"], [""]])
def test_what_cannot_be_started_is_said(argv: list[str]) -> None:
    with pytest.raises(TemporaryError, match="observe: cannot start"):
        command.observe({"observe": argv, "deploy": ["false"]}, SUBJECT)


def test_what_it_says_to_people_does_not_count() -> None:
    """Standard error is for logs."""
    assert observing("echo '{\"revision\": 1}' >&2; echo '{\"revision\": null}'") == Deployed(None)


def test_an_answer_of_the_longest_kind_is_read_whole(tmp_path: Path) -> None:
    """64 KiB exactly, though a pipe gives it in pieces."""
    text = json.dumps({"revision": A, "reason": "x"})
    (tmp_path / "answer").write_text(text + " " * ((64 << 10) - len(text)))
    assert observing(f"cat {tmp_path}/answer") == Deployed(A)


def test_a_grandchild_that_holds_the_pipe_is_killed_and_the_answer_counts(tmp_path: Path) -> None:
    """`observe` leaves nothing running."""
    assert observing(f"sleep 300 & echo $! > {tmp_path}/pid; echo '{{\"revision\": null}}'") == Deployed(None)
    assert gone(int((tmp_path / "pid").read_text()))


def test_observe_is_not_told_what_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that repeats what it was asked about would always be right; nor does it see any secret of ours."""
    monkeypatch.setenv("QA_TOKEN", "canary")
    shown = "$PROMOTION_APPLICATION $PROMOTION_ENVIRONMENT $PROMOTION_REPOSITORY $PROMOTION_BRANCH [$PROMOTION_REVISION] [$QA_TOKEN]"
    deployed = observing(f'echo "{{\\"revision\\": null, \\"health\\": \\"missing\\", \\"reason\\": \\"{shown}\\"}}"')
    assert deployed.reading == Reading(Health.MISSING, "shop qa https://git.example/shop.git env/qa [] []")


# --- deploying ------------------------------------------------------------------------------------------------------


def test_deploys_what_does_not_run_and_only_that(runs: Path) -> None:
    """The first time, another revision, and never again what runs already."""
    assert sync(runs) == Deployed(A)
    assert sync(runs) == Deployed(A)
    assert sync(runs, revision=B) == Deployed(B, replaced=A)
    assert started(runs) == [A, B]


def test_deploy_works_in_the_files_of_the_revision(runs: Path, tmp_path: Path, temporary: Path) -> None:
    """Exactly those, readable by whatever they are copied to, and gone afterwards; it knows what it is about."""
    names = "APPLICATION ENVIRONMENT REVISION REPOSITORY BRANCH"
    script = f"cp -a . {tmp_path}/copy; for n in {names}; do eval echo \\$PROMOTION_$n; done > {tmp_path}/seen; pwd >> {tmp_path}/seen"
    old = os.umask(0o077)
    try:
        sync(runs, script, content=Files(web="1\n", conf="x\n"))
    finally:
        os.umask(old)
    copy = tmp_path / "copy"
    assert {path.name: path.read_text() for path in copy.iterdir()} == {"web": "1\n", "conf": "x\n"}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (copy, copy / "web")] == [0o755, 0o644]
    *seen, place = (tmp_path / "seen").read_text().splitlines()
    assert seen == ["shop", "qa", A, "https://git.example/shop.git", "env/qa"]
    assert place.startswith(str(temporary))
    assert not Path(place).exists()


def test_what_a_killed_deployment_left_is_not_deployed(runs: Path, tmp_path: Path) -> None:
    """Files of an earlier one are removed first."""
    with workplace.claimed(SUBJECT, timedelta(0)) as claim:
        (claim.place / "content" / "deep").mkdir(parents=True)
        (claim.place / "content" / "deep" / "old").write_text("old")
    sync(runs, f"ls > {tmp_path}/listed")
    assert (tmp_path / "listed").read_text() == "web\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such cluster >&2; exit 3", "deploy: exit 3: no such cluster"),
        ("exit 1", "deploy: exit 1"),
        ("sleep 300", "deploy: no end within 1s"),
        ("kill -TERM $$", "deploy: killed by SIGTERM"),
    ],
)
def test_a_deployment_that_fails_is_told(runs: Path, script: str, said: str) -> None:
    """With its first line; what runs is what ran."""
    runs.write_text(B)
    deployed = sync(runs, script, deploy_timeout="1s" if "no end" in said else "60s")
    assert deployed == Deployed(B, Reading(Health.DEGRADED, said))
    assert sync(runs) == Deployed(A, replaced=B)


@pytest.mark.parametrize(("before", "said"), [(B, "bbbbbbb runs"), (None, "nothing is deployed")])
def test_only_observe_says_that_it_is_deployed(runs: Path, before: str | None, said: str) -> None:
    """A `deploy` that ends well proves nothing."""
    if before:
        runs.write_text(before)
    deployed = command.sync({**settings(runs), "deploy": ["true"]}, SUBJECT, Files())
    assert deployed == Deployed(before, Reading(Health.PROGRESSING, f"deploy ended well, but observe says that {said}"))


def test_nothing_is_deployed_where_nobody_can_say_what_runs(runs: Path) -> None:
    """It might run already."""
    runs.write_text("what?")
    with pytest.raises(TemporaryError, match="observe: `revision` is 40 hex digits"):
        sync(runs)
    assert started(runs) == []


def test_files_that_cannot_be_are_not_deployed(runs: Path) -> None:
    """Which no later try mends."""
    content = Files()
    content.files = {b"../x": b""}
    with pytest.raises(ConfigError, match="leads elsewhere"):
        sync(runs, content=content)
    with pytest.raises(ConfigError, match="not a commit"):
        sync(runs, revision="HEAD")
    assert started(runs) == []


def test_the_deadline_ends_all_that_it_started(runs: Path, tmp_path: Path) -> None:
    """However it treats SIGTERM; a service that a good deployment started stays."""
    sync(runs, f"trap '' TERM; sleep 300 & echo $! $$ > {tmp_path}/pids; wait", deploy_timeout="4s")
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())
    sync(runs, f"sleep 300 & echo $! > {tmp_path}/service")
    service = int((tmp_path / "service").read_text())
    try:
        assert not gone(service, tries=1)
        assert sync(runs, revision=B) == Deployed(B, replaced=A)  # which does not hold the place
    finally:
        os.kill(service, signal.SIGKILL)


# --- one at a time --------------------------------------------------------------------------------------------------


def test_another_deployment_at_work_is_waited_for(runs: Path) -> None:
    """Of this environment; others go on. What the other one deployed meanwhile is not deployed again."""
    with workplace.claimed(SUBJECT, timedelta(minutes=1)):
        with pytest.raises(TemporaryError, match="another deployment of this environment is at work"):
            sync(runs)
        other = replace(SUBJECT, environment="prod")
        assert command.sync(settings(runs), other, Files()) == Deployed(A)
        assert sync(runs) == Deployed(A)  # asked first, without the place
    assert started(runs) == [A]


def test_who_came_second_asks_again(runs: Path, tmp_path: Path) -> None:
    """Between the first question and the place it may have been deployed."""
    asked = tmp_path / "asked"
    ask = f'test -e {asked} && echo \'{{"revision": "{A}"}}\' || echo \'{{"revision": null}}\'; touch {asked}'
    done = command.sync({"observe": ["sh", "-c", ask], "deploy": ["touch", str(runs)]}, SUBJECT, Files())
    assert (done, runs.exists()) == (Deployed(A), False)


def test_a_place_held_by_what_a_killed_deployment_started_is_free_in_the_end(runs: Path) -> None:
    """When the program's own deadline has long passed: no human is needed."""
    with workplace.claimed(SUBJECT, timedelta(0)) as claim:
        held = os.open(claim.place / "lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        os.utime(held, (time.time() - 650, time.time() - 650))
        with pytest.raises(TemporaryError, match=r"at work, for 1\dm"):
            sync(runs)
        os.utime(held, (time.time() - 1000, time.time() - 1000))
        assert sync(runs) == Deployed(A)
    finally:
        os.close(held)


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_place_that_others_could_write_to_is_refused(kind: str, runs: Path, temporary: Path, tmp_path: Path) -> None:
    """Temporary folders are everybody's."""
    place = temporary / f"promotion-{os.getuid()}"
    if kind == "open":
        place.mkdir()
        place.chmod(0o777)
    elif kind == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "theirs")
    else:
        place.write_text("")
    with pytest.raises(ConfigError, match="is not a directory of ours alone"):
        sync(runs)


KILLED = """
import sys
from promotion.engines import command
from tests.test_engine_command import SUBJECT, Files, settings
from pathlib import Path
command.sync(settings(Path(sys.argv[1]), sys.argv[2]), SUBJECT, Files(web="1"))
"""


def test_killed_in_the_middle_the_program_goes_on_and_nobody_starts_another(runs: Path, tmp_path: Path) -> None:
    """Half a deployment would be worse. The next round waits for its end, and asks."""
    go, begun = tmp_path / "go", tmp_path / "begun"
    script = f"touch {begun}; while ! test -e {go}; do sleep 0.05; done; test -e web"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(runs), script])
    until(begun.exists)
    process.kill()
    process.wait()
    with pytest.raises(TemporaryError, match="another deployment of this environment is at work"):
        sync(runs)
    go.touch()
    until(runs.exists)
    assert sync(runs) == Deployed(A)
    assert started(runs) == [A]


# --- what is observed: S2 and S3 ------------------------------------------------------------------------------------


def said(health: str | None, revision: str | None = A) -> list[str]:
    words = {"revision": revision, **({"health": health, "reason": f"engine {health}"} if health else {})}
    return ["echo", json.dumps(words)]


@pytest.mark.parametrize(
    ("engine", "checks", "health", "reasons"),
    [
        ("healthy", [0], "healthy", {"engine healthy", "exit 0"}),
        ("healthy", [1], "degraded", {"exit 1"}),
        ("healthy", [0, 2], "unknown", {"exit 2"}),
        ("degraded", [0], "degraded", {"engine degraded"}),
        ("progressing", [0], "progressing", {"engine progressing"}),
        ("suspended", [0], "suspended", {"engine suspended"}),
        ("unknown", [0], "unknown", {"engine unknown"}),
        ("missing", [0], "missing", {"engine missing"}),
        (None, [0], "healthy", {"exit 0"}),
        (None, [2], "unknown", {"exit 2"}),
        ("healthy", "engine", "healthy", {"engine healthy"}),
        ("degraded", "engine", "degraded", {"engine degraded"}),
        (None, "engine", "unknown", {"health: engine, and the engine says nothing about health"}),
        ("healthy", "none", "unknown", {"health: none, so nothing says that it is healthy"}),
        ("degraded", "none", "degraded", {"engine degraded"}),
    ],
)
def test_the_worst_answer_wins(
    build: Any, tmp_path: Path, engine: str | None, checks: Any, health: str, reasons: set[str]
) -> None:
    """S3: what the engine says and what checks say must both be good; without checks the file says in words what counts."""
    own = environment(tmp_path, "dev")
    stage: Stage = build(own)
    asked = (
        ()
        if isinstance(checks, str)
        else tuple(Spec("command", {"command": ["sh", "-c", f"exit {n}"]}) for n in checks)
    )
    spec = Spec("command", {"observe": said(engine, stage.tip("dev")), "deploy": ["false"]})
    stage.change("dev", engine=spec, health=asked, engine_says=checks == "engine")
    seen = stage.round(sync=False).world.observations["dev"]
    assert (seen.revision, seen.health, set(seen.reasons)) == (stage.tip("dev"), health, reasons)


@pytest.mark.parametrize("words", ["{}", '{"revision": "HEAD", "health": "healthy"}', "not json", ""])
@pytest.mark.parametrize("engine_says", [True, False])
def test_where_it_cannot_be_asked_nothing_is_recorded(
    build: Any, tmp_path: Path, words: str, engine_says: bool
) -> None:
    """S3, and the line says of whom and why."""
    stage: Stage = build(environment(tmp_path, "dev"))
    stage.change(
        "dev", engine=Spec("command", {"observe": ["echo", words], "deploy": ["false"]}), engine_says=engine_says
    )
    world = stage.round(sync=False).world
    assert world.observations == {}
    assert str(world.unread["dev"]).startswith("dev could not be read: observe: ")
    assert "observed dev" not in stage.events()


def test_a_revision_that_changes_while_it_is_asked_about(build: Any, tmp_path: Path, runs: Path) -> None:
    """S2: the checks' answers are about nobody knows what; and what the engine says afterwards counts too."""
    stage: Stage = build(environment(tmp_path, "dev"))
    runs.write_text(A)
    change = Spec("command", {"command": ["sh", "-c", f"echo {B} > {runs}"]})
    stage.change("dev", engine=Spec("command", settings(runs)), health=(change,))
    assert "changed while it was read" in str(stage.round(sync=False).world.unread["dev"])
    asked = tmp_path / "asked"
    ask = (
        f'test -e {asked} && h=degraded || h=healthy; touch {asked}; echo \'{{"revision": "{A}", "health": "\'$h\'"}}\''
    )
    stage.change("dev", engine=Spec("command", {"observe": ["sh", "-c", ask], "deploy": ["false"]}),
                 health=(Spec("command", {"command": ["true"]}),))  # fmt: skip
    assert stage.round(sync=False).world.observations["dev"].health is Health.DEGRADED


def test_nothing_deployed_is_never_healthy(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an engine says of it."""
    stage: Stage = build(environment(tmp_path, "dev"))
    stage.change("dev", engine=Spec("command", {"observe": ["true"], "deploy": ["false"]}), engine_says=True)
    monkeypatch.setattr(command, "observe", lambda *_: Deployed(None, Reading(Health.HEALTHY, "fine")))
    assert stage.round(sync=False).world.observations["dev"].health is Health.MISSING


# --- rounds ---------------------------------------------------------------------------------------------------------


def test_a_deployment_that_fails_is_tried_again_after_a_pause_that_grows(
    build: Any, tmp_path: Path, runs: Path
) -> None:
    """Said in every round; another commit is tried at once, and a new process knows of no pause."""
    stage: Stage = build(environment(tmp_path, "dev"))
    stage.change("dev", engine=Spec("command", settings(runs, "exit 3")))
    tries = []
    for _ in range(100):
        done = stage.round()
        tip = stage.tip("dev")
        assert [str(e) for e in done.errors] == [f"dev: {short(tip)} could not be deployed: deploy: exit 3"]
        assert done.errors[0].exit_status == 75
        tries.append(len(started(runs)))
        stage.wait(seconds=9)
    # in rounds of 10 s: at once, then after 30 s, 1 m, 2 m, 4 m, 8 m
    assert [tries.index(n) for n in range(1, 6)] == [0, 3, 9, 21, 45]
    assert tries[-1] == 6
    stage.commit("dev", {"web": "2"})
    stage.round()
    assert len(started(runs)) == 7
    stage.now -= timedelta(days=3)  # a clock that was put back
    stage.round()
    assert len(started(runs)) == 8
    stage.site = stage.open()
    stage.round()
    assert len(started(runs)) == 9
    stage.change("dev", engine=Spec("command", settings(runs)))
    stage.wait(minutes=11)
    assert stage.round().errors == ()
    assert stage.site.late == {}


def test_what_was_deployed_by_hand_is_said_and_put_back(
    build: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen although nobody pushed, said as long as it is so, put back, and recorded."""
    stage: Stage = build(environment(tmp_path, "dev"), environment(tmp_path, "qa", "dev"))
    first = stage.tip("dev")
    for name in ("dev", "qa"):
        stage.change(
            name,
            engine=Spec("command", settings(tmp_path / f"runs-{name}")),
            health=(Spec("command", {"command": ["true"]}),),
        )
    stage.round()
    tip = stage.commit("dev", {"web": "2"})
    assert stage.round(sync=False, land_hops=False).world.observations["dev"].reasons == ("exit 0",)  # new: not astray
    stage.round()
    by_hand = tmp_path / "runs-dev"
    assert by_hand.read_text().strip() == tip
    by_hand.write_text(first)
    words = f"runs {short(first)}, which is not env/dev's {short(tip)}: deployed by hand?"
    for _ in range(2):
        seen = stage.round(sync=False, land_hops=False).world.observations["dev"]
        assert (seen.revision, seen.health, seen.reasons) == (first, Health.HEALTHY, ("exit 0", words))
    stage.round(land_hops=False)
    assert f"dev: put back {short(tip)}, where {short(first)} ran" in caplog.text
    assert by_hand.read_text().strip() == tip
    of_dev = [event for event in stage.events() if event.endswith(" dev")]
    assert of_dev[-3:] == ["observed dev", "observed dev", "reverted dev"]
    stage.round(land_hops=False)
    assert stage.events().count("reverted dev") == 1


def test_it_is_said_again_where_the_ledger_forgets(build: Any, tmp_path: Path, runs: Path) -> None:
    """Where nothing is promoted from, facts about what ran before are dropped with the next reading."""
    stage: Stage = build(environment(tmp_path, "dev"))
    first, tip = stage.tip("dev"), stage.commit("dev", {"web": "2"})
    stage.change("dev", engine=Spec("command", settings(runs)), health=(Spec("command", {"command": ["true"]}),))
    stage.round()
    for before in (2, 1):
        runs.write_text(first)
        for _ in range(before):
            seen = stage.round(sync=False).world.observations["dev"]
            assert seen.reasons[1:] == (f"runs {short(first)}, which is not env/dev's {short(tip)}: deployed by hand?",)
        stage.round()
    assert stage.events().count("reverted dev") == 2


def test_a_commit_of_no_branch_is_said_and_qualifies_nothing(build: Any, tmp_path: Path) -> None:
    """Not even one that nobody knows."""
    stage: Stage = build(environment(tmp_path, "dev"), environment(tmp_path, "qa", "dev"))
    stage.change(
        "dev", engine=Spec("command", {"observe": said("healthy", B), "deploy": ["true"]}), health=(), engine_says=True
    )
    stage.commit("dev", {"web": "2"})
    done = stage.round(sync=False)
    words = f"runs {short(B)}, which is not on env/dev: deployed by hand, or the branch was rewound?"
    assert done.world.observations["dev"].reasons == ("engine healthy", words)
    assert done.plans["qa"].verdict == "wait"
    assert "was not yet observed in dev" in done.plans["qa"].reason
    failing = stage.round()
    assert "deploy ended well, but observe says that bbbbbbb runs" in str(failing.errors[0])
    assert "reverted dev" not in stage.events()


# --- a whole walk ---------------------------------------------------------------------------------------------------

DEPLOY = """\
#!/bin/sh
set -e
place=$1
echo "$PROMOTION_REVISION" >> "$place.started"
grep -q broken web 2>/dev/null && {{ echo "the chart is broken" >&2; exit 3; }}
new="$place.new"
rm -rf "$new"
mkdir -p "$new"
git --git-dir='{origin}' archive "$PROMOTION_REVISION" | tar -x -C "$new"
diff -r . "$new"
echo "$PROMOTION_REVISION" > "$new/.revision"
rm -rf "$place"
mv "$new" "$place"
"""
OBSERVE = """\
import json, pathlib, sys
place = pathlib.Path(sys.argv[1])
if not place.exists():
    print(json.dumps({"revision": None}))
    sys.exit()
well = "ok" in (place / "health").read_text()
said = {"health": "healthy"} if well else {"health": "degraded", "reason": "the health file is sick"}
print(json.dumps({"revision": (place / ".revision").read_text().strip(), **said}))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """dev -> qa -> prod, each deployed by programs beside the file: `git archive` into a folder."""
    made = Shop(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/deploy").write_text(DEPLOY.format(origin=made.origin.path))
    (tmp_path / "bin/deploy").chmod(0o755)
    (tmp_path / "bin/observe.py").write_text(textwrap.dedent(OBSERVE))
    (tmp_path / "at").mkdir()
    place = str(tmp_path / "at" / "{environment}")
    for name in ("dev", "qa", "prod"):
        engine = {
            "type": "command",
            "deploy": ["bin/deploy", place],
            "observe": [sys.executable, str(tmp_path / "bin/observe.py"), place],
        }
        made.set(name, engine=engine, health="engine")
    return made


def deployed(shop: Shop) -> dict[str, str]:
    return {
        path.name: (path / "web").read_text() for path in (shop.folder / "at").iterdir() if (path / "web").is_file()
    }


def test_a_change_walks_to_prod(shop: Shop) -> None:
    """Whoever pushed: `run --sync` deploys each branch, the engine's own word verifies."""
    shop.round()
    shop.push("dev", {"web": "2\n"})
    hops = [hop["environment"] for _ in range(3) for hop in shop.round()]
    shop.round()
    assert hops == ["qa", "prod"]
    assert deployed(shop) == {"dev": "2\n", "qa": "2\n", "prod": "2\n"}
    assert [event for event in shop.events() if event.startswith("verified")] == ["verified qa", "verified prod"]
    told = (shop.folder / "at/qa.started").read_text().split()
    assert len(told) == len(set(told)) == 2
    status = shop("--json", "status").json["applications"][0]["environments"]
    assert {e["environment"]: (e["deployed"], e["health"]) for e in status} == {
        name: (shop.tip(name), "healthy") for name in ("dev", "qa", "prod")
    }
    assert shop("audit").status == 0
    assert shop("validate", "--online").status == 0


def test_what_is_sick_by_its_own_word_goes_nowhere(shop: Shop) -> None:
    """The engine's word alone decides with `health: engine`."""
    shop.round()
    shop.push("dev", {"web": "2\n", "health": "sick\n"})
    shop.round()
    assert shop.round() == []
    plan = shop("plan", "qa")
    assert plan.status == 4
    assert "degraded in dev (the health file is sick)" in plan.out


def test_a_persons_push_is_deployed_by_sync(shop: Shop) -> None:
    """On any branch; and once."""
    shop("sync")
    hotfix = shop.push("prod", {"web": "hot\n"})
    done = shop("--json", "sync", "prod")
    assert done.status == 0
    assert (done.json["environments"][0]["deployed"], done.json["environments"][0]["health"]) == (hotfix, "healthy")
    assert deployed(shop) == {"prod": "hot\n"}
    shop("sync")
    assert len((shop.folder / "at/prod.started").read_text().split()) == 2


def test_a_deployment_that_fails_is_an_error_of_the_command(shop: Shop) -> None:
    """75, the program's first line, and what runs goes on; the next one mends it."""
    shop("sync")
    shop.push("dev", {"web": "broken\n"})
    line = f"dev: {short(shop.tip('dev'))} could not be deployed: deploy: exit 3: the chart is broken"
    failed: Said = shop("sync", "dev")
    assert failed.status == 75
    assert line in failed.err
    again = shop("--json", "run", "--sync")
    assert again.status == 75
    assert [e["where"] for e in again.json["errors"]] == ["dev"]
    shop.push("dev", {"web": "mended\n"})
    assert shop("sync", "dev").status == 0
    assert deployed(shop) == {"dev": "mended\n"}


def test_a_deployment_by_hand_is_said_and_put_back(shop: Shop) -> None:
    """`observe` says it without any sync, `sync` puts it back, and a round records that."""
    shop.push("dev", {"web": "2\n"})
    shop.round()
    by_hand = shop.folder / "at/dev/.revision"
    old = "".join(shop.origin.git("rev-parse", "env/dev~1").split())
    by_hand.write_text(old)
    words = f"runs {short(old)}, which is not env/dev's {short(shop.tip('dev'))}: deployed by hand?"
    assert words in shop("observe", "dev").out
    assert words in shop("observe", "dev").out
    assert words in shop("--json", "status", "dev").json["applications"][0]["environments"][0]["reasons"]
    synced = shop("-v", "sync", "dev")
    assert f"put back {short(shop.tip('dev'))}, where {short(old)} ran" in synced.err
    assert words not in synced.out
    by_hand.write_text(old)
    shop.round()
    assert by_hand.read_text().strip() == shop.tip("dev")
    history = shop("history", "dev").out
    assert f"{short(shop.tip('dev'))} again, where {short(old)} ran" in history


def test_looking_does_not_deploy(shop: Shop) -> None:
    """Nor does a dry run, nor a round without --sync."""
    for words in (["status", "--live"], ["plan", "qa", "--live"], ["observe"], ["run"], ["run", "--sync", "--dry-run"]):
        shop(*words)
    assert list((shop.folder / "at").iterdir()) == []


def until(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
