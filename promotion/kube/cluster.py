"""What can be asked of a cluster: objects as raw dictionaries, and its kinds; judges nothing, and keeps no file."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.kube.access import kubeconfigs, read
from promotion.kube.connection import Connection
from promotion.kube.errors import GoneError, MissingError
from promotion.kube.kind import Kind, discovered, listed, root
from promotion.spelling import nearest
from promotion.web import TooLargeError

PAGE = 500
BEGINNINGS = 3
"""How often a list is begun whose pages end before it does."""
Objects = list[dict[str, Any]]
AGGREGATED = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)


class Cluster:
    """Connections to one cluster in one role; any number of threads may ask. All errors are PromotionErrors.

    Some questions may be given less time than the usual: `until` is a moment (time.monotonic()).
    A namespaced object without a namespace is one of the context's; a list without one is of all of them.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kinds: dict[str, tuple[Kind, ...]] = {}

    @property
    def namespace(self) -> str:
        """The context's, or the pod's."""
        return self._connection.access.namespace

    @property
    def host(self) -> str:
        """The server's host and port, for people."""
        return self._connection.host

    def close(self) -> None:
        """Ends the connections; the next question makes new ones."""
        self._connection.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, name: str, namespace: str | None = None, *, until: float | None = None) -> dict[str, Any]:
        """Raises MissingError, DeniedError, TemporaryError."""
        namespace = namespace or self.namespace
        return self._ask("GET", kind.path(namespace, name), doing="get", said=kind.said(name, namespace), until=until)

    def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Objects:
        """All of a namespace, or of all, that the selectors take; each with its apiVersion and kind.

        Raises MissingError when the cluster does not know the kind, DeniedError, TemporaryError.
        """
        chosen = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        said = f"{kind.plural} of {namespace}" if kind.namespaced and namespace else f"all {kind.plural}"
        for _ in range(BEGINNINGS):
            if (found := self._pages(kind, kind.path(namespace), chosen, said)) is not None:
                return found
        raise TemporaryError(f"cannot list {said}: the server forgets its pages before they are read", where=self.host)

    def _pages(self, kind: Kind, path: str, chosen: Mapping[str, str], said: str) -> Objects | None:
        """All pages; None when the server has forgotten what the first of them was about."""
        found: Objects = []
        page, token = PAGE, ""
        while True:
            query = {"limit": str(page), **chosen, **({"continue": token} if token else {})}
            try:
                answer = self._connection.ask("GET", path, query, doing="list", said=said)
            except TooLargeError as exc:
                if page == 1:
                    raise TemporaryError(f"cannot list {said}: {exc}", where=self.host) from exc
                page = max(1, page // 4)
                continue
            except GoneError:
                return None
            items = answer.get("items") or []
            found += [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]
            token = (answer.get("metadata") or {}).get("continue") or ""
            if not token:
                return found

    # --- writing ------------------------------------------------------------------------------------------------------

    def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        body: Mapping[str, Any],
        *,
        manager: str,
        until: float | None = None,
    ) -> dict[str, Any]:
        """A merge patch by that field manager; answers the object. Raises MissingError, InvalidError, DeniedError, ..."""
        namespace = namespace or self.namespace
        return self._ask(
            "PATCH",
            kind.path(namespace, name),
            {"fieldManager": manager},
            body,
            "application/merge-patch+json",
            doing="patch",
            said=kind.said(name, namespace),
            until=until,
        )

    def apply(
        self,
        kind: Kind,
        body: Mapping[str, Any],
        *,
        manager: str,
        force: bool = False,
        dry_run: bool = False,
        until: float | None = None,
    ) -> dict[str, Any]:
        """Server-side apply; needs the verbs patch, and create for what is not there yet.

        Raises ContestedError with its causes where others manage fields and `force` does not take them, InvalidError, ...
        """
        name, namespace = self._named(body)
        query = {"fieldManager": manager, **({"force": "true"} if force else {})}
        query |= {"dryRun": "All"} if dry_run else {}
        path, said = kind.path(namespace, name), kind.said(name, namespace)
        content = "application/apply-patch+yaml"
        return self._ask("PATCH", path, query, body, content, doing="apply", said=said, until=until)

    def create(self, kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ContestedError when it is there already, InvalidError, ..."""
        name, namespace = self._named(body)
        return self._ask("POST", kind.path(namespace), body=body, doing="create", said=kind.said(name, namespace))

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: str = "Background",
        until: float | None = None,
    ) -> bool:
        """Whether it is gone: else the server has only said yes. Raises MissingError, DeniedError, ...

        Of that uid only, when one is given: ContestedError for another.
        """
        namespace = namespace or self.namespace
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        options |= {"preconditions": {"uid": uid}} if uid else {}
        said = kind.said(name, namespace)
        answer = self._ask("DELETE", kind.path(namespace, name), body=options, doing="delete", said=said, until=until)
        return bool(answer.get("kind") == "Status")  # of some kinds also what is gone is answered with

    def _named(self, body: Mapping[str, Any]) -> tuple[str, str]:
        metadata = body.get("metadata") or {}
        return str(metadata.get("name") or ""), metadata.get("namespace") or self.namespace

    # --- kinds --------------------------------------------------------------------------------------------------------

    def kind(self, api_version: str, kind: str) -> Kind:
        """Kept in memory; read again when it is not found, since definitions are installed later.

        Raises MissingError when the cluster does not know it, TemporaryError when it cannot say.
        """
        found = _find(self._kinds.get(api_version, ()), kind)
        if found is None:
            try:
                answer = self._ask("GET", root(api_version), doing="read the kinds of", said=api_version)
                self._kinds[api_version] = tuple(listed(answer))
            except MissingError:
                self._kinds.pop(api_version, None)
            found = _find(self._kinds.get(api_version, ()), kind)
        if found is None:
            said = f"knows no {kind} of {api_version} (is its CRD installed?){self._near(api_version, kind)}"
            raise MissingError(said, where=self.host)
        return found

    def _near(self, api_version: str, kind: str) -> str:
        try:
            kinds = self.kinds()
        except PromotionError:
            return ""  # it is only a hint
        others = sorted({k.api_version for k in kinds if k.kind == kind})
        if others:
            return f"; {kind} is there in {', '.join(others[:4])}"
        there = sorted({k.kind for k in kinds if k.api_version == api_version})
        return nearest(kind, there, 8)

    def kinds(self) -> tuple[Kind, ...]:
        """All kinds of all groups, in each version; those of an aggregated API that is away may lack. Raises TemporaryError."""
        found: list[Kind] = []
        for path in ("/api", "/apis"):
            answer = self._connection.ask("GET", path, accept=AGGREGATED, doing="read", said="the kinds that there are")
            if answer.get("kind") != "APIGroupDiscoveryList":
                raise ConfigError("is older than Kubernetes 1.27, which does not tell all its kinds", where=self.host)
            found += discovered(answer)
        return tuple(found)

    def _ask(self, *args: Any, **named: Any) -> dict[str, Any]:
        try:
            return self._connection.ask(*args, **named)
        except TooLargeError as exc:
            raise TemporaryError(f"cannot {named['doing']} {named['said']}: {exc}", where=self.host) from exc


def _find(kinds: tuple[Kind, ...], kind: str) -> Kind | None:
    return next((each for each in kinds if each.kind == kind), None)


# --- one for each context, in each process ---------------------------------------------------------------------------

_CLUSTERS: dict[tuple[Any, ...], Cluster] = {}
_LOCK = threading.Lock()


def connect(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Cluster:
    """The cluster of `context` (of `kubeconfig`, else $KUBECONFIG, else ~/.kube/config), without one the one that we are in.

    Nothing is asked yet. Raises ConfigError.
    """
    context = settings.get("context")
    key: tuple[Any, ...] = (kubeconfigs(settings, environ), context)
    if context is None:
        key = (environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT"))
    with _LOCK:
        if key not in _CLUSTERS:
            _CLUSTERS[key] = Cluster(Connection(lambda: read(settings, environ), environ))
        return _CLUSTERS[key]
