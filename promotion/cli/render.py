"""Text for people from the same data as `--json`: tables, times in the reader's zone, plans; decides and prints nothing."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from promotion.cli.output import plain
from promotion.texts import instant, short, span

Data = Mapping[str, Any]

STATUS = ("ENV", "RELEASE", "ORIGIN", "SINCE", "HEALTH", "NEXT", "WAITS FOR")
NAMED = 5
"""How many files or commits are named in one line."""


def clock(text: str | None, now: datetime) -> str:
    """An instant in the reader's zone: the time today, the weekday in the last week, else the date."""
    if text is None:
        return "-"
    at, here = instant(text).astimezone(), now.astimezone()
    if at.date() == here.date():
        return f"{at:%H:%M}"
    return f"{at:%a %H:%M}" if timedelta(0) < here - at < timedelta(days=6) else f"{at:%Y-%m-%d}"


def ago(text: str, now: datetime) -> str:
    return f"{span(now - instant(text))} ago"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns."""
    clean = [[plain(cell).replace("\n", " ") for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in clean) for n in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean]


# --- status ----------------------------------------------------------------------------------------------------------


def status(application: Data, now: datetime, stale: timedelta) -> Iterator[str]:
    """The first screen: what is where, since when, is it well, what comes next and what keeps it."""
    signed = "signed" if application["signed"] else "unsigned"
    yield f"{application['application']}   ledger: {signed if application['ledger'] else 'none yet'}"
    rows = [
        [
            e["environment"],
            short(e["tip"]),
            short(e["origin"]),
            clock(e["since"], now),
            _health(e, now, stale),
            short(e["candidate"]),
            _waits(e),
        ]
        for e in application["environments"]
    ]
    yield from table(STATUS, rows)
    for e in application["environments"]:
        yield from (f"! {e['environment']}: {line}" for line in _hints(e, now))
    for record in application["ignored"][:NAMED]:
        yield f"! record {short(record['record'])} changes nothing: {record['reason']}     promotion audit"
    everything = [e["frozen"] for e in application["environments"] if e["frozen"] and e["frozen"]["everything"]]
    if everything:
        yield f"! everything {_freeze(everything[0], now)}     promotion thaw"


def _health(e: Data, now: datetime, stale: timedelta) -> str:
    words = [e["health"] if e["observed_at"] else "not observed yet"]
    if e["drift"]:
        words.append(f"drift {e['drift']}")
    if e["observed_at"] and now - instant(e["observed_at"]) > stale:
        words.append(f"(recorded {ago(e['observed_at'], now)})")
    return "  ".join(words)


def _waits(e: Data) -> str:
    if e["from"] is None and e["verdict"] is None:
        return "people push here"
    if e["verdict"] == "pass":
        return "the next round"
    if e["verdict"] in ("block", "conflict"):
        return f"{e['verdict']}: {e['waiting_for']}"
    return e["waiting_for"] or "-"


def _freeze(frozen: Data, now: datetime) -> str:
    last = f" until {clock(frozen['until'], now)}" if frozen["until"] else ""
    return f"is frozen{last}: {frozen['reason']} ({frozen['by']}, {ago(frozen['at'], now)})"


def _hints(e: Data, now: datetime) -> Iterator[str]:
    watched, why = e["verification"], "; ".join(e["reasons"])
    held = {hold["commit"] for hold in e["holds"]}
    if (
        e["health"] != "healthy"
        and why
        and e["observed_at"]
        and not e["unread"]
        and not any(why in h["reason"] for h in e["holds"])
    ):
        yield why
    if e["deployed"] and e["tip"] and e["deployed"] != e["tip"]:
        yield f"{short(e['deployed'])} is deployed, the branch is at {short(e['tip'])}"
    if watched and watched["state"] in ("failed", "timed-out") and watched["commit"] not in held:
        yield f"verification of {short(watched['commit'])} {watched['state']}"
    if over := e["overridden"]:
        yield f"came past {', '.join(over['gates'])}: {over['reason']} ({over['by']})"
    if (frozen := e["frozen"]) and not frozen["everything"]:
        yield f"{_freeze(frozen, now)}     promotion thaw {e['environment']}"
    for hold in (hold for hold in e["holds"] if not hold["fixed"]):
        undo = f"promotion lift {e['environment']} {short(hold['commit'])}"
        yield f"holds {short(hold['commit'])}: {hold['reason']} ({hold['by']})     {undo}"
    if e["approval"] and e["approval"]["may"] and e["verdict"] == "wait":
        names = ", ".join(e["approval"]["may"][:NAMED])
        yield f"plan {e['plan_id'][:8]} waits for {names}     promotion approve {e['plan_id'][:8]}"
    if e["drift"]:
        more = e["drift"] - NAMED
        names = ", ".join(e["drift_paths"][:NAMED]) + (f" and {more} more" if more > 0 else "")
        yield f"differs from {e['from']} in {names}     promotion drift {e['environment']}"
    if e["unread"]:
        yield e["unread"].removeprefix(f"{e['environment']} ")
    if e["hint"]:
        yield e["hint"]


# --- plan ------------------------------------------------------------------------------------------------------------


def hop(application: str, environment: str, source: Data | None) -> str:
    """`shop: qa <- dev 4f2a91c`, as far as it is known."""
    comes_from = f" <- {source['environment']} {short(source['commit'])}" if source else ""
    return f"{application}: {environment}{comes_from}".removesuffix(" -")


def plan(data: Data) -> Iterator[str]:
    """What would be promoted and why (not)."""
    source, word = data["source"], data["verdict"].upper()
    origin = "" if source["origin"] in (None, source["commit"]) else f" (origin {short(source['origin'])})"
    identity = f"   plan {data['plan_id'][:8]}" if data["plan_id"] else ""
    yield f"{hop(data['application'], data['environment'], source)}{origin}   {word}{identity}"
    if data["commits"]:
        touched = data["conflicts"] or data["changes"]
        yield f"  {_authors(data)}; {files(touched)}   --diff shows {'both sides' if data['conflicts'] else 'them'}"
        for commit in data["commits"][:NAMED]:
            yield f"    {short(commit['commit'])}  {commit['subject'][:80]} ({commit['author']})"
    if data["tree"]:
        yield f"  lands   {_lands(data)}"
    yield from map(_brought, data["brings_back"][:NAMED])
    for side in data["conflicts"]:
        mine, theirs = (_side(side[end]) for end in ("target", "source"))
        yield f"  both    {side['path']}: {data['environment']} {mine} · {source['environment']} {theirs}"
    width = max((len(v["gate"]) for v in data["verdicts"]), default=0)
    for verdict in data["verdicts"]:
        yield f"  {verdict['verdict']:<5} {verdict['gate']:<{width}}  {verdict['reason']}"
    if not data["verdicts"]:
        yield f"  {data['reason']}"
    if data["verdict"] in ("pass", "wait", "block") and not data["absorbs"]:
        yield f"  then    {data['then']}"
    for passed in data["passed_over"][:NAMED]:
        yield f"  over    {short(passed['commit'])} {passed['reason']}"
    if len(data["passed_over"]) > NAMED:
        yield f"  over    {len(data['passed_over']) - NAMED} more"
    for number, step in enumerate(data["resolution"]):
        yield f"  {'resolve' if not number else '       '} {step}"
    if data["approval"] and any(v["gate"] == "approval" and v["verdict"] == "wait" for v in data["verdicts"]):
        page = f"   or   {data['page']}" if data.get("page") else ""
        yield f"  next    promotion approve {data['plan_id'][:8]}{page}"
    elif data["verdict"] == "pass" or any(v["gate"] == "auto" and v["verdict"] == "wait" for v in data["verdicts"]):
        pinned = f" --plan {data['plan_id'][:8]}" if data["plan_id"] else ""
        yield f"  next    promotion promote {data['environment']}{pinned}{_resolved(data)}"


def _brought(row: Data) -> str:
    """A change that was taken back or refused before, and how much of it is as it was."""
    does = "back" if row["why"] == "rolled back" else "has"
    why = f"{row['why']}: {row['reason']}" if row["reason"] else row["why"]
    how = f"{len(row['changed'])} of {files(row['paths'])} changed since" if row["changed"] else "as it was"
    return f'  {does:<7} {short(row["commit"])} "{row["subject"][:60]}" ({row["author"]}), {why}; {how}'


def _resolved(data: Data) -> str:
    """What has to be typed with a plan that rests on a person's decision about a conflict."""
    return f" --resolution {short(data['resolved_by'])}" if data.get("resolved_by") else ""


