"""The engine `kubernetes`: our operator, which makes one namespace of a cluster have what its branch has.

    documents, render   files of a commit -> documents, through kustomize where that is asked for
    objects, steps      documents -> objects in order; what is to be applied, put back and pruned
    live, apply, work   what there is, and the writes
    inventory, fields, conflicts   what is ours, in the cluster's own words
    rounds, watch       a round; what the orchestrator sees of it

It reads Git objects and speaks to one API server. Who runs it needs rights there, and none on the repository but to read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from promotion.engines.contract import Content, Deployed
from promotion.errors import ConfigError
from promotion.model import Subject

if TYPE_CHECKING:  # who only looks at Git, or has no such environment, loads nothing of it
    from promotion.engines.kubernetes.inventory import Target
    from promotion.engines.kubernetes.objects import Manifest

log = logging.getLogger(__name__)

_RENDERED: dict[tuple[str, ...], tuple[str, list[Manifest]]] = {}
"""By environment: what its newest revision consists of, so that an idle round renders nothing."""


def observe(settings: Mapping[str, Any], subject: Subject) -> Deployed:
    """What the inventory says is applied, and the health of each object in it. Raises ConfigError, TemporaryError."""
    from promotion.engines.kubernetes import watch

    return watch.observe(_target(settings, subject), settings.get("health_rules", ()))


def sync(settings: Mapping[str, Any], subject: Subject, content: Content) -> Deployed:
    """One round. Raises ConfigError and RefusedError for what is not to be applied, TemporaryError when the server is away."""
    from promotion.engines.kubernetes.rounds import deploy

    revision = subject.revision or ""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ConfigError(f"not a commit that can be deployed: {revision or 'none'}", where=subject.environment)
    return deploy(_target(settings, subject), revision, lambda: manifests(settings, subject, content))


def manifests(settings: Mapping[str, Any], subject: Subject, content: Content) -> list[Manifest]:
    """The objects of a revision. Raises ConfigError with a line for each document that is none."""
    from promotion.engines.kubernetes.objects import in_the_clear, judged
    from promotion.engines.kubernetes.render import rendered
    from promotion.engines.kubernetes.rounds import trouble

    key = (subject.repository, subject.application, subject.environment, str(settings.get("path", "")))
    revision, known = _RENDERED.get(key, ("", []))
    if revision == subject.revision:
        return known
    found, problems = judged(rendered(settings, subject, content))
    if problems:
        raise trouble(problems)
    for line in in_the_clear(found):
        log.warning("%s", line)
    _RENDERED[key] = (subject.revision or "", found)
    return found


def _target(settings: Mapping[str, Any], subject: Subject) -> Target:
    from promotion import kube
    from promotion.engines.kubernetes.inventory import Target
    from promotion.engines.kubernetes.objects import owner

    cluster = kube.connect(settings, subject.environ)
    label = owner(subject.application, subject.environment, settings["namespace"])
    return Target(cluster, subject, settings["namespace"], label, force=settings.get("conflicts") == "force")
