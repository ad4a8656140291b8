"""What an API server may refuse, by what the reader can do about it; must not know how it is asked."""

from __future__ import annotations

from promotion.errors import ConfigError, ConflictError, TemporaryError


class MissingError(ConfigError):
    """There is no such object, or no such kind: its definition is not installed."""


class DeniedError(ConfigError):
    """The credentials are not accepted, or may not do this."""


class InvalidError(ConfigError):
    """The server takes the request for wrong."""


class GoneError(TemporaryError):
    """What the request goes on with is forgotten: begin again."""


class ContestedError(ConflictError):
    """Somebody else has the object, or parts of it: `causes` are pairs (who manages it, field), maybe none."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        causes: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.causes = causes