def _side(last: Data | None) -> str:
    return f'{short(last["commit"])} "{last["subject"][:60]}" ({last["author"]})' if last else "changed it"


def _authors(data: Data) -> str:
    """How many commits, and by whom those are that are listed."""
    counted = Counter(c["author"] for c in data["commits"]).most_common()
    many = f"{data['commit_count']} commit{'s' if data['commit_count'] != 1 else ''}"
    return f"{many} by {', '.join(f'{name} ({count})' for name, count in counted[:NAMED])}"


def files(changes: Sequence[object]) -> str:
    """How many."""
    return f"{len(changes)} file{'s' if len(changes) != 1 else ''}"


def _lands(data: Data) -> str:
    """How each file lands: as tested, or exactly how not."""
    if data["absorbs"]:
        return "nothing: all of it is there already, and will be recorded so"
    tested = sum(1 for c in data["changes"] if c["explained_by"] == "tested")
    parts = [f"{tested} as tested in {data['source']['environment']}"] if tested else []
    words = {
        "resolution": "resolved by a person",
        "merge": "merged",
        "drift": "kept: changed here",
        "kept": "kept: protected",
    }
    for rule, said in words.items():
        rows = data["changes"] if rule == "merge" else data["kept"]
        rows = [*data["changes"], *rows] if rule == "resolution" else rows
        paths = list(dict.fromkeys(c["path"] for c in rows if c["explained_by"] == rule))
        if paths:
            more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
            parts.append(f"{len(paths)} {said} ({', '.join(paths[:NAMED])}{more})")
    return " · ".join(parts) or "nothing but protected files"


