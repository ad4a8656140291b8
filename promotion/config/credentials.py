"""`credentials` of environments.yaml: where tokens are found, and who uses which; pure, must not read one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from promotion.config.document import Steps, plain
from promotion.config.written import Finding, Named
from promotion.model import Application, Credential

GIVEN_TO_OTHERS = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|TZ|LC_\w+|TMPDIR|XDG_\w+|SSH_\w+|GNUPGHOME|GIT_(SSH|SSL|ASKPASS|AUTHOR|COMMITTER|CONFIG|TRACE)\w*"
    r"|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy"
)
"""Variables that the programs we start are given: a token must not be in one."""
_NAME = re.compile(r"(?!gh[a-z]_|github_pat_)[A-Za-z_]\w{0,63}", re.ASCII)
"""No token of the hosts that begin theirs with letters and `_`."""


def of(written: Mapping[str, Any], base: Path) -> Credential | None:
    """The credential that an application or an environment names itself."""
    named = written.get("credentials") or {}
    if "token_file" in named:
        return Credential(token_file=os.path.normpath(base / named["token_file"]))
    return Credential(token_env=named["token_env"]) if named else None


def handed_on(application: Application, steps: Steps, data: Mapping[str, Any], base: Path) -> Application:
    """The same, where environments without a credential have the application's, and reading is done with some one."""
    own = of(_at(data, steps), base)
    reading = own or next((e.credential for e in application.environments if e.credential), None)
    environments = tuple(replace(e, credential=e.credential or own) for e in application.environments)
    return replace(application, environments=environments, credential=reading)


def findings(application: Named, data: Mapping[str, Any]) -> Iterator[Finding]:
    """What does not fit together: two places for one token, a token for what takes none, a name that others are given."""
    yield from _of_one(
        _at(data, application.steps).get("credentials"), (*application.steps, "credentials"), application
    )
    for each in application.environments:
        yield from _of_one(each.values.get("credentials"), each.at("credentials"), application)


def _of_one(named: Any, steps: Steps, application: Named) -> Iterator[Finding]:
    if not isinstance(named, dict):
        return
    name = named.get("token_env", "A")
    if len(named) > 1:
        yield Finding(steps, "`token_env` and `token_file` both: write one of them")
    elif wrong := wrong_variable(name, "token", "PROD_EU_TOKEN"):
        yield Finding((*steps, "token_env"), wrong)
    elif named.get("token_file", "").startswith("~"):
        yield Finding((*steps, "token_file"), "`~` is not filled in here: write the whole path")
    elif application.place and not re.match(r"https?://", application.place):
        yield Finding(steps, f"only http(s):// repositories take a token, and {plain(application.name)}'s is none")


def wrong_variable(name: str, what: str, such_as: str) -> str | None:
    """What is wrong with the name of a variable that holds a secret; it is not repeated, since it may be the secret."""
    if not _NAME.fullmatch(name):
        return f"not the name of a variable: letters, digits and `_`, such as {such_as}, and never the {what}"
    if GIVEN_TO_OTHERS.fullmatch(name):
        return f"`{name}` is handed to every program that is started: a {what} needs a variable of its own"
    return None


def _at(data: Mapping[str, Any], steps: Steps) -> Mapping[str, Any]:
    value: Any = data
    for step in steps:
        value = value[step]
    return value if isinstance(value, dict) else {}
