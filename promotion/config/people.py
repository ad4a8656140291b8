"""Who may approve and override, by environments.yaml: groups, approvers and what one environment takes from another; pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from promotion.config.credentials import wrong_variable
from promotion.config.document import Steps, plain
from promotion.config.graph import cycles
from promotion.config.written import Finding, Merged, Named
from promotion.model import Overrides, Seed
from promotion.spelling import nearest

EMAIL = re.compile(r"[^\s@<>(),;:\"'`{}\\]+@[^\s@<>(),;:\"'`{}\\]+")
Groups = Mapping[str, Sequence[str | None]]


def expanded(environments: Sequence[Merged], groups: Groups) -> list[Merged]:
    """The same with people in the place of groups, and with the rules of the other one where a gate says `same_as`."""
    gates = {each.name: gate for each in environments if (gate := _gate(each)) is not None}
    return [replace(each, filled=_filled(each, gates, groups)) for each in environments]


def _filled(each: Merged, gates: Mapping[str, Mapping[str, Any]], groups: Groups) -> Mapping[str, Any]:
    written = each.filled.get("gates", ())
    if each.name not in gates:
        return each.filled
    rules = gates[each.name]
    while "same_as" in rules:
        rules = gates[rules["same_as"]]
    said = {**rules, "from": people(rules["from"], groups)}
    made = [{**said, **gate} if "same_as" in gate else said if gate["type"] == "approval" else gate for gate in written]
    return {**each.filled, "gates": made}


def people(names: Sequence[str], groups: Groups) -> list[str]:
    """The emails that emails and names of groups stand for: each once, in one order, however they are written."""
    found = {each.casefold() for name in names for each in groups.get(name, [name]) if each}
    return sorted(found)


def overrides(data: Mapping[str, Any]) -> Overrides:
    written = data.get("overrides")
    if not written:
        return Overrides()
    return Overrides(tuple(people(written["by"], data.get("groups", {}))), tuple(sorted(set(written["skip"]))))


def seeds(data: Mapping[str, Any], base: Path) -> Mapping[str, Seed]:
    """Where the seed of each person's codes is."""
    return {email.casefold(): _seed(where, base) for email, where in data.get("approvers", {}).items()}


def _seed(where: Mapping[str, str], base: Path) -> Seed:
    if "code_file" in where:
        return Seed(code_file=os.path.normpath(base / where["code_file"]))
    return Seed(code_env=where["code_env"])


def _gate(each: Merged) -> Mapping[str, Any] | None:
    """The approval that an environment asks for, with its placeholders filled in."""
    written = each.filled.get("gates") or ()
    return next((gate for gate in written if gate and gate.get("type") == "approval"), None)


# --- what is wrong -------------------------------------------------------------------------------------------------


