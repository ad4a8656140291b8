"""The tree of errors, by what the reader can do about them; must not import anything of this package.

PromotionError
├── ConfigError      the file, the command line or the set-up is wrong: mend it (exit status 2)
├── RefusedError     a rule says no: nothing was written (exit status 4)
│   └── AnsweredError    the same person has said the same already: there is nothing to do
├── ConflictError    two changes touch one place: a person decides (exit status 5)
└── TemporaryError   a remote is away or somebody was faster: try again (exit status 75)
    ├── ContendedError   decided again as often as allowed, and somebody was faster each time
    ├── TornError        refs that move together were read before and after: read again
    └── LockedError      a lock in the remote's repository is in the way of what was pushed
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any


class PromotionError(Exception):
    """What a user is told: `message` says what is wrong, `where` names the place, `hint` the next command to type."""

    kind = "error"
    exit_status = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class ConfigError(PromotionError):
    """The file, the command line or the set-up is wrong.

    `problems` are complete lines (`FILE:LINE:COL: $.path: text`) when there are several of them.
    """

    kind = "config"
    exit_status = 2

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.problems = problems


class RefusedError(PromotionError):
    """A rule says no; nothing was written."""

    kind = "refused"
    exit_status = 4


class AnsweredError(RefusedError):
    """The same person has said the same of the same plan already; nothing was written, and nothing needs to be."""


class ConflictError(PromotionError):
    """Two changes touch one place; nothing was written."""

    kind = "conflict"
    exit_status = 5


class TemporaryError(PromotionError):
    """A remote is away, a lock is held or a deadline passed: the same command may succeed later."""

    kind = "temporary"
    exit_status = 75


class ContendedError(TemporaryError):
    """Somebody else was faster each time this was decided."""

    kind = "contended"


class TornError(TemporaryError):
    """A server moves the refs of one push one after the other, and they were read in between: what they say is of no moment."""

    def __init__(self, where: str) -> None:
        super().__init__("its branches moved while they were read", where=where, hint="try again")


class LockedError(TemporaryError):
    """The remote can be reached, and a lock in its repository is in the way."""


KINDS = (PromotionError, ConfigError, RefusedError, ConflictError, TemporaryError, ContendedError)


def as_data(exc: PromotionError) -> dict[str, Any]:
    """The object of an error in JSON."""
    data: dict[str, Any] = {"kind": exc.kind, "where": exc.where, "message": exc.message, "hint": exc.hint}
    if isinstance(exc, ConfigError) and exc.problems:
        data["problems"] = list(exc.problems)
    return data


def of_data(data: Mapping[str, Any]) -> PromotionError:
    """The error that an object in JSON is about; one of a kind that is not known is a bug's."""
    told: dict[str, Any] = {"where": data["where"], "hint": data["hint"]}
    if data["kind"] == ConfigError.kind:
        return ConfigError(data["message"], problems=tuple(data.get("problems", ())), **told)
    kind = next((c for c in KINDS if c.kind == data["kind"]), PromotionError)
    error = kind(data["message"], **told)
    error.kind = data["kind"]
    return error


def reworded(exc: PromotionError, message: str) -> PromotionError:
    """The same error, of the same class and with the same hint, that says `message` and nothing else."""
    said = copy.copy(exc)
    said.message, said.where = message, None
    if isinstance(said, ConfigError):
        said.problems = ()
    return said


def once(errors: Iterable[PromotionError]) -> tuple[PromotionError, ...]:
    """Without those that say again, word for word, what one before them says, whatever stands around it."""
    told: list[PromotionError] = []
    for exc in errors:
        if not any(str(one) in str(exc) for one in told):
            told.append(exc)
    return tuple(told)


def as_bug(exc: Exception, where: str | None = None) -> PromotionError:
    """Any other exception as what a user is told of it."""
    text = f"promotion has a bug: {type(exc).__name__}: {exc}"
    said = PromotionError(text, where=where, hint="the same with -v shows where")
    said.kind = "bug"
    return said
