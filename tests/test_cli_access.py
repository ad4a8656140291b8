"""What `validate --online` says of each credential: what it is for, whether it may write, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_git import Fault, GitHost, Token
from tests.support.shop import Shop

QA = Token("qa-bot", "qa-s3cret", write=("env/qa", "promotion/*"))
PROD = Token("prod-bot", "prod-s3cret", write=("env/prod", "promotion/*"))
READER = Token("reader", "reader-s3cret")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHost]:
    for token in (QA, PROD, READER):
        monkeypatch.setenv(token.who.upper().replace("-", "_"), token.secret)
    with GitHost(tmp_path, [QA, PROD, READER]) as host:
        yield host


@pytest.fixture
def shop(host: GitHost, tmp_path: Path) -> Shop:
    """dev -> qa -> prod over HTTP: qa by a variable, prod by a file; what is written to the ledger alone is qa's."""
    (tmp_path / "prod.token").write_text(PROD.secret)
    tokens = {"qa": {"token_env": "QA_BOT"}, "prod": {"token_file": "prod.token"}}
    shop = Shop(tmp_path, **{name: {"credentials": where} for name, where in tokens.items()})
    shop.top["repository"] = host.url("shop")
    shop.write()
    return shop


def rows(shop: Shop) -> tuple[int, list[Any]]:
    """The exit status, and each right without its reasons."""
    said = shop("--json", "validate", "--online")
    keys = ("environment", "purpose", "credential", "may_write")
    return said.status, [tuple(row[key] for key in keys) for row in said.json["access"]]


def test_each_purpose_has_a_credential(shop: Shop, tmp_path: Path) -> None:
    """Who reads, who writes the ledger alone, who each branch with it. Nothing is changed."""
    before = shop.origin.refs()
    file = f"token_file {tmp_path}/prod.token"
    assert rows(shop) == (
        0,
        [
            (None, "read", "token_env QA_BOT", None),
            (None, "promotion/shop alone", "token_env QA_BOT", True),
            ("qa", "env/qa and promotion/shop", "token_env QA_BOT", True),
            ("prod", "env/prod and promotion/shop", file, True),
        ],
    )
    said = shop("validate", "--online")
    assert "shop         prod         env/prod and promotion/shop  " + file in said.out
    assert "yes, unless a rule says no" in said.out
    assert shop.origin.refs() == before


def test_a_credential_that_only_reads(shop: Shop) -> None:
    """It is named, with what to do; the others are asked all the same."""
    shop.set("qa", credentials={"token_env": "READER"})
    status, found = rows(shop)
    assert (status, [row[3] for row in found]) == (2, [None, False, False, True])
    said = shop("validate", "--online").out
    assert "! token_env READER: put a token into the variable READER that is valid there and may do this" in said
    assert "403" in said
    assert said.count("put a token into the variable READER") == 1


def test_a_token_that_is_not_there(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset variable, a file that is gone: each is said, also when nothing can be read."""
    (tmp_path / "prod.token").unlink()
    said = shop("validate", "--online")
    assert said.status == 2
    assert f"token_file {tmp_path}/prod.token: no such file" in said.out
    monkeypatch.delenv("QA_BOT")
    status, found = rows(shop)
    assert (status, [row[3] for row in found]) == (2, [None, False, False, False])
    said = shop("validate", "--online")
    assert "! token_env QA_BOT: export QA_BOT=..., where this is started" in said.out


def test_without_credentials_it_is_gits_own(shop: Shop, host: GitHost) -> None:
    """As on a path; and there is nothing to look for."""
    host.tokens = []
    for name in ("qa", "prod"):
        shop.settings[name].pop("credentials")
    shop.write()
    assert {row[2] for row in rows(shop)[1]} == {"git's own"}


def test_a_server_that_is_away_is_no_fault_of_a_credential(shop: Shop, host: GitHost) -> None:
    """Nobody was asked."""
    host.faults.append(Fault(status=503))
    status, found = rows(shop)
    assert (status, [row[3] for row in found]) == (2, [None] * 4)


def test_a_rule_for_a_branch_is_not_known_before_a_push(shop: Shop, host: GitHost) -> None:
    """It says so, and the push says which credential it was: 2, and nothing moved."""
    host.tokens = [QA, Token("prod-bot", PROD.secret, write=("promotion/*",))]
    assert rows(shop)[1][3][3] is True
    reasons = {row["reason"] for row in shop("--json", "validate", "--online").json["access"]}
    assert "the host takes its pushes; rules for single branches show only when something is pushed" in reasons
    assert shop.round() == []
    shop.push("dev", {"web": "2\n"})
    assert [hop["environment"] for hop in shop.round()] == ["qa"]
    before = shop.tip("prod")
    said = shop("run", "--sync")
    assert said.status == 2
    assert "prod-bot may not write refs/heads/env/prod" in said.err
    assert f"may token_file {shop.folder}/prod.token push there?" in said.err
    assert shop.tip("prod") == before
