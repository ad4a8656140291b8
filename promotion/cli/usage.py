"""What is wrong with words on the command line, as one of our errors: with the nearest spelling, or the place where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from promotion.errors import ConfigError
from promotion.spelling import nearest

GLOBAL = ("-c", "--config", "-a", "--application", "--json", "-v", "--verbose", "-q", "--quiet", "--version")


def as_error(exc: typer.TyperException, words: Sequence[str]) -> ConfigError:
    """The same as a ConfigError, whose exit status is 2."""
    seen: Any = exc
    context = getattr(exc, "ctx", None)
    path = context.command_path if context else "promotion"
    hint = f"{path} --help"
    option = getattr(exc, "option_name", None)
    if type(exc).__name__ == "NoSuchOption" and option:
        if option in GLOBAL and context and context.parent:
            verb = context.info_name
            return ConfigError(f"`{option}` stands before the verb: promotion {option} {verb} ...", where=verb)
        options = [o for p in context.command.params for o in p.opts if o.startswith("--")] if context else []
        return ConfigError(f"no option `{option}`{nearest(option, options)}", where=path, hint=hint)
    message = seen.format_message() if hasattr(exc, "format_message") else str(exc)
    if message.startswith("No such command") and context:
        verbs = context.command.list_commands(context)
        word = next((w for w in words if w not in verbs and f"'{w}'" in message), words[-1])
        return ConfigError(f"no verb `{word}`{nearest(word, verbs)}", hint=hint)
    return ConfigError(" ".join(message.split()), where=path, hint=hint)
