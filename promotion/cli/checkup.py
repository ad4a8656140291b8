"""`validate --online`: asks an application's repository, ledger and engines once, and says of each what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion import observe, trust, watching
from promotion.cli.access import access
from promotion.engines import ENGINES
from promotion.engines.contract import Advising
from promotion.errors import PromotionError
from promotion.model import Environment, Health
from promotion.observe import Site, World
from promotion.texts import short

Row = dict[str, Any]


def checkup(site: Site) -> tuple[list[Row], list[Row]]:
    """Rows of `application`, `what`, `verdict` (ok, note or fault), `reason` and `fix`, and those of `access`.

    Writes nothing anywhere.
    """
    try:
        world = observe.survey(site, any_configuration=True)
    except PromotionError as exc:
        return [_row(site, "repository", "fault", str(exc), exc.hint)], access(site, None)
    rights = access(site, world)
    branches = ", ".join(e.branch for e in site.application.environments)
    rows = [_row(site, "repository", "ok", f"has {branches}"), _push(site, rights), _ledger(site, world)]
    return [*rows, *_signing(site), *_configuration(site, world), *_engines(site, world)], rights


def _row(site: Site, what: str, verdict: str, reason: str, fix: str | None = None) -> Row:
    return {"application": site.application.name, "what": what, "verdict": verdict, "reason": reason, "fix": fix}


def _push(site: Site, rights: list[Row]) -> Row:
    """A push that changes nothing tells whether we may push, and whether the server knows `atomic`."""
    for right in rights:
        if right["may_write"] is False:
            return _row(site, "push", "fault", right["reason"], right["fix"])
    return _row(site, "push", "ok", "may push, atomically; see what each credential may")


def _ledger(site: Site, world: World) -> Row:
    name = site.application.ledger.removeprefix("refs/heads/")
    if world.ledger is None:
        return _row(site, "ledger", "note", f"{name} is not there yet: the first round begins it")
    if world.ignored:
        said = "; ".join(f"{short(oid)}: {why}" for oid, why in list(world.ignored.items())[:5])
        return _row(site, "ledger", "note", f"{name} has records that change nothing: {said}", "promotion audit")
    signed = "signed" if site.application.trust else "unsigned"
    return _row(site, "ledger", "ok", f"{name} at {short(world.ledger)}, {signed}")


def _signing(site: Site) -> Iterator[Row]:
    """Whether what is recorded from here would count, where only signed records do."""
    if site.application.trust is None:
        return
    try:
        name = trust.signs_as(site.repository, site.application, site.clock())
    except PromotionError as exc:
        yield _row(site, "signing", "fault", str(exc), exc.hint)
    else:
        yield _row(site, "signing", "ok", f"records are signed by {name}")


def _configuration(site: Site, world: World) -> Iterator[Row]:
    try:
        observe.check_configuration(site.application, world.state)
    except PromotionError as exc:
        yield _row(site, "configuration", "fault", exc.message, exc.hint)
    else:
        yield _row(
            site, "configuration", "ok", "this file is in force" if world.state.in_force else "none in force yet"
        )


def _engines(site: Site, world: World) -> Iterator[Row]:
    for environment in site.application.environments:
        try:
            seen = watching.observe(site, environment, world.tip(environment))
        except PromotionError as exc:
            yield _row(
                site,
                environment.name,
                "fault",
                str(exc),
                exc.hint or f"see to what `engine` and `health` of {environment.name} name",
            )
            continue
        what = f"{short(seen.revision)} is " if seen.revision else ""
        said = f"{what}{seen.health}" + (f": {'; '.join(seen.reasons)}" if seen.reasons else "")
        if not environment.health and not environment.engine_says:
            fix = f"without checks {environment.name} is never healthy: write some below `health:`"
            yield _row(site, environment.name, "note", said, fix)
        else:
            yield _row(site, environment.name, "ok" if seen.health is Health.HEALTHY else "note", said)
        yield from _advice(site, environment, world.tip(environment))


def _advice(site: Site, environment: Environment, head: str) -> Iterator[Row]:
    """What keeps a true answer from coming soon, where the engine knows."""
    engine = ENGINES[environment.engine.type]
    if not isinstance(engine, Advising):
        return
    try:
        found = engine.advice(environment.engine.settings, observe.subject(site, environment, head))
    except PromotionError:
        return  # what it says of itself is told above
    for why, fix in found:
        yield _row(site, environment.name, "note", why, fix)
