"""`init --from-argocd`: which Applications are placed where, and the file that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotion import config
from promotion.cli import main
from promotion.cli.applications import Found, Tracking, placed, rank, split, tracking
from promotion.cli.fromargocd import written
from tests.support.argoserver import TOKEN, argo_server
from tests.support.kubestub import KubeStub

SHOP = "https://git.example.com/deploy/shop.git"
PLATFORM = "https://git.example.com/deploy/platform"


def source(revision: str | None, url: str = SHOP, **more: Any) -> dict[str, Any]:
    return {"repoURL": url, "path": "deploy"} | ({"targetRevision": revision} if revision else {}) | more


def application(name: str, *sources: dict[str, Any], **spec: Any) -> dict[str, Any]:
    one = {"source": sources[0]} if len(sources) == 1 else {"sources": list(sources)} if sources else {}
    return {"metadata": {"name": name}, "spec": one | spec}


def app(name: str, revision: str | None, url: str = SHOP, **more: Any) -> dict[str, Any]:
    return application(name, source(revision, url, **more))


def stages(found: Found) -> list[tuple[str, list[tuple[str, str | None]]]]:
    return [(group.name, [(stage.name, stage.source) for stage in group.stages]) for group in found.groups]


@pytest.mark.parametrize(
    ("name", "branch", "parts"),
    [
        ("shop-dev", "env/dev", ("shop", "dev")),
        ("dev-shop", "env/dev", ("shop", "dev")),
        ("shop-prod-eu", "env/prod-eu", ("shop", "prod-eu")),
        ("shop-prod-eu", "env/prod", ("shop", "prod")),  # two clusters on one branch
        ("shop-prod", "main", ("shop", "prod")),
        ("shop.staging", "stage", ("shop", "staging")),
        ("shop-prod-eu", "main", ("shop", "prod-eu")),
        ("test-runner-dev", "env/dev", ("test-runner", "dev")),
        ("shop", "env/QA_2", ("shop", "qa-2")),
        ("dev", "env/dev", ("", "dev")),
        ("shop", "main", ("shop", "main")),
    ],
)
def test_names_are_taken_apart(name: str, branch: str, parts: tuple[str, str]) -> None:
    """By the branch's last segment, else by a word that is known."""
    assert split(name, branch) == parts


def test_known_words_have_an_order() -> None:
    """From where people push to where it counts."""
    ranks = [rank(word) for word in ("dev", "integration", "qa", "uat", "staging-eu", "prod-us")]
    assert ranks == sorted(ranks, key=lambda each: each or 0)
    assert rank("main") is None


@pytest.mark.parametrize(
    ("each", "why"),
    [
        (app("a", None), "tracks HEAD: name the branch in its targetRevision"),
        (app("a", "HEAD"), "tracks HEAD: name the branch in its targetRevision"),
        (app("a", "1" * 40), "tracks one commit, not a branch"),
        (app("a", "v1.2.3"), "tracks the version v1.2.3, not a branch"),
        (app("a", "refs/tags/x"), "tracks the version refs/tags/x, not a branch"),
        (app("a", ">=1.0.0"), "tracks the version >=1.0.0, not a branch"),
        (app("a", "1.0", chart="nginx"), "only Helm charts, no branch of a Git repository"),
        (app("a", "1.0", "oci://registry.example.com/x"), "tracks the version 1.0, not a branch"),
        (app("a", "dev", "https://u:p@git.example.com/x"), "an address must not hold a password"),
        (
            app("a", "dev", "oci://registry.example.com/x"),
            "scheme `oci` is not allowed (file://, http://, https://, ssh://)",
        ),
        (application("a"), "it has no source"),
        (
            application("a", source("dev"), source("dev", PLATFORM)),
            f"several candidates: dev of {PLATFORM}, dev of {SHOP}",
        ),
        ({"metadata": {"name": "a"}, "spec": {"source": "odd"}}, "it has no source"),
        ({"metadata": {"name": "a"}}, "it has no source"),
    ],
)
def test_what_follows_no_branch(each: dict[str, Any], why: str) -> None:
    """Is told with its reason."""
    assert tracking(each) == why
    assert placed([each]).left == {"a": why}


