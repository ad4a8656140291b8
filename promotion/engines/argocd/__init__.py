"""The engine `argocd`: Argo CD deploys, and its Applications say what; nothing is written but the request to look at Git, where that is wanted.

Argo CD is believed where one read proves a commit, and no further. Nothing is kept here from one call to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promotion.engines.contract import Asked, Deployed, only
from promotion.engines.kept import Kept
from promotion.errors import PromotionError
from promotion.model import Subject


def observe(settings: Mapping[str, Any], subject: Subject) -> Deployed:
    """Raises ConfigError for an Application that is not there or deploys something else, TemporaryError where nobody answers."""
    return only(observe_all([(settings, subject)]))


def observe_all(asked: Sequence[Asked], kept: Kept | None = None) -> list[Deployed | PromotionError]:
    """The same for many environments; one list for all that have their Applications in one place."""
    from promotion.engines.argocd.fleet import look

    return look(asked, kept)


def refresh(settings: Mapping[str, Any], subject: Subject) -> None:
    """Asks Argo CD to look at Git, where `refresh` says so. Raises PromotionError."""
    if settings.get("refresh", "none") != "none":
        from promotion.engines.argocd.fleet import ask_for

        ask_for(settings, subject)
