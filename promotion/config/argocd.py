"""What a schema cannot say of the engine `argocd`; pure, and must not ask whether anything is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from promotion.config import names
from promotion.config.credentials import wrong_variable
from promotion.config.document import Steps
from promotion.config.written import Finding, Merged


def findings(each: Merged) -> Iterator[Finding]:
    """Which settings do not go together, in one environment."""
    engine, steps = each.filled.get("engine") or {}, each.at("engine")
    if engine.get("type") != "argocd":
        return
    if ("application" in engine) == ("selector" in engine):
        text = "write `application` (a name, or several), or `selector` (labels), and not both"
        yield Finding((*steps, "application"), text)
    yield from _of_access(engine, steps)
    yield from _of_webhook(engine, steps)


def _of_access(engine: Mapping[str, Any], steps: Steps) -> Iterator[Finding]:
    if "server" in engine:
        foreign, why = ("context", "kubeconfig"), "not beside `server`: Argo CD's own API is asked, and no cluster's"
        if wrong := names.url(engine["server"]):
            yield Finding((*steps, "server"), wrong)
    else:
        foreign, why = ("token_env", "token_file"), "only with `server`: without it a cluster is asked, by a kubeconfig"
    for key in foreign:
        if key in engine:
            yield Finding((*steps, key), why, at_key=True)
    yield from _of_secret(engine, steps, "token")


def _of_webhook(engine: Mapping[str, Any], steps: Steps) -> Iterator[Finding]:
    hook, steps = engine.get("webhook") or {}, (*steps, "webhook")
    if engine.get("refresh") != "webhook":
        if hook:
            yield Finding(steps, "is not used without `refresh: webhook`", at_key=True)
        return
    if "url" not in hook and "server" not in engine:
        yield Finding(steps, "missing: write the `url` that push events go to, or a `server`")
    if "url" in hook and (wrong := names.url(hook["url"])):
        yield Finding((*steps, "url"), wrong)
    yield from _of_secret(hook, steps, "secret")


def _of_secret(written: Mapping[str, Any], steps: Steps, what: str) -> Iterator[Finding]:
    variable, file = f"{what}_env", f"{what}_file"
    if variable in written and file in written:
        yield Finding((*steps, file), f"`{variable}` and `{file}` both: write one of them", at_key=True)
    if variable in written and (wrong := wrong_variable(written[variable], what, f"ARGOCD_{what.upper()}")):
        yield Finding((*steps, variable), wrong)