def test_what_follows_a_branch() -> None:
    """Of several sources the ones in Git, if they agree; of a hydrator what people write."""
    chart = source("1.2.3", "https://charts.example.com", chart="nginx")
    values = application("a", chart, source("refs/heads/env/dev", path=None, ref="values"))
    assert tracking(values) == Tracking("a", SHOP, "env/dev", ())
    two = application("a", source("dev", path="./web/"), source("dev", path="api"))
    assert tracking(two) == Tracking("a", SHOP, "dev", ("api", "web"))
    hydrated = application("a", sourceHydrator={"drySource": source("main"), "syncSource": {"targetBranch": "out/dev"}})
    assert tracking(hydrated) == Tracking("a", SHOP, "main", ("deploy",))


def test_environments_are_ordered_by_what_they_are_called() -> None:
    """Two of one rank stand side by side; a name that says nothing comes last, and is a guess."""
    found = placed([app(f"shop-{n}", f"env/{n}") for n in ("canary", "prod-us", "qa", "prod-eu", "dev")])
    expected = [("dev", None), ("qa", "dev"), ("prod-eu", "qa"), ("prod-us", "qa"), ("canary", "prod-us")]
    assert stages(found) == [("shop", expected)]
    assert [stage.name for stage in found.groups[0].stages if stage.guessed] == ["canary"]
    assert not found.left


def test_several_clusters_on_one_branch_are_one_environment() -> None:
    """Whose Applications must agree."""
    found = placed([app("shop-prod-eu", "env/prod"), app("shop-prod-us", "env/prod")])
    assert stages(found) == [("shop", [("prod", None)])]
    assert "application: [shop-prod-eu, shop-prod-us]" in written(found, {})


def test_a_shared_repository_is_divided_by_directories() -> None:
    """Each application has its own; whoever would have another's is told."""
    found = placed(
        [
            app("shop-dev", "dev", PLATFORM, path="shop"),
            app("billing-dev", "dev", PLATFORM + ".git", path="billing/base"),
            app("shopper-dev", "dev", PLATFORM, path="shop/per"),
            app("all-dev", "other", PLATFORM, path="."),
        ]
    )
    assert [(group.name, group.paths) for group in found.groups] == [
        ("all", ()),
        ("billing", ("billing/base",)),
        ("shop", ("shop",)),
    ]
    assert found.left == {"shopper-dev": "shares dev and its files with shop-dev: one application has a file"}


def test_one_that_begins_where_others_go_on_is_left() -> None:
    """What is no root in the list of environments cannot be one for an application."""
    found = placed(
        [app("a-dev", "dev"), app("a-qa", "qa"), app("b-qa", "qa", PLATFORM), app("c-dev", "dev", SHOP + "x")]
    )
    assert stages(found) == [("a", [("dev", None), ("qa", "dev")]), ("c", [("dev", None)])]
    assert found.left == {"b-qa": "begins with qa, where a-qa takes it from dev"}


def test_applications_of_one_name_are_told_apart() -> None:
    """By their repositories."""
    found = placed([app("shop-dev", "dev"), app("shop-qa", "qa", PLATFORM), app("dev", "dev", SHOP + "/x")])
    assert [group.name for group in found.groups] == ["x", "shop", "platform-shop"]


def test_one_repository_by_two_protocols_is_one() -> None:
    """And is called as the first Application calls it."""
    found = placed([app("shop-dev", "dev"), app("shop-qa", "qa", "git@git.example.com:deploy/shop")])
    assert stages(found) == [("shop", [("dev", None), ("qa", "dev")])]
    assert found.groups[0].repository == SHOP


def test_two_branches_of_one_environment() -> None:
    """Are told apart by the whole name of the branch."""
    found = placed([app("shop-dev", "a/dev"), app("shop-dev-2", "b/dev")])
    assert [(stage.name, stage.branch) for stage in found.groups[0].stages] == [("dev", "a/dev"), ("b-dev", "b/dev")]


def test_a_file_for_one() -> None:
    """As it is written, leaves at `auto: false`."""
    found = placed([app("shop-dev", "env/dev"), app("shop-prod", "on"), app("x", "HEAD")])
    assert written(found, {"context": "nonprod", "namespace": "argocd"}) == FILE


