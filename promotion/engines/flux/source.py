"""Where a Kustomization takes its files from, and whether that is our branch; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promotion.engines.addresses import same_repository
from promotion.engines.flux.inventory import SOURCES, Ref
from promotion.engines.flux.revision import commit
from promotion.engines.flux.status import Live, mapping
from promotion.errors import ConfigError
from promotion.model import Subject
from promotion.said import one_line

GIT, OCI = "GitRepository", "OCIRepository"
ORIGIN = "org.opencontainers.image.revision"
ORIGIN_ADDRESS = "org.opencontainers.image.source"
DEFAULT_BRANCH = "master"
"""What Flux takes where a GitRepository names nothing."""


@dataclass(frozen=True, slots=True)
class Source:
    """`revision` is that of its artifact, as Flux writes it, and `commit` the commit it was made of.

    The artifact stays when a later look at Git fails: `trouble` says what keeps a newer one from coming.
    """

    live: Live
    revision: str | None
    commit: str | None
    trouble: str | None

    @property
    def ref(self) -> Ref:
        return Ref(SOURCES, self.live.kind, self.live.namespace, self.live.name)

    @property
    def names_commits(self) -> bool:
        """Whether Flux's revisions of it are commits; those of an image are digests."""
        return self.live.kind == GIT

    def is_at(self, revision: Any) -> bool:
        """Whether this is the revision of its artifact."""
        if self.names_commits:
            return self.commit is not None and commit(revision) == self.commit
        return isinstance(revision, str) and revision == self.revision


def source(live: Live) -> Source:
    """Raises ValueError."""
    artifact = mapping(live.status.get("artifact") or {}, "status.artifact")
    revision = artifact.get("revision")
    told = (
        revision
        if live.kind == GIT
        else mapping(artifact.get("metadata") or {}, "status.artifact.metadata").get(ORIGIN)
    )
    return Source(live, revision if isinstance(revision, str) else None, commit(told), _trouble(live))


def _trouble(live: Live) -> str | None:
    if live.suspended:
        return f"{live} is suspended, so no newer commit comes"
    if stalled := live.found("Stalled", "True"):
        return f"{live} is stalled: {stalled}"
    ready = live.conditions.get("Ready")
    if ready is not None and ready.status == "False":
        return f"{live} fails: {ready}"
    return None


def check_ours(one: Source, subject: Subject, repository: str) -> None:
    """Raises ConfigError when it is not the environment's branch in `repository` that comes from there."""
    live = one.live
    if live.kind == GIT:
        _check_address(live, str(live.spec.get("url", "")), repository)
        _check_branch(live, subject)
        return
    metadata = mapping(live.status.get("artifact") or {}, "status.artifact").get("metadata")
    made_of = metadata.get(ORIGIN_ADDRESS) if isinstance(metadata, Mapping) else None
    if isinstance(made_of, str):
        _check_address(live, made_of, repository)


def _check_address(live: Live, found: str, repository: str) -> None:
    if not same_repository(found, repository):
        raise ConfigError(
            f"its content comes from {one_line(found, 150)}, not from {one_line(repository, 150)}",
            where=str(live),
            hint="`repository` of the engine says how Flux calls it, where that is another address",
        )


def _check_branch(live: Live, subject: Subject) -> None:
    follows = _followed(mapping(live.spec.get("ref") or {}, "spec.ref"))
    if follows != f"branch `{subject.branch}`":
        raise ConfigError(
            f"it follows {follows}, but {subject.branch} is the branch of {subject.environment}",
            where=str(live),
            hint=f"write `ref: {{branch: {subject.branch}}}` into its spec, and nothing beside it",
        )


def _followed(ref: Mapping[str, Any]) -> str:
    """In the order in which Flux takes them."""
    if ref.get("commit"):
        return f"commit `{one_line(str(ref['commit']), 50)}` only"
    if name := ref.get("name"):
        word, found, branch = str(name).partition("refs/heads/")
        return f"branch `{branch}`" if found and not word else f"`{one_line(str(name), 100)}`"
    for key in ("semver", "tag"):
        if ref.get(key):
            return f"{key} `{one_line(str(ref[key]), 100)}`"
    return f"branch `{one_line(str(ref.get('branch') or DEFAULT_BRANCH), 200)}`"
