"""The playground: a real repository, three real services, a real Prefect server, and a change that walks through them.

Everything is below one folder and on free ports of this machine; nothing is left running.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import promotion
from flows import addresses
from flows.serve import free_port
from promotion import answers, config, ledger, observe, reconcile
from promotion.errors import TemporaryError
from promotion.events import Event
from promotion.model import Entry, Environment, Pipeline
from promotion.repository import Git, Repository, Update
from promotion.repository.objects import EMPTY_TREE
from promotion.sites import open_site
from promotion.texts import short

Say = Callable[[str], None]

DEVELOPER = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Dana Developer"), ("EMAIL", "dana@example.com"))
}
FIRST = {
    "README.md": "The shop's environments: each branch is the released revision of this same tree.\n",
    "base/web.yaml": "image: shop/web:1.0.0\nmemory: 256Mi\n",
    "overlays/dev/replicas.yaml": "replicas: 1\n",
    "overlays/qa/replicas.yaml": "replicas: 1\n",
    "overlays/prod/replicas.yaml": "replicas: 4\n",
}
PATIENCE = 180
"""Seconds for one act of the play."""


def release(name: str, image: str, sick_in: tuple[str, ...] = ()) -> dict[str, str]:
    """The files of one release of the shop; `sick_in` makes its service answer 503 in these environments."""
    return {
        "base/web.yaml": f"image: shop/web:{image}\nmemory: 256Mi\n",
        "release.json": json.dumps({"name": name, "sick_in": list(sick_in)}, indent=1) + "\n",
    }


def fill_in(text: str, ports: Mapping[str, int]) -> str:
    """The top-level environments.yaml with only ports and paths filled in; everything is beside the file itself."""
    for port, free in ports.items():
        text = re.sub(rf"\b{port}\b", str(free), text)
    return text.replace(".demo/", "./")


def template() -> str:
    """environments.yaml as it lies at the top of a checkout, or in the installed package."""
    beside = Path(__file__).with_name("environments.yaml")
    return (beside if beside.exists() else Path(promotion.__file__).parents[1] / "environments.yaml").read_text("utf-8")


def demo(folder: Path, *, environ: Mapping[str, str], say: Say, table: Callable[[Path], None], stay: bool) -> int:
    """Plays the demo in `folder`, which is made anew; with `stay` it goes on until it is interrupted.

    `say` prints a line, `table` prints the status of a configuration file. Returns the exit status.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    folder = folder.absolute()
    ours = {
        "PROMOTION_USER": "demo@example.com",
        "PROMOTION_CACHE": str(folder / "cache"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DO_NOT_TRACK": "1",
        "TMPDIR": str(folder / "tmp"),
    }
    environ = {key: value for key, value in environ.items() if not key.startswith("PREFECT_")} | ours
    with ExitStack() as stack:
        stage = _build(folder, environ, stack, say)
        stack.enter_context(_interruptible())
        try:
            return _play(stage, say, table, stay)
        except KeyboardInterrupt:
            say("\nstopping the services and Prefect, a few seconds")
    say(
        "stopped"
        if stage.done
        else "stopped before its end: the same command plays it anew, make demo-clean removes it"
    )
    return 0 if stage.done else 130


@dataclass
class _Stage:
    """What is up while the demo runs."""

    folder: Path
    config: Path
    pipeline: Pipeline
    repository: Repository
    environ: Mapping[str, str]
    address: str
    """Of the Prefect server."""
    told: int = 0
    done: bool = False


def _build(folder: Path, environ: Mapping[str, str], stack: ExitStack, say: Say) -> _Stage:
    text = template()
    ports = {port: free_port() for port in sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text)))}
    file = folder / "environments.yaml"
    file.write_text(fill_in(text, ports), "utf-8")
    pipeline = config.load(file)
    app = pipeline.applications[0]
    repository = stack.enter_context(
        Repository(app.repository, Git({**environ, **DEVELOPER}, folder / "cache"), folder / "cache")
    )
    _make_repository(Path(app.repository), Git(environ, folder / "cache"))
    first = _commit(repository, [e.ref for e in app.environments], FIRST | release("first", "1.0.0"), "shop 1.0.0")
    say(
        f"repository   {_near(Path(app.repository))}, a bare one: branches {', '.join(e.branch for e in app.environments)} at {short(first)}"
    )
    for environment in app.environments:
        url = environment.health[0].settings["url"]
        port = re.findall(r":(\d+)", url)[0]
        place = environment.engine.settings["path"]
        _child(
            stack,
            [sys.executable, "-m", "flows.demo_service", place, port],
            environ,
            folder / f"{environment.name}.log",
        )
        say(f"{environment.name:<12} {url} is served out of {_near(Path(place))}/current")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environ = {**environ, "PREFECT_SERVER_API_PORT": str(port)}
    base = [sys.executable, "-m", "promotion.cli", "-c", str(file)]
    serve = [*base, "serve", "--with-server", "--sync", "--every", "1s"]
    options = json.dumps({"config": str(file), "argv": serve})
    _child(stack, [sys.executable, "-m", "flows.entry", "server", options], environ, folder / "serve.log")
    say(f"prefect      {address} is starting (about 10 s); its log is {_near(folder / 'serve.log')}")
    return _Stage(folder, file, pipeline, repository, environ, address)


