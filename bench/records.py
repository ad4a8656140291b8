"""Long ledgers, written as orchestrators would over years, by one fast-import."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.hop import PLAIN, _git
from promotion.events import Event, fold
from promotion.state import State, to_json

START = datetime(2026, 1, 1, tzinfo=UTC)


def write(origin: Path, application: str, events: Iterable[Event]) -> None:
    """The ledger of an application as `promotion.ledger.append` would write it, event by event."""
    state, ref, out = State(application), f"refs/heads/promotion/{application}", list[bytes]()
    for event in events:
        state = fold(state, event)
        message = f"{event.subject}\n\n[skip ci]\n".encode() + dumped(event.to_json())
        at = b"b <b@example.com> %d +0000" % event.at.timestamp()
        out.append(b"commit %s\nauthor %s\ncommitter %s\ndata %d\n%s\n" % (ref.encode(), at, at, len(message), message))
        content = dumped(to_json(state))
        out.append(b"M 100644 inline state.json\ndata %d\n%s\n" % (len(content), content))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=origin, env=PLAIN, check=True, input=b"".join(out))


def dumped(data: Any) -> bytes:
    return (json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")


def promoted(path: Path, changes: int) -> tuple[str, list[tuple[str, str, str]], dict[str, str]]:
    """A bare repository in which so many changes of one file went dev -> qa -> prod.

    Returns the first commit, each change's commits in dev, qa and prod, and the trees of all commits.
    """
    path.mkdir(parents=True)
    _git(path, "init", "-q", "--bare", "-b", "main")
    _git(path, "config", "gc.auto", "0")
    rows: list[tuple[str, str, str]] = []
    words = ["git", "fast-import", "--quiet", "--done"]
    with subprocess.Popen(words, cwd=path, env=PLAIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:
        assert git.stdin is not None
        assert git.stdout is not None
        tips, ask, tell = {"dev": 1, "qa": 1, "prod": 1}, git.stdin, git.stdout
        ask.write(commit(b"env/dev", 1, 1, b"start", b"") + b"get-mark :1\n")
        ask.flush()
        first = tell.readline().decode().strip()
        for number in range(changes):
            made = [""]
            for place, name in enumerate(tips):
                mark = 2 + 3 * number + place
                parents = b"from :%d\n" % tips[name] + (b"merge :%d\n" % (mark - 1) if place else b"")
                message = _message(number, name, made[-1]) if place else b"change"
                ask.write(
                    commit(b"env/" + name.encode(), mark, number + 2, message, parents) + b"get-mark :%d\n" % mark
                )
                ask.flush()
                made.append(tell.readline().decode().strip())
                tips[name] = mark
            rows.append((made[1], made[2], made[3]))
        ask.write(b"done\n")
        ask.flush()
    trees = dict(line.split() for line in _git(path, "log", "--all", "--format=%H %T").splitlines())
    return first, rows, trees


def _message(number: int, name: str, source: str) -> bytes:
    said = {"Plan": plan_id(number, name), "Application": "shop", "Environment": name, "Source": source}
    said["Attempt"] = plan_id(number, name)[32:]
    return b"shop\n\n" + "".join(f"Promotion-{key}: {value}\n" for key, value in said.items()).encode()


def plan_id(number: int, name: str) -> str:
    return f"{number:063x}{name == 'qa':d}"


def commit(branch: bytes, mark: int, number: int, message: bytes, parents: bytes) -> bytes:
    """One commit of a fast-import, which changes one of 500 files."""
    person, content = b"b <b@example.com> %d +0000" % (1_600_000_000 + number), b"replicas: %d\n" % number
    head = b"commit refs/heads/%s\nmark :%d\nauthor %s\ncommitter %s\n" % (branch, mark, person, person)
    file = b"M 100644 inline apps/%d.yaml\ndata %d\n%s\n" % (number % 500, len(content), content)
    return head + b"data %d\n%s\n" % (len(message), message) + parents + file


def configured(application: str, in_force: Any) -> Event:
    return Event("configured", application, None, START, "bench", {"in_force": in_force, "reason": "first use"})


def walk(
    application: str, commits: Iterable[tuple[str, str, str]], trees: dict[str, str], first: str
) -> Iterator[Event]:
    """A change a minute walks dev -> qa -> prod: (dev's commit, qa's, prod's) -> 8 events. `trees` has each promotion's."""
    base, tips = {"qa": first, "prod": first}, {"qa": first, "prod": first}
    for number, (dev, qa, prod) in enumerate(commits):
        at = START + timedelta(minutes=number + 1)
        yield _seen(application, "dev", dev, at)
        for name, source, made in (("qa", dev, qa), ("prod", qa, prod)):
            data = {
                "plan_id": f"{number:063x}{name == 'qa':d}",
                "commit": made,
                "source": source,
                "tree": trees.get(made, ""),
            }
            data |= {
                "base": base[name],
                "target": tips[name],
                "until": f"{at + timedelta(minutes=15):%FT%TZ}",
            }
            yield Event("promoted", application, name, at, "bench", data, id=plan_id(number, name)[32:])
            yield _seen(application, name, made, at)
            yield Event("verified", application, name, at, "bench", {"commit": made, "reasons": []})
            base[name], tips[name] = source, made
        yield Event("observed", application, None, at, "bench", {"environments": ["dev", "qa", "prod"]})


def _seen(application: str, environment: str, commit: str, at: datetime) -> Event:
    return Event(
        "observed", application, environment, at, "bench", {"revision": commit, "health": "healthy", "reasons": []}
    )
