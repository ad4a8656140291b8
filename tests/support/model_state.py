"""Whether the folded state that the product keeps says what its records say."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.model import Model


def compare(model: Model, application: str, tip: str) -> None:
    """state.json says what the records say."""
    files = model.objects.files(model.objects.commit(tip).tree)
    state = json.loads(model.objects.raw(files["state.json"][1]))
    for name, said in state["environments"].items():
        known = model.known[application, name]
        release = said.get("release")
        assert (release and (release["commit"], release["source"])) == known.release
        pieces = [model.objects.raw(files[f"holds/{name}/{n}"][1]) for n in range(said.get("pieces", 0))]
        holds = [hold for piece in pieces for hold in json.loads(piece)] + said["holds"]
        assert [h["commit"] for h in holds if "plan_id" not in h] == list(known.holds)
        noes = [(model.plans[h["plan_id"]], h["by"].lower()) for h in holds if "plan_id" in h]
        assert noes == list(known.rejected)
        words = {(model.plans[a[0]], a[2]): (a[3], datetime.fromisoformat(a[4])) for a in said.get("answers", ())}
        assert words == known.said
        assert bool(said["frozen"]) == known.frozen
        assert bool(said["frozen"] and said["frozen"]["strict"]) == known.strict
        assert {oid: fact[0] for oid, fact in said["facts"].items()}.items() <= known.word.items()
        seen = said.get("observed")
        assert (seen and (seen["revision"], seen["health"])) == known.seen
        watched = said.get("verification")
        assert (watched and (watched["commit"], watched["state"])) == (
            (known.watched, known.outcome) if known.watched else None
        )