def _near(path: Path) -> str:
    """A path as a person here would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _make_repository(path: Path, git: Git) -> None:
    path.mkdir(parents=True)
    answer = git.run(path, "init", "--quiet", "--bare", "--template=", str(path))
    if answer.status:
        raise TemporaryError(answer.said, where=str(path))


def _commit(repository: Repository, refs: list[str], files: Mapping[str, str], message: str) -> str:
    """What a developer does: one commit on top of what is there, pushed to these branches."""
    tips = repository.refresh(refs)
    old = tips[refs[0]]
    objects = repository.objects
    changes = {path.encode(): Entry(0o100644, objects.write_blob(text.encode())) for path, text in files.items()}
    tree = objects.write_tree(objects.commit(old).tree if old else EMPTY_TREE, changes)
    commit = repository.commit_tree(tree, [old] if old else [], message, datetime.now(UTC))
    said = repository.push([Update(ref, tips[ref], commit) for ref in refs])
    if repository.refresh(refs)[refs[0]] != commit:
        raise TemporaryError(f"the demo's own push did not land: {said}", where=repository.url)
    return commit


def _child(stack: ExitStack, words: list[str], environ: Mapping[str, str], log: Path) -> None:
    """Starts a process, in a group of its own, and sees to its end; it ends by itself when its standard input does."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, env=dict(environ), stdin=subprocess.PIPE, stdout=file, stderr=file, start_new_session=True
        )
    stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        process.stdin.close()


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: everything is stopped first."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- the play ------------------------------------------------------------------------------------------------------


def _play(stage: _Stage, say: Say, table: Callable[[Path], None], stay: bool) -> int:
    root, *_, last = stage.pipeline.applications[0].environments
    say("")
    _follow(stage, say, lambda e: _healthy(e, last.name))
    say("\nA change is pushed to dev, and walks by itself:")
    good = _commit(stage.repository, [root.ref], release("faster checkout", "1.1.0"), "web 1.1.0: faster checkout")
    say(f"  {_now()}  {root.name:<5} {short(good)} pushed by dana: web 1.1.0: faster checkout")
    _follow(stage, say, lambda e: (e.event, e.environment) == ("verified", "qa"))
    _asks(stage, say, last, stay)
    over = ("verified", "rejected") if stay else ("verified",)
    _follow(stage, say, lambda e: e.event in over and e.environment == last.name, patient=stay)
    say("\nA sick release is pushed to dev: its service fails in qa, so prod never sees it:")
    bad = _commit(stage.repository, [root.ref], release("new cache", "1.2.0", ("qa",)), "web 1.2.0: new cache")
    say(f"  {_now()}  {root.name:<5} {short(bad)} pushed by dana: web 1.2.0: new cache")
    _follow(stage, say, lambda e: (e.event, e.environment) == ("failed", "qa"))
    time.sleep(2)  # two rounds in which nothing may pass
    say(f"  {_now()}  {last.name:<5} keeps what it has\n")
    table(stage.config)
    _end_note(stage, say, good, stay)
    stage.done = True
    while stay:
        time.sleep(3600)
    return 0