FILE = """\
# What is promoted, and how: from the Applications of Argo CD. `promotion validate` checks this file.
# not placed: x: tracks HEAD: name the branch in its targetRevision
version: 1
repository: https://git.example.com/deploy/shop.git
name: shop
environments:
  - name: dev  # people and pipelines push here
    branch: env/dev
    engine:
      type: argocd
      context: nonprod
      namespace: argocd
      application: shop-dev
    health: engine  # what Argo CD says; checks of your own say more
  - name: prod
    from: dev
    branch: 'on'
    auto: false  # waits for `promotion promote prod`; remove it to promote by itself
    engine:
      type: argocd
      context: nonprod
      namespace: argocd
      application: shop-prod
    health: engine  # what Argo CD says; checks of your own say more
"""


def test_a_file_for_several() -> None:
    """What they have in common stands once, and an application says what is different."""
    text = written(
        placed(
            [
                *(app(f"billing-{n}", f"env/{n}") for n in ("dev", "qa", "prod")),
                *(app(f"pay-{n}", n, PLATFORM) for n in ("dev", "prod")),
                app("dev-web", "env/dev", SHOP + "x"),
            ]
        ),
        {},
    )
    assert "application: '{application}-qa'" in text
    begin, end = text.index("applications:"), text.index("\nenvironments:")
    assert text[begin:end] == SEVERAL


SEVERAL = """\
applications:
  - name: billing
    repository: https://git.example.com/deploy/shop.git
    environments:
      dev: {}
      qa: {}
      prod: {}
  - name: web
    repository: https://git.example.com/deploy/shop.gitx
    environments:
      dev: {engine: {type: argocd, application: dev-web}}
  - name: pay
    repository: https://git.example.com/deploy/platform
    environments:
      dev: {branch: dev}
      prod: {from: dev, branch: prod}"""


WORDS = st.sampled_from(["shop", "dev", "qa", "prod", "eu", "1", "true", "null", "e2", "x.y"])
NAMES = st.lists(WORDS, min_size=1, max_size=3).map("-".join)
BRANCHES = st.sampled_from(["env/dev", "b/dev", "env/Qa", "env/prod-eu", "env/1", "on", "main", "a b", "~", "1.0.x"])
URLS = st.sampled_from(
    [SHOP, PLATFORM, "git@git.example.com:deploy/shop", "https://git.example.com", "/srv/shop", "x:y"]
)
PATHS = st.sampled_from(["", ".", "a", "a/b", "./b/", "ab", "*", "a: b"])


@given(st.lists(st.tuples(NAMES, BRANCHES, URLS, PATHS), max_size=8, unique_by=lambda each: each[0]))
def test_whatever_is_placed_is_a_valid_file(them: list[tuple[str, str, str, str]]) -> None:
    """Every Application is in the file, or told of; never both, and never a file that is refused."""
    found = placed([app(name, branch, url, path=path) for name, branch, url, path in them])
    deployed = [one.name for group in found.groups for stage in group.stages for one in stage.deployed]
    assert sorted([*deployed, *found.left]) == sorted(name for name, *_ in them)
    if found.groups:
        text = written(found, {"context": "nonprod"})
        pipeline = config.parse(text.encode(), Path("environments.yaml"))
        assert [a.name for a in pipeline.applications] == [group.name for group in found.groups]
        for application, group in zip(pipeline.applications, found.groups, strict=True):
            for stage in group.stages:
                (environment,) = [e for e in application.environments if e.name == stage.name]
                names = [one.name for one in stage.deployed]
                assert (environment.branch, environment.source) == (stage.branch, stage.source)
                assert environment.engine.settings["application"] in (names, names[0] if len(names) == 1 else None)


# --- the verb ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def argocd(tmp_path: Path) -> Iterator[KubeStub]:
    """A cluster with Applications in the namespace argocd."""
    with KubeStub(tmp_path) as stub:
        for name in ("dev", "qa", "prod-eu", "prod-us"):
            add(stub, app(f"shop-{name}", f"env/{name}"))
            add(stub, app(f"billing-{name}", f"env/{name}", PLATFORM, path="billing"))
            add(stub, app(f"pay-{name}", f"env/{name}", PLATFORM, path="pay"))
        add(stub, app("nginx", "1.2.3", "https://charts.example.com", chart="nginx"))
        yield stub


