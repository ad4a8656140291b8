"""What a check is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from promotion.model import Reading, Subject


class Check(Protocol):
    """Asks once, within the deadlines of its settings. Never raises: whatever is not a clear yes is not HEALTHY (S3)."""

    def __call__(self, settings: Mapping[str, Any], subject: Subject) -> Reading: ...
