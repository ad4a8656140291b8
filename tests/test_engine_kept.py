"""What one round over many repositories reads once for all of them: how often it asks, and what a kept answer may be used for."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from promotion import observe
from promotion.cli.context import Call, sites_of
from promotion.cli.rounds import Loop
from promotion.engines import argocd, flux
from promotion.engines.contract import Deployed, Fleet
from promotion.engines.kept import FEW, OLDEST, Kept
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Health, Subject
from tests.support import flux as fluxes
from tests.support.argocd import NEW, QA, application, changed, source
from tests.support.git import Origin
from tests.support.kubestub import Fault, KubeStub

APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- one place --------------------------------------------------------------------------------------------------------


def test_a_few_ask_alone_and_then_all_is_read_for_everybody(clock: Clock) -> None:
    """Of each place by itself; with how old it is."""
    kept, reads = Kept(clock), []

    def read() -> str:
        reads.append(clock.now)
        clock.now += 1
        return "all"

    assert [kept.everything("here", 1, read) for _ in range(FEW)] == [None] * FEW
    assert kept.everything("here", 1, read) == ("all", 1.0)
    clock.now += 2
    assert kept.everything("here", 1, read) == ("all", 3.0)
    assert kept.everything("there", 1, read) is None
    assert kept.everything("there", FEW, read) == ("all", 1.0)
    assert len(reads) == 2


def test_what_is_kept_is_seconds_old_at_most(clock: Clock) -> None:
    """Then it begins anew: the last ones of a round ask alone again."""
    kept = Kept(clock)
    assert kept.everything("here", 9, lambda: "old") == ("old", 0.0)
    clock.now += OLDEST
    assert kept.everything("here", 1, lambda: "new") == ("old", OLDEST)
    clock.now += 0.1
    assert kept.everything("here", 1, lambda: "new") is None
    assert kept.everything("here", 9, lambda: "new") == ("new", 0.0)


def test_what_cannot_be_listed_is_asked_for_alone(clock: Clock) -> None:
    """It may be that gets are allowed only; and what takes too long is of no use to the others."""

    def refused() -> str:
        raise ConfigError("you may not list")

    def slow() -> str:
        clock.now += OLDEST
        return "slow"

    kept = Kept(clock)
    assert kept.everything("here", 9, refused) is None
    assert kept.everything("here", 9, lambda: "all") is None
    assert kept.everything("there", 9, slow) == ("slow", OLDEST)
    assert kept.everything("there", 9, lambda: "all") is None


def test_those_that_come_while_it_is_read_wait_for_it() -> None:
    """One reading for eight that ask at once."""
    kept, reads, at_once = Kept(), [], threading.Barrier(8)

    def ask(_: int) -> object:
        at_once.wait()
        found = kept.everything("here", 9, lambda: reads.append(1) or "all")
        return found and found[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["all"] * 8
    assert len(reads) == 1


# --- the engines ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[KubeStub]:
    with KubeStub(tmp_path) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Many:
    """Environments of an engine that are asked about one by one, as by rounds over as many repositories."""

    engine: Fleet
    stub: KubeStub
    path: str
    put: Callable[[str], object]
    settings: Callable[[str], Mapping[str, Any]]
    subject: Subject

    def each(self, names: list[str], kept: Kept | None) -> list[Deployed | PromotionError]:
        self.stub.asked.clear()
        return [self.engine.observe_all([(self.settings(name), self.subject)], kept)[0] for name in names]

    def asked(self) -> tuple[int, int]:
        """How many gets and lists."""
        paths = [each.path for each in self.stub.requests("GET", self.path)]
        return sum(path != self.path for path in paths), paths.count(self.path)


@pytest.fixture(params=["argocd", "flux"])
def many(request: pytest.FixtureRequest, stub: KubeStub) -> Many:
    if request.param == "argocd":
        about = replace(QA, environ=stub.environ)
        return Many(
            argocd,  # type: ignore[arg-type]
            stub,
            APPLICATIONS,
            lambda name: stub.put(application(name=name)),
            lambda name: {"context": "stub", "application": name},
            about,
        )
    stub.put(fluxes.repository())
    about = Subject("shop", "qa", fluxes.M, fluxes.URL, fluxes.BRANCH, stub.environ)
    return Many(
        flux,  # type: ignore[arg-type]
        stub,
        KUSTOMIZATIONS,
        lambda name: stub.put(fluxes.kustomization(name=name)),
        lambda name: {"context": "stub", "kustomization": name},
        about,
    )


def test_many_that_ask_one_by_one_are_a_list(many: Many) -> None:
    """A few gets, one list, and the same answers; without anything kept, a get each."""
    names = [f"s{number}" for number in range(40)]
    for name in names:
        many.put(name)
    alone = many.each(names, None)
    assert many.asked() == (40, 0)
    found = many.each(names, Kept())
    assert many.asked() == (FEW, 1)
    assert [replace(one, age=0.0) if isinstance(one, Deployed) else one for one in found] == alone
    assert all(isinstance(one, Deployed) and one.revision in (NEW, fluxes.M) for one in found)


def test_how_old_an_answer_is(many: Many, clock: Clock) -> None:
    """Said of what was kept, and of nothing else."""
    names, kept = [f"s{number}" for number in range(FEW + 2)], Kept(clock)
    for name in names:
        many.put(name)
    many.each(names[:-1], kept)
    clock.now += 4
    (last,) = many.each(names[-1:], kept)
    assert isinstance(last, Deployed)
    assert last.age == 4.0
    assert many.asked() == (0, 0)


def test_what_came_after_the_list_is_asked_for_alone(many: Many) -> None:
    """It is not said to be missing; what is missing is."""
    kept, names = Kept(), [f"s{number}" for number in range(FEW + 1)]
    for name in names:
        many.put(name)
    many.each(names, kept)
    many.put("new")
    (new,) = many.each(["new"], kept)
    assert isinstance(new, Deployed)
    (gone,) = many.each(["gone"], kept)
    assert isinstance(gone, ConfigError)
    assert "gone" in str(gone)


def test_where_lists_are_refused_gets_do(many: Many) -> None:
    """As they did before."""
    names = [f"s{number}" for number in range(FEW + 3)]
    for name in names:
        many.put(name)
    kept = Kept()
    many.each(names[:FEW], kept)
    many.stub.faults += [Fault(f"GET {many.path}", status=403, times=1)]
    found = many.each(names[FEW:], kept)
    assert all(isinstance(one, Deployed) for one in found)
    assert many.asked() == (len(found), 1)


def test_a_cluster_that_is_away_is_an_error_for_each(many: Many) -> None:
    """Nothing kept stands in for it."""
    many.stub.faults += [Fault("GET ", status=500)]
    found = many.each(["a", "b", "c", "d", "e"], Kept())
    assert all(isinstance(one, TemporaryError) for one in found)


# --- rounds -----------------------------------------------------------------------------------------------------------

COUNT = 8


def pipeline(folder: Path, stub: KubeStub) -> tuple[Path, list[Origin]]:
    """So many applications, each of a repository of its own: dev -> qa, deployed by Argo CD, all well."""
    applications, origins = [], [Origin.create(folder / f"a{n}.git", files={"web": "1\n"}) for n in range(COUNT)]
    for number, origin in enumerate(origins):
        applications.append({"name": f"a{number}", "repository": str(origin.path)})
        for name in ("dev", "qa"):
            put(stub, folder, f"a{number}", name, origin.tip(f"env/{name}"))
    engine = {"type": "argocd", "context": "stub", "kubeconfig": stub.environ["KUBECONFIG"]}
    engine["application"] = "{application}-{environment}"
    places = [
        {
            "name": name,
            "branch": f"env/{name}",
            "engine": engine,
            "health": "engine",
            **({"from": "dev"} if name == "qa" else {}),
        }
        for name in ("dev", "qa")
    ]
    file = folder / "environments.yaml"
    file.write_text(json.dumps({"version": 1, "environments": places, "applications": applications}))
    return file, origins


def put(stub: KubeStub, folder: Path, name: str, environment: str, revision: str, **changes: Any) -> None:
    mine = source(repoURL=str(folder / f"{name}.git"), targetRevision=f"env/{environment}")
    made = application(revision, f"{name}-{environment}", spec__source=mine, status__sync__comparedTo__source=mine)
    stub.put(changed(made, **changes))


class Rounds(threading.Event):
    """The end of a loop: between two rounds `then` happens, and after the second it is over."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.left = [then, self.set]

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        self.left.pop(0)()
        return self.is_set()


def test_rounds_over_many_repositories_make_lists(tmp_path: Path, stub: KubeStub) -> None:
    """Of one application each; and the next round reads again, so that nothing is older than what was done before."""
    file, origins = pipeline(tmp_path, stub)
    call = Call(file, None, json=True, quiet=True, verbose=False, environ=dict(os.environ))
    with sites_of(call) as found:

        def health() -> list[Health | None]:
            observed = [observe.survey(site).state.of("dev").observed for site, _ in found]
            return [seen.health if seen else None for seen in observed]

        def loop() -> Loop:
            return Loop(call, found, sync=False, dry_run=False, scheduled=False)

        def sick() -> None:
            assert health() == [Health.HEALTHY] * COUNT
            for number, origin in enumerate(origins):
                put(stub, tmp_path, f"a{number}", "dev", origin.tip("env/dev"), status__health__status="Degraded")

        assert loop().once() == 0
        stub.asked.clear()
        loop().once()
        paths = [each.path for each in stub.requests("GET", APPLICATIONS)]
        assert APPLICATIONS in paths
        assert len(paths) < COUNT
        loop().until(Rounds(sick), 600)
        assert health() == [Health.DEGRADED] * COUNT
