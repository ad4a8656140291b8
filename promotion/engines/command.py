"""The engine `command`: push-based pipelines. One program deploys a revision, another one says which revision runs.

Neither is believed beyond its words: only `observe` says what is deployed, an answer that is not exactly as agreed is none,
and a `deploy` that ended well proves nothing. Nothing is kept here from one call to the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promotion.checks.command import CAP, Ended, run
from promotion.engines.contract import Content, Deployed
from promotion.engines.workplace import claimed, filled
from promotion.errors import ConfigError, TemporaryError
from promotion.model import Health, Reading, Subject
from promotion.said import first_line, one_line
from promotion.spelling import nearest
from promotion.texts import duration, short

REVISION = re.compile(r"[0-9a-f]{40}")
KEYS = ("revision", "health", "reason")


def observe(settings: Mapping[str, Any], subject: Subject) -> Deployed:
    """Asks `observe`, which is not told what is expected: so it cannot just repeat that. Raises TemporaryError."""
    asked = replace(subject, revision=None)
    ended = run(settings["observe"], asked, settings.get("observe_timeout", "30s"), sweep=True)
    if ended.status != 0:
        raise TemporaryError(_failed("observe", ended))
    try:
        return answer(ended.output)
    except ValueError as exc:
        raise TemporaryError(f"observe: {exc}") from exc


def sync(settings: Mapping[str, Any], subject: Subject, content: Content) -> Deployed:
    """Runs `deploy`, in the files of `subject.revision`, when `observe` says that another revision runs.

    A `deploy` that failed is told by the reading. Raises TemporaryError when `observe` has no answer, or when another
    deployment of this environment is still at work on this machine; ConfigError for files that nobody could deploy.
    """
    revision, timeout = subject.revision or "", settings.get("deploy_timeout", "10m")
    if not REVISION.fullmatch(revision):
        raise ConfigError(f"not a commit that can be deployed: {revision or 'none'}")
    before = observe(settings, subject)
    if before.revision == revision:
        return before
    with claimed(subject, duration(timeout)) as claim:
        before = observe(settings, subject)
        if before.revision == revision:  # by whoever held the place until now
            return before
        with filled(claim, content) as folder:
            ended = run(settings["deploy"], subject, timeout, folder=folder, handed=[claim.handle])
        if ended.status != 0:
            return Deployed(before.revision, Reading(Health.DEGRADED, _failed("deploy", ended)))
        after = observe(settings, subject)
    if after.revision != revision:
        runs = f"{short(after.revision)} runs" if after.revision else "nothing is deployed"
        return replace(after, reading=Reading(Health.PROGRESSING, f"deploy ended well, but observe says that {runs}"))
    return replace(after, replaced=before.revision)


def answer(output: bytes) -> Deployed:
    """What `observe` printed, as agreed: one JSON object with KEYS. Raises ValueError, in words, on anything else."""
    said = _document(output)
    if unknown := sorted(said.keys() - set(KEYS)):
        key = one_line(unknown[0], 40)
        raise ValueError(f"unknown key `{key}`{nearest(key, KEYS)}")
    if "revision" not in said:
        raise ValueError("no `revision` in what it printed: a commit, or null when nothing is deployed")
    revision, reason = said["revision"], said.get("reason", "")
    if revision is not None and not (isinstance(revision, str) and REVISION.fullmatch(revision)):
        raise ValueError(f"`revision` is 40 hex digits in lower case, or null; not {_shown(revision)}")
    if not isinstance(reason, str):
        raise ValueError(f"`reason` is a text, not {_shown(reason)}")
    if "health" not in said:
        return Deployed(revision)
    health = said["health"]
    words = [str(word) for word in Health]
    if not isinstance(health, str) or health not in words:
        raise ValueError(f"{_shown(health)} is no `health`{nearest(health if isinstance(health, str) else '', words)}")
    if health == Health.HEALTHY and revision is None:
        raise ValueError("it says healthy, and that nothing is deployed")
    return Deployed(revision, Reading(Health(health), one_line(reason) or f"observe says {health}"))


def _document(output: bytes) -> dict[str, Any]:
    if len(output) > CAP:
        raise ValueError(f"it printed more than {CAP >> 10} KiB")
    try:
        text = output.decode("utf-8")
        if not text.strip():
            raise ValueError('it printed nothing; {"revision": null} says that nothing is deployed')
        # Numbers belong nowhere, and Python refuses to read very long whole ones.
        said = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=float)
    except UnicodeDecodeError as exc:
        raise ValueError("it printed bytes that are no UTF-8") from exc
    except json.JSONDecodeError as exc:
        what = "more than one JSON value" if exc.msg == "Extra data" else "no JSON"
        raise ValueError(f"it printed {what}: {first_line(text, 80)}") from exc
    except RecursionError as exc:
        raise ValueError("it printed JSON that is nested too deeply") from exc
    if not isinstance(said, dict):
        raise ValueError(f"a JSON object is needed, not {_shown(said)}")
    return said


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key `{one_line(key, 40)}` stands twice in what it printed")
        found[key] = value
    return found


def _constant(word: str) -> Any:
    raise ValueError(f"it printed {word}, which is no JSON")


def _shown(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), 60)


def _failed(program: str, ended: Ended) -> str:
    if ended.status is None:
        return f"{program}: {ended.said}"
    return f"{program}: exit {ended.status}" + (f": {ended.said}" if ended.said else "")
