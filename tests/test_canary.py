"""S15, as a whole: nothing that a run writes, says or starts has a token in it, in any form (Prefect: `e2e/test_canary`)."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.canary import Watch, found, searched, spies, told
from tests.support.http_git import Fault, GitHost, Token
from tests.support.shop import Shop

TOKENS = {name: f"canary/{name}+7f3a9c51e2d84b60-{name}=" for name in ("ledger", "qa", "prod", "wrong")}
NOISY = {"GIT_TRACE": "1", "GIT_TRACE_CURL": "1", "GIT_TRACE_REDACT": "0", "GIT_CURL_VERBOSE": "1"}


def test_the_search_finds_every_form() -> None:
    """A search that cannot find is none: plain, quoted, and base64 wherever it begins."""
    secret = TOKENS["qa"]
    texts = [secret, quote(secret, safe=""), *(b64encode(f"{'x' * n}{secret}yz".encode()).decode() for n in range(5))]
    texts += [b64encode(f"x-access-token:{secret}".encode()).decode()]
    assert [found(f"a{text}b".encode(), TOKENS.values()) for text in texts] == [[secret]] * len(texts)
    assert found(b"canary/qa+7f3a9c51e2d84b6", TOKENS.values()) == []


def test_the_watch_sees_arguments_and_variables(tmp_path: Path) -> None:
    """And so do the spies; looked for in the objects of a repository too."""
    secret = TOKENS["qa"]
    with Watch([secret]) as watch:
        for words, environ in ((["sleep", "0.2"], {"A": secret}), (["sh", "-c", "sleep 0.2; true", secret], {})):
            subprocess.run(words, env={**os.environ, **environ}, check=True)
    assert {kind for kind, _ in watch.leaks} == {"arguments", "variables"}
    bin_ = spies(tmp_path / "spies", "true")
    subprocess.run([str(bin_ / "true"), secret], check=True)
    assert told(tmp_path / "spies", [secret]) == {"true": [secret]}
    shop = Shop(tmp_path / "shop")
    shop.push("dev", {"leak": secret})
    _, hits = searched(tmp_path / "shop", [secret])
    assert list(hits) == [f"objects of {shop.origin.path}"]


def shop_with_tokens(folder: Path, host: GitHost, secrets: Path) -> Shop:
    """qa by a variable, prod by a file, reading and the ledger by a third; each switch runs a program of the operator."""
    secrets.mkdir()
    (secrets / "prod").write_text(TOKENS["prod"])
    shop = Shop(
        folder,
        qa={"credentials": {"token_env": "QA_TOKEN"}},
        prod={"credentials": {"token_file": str(secrets / "prod")}},
    )
    for settings in shop.settings.values():
        settings["engine"] |= {"reload": ["env"]}
    shop.top |= {"repository": host.url("shop"), "credentials": {"token_env": "LEDGER_TOKEN"}}
    shop.write()
    host.tokens = [
        Token("ledger", TOKENS["ledger"], write=("promotion/*",)),
        Token("qa", TOKENS["qa"], write=("env/qa", "promotion/*")),
        Token("prod", TOKENS["prod"], write=("env/prod", "promotion/*")),
    ]
    return shop


@pytest.mark.timeout(300)
def test_no_token_is_anywhere(tmp_path: Path, home: Path) -> None:
    """Every command, also with -v and as JSON, with wrong and missing tokens, refusals, cut connections, and git's tracing on."""
    bin_ = spies(tmp_path / "spies", "git", "grep", "env")
    variables = {"QA_TOKEN": TOKENS["qa"], "LEDGER_TOKEN": TOKENS["ledger"], "PATH": f"{bin_}:{os.environ['PATH']}"}
    outputs = tmp_path / "work/outputs"
    outputs.mkdir(parents=True)
    with GitHost(tmp_path / "work") as host, Watch(list(TOKENS.values())) as watch:
        shop = shop_with_tokens(tmp_path / "work", host, tmp_path / "secrets")

        def said(*words: str, status: int = 0, **environ: str) -> str:
            done = subprocess.run(
                [sys.executable, "-m", "promotion.cli", "-c", str(shop.file), *words],
                env={**os.environ, **NOISY, **variables, **environ},
                capture_output=True,
                text=True,
                check=False,
            )
            (outputs / f"{len(list(outputs.iterdir())):02}").write_text(f"{words}\n{done.stdout}\n{done.stderr}")
            assert done.returncode == status, done.stderr
            return done.stdout + done.stderr

        said("validate", "--online")
        assert "git ls-remote" in said("-v", "run", "--sync")
        shop.push("dev", {"web": "2\n"})
        said("sync", "dev")
        host.faults.append(Fault("git-receive-pack", status=403, times=1))
        assert "asked with" in said("-v", "promote", "qa", status=2)
        assert "credential was refused; asked with token_env QA_TOKEN" in said(
            "promote", "qa", status=2, QA_TOKEN=TOKENS["wrong"]
        )
        assert "is empty" in said("--json", "promote", "qa", status=2, LEDGER_TOKEN=" ")
        host.faults.append(Fault("POST /shop.git/git-upload-pack", cut_response=30, times=1))
        said("promote", "qa", status=75)
        said("-v", "promote", "qa")
        assert '"environment": "prod"' in said("-v", "--json", "run", "--sync")
        said("--json", "validate", "--online", status=2, QA_TOKEN=TOKENS["wrong"])
        for words in (["status", "--live"], ["--json", "plan", "prod", "--diff"], ["--json", "history"], ["audit"]):
            said(*words)
        said("hold", "prod", shop.tip("qa"), "--reason", "a test")
        assert shop.origin.log("env/prod")[0].subject.startswith("shop: prod <- qa")
        assert {asked.who for asked in host.asked} == {None, "ledger", "qa", "prod"}
    assert watch.leaks == set()
    assert {"git", "git-remote-http"} <= set(watch.seen)
    heard = told(tmp_path / "spies", TOKENS.values())
    assert heard == {"git": [], "grep": [], "env": []}
    for folder, least in ((tmp_path / "work", 40), (home, 20)):
        count, hits = searched(folder, TOKENS.values())
        assert hits == {}
        assert count >= least
