"""The naive model's word on proposals: what a branch for people holds, that nobody else moves it, and when there is none to make.

Uses only the model's files and records, and nothing of the product.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from tests.support import model_origins
from tests.support.model_values import FILLER, Files, Proposed, Sketch, three_ways

if TYPE_CHECKING:
    from tests.support.model import Model

PLACES = {"backport": "refs/heads/promotion/backport/", "resolve": "refs/heads/promotion/resolve/"}
"""Kind -> where its branches are."""


def look(model: Model, refs: Mapping[str, str], people: Collection[str]) -> None:
    """Judges what became of proposals; what people did to them is taken as it is."""
    there = {ref: tip for ref, tip in refs.items() if ref.startswith(tuple(PLACES.values()))}
    for ref, tip in there.items():
        known = model.proposals.get(ref)
        if known is None:
            model.proposals[ref] = _judged(model, ref, tip)
        elif tip != known.tip:
            assert ref in people, f"{ref} was moved by nobody"
            known.tip = tip
    assert there.keys() == model.proposals.keys(), f"{model.proposals.keys() - there.keys()} deleted by nobody"


def _judged(model: Model, ref: str, commit: str) -> Proposed:
    kind = next(kind for kind, place in PLACES.items() if ref.startswith(place))
    said = model.objects.commit(commit).trailers
    app = said["Promotion-Application"]
    asked = [about for about in model.proposing if (about.kind, about.application) == (kind, app)]
    assert asked, f"nobody asked for {ref}"
    name = asked[-1].environment
    (parent,) = model.objects.commit(commit).parents
    known, stands_on = model.known[app, name], root_of(model, app, name) if kind == "backport" else name
    assert parent in model.lines[stands_on], f"{ref} stands on {parent}, which never was on {stands_on}"
    # others may have acted between its making and its push
    found = Proposed(kind, app, name, commit, commit, Sketch({}, {}))
    if kind == "backport":
        assert ref.startswith(f"{PLACES[kind]}{name}-"), f"{ref} is none of {name}"
        sketches = [(sketch, "") for sketch in (asked[-1].sketch, backport(model, app, name, parent)) if sketch]
    else:
        assert said["Promotion-Environment"] == name
        found.source = said["Promotion-Source"]
        bases = [asked[-1].base, known.release[1] if known.release else None]
        both = [(conflict(model, app, name, base, parent, found.source), base) for base in bases if base]
        sketches = [(sketch, base) for sketch, base in both if sketch]
    wrong = [_wrong(model, sketch, commit) for sketch, _ in sketches]
    assert "" in wrong, f"{ref} of {app}: {wrong or 'nothing conflicts'}"
    found.sketch, base = sketches[wrong.index("")]
    found.contents = tuple(model.scoped(app, oid) for oid in (parent, base) if base)
    model.counted[f"proposed: {kind}{' with markers' if found.sketch.marked else ''}"] += 1
    return found


def _wrong(model: Model, wanted: Sketch, commit: str) -> str:
    """Where a proposal is not what it should be; '' when it is."""
    files = model.files(commit)
    for path in sorted({*files, *wanted.files} - wanted.marked.keys()):
        if files.get(path) != wanted.files.get(path):
            return f"{path} is {files.get(path)!r}, expected {wanted.files.get(path)!r}"
    for path, both in wanted.marked.items():
        if sides(files.get(path, "")) != both:
            return f"{path} is {files.get(path)!r}, expected both of {both}"
    return ""


def sides(text: str) -> tuple[str, str]:
    """What a file with conflict markers holds for either side."""
    found, side = (list[str](), list[str]()), None
    for line in text.splitlines(keepends=True):
        word = line[:7]
        if word in ("<<<<<<<", "|||||||", "=======", ">>>>>>>"):
            side = {"<": 0, "|": 2, "=": 1, ">": None}[word[0]]
            continue
        for number, lines in enumerate(found):
            if side in (None, number):
                lines.append(line)
    return "".join(found[0]), "".join(found[1])


def laid(paths: Collection[str], b: Files, ours: Files, theirs: Files) -> Sketch:
    """The merge of these paths into `ours`, with markers where both sides' files conflict."""
    files, marked = dict(ours), dict[str, tuple[str, str]]()
    undecided, brings = set[str](), set[str]()
    for path in paths:
        old, one, other = b.get(path), ours.get(path), theirs.get(path)
        new, clean = three_ways(old, one, other)
        if clean:
            files.pop(path, None)
            files |= {} if new is None else {path: new}
            brings |= {path} if new != one else set()
        elif one is not None and other is not None:
            marked[path] = _both(old, one, other)
        else:
            undecided.add(path)
    return Sketch(files, marked, frozenset(undecided), frozenset(brings))


