"""The demo's parts; that it runs is shown in tests/e2e."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from flows.demo import fill_in, release, template
from flows.demo_service import health
from promotion import config


def test_the_demo_runs_on_the_file_at_the_top_with_only_ports_and_paths_filled_in(tmp_path: Path) -> None:
    """Every line that differs has a port or a path of the demo in it, and nothing else in it differs."""
    top = template()
    filled = fill_in(top, {"8101": 50001, "8102": 50002, "8103": 50003})
    for old, new in zip(top.splitlines(), filled.splitlines(), strict=True):
        blank = re.compile(r"\b(810[123]|5000[123])\b|\.demo/|\./")
        assert blank.sub("", old) == blank.sub("", new)
    assert sum(line.startswith("+ ") for line in difflib.ndiff(top.splitlines(), filled.splitlines())) == 8
    (tmp_path / "environments.yaml").write_text(filled)
    pipeline = config.load(tmp_path / "environments.yaml")
    assert pipeline.applications[0].repository == str(tmp_path / "shop.git")


def test_the_service_answers_from_what_is_deployed(tmp_path: Path) -> None:
    """Nothing deployed, well, and sick only where the release says so."""
    place = tmp_path / "qa"
    assert health(place)[0] == 503
    deployed = place / "releases" / ("a" * 40)
    deployed.mkdir(parents=True)
    (place / "current").symlink_to(f"releases/{deployed.name}")
    (deployed / "release.json").write_text(release("x", "1", ("prod",))["release.json"])
    assert health(place) == (200, {"status": "ok", "version": "a" * 40, "release": "x"})
    (deployed / "release.json").write_text(release("x", "1", ("qa",))["release.json"])
    assert health(place)[0] == 503
