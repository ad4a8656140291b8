"""The naive model's word on what goes back by itself: when a failure calls for it, and to which release.

Uses only the model's files and records, and nothing of the product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.model import Model


def why_not(model: Model, application: str, name: str, by: str, tip: str) -> str:
    """What forbids an orchestrator to take back by itself what failed, with the branch at `tip`; '' when nothing does."""
    rules, known = model.applications[application].environments[name], model.known[application, name]
    failed = known.watched
    if rules.on_failure != "rollback" or failed is None or known.outcome != "failed":
        return "nothing failed"
    if known.acted:
        return "something was done about it already"
    if known.release is None or known.release[0] != failed or not model.fits(application, name, tip):
        return f"{failed} is not the release that is there"
    if failed in known.backs:
        return "it is a rollback itself"
    if failed in known.well:
        return "it was well in the meantime"
    if known.frozen:
        return "it is frozen"
    read = [r for r in model.readings if (r.by, r.application, r.environment) == (by, application, name)]
    revision, health = (read[-1].revision, read[-1].health) if read else (None, "")
    if revision is None or health != "degraded":
        return f"it was read as {health}"
    if model.scoped(application, revision) != model.scoped(application, failed):
        return f"{revision} runs, which is something else"
    if failed not in model.ancestors(revision):
        return f"{revision} runs, and not {failed}"
    if model.between(application, rules, failed, tip):
        return f"{tip} has something on top of it"
    return ""


def why_not_held(model: Model, application: str, name: str, by: str) -> str:
    """What forbids to hold it in place of going back: there was no way back at any tip since it came."""
    known, reasons = model.known[application, name], list[str]()
    for tip in model.objects.chain(model.tips[name]):
        why = why_not(model, application, name, by, tip)
        if not why and (back := way(model, application, name, tip)):
            why = f"{back} is a way back"
        if not why:
            return ""
        reasons.append(why)
        if tip == known.watched:
            break
    return reasons[0]


def way(model: Model, application: str, name: str, tip: str) -> str | None:
    """The newest release before that was well, was neither taken back nor held, and is something else; none over people's work."""
    rules, known = model.applications[application].environments[name], model.known[application, name]
    line = [oid for oid in model.objects.chain(tip) if model.changed(application, oid)]
    held = dict(known.kept_out())
    for number, oid in enumerate(line):
        well = oid in known.given and oid in known.good
        if not well or oid in known.undone or oid in held or not model.between(application, rules, line[0], oid):
            continue
        if any(_by_hand(model, application, name, each) for each in line[:number]):
            return None
        return oid if any(known.given.get(each) for each in line[number:]) else None
    return None


def _by_hand(model: Model, application: str, name: str, commit: str) -> bool:
    """Whether people made it, and it is still what it was: neither taken back nor itself what took something back."""
    known, said = model.known[application, name], model.objects.commit(commit).trailers
    ours = (said.get("Promotion-Application"), said.get("Promotion-Environment")) == (application, name)
    return not (ours or commit in known.undone or commit in known.backs)
