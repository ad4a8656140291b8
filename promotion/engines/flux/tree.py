"""What a Kustomization and everything below it come to, from what was read of the cluster so far; pure.

Whatever is not on the shelf yet is named, so that all of it can be read with one list for each kind and namespace. The answer counts when nothing is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from promotion.engines.contract import Deployed
from promotion.engines.flux import chart, helm, kustomization, readers
from promotion.engines.flux.inventory import HELM_RELEASE, KUSTOMIZATION, OWN, SOURCES, Ref, entries, left
from promotion.engines.flux.source import GIT, OCI, Source, check_ours, source
from promotion.engines.flux.status import Live, mapping, taken
from promotion.engines.flux.walk import Below, Walk
from promotion.errors import ConfigError
from promotion.model import WORST_FIRST, Health, Reading
from promotion.said import one_line
from promotion.texts import short


def together(tops: Sequence[Ref], walk: Walk) -> list[Deployed]:
    """Of each Kustomization what it and all below it come to; what one of them applies may be values of another.

    Raises ConfigError for a Kustomization that is not there, or does not follow the environment's branch."""
    said, below = gathered(tops, walk)
    revision = said[0].revision
    if revision is None or not all(each.revision == revision and _well(each) for each in said):
        return said
    found = readers.unsettled(below, revision, walk)
    return [
        replace(each, reading=worst([each.reading, *(reading for at, reading in found if at == top)]))
        if each.reading
        else each
        for top, each in zip(tops, said, strict=True)
    ]


def gathered(tops: Sequence[Ref], walk: Walk) -> tuple[list[Deployed], Below]:
    """What each says without a look at values, and all that is below them. Raises ConfigError, as `together` does."""
    below = Below()
    return [_told(top, walk, below) for top in tops], below


def _well(said: Deployed) -> bool:
    return said.reading is not None and said.reading.health is Health.HEALTHY


def _told(top: Ref, walk: Walk, below: Below) -> Deployed:
    try:
        return _whole(top, walk, below)
    except ValueError as exc:
        return Deployed(None, Reading(Health.UNKNOWN, one_line(f"{top} cannot be read: {exc}", 400)))


def _whole(top: Ref, walk: Walk, below: Below) -> Deployed:
    pending = Deployed(None, Reading(Health.UNKNOWN, f"{top} is not read yet"))
    read = walk.take(top)
    if read is None:
        if top in walk.wanted:
            return pending
        raise ConfigError(f"there is no {top}")
    live = taken(read)
    ref = source_of(live)
    found = walk.take(ref)
    if found is None:
        if ref in walk.wanted:
            return pending
        raise ConfigError(f"its source, {ref}, is not there", where=str(live))
    from_ = source(taken(found))
    check_ours(from_, walk.subject, walk.repository)
    below.readers.append((top, read))
    said = kustomization.judge(live, from_, walk.now)
    if said.reading is None or said.reading.health is not Health.HEALTHY or said.revision is None:
        return said
    return Deployed(said.revision, worst([said.reading, *_objects(live, from_, said.revision, walk, below)]))


def source_of(live: Live) -> Ref:
    """Raises ConfigError for a kind of source that tells no commit."""
    wanted = mapping(live.spec.get("sourceRef"), "spec.sourceRef")
    kind, name = str(wanted.get("kind")), str(wanted.get("name"))
    if kind not in (GIT, OCI):
        raise ConfigError(f"its source is the {kind} {name}, which tells no commit ({GIT}, {OCI})", where=str(live))
    return Ref(SOURCES, kind, str(wanted.get("namespace") or live.namespace), name)


def worst(readings: list[Reading]) -> Reading:
    """The worst of them, with what the others like it say."""
    health = min((each.health for each in readings), key=WORST_FIRST.index)
    said = list(dict.fromkeys(each.reason for each in readings if each.health is health))
    more = f"; and {len(said) - 3} more" if len(said) > 3 else ""
    return Reading(health, "; ".join(said[:3]) + more)


# --- below it --------------------------------------------------------------------------------------------------------


