"""`validate --online` where a cluster deploys: each fault of access is one clear line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubestub import Fault, KubeStub
from tests.support.shop import Shop

URL = "https://git.example.com/deploy/shop.git"
ENGINES: dict[str, dict[str, Any]] = {
    "argocd": {"type": "argocd", "application": "shop-dev", "repository": URL},
    "flux": {"type": "flux", "kustomization": "shop", "repository": URL},
    "kubernetes": {"type": "kubernetes", "namespace": "shop"},
}
SYNC = {"argocd": [], "flux": [], "kubernetes": [("sync", "dev")]}
each_engine = pytest.mark.parametrize("engine", ENGINES)


@dataclass
class Faulty:
    """What a fault is made in."""

    stub: KubeStub
    settings: dict[str, Any]
    patch: pytest.MonkeyPatch


Change = Callable[[Faulty], None]


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    """A cluster in which nothing is."""
    (tmp_path / "stub").mkdir()
    with KubeStub(tmp_path / "stub") as stub:
        yield stub


def no_such_context(at: Faulty) -> None:
    at.settings["context"] = "stob"


def no_context(at: Faulty) -> None:
    del at.settings["context"], at.settings["kubeconfig"]
    at.patch.setenv("KUBECONFIG", str(at.stub.kubeconfig()))


def no_file(at: Faulty) -> None:
    at.settings["kubeconfig"] = str(at.stub.folder / "none")


def expired(at: Faulty) -> None:
    at.stub.tokens = {"another"}


def denied(at: Faulty) -> None:
    at.stub.denied.append("GET /api")


def untrusted(at: Faulty) -> None:
    path = Path(at.settings["kubeconfig"])
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "certificate-authority-data" not in line))


FAULTS: list[tuple[Change, str, str]] = [
    (no_such_context, "kubeconfig: no such context `stob`; did you mean `stub`? (stub)", ""),
    (no_context, "not in a cluster: name a `context` (stub)", ""),
    (no_file, "none: there is no such kubeconfig", ""),
    (
        expired,
        "the credentials are not accepted (401); expired, or for another cluster?",
        "they come from context `stub`",
    ),
    (denied, "may not ", ""),
    (
        untrusted,
        "the server's certificate is not trusted (self-signed certificate)",
        "the authority comes from context `stub`",
    ),
]


def checked(shop: Shop) -> tuple[int, dict[str, Any]]:
    """The exit status, and what is said of dev."""
    said = shop("--json", "validate", "--online")
    assert "Traceback" not in said.err
    return said.status, next(row for row in said.json["checks"] if row["what"] == "dev")


def shop_of(folder: Path, stub: KubeStub, engine: str) -> tuple[Shop, dict[str, Any]]:
    settings = {**ENGINES[engine], "context": "stub", "kubeconfig": str(stub.kubeconfig())}
    return Shop(folder / "shop", dev={"engine": settings, "health": "engine"}), settings


@each_engine
@pytest.mark.parametrize(("change", "said", "fix"), FAULTS, ids=[change.__name__ for change, _, _ in FAULTS])
def test_faults_of_access(
    engine: str, change: Change, said: str, fix: str, stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where, what, what there is; and how to mend it."""
    shop, settings = shop_of(tmp_path, stub, engine)
    change(Faulty(stub, settings, monkeypatch))
    shop.set("dev", engine=settings)
    status, row = checked(shop)
    assert (status, row["verdict"]) == (2, "fault")
    assert said in row["reason"]
    assert "\n" not in row["reason"]
    assert fix in row["fix"]


@each_engine
@pytest.mark.parametrize(("change", "said", "fix"), FAULTS, ids=[change.__name__ for change, _, _ in FAULTS])
def test_who_observes_and_who_deploys_ends_as_the_check_does(
    engine: str, change: Change, said: str, fix: str, stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong in the set-up is not tried again until it works (2, not 75), and is said once."""
    shop, settings = shop_of(tmp_path, stub, engine)
    change(Faulty(stub, settings, monkeypatch))
    shop.set("dev", engine=settings)
    for words in [("observe", "dev"), ("run", "dev"), ("run", "--sync", "dev"), *SYNC[engine]]:
        done = shop(*words)
        assert (words, done.status, done.err.count(said)) == (words, 2, 1)
        assert (words, fix in done.err) == (words, True)


@each_engine
def test_who_is_away_is_said_once_and_tried_again(engine: str, stub: KubeStub, tmp_path: Path) -> None:
    """Also by the loop that deploys, which meets it first."""
    shop, _ = shop_of(tmp_path, stub, engine)
    stub.faults.append(Fault(status=500))
    for words in [("observe", "dev"), ("run", "dev"), ("run", "--sync", "dev"), *SYNC[engine]]:
        done = shop(*words)
        assert (words, done.status, done.err.count("500")) == (words, 75, 1)


@pytest.mark.parametrize(("engine", "kind"), [("argocd", "Application"), ("flux", "Kustomization")])
def test_a_definition_that_is_not_installed(engine: str, kind: str, stub: KubeStub, tmp_path: Path) -> None:
    """Says so, and not that there is none of this name."""
    shop, _ = shop_of(tmp_path, stub, engine)
    for key in [key for key in stub.kinds if key[1] == kind]:
        del stub.kinds[key]
    status, row = checked(shop)
    assert (status, row["verdict"]) == (2, "fault")
    assert "is its CRD installed?" in row["reason"]
    assert "\n" not in row["reason"]
