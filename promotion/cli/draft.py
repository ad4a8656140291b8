"""The text of a first environments.yaml, from the branches of a repository; and those that it has not yet."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from promotion.config import names
from promotion.errors import ConfigError, TemporaryError
from promotion.repository import Git, Repository, Update
from promotion.repository.words import gist
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


@dataclass(frozen=True, slots=True)
class Draft:
    """The file's text, and the branches that it names and that are not there: each with the branch that it begins at."""

    text: str
    place: str
    missing: Mapping[str, str]


def draft(repository: str, environments: str, base: Path, environ: Mapping[str, str], *, create: bool = False) -> Draft:
    """Each environment takes commits from the one before it. Asks the remote for its branches, and writes nothing.

    With `create` a branch that is not there is to begin where the one before it is, the first at the remote's default
    branch. Raises ConfigError for a repository that is not there, or a branch that cannot be found.
    """
    if wrong := names.repository(repository):
        raise ConfigError(wrong, where="--repository")
    wanted = dict(_wanted(environments))
    place = names.place(repository, base)
    with _opened(place, environ) as opened:
        there = opened.branches()
        before = opened.default_branch() if create else None
    if not there:
        raise ConfigError("the repository is empty: push the environments' branches first", where=repository)
    text, source, missing = HEAD.format(repository=quoted(repository)), None, dict[str, str]()
    for name, branch in wanted.items():
        found = _branch(name, branch, there, create=create)
        if found not in there:
            missing[found] = before or ""
            if before not in (*there, *missing):
                raise ConfigError("has no default branch for the first environment to begin at", where=repository)
        text += (TARGET if source else ROOT).format(name=name, branch=quoted(found), source=source)
        source, before = name, found
    if missing and (ledgers := sorted(b for b in there if b.startswith("promotion/") and not names.is_proposal(b))):
        # one that was deleted had what was promoted to it; the branch before it may have what never passed a gate
        lost, *_ = missing
        what = f"`{lost}` is missing where promotions are recorded already (`{ledgers[0]}`): it is not made anew"
        hint = f"push what it is to hold: git push URL COMMIT:refs/heads/{lost}   (promotion history names releases)"
        raise ConfigError(what, where=repository, hint=hint)
    return Draft(text, place, missing)


def _opened(place: str, environ: Mapping[str, str]) -> Repository:
    return Repository(place, Git(environ, cache_folder(environ)), cache_folder(environ))


def create(drafted: Draft, environ: Mapping[str, str]) -> None:
    """Makes the missing branches on the remote: all of them, or none. Raises ConfigError or TemporaryError."""
    with _opened(drafted.place, environ) as opened:
        begin = [f"refs/heads/{branch}" for branch in drafted.missing.values() if branch not in drafted.missing]
        at = {ref.removeprefix("refs/heads/"): oid for ref, oid in opened.refresh(begin).tips.items()}
        for branch, before in drafted.missing.items():
            if before not in at:
                raise TemporaryError(f"`{before}` is not there any more", where=drafted.place)
            at[branch] = at[before]
        said = opened.push([Update(f"refs/heads/{branch}", None, at[branch]) for branch in drafted.missing])
        there = opened.branches()
    if not all(there.get(branch) == at[branch] for branch in drafted.missing):
        wanted = ", ".join(f"`{branch}`" for branch in drafted.missing)
        raise ConfigError(f"the remote did not create {wanted}: {gist(said)}", where=drafted.place)


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


def _branch(name: str, branch: str | None, there: Collection[str], *, create: bool) -> str:
    guesses = [branch] if branch else [guess.format(name) for guess in GUESSES]
    for guess in guesses:
        if guess in there:
            return guess
    if create:
        return guesses[0]
    tried = ", ".join(f"`{guess}`" for guess in guesses)
    missing = f"{name} has no branch {tried}{nearest(branch or name, sorted(there), 8)}"
    hint = f"name it: --environments {name}=BRANCH,...  or have it made: --create-branches"
    raise ConfigError(missing, where="--environments", hint=hint)


def quoted(text: str) -> str:
    """A YAML scalar that is read as this very text."""
    plain = re.fullmatch(r"[A-Za-z/.][A-Za-z0-9/._@+-]*(:[A-Za-z0-9/._@+~-]+)*", text)
    reserved = text.lower() in {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
    numeric = text.replace(".", "").replace("e", "").isdigit()
    return text if plain and not reserved and not numeric else "'" + text.replace("'", "''") + "'"
