"""prefect.yaml, which people copy: it deploys what `promotion serve` serves, and needs nothing but the installed package."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.deployments.runner import RunnerDeployment

from flows.deployments import deployments
from promotion.config import load

ROOT = Path(__file__).parents[1]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text())
SERVED = {d.name: d for d in deployments(load(ROOT / "environments.yaml"))}


def test_it_deploys_what_is_served() -> None:
    """The same names; and nothing is pulled, since the flows are in the package."""
    assert [d["name"] for d in FILE["deployments"]] == list(SERVED)
    assert FILE["pull"] == []


@pytest.mark.parametrize("deployment", FILE["deployments"], ids=lambda d: d["name"])
def test_each_is_as_served(deployment: dict[str, Any]) -> None:
    """Flow, parameters, tags, text and limit; only where they run differs."""
    served: RunnerDeployment = SERVED[deployment["name"]]
    flow = pkgutil.resolve_name(":".join(deployment["entrypoint"].rsplit(".", 1)))
    assert isinstance(flow, Flow)
    assert flow.name == served.flow_name
    assert served.entrypoint == deployment["entrypoint"]
    assert deployment["parameters"].keys() == served.parameters.keys()
    assert deployment["tags"] == served.tags
    assert (served.description or "").startswith(deployment["description"])
    assert deployment["work_pool"]["name"] == "promotion"
    limit = deployment.get("concurrency_limit", {})
    assert limit.get("limit") == served.concurrency_limit
    strategy = served.concurrency_options.collision_strategy if served.concurrency_options else None
    assert limit.get("collision_strategy") == (strategy.value if strategy else None)
