"""`deploy/`: what the manifests start is ours, what they may do is little, and no secret or registry stands in them.

What they render to, and what each account may do on a real API server, is shown in `tests/cluster/test_rights.py`. The image
itself cannot be built here: its file is read, and every path and program that it names is looked for.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from promotion import config
from promotion.cli import app
from tests.support.kustomize import rendered

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "CMD"}
"""Those that the file has, of all that there are."""


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, document) of every manifest."""
    for path in sorted(DEPLOY.rglob("*.yaml")):
        if path.name != "environments.yaml":
            for each in yaml.safe_load_all(path.read_text("utf-8")):
                yield str(path.relative_to(DEPLOY)), each


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(each, id=name) for name, each in documents() if each["kind"] == kind]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, lines that go on joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_kustomizations_name_files_that_exist() -> None:
    """Everything that is there is used, and everything that is used is there."""
    used: set[Path] = set()
    for path in DEPLOY.rglob("kustomization.yaml"):
        written = yaml.safe_load(path.read_text("utf-8"))
        named = [*written.get("resources", ()), *(f for g in written.get("configMapGenerator", ()) for f in g["files"])]
        assert named
        for name in named:
            there = (path.parent / name).resolve()
            assert there.exists(), f"{path}: {name}"
            used.add(there if there.is_file() else there / "kustomization.yaml")
    files = set(DEPLOY.rglob("*.yaml")) - {DEPLOY / "example/kustomization.yaml"}
    assert files == used


@pytest.mark.parametrize("deployment", of_kind("Deployment"))
def test_pods_run_as_nobody_and_write_nowhere(deployment: dict[str, Any]) -> None:
    """No root, no privileges, a root file system that is read only: what is written are volumes."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert "limits" in container["resources"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not any("hostPath" in volume for volume in pod["volumes"])
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("deployment", of_kind("Deployment"))
def test_what_is_started_exists(deployment: dict[str, Any]) -> None:
    """Each verb with its options is one of the command line's."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    program, *words = container["command"]
    variables = {each["name"]: each.get("value", "x") for each in container["env"]}
    words = [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in words]
    if program == "prefect":
        assert words == [
            "worker",
            "start",
            "--type",
            "kubernetes",
            "--pool",
            PREFECT["deployments"][0]["work_pool"]["name"],
        ]
        return
    assert program in PROJECT["project"]["scripts"]
    verbs: Any = typer.main.get_command(app)
    assert verbs.get_command(None, words[0]).make_context(words[0], words[1:]).params["every"] == "30s"


PREFECT = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))


@pytest.mark.parametrize("role", of_kind("Role"))
def test_roles_name_what_they_are_about(role: dict[str, Any]) -> None:
    """No wildcard, nothing of who may do what, and no secret but the operator's own."""
    for rule in role["rules"]:
        named = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert "*" not in named
        assert not named & {
            "rbac.authorization.k8s.io",
            "escalate",
            "bind",
            "impersonate",
            "pods/exec",
            "deletecollection",
        }
        if "secrets" in named:
            assert role["metadata"]["name"] == "promotion-operator"
        if role["metadata"]["name"] == "promotion-reader":
            assert set(rule["verbs"]) <= {"get", "list"}


def test_nothing_is_cluster_wide_and_no_secret_is_written() -> None:
    """What needs more is not in here, and secrets are only named."""
    kinds = {each["kind"] for _, each in documents()}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Secret"}


def test_images_have_no_registry() -> None:
    """Where images come from is the user's business: kustomize's `images` says it."""
    for name, each in documents():
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                assert re.fullmatch(r"promotion(-worker)?", container["image"]), name


