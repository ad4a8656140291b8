"""What people see who are asked for an approval: one page in markdown, whose first screen is enough to decide; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flows import pages
from flows.pages import Data, code, escape
from promotion.gates.approval import called
from promotion.texts import short
from promotion.view import Standing

COMMITS = 5
"""How many commits the page lists; the command line has them all."""


def page(plan: Data, standing: Standing, news: Sequence[str], now: datetime, *, narrow: bool = False) -> str:
    """The page about one plan, which is the object of `plan --json`. `news` says in markdown what became of answers.

    `narrow`: without tables, whose cells never wrap: they make Prefect's dialog wider than a phone.
    """
    name, target = plan["plan_id"][:8], plan["environment"]
    lines = [f"## {escape(plan['application'])} to {escape(target)}: approve plan {code(name)}?", ""]
    lines += [line for each in news[-3:] for line in (f"> {each}", "")]
    lines += [f"**{_size(plan)}.** {_lands(plan)}", ""]
    lines += [f"**Approved by {escape(standing.verdict.reason, 300)}** (at {pages.clock(now)})", ""]
    lines += [f"- {line}" for line in _points(plan) if line]
    commits, gates = _commits(plan), [_gate(v, standing) for v in plan["verdicts"]]
    if narrow:
        lines += ["", *(f"- {a}{f' {b}' if b else ''}: {c}" for a, b, c in (*commits, *gates))]
    else:
        lines += [*pages.table(("commit", "author", "what"), commits), *pages.table(("gate", "verdict", "why"), gates)]
    lines += ["", *_ends(plan, standing)]
    return "\n".join(lines)


def _size(plan: Data) -> str:
    number, files = plan["commit_count"], len(plan["changes"])
    tested = next((v["reason"] for v in plan["verdicts"] if v["gate"] == "source"), "")
    what = f"{_many(number, 'commit')}, {_many(files, 'file')}"
    return f"{what}, {escape(tested)}" if tested else what


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lands(plan: Data) -> str:
    """When it lands, once it is approved; and until when it can."""
    waits = [v for v in plan["verdicts"] if v["verdict"] != "pass" and v["gate"] != "approval"]
    closes = next((v["reason"].partition("closes ")[2] for v in plan["verdicts"] if v["gate"] == "window"), "")
    said = "Lands when it is approved"
    if waits:
        reasons = "; ".join(f"{v['gate']}: {v['reason']}" for v in waits)
        said += f", and not before this: {escape(reasons, 300)}"
    return f"{said}.{f' The window closes **{escape(closes)}**.' if closes else ''}"


def _points(plan: Data) -> list[str]:
    source = escape(plan["source"]["environment"])
    same = f"**Identical to {source}:** what was tested there is what lands" if plan["identical"] else ""
    return [
        same,
        *pages.unlike(plan),
        *pages.brought(plan),
        f"**Then, and if it goes wrong:** {escape(plan['then'], 300)}",
    ]


def _commits(plan: Data) -> list[list[str]]:
    shown, number = plan["commits"][:COMMITS], plan["commit_count"]
    rows = [[code(short(c["commit"])), escape(c["author"], 40), escape(c["subject"], 80)] for c in shown]
    more = [f"{number - len(shown)} more", "", code(f"promotion plan {plan['environment']}")]
    return [*rows, *([more] if number > len(shown) else [])]


def _gate(verdict: Data, standing: Standing) -> list[str]:
    if verdict["gate"] == "approval":
        return ["approval", f"{len(standing.approved)} of {standing.count}", escape(verdict["reason"], 300)]
    return [escape(verdict["gate"]), verdict["verdict"], escape(verdict["reason"])]


def _ends(plan: Data, standing: Standing) -> list[str]:
    """What an answer means, and how to give it elsewhere."""
    name, target = plan["plan_id"][:8], plan["environment"]
    lift = code(f"promotion lift {target} {short(plan['source']['commit'])}")
    proof = {
        "claimed": "",
        "code": " Your one-time code proves who you are.",
        "signed": " Only a signature counts here, so approve on the command line.",
    }[standing.identity]
    sign = " --sign" if standing.identity == "signed" else ""
    same = code(f"promotion approve {name}{sign}")
    return [
        f"You approve exactly this plan: if code, target, gates or configuration change, it is void and you are asked again.{proof}",
        f"Reject holds the change for {escape(target)}; undo with {lift}. Same on the command line: {same}.",
    ]


def people(standing: Standing, asked: Sequence[str]) -> dict[str, str]:
    """Who may be chosen in the form, each with why their approval would not count, or ''.

    All who are asked, since anybody of them may reject: those who wrote it, and those who have approved.
    """
    barred = {
        b.who: f"{'an ' * (b.why == 'author')}{b.why.partition(':')[0]}: may only reject" for b in standing.barred
    }
    done = {a.by: "has approved: may only reject" for a in standing.approved}
    return {who: barred.get(who) or done.get(who) or "" for who in asked}


def recorded(who: str, word: str, standing: Standing | None, asked: Sequence[str]) -> str:
    """`recorded: bob, 2 of 2`."""
    name = called([*asked, who])[who]
    if word == "reject":
        return f"recorded: {name} rejects it"
    return f"recorded: {name}, {len(standing.approved)} of {standing.count}" if standing else f"recorded: {name}"
