"""What people may write as a reason or a name, which ends up in records, pages and terminals; pure, must not know where it came from."""

from __future__ import annotations

import re

from promotion.errors import ConfigError

LONGEST = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#|\$\{")
_TRAILER = re.compile(r"\b(promotion-[a-z]+|co-authored-by|signed-off-by)\s*:", re.IGNORECASE)


def line(text: str, what: str, where: str | None = None) -> str:
    """The text without spaces around it. Raises ConfigError for one that is no plain line; `what` names it."""
    plain = text.strip()
    if found := _CONTROL.search(plain):
        raise ConfigError(
            f"{what} holds the control character U+{ord(found[0]):04X}: write one plain line", where=where
        )
    if len(plain) > LONGEST:
        raise ConfigError(f"{what} has {len(plain)} characters: {LONGEST} at most", where=where)
    if found := _TEMPLATE.search(plain):
        raise ConfigError(
            f"{what} holds `{found[0]}`, and templates are not filled in here: write plain text", where=where
        )
    if found := _TRAILER.search(plain):
        raise ConfigError(f"{what} holds `{found[0]}`, which only commits say: write it another way", where=where)
    return plain


def reason(text: str, where: str | None = None) -> str:
    """The same for a reason, which there must be."""
    plain = line(text, "a reason", where)
    if not plain:
        raise ConfigError("a reason is one that people can read", where=where)
    return plain
