"""`health_rules`: users' own rules for the health of kinds, and where they are put; pure, and must not judge an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promotion.config.document import plain
from promotion.config.written import Finding
from promotion.health import expressions
from promotion.model import Spec

KEY = "health_rules"
ENGINES = ("kubernetes", "flux")
"""Those that judge objects themselves; Argo CD has customizations of its own."""
CHECKS = ("kubernetes",)


def findings(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Expressions that are none, and kinds with two rules."""
    seen: set[str] = set()
    for i, rule in enumerate(data.get(KEY) or ()):
        for word in (*expressions.EXPRESSIONS, "message"):
            text = rule.get(word) if isinstance(rule, dict) else None
            if text and (wrong := expressions.wrong(text)):
                yield Finding((KEY, i, word), wrong)
        for j, kind in enumerate(rule.get("kinds", ()) if isinstance(rule, dict) else ()):
            if kind in seen:
                yield Finding((KEY, i, "kinds", j), f"`{plain(kind)}` has a rule already")
            seen.add(kind or "")


def given(spec: Spec, kinds: Sequence[str], rules: Sequence[Mapping[str, Any]]) -> Spec:
    """The same with the rules in its settings, if its kind judges objects and there are any."""
    return Spec(spec.type, {**spec.settings, KEY: tuple(rules)}) if rules and spec.type in kinds else spec
