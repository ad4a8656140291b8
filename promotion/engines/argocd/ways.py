"""The two ways to Applications: the Kubernetes API, or Argo CD's own; judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promotion.engines.argocd import server
from promotion.engines.argocd.judge import ASKED, REFRESH
from promotion.engines.argocd.sources import Json, at, name_of

if TYPE_CHECKING:
    from promotion.kube import Kind

NAMESPACE = "argocd"
MANAGER = "promotion"
WAYS = ("server", "token_env", "token_file", "ca_file", "kubeconfig", "context", "namespace")
"""The settings that say where to ask, and as whom."""


@dataclass(frozen=True, slots=True)
class Way:
    """What may be asked there; all raise PromotionErrors, `get` a ConfigError when there is no such Application.

    `look` asks for a refresh of what was read: the annotation's value, and the mark of ours that goes with it, if any.
    """

    where: str
    get: Callable[[str], Json]
    list: Callable[[Mapping[str, str]], list[Json]]
    look: Callable[[Json, str, str | None], None]


def key(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """The same for all settings that lead to the same Applications."""
    return tuple(settings.get(name) for name in WAYS)


def way(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Way:
    """Nothing is asked yet. Raises ConfigError."""
    if "server" in settings:
        api = server.api(settings, environ)
        return Way(api.host, api.get, api.list, lambda app, kind, _: api.look(name_of(app), kind))
    return _cluster(settings, environ)


def labels(wanted: Mapping[str, str]) -> str:
    """As the APIs take them."""
    return ",".join(f"{name}={value}" for name, value in wanted.items())


def _cluster(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Way:
    from promotion.kube import connect

    cluster, namespace, kind = connect(settings, environ), settings.get("namespace", NAMESPACE), _kind()

    def look(app: Json, value: str, mark: str | None) -> None:
        """Only of what was read: somebody else's request, made since, is not overwritten by ours."""
        annotations = {REFRESH: value, **({ASKED: mark} if mark else {})}
        version = at(app, "metadata", "resourceVersion")
        body = {"metadata": {"resourceVersion": version, "annotations": annotations}}
        cluster.patch(kind, str(at(app, "metadata", "name")), namespace, body, manager=MANAGER)

    return Way(
        f"namespace {namespace}",
        lambda name: cluster.get(kind, name, namespace),
        lambda wanted: list(cluster.list(kind, namespace, labels=labels(wanted))),
        look,
    )


def _kind() -> Kind:
    from promotion.kube import Kind

    return Kind("argoproj.io", "v1alpha1", "Application", "applications", namespaced=True)