def difference(path: str, old: bytes | None, new: bytes | None, sides: tuple[str, str] = ("a", "b")) -> Iterator[str]:
    """A unified diff of one file; what is no text is only named."""
    before = f"{sides[0]}/{path}" if old is not None else "/dev/null"
    after = f"{sides[1]}/{path}" if new is not None else "/dev/null"
    if b"\0" in (old or b"") + (new or b""):
        yield f"binary files {before} and {after} differ"
        return
    left, right = ((data or b"").decode("utf-8", "backslashreplace").splitlines() for data in (old, new))
    yield from difflib.unified_diff(left, right, before, after, lineterm="")


# --- what happened ---------------------------------------------------------------------------------------------------


def result(data: Data, seconds: float, *, dry_run: bool = False) -> Iterator[str]:
    """What became of one hop, or would have."""
    took = f"   {seconds:.1f} s"
    word = f"{'would be ' * dry_run}{data['outcome']}".upper()
    if data["verification"] not in (None, "pending"):
        word = f"{word}, {data['verification'].upper()}"
    what = short(data["commit"]) if data["commit"] and data["verification"] != "failed" else data["reason"]
    if dry_run and data["outcome"] == "rolled-back":
        what = f"to {short(data['restores'])}"
    yield f"{hop(data['application'], data['environment'], data['source'])}   {word}   {what}{took}"


