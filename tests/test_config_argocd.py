"""The engine `argocd` in environments.yaml: what is read, and which settings do not go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promotion import config
from promotion.errors import ConfigError


def parsed(**engine: Any) -> dict[str, Any]:
    """The engine's settings, of one environment."""
    qa = {"name": "qa", "branch": "env/qa", "engine": {"type": "argocd", **engine}, "health": "engine"}
    text = {"version": 1, "name": "shop", "repository": "https://git.example.com/shop.git", "environments": [qa]}
    pipeline = config.parse(json.dumps(text).encode(), Path("/etc/promotion/environments.yaml"))
    return dict(pipeline.applications[0].environments[0].engine.settings)


def test_names_and_files() -> None:
    """Placeholders are filled in, files are relative to the file."""
    assert parsed(application="{application}-{environment}", context="nonprod", kubeconfig="kube/config") == {
        "application": "shop-qa",
        "context": "nonprod",
        "kubeconfig": "/etc/promotion/kube/config",
    }
    hook = {"secret_file": "hook", "url": "https://argo.example.com/api/webhook"}
    server = {"server": "https://argo.example.com", "token_file": "token", "ca_file": "/ca.crt"}
    assert parsed(selector={"app": "{application}"}, refresh="webhook", webhook=hook, **server) == {
        "selector": {"app": "shop"},
        "server": "https://argo.example.com",
        "token_file": "/etc/promotion/token",
        "ca_file": "/ca.crt",
        "refresh": "webhook",
        "webhook": {"secret_file": "/etc/promotion/hook", "url": "https://argo.example.com/api/webhook"},
    }


@pytest.mark.parametrize(
    ("engine", "problem"),
    [
        ({}, "engine.application: write `application` (a name, or several), or `selector` (labels), and not both"),
        ({"application": "a", "selector": {"a": "b"}}, "or `selector` (labels), and not both"),
        ({"application": []}, "engine.application"),
        ({"application": "a", "contxt": "x"}, "engine.contxt: unknown key; did you mean `context`?"),
        ({"application": "a", "refresh": "anotate"}, "did you mean `annotate`?"),
        ({"application": "a", "server": "argo.example.com"}, "engine.server: not an address"),
        ({"application": "a", "server": "https://x:y@argo.example.com"}, "must not hold a password"),
        (
            {"application": "a", "server": "https://argo.example.com", "context": "x"},
            "engine.context: not beside `server`",
        ),
        ({"application": "a", "token_env": "TOKEN"}, "engine.token_env: only with `server`"),
        (
            {"application": "a", "server": "https://argo.example.com", "token_env": "TOKEN", "token_file": "t"},
            "engine.token_file: `token_env` and `token_file` both: write one of them",
        ),
        (
            {"application": "a", "server": "https://argo.example.com", "token_env": "eyJ.x.y"},
            "not the name of a variable",
        ),
        ({"application": "a", "refresh": "webhook"}, "engine.webhook: missing: write the `url` that push events go to"),
        ({"application": "a", "webhook": {"url": "https://x.example.com"}}, "engine.webhook: is not used without"),
        ({"application": "a", "refresh": "webhook", "webhook": {"url": "x"}}, "engine.webhook.url: not an address"),
    ],
)
def test_each_mistake_is_one_clear_line(engine: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(**engine)
    (line,) = caught.value.problems
    assert problem in line
    assert "eyJ" not in line