def of_people(data: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with what stands at the top: groups, approvers, who may override."""
    for name, members in (data.get("groups") or {}).items():
        if EMAIL.fullmatch(name):
            text = f"`{plain(name)}` is an email: a group needs another name"
            yield Finding(("groups", name), text, at_key=True)
        for i, member in enumerate(members or ()):
            if member is not None and not EMAIL.fullmatch(member):
                yield Finding(("groups", name, i), f"`{plain(member)}` is not an email, and groups hold nothing else")
    for email, where in (data.get("approvers") or {}).items():
        if not EMAIL.fullmatch(email):
            yield Finding(("approvers", email), f"`{plain(email)}` is not an email", at_key=True)
        yield from _of_seed(where or {}, ("approvers", email))
    if data.get("overrides"):
        yield from _of_names(data["overrides"].get("by"), ("overrides", "by"), _called(raw))


def _called(raw: Mapping[str, Any]) -> list[str]:
    """The names of the groups, also of those that are wrong: that is said where they are."""
    groups = raw.get("groups")
    return list(groups) if isinstance(groups, dict) else []


def _of_seed(where: Mapping[str, str], steps: Steps) -> Iterator[Finding]:
    if len(where) > 1:
        yield Finding(steps, "`code_env` and `code_file` both: write one of them")
    elif "code_env" in where and (wrong := wrong_variable(where["code_env"], "seed", "ALICE_SEED")):
        yield Finding((*steps, "code_env"), wrong)
    elif where.get("code_file", "").startswith("~"):
        yield Finding((*steps, "code_file"), "`~` is not filled in here: write the whole path")


def _of_names(names: Sequence[str | None] | None, steps: Steps, groups: Sequence[str]) -> Iterator[Finding]:
    """Whether each is an email or the name of a group."""
    for i, name in enumerate(names or ()):
        if name is not None and name not in groups and not EMAIL.fullmatch(name):
            yield Finding((*steps, i), f"no group `{plain(name)}`, and no email{nearest(name, groups)}")


def of_approvals(
    application: Named, data: Mapping[str, Any], raw: Mapping[str, Any], known: Sequence[str]
) -> Iterator[Finding]:
    """What is wrong with the approvals that an application's environments ask for."""
    own: dict[str, Merged] = {}
    for each in application.environments:
        own.setdefault(each.name, each)
    for each in application.environments:
        gates = each.filled.get("gates") or ()
        asking = [(i, gate) for i, gate in enumerate(gates) if gate and gate.get("type") == "approval"]
        for i, gate in asking[1:]:
            yield Finding((*each.at("gates"), i), "another approval: one gate asks everybody who is to be asked")
            del gate
        for i, gate in asking[:1]:
            steps = (*each.at("gates"), i)
            if "same_as" in gate:
                yield from _of_same(application, each, own, gate, steps, known)
            else:
                yield from _of_asking(gate, data, _called(raw), steps)
    yield from _of_cycles(own)


def _of_asking(
    gate: Mapping[str, Any], data: Mapping[str, Any], called: Sequence[str], steps: Steps
) -> Iterator[Finding]:
    groups, named = data.get("groups") or {}, gate.get("from")
    if named is None:
        yield Finding((*steps, "from"), "missing: write who may approve, or `same_as` and an environment")
        return
    yield from (wrong := list(_of_names(named, (*steps, "from"), called)))
    there, count = people([name for name in named if name], groups), gate.get("count", 1)
    if wrong or any(name in called and None in groups.get(name, [None]) for name in named):
        return
    if count > len(there):
        text = f"{count} must approve, and `from` has only {len(there)} {'person' if len(there) == 1 else 'people'}"
        yield Finding((*steps, "count"), text)
        return
    seeded = people(list(data.get("approvers") or {}), {})
    if gate.get("identity") == "code" and len(set(there) & set(seeded)) < count:
        text = f"{count} must approve by code, and of `from` `approvers` has {len(set(there) & set(seeded))}"
        yield Finding((*steps, "identity"), text)


def _of_same(
    application: Named,
    each: Merged,
    own: Mapping[str, Merged],
    gate: Mapping[str, Any],
    steps: Steps,
    known: Sequence[str],
) -> Iterator[Finding]:
    name = gate["same_as"]
    for key in gate.keys() - {"type", "same_as"}:
        yield Finding((*steps, key), "not beside `same_as`: the rules of that environment count", at_key=True)
    steps = (*steps, "same_as")
    if name == each.name:
        yield Finding(steps, "an environment cannot take its own decision")
    elif name not in known:
        there = [other for other in known if other != each.name]
        yield Finding(steps, f"no environment `{plain(name)}`{nearest(name, there)}")
    elif name not in own:
        yield Finding(steps, f"`{name}` is left out of {plain(application.name)}: name it too")
    elif _gate(own[name]) is None:
        yield Finding(steps, f"{name} asks nobody: give it an approval with `from`, or write `from` here")
    elif own[name].values.get("from") != each.values.get("from"):
        text = f"{name} takes commits from {own[name].values.get('from')}, {each.name} from {each.values.get('from')}"
        yield Finding(steps, f"{text}: a decision is about a commit of one of them")


def _of_cycles(own: Mapping[str, Merged]) -> Iterator[Finding]:
    named = {name: gate["same_as"] for name, each in own.items() if (gate := _gate(each)) and "same_as" in gate}
    for cycle in cycles({name: [other] for name, other in named.items() if name != other}):
        each = own[cycle[0]]
        number = next(i for i, gate in enumerate(each.filled["gates"]) if gate and gate.get("type") == "approval")
        text = f"a cycle, in which nobody decides: {' -> '.join(reversed(cycle))}"
        yield Finding((*each.at("gates"), number, "same_as"), text)
