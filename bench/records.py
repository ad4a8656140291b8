"""Long ledgers, written as orchestrators would over years, by one fast-import."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.hop import PLAIN
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


def configured(application: str, in_force: Any) -> Event:
    return Event("configured", application, None, START, "bench", {"in_force": in_force, "reason": "first use"})


def walk(application: str, commits: Iterable[tuple[str, str, str]], trees: dict[str, str]) -> Iterator[Event]:
    """A change a minute walks dev -> qa -> prod: (dev's commit, qa's, prod's) -> 8 events. `trees` has each promotion's."""
    base = {"qa": "", "prod": ""}
    tips = {"qa": "", "prod": ""}
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
                "base": base[name] or source,
                "target": tips[name] or source,
                "until": f"{at + timedelta(minutes=15):%FT%TZ}",
            }
            yield Event("promoted", application, name, at, "bench", data, id=f"{number:031x}{name == 'qa':d}")
            yield _seen(application, name, made, at)
            yield Event("verified", application, name, at, "bench", {"commit": made, "reasons": []})
            base[name], tips[name] = source, made
        yield Event("observed", application, None, at, "bench", {"environments": ["dev", "qa", "prod"]})


def _seen(application: str, environment: str, commit: str, at: datetime) -> Event:
    return Event(
        "observed", application, environment, at, "bench", {"revision": commit, "health": "healthy", "reasons": []}
    )
