"""What `--remote` asks a run for and what the run answers, as JSON in its parameters and in an artifact of its own.

An artifact, since workers and callers share the server and nothing else. Holds names and words, never secrets.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.exceptions import ObjectNotFound

from flows.api import Api
from promotion import errors, report
from promotion.errors import ConfigError, PromotionError, TemporaryError
from promotion.model import Application
from promotion.reconcile import Result
from promotion.spelling import nearest
from promotion.texts import duration

log = logging.getLogger(__name__)

KEY = "answer"
"""The artifact's key; each run has its own."""
PAUSES = (0, 1, 2, 5, 10, 20, 30, 30)
"""Seconds between the tries to leave an answer, while the server is away."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `promotion promote` that a run has no parameter for, and who typed them."""

    by: str | None = None
    plan: str | None = None
    wait: str | None = None
    """A duration as people write it."""
    allow_empty: bool = False
    dry_run: bool = False
    resolution: str | None = None
    """What decides a conflict: a commit of a proposal branch, or a unique prefix of it."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Asked:
        return cls(**_known(data, cls.__slots__))

    def environ(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        return acting(environ, self.by)


@dataclass(frozen=True, slots=True)
class Back:
    """The options of `promotion rollback` that a run has no parameter for."""

    wait: str | None = None
    """A duration as people write it."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Back:
        return cls(**_known(data, cls.__slots__))


@dataclass(frozen=True, slots=True)
class Round:
    """The options of `promotion run`, and who typed them."""

    by: str | None = None
    environments: Mapping[str, Sequence[str]] | None = None
    """By application; None: everything."""
    sync: bool = False
    dry_run: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Round:
        return cls(**_known(data, cls.__slots__))

    def environ(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        return acting(environ, self.by)

    def has(self, application: str) -> bool:
        return self.environments is None or application in self.environments

    def names(self, application: Application) -> set[str]:
        """Raises ConfigError for an environment that the file here does not have."""
        names = [e.name for e in application.environments]
        wanted = names if self.environments is None else self.environments[application.name]
        for name in wanted:
            if name not in names:
                raise ConfigError(f"no environment of {application.name} `{name}`{nearest(name, names)}")
        return set(wanted)


def to_json(asked: Asked | Back | Round) -> dict[str, Any]:
    """Only what was asked for."""
    return {key: value for key, value in asdict(asked).items() if value}


def span_of(wait: str | None) -> timedelta | None:
    """Raises ConfigError."""
    try:
        return None if wait is None else duration(wait)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(str(exc), where="wait") from exc


def _known(data: Mapping[str, Any], keys: Sequence[str]) -> Mapping[str, Any]:
    """Raises ConfigError for what another version asks."""
    for key in data:
        if key not in keys:
            raise ConfigError(f"`remote` has `{key}`, which the version that serves does not know", where="parameters")
    return data


def acting(environ: Mapping[str, str], by: str | None) -> Mapping[str, str]:
    """These variables, with the caller as whoever acts."""
    return {**environ, "PROMOTION_USER": by} if by else environ


# --- answers -------------------------------------------------------------------------------------------------------


def hop(result: Result, *, dry_run: bool) -> dict[str, Any]:
    """What `promote` says."""
    advice = list(report.advice(result, dry_run=dry_run))
    return {"status": result.status, "result": report.result(result), "next": advice}


def backs(hops: Sequence[Mapping[str, Any]], trouble: Sequence[PromotionError], *, alone: bool) -> dict[str, Any]:
    """What `rollback` says: of each environment what `promote` says of a hop, and the first lines of commits.

    `alone`: a glob or a name meant one environment.
    """
    return {"alone": alone, "hops": list(hops), "errors": [errors.as_data(exc) for exc in trouble]}


def rounds(
    results: Sequence[Result],
    waits: Sequence[Mapping[str, Any]],
    trouble: Sequence[PromotionError],
    *,
    raised: bool,
) -> dict[str, Any]:
    """What `run` says; `raised`: an error ended the round of an application early."""
    return {
        "statuses": [r.status for r in results] + [exc.exit_status for exc in trouble],
        "hops": [report.result(r) for r in results],
        "waits": list(waits),
        "raised": raised,
        "errors": [errors.as_data(exc) for exc in trouble],
    }


def trouble(exc: PromotionError) -> dict[str, Any]:
    """What either says when there is nothing else to say."""
    return {"error": errors.as_data(exc)}


# --- the artifact --------------------------------------------------------------------------------------------------


def tell(api: Api, run: UUID | None, answer: Mapping[str, Any]) -> None:
    """Leaves the answer for whoever follows the run; a server that is away gets some time to come back."""
    for pause in PAUSES:
        time.sleep(pause)
        try:
            _show(api, run, {"answer": answer})
        except (TemporaryError, ObjectNotFound) as exc:
            log.warning("the answer is not written yet: %s", exc)
        else:
            return


def news(api: Api, run: UUID | None, text: str) -> None:
    """Says what the run waits for, which also is its sign of life."""
    try:
        _show(api, run, {"news": text})
    except (TemporaryError, ObjectNotFound) as exc:
        log.warning("not told: %s", exc)


def _show(api: Api, run: UUID | None, data: Mapping[str, Any]) -> None:
    if run is not None:
        api.show(KEY, "json", run=run, data=json.dumps(data))


def read(api: Api, run: UUID) -> tuple[dict[str, Any], str]:
    """What a run has said so far, its `news` or its `answer`, and when. Raises TemporaryError."""
    found = api.artifact(KEY, run)
    if found is None:
        return {}, ""
    data = found["data"]
    return (json.loads(data) if isinstance(data, str) else data), found["updated"]
