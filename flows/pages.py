"""Markdown for people in Prefect's UI, from the same data as `--json`; pure. Text from Git and forms is data, never markup."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from promotion.texts import instant, short

Data = Mapping[str, Any]
MARKUP = re.compile(r"([\\`*_\[\]|~#!])")
PLAIN = re.compile(r"[\w.,:;/+=@%() -]+", re.ASCII)
ROWS = 20
"""How many lines a table has at most; the rest is counted."""


def escape(text: object, limit: int = 200) -> str:
    """Text as text: one line, without control characters, and nothing in it is markup, a tag or a link."""
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in str(text))
    shown = " ".join(shown.split())
    shown = shown if len(shown) <= limit else shown[: limit - 1] + "…"
    shown = MARKUP.sub(r"\\\1", html.escape(shown, quote=False))
    # Links that need no markup: by backslashes, since the UI shows "&#47;" as it is.
    return shown.replace("://", r":\/\/").replace("@", r"\@").replace("www.", r"www\.")


def code(text: object) -> str:
    """A path or an id in type of its own, where that cannot be broken out of."""
    return f"`{text}`" if PLAIN.fullmatch(str(text)) else escape(text)


def link(text: object, url: str) -> str:
    """A page of ours by its name; inside a link the UI shows `&lt;` as it is."""
    return f"[{escape(text).replace('&lt;-', '←')}]({url})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are escaped already; nothing without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    more = [f"| {len(lines) - ROWS} more |" + " |" * (len(head) - 1)] if len(lines) > ROWS else []
    head_lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return ["", *head_lines, *lines[:ROWS], *more] if lines else []


def clock(at: datetime | str | None, now: datetime | None = None) -> str:
    """`13:58 UTC`, with the day when it is another one than `now`."""
    if at is None:
        return ""
    when = instant(at) if isinstance(at, str) else at
    return when.strftime("%H:%M UTC" if now is None or when.date() == now.date() else "%a %d %b %H:%M UTC")


def key(*parts: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes. Names that do not fit stay apart by a digest."""
    name = "-".join(parts)
    fitting = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return fitting if fitting == name else f"{fitting}-{sha256(name.encode()).hexdigest()[:6]}"


def run_name(application: str, environment: str, source: str | None = None, commit: str | None = None) -> str:
    """`shop: qa <- dev 4f2a91c`, as far as it is known."""
    comes_from = f" <- {source}" if source else ""
    return f"{application}: {environment}{comes_from}{f' {short(commit)}' if commit else ''}"


def back_name(application: str, environment: str) -> str:
    """`shop: prod-* back`."""
    return f"{application}: {environment} back"


# --- one hop -------------------------------------------------------------------------------------------------------


def hop(plan: Data, news: Sequence[str]) -> str:
    """A run's page: what was done, and what was decided and why. `news` is markdown."""
    source, target = plan["source"], plan["target"]
    title = run_name(plan["application"], plan["environment"], source["environment"], source["commit"])
    lines = [f"## {escape(title).replace('&lt;-', '←')}", ""]
    lines += [f"- {line}" for line in (*news, *_landing(plan)) if line]
    lines += table(("commit", "author", "what"), map(_commit, plan["commits"]))
    lines += table(("gate", "verdict", "why"), map(_verdict, plan["verdicts"]))
    lines += table(
        ("passed over", "why"), ([code(short(p["commit"])), escape(p["reason"])] for p in plan["passed_over"])
    )
    identity = f"Plan {code(plan['plan_id'][:8])}. " if plan.get("plan_id") else ""
    lines += ["", f"{identity}Branch {code(target['branch'])} was at {code(short(target['tip']))}."]
    return "\n".join(lines)


def _landing(plan: Data) -> list[str]:
    """How the files land, in words: what was tested is what lands, or exactly where not; and what comes then."""
    source, changes = escape(plan["source"]["environment"]), plan["changes"]
    if plan["conflicts"]:
        return [f"**Both sides changed:** {', '.join(code(side['path']) for side in plan['conflicts'][:ROWS])}"]
    if not changes:
        return []
    files = f"{len(changes)} {'file' if len(changes) == 1 else 'files'}"
    return [
        f"**Lands:** {files}, {f'exactly as tested in {source}' if plan['identical'] else 'see what differs'}",
        *unlike(plan),
        *brought(plan),
        f"**Then:** {escape(plan['then'])}",
    ]


def unlike(plan: Data) -> list[str]:
    """Where what lands is not what was tested in the source; '' where there is nothing to say."""
    source, target, kept = escape(plan["source"]["environment"]), escape(plan["environment"]), plan["kept"]
    protected = [code(c["path"]) for c in kept if c["explained_by"] == "kept"]
    other = [f"{code(c['path'])} ({UNLIKE[c['explained_by']]})" for c in kept if c["explained_by"] in UNLIKE]
    return [
        f"**Not identical to {source}:** {_some(other)}" if other else "",
        f"**Kept from {target}:** {_some(protected)} (protected)" if protected else "",
    ]


def brought(plan: Data) -> list[str]:
    """What comes with it that was taken back or refused before, and how much of that is as it was."""
    return [_brought(row) for row in plan["brings_back"]]


