"""The tree of errors, by what the reader can do about them; must not import anything of this package.

PromotionError
├── ConfigError      the file, the command line or the set-up is wrong: mend it (exit status 2)
├── RefusedError     a rule says no: nothing was written (exit status 4)
├── ConflictError    two changes touch one place: a person decides (exit status 5)
└── TemporaryError   a remote is away or somebody was faster: try again (exit status 75)
    └── ContendedError   decided again as often as allowed, and somebody was faster each time
"""

from __future__ import annotations


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
