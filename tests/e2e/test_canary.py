"""S15 through Prefect: what its database, artifacts, logs and pages keep of a served hop has no token in any form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, Serving, until
from tests.support.canary import Watch, searched
from tests.support.hosted import Hosted
from tests.support.http_git import GitHost, Token

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
TOKENS = {name: f"canary/{name}+c41d7be2905a36f8-{name}=" for name in ("ledger", "qa", "prod")}


def test_no_token_is_anywhere_in_prefect(
    server: Server, serve: Callable[..., Serving], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hops into qa and prod with a token each, one refused by the host, and a run by hand; then everything is searched."""
    (tmp_path / "secret").write_text(TOKENS["prod"])
    work = tmp_path / "work"
    shop = Hosted.create(
        work,
        "canary",
        qa={"credentials": {"token_env": "QA_CANARY"}},
        prod={"credentials": {"token_file": str(tmp_path / "secret")}},
    )
    rights = [Token(name, secret, write=(f"env/{name}", "promotion/*")) for name, secret in TOKENS.items()]
    with GitHost(work, rights) as host, Watch(list(TOKENS.values())) as watch:
        config = json.loads(shop.file.read_text())
        config |= {"repository": host.url("canary"), "credentials": {"token_env": "LEDGER_CANARY"}}
        shop.file.write_text(json.dumps(config))
        with monkeypatch.context() as only:  # nothing else that this test starts has them
            only.setenv("QA_CANARY", TOKENS["qa"])
            only.setenv("LEDGER_CANARY", TOKENS["ledger"])
            serving = serve(shop)
        shop.commit("dev", {"web": "2\n"})
        until(lambda: [c for c in shop.origin.log("env/prod") if "Promotion-Plan" in c.trailers])
        host.tokens = [rights[0], Token("qa", TOKENS["qa"], write=("promotion/*",))]
        shop.commit("dev", {"web": "3\n"})
        failed = until(lambda: [run for run in server.runs("canary") if run["state_type"] == "FAILED"])[0]
        assert "qa may not write refs/heads/env/qa" in failed["state"]["message"]
        until(lambda: server.artifacts("board-canary"))
        assert serving.end() == 0
        assert {"ledger", "qa", "prod"} <= {asked.who for asked in host.asked}
    assert watch.leaks == set()
    assert "git-remote-http" in watch.seen
    for folder in (server.home, work):
        count, hits = searched(folder, TOKENS.values())
        assert hits == {}
        assert count > 20
    assert searched(serving.log.parent, [TOKENS["qa"], TOKENS["ledger"]])[1] == {}
