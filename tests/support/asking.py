"""An environment that asks people, with the round loop of it and whoever runs requests: approvals in Prefect without a process of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow

from flows import deployments
from flows.api import Api
from flows.approve import approve
from flows.rounds import Loop, Prefect, one_round
from promotion import answers, ledger, observe
from promotion.config import load
from promotion.events import Event
from promotion.observe import Site
from promotion.sites import open_sites
from promotion.view import Plan
from tests.support.hosted import Hosted

ALICE, BOB, CAROL, DAVE = (f"{name}@example.com" for name in ("alice", "bob", "carol", "dave"))


@dataclass
class Asking:
    """dev -> qa, which asks people; with the round loop of it, and whoever runs requests."""

    shop: Hosted
    client: SyncPrefectClient
    loop: Loop

    @property
    def site(self) -> Site:
        return self.loop.site

    def change(self, text: str = "2\n", **more: Any) -> str:
        """Somebody pushes to dev, and it is observed there."""
        commit = self.shop.commit("dev", {"web": text}, **more)
        self.round(2)
        return commit

    def round(self, count: int = 1) -> None:
        for _ in range(count):
            self.loop.prefect.look()
            one_round([self.loop])

    def requests(self) -> list[FlowRun]:
        """All of them, the oldest first."""
        found = self.client.read_flow_runs(limit=200, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        return [run for run in found if "approve" in run.name]

    def hops(self) -> list[FlowRun]:
        """The runs of `promote`, the oldest first."""
        found = self.client.read_flow_runs(limit=200, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        return [run for run in found if "by_hand" in run.parameters]

    def leg(self, run: FlowRun | None = None) -> FlowRun:
        """Runs a request, the newest one, as far as it goes by itself."""
        run = run or self.requests()[-1]
        with suppress(Pause):
            run_flow(approve, flow_run=self.client.read_flow_run(run.id), return_type="state")
        return self.client.read_flow_run(run.id)

    def asked(self) -> FlowRun:
        """A change, and its request with the form up."""
        self.change()
        return self.leg()

    def resume(self, run: FlowRun, **typed: Any) -> SetStateStatus:
        status: SetStateStatus = self.client.resume_flow_run(run.id, run_input=typed).status
        return status

    def answer(self, run: FlowRun, decision: str, who: str, **more: Any) -> FlowRun:
        """Somebody fills in the form, and the request goes on."""
        assert self.resume(run, decision=decision, who=who, **more) == SetStateStatus.ACCEPT
        return self.leg(run)

    def page(self, run: FlowRun) -> dict[str, Any]:
        """The request's page."""
        (found,) = self.client.request(
            "POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [str(run.id)]}}}
        ).json()
        return dict(found)

    def form(self, run: FlowRun) -> dict[str, Any]:
        """The form that is up."""
        with Api(30) as api:
            kept = api.kept(run.id)
        newest = sum(key.endswith("-schema") for key in kept) - 1
        return dict(json.loads(kept[f"suspended-answer-{newest}-schema"]))

    def plan(self) -> Plan:
        environment = self.site.application.environment("qa")
        return answers.plan(self.site, observe.survey(self.site), environment)

    def events(self, *kinds: str) -> list[Event]:
        """What was recorded of these kinds, the oldest first."""
        tip = observe.survey(self.site).ledger
        return [e for _, e in ledger.events(self.site.repository, tip) if e.event in kinds][::-1]


@contextmanager
def askers(folder: Path, client: SyncPrefectClient) -> Iterator[Callable[..., Asking]]:
    """Makes them, with the variables of this process; the settings are those of the gate, `qa` further keys of qa, `top` of the file."""
    with ExitStack() as opened:

        def make(*, top: Mapping[str, Any] | None = None, qa: Mapping[str, Any] | None = None, **gate: Any) -> Asking:
            rules = {"type": "approval", "from": [ALICE, BOB, CAROL], **{k.rstrip("_"): v for k, v in gate.items()}}
            shop = Hosted.create(folder / "shop", qa={"gates": [rules], **(qa or {})})
            configure(shop, **(top or {}))
            for deployment in deployments.deployments(load(shop.file)):
                deployment.apply()
            (site,) = opened.enter_context(open_sites(load(shop.file), os.environ))
            api = opened.enter_context(Api(30))
            return Asking(shop, client, Loop(site, Prefect(api, shop.config), sync=False))

        yield make


def configure(shop: Hosted, **keys: Any) -> None:
    """Further keys of the file."""
    shop.file.write_text(json.dumps(json.loads(shop.file.read_text()) | keys))