def _objects(top: Live, from_: Source, revision: str, walk: Walk, below: Below) -> Iterator[Reading]:
    """What is to be said of everything that it made, and that what it made has made."""
    above = Ref(*KUSTOMIZATION, top.namespace, top.name)
    below.kustomizations.append(top)
    known = {above}
    owners = [top]
    while owners:
        owner = owners.pop()
        made = entries(owner)
        below.made.update(made)
        if owner is top and not made:
            yield Reading(Health.UNKNOWN, f"{top} applied no object at all")
        refs = [ref for ref in left(owner, made) if ref not in known]
        known.update(refs)
        if refs and owner.spec.get("kubeConfig"):
            yield Reading(Health.UNKNOWN, f"{owner} deploys to another cluster, where {refs[0]} cannot be asked about")
            continue
        for ref in refs:
            read = walk.take(ref, made[ref])
            below.readers.extend([(above, read)] if read and ref.what in OWN else [])
            if read is None:
                yield Reading(Health.MISSING, f"{ref}, which {owner} made, is not there")
            elif ref.what == KUSTOMIZATION:
                reading = _kustomization(taken(read), from_, revision, walk)
                yield reading
                owners += [taken(read)] if reading.health is Health.HEALTHY else []
                below.kustomizations.append(taken(read))
            elif ref.what == HELM_RELEASE:
                yield from _release(taken(read), from_, revision, walk, owners)
            else:
                reading = walk.judge(read)
                yield Reading(reading.health, one_line(f"{ref}: {reading.reason}", 300))


def _kustomization(live: Live, from_: Source, revision: str, walk: Walk) -> Reading:
    """One from the same source has to be as far as the one that made it: its spec is the same for many commits."""
    ref = source_of(live)
    read = walk.take(ref)
    if read is None:
        return Reading(Health.UNKNOWN, f"{live}: its source, {ref}, is not there")
    own = source(taken(read))
    said = kustomization.judge(live, own, walk.now)
    reading = said.reading or Reading(Health.UNKNOWN, f"{live}: nothing is known")
    if own.ref != from_.ref:
        walk.sources.add(ref)
        if not _is_ours(own, walk):
            return (_elsewhere(live, own) if reading.health is Health.HEALTHY else None) or reading
    if said.revision == revision or reading.health not in (Health.HEALTHY, Health.DEGRADED):
        return reading
    return Reading(Health.PROGRESSING, f"{live} is at {short(said.revision)} yet: {reading.reason}")


def _is_ours(own: Source, walk: Walk) -> bool:
    """Whether another GitRepository is of the same branch: it fetches each commit, and does so at its own time."""
    if own.live.kind != GIT:
        return False
    try:
        check_ours(own, walk.subject, walk.repository)
    except ConfigError:
        return False
    return True


def _elsewhere(live: Live, own: Source) -> Reading | None:
    """The commit may have changed its source and not it: that has to be through with its spec, and what it holds applied."""
    if own.live.suspended:
        return Reading(Health.SUSPENDED, f"{live}: {own.trouble}")
    if not own.live.current:
        return Reading(Health.PROGRESSING, own.live.changed)
    if own.is_at(live.status.get("lastAppliedRevision")):
        return None
    return Reading(Health.PROGRESSING, f"{live} has not applied yet what {own.live} holds")


def _release(live: Live, from_: Source, revision: str, walk: Walk, owners: list[Live]) -> Iterator[Reading]:
    """A HelmRelease's own word, and its objects where it lists them; without either nothing is known of them."""
    reading = helm.judge(live)
    if reading.health is Health.HEALTHY:
        reading = _chart(live, from_, revision, walk) or reading
    yield reading
    if reading.health is not Health.HEALTHY:
        return
    if live.status.get("inventory") is not None and not live.spec.get("kubeConfig"):
        owners.append(live)
    elif not helm.waits(live):
        yield Reading(Health.UNKNOWN, f"{live}: Helm does not wait for what it installs, and lists none of it")


def _chart(live: Live, from_: Source, revision: str, walk: Walk) -> Reading | None:
    """Why it is not known to have released the chart of this commit. It was read before what holds its chart."""
    try:
        held = _held(live, chart.holder(live), walk, holds=True)
        if isinstance(held, Reading):
            return held
        made_of = chart.origin(held.live)
        if (found := chart.other(live, held)) or made_of is None:
            return found
        own = from_ if made_of == from_.ref else _held(live, made_of, walk, holds=False)
        if isinstance(own, Reading):
            return own
        ours = own is from_ or _is_ours(own, walk)
        return chart.of_commit(live, held.live, revision) if ours else chart.unpacked(held, own)
    except ValueError as exc:
        return Reading(Health.UNKNOWN, one_line(f"{live}: {exc}", 400))


def _held(live: Live, ref: Ref, walk: Walk, *, holds: bool) -> Source | Reading:
    """What holds its chart, or what that is made from, when it is through with its own spec."""
    read = walk.take(ref)
    walk.sources.add(ref)
    if read is None:
        return Reading(Health.PROGRESSING, f"{live}: {ref}, where its chart is, is not there")
    held = source(taken(read))
    return chart.unsettled(held, holds=holds) or held
