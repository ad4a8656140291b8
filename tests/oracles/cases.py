"""The cases, read as upstream's parser reads them, and our answer to each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from promotion.health import judge, rules
from promotion.model import Health, Reading

ROOT = Path(__file__).resolve().parents[2]
PLACES = tuple(folder / "shared" / "oracles" / "health" for folder in (ROOT.parent, Path("/work")))
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORDS = {
    "Healthy": Health.HEALTHY,
    "Current": Health.HEALTHY,
    "Progressing": Health.PROGRESSING,
    "InProgress": Health.PROGRESSING,
    "Terminating": Health.PROGRESSING,
    "Degraded": Health.DEGRADED,
    "Failed": Health.DEGRADED,
    "Suspended": Health.SUSPENDED,
    "Missing": Health.MISSING,
    "Unknown": Health.UNKNOWN,
}
EXPRESSIONS = {"failed": "degraded", "inProgress": "progressing", "current": "healthy"}


@dataclass(frozen=True, slots=True)
class Case:
    """One object, what its own project says of it (None: nothing), and what we say."""

    id: str
    source: str
    kind: str
    expected: Health | None
    reading: Reading

    @property
    def agrees(self) -> bool:
        return not self.false_healthy if self.expected is None else self.reading.health is self.expected

    @property
    def false_healthy(self) -> bool:
        return self.reading.health is Health.HEALTHY and self.expected is not Health.HEALTHY

    @property
    def missed_healthy(self) -> bool:
        return self.reading.health is not Health.HEALTHY and self.expected is Health.HEALTHY


def folder() -> Path | None:
    """Where the oracles are, if they are."""
    return next((place for place in PLACES if (place / "index.jsonl").is_file()), None)


@cache
def cases() -> tuple[Case, ...]:
    """All of them, judged."""
    place = folder()
    assert place is not None
    lines = (place / "index.jsonl").read_text("utf-8").splitlines()
    return tuple(_case(json.loads(line), place) for line in lines)


def _case(entry: Mapping[str, Any], place: Path) -> Case:
    live = read((place / entry["file"]).read_text("utf-8"))
    own = []
    if "exprs" in entry:  # a rule of a user's, for an object without a kind
        own = [{"kinds": ["*/*"], **{EXPRESSIONS[word]: text for word, text in entry["exprs"].items()}}]
        live = {"apiVersion": "*/v1", "kind": "*", **live}
    expected = WORDS.get(entry["expected"], Health.UNKNOWN if "error" in entry else None)
    kind = f"{live.get('apiVersion')} {live.get('kind')}"
    return Case(entry["id"], entry["source"], kind, expected, judge(live, rules(own), NOW))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Times stay texts, as in JSON."""


_LEFT_OUT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in _LEFT_OUT]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.2 as sigs.k8s.io/yaml reads it: `yes` and `on` are texts.
for first in "yYnNoO":
    _Loader.yaml_implicit_resolvers[first] = [
        (tag, pattern) for tag, pattern in _Loader.yaml_implicit_resolvers.get(first, []) if not tag.endswith(":bool")
    ]


def read(text: str) -> Any:
    """The first object of a file."""
    return next(yaml.load_all(text.replace("@NOW@", NOW.strftime("%Y-%m-%dT%H:%M:%SZ")), _Loader))


def table() -> Iterator[str]:
    """The lines of the table in docs/health.md."""
    yield "| source | cases | agree | healthy or not agrees | false healthy | missed healthy |"
    yield "| --- | --- | --- | --- | --- | --- |"
    found = cases()
    for source in (*dict.fromkeys(case.source for case in found), "all"):
        own = [case for case in found if source in (case.source, "all")]
        false, missed = sum(c.false_healthy for c in own), sum(c.missed_healthy for c in own)
        gate = len(own) - false - missed
        share = f"{gate} ({100 * gate / len(own):.1f} %)"
        yield f"| {source} | {len(own)} | {sum(c.agrees for c in own)} | {share} | {false} | {missed} |"
