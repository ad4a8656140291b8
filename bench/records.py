"""Long ledgers, written as orchestrators would over years, by one fast-import."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from bench.hop import PLAIN, git
from promotion.events import Event
from promotion.fold import fold
from promotion.model import Application
from promotion.state import State
from promotion.stored import to_json

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


@dataclass(frozen=True, slots=True)
class Past:
    """A repository whose changes went dev -> qa -> prod."""

    origin: Path
    first: str
    promoted: list[tuple[str, str, str]]
    """What each promoted commit of dev became in dev, qa and prod; oldest first."""
    trees: dict[str, str]
    """Of all commits."""


def promoted(path: Path, changes: int, step: int = 1) -> Past:
    """A bare repository in which every step-th commit of dev was promoted, so many in all."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare", "-b", "main")
    git(path, "config", "gc.auto", "0")
    rows: list[tuple[str, str, str]] = []
    words = ["git", "fast-import", "--quiet", "--done"]
    with subprocess.Popen(words, cwd=path, env=PLAIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        tips, mark = {"dev": 1, "qa": 1, "prod": 1}, 1
        writer.stdin.write(commit(b"env/dev", 1, b"start", b"", range(500)))
        first = _id(writer, 1)
        for number in range(changes):
            changed = range(number * step, (number + 1) * step)
            for n in changed:
                mark += 1
                writer.stdin.write(commit(b"env/dev", mark, b"change", b"from :%d\n" % tips["dev"], [n]))
                tips["dev"] = mark
            made = [_id(writer, mark)]
            for name in ("qa", "prod"):
                parents = b"from :%d\nmerge :%d\n" % (tips[name], mark)
                mark += 1
                message = _message(number, name, made[-1])
                writer.stdin.write(commit(b"env/" + name.encode(), mark, message, parents, changed))
                made.append(_id(writer, mark))
                tips[name] = mark
            rows.append((made[0], made[1], made[2]))
        writer.stdin.write(b"done\n")
        writer.stdin.flush()
    trees = dict(line.split() for line in git(path, "log", "--all", "--format=%H %T").splitlines())
    return Past(path, first, rows, trees)


def _id(writer: subprocess.Popen[bytes], mark: int) -> str:
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(b"get-mark :%d\n" % mark)
    writer.stdin.flush()
    return writer.stdout.readline().decode().strip()


def _message(number: int, name: str, source: str) -> bytes:
    said = {"Plan": plan_id(number, name), "Application": "shop", "Environment": name, "Source": source}
    said["Attempt"] = plan_id(number, name)[32:]
    return b"shop\n\n" + "".join(f"Promotion-{key}: {value}\n" for key, value in said.items()).encode()


def plan_id(number: int, name: str) -> str:
    return f"{number:063x}{name == 'qa':d}"


def commit(branch: bytes, mark: int, message: bytes, parents: bytes, changed: Iterable[int]) -> bytes:
    """One commit of a fast-import, a second after the one before; each number changes one of 500 files."""
    person = b"b <b@example.com> %d +0000" % (1_600_000_000 + mark)
    head = b"commit refs/heads/%s\nmark :%d\nauthor %s\ncommitter %s\n" % (branch, mark, person, person)
    return head + b"data %d\n%s\n" % (len(message), message) + parents + b"".join(map(_file, changed))


def _file(number: int) -> bytes:
    content = b"replicas: %d\n" % number
    return b"M 100644 inline apps/%d.yaml\ndata %d\n%s\n" % (number % 500, len(content), content)


def walk(application: Application, past: Past, most: int | None = None) -> Iterator[Event]:
    """All that was recorded while the changes walked, one a minute: 8 events each, the oldest `most` of them all."""
    return islice(_walk(application.name, application.in_force, past), most)


def _walk(application: str, in_force: Any, past: Past) -> Iterator[Event]:
    yield Event("configured", application, None, START, "bench", {"in_force": in_force, "reason": "first use"})
    for name in ("qa", "prod"):
        data = {"commit": past.first, "source": past.first}
        yield Event("adopted", application, name, START, "bench", data)
    base, tips = {"qa": past.first, "prod": past.first}, {"qa": past.first, "prod": past.first}
    for number, (dev, qa, prod) in enumerate(past.promoted):
        at = START + timedelta(minutes=number + 1)
        yield _seen(application, "dev", dev, at)
        for name, source, made in (("qa", dev, qa), ("prod", qa, prod)):
            data = {
                "plan_id": f"{number:063x}{name == 'qa':d}",
                "commit": made,
                "source": source,
                "tree": past.trees[made],
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