def _brought(row: Data) -> str:
    does = "Brings back" if row["why"] == "rolled back" else "Has"
    why = f"{row['why']}: {escape(row['reason'])}" if row["reason"] else row["why"]
    files, changed = len(row["paths"]), len(row["changed"])
    how = f"{changed} of {files} files changed since" if changed else "as it was"
    return f"**{does}:** {code(short(row['commit']))} {escape(row['subject'], 80)} ({escape(row['author'], 40)}), {why}; {how}"


UNLIKE = {"drift": "only the target changed it", "merge": "both changed it, merged", "resolution": "a person decided"}


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - ROWS} more" if len(items) > ROWS else ""
    return ", ".join(items[:ROWS]) + more


def _commit(commit: Data) -> list[str]:
    return [code(short(commit["commit"])), escape(commit["author"], 40), escape(commit["subject"], 80)]


def _verdict(verdict: Data) -> list[str]:
    until, reason = clock(verdict["until"]), verdict["reason"]
    more = f" (until {until})" if until and until.partition(" ")[0] not in reason else ""
    return [escape(verdict["gate"]), verdict["verdict"], f"{escape(reason)}{more}"]


def refusal(title: str, message: str, hint: str | None) -> str:
    """The page of a run that could not decide anything."""
    return "\n".join(
        [f"## {escape(title)}", "", escape(message, 1000), *(["", f"Next: {escape(hint)}"] if hint else [])]
    )


def back(result: Data, subjects: Mapping[str, str], news: str) -> list[str]:
    """One rollback: what it restores, holds and undoes. `subjects` has the first lines of commits; `news` is markdown."""
    lines = [f"**Why:** {escape(result['reason'], 500)}", f"**Verification:** {news}" if news else ""]
    if "restores" in result:

        def named(oid: str) -> str:
            return f"{code(short(oid))} {escape(subjects.get(oid, ''))}".strip()

        lines.append(f"**Restores:** {named(result['restores'])}")
        lines += [f"**Holds:** {named(h['commit'])}, {len(h['paths'])} files" for h in result["holds"]]
        lines += [f"**Lifts:** {named(oid)}: it is there again" for oid in result["lifts"]]
        lines += [f"**Undoes:** {named(oid)}, made by hand" for oid in result["hotfixes"]]
    return [f"- {line}" for line in lines if line]


# --- many hops -----------------------------------------------------------------------------------------------------


def hops(results: Sequence[Data], errors: Sequence[str]) -> str:
    """The page of one round over everything."""
    head = ("application", "environment", "outcome", "commit", "why")
    rows = (
        [
            escape(r["application"]),
            escape(r["environment"]),
            r["outcome"],
            code(short(r["commit"])),
            escape(r["reason"]),
        ]
        for r in results
    )
    lines = table(head, rows) or ["", "Nothing to do."]
    return "\n".join(["## One round over everything", *lines, "", *(f"- {escape(e, 500)}" for e in errors)])


# --- the board -----------------------------------------------------------------------------------------------------

NO_LINKS: Mapping[str, str] = MappingProxyType({})
BOARD = ("environment", "release", "origin", "since", "health", "next", "waits for")


def board_rows(application: Data, briefs: Mapping[str, str], now: datetime) -> list[dict[str, str]]:
    """One row an environment, from the object that `status --json` prints for an application.

    `briefs` says in a few words what environments wait for; the table has no room for reasons.
    """
    return [
        {
            "environment": e["environment"],
            "release": short(e["tip"]),
            "origin": short(e["origin"]),
            "since": clock(e["since"], now),
            "health": _health(e),
            "next": short(e["candidate"]),
            "waits for": briefs.get(e["environment"], "") if e["from"] else "people push here",
        }
        for e in application["environments"]
    ]


def reasons(application: Data) -> list[str]:
    """What the table has no room for: why environments wait, in full."""
    return [
        f"- **{escape(e['environment'])}:** {escape(e['waiting_for'], 500)}{_hint(e['hint'])}"
        for e in application["environments"]
        if e["waiting_for"]
    ]


def _hint(hint: str | None) -> str:
    return f" ({escape(hint)})" if hint else ""


def _health(e: Data) -> str:
    """The word, why it is not healthy, and what else people must know of it."""
    watched = e["verification"]
    notes = [
        "; ".join(e["reasons"]) if e["health"] != "healthy" else "",
        watched["state"] if watched and watched["state"] not in ("pending", "verified") else "",
        f"{len(e['holds'])} held" if e["holds"] else "",
        f"drift {e['drift']}" if e["drift"] else "",
    ]
    noted = ", ".join(filter(None, notes))
    return f"{e['health']} ({noted})" if noted else str(e["health"])


def steady(text: str) -> str:
    """A text without how long things last: equal while nothing but time changed."""
    return re.sub(r"\b(\d+[smhd])+\b", "", text)


def board(
    application: str, rows: Sequence[Mapping[str, str]], more: Sequence[str], links: Mapping[str, str] = NO_LINKS
) -> str:
    """The board of one application: `rows` as a table, `more` as lines of markdown below it; `links` are by environment."""
    cells = ([*(escape(row[c]) for c in BOARD[:-1]), _linked(row, links)] for row in rows)
    return "\n".join([f"## {escape(application)}", *table(BOARD, cells), "", *more])


def _linked(row: Mapping[str, str], links: Mapping[str, str]) -> str:
    """What an environment waits for, with the page where that is answered."""
    text, url = row[BOARD[-1]], links.get(row["environment"])
    return link(text, url) if url and text else escape(text)


def dumped(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as the data of a table artifact."""
    return json.dumps(rows)
