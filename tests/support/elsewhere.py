"""dev -> qa in the hands of a controller that is not ours: what every one of them has to show in a pipeline and on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from promotion.model import Environment, Health, Spec
from tests.support.shop import Shop
from tests.support.stage import Stage

Deploy = Callable[[str], None]
"""Makes what an environment's branch has now what runs there, and well."""


def watched(kind: str, settings: Mapping[str, Any], name: str, before: str | None = None, **more: Any) -> Environment:
    """An environment of which its engine says all there is."""
    deciding = {"branch": f"env/{name}", "health": "engine", **({"from": before} if before else {})}
    engine = Spec(kind, settings)
    return Environment(name, f"env/{name}", before, engine=engine, engine_says=True, deciding=deciding, **more)


def promoted(stage: Stage, deploy: Deploy) -> tuple[str, str, str]:
    """A change is well in dev and lands in qa: what qa had before, dev's commit, and what qa has been given."""
    stage.round()
    before, commit = stage.tip("qa"), stage.commit("dev", {"web": "2\n"})
    assert stage.round().hops == (), "it does not run in dev yet"
    deploy("dev")
    (hop,) = stage.round().hops
    assert hop.commit == stage.tip("qa") != before
    return before, commit, stage.tip("qa")


def on_its_way(stage: Stage, landed: str) -> None:
    """After a round it is progressing in qa, and not verified."""
    stage.round()
    assert stage.health("qa") == (landed, Health.PROGRESSING)
    assert "verified qa" not in stage.events()


def arrives(stage: Stage, deploy: Deploy, landed: str) -> None:
    """Deployed and well, it is verified in the next round."""
    deploy("qa")
    well(stage, landed)


def well(stage: Stage, commit: str) -> None:
    """After a round it is healthy in qa, and verified."""
    stage.round()
    assert stage.health("qa") == (commit, Health.HEALTHY)
    assert stage.events()[-1] == "verified qa"


def rolled_back(stage: Stage, bad: str) -> str:
    """After a round what qa was given has failed, and is rolled back: the commit that does it."""
    stage.round()
    assert stage.tip("qa") != bad
    assert "failed qa" in stage.events()
    return stage.tip("qa")


def is_no_loop_of_ours(shop: Shop, kind: str) -> None:
    """What others deploy is left out by `sync`, and refused where qa is named."""
    said = shop("sync", "qa")
    assert said.status == 2
    assert f"qa: {kind} deploys it, and no sync loop of ours" in said.err
    assert "promotion observe qa" in said.err
    assert [row["environment"] for row in shop("--json", "sync").json["environments"]] == ["dev", "prod"]
    assert shop("run", "--sync").status == 0


def told(shop: Shop, **engine: Any) -> dict[str, Any]:
    """What `validate --online` says of qa with these settings of its engine."""
    shop.set("qa", engine={**shop.settings["qa"]["engine"], **engine})
    (found,) = [row for row in shop("--json", "validate", "--online").json["checks"] if row["what"] == "qa"]
    assert isinstance(found, dict)
    return found


def is_fault(found: Mapping[str, Any], words: str) -> None:
    """One that says what is wrong, and how to mend it."""
    assert found["verdict"] == "fault"
    assert words in found["reason"]
    assert found["fix"]