def add(stub: KubeStub, written: dict[str, Any]) -> None:
    metadata = {"namespace": "argocd", **written["metadata"]}
    stub.put({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", **written, "metadata": metadata})


@pytest.fixture
def init(argocd: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("KUBECONFIG", argocd.environ["KUBECONFIG"])
    return lambda *words: main(["-c", str(tmp_path / "environments.yaml"), "init", "--from-argocd", *words])


def test_init_from_argocd(init: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is valid, and what was not placed; nothing is changed in the cluster, and the file is never overwritten."""
    assert init("--context", "stub") == 0
    file = tmp_path / "environments.yaml"
    assert "! nginx: only Helm charts, no branch of a Git repository" in capsys.readouterr().out
    pipeline = config.load(file)
    assert [(a.name, a.paths) for a in pipeline.applications] == [
        ("billing", ("billing",)),
        ("pay", ("pay",)),
        ("shop", ()),
    ]
    for each in pipeline.applications:
        assert [(e.name, e.source, e.auto) for e in each.environments] == [
            ("dev", None, True),
            ("qa", "dev", True),
            ("prod-eu", "qa", False),
            ("prod-us", "qa", False),
        ]
        assert [e.engine.settings["application"] for e in each.environments] == [
            f"{each.name}-{e.name}" for e in each.environments
        ]
    assert main(["-c", str(file), "validate"]) == 0
    before = file.read_text()
    assert init("--context", "stub") == 2
    assert file.read_text() == before


def test_init_from_argocd_only_reads(init: Callable[..., int], argocd: KubeStub) -> None:
    """One list, and nothing else."""
    assert init("--context", "stub") == 0
    assert {asked.method for asked in argocd.asked} == {"GET"}
    assert [a.path for a in argocd.asked] == ["/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "not in a cluster: name a `context` (stub)"),
        (("--context", "stubb"), "stub"),
        (("--context", "stub", "--namespace", "elsewhere"), "no Application that tracks a branch"),
        (("--context", "stub", "--repository", "x"), "one or the other"),
    ],
)
def test_init_from_argocd_refuses(
    init: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], problem: str
) -> None:
    """In one line; no file is written."""
    assert init(*words) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "environments.yaml").exists()


def test_what_cannot_be_placed_is_said_when_nothing_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With each reason."""
    with KubeStub(tmp_path) as stub:
        add(stub, app("shop", None))
        monkeypatch.setenv("KUBECONFIG", stub.environ["KUBECONFIG"])
        words = ["-c", str(tmp_path / "environments.yaml"), "init", "--from-argocd", "--context", "stub"]
        assert main(words) == 2
    assert "! shop: tracks HEAD: name the branch in its targetRevision" in capsys.readouterr().err


def test_init_from_argocds_own_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a token, which is not written."""
    file = tmp_path / "environments.yaml"
    with argo_server() as server:
        server.put(app("shop-dev", "env/dev"), app("shop-prod", "env/prod"))
        monkeypatch.setenv("ARGOCD_TOKEN", TOKEN)
        words = ["--from-argocd", "--server", server.url, "--token-env", "ARGOCD_TOKEN"]
        assert main(["-c", str(file), "--json", "init", *words]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file),
        "applications": {"shop": ["dev", "prod"]},
        "left": {},
    }
    assert TOKEN not in file.read_text()
    assert "token_env: ARGOCD_TOKEN" in file.read_text()


def test_settings_of_argocd_belong_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And without it the two others are needed."""
    file = ["-c", str(tmp_path / "environments.yaml")]
    assert main([*file, "init", "--context", "x"]) == 2
    assert "--context: only with --from-argocd" in capsys.readouterr().err
    assert main([*file, "init", "--repository", "x"]) == 2
    assert (
        "--environments: missing: --repository URL --environments dev,qa,prod, or --from-argocd"
        in capsys.readouterr().err
    )
