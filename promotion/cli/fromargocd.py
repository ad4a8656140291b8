"""The text of a first environments.yaml, from the Applications of an Argo CD; pure, must not write a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from promotion.cli.applications import ORDER, Found, Group, Stage, rank
from promotion.cli.draft import quoted
from promotion.config.written import fill, words_of

Listed = Mapping[str, tuple[Group, Stage]]
"""By name of an environment: the application that it is written for in the list of environments."""


def written(found: Found, access: Mapping[str, str]) -> str:
    """The file's text. `access` are the settings by which every engine reaches Argo CD."""
    groups, listed = found.groups, dict[str, tuple[Group, Stage]]()
    for group in groups:
        for stage in group.stages:
            listed.setdefault(stage.name, (group, stage))
    lines = ["# What is promoted, and how: from the Applications of Argo CD. `promotion validate` checks this file."]
    lines += [f"# not placed: {name}: {why}" for name, why in found.left.items()] + ["version: 1"]
    if len(groups) == 1:
        lines += [f"repository: {quoted(groups[0].repository)}", f"name: {quoted(groups[0].name)}"]
    else:
        lines += ["applications:", *(line for group in groups for line in _application(group, listed, access))]
    lines.append("environments:")
    sources = {stage.source for group in groups for stage in group.stages if not stage.guessed}
    for group, stage in sorted(listed.values(), key=lambda each: _place(each[1])):
        lines += _environment(stage, _engine(group, stage, access, len(groups) > 1), stage.name not in sources)
    return "\n".join(lines) + "\n"


def _place(stage: Stage) -> int:
    mine = rank(stage.name)
    return len(ORDER) if mine is None else mine


def _environment(stage: Stage, engine: Mapping[str, Any], leaf: bool) -> Iterator[str]:
    yield f"  - name: {quoted(stage.name)}" + ("" if stage.source else "  # people and pipelines push here")
    if stage.source:
        guess = "  # a guess, by the order of the list: put it where it belongs" if stage.guessed else ""
        yield f"    from: {quoted(stage.source)}{guess}"
    yield f"    branch: {quoted(stage.branch)}"
    if stage.source and (leaf or stage.guessed):
        yield f"    auto: false  # waits for `promotion promote {stage.name}`; remove it to promote by itself"
    yield "    engine:"
    yield from (f"      {key}: {_yaml(value)}" for key, value in engine.items())
    yield "    health: engine  # what Argo CD says; checks of your own say more"


def _application(group: Group, listed: Listed, access: Mapping[str, str]) -> Iterator[str]:
    yield f"  - name: {quoted(group.name)}"
    yield f"    repository: {quoted(group.repository)}"
    if group.paths:
        yield f"    paths: {_yaml(list(group.paths))}"
    yield "    environments:"
    for stage in group.stages:
        of, other = listed[stage.name]
        differs: dict[str, Any] = {}
        if stage.source and stage.source != other.source:
            differs["from"] = stage.source
        if stage.branch != other.branch:
            differs["branch"] = stage.branch
        mine = _engine(group, stage, access, False)
        if mine != fill(_engine(of, other, access, True), words_of(group.name, stage.name)):
            differs["engine"] = mine
        yield f"      {quoted(stage.name)}: {_yaml(differs)}"


def _engine(group: Group, stage: Stage, access: Mapping[str, str], several: bool) -> dict[str, Any]:
    """Its settings. For several applications a name that begins with the application's is written as a placeholder."""
    begin = rf"^{re.escape(group.name)}(?=[-._]|$)"
    called = [re.sub(begin, "{application}", one.name) if several else one.name for one in stage.deployed]
    return {"type": "argocd", **access, "application": called[0] if len(called) == 1 else called}


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(inner)}" for key, inner in value.items()) + "}"
    return "[" + ", ".join(map(_yaml, value)) + "]" if isinstance(value, list) else quoted(value)
