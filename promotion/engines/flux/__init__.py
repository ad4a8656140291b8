"""The engine `flux`: Flux deploys, and its objects say what; nothing is written but the request to look at Git, where that is wanted.

Flux is believed where one read proves a commit, and no further. Nothing is kept here from one call to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promotion.engines.contract import Asked, Deployed, only
from promotion.engines.kept import Kept
from promotion.errors import PromotionError
from promotion.model import Subject


def observe(settings: Mapping[str, Any], subject: Subject) -> Deployed:
    """Raises ConfigError for a Kustomization that is not there or follows something else, TemporaryError for a cluster that is away."""
    return only(observe_all([(settings, subject)]))


def observe_all(asked: Sequence[Asked], kept: Kept | None = None) -> list[Deployed | PromotionError]:
    """The same for many environments: of each cluster, one list for each kind and namespace."""
    from promotion.engines.flux.fleet import look

    return look(asked, kept)


def refresh(settings: Mapping[str, Any], subject: Subject) -> None:
    """Asks Flux to look at Git, where `refresh: annotate` says so; a hint, of which later calls know on their own. Raises PromotionError."""
    if settings.get("refresh", "none") == "annotate" and subject.revision:
        from promotion.engines.flux.fleet import ask_for

        ask_for(settings, subject)


def advice(settings: Mapping[str, Any], subject: Subject) -> list[tuple[str, str]]:
    """Whose looks at values only time proves, and the remedy. Raises PromotionError."""
    if settings.get("refresh", "none") == "annotate":
        return []
    from promotion.engines.flux.fleet import advise

    return advise(settings, subject)
