"""`kill -9` of a whole `promotion sync` at every request to the API server: before it is done, and before it is answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.robustness.conftest import SCALE, Figures
from tests.support.git import Origin
from tests.support.kubestub import KubeStub

pytestmark = pytest.mark.robustness

NS = "shop"


def config(name: str, version: str) -> str:
    data = {"version": version}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


FIRST = {name: config(name, "1") for name in ("kept", "changed", "gone")}
SECOND = {"kept": config("kept", "1"), "changed": config("changed", "2"), "new": config("new", "1")}


class Site:
    """A repository, a cluster's stub and the file that joins them; its operator is a process each time."""

    def __init__(self, folder: Path, stub: KubeStub) -> None:
        self.stub, self.file = stub, folder / "environments.yaml"
        self.origin = Origin.create(folder / "origin.git", branches=("env/prod",))
        self.first = self.commit(FIRST)
        engine = {"type": "kubernetes", "context": "stub", "kubeconfig": str(stub.kubeconfig()), "namespace": NS}
        prod = {"name": "prod", "branch": "env/prod", "engine": {**engine, "path": "k8s"}, "health": "engine"}
        written = {"version": 1, "name": "shop", "repository": self.origin.url, "environments": [prod]}
        self.file.write_text(yaml.safe_dump(written))
        self.running: subprocess.Popen[bytes] | None = None

    def commit(self, files: dict[str, str]) -> str:
        gone = dict.fromkeys(self.origin.files("env/prod"))
        return self.origin.commit("env/prod", {**gone, **{f"k8s/{name}.yaml": text for name, text in files.items()}})

    def sync(self) -> int:
        words = [sys.executable, "-m", "promotion.cli", "-q", "-c", str(self.file), "sync", "prod"]
        self.running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = self.running.communicate(timeout=60)[1]
        assert self.running.returncode in (0, -signal.SIGKILL), said.decode()
        return self.running.returncode

    def shot(self, at: int, when: str) -> bool:
        """Whether a sync is killed at its request of that number."""
        left = at

        def shoot() -> None:
            nonlocal left
            left -= 1
            if left == 0 and self.running:
                os.kill(self.running.pid, signal.SIGKILL)
                self.running.wait()

        setattr(self.stub, when, shoot)
        try:
            return self.sync() != 0
        finally:
            setattr(self.stub, when, lambda: None)

    def there(self) -> dict[str, Any]:
        inventory = "promotion-shop-prod"
        found = {name: live for (_, _, space, name), live in self.stub.objects.items() if space == NS}
        return {name: live.get("data") for name, live in found.items() if name != inventory}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with KubeStub(tmp_path, tls=False) as stub:
        yield Site(tmp_path, stub)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_request_is_made_good_by_the_next_process(site: Site, figures: Figures, when: str) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": NS}, "data": {}}
    wanted = {name: yaml.safe_load(text)["data"] for name, text in SECOND.items()} | {"theirs": {}}
    second, kills = site.commit(SECOND), 0
    step = 1 if SCALE >= 1 else 3  # the fast tests kill at every request, inside one process
    for at in range(1, 200, step):
        site.stub.objects.clear()
        site.stub.owners.clear()
        site.stub.put(theirs)
        site.origin.set("env/prod", site.first)
        assert site.sync() == 0
        site.origin.set("env/prod", second)
        if not site.shot(at, when):
            break
        kills += 1
        assert site.there()["theirs"] == {}
        assert site.sync() == 0
        assert site.there() == wanted, (at, when)
    else:
        raise AssertionError("it never ended")
    figures(operator_kills=kills)
    assert kills >= 10 // step
