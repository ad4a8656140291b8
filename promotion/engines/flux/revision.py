"""Which commit a revision of Flux's is: `main@sha1:ID`, `sha1:ID`, `main/ID` before Flux 2.0; pure.

Only a whole id is one. A branch may hold `/` and `@`, and never `:`.
"""

from __future__ import annotations

import re
from typing import Any

_COMMIT = re.compile(r"(?:.*@)?sha1:([0-9a-f]{40})")
_LEGACY = re.compile(r"[^:]+/([0-9a-f]{40})")


def commit(revision: Any) -> str | None:
    """The full id of the commit; None for everything else, such as a digest, a branch's name or a short id."""
    if not isinstance(revision, str):
        return None
    found = _COMMIT.fullmatch(revision) or _LEGACY.fullmatch(revision)
    return found[1] if found else None
