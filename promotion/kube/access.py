"""How a cluster is reached: one context of a kubeconfig, or the service account of the pod we are in; asks no server."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promotion.errors import ConfigError
from promotion.spelling import nearest

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
UNKNOWN_WAYS = ("auth-provider", "as", "as-uid", "as-groups", "as-user-extra")
"""Ways to sign in that are not ours: without them we would be somebody else."""


@dataclass(frozen=True, slots=True)
class Access:
    """`ca` and `client` are PEM texts: authorities (None: the machine's), and a client's certificate with its key."""

    server: str
    said: str
    """For people: where this stands."""
    namespace: str = "default"
    ca: str | None = None
    insecure: bool = False
    server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    login: tuple[str, str] | None = field(default=None, repr=False)
    client: tuple[str, str] | None = field(default=None, repr=False)
    plugin: Mapping[str, Any] | None = field(default=None, repr=False)
    """A program that signs in: `exec` of a kubeconfig, its command found."""


def read(settings: Mapping[str, Any], environ: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> Access:
    """By `context`, of `kubeconfig`; without one the cluster that we are in. Raises ConfigError."""
    if (context := settings.get("context")) is not None:
        files = kubeconfigs(settings, environ)
        return _of(_Files.read(files), context, files)
    return _in_cluster(settings, environ, account)


def kubeconfigs(settings: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files in which contexts are looked for; the first that has a name wins."""
    if chosen := settings.get("kubeconfig"):
        return (Path(chosen).absolute(),)
    if named := environ.get("KUBECONFIG"):
        return tuple(Path(each).absolute() for each in named.split(":") if each)
    return (Path(environ.get("HOME", "/")) / ".kube" / "config",)


def _in_cluster(settings: Mapping[str, Any], environ: Mapping[str, str], account: Path) -> Access:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = account / "token"
    if not host or not token.is_file():
        try:
            contexts = sorted(_Files.read(kubeconfigs(settings, environ)).contexts)
        except ConfigError:
            contexts = []
        there = f" ({', '.join(contexts[:8])})" if contexts else ""
        raise ConfigError(f"not in a cluster: name a `context`{there}")
    return Access(
        f"https://{f'[{host}]' if ':' in host else host}:{port}",
        "the pod's service account",
        _text(account / "namespace").strip() if (account / "namespace").is_file() else "default",
        ca=_text(account / "ca.crt"),
        token_file=token,
    )


# --- kubeconfig ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Files:
    """Entries by name, each with the folder that its paths are relative to."""

    contexts: dict[str, tuple[Mapping[str, Any], Path]]
    clusters: dict[str, tuple[Mapping[str, Any], Path]]
    users: dict[str, tuple[Mapping[str, Any], Path]]

    @classmethod
    def read(cls, paths: tuple[Path, ...]) -> _Files:
        files = cls({}, {}, {})
        there = [path for path in paths if path.is_file()]
        if not there:
            raise ConfigError("there is no such kubeconfig", where=str(paths[0]) if paths else None)
        for path in there:
            files._add(path)
        return files

    def _add(self, path: Path) -> None:
        import yaml

        try:
            document = yaml.load(_text(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            for found, key, inner in (
                (self.contexts, "contexts", "context"),
                (self.clusters, "clusters", "cluster"),
                (self.users, "users", "user"),
            ):
                for entry in document.get(key) or []:
                    found.setdefault(entry["name"], (dict(entry.get(inner) or {}), path.parent))
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None)
            raise ConfigError("is not YAML", where=f"{path}:{mark.line + 1}" if mark else str(path)) from exc
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise ConfigError("is not a kubeconfig", where=str(path)) from exc


def _of(files: _Files, context: str, paths: tuple[Path, ...]) -> Access:
    where = ":".join(map(str, paths))
    if context not in files.contexts:
        raise ConfigError(f"no such context `{context}`{nearest(context, sorted(files.contexts), 8)}", where=where)
    chosen, _ = files.contexts[context]

    def entry(found: dict[str, tuple[Mapping[str, Any], Path]], key: str) -> tuple[Mapping[str, Any], Path]:
        name = chosen.get(key)
        if name not in found:
            raise ConfigError(f"context `{context}` names {key} `{name}`, which is not there", where=where)
        return found[name]

    cluster, folder = entry(files.clusters, "cluster")
    user, home = entry(files.users, "user") if chosen.get("user") else ({}, folder)
    refused = [key for key in UNKNOWN_WAYS if user.get(key)] + [key for key in ("proxy-url",) if cluster.get(key)]
    if refused:
        raise ConfigError(f"context `{context}`: `{refused[0]}` is not known here", where=where)
    if not str(cluster.get("server", "")).startswith(("https://", "http://")):
        raise ConfigError(f"context `{context}` has no server's address", where=where)
    try:
        return Access(
            str(cluster["server"]).rstrip("/"),
            f"context `{context}`",
            chosen.get("namespace") or "default",
            ca=_given(cluster, "certificate-authority", folder),
            insecure=_flag(cluster.get("insecure-skip-tls-verify")),
            server_name=cluster.get("tls-server-name"),
            token=user.get("token"),
            token_file=home / user["tokenFile"] if user.get("tokenFile") else None,
            login=(str(user["username"]), str(user.get("password", ""))) if user.get("username") else None,
            client=_client(user, home),
            plugin=_plugin(user["exec"], home) if user.get("exec") else None,
        )
    except (binascii.Error, UnicodeDecodeError, TypeError, KeyError, AttributeError) as exc:
        raise ConfigError(f"context `{context}` cannot be read ({type(exc).__name__})", where=where) from exc


def _client(user: Mapping[str, Any], home: Path) -> tuple[str, str] | None:
    certificate, key = _given(user, "client-certificate", home), _given(user, "client-key", home)
    return (certificate, key) if certificate and key else None


def _given(entry: Mapping[str, Any], key: str, folder: Path) -> str | None:
    """A text that stands in the entry itself, or in a file that it names."""
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data, validate=True).decode()
    return _text(folder / entry[key]) if entry.get(key) else None


def _plugin(plugin: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """A command with a slash is relative to its file, as for kubectl; others are looked for in PATH."""
    command = str(plugin["command"])
    variables = [{"name": each["name"], "value": each["value"]} for each in plugin.get("env") or []]
    return {**plugin, "command": str(home / command) if "/" in command else command, "env": variables}


def _flag(value: Any) -> bool:
    """`"false"` is a text, and no reason to trust everybody. Raises TypeError."""
    if value is not None and not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return bool(value)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror.lower() if isinstance(exc, OSError) and exc.strerror else "is not text"
        raise ConfigError(why, where=str(path)) from exc
