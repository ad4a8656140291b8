"""The verbs that look back: history, where, audit. They read Git only."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer

from promotion import observe, report
from promotion.cli import render
from promotion.cli.context import Some, call_of, each, sites_of
from promotion.cli.look import complained
from promotion.cli.output import answer, plain, printed
from promotion.cli.times import TIMES, moment
from promotion.errors import ConfigError, PromotionError, RefusedError
from promotion.events import KINDS
from promotion.model import Environment
from promotion.observe import Site
from promotion.report.past import COLUMNS, Asked, row
from promotion.sites import utc_now
from promotion.spelling import nearest
from promotion.texts import instant

# --- history ---------------------------------------------------------------------------------------------------------


def history(
    context: typer.Context,
    environments: Some = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"From then on: {TIMES}.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Up to then, written likewise.")] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--event", metavar="KIND", help="Only this kind; a list, or several times.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="WHO", help="Only by whom this is a part of.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only the newest N.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="A header and a line an event, for a spreadsheet.")] = False,
) -> int:
    """What happened, newest first, from the ledger. All that is asked for must hold."""
    call = call_of(context)
    if as_csv and call.json:
        raise ConfigError("is one answer and --json another", where="--csv")
    begins, ends = _stretch(since, until)
    asked = Asked(begins, ends, _kinds(kinds or []), by)

    def one(site: Site, chosen: list[Environment]) -> list[dict[str, Any]]:
        names = [e.name for e in chosen] if environments else None
        return report.history(site, snapshot(site), replace(asked, environments=names), limit)

    with sites_of(call, environments or []) as found:
        snapshot = observe.looking([site for site, _ in found])
        lists, errors = each(found, one)
    events = [event for of_one in lists for event in of_one]
    if len(lists) > 1:
        events = sorted(events, key=lambda e: instant(e["at"]), reverse=True)[:limit]
    if as_csv:
        printed(_csv(events))
    else:
        nothing = "nothing like that happened" if asked != Asked() else "nothing happened yet"
        answer(call, {"events": events}, render.history(events, utc_now()) if events else [nothing])
    return complained(errors)


def _stretch(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """From when on, and before when. Raises ConfigError."""
    now = utc_now()
    begins = moment(since, "--since", now)[0] if since is not None else None
    ends = moment(until, "--until", now)[1] if until is not None else None
    if begins and ends and begins >= ends:
        raise ConfigError(f"{until} is before --since {since}", where="--until")
    return begins, ends


def _kinds(written: list[str]) -> frozenset[str]:
    found = frozenset(word.strip() for words in written for word in words.split(","))
    for kind in sorted(found - KINDS.keys()):
        raise ConfigError(f"no kind of event `{kind}`{nearest(kind, list(KINDS), len(KINDS))}", where="--event")
    return found


def _csv(events: Iterable[Mapping[str, Any]]) -> str:
    """RFC 4180, but for the last line's end, which whoever prints adds."""
    out = io.StringIO(newline="")
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    lines.writerows([_cell(cell) for cell in row(event)] for event in events)
    return out.getvalue().removesuffix("\n")


def _cell(text: str) -> str:
    """People write reasons: what a spreadsheet would take for a formula gets an apostrophe before it."""
    text = plain(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


# --- where -----------------------------------------------------------------------------------------------------------


def where(
    context: typer.Context,
    commit: Annotated[str, typer.Argument(metavar="COMMIT", help="A commit of any environment, or a unique prefix.")],
) -> int:
    """In which environments a change is, since when, as which commit, and what keeps it from the next."""
    call = call_of(context)
    unknown: list[ConfigError] = []
    gone: list[PromotionError] = []
    concerned: dict[str, bool] = {}

    def one(site: Site, _: list[Environment]) -> dict[str, Any] | None:
        world = observe.world(site, snapshot(site), partly=True)
        gone.extend(ConfigError(said) for said in world.missing.values())
        try:
            oid = site.repository.resolve(commit)
        except ConfigError as exc:  # another application may have it
            unknown.append(exc)
            return None
        concerned[site.application.name] = report.concerns(site, oid)
        return report.where(site, world, oid)

    with sites_of(call) as found:
        snapshot = observe.looking([site for site, _ in found])
        found_places, errors = each(found, one)
    known = [place for place in found_places if place is not None]
    places = [place for place in known if concerned[place["application"]]] or known
    if not places:
        raise (*errors, *unknown)[0]
    names = len(known) > 1
    now = utc_now()
    lines = [line for data in places for line in ([data["application"]] * names + list(render.where(data, now)))]
    answer(call, {"applications": places}, lines)
    return complained([*errors, *gone])


# --- audit -----------------------------------------------------------------------------------------------------------


def audit(context: typer.Context) -> int:
    """Replays the ledger and the branches, and checks all that can be checked from Git. Exit status 4: something does not hold."""
    call = call_of(context)

    def one(site: Site, _: list[Environment]) -> dict[str, Any]:
        world = observe.world(site, snapshot(site), any_configuration=True, partly=True, any_history=True)
        findings, notes = report.audited(site, world)
        count = len(site.repository.history.ids(world.ledger)) if world.ledger else 0
        signed = site.application.trust is not None
        name = site.application.name
        return {"application": name, "events": count, "signed": signed, "findings": findings, "notes": notes}

    with sites_of(call) as found:
        snapshot = observe.looking([site for site, _ in found])
        applications, errors = each(found, one)
    everything = [finding for a in applications for finding in a["findings"]]
    notes = [note for a in applications for note in a["notes"]]
    answer(call, {"applications": applications, "findings": everything, "notes": notes}, _audit_lines(applications))
    status = complained(errors)
    return RefusedError.exit_status if everything else status


def _audit_lines(applications: list[dict[str, Any]]) -> Iterator[str]:
    for a in applications:
        for f in a["findings"]:
            at = f" (record {f['record'][:12]})" if f["record"] else ""
            yield f"{a['application']}: {f['environment'] or 'ledger'}: {f['problem']}{at}"
        for n in a["notes"]:
            at = f"{render.when(n['at'], utc_now())}, record {n['record'][:12]}"
            yield f"{a['application']}: {n['environment']}: {n['by']} got past {', '.join(n['gates'])}: {n['reason']} ({at})"
        verdict = (
            f"{len(a['findings'])} do{'es' * (len(a['findings']) == 1)} not hold" if a["findings"] else "all holds"
        )
        signed = "signed" if a["signed"] else "unsigned"
        yield f"{a['application']}: {a['events']} events replayed, {verdict}; ledger: {signed}"
