"""Which rule judges which kind: users' own, those of Kubernetes, those of health.yaml; reads nothing but that file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from promotion.health.expressions import EXPRESSIONS, Written

STORED = Path(__file__).parent.parent / "health.yaml"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Rules by kind: `GROUP/Kind` (`Kind` for the core group), `GROUP/*`, and `*.GROUP/*` for all groups below one."""

    named: Mapping[str, Written] = field(default_factory=dict)
    below: tuple[tuple[str, Written], ...] = ()
    """(`.GROUP`, rule), the longest first."""

    def find(self, group: str, kind: str) -> Written | None:
        for name in (f"{group}/{kind}" if group else kind, f"{group}/*"):
            if rule := self.named.get(name):
                return rule
        return next((rule for suffix, rule in self.below if group.endswith(suffix)), None)


@dataclass(frozen=True, slots=True)
class Rules:
    """What `judge` goes by."""

    own: Shelf
    stored: Shelf


def rules(written: Sequence[Mapping[str, Any]] = ()) -> Rules:
    """All rules; `written` are users' own entries of `health_rules`, schema-checked, which come before all others."""
    return Rules(_shelf(written), _stored())


@cache
def _stored() -> Shelf:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return _shelf(yaml.load(STORED.read_bytes(), loader))


def _shelf(written: Iterable[Mapping[str, Any]]) -> Shelf:
    named: dict[str, Written] = {}
    for entry in written:
        rule = Written(*(entry.get(key, "") for key in (*EXPRESSIONS, "message")))
        named.update(dict.fromkeys(entry["kinds"], rule))
    below = [(name[1:-2], rule) for name, rule in named.items() if name.startswith("*.")]
    return Shelf(named, tuple(sorted(below, key=lambda each: -len(each[0]))))
