"""The engine `flux` in environments.yaml: what is filled in, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.written import dump, env, file, parse, wrong

FLUX = {"type": "flux", "kustomization": "{application}"}


def settings(**more: Any) -> dict[str, Any]:
    (one,) = parse(dump(file(env(engine={**FLUX, **more}, health="engine")))).applications[0].environments
    assert one.engine.type == "flux"
    return dict(one.engine.settings)


def test_what_is_written() -> None:
    """Placeholders are filled in, and files are relative to this one."""
    assert settings() == {"kustomization": "shop"}
    assert settings(kustomization=["{application}-{environment}", "db"])["kustomization"] == ["shop-dev", "db"]
    assert settings(context="qa", kubeconfig="clusters/qa")["kubeconfig"] == "/srv/conf/clusters/qa"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kustomization": None}, "engine.kustomization: missing"),
        ({"kustomization": []}, "engine.kustomization: empty: at least one entry is needed"),
        ({"kustomization": ["a", 7]}, "engine.kustomization[1]: "),
        ({"refresh": "webhook"}, "engine.refresh: `webhook` is not known here (none, annotate)"),
        ({"kubeconfig": "~/.kube/qa"}, "engine.kubeconfig: `~` is not filled in here: write the whole path"),
        ({"kustomisation": "a"}, "engine.kustomisation: unknown key; did you mean `kustomization`?"),
        ({"kustomization": "{app}"}, "engine.kustomization: no placeholder `{app}`"),
    ],
    ids=str,
)
def test_what_is_refused(more: dict[str, Any], words: str) -> None:
    """Each with its place."""
    engine = {key: value for key, value in {**FLUX, **more}.items() if value is not None}
    assert any(words in line for line in wrong(file(env(engine=engine, health="engine"))))
