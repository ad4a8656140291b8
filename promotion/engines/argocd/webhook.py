"""Tells Argo CD of a push as a Git host would, so that it looks at once; it then asks Git itself, and believes none of this."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from promotion.engines.argocd.server import door
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Credential, Subject
from promotion.repository.credentials import token
from promotion.web import Limits, UnansweredError, place

LIMITS = Limits(connect=5.0, idle=5.0, total=10.0)


def push(settings: Mapping[str, Any], subject: Subject, repository: str) -> None:
    """Raises ConfigError where it is refused, TemporaryError where nobody answers."""
    hook = settings.get("webhook", {})
    url = hook.get("url") or settings["server"].rstrip("/") + "/api/webhook"
    content = json.dumps(event(repository, subject)).encode()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push"}
    if "secret_env" in hook or "secret_file" in hook:
        secret = token(Credential(hook.get("secret_env", ""), hook.get("secret_file", "")), subject.environ).encode()
        headers |= {f"X-Hub-Signature{name}": f"{kind}={_sign(secret, content, kind)}" for name, kind in KINDS.items()}
    try:
        answer = door(settings.get("ca_file", "")).ask("POST", url, headers=headers, content=content, limits=LIMITS)
    except UnansweredError as exc:
        raise TemporaryError(str(exc), where=place(url)) from exc
    if not 200 <= answer.status < 300:
        raise ConfigError(
            f"refuses a push event ({answer.status}): is `webhook` right, and its secret?", where=place(url)
        )


KINDS = {"": "sha1", "-256": "sha256"}
"""Older ones look at the first, newer ones at the second."""


def _sign(secret: bytes, content: bytes, kind: str) -> str:
    return hmac.new(secret, content, kind).hexdigest()


def event(repository: str, subject: Subject) -> Mapping[str, Any]:
    """The body of a push event, with all that Argo CD reads of it; which files changed is not said, so it looks at all."""
    return {
        "ref": f"refs/heads/{subject.branch}",
        "before": "0" * 40,
        "after": subject.revision or "0" * 40,
        "repository": {"html_url": page(repository), "default_branch": ""},
        "commits": [],
    }


def page(repository: str) -> str:
    """The address in the web of a repository: Argo CD compares it with those of its sources, by whatever protocol they are."""
    if found := re.match(r"(?:[^/@:\s]+@)?([^/@:\s]+):(?!//)(.*)", repository):
        host, path = found[1], found[2]
    else:
        parts = urlsplit(repository)
        host, path = (parts.netloc if parts.scheme in ("http", "https") else parts.hostname or ""), parts.path
    return f"https://{host.rpartition('@')[2]}/{path.strip('/').removesuffix('.git')}"