def _both(old: str | None, one: str, other: str) -> tuple[str, str]:
    """A file as either side would have it where they conflict, with all that they do not."""
    texts = [(old or "").split(FILLER), one.split(FILLER), other.split(FILLER)]
    if len({len(parts) for parts in texts}) > 1:
        return one, other
    merged = [(three_ways(*parts), parts) for parts in zip(*texts, strict=True)]
    found = [FILLER.join((new if clean else parts[n]) or "" for (new, clean), parts in merged) for n in (1, 2)]
    return found[0], found[1]


# --- backports -------------------------------------------------------------------------------------------------------


def root_of(model: Model, application: str, name: str) -> str:
    rules = model.applications[application].environments
    while source := rules[name].source:
        name = source
    return name


def drift(model: Model, application: str, name: str) -> dict[str, str | None]:
    """What the branch of an environment has otherwise than its release's source."""
    known, rules = model.known[application, name], model.applications[application].environments[name]
    return model.between(application, rules, known.release[1], model.tips[name]) if known.release else {}


def backport(model: Model, application: str, name: str, onto: str) -> Sketch | None:
    """What a proposal on this commit of the root holds: all that is there, and the drift merged in. None: nobody knows."""
    known, root = model.known[application, name], root_of(model, application, name)
    if known.release is None:
        return None
    rules = model.applications[application].environments
    source = rules[name].source or ""
    base = model_origins.origin(model, application, source, known.release[1]) or known.release[1]
    paths = [path for path in sorted(drift(model, application, name)) if not rules[root].kept(path)]
    return laid(paths, *(model.files(oid) for oid in (base, onto, model.tips[name])))


# --- conflicts -------------------------------------------------------------------------------------------------------


def conflict(model: Model, application: str, name: str, base: str, tip: str, source: str) -> Sketch | None:
    """What a proposal about a conflict holds: what the target has, with both sides where they conflict; None without one."""
    rules = model.applications[application].environments[name]
    _, paths, _ = model.table(application, rules, base, tip, source)
    return laid(paths, *(model.files(oid) for oid in (base, tip, source))) if paths else None


def decides(model: Model, application: str, name: str, tip: str, commit: str) -> str:
    """The source whose conflict a person's commit decides on this tip; '' where it does not, or not any more."""
    release = model.known[application, name].release
    for each in model.proposals.values():
        if (each.kind, each.application, each.environment) != ("resolve", application, name) or release is None:
            continue
        line = list(model.objects.chain(each.tip))
        ours = line[: line.index(each.commit)]
        now = (model.scoped(application, tip), model.scoped(application, release[1]))
        if commit in ours and each.contents == now:
            undone = [p for p in each.sketch.marked if "<<<<<<<" in (model.files(commit).get(p) or "")]
            return "" if undone else each.source
    return ""


def decided(model: Model, event: Mapping[str, Any], tip: str) -> str | None:
    """Judges what a record says that a person decided, on this tip; the commit, None where there was nothing to decide."""
    app, name, said = event["application"], event["environment"], event.get("resolution")
    if said is None:
        return None
    commit, source, known = said["commit"], event["source"], model.known[app, name]
    assert (app, name, commit) in model.resolving, f"nobody named {commit} for {name} of {app}"
    assert decides(model, app, name, tip, commit) == source, f"{commit} does not decide {source} for {name} of {app}"
    assert known.release
    rules = model.applications[app].environments[name]
    _, paths, _ = model.table(app, rules, known.release[1], tip, source)
    assert {*said["entries"]} == {*paths}, f"{commit} is taken at {[*said['entries']]}, and {paths} conflict"
    model.counted[f"decided: {event['event']}"] += 1
    return str(commit)


def deciding(model: Model, commit: str | None) -> frozenset[str]:
    """The commits with which people decided where a plan conflicts, up to the proposal."""
    ours, found = {each.commit for each in model.proposals.values()}, set[str]()
    for oid in model.objects.chain(commit) if commit else ():
        if oid in ours:
            break
        found.add(oid)
    return frozenset(found)
