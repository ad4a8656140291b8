"""`health_rules`: what is wrong with them, and where they are put."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from promotion.config import healthrules
from promotion.model import Environment, Spec
from tests.support.written import dump, env, file, parse, wrong

RULE = {"kinds": ["example.com/Widget"], "healthy": "condition('Ready') == 'True'"}


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"healthy": "stauts.ready"}, "healthy: no variable `stauts`; did you mean `status`? ("),
        ({"healthy": "condtion('Ready') == 'True'"}, "healthy: no function `condtion`; did you mean `condition`? ("),
        ({"degraded": "status.phase == 'Failed' &&"}, "degraded: not CEL: mismatched input '<EOF>' expecting"),
        ({"message": "'"}, "message: not CEL: "),
        ({"progressing": "status.?phase == 'x'"}, "progressing: not CEL: unsupported syntax '.?' (character 7)"),
        ({"suspended": "has(x)"}, "suspended: not CEL: invalid argument to has() macro"),
        ({"healthy": ""}, "healthy: empty"),
        ({"healthy": None}, "healthy: missing"),
        ({"degradedd": "true"}, "degradedd: unknown key; did you mean `degraded`?"),
        ({"kinds": []}, "kinds: empty"),
        ({"kinds": ["apps/"]}, "kinds[0]: `apps/` is not a kind: "),
        ({"kinds": ["a.b/*", "Pod", "*.c/*", "a.b/*"]}, "kinds[3]: `a.b/*` has a rule already"),
    ],
)
def test_what_is_wrong(rule: dict[str, Any], problem: str) -> None:
    """One line with the place, what it is, and the nearest spelling."""
    written = {key: value for key, value in (RULE | rule).items() if value is not None}
    (line,) = wrong(file(health_rules=[written]))
    assert line.startswith(f"$.health_rules[0].{problem}")


def test_what_is_right() -> None:
    """Variables that an expression binds itself, all that is built in, and another field by `self`."""
    text = "status.conditions.exists(c, c.type == 'Ready' && int(c.status) > 0) && size(self.items) > 0 && 'a'.startsWith('b')"
    parse(dump(file(health_rules=[RULE | {"healthy": text, "message": "string(spec.size)"}])))


def test_who_reads_a_file_with_rules_loads_no_command_line_of_the_language() -> None:
    """It would cost each command as much again as all the rest."""
    code = "import sys; from promotion.health.expressions import wrong; wrong('true'); sys.exit('prompt_toolkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_kind_has_one_rule() -> None:
    """In all of the list."""
    (line,) = wrong(file(health_rules=[RULE, RULE]))
    assert line == "$.health_rules[1].kinds[0]: `example.com/Widget` has a rule already"


def test_where_they_are_put() -> None:
    """Into what judges objects itself, and it decides there; nowhere else."""
    operator = {"type": "kubernetes", "context": "one", "namespace": "shop", "path": "dev"}
    flux = {"type": "flux", "context": "one", "kustomization": "shop", "namespace": "flux-system"}
    look = {"type": "kubernetes", "context": "one", "namespace": "shop", "objects": ["apps/v1/Deployment/web"]}
    environments = (
        env("dev", engine=operator),
        env("qa", from_="dev", engine=flux),
        env("prod", from_="qa", health=[look, {"type": "http", "url": "https://example.com"}], gates=[look]),
        env("last", from_="prod"),
    )

    def made(**more: Any) -> tuple[Environment, ...]:
        return parse(dump(file(*environments, **more))).applications[0].environments

    dev, qa, prod, last = made(health_rules=[RULE])
    assert dev.engine.settings["health_rules"] == qa.engine.settings["health_rules"] == (RULE,)
    assert [spec.settings.get("health_rules") for spec in (*prod.health, *prod.gates)] == [(RULE,), None, (RULE,)]
    assert [place.deciding.get("health_rules") for place in (dev, qa, prod, last)] == [[RULE], [RULE], [RULE], None]
    assert "health_rules" not in {**prod.engine.settings, **last.engine.settings}
    for place in made():
        assert "health_rules" not in {**place.deciding, **place.engine.settings}


@pytest.mark.parametrize(
    ("kind", "kinds", "expected"),
    [
        ("flux", healthrules.ENGINES, True),
        ("kubernetes", healthrules.CHECKS, True),
        ("argocd", healthrules.ENGINES, False),
        ("http", healthrules.CHECKS, False),
    ],
)
def test_who_is_given_them(kind: str, kinds: tuple[str, ...], expected: bool) -> None:
    """Argo CD has customizations of its own."""
    assert ("health_rules" in healthrules.given(Spec(kind), kinds, [RULE]).settings) is expected
    assert healthrules.given(Spec(kind), kinds, []) == Spec(kind)
