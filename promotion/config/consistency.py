"""What a schema cannot say of environments.yaml: how its values belong together; pure, and must not ask what is there.

It looks at values that the schema let pass; whatever else was written is left out of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from promotion import calendar
from promotion.config import argocd, credentials, healthrules, names, trust
from promotion.config.document import Steps, plain
from promotion.config.graph import of_graph
from promotion.config.people import of_approvals, of_people
from promotion.config.places import of_environments, of_repositories, of_scope, places_of
from promotion.config.questions import of_questions
from promotion.config.schema import schema
from promotion.config.written import FILLED, PLACEHOLDER, PLACEHOLDERS, Finding, Merged, Named, nobody
from promotion.model import Verify
from promotion.spelling import nearest
from promotion.texts import duration, span

NOT_ON_A_ROOT = ("requires", "auto", "gates", "verify", "schedule")


def findings(
    data: Mapping[str, Any], raw: Mapping[str, Any], applications: Sequence[Named], base: Path
) -> Iterator[Finding]:
    """Everything that does not fit together in `data`; `raw` is the same with what is wrong already."""
    yield from _of_applications(raw, applications)
    yield from of_repositories(applications)
    yield from _of_names(data.get("environments") or ())
    yield from of_people(data, raw)
    yield from trust.findings(data, base)
    yield from healthrules.findings(data)
    places, told, judged = places_of(applications, base), set[Steps](), set[Steps]()
    used = {each.listed for application in applications for each in application.environments}
    known = _names(raw.get("environments"))
    for application in (*applications, nobody(data, used)):
        # What stands in the list of environments is said once, and not again for each application that has it.
        found = [
            *_of_settings(application, judged),
            *of_graph(application, known),
            *of_approvals(application, data, raw, known),
            *of_environments(application, places),
            *of_questions(application),
            *credentials.findings(application, data),
        ]
        yield from (each for each in found if each.steps not in told)
        told.update(each.steps for each in found)


def _names(written: Any) -> list[str]:
    listed = written if isinstance(written, list) else []
    return [e["name"] for e in listed if isinstance(e, dict) and isinstance(e.get("name"), str)]


def _of_names(environments: Sequence[Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for i, environment in enumerate(environments):
        name = environment.get("name") if isinstance(environment, dict) else None
        if name is not None and name in seen:
            yield Finding(("environments", i, "name"), f"another environment is called `{name}` already")
        seen.add(name or "")


# --- applications --------------------------------------------------------------------------------------------------


def _of_applications(raw: Mapping[str, Any], applications: Sequence[Named]) -> Iterator[Finding]:
    if "applications" in raw:
        for key in ("repository", "paths", "name", "ledger", "credentials"):
            if key in raw:
                yield Finding((key,), "cannot stand beside `applications`: write it into its entry", at_key=True)
    elif "repository" not in raw:
        yield Finding(("repository",), "missing: write where it is, or a list of `applications`")
    called: set[str] = set()
    for each in applications:
        yield from _of_application(each)
        if each.name in called:
            yield Finding((*each.steps, "name"), f"another application is called `{plain(each.name)}` already")
        called.add(each.name)


def _of_application(each: Named) -> Iterator[Finding]:
    if wrong := names.repository(each.repository):
        yield Finding((*each.steps, "repository"), wrong)
        yield from of_scope(each)
        return
    rule = schema()["$defs"]["application-name"]
    if not re.fullmatch(rule["pattern"], each.name) or len(each.name) > rule["maxLength"]:
        text = f"missing, and the repository's last segment is no name: write one ({rule['description']})"
        yield Finding((*each.steps, "name"), text)
    elif wrong := names.ledger(each.ledger):
        yield Finding((*each.steps, "ledger"), wrong)
    yield from of_scope(each)


# --- environments --------------------------------------------------------------------------------------------------


def _of_settings(application: Named, judged: set[Steps]) -> Iterator[Finding]:
    for each in application.environments:
        if each.overridden or each.listed not in judged:
            yield from _of_environment(each)
        judged.add(each.listed)
        if application.paths is not None and each.values.get("history") == "merge":
            yield Finding(each.at("history"), "with `paths` a history is always linear: leave this out")


def _of_environment(each: Merged) -> Iterator[Finding]:
    if "from" not in each.values:
        for key in NOT_ON_A_ROOT:
            if key in each.values:
                text = "not on a root: nothing is promoted into an environment without `from`"
                yield Finding(each.at(key), text, at_key=True)
    else:
        yield from _of_verification(each)
    for key in FILLED:
        for below, text in _texts(each.values.get(key), each.at(key)):
            known = (*PLACEHOLDERS, *(["revision"] if key != "engine" and below[-1] == "query" else []))
            for found in PLACEHOLDER.finditer(text):
                if found[1] not in known:
                    choices = nearest(found[1], [f"{{{word}}}" for word in known])
                    yield Finding(below, f"no placeholder `{plain(found[0])}`{choices}")
    engine = each.values.get("engine") or {}
    if each.values.get("health") == "engine" and engine.get("type") == "directory":
        yield Finding(each.at("health"), "a directory says nothing about health: write a list of checks, or `none`")
    yield from argocd.findings(each)
    if str(engine.get("kubeconfig", "")).startswith("~"):
        yield Finding((*each.at("engine"), "kubeconfig"), "`~` is not filled in here: write the whole path")
    yield from _all(names.pattern, each.values.get("protect"), each.at("protect"))
    yield from _of_times(each)


def _of_times(each: Merged) -> Iterator[Finding]:
    schedule, steps = each.values.get("schedule"), each.at("schedule")
    if isinstance(schedule, str):
        yield from _all(names.cron, schedule, steps)
    elif schedule:
        yield from _all(names.cron, schedule.get("cron"), (*steps, "cron"))
        yield from _all(_reads(calendar.zone), schedule.get("timezone"), (*steps, "timezone"))
    for i, gate in enumerate(each.values.get("gates") or []):
        if gate and gate.get("type") == "window":
            steps = (*each.at("gates"), i)
            yield from _all(_reads(calendar.hours), gate.get("allow"), (*steps, "allow"))
            yield from _all(_reads(calendar.zone), gate.get("timezone"), (*steps, "timezone"))
            yield from _all(_reads(calendar.dates), gate.get("except"), (*steps, "except"))


def _of_verification(each: Merged) -> Iterator[Finding]:
    """Spans that leave a verification no time for one of its ends."""
    verify, dwell = each.values.get("verify") or {}, each.values.get("dwell", "0s")
    grace = verify.get("grace", "0s")
    within = duration(verify["within"]) if "within" in verify else Verify().within
    if duration(dwell) >= within:
        text = f"{dwell} is not shorter than `verify.within` ({span(within)}): each promotion would time out"
        steps = each.at("dwell")
        if "verify" in each.overridden and "dwell" not in each.overridden:
            steps, text = each.at("verify"), f"`dwell`, {text}"
        yield Finding(steps, text)
    if duration(grace) >= within:
        text = f"{grace} is not shorter than `within` ({span(within)}): no promotion could fail, only time out"
        yield Finding((*each.at("verify"), "grace"), text)


def _all(rule: Callable[[str], str | None], value: Any, steps: Steps) -> Iterator[Finding]:
    for below, text in _texts(value, steps):
        if wrong := rule(text):
            yield Finding(below, wrong)


def _reads(read: Callable[[str], object]) -> Callable[[str], str | None]:
    """A rule from what reads a text or raises ValueError."""

    def rule(text: str) -> str | None:
        try:
            read(text)
        except ValueError as wrong:
            return plain(str(wrong), 200)
        return None

    return rule


def _texts(value: Any, steps: Steps) -> Iterator[tuple[Steps, str]]:
    """Every text in a value, with the way to it."""
    if isinstance(value, str):
        yield steps, value
    elif isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*steps, step))
