"""`credentials`: what may be written, and who uses which. No token is read, and none is repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promotion.checks import command
from promotion.config import parse
from promotion.config.credentials import GIVEN_TO_OTHERS
from promotion.errors import ConfigError
from promotion.model import Application, Credential

PATH = Path("/srv/shop/environments.yaml")
URL = "https://git.example.com/shop.git"


def file(*environments: dict[str, Any], **top: Any) -> bytes:
    """dev -> qa -> prod with these keys; JSON is YAML."""
    more = [*environments, {}, {}, {}]
    written = [
        {
            "name": name,
            "branch": name,
            **({"from": source} if source else {}),
            "engine": {"type": "directory", "path": f"/srv/{{application}}/{name}"},
            "health": "none",
            **more[i],
        }
        for i, (name, source) in enumerate([("dev", None), ("qa", "dev"), ("prod", "qa")])
    ]
    head = {} if "applications" in top else {"repository": URL}
    return json.dumps({"version": 1, **head, "environments": written, **top}).encode()


def application(text: bytes) -> Application:
    return parse(text, PATH).applications[0]


def names(app: Application) -> list[str]:
    """Who reads, then who pushes into dev, qa and prod."""
    return [str(c) for c in (app.credential, *(e.credential for e in app.environments))]


def test_who_uses_which() -> None:
    """Each environment its own, else the application's; reading: the application's, else the first one's, else git's."""
    mine = {"credentials": {"token_env": "QA_TOKEN"}}
    top = {"token_file": "secrets/token"}
    assert names(application(file())) == ["None"] * 4
    assert names(application(file({}, mine))) == ["token_env QA_TOKEN", "None", "token_env QA_TOKEN", "None"]
    whole = "token_file /srv/shop/secrets/token"
    assert names(application(file({}, mine, credentials=top))) == [whole, whole, "token_env QA_TOKEN", whole]
    entry = {"applications": [{"repository": URL, "credentials": top}]}
    assert names(application(file(**entry))) == [whole] * 4


def test_credentials_decide_nothing() -> None:
    """Another token is no other plan, and no other configuration."""
    plain, named = application(file()), application(file({}, {"credentials": {"token_env": "QA_TOKEN"}}))
    assert plain.in_force == named.in_force
    assert [e.deciding for e in plain.environments] == [e.deciding for e in named.environments]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"token": "s3cret"}, "$.credentials.token: unknown key; did you mean `token_env`?"),
        ({"token_envs": "S3CRET"}, "$.credentials.token_envs: unknown key; did you mean `token_env`?"),
        ({}, "$.credentials: empty: at least one entry is needed"),
        (
            {"token_env": "A", "token_file": "b"},
            "$.credentials: `token_env` and `token_file` both: write one of them",
        ),
        ({"token_env": "glpat-s3cret"}, "$.credentials.token_env: not the name of a variable: letters, digits"),
        ({"token_env": "ghp_s3cret"}, "$.credentials.token_env: not the name of a variable: letters, digits"),
        ({"token_env": "PATH"}, "$.credentials.token_env: `PATH` is handed to every program that is started"),
        ({"token_file": "~/token"}, "$.credentials.token_file: `~` is not filled in here: write the whole path"),
        ({"token_file": ""}, "$.credentials.token_file: empty: at least one character is needed"),
        ("s3cret", "$.credentials: a mapping belongs here"),
        ({"token_env": ["s3cret"]}, "$.credentials.token_env: a text belongs here"),
    ],
)
def test_each_mistake_is_one_clear_line(written: Any, problem: str) -> None:
    """Beside the repository; what may be a token is not repeated."""
    with pytest.raises(ConfigError) as caught:
        parse(file(credentials=written), PATH)
    (line,) = caught.value.problems
    assert problem in line
    assert "s3cret" not in line


@pytest.mark.parametrize("url", ["/srv/shop.git", "file:///srv/shop.git", "ssh://git@h/shop.git", "git@h:shop.git"])
def test_only_http_takes_a_token(url: str) -> None:
    """At the environment that names one, and at the application."""
    with pytest.raises(ConfigError) as caught:
        parse(file({}, {"credentials": {"token_env": "A"}}, repository=url, credentials={"token_env": "B"}), PATH)
    text = "only http(s):// repositories take a token, and shop's is none"
    assert sorted(line.split(": ", 1)[1] for line in caught.value.problems) == [
        f"$.credentials: {text}",
        f"$.environments[1].credentials: {text}",
    ]


def test_not_beside_applications() -> None:
    """There each entry has its own."""
    with pytest.raises(ConfigError) as caught:
        parse(file(applications=[{"repository": URL}], credentials={"token_env": "A"}), PATH)
    (line,) = caught.value.problems
    assert "$.credentials: cannot stand beside `applications`" in line


def test_no_variable_that_others_are_given() -> None:
    """What checks and git are given could not be kept from them."""
    known = (*command.PASSED, "GIT_SSH_COMMAND", "GIT_TRACE2_EVENT", "SSH_TOKEN", "GIT_AUTHOR_NAME", "https_proxy")
    assert [name for name in known if not GIVEN_TO_OTHERS.fullmatch(name)] == []
    assert Credential(token_env="GIT_TOKEN") == application(file(credentials={"token_env": "GIT_TOKEN"})).credential
