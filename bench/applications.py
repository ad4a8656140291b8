"""An idle round over 1,000 Applications of Argo CD, on a real API server where KUBEBUILDER_ASSETS has one, and what it asks for."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.commands import PROMOTION, whole
from bench.hop import PLAIN, git
from bench.rounds import started
from bench.table import Row, note
from tests.support.apiserver import CRDS, ApiServer, missing
from tests.support.argocd import application, changed, source
from tests.support.kubestub import KubeStub

NAMES = ("dev", "qa", "stage", "prod")
OBJECTS = 30
"""Of each Application: what its status lists makes it as large as they are, 10 kB."""
PATH = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


@dataclass(frozen=True, slots=True)
class Server:
    """An API server with a kubeconfig, how an object gets there, and how many gets and lists of Applications it had."""

    kind: str
    context: str
    kubeconfig: Path
    put: Callable[[Mapping[str, Any]], None]
    counts: Callable[[], tuple[int, int]]


def rows(quick: bool) -> Iterator[Row]:
    applications = (100 if quick else 1_000) // len(NAMES)
    total = applications * len(NAMES)
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as server:
        seconds, gets, lists, status = _measured(Path(folder), server, applications, 3 if quick else 7)
    what = f"an idle round over {total:,} Applications of Argo CD, {server.kind}"
    text = f"{seconds:.2f} s: {lists} pages of one list, {gets} gets"
    yield Row(what, text, "<= 5 s, no gets", seconds <= 5 and not gets)
    yield Row("`promotion status`, three environments of Argo CD's", f"{status:.2f} s", "<= 0.4 s", status <= 0.4)


def _measured(folder: Path, server: Server, applications: int, rounds: int) -> tuple[float, int, int, float]:
    names = [f"a{number:03d}" for number in range(applications)]
    origin = _repository(folder / "platform.git", names)
    tip = git(origin, "rev-parse", "env/dev")
    apps = [_application(str(origin), name, environment, tip) for name in names for environment in NAMES]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(server.put, apps))
    environ = {**PLAIN, "HOME": str(folder), "PROMOTION_CACHE": str(folder / "cache")}
    with started(_file(folder, "fleet", server, names, NAMES), environ) as door:
        for _ in range(2):
            note(f"{len(apps)} Applications, {server.kind}, the first rounds: {door.once().seconds:.1f} s")
        before = server.counts()
        told = [door.once() for _ in range(rounds)]
        gets, lists = (after - was for after, was in zip(server.counts(), before, strict=True))
    note(f"{len(apps)} Applications: cpu {median(one.cpu for one in told):.2f} s, {told[-1].memory:.0f} MB")
    few = _file(folder, "few", server, names[:1], NAMES[:3])
    words = [PROMOTION, "-c", str(few), "status"]
    status = median(whole(words, environ) for _ in range(2 * rounds))
    return median(one.seconds for one in told), gets // rounds, lists // rounds, status


def _application(url: str, name: str, environment: str, revision: str) -> dict[str, Any]:
    mine = source(repoURL=url, targetRevision=f"env/{environment}", path=f"apps/{name}")
    resources = [
        {"version": "v1", "kind": "ConfigMap", "namespace": name, "name": f"settings-{n}", "status": "Synced"}
        | {"health": {"status": "Healthy", "message": "a line that says something about the object"}}
        for n in range(OBJECTS)
    ]
    specs = {"spec__source": mine, "status__sync__comparedTo__source": mine, "status__resources": resources}
    return changed(application(revision, f"{name}-{environment}"), **specs)


def _repository(path: Path, names: list[str]) -> Path:
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare", "-b", "main")
    lines = [b"commit refs/heads/env/dev\ncommitter b <b@example.com> 1767225600 +0000\ndata 5\nstart\n"]
    lines += [b"M 100644 inline apps/%s/web.yaml\ndata 2\n1\n\n" % name.encode() for name in names]
    git(path, "fast-import", "--quiet", stdin=b"".join(lines))
    for name in NAMES[1:]:
        git(path, "branch", f"env/{name}", "env/dev")
    return path


def _file(folder: Path, kind: str, server: Server, names: list[str], environments: tuple[str, ...]) -> Path:
    place = f'{{type: argocd, context: {server.context}, kubeconfig: "{server.kubeconfig}"'
    place += ', application: "{application}-{environment}"}'
    lines, before = ["version: 1", "environments:"], ""
    for name in environments:
        lines.append(f"  - {{name: {name}, {before}branch: env/{name}, engine: {place}, health: engine}}")
        before = f"from: {name}, "
    lines += ["applications:"]
    for name in names:
        lines.append(f"  - {{name: {name}, repository: platform.git, ledger: {kind}/{name}, paths: [apps/{name}/]}}")
    path = folder / f"{kind}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


# --- servers ---------------------------------------------------------------------------------------------------------


@contextmanager
def _server(folder: Path) -> Iterator[Server]:
    why = missing(os.environ) or ("" if CRDS.is_dir() else f"no {CRDS}")
    if why:
        note(f"a stand-in for the API server: {why}")
        with KubeStub(folder) as stub:

            def asked() -> tuple[int, int]:
                found = [each.path for each in stub.requests("GET", PATH)]
                return len([path for path in found if path != PATH]), found.count(PATH)

            yield Server("a stand-in", "stub", stub.kubeconfig(), lambda app: _ignored(stub.put(app)), asked)
        return
    real = ApiServer.start(Path(os.environ["KUBEBUILDER_ASSETS"]))
    try:
        with real.client() as client:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}
            client.post("/api/v1/namespaces", json=body).raise_for_status()

            def put(app: Mapping[str, Any]) -> None:
                client.post(PATH, json=app).raise_for_status()

            def counts() -> tuple[int, int]:
                said = client.get("/metrics").raise_for_status().text
                return _total(said, "GET"), _total(said, "LIST")

            yield Server("a real API server", "admin", real.kubeconfig(folder / "kubeconfig"), put, counts)
    finally:
        real.stop()


def _ignored(_: object) -> None:
    return None


def _total(said: str, verb: str) -> int:
    """Requests about Applications so far, of a verb, in the server's own metrics."""
    lines = re.findall(r"^apiserver_request_total\{([^}]*)\} (\S+)$", said, re.MULTILINE)
    return sum(
        int(float(n)) for labels, n in lines if 'resource="applications"' in labels and f'verb="{verb}"' in labels
    )
