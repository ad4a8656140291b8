"""The verb `init`: a first environments.yaml, from the branches of a repository or from what Argo CD deploys already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from promotion import config
from promotion.cli.applications import placed
from promotion.cli.context import Call, call_of
from promotion.cli.draft import create, draft
from promotion.cli.fromargocd import written
from promotion.cli.output import answer
from promotion.errors import ConfigError
from promotion.model import Pipeline

FILES = ("kubeconfig", "token-file", "ca-file")
WAYS = "--repository URL --environments dev,qa,prod, or --from-argocd"


def init(
    context: typer.Context,
    repository: Annotated[
        str | None, typer.Option("--repository", metavar="URL", help="The environment repository.")
    ] = None,
    environments: Annotated[
        str | None,
        typer.Option("--environments", metavar="LIST", help="dev,qa,prod, or with branches: dev=develop,prod=main"),
    ] = None,
    create_branches: Annotated[
        bool,
        typer.Option("--create-branches", help="Make those that are missing, each where the one before it is."),
    ] = False,
    from_argocd: Annotated[
        bool, typer.Option("--from-argocd", help="From the Applications that track branches, as Argo CD has them.")
    ] = False,
    kube_context: Annotated[
        str | None, typer.Option("--context", metavar="NAME", help="Of the kubeconfig: Argo CD's cluster.")
    ] = None,
    kubeconfig: Annotated[str | None, typer.Option("--kubeconfig", metavar="FILE", help="The kubeconfig.")] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Of the Applications; by default argocd.")
    ] = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Argo CD's own address, in place of a cluster's.")
    ] = None,
    token_env: Annotated[
        str | None, typer.Option("--token-env", metavar="NAME", help="The variable that holds a token for --server.")
    ] = None,
    token_file: Annotated[
        str | None, typer.Option("--token-file", metavar="FILE", help="A file that holds a token for --server.")
    ] = None,
    ca_file: Annotated[
        str | None, typer.Option("--ca-file", metavar="FILE", help="Authorities to trust for --server.")
    ] = None,
) -> int:
    """Writes a commented environments.yaml from the branches that there are, or from Argo CD. Never overwrites a file."""
    call = call_of(context)
    if call.config.exists() or call.config.is_symlink():
        raise ConfigError("is there already, and is not overwritten", where=str(call.config))
    given = {
        "server": server,
        "token-env": token_env,
        "token-file": token_file,
        "ca-file": ca_file,
        "kubeconfig": kubeconfig,
        "context": kube_context,
        "namespace": namespace,
    }
    access = {key: value for key, value in given.items() if value is not None}
    if from_argocd:
        if repository or environments or create_branches:
            raise ConfigError(f"one or the other: {WAYS}", where="--from-argocd")
        return _from_argocd(call, access)
    if access:
        raise ConfigError("only with --from-argocd", where=f"--{next(iter(access))}")
    if repository is None or environments is None:
        raise ConfigError(f"missing: {WAYS}", where="--environments" if repository else "--repository")
    return _from_branches(call, repository, environments, create_branches)


def _from_branches(call: Call, repository: str, environments: str, create_branches: bool) -> int:
    path = call.config
    drafted = draft(repository, environments, Path.cwd(), call.environ, create=create_branches)
    pipeline = _written(path, drafted.text)
    if drafted.missing:
        try:
            create(drafted, call.environ)
        except BaseException:
            path.unlink()
            raise
    answer(
        call,
        {
            "file": str(path),
            "environments": [e.name for e in pipeline.applications[0].environments],
            "created": dict(drafted.missing),
        },
        [
            *(f"created {branch}, where {before} is" for branch, before in drafted.missing.items()),
            f"wrote {path}: {_named(pipeline)}",
            "  next    fill in engine and health, then  promotion validate --online",
        ],
    )
    return 0


def _from_argocd(call: Call, given: Mapping[str, str]) -> int:
    from promotion.engines.argocd.ways import way

    access = {k.replace("-", "_"): str(Path(v).absolute()) if k in FILES else v for k, v in given.items()}
    asked = way(access, call.environ)
    found = placed(asked.list({}))
    left = [f"! {name}: {why}" for name, why in found.left.items()]
    if not found.groups:
        why = "".join(f"\n  {line}" for line in left[:20])
        hint = "the branch of each environment stands in `targetRevision` of its Application"
        raise ConfigError(f"no Application that tracks a branch{why}", where=asked.where, hint=hint)
    pipeline = _written(call.config, written(found, access))
    data: dict[str, Any] = {
        "file": str(call.config),
        "applications": {a.name: [e.name for e in a.environments] for a in pipeline.applications},
        "left": dict(found.left),
    }
    lines = [f"wrote {call.config}: {_named(pipeline)}", *left]
    answer(call, data, [*lines, "  next    read it: the order is a guess by names; then  promotion validate --online"])
    return 0


def _written(path: Path, text: str) -> Pipeline:
    """What was written, which is valid: else nothing is. Raises ConfigError."""
    pipeline = config.parse(text.encode(), path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise ConfigError(exc.strerror or str(exc), where=str(path)) from exc
    return pipeline


def _named(pipeline: Pipeline) -> str:
    several = len(pipeline.applications) > 1
    named = [(a.name, ", ".join(f"{e.name} ({e.branch})" for e in a.environments)) for a in pipeline.applications]
    return "; ".join(f"{name}: {environments}" if several else environments for name, environments in named)