def rollback(data: Data, subjects: Mapping[str, str]) -> Iterator[str]:
    """What a rollback restores, holds and undoes; `subjects` has the first lines of commits."""
    if data["outcome"] != "rolled-back" or "restores" not in data:
        return
    yield f"  restores  {short(data['restores'])} {subjects.get(data['restores'], '')}"
    for hold in data["holds"]:
        yield f"  holds     {short(hold['commit'])} ({files(hold['paths'])}) {subjects.get(hold['commit'], '')}"
    for oid in data["lifts"]:
        yield f"  lifts     {short(oid)}: it is there again"
    for oid in data["hotfixes"]:
        yield f"  undoes    {short(oid)} {subjects.get(oid, '')}, made by hand"


def waits(rows: Sequence[Data]) -> Iterator[str]:
    """What environments wait for, or would be given: what a round says in which nothing lands."""
    for row in rows:
        app, name = row["application"], row["environment"]
        if row["verdict"] == "pass":
            yield f"{hop(app, name, row['source'])}   would land"
        else:
            yield f"{app}: {name} {'waits' if row['verdict'] == 'wait' else 'is blocked'}: {row['reason']}"


EVENT = ("AT", "APPLICATION", "ENV", "EVENT", "WHAT", "BY")


def history(events: Sequence[Data], now: datetime) -> list[str]:
    """A line for each event; whose it is, where they are of several applications."""
    rows = [
        (when(e["at"], now), e["application"], e["environment"] or "all", e["event"], _what(e), _by(e)) for e in events
    ]
    if len({e["application"] for e in events}) > 1:
        return table(EVENT, rows)
    return table((EVENT[0], *EVENT[2:]), [(row[0], *row[2:]) for row in rows])


def _by(e: Data) -> str:
    return f"{e['by']} (through {e['through']})" if "through" in e else str(e["by"])


def when(text: str, now: datetime) -> str:
    """An instant to the second, with its day."""
    at = instant(text).astimezone()
    return f"{at:%H:%M:%S}" if at.date() == now.astimezone().date() else f"{at:%Y-%m-%d %H:%M:%S}"


def _what(e: Data) -> str:
    """One event in a few words."""
    if e["event"] == "observed":
        if "environments" in e:
            return f"as before: {', '.join(e['environments'])}"
        return f"{short(e['revision'])} {e['health']}" + (
            f": {'; '.join(e['reasons'])}" if e["health"] != "healthy" else ""
        )
    if e["event"] in ("promoted", "absorbed", "adopted"):
        return f"{short(e['source'])}" + (f" as {short(e['commit'])}" if "commit" in e else "")
    if e["event"] == "rolled-back":
        return f"to {short(e['restores'])} as {short(e['commit'])}: {e['reason']}"
    if e["event"] == "reverted":
        if "found" in e:
            return f"{short(e['revision'])} again, where {short(e['found'])} ran"
        by = f" (changed by {', '.join(e['managers'])})" if e.get("managers") else ""
        return ", ".join(e["paths"][:NAMED]) + by
    if e["event"] in ("identified", "approved", "rejected", "withdrawn", "overridden"):
        past = f" past {', '.join(e['gates'])}" if "gates" in e else ""
        why = f": {e['reason']}" if e.get("reason") else ""
        return f"plan {e['plan_id'][:8]}{past}{why}"
    said = e.get("reason") or "; ".join(e.get("reasons", ()))
    return " ".join(filter(None, [short(e["commit"]) if "commit" in e else "", said]))


def where(data: Data, now: datetime) -> Iterator[str]:
    width = max(len(p["environment"]) for p in data["environments"])
    for place in data["environments"]:
        said = place["reason"] or ""
        if place["in"]:
            since = f" since {clock(place['since'], now)}" if place["since"] else ""
            other = f" (as {short(place['as'])})" if place["as"] != data["origin"] else ""
            said = f"in{since}{other}"
        elif place["verdict"] and place["reason"] != "next" and not place["reason"].startswith("waits for "):
            said = f"next: {said}"
        yield f"{place['environment']:<{width}}  {said}"
