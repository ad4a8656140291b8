"""Which text of a file was found to follow the schema, kept so that it need not be asked again; must not vouch for any other text."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import promotion
from promotion.config.schema import written


def is_known(folder: Path, path: Path, text: bytes) -> bool:
    """Whether this very text was found right before, by this version; whatever else is kept there says nothing."""
    try:
        return _place(folder, path).read_bytes() == _name(text)
    except OSError:
        return False


def keep(folder: Path, path: Path, text: bytes) -> None:
    """Whatever is in the way of it is no trouble: the schema is asked again."""
    with suppress(OSError):
        _place(folder, path).write_bytes(_name(text))


def _place(folder: Path, path: Path) -> Path:
    """One for each file, whatever is written into it."""
    return folder / f"{sha256(os.fsencode(path.absolute())).hexdigest()}.checked"


def _name(text: bytes) -> bytes:
    parts = (promotion.__version__.encode(), written(), text)
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest().encode()
