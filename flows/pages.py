"""Markdown for people in Prefect's UI, from the same data as `--json`; pure. Text from Git and forms is data, never markup."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from promotion.model import instant, short

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
    return shown.replace("://", ":&#47;&#47;").replace("@", "&#64;").replace("www.", "www&#46;")


def code(text: object) -> str:
    """A path or an id in type of its own, where that cannot be broken out of."""
    return f"`{text}`" if PLAIN.fullmatch(str(text)) else escape(text)


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


# --- one hop -------------------------------------------------------------------------------------------------------


def hop(plan: Data, headline: str, news: Sequence[str]) -> str:
    """A run's page: what is decided and why, then what was done. `headline` and `news` are markdown."""
    source, target = plan["source"], plan["target"]
    title = run_name(plan["application"], plan["environment"], source["environment"], source["commit"])
    lines = [f"## {escape(title).replace('&lt;-', '←')}", "", f"**{headline}**"]
    lines += [f"- {line}" for line in (*news, *_landing(plan)) if line]
    lines += table(("commit", "author", "what"), map(_commit, plan.get("commits") or ()))
    lines += table(("gate", "verdict", "why", "until"), map(_verdict, plan.get("verdicts") or ()))
    lines += table(
        ("passed over", "why"), ([code(short(p["commit"])), escape(p["reason"])] for p in plan["passed_over"])
    )
    identity = f"Plan {code(plan['plan_id'][:8])}. " if plan.get("plan_id") else ""
    lines += ["", f"{identity}Branch {code(target['branch'])} was at {code(short(target['tip']))}."]
    return "\n".join(lines)


def _landing(plan: Data) -> list[str]:
    """How the files land, in words: what was tested is what lands, or exactly where not."""
    source, changes = escape(plan["source"]["environment"]), plan.get("changes") or ()
    if not plan.get("tree"):
        return []
    count = f"{len(changes)} {'file' if len(changes) == 1 else 'files'}"
    if plan.get("identical"):
        return [f"**Lands:** {count}, exactly as tested in {source}"] if changes else []
    unlike = [c for c in changes if c["explained_by"] not in ("source", "same")]
    paths = ", ".join(f"{code(c['path'])} ({escape(c['explained_by'])})" for c in unlike[:ROWS])
    kept = ", ".join(f"{code(c['path'])} ({escape(c['explained_by'])})" for c in (plan.get("kept") or ())[:ROWS])
    return [
        f"**Lands:** {count}",
        f"**Not identical to {source}:** {paths}" if paths else "",
        f"**Kept from {escape(plan['environment'])}:** {kept}" if kept else "",
    ]


def _commit(commit: Data) -> list[str]:
    return [code(short(commit["commit"])), escape(commit["author"], 40), escape(commit["subject"], 100)]


def _verdict(verdict: Data) -> list[str]:
    return [escape(verdict["gate"]), verdict["verdict"], escape(verdict["reason"]), clock(verdict.get("until"))]


def refusal(title: str, message: str, hint: str | None) -> str:
    """The page of a run that could not decide anything."""
    return "\n".join(
        [f"## {escape(title)}", "", escape(message, 1000), *(["", f"Next: {escape(hint)}"] if hint else [])]
    )


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

BOARD = ("environment", "release", "origin", "since", "health", "next", "waits for")


def board_rows(application: Data, now: datetime) -> list[dict[str, str]]:
    """One row an environment, from the object that `status --json` prints for an application."""
    return [
        {
            "environment": e["environment"],
            "release": short(e.get("tip")),
            "origin": short(_oid(e.get("origin"))),
            "since": clock(e.get("since"), now),
            "health": _health(e),
            "next": short(_oid(e.get("candidate"))),
            "waits for": e.get("waiting_for") or "",
        }
        for e in application["environments"]
    ]


def _oid(value: Any) -> str | None:
    return value.get("commit") if isinstance(value, Mapping) else value


def _health(e: Data) -> str:
    reasons = "; ".join(e.get("reasons") or ()) if e.get("health") not in ("healthy", None) else ""
    notes = [reasons, *(f"holds {short(_oid(h))}" for h in e.get("holds") or ()), "drift" if e.get("drift") else ""]
    noted = ", ".join(filter(None, notes))
    return f"{e.get('health') or 'not observed yet'}{f' ({noted})' if noted else ''}"


def board(application: str, rows: Sequence[Mapping[str, str]], read_at: datetime, note: str = "") -> str:
    """The board of one application: `rows` as a table, and when they were read."""
    lines = table(BOARD, ([escape(row[name]) for name in BOARD] for row in rows))
    read = f"Read at {read_at:%Y-%m-%d %H:%M:%S} UTC."
    return "\n".join([f"## {escape(application)}", *lines, "", f"{read} {escape(note)}".strip()])


def dumped(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as the data of a table artifact."""
    return json.dumps(rows)
