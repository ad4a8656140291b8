"""What git and remotes say, made fit for people, and what it means; pure."""

from __future__ import annotations

import re

from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Credential


def clean(text: str) -> str:
    """What git or a server's hook said, without control characters, progress, or secrets in URLs."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text.replace("\r", "\n"))
    text = re.sub(r"(?i)([a-z][a-z0-9+.-]*://)[^/\s]*@", r"\1", text)
    return text.strip()


_NOISE = ("hint:", "To ", "Could not read from remote", "Please make sure you have", "and the repository exists")


def gist(said: str, cap: int = 400) -> str:
    """What git said, in one line."""
    timeless = re.sub(
        r" after \d+ (ms|milliseconds)", "", said
    )  # the same trouble in the same words, round after round
    lines = [re.sub(r"^(remote|fatal|error|warning): *", "", line).strip() for line in timeless.splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith(_NOISE))[:cap]


_PERMANENT = (
    ("fsck error", "has an object that Git takes for broken, and that must be mended there"),
    ("does not appear to be a git repository", "is not a Git repository"),
    ("repository not found", "there is no such repository"),
    ("does not exist", "there is no such repository"),
    ("not found", "there is no such repository"),
    ("dubious ownership", "belongs to another user; allow it with `git config --global --add safe.directory PATH`"),
    ("not allowed", "this kind of URL is not allowed"),
    ("authentication failed", "the credential was refused"),
    ("could not read username", "asks for a credential and none is configured"),
    ("permission denied", "no permission"),
    ("insufficient permission", "no permission"),
    ("returned error: 30", "it has moved: name its new address as `repository`"),
    ("returned error: 403", "no permission"),
    ("does not support --atomic", "does not support atomic pushes, which Promotion relies on"),
)


_ASKED_WITH = ("not found", "authentication failed", "could not read username", "returned error: 403")
"""What another credential could mend."""


def failure(said: str, where: str, credential: Credential | None = None) -> PromotionError:
    """The error that a failed conversation with a remote is: ConfigError when only people can mend it."""
    low = said.lower()
    busy = re.search(r"returned error: (408|425|429|5\d\d)", low)
    words, meaning = next(((words, meaning) for words, meaning in _PERMANENT if words in low), ("", ""))
    if busy or not words:
        return TemporaryError(gist(said) or "git failed and did not say why", where=where, hint="try again later")
    hint = None
    if any(part in words for part in _ASKED_WITH) and where.startswith("http"):
        if credential and words == "could not read username":
            meaning = "it sends us to another host, which is not told the token: name that as `repository`"
        meaning += f"; asked with {credential or 'git'}" + ("" if credential else "'s own")
        hint = _mend(credential)
    return ConfigError(f"{meaning} ({gist(said, 200)})", where=where, hint=hint)


def _mend(credential: Credential | None) -> str:
    if credential is None:
        return "write `credentials: {token_env: NAME}` into the file, or give git a credential helper"
    place = f"the variable {credential.token_env}" if credential.token_env else f"the file {credential.token_file}"
    return f"put a token into {place} that is valid there and may do this"
