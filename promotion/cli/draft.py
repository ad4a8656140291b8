"""The text of a first environments.yaml, from the branches of a repository."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from promotion.config import names
from promotion.errors import ConfigError
from promotion.repository import Git, Repository
from promotion.sites import cache_folder
from promotion.spelling import nearest

GUESSES = ("env/{}", "{}", "environments/{}")
"""Where an environment's branch is looked for when it is not named."""

HEAD = """\
# What is promoted, and how. `promotion validate` checks this file; `promotion schema` is what editors complete from.
version: 1
repository: {repository}
environments:
"""
ROOT = """\
  - name: {name}  # people and pipelines push here
    branch: {branch}
    engine:  # what deploys the branch: promotion's own sync loop, into a directory
      type: directory
      path: deployed/{name}
    health: none  # never healthy, so nothing leaves here: write checks, such as
    # - type: http
    #   url: https://{name}.example.com/healthz
"""
TARGET = """\
  - name: {name}
    from: {source}
    branch: {branch}
    auto: false  # waits for `promotion promote {name}`; remove it to promote by itself
    engine:
      type: directory
      path: deployed/{name}
    health: none  # as above
    # gates:
    #   - type: soak
    #     for: 2h
"""


def draft(repository: str, environments: str, base: Path, environ: Mapping[str, str]) -> str:
    """The file's text: each environment takes commits from the one before it. Asks the remote for its branches.

    Raises ConfigError for a repository that is not there, or a branch that cannot be found.
    """
    if wrong := names.repository(repository):
        raise ConfigError(wrong, where="--repository")
    wanted = dict(_wanted(environments))
    place = names.place(repository, base)
    cache = cache_folder(environ)
    with Repository(place, Git(environ, cache), cache) as opened:
        there = opened.branches()
    if not there:
        raise ConfigError("the repository is empty: push the environments' branches first", where=repository)
    text, source = HEAD.format(repository=_quoted(repository)), None
    for name, branch in wanted.items():
        found = _quoted(_branch(name, branch, there))
        text += (TARGET if source else ROOT).format(name=name, branch=found, source=source)
        source = name
    return text


def _wanted(environments: str) -> list[tuple[str, str | None]]:
    wanted: list[tuple[str, str | None]] = []
    for word in environments.split(","):
        name, equals, branch = word.strip().partition("=")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name) or (equals and not branch):
            raise ConfigError(f"{word.strip()!r}: write dev,qa,prod or dev=develop,prod=main", where="--environments")
        if name in dict(wanted):
            raise ConfigError(f"{name} is there twice", where="--environments")
        wanted.append((name, branch or None))
    return wanted


def _branch(name: str, branch: str | None, there: Collection[str]) -> str:
    guesses = [branch] if branch else [guess.format(name) for guess in GUESSES]
    for guess in guesses:
        if guess in there:
            return guess
    tried = ", ".join(f"`{guess}`" for guess in guesses)
    missing = f"{name} has no branch {tried}{nearest(branch or name, sorted(there), 8)}"
    raise ConfigError(missing, where="--environments", hint=f"name it: --environments {name}=BRANCH,...")


def _quoted(text: str) -> str:
    """A YAML scalar that is read as this very text."""
    plain = re.fullmatch(r"[A-Za-z/.][A-Za-z0-9/._@+-]*(:[A-Za-z0-9/._@+~-]+)*", text)
    reserved = text.lower() in {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
    numeric = text.replace(".", "").replace("e", "").isdigit()
    return text if plain and not reserved and not numeric else "'" + text.replace("'", "''") + "'"
