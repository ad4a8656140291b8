"""Who we are for an API server: a token, a token's file, a program's answer, a certificate; kept no longer than it is good."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from promotion.errors import ConfigError, TemporaryError
from promotion.kube.access import Access
from promotion.said import first_line
from promotion.texts import instant

PLUGIN_SECONDS = 60.0
EARLY = timedelta(seconds=30)
"""So long before its end a credential is not used any more."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one call signs in with: a header, a client's certificate and key (PEM), both or none."""

    authorization: str | None = field(default=None, repr=False)
    client: tuple[str, str] | None = field(default=None, repr=False)
    until: datetime | None = None
    stamp: tuple[int, ...] = ()
    """Tells one content of the token's file from another."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def current(
    access: Access,
    environ: Mapping[str, str],
    kept: Credentials | None,
    clock: Callable[[], datetime] = utc_now,
) -> Credentials:
    """The kept ones while they are good, else new ones. Raises ConfigError, TemporaryError."""
    if access.plugin is not None:
        if kept and (kept.until is None or clock() < kept.until - EARLY):
            return kept
        return _signed_in(access, access.plugin, environ)
    if access.token_file is not None:
        stamp = _stamp(access.token_file)
        if kept and kept.stamp == stamp:
            return kept
        return Credentials(f"Bearer {_token(access.token_file)}", access.client, stamp=stamp)
    if access.token:
        return Credentials(f"Bearer {access.token}", access.client)
    if access.login:
        return Credentials("Basic " + base64.b64encode(":".join(access.login).encode()).decode(), access.client)
    return Credentials(None, access.client)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError as exc:
        raise ConfigError((exc.strerror or "cannot be read").lower(), where=str(path)) from exc
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _token(path: Path) -> str:
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError("cannot be read as a token", where=str(path)) from exc
    if not token:
        raise ConfigError("is empty, and a token is expected", where=str(path))
    return token


# --- programs that sign in ------------------------------------------------------------------------------------------


def _signed_in(access: Access, plugin: Mapping[str, Any], environ: Mapping[str, str]) -> Credentials:
    version = plugin.get("apiVersion")
    if version not in ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"):
        raise ConfigError(f"{access.said}: `exec` of version {version} is not known here (v1, v1beta1)")
    if plugin.get("interactiveMode") == "Always":
        raise ConfigError(f"{access.said}: `exec` wants to ask a person, and there is none")
    said = _run(access, plugin, {**environ, **_given(plugin), "KUBERNETES_EXEC_INFO": _told(access, plugin, version)})
    try:
        status = json.loads(said)["status"]
        until = instant(status["expirationTimestamp"]) if status.get("expirationTimestamp") else None
        pair = status.get("clientCertificateData"), status.get("clientKeyData")
        token = status.get("token")
        if not token and not all(pair):
            raise ValueError("neither a token nor a certificate")
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(f"{access.said}: what {_name(plugin)} says is no credential") from exc
    return Credentials(f"Bearer {token}" if token else None, pair if all(pair) else access.client, until)


def _given(plugin: Mapping[str, Any]) -> dict[str, str]:
    return {str(each["name"]): str(each["value"]) for each in plugin.get("env") or []}


def _told(access: Access, plugin: Mapping[str, Any], version: str) -> str:
    """What the program is told; the cluster only where it is asked for."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        cluster: dict[str, Any] = {"server": access.server}
        if access.insecure:
            cluster["insecure-skip-tls-verify"] = True
        if access.server_name:
            cluster["tls-server-name"] = access.server_name
        if access.ca:
            cluster["certificate-authority-data"] = base64.b64encode(access.ca.encode()).decode()
        spec["cluster"] = cluster
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})


def _run(access: Access, plugin: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """The program's output. Its whole group ends with it, or with the deadline."""
    argv = [plugin["command"], *map(str, plugin.get("args") or [])]
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or "failed"
        hint = plugin.get("installHint")
        raise ConfigError(
            f"{access.said}: cannot start {_name(plugin)}: {why.lower()}", hint=first_line(hint) if hint else None
        ) from exc
    try:
        out, err = process.communicate(timeout=PLUGIN_SECONDS)
    except BaseException as exc:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if not isinstance(exc, subprocess.TimeoutExpired):
            raise
        raise TemporaryError(f"{access.said}: {_name(plugin)} did not end within {PLUGIN_SECONDS:g}s") from exc
    if process.returncode:
        said = first_line(err.decode("utf-8", "replace")) or f"exit {process.returncode}"
        raise TemporaryError(f"{access.said}: {_name(plugin)} failed: {said}")
    return out.decode("utf-8", "replace")


def _name(plugin: Mapping[str, Any]) -> str:
    return Path(plugin["command"]).name