def _asks(stage: _Stage, say: Say, target: Environment, stay: bool) -> None:
    """Says where the second person answers; without a terminal there is none, so the demo answers as one."""
    app, deadline = stage.pipeline.applications[0], time.monotonic() + PATIENCE
    while (found := addresses.asked(stage.address, app.name)) is None and time.monotonic() < deadline:
        time.sleep(0.3)
    if found is None:
        raise _in_vain(stage)
    (who,) = (target.approval or {})["from"]
    command = f"PROMOTION_USER={who} {_command(stage)} approve {found.plan[:8]}"
    where = "or, typed in another terminal, in this folder:" if stay else "or:"
    say(f"  {_now()}  {target.name:<5} waits for {who}, since dana wrote it: the button Resume of")
    for line in (found.page, where, command):
        say(f"{' ' * 18}{line}")
    if not stay:
        site = open_site(app, stage.environ)
        with site.repository:
            reconcile.approve(
                site, answers.plan(site, observe.survey(site), target), who=who, reason="the demo's own yes"
            )


def _healthy(event: Event, environment: str) -> bool:
    return (event.event, event.environment, event.data.get("health")) == ("observed", environment, "healthy")


def _follow(stage: _Stage, say: Say, until: Callable[[Event], bool], *, patient: bool = False) -> None:
    """Says what happens, as the ledger records it, until an event that ends the act; a person may take any time."""
    app = stage.pipeline.applications[0]
    deadline = time.monotonic() + PATIENCE
    with open_site(app, stage.environ).repository as repository:
        while patient or time.monotonic() < deadline:
            tip = repository.refresh([], [app.ledger])[app.ledger]
            fresh = list(ledger.events(repository, tip))[::-1]
            for _, event in fresh[stage.told :]:
                stage.told += 1
                if line := _line(stage, event):
                    say(f"  {event.at.astimezone():%H:%M:%S}  {event.environment:<5} {line}")
                if until(event):
                    return
            time.sleep(0.3)
    raise _in_vain(stage)


def _in_vain(stage: _Stage) -> TemporaryError:
    hint = f"less {_near(stage.folder / 'serve.log')}"
    return TemporaryError(f"the demo waited {PATIENCE} s in vain", where=_near(stage.folder), hint=hint)


def _line(stage: _Stage, event: Event) -> str | None:
    """One event for somebody who sees this for the first time; None where it would only be noise."""
    data = event.data
    if event.event == "observed" and event.environment:
        why = "" if data["health"] == "healthy" else f": {'; '.join(data['reasons'])}"
        return (
            f"{short(data['revision'])} is {data['health']}{why}" if data["health"] in ("healthy", "degraded") else None
        )
    if event.event == "promoted":
        return f"<- {short(data['source'])} merged as {short(data['commit'])} by {_run_of(stage, event)}"
    if event.event in ("approved", "rejected"):
        return f"{event.event} by {event.by}"
    if event.event in ("verified", "failed", "timed-out", "held"):
        return f"{short(data['commit'])} {event.event}"
    return None


def _run_of(stage: _Stage, event: Event) -> str:
    """The Prefect run that made a hop: its name and its page."""
    app = stage.pipeline.applications[0]
    environment = app.environment(event.environment or "")
    name = f"{app.name}: {environment.name} <- {environment.source} {short(event.data['source'])}"
    page = addresses.page_of(stage.address, name)
    return f"the run\n{' ' * 18}{page}" if page else "the round loop itself"


def _now() -> str:
    return f"{datetime.now():%H:%M:%S}"


def _command(stage: _Stage) -> str:
    name = "promotion" if shutil.which("promotion") else _near(Path(sys.executable).with_name("promotion"))
    return f"{name} -c {_near(stage.config)}"


def _end_note(stage: _Stage, say: Say, good: str, stay: bool) -> None:
    command = _command(stage)
    say(f"\nPrefect UI   {stage.address}/runs{'' if stay else ' (while the demo runs)'}")
    say("type next")
    for words in ("plan prod", "history --limit 10", f"where {short(good)}"):
        say(f"  {command} {words}")
    say(
        "Ctrl-C ends it; make demo-clean removes it"
        if stay
        else "ended: no terminal to stay for; make demo-clean removes it"
    )
