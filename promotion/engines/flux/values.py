"""Whether a HelmRelease or Kustomization has looked at its values as they are now, where the same commit may change those; pure.

They are in objects (`valuesFrom`, `postBuild.substituteFrom`) whose change leaves it as it is, and Ready: its controller sees that when
it next looks, or at once where the object has the label `reconcile.fluxcd.io/watch: Enabled`, and even then Ready is the old one until it
begins. What it looked at it does not say.
So a look has to have begun after the change: one that was asked for after the commit was applied, or one that ended so long after the
change that it cannot have begun before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from promotion.engines.flux.asking import asked_for
from promotion.engines.flux.freshness import duration
from promotion.engines.flux.inventory import Ref
from promotion.engines.flux.status import Live, mapping
from promotion.texts import instant

BY_CONTENT = re.compile(r"-[2456789bcdfghkmt]{10}")
"""How kustomize ends the names of what it generates: other content has another name, which changes the HelmRelease."""
TIMEOUT, STEPS, MORE = timedelta(minutes=5), 3, timedelta(minutes=5)
"""A look takes as many timeouts at most (a release, its test, going back), and a while to fetch the chart."""
ACTIONS = ("install", "upgrade", "test", "rollback", "uninstall")
"""Each of a HelmRelease may have a timeout of its own."""


def of_commit(live: Live, made: Collection[Ref]) -> list[Ref]:
    """Where its values are, of what the commit made. Raises ValueError."""
    built, found = mapping(live.spec.get("postBuild") or {}, "spec.postBuild"), []
    for each in (*(live.spec.get("valuesFrom") or ()), *(built.get("substituteFrom") or ())):
        one = mapping(each, "what names its values")
        ref = Ref("", str(one.get("kind")), live.namespace, str(one.get("name")))
        if ref in made and not BY_CONTENT.search(ref.name[-11:]):
            found.append(ref)
    return found


def is_handled(live: Live, revision: str) -> bool:
    """Whether a look began after we asked for it, which we do when the commit is applied."""
    return not live.pending and asked_for(live.handled) == revision


def is_after(reader: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether its newest status was written so long after the values were that its look began after them. Raises ValueError."""
    looked = max(_times(reader, status=True), default=None)
    written = max(_times(values, status=False), default=None)
    return looked is not None and written is not None and looked - written > STEPS * _timeout(reader) + MORE


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
