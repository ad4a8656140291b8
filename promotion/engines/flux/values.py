"""Whether a HelmRelease or Kustomization has looked at its values since the same commit may have changed or removed those; pure.

They are in objects (`valuesFrom`, `postBuild.substituteFrom`) whose change leaves it as it is, and Ready: its controller sees that when
it next looks, or at once where the object has the label `reconcile.fluxcd.io/watch: Enabled`, and even then Ready is the old one until it
begins. What it looked at it does not say.
So a look has to have begun after the change: one that was asked for after the commit was applied, one that says when it began, or
one that ended so long after the change that it cannot have begun before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from promotion.engines.flux import passes
from promotion.engines.flux.asking import request
from promotion.engines.flux.freshness import duration
from promotion.engines.flux.inventory import Ref
from promotion.engines.flux.status import Live, mapping
from promotion.texts import instant

_BY_CONTENT = re.compile(r".*-[2456789bcdfghkmt]{10}")
TIMEOUT, STEPS, MORE = timedelta(minutes=5), 3, timedelta(minutes=5)
"""A look takes as many timeouts at most (a release, its test, going back), and a while to fetch the chart."""
SKEW = timedelta(minutes=1)
"""Between the API server's clock and a controller's."""
ACTIONS = ("install", "upgrade", "test", "rollback", "uninstall")
"""Each of a HelmRelease may have a timeout of its own."""


@dataclass(frozen=True, slots=True)
class Named:
    """Where it takes values from; `optional`: it goes without them when that is not there."""

    ref: Ref
    optional: bool

    @property
    def by_content(self) -> bool:
        """As kustomize ends the names of what it generates: other content has another name, which changes who names it."""
        return bool(_BY_CONTENT.fullmatch(self.ref.name))


def named(live: Live) -> list[Named]:
    """Raises ValueError."""
    built, found = mapping(live.spec.get("postBuild") or {}, "spec.postBuild"), []
    for each in (*(live.spec.get("valuesFrom") or ()), *(built.get("substituteFrom") or ())):
        one = mapping(each, "what names its values")
        ref = Ref("", str(one.get("kind")), live.namespace, str(one.get("name")))
        found.append(Named(ref, one.get("optional") is True))
    return found


def is_handled(live: Live, revision: str, since: datetime | None) -> bool:
    """Whether a look began after we asked for it, which we do when the commit is applied; not when that was before `since`: values
    changed, or another commit was applied, and this one again."""
    asked = request(live.handled)
    if live.pending or asked is None or not asked.applied or asked.commit != revision:
        return False
    return since is None or asked.at >= since


def is_after(reader: Mapping[str, Any], moment: datetime) -> bool:
    """Whether its newest status was written so long after that moment that its look began after it. Raises ValueError."""
    looked = max(_times(reader, status=True), default=None)
    return looked is not None and looked - moment > STEPS * _timeout(reader) + MORE


def has_begun_after(live: Live, moment: datetime) -> bool | None:
    """Whether its newest pass began after that moment of its controller's clock; None where it does not say."""
    began = passes.began(live)
    return None if began is None else began >= moment


def written(values: Mapping[str, Any]) -> datetime | None:
    """When anybody changed them last. Raises ValueError."""
    return max(_times(values, status=False), default=None)


def _timeout(reader: Mapping[str, Any]) -> timedelta:
    """The longest that any step may take. Without one a Kustomization takes its interval."""
    spec = mapping(reader.get("spec"), "spec")
    default = duration(spec.get("interval")) if reader.get("kind") == "Kustomization" else None
    own = [mapping(spec.get(action) or {}, f"spec.{action}").get("timeout") for action in ACTIONS]
    return max(duration(spec.get("timeout")) or default or TIMEOUT, *(duration(each) or timedelta(0) for each in own))


def _times(live: Mapping[str, Any], *, status: bool) -> Iterator[datetime]:
    """When anybody changed it last, by the API server's clock; of the status only, or of anything."""
    for each in mapping(live.get("metadata"), "metadata").get("managedFields") or ():
        entry = mapping(each, "an entry of metadata.managedFields")
        if not status or entry.get("subresource") == "status":
            yield instant(str(entry.get("time")))
