"""Our judgement of health against what other projects' own tests say (../shared/oracles/health)."""

from __future__ import annotations

import pytest

from promotion.model import Health
from tests.oracles.cases import ROOT, Case, cases, folder, table

pytestmark = pytest.mark.skipif(folder() is None, reason="no ../shared/oracles/health beside this checkout")

STRICTER = {"kstatus:TestPodStatus/podCompletedFailed": "Argo CD: a pod that has failed is degraded"}
"""Where kstatus and Argo CD contradict each other: the stricter answer is right, and it is Argo CD's."""
NOT_BUILT_IN = {f"kstatus:TestCRDGenericStatus/{name}": "no rule is unknown" for name in ("crdNoStatus", "crdReady")}


def of(*sources: str) -> list[Case]:
    return [case for case in cases() if case.source in sources]


def test_nothing_is_healthy_that_is_not() -> None:
    """A false healthy is the worst answer there is: none, of all cases."""
    assert [case.id for case in cases() if case.false_healthy] == []


def test_built_in_kinds_agree_exactly() -> None:
    """Each case, but those where kstatus alone is laxer."""
    differing = {case.id for case in of("kstatus", "gitops-engine") if not case.agrees}
    assert differing == STRICTER.keys() | NOT_BUILT_IN.keys()
    assert not [case for case in cases() if case.id in differing and case.reading.health is Health.HEALTHY]


def test_expressions_answer_as_with_flux() -> None:
    """Flux' own table of healthCheckExprs."""
    assert [case.id for case in of("flux-cel") if not case.agrees] == []


def test_nearly_all_agree_whether_it_is_healthy() -> None:
    """What is missed is missed on purpose; docs/health.md says why."""
    found = cases()
    assert sum(case.missed_healthy for case in found) <= len(found) * 5 // 100


def test_the_table_in_the_documentation() -> None:
    """As `make oracles` prints it."""
    text = (ROOT / "docs" / "health.md").read_text("utf-8")
    stands = text.partition("<!-- oracles -->")[2].partition("<!-- /oracles -->")[0]
    assert stands.strip().splitlines() == list(table())
