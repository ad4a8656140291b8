"""Which environments take commits from or require which others; pure, and must not know where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from promotion.config.document import Steps, plain
from promotion.config.written import Finding, Merged, Named
from promotion.spelling import nearest


def of_graph(application: Named, known: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with `from` and `requires` of one application; `known` are the names that stand in the file."""
    own: dict[str, Merged] = {}
    for each in application.environments:
        own.setdefault(each.name, each)
    for name in sorted(application.selected or ()):
        if name not in known:
            steps = (*application.steps, "environments", name)
            yield Finding(steps, f"no environment `{plain(name)}`{nearest(name, known)}", at_key=True)
    roots = _roots({name: each.values.get("from") for name, each in own.items()})
    for each in application.environments:
        if "from" in each.values:
            yield from _of_name(application, each, "from", (), known)
            yield from _of_required(application, each, roots, known)
    yield from _of_cycles(own)


def _of_name(
    application: Named, each: Merged, key: str, below: tuple[int, ...], known: Sequence[str]
) -> Iterator[Finding]:
    """Whether an environment that is named is there, for this application too."""
    value = each.values[key]
    name = value[below[0]] if below else value
    steps = (*each.at(key), *below)
    if name not in known:
        there = [other for other in known if other != each.name]
        yield Finding(steps, f"no environment `{plain(name)}`{nearest(name, there)}")
    elif application.selected is not None and name not in application.selected:
        if key not in each.overridden:
            steps = (*application.steps, "environments")
        does = "takes commits from" if key == "from" else "requires"
        text = f"`{name}` is left out, but {each.name} {does} it: name it too, or override `{key}` of {each.name}"
        yield Finding(steps, text, at_key=True)


def _of_required(
    application: Named, each: Merged, roots: Mapping[str, str | None], known: Sequence[str]
) -> Iterator[Finding]:
    required = each.values.get("requires") or []
    for i, name in enumerate(required):
        steps = (*each.at("requires"), i)
        if name is None:
            continue
        if name in required[:i]:
            yield Finding(steps, f"`{plain(name)}` is required already")
        elif name == each.name:
            yield Finding(steps, "an environment cannot require itself")
        else:
            yield from _of_name(application, each, "requires", (i,), known)
            mine, other = roots.get(each.name), roots.get(name)
            if mine and other and mine != other:
                text = f"{name} gets its commits from {other}, {each.name} from {mine}: it can never have the same"
                yield Finding(steps, text)


def _roots(sources: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Where the commits of each come from in the end; None where that is not known, or nowhere."""
    roots: dict[str, str | None] = {}
    for start in sources:
        way: dict[str, None] = {}
        at = start
        while at in sources and at not in roots and at not in way:
            way[at] = None
            source = sources[at]
            if source is None:
                roots[at] = at
            else:
                at = source
        roots |= dict.fromkeys(way, roots.get(at))
    return roots


def _of_cycles(own: Mapping[str, Merged]) -> Iterator[Finding]:
    before = {name: [*([e.values["from"]] if "from" in e.values else []), *_others(e)] for name, e in own.items()}
    for cycle in cycles(before):
        text = f"a cycle, in which nothing can begin: {' -> '.join(cycle)}"
        links = [_link(own, *each) for each in reversed(list(pairwise(cycle)))]
        yield Finding(min(links, key=lambda link: link[0])[1], text)


def _link(own: Mapping[str, Merged], first: str, then: str) -> tuple[int, Steps]:
    """Where it is written that one comes after another, and how far that is from being the mistake."""
    each = own[then]
    if first == each.values.get("from"):
        return 0 if "from" in each.overridden else 2, each.at("from")
    steps = (*each.at("requires"), each.values["requires"].index(first))
    return 0 if "requires" in each.overridden else 1, steps


def _others(each: Merged) -> list[str]:
    """What an environment requires, but itself, which is no cycle worth printing."""
    return [name for name in each.values.get("requires") or [] if name not in (None, each.name)]


def cycles(before: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """A cycle of each knot at least, in the direction of promotion, from its first environment back to it.

    `before` has what must be there before each environment.
    """
    done: set[str] = set()
    for start in before:
        way = {start: iter(before[start])} if start not in done else {}
        while way:
            at = next(reversed(way))
            following = next(way[at], None)
            if following is None:
                done.add(at)
                del way[at]
            elif following in way:
                names = list(way)
                yield [following, *reversed(names[names.index(following) :])]
            elif following in before and following not in done:
                way[following] = iter(before[following])