def test_everybody_is_kept_out() -> None:
    """Each deployment has a policy that lets nobody in."""
    policies = {each["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]: each["spec"]
                for _, each in documents() if each["kind"] == "NetworkPolicy"}  # fmt: skip
    assert set(policies) == {each["metadata"]["name"] for _, each in documents() if each["kind"] == "Deployment"}
    assert all(spec["policyTypes"] == ["Ingress"] and "ingress" not in spec for spec in policies.values())


# --- the image ------------------------------------------------------------------------------------------------------


def test_the_image_is_made_of_what_is_there() -> None:
    """Instructions that exist, files that exist and that `.dockerignore` lets through, packages by their hashes."""
    found = instructions()
    assert {name for name, _ in found} == INSTRUCTIONS
    assert found[0][0] == "FROM"
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")
    }
    stages = [rest.split()[-1] for name, rest in found if name == "FROM"]
    assert stages == ["made", "promotion", "worker"]
    for name, rest in found:
        words = shlex.split(rest)
        if name == "COPY" and words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
        elif name == "COPY":
            assert all((ROOT / source).exists() and source in let_through for source in words[:-1]), rest
        elif name == "FROM":
            assert re.fullmatch(r"python:3\.\d+-slim|promotion", words[0])
    fetched, installed = [rest for name, rest in found if name == "RUN"][:2]
    assert "--require-hashes" in fetched
    assert installed.count("--no-index") == 2, "what is installed was fetched by its hash"


def test_the_image_runs_as_nobody() -> None:
    """Each of the two that run ends with a user that is a number, as the manifests have it, and starts something of ours."""
    found = instructions()
    ends = [i for i, (name, _) in enumerate([*found, ("FROM", "")]) if name == "FROM"]
    for begin, end in pairwise(ends[1:]):
        users = [rest for name, rest in found[begin:end] if name == "USER"]
        commands = [json.loads(rest) for name, rest in found[begin:end] if name == "CMD"]
        assert users[-1] == "65532:65532"
        assert commands[-1][0] in ("promotion", "prefect")
    (settings,) = [rest for name, rest in found if name == "ENV"]
    volumes = {"/tmp", "/var/cache/promotion", "/etc/promotion"}
    for name, value in (word.split("=", 1) for word in shlex.split(settings)):
        if name in ("HOME", "PROMOTION_CACHE", "PROMOTION_CONFIG", "PREFECT_HOME"):
            assert any(value == volume or value.startswith(f"{volume}/") for volume in volumes), name


def test_the_work_pool_starts_our_image() -> None:
    """Every placeholder of its jobs is a variable, and their account is the orchestrator's."""
    template = json.loads((DEPLOY / "worker/base-job-template.json").read_text("utf-8"))
    variables = template["variables"]["properties"]
    placed = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert placed == set(variables)
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "promotion"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert variables["image"]["default"] == "promotion"


# --- rendered -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", sorted(path.parent for path in DEPLOY.rglob("kustomization.yaml")), ids=str)
def test_everything_renders(folder: Path) -> None:
    """As `kubectl apply -k` would send it; every reference is to something that is there."""
    objects = rendered(folder)
    named = {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects}
    assert len(named) == len(objects)
    for each in objects:
        if each["kind"] == "RoleBinding":
            assert ("Role", each["metadata"].get("namespace"), each["roleRef"]["name"]) in named
        if each["kind"] == "Deployment" and folder.is_relative_to(DEPLOY / "example"):
            pod, namespace = each["spec"]["template"]["spec"], each["metadata"]["namespace"]
            assert ("ServiceAccount", namespace, pod["serviceAccountName"]) in named
            maps = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
            assert all(("ConfigMap", namespace, name) in named for name in maps)


def test_the_examples_configuration_is_valid() -> None:
    """And the operator's environment is one of it, in the namespace that it serves."""
    (application,) = config.load(DEPLOY / "example/configuration/environments.yaml").applications
    served = {e.name: e.engine.settings["namespace"] for e in application.environments if e.engine.type == "kubernetes"}
    overlay = yaml.safe_load((DEPLOY / "example/shop/kustomization.yaml").read_text("utf-8"))
    (change,) = yaml.safe_load(overlay["patches"][0]["patch"])
    assert served == {change["value"]: overlay["namespace"]}
