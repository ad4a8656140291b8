"""The entry table: as DESIGN says, as git merge-tree does, and nothing unexplained."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotion import merge
from promotion.merge import Change, Difference, Row, Rule, Table
from promotion.model import Entry

Tree: TypeAlias = dict[bytes, Entry]
FURTHER = settings(max_examples=3 * settings().max_examples)
"""Pure or nearly so: these may search further than the profile says."""


def entry(content: str, mode: int = 0o100644) -> Entry:
    """An entry whose id is made up from its content."""
    return Entry(mode, hashlib.sha1(content.encode()).hexdigest())


A, B, C, D = (entry(letter) for letter in "abcd")
LINK, LINK2 = entry("l", 0o120000), entry("m", 0o120000)
MODULE = entry("n", 0o160000)


def diff(left: Mapping[bytes, Entry], right: Mapping[bytes, Entry]) -> Difference:
    """The raw diff of two trees."""
    return {p: (left.get(p), right.get(p)) for p in left.keys() | right.keys() if left.get(p) != right.get(p)}


def nothing(_: bytes) -> bool:
    """No path is kept."""
    return False


def table_of(b: Tree, d: Tree, s: Tree, protect: tuple[str, ...] = ()) -> Table:
    """The table of three trees."""
    return merge.lay(diff(b, d), diff(b, s), merge.protected(protect))


def applied(table: Table, target: Tree) -> Tree:
    """D with the table's gains: T."""
    entries = {**target, **merge.gains(table)}
    return {path: found for path, found in entries.items() if found is not None}


def test_a_mirror_takes_the_source_and_names_what_is_lost() -> None:
    """Protected files stay; nothing conflicts; what only the target had is lost, and what came to the source too is not."""
    b = {b"kept": A, b"drift": A, b"both": A, b"same": A, b"gone": A}
    d = {b"kept": B, b"drift": B, b"both": B, b"same": B, b"gone": A, b"own": A}
    s = {b"kept": C, b"drift": A, b"both": C, b"same": B, b"new": A}
    table = merge.lay(diff(b, d), diff(b, s), merge.protected(["kept"]), mirror=True)
    assert merge.conflicts(table) == {}
    assert merge.pending(table) == {}
    assert applied(table, d) == {b"kept": B, b"drift": A, b"both": C, b"same": B, b"new": A}
    assert merge.lost(table) == [b"both", b"drift", b"own"]
    assert merge.unexplained(table, diff(b, applied(table, d))) == []


@pytest.mark.parametrize(
    ("roots", "inside", "outside"),
    [
        ((), [b"a", b"a/b"], []),
        ((b"a",), [b"a", b"a/b", b"a/b/c"], [b"ab", b"b/a", b""]),
        ((b"a/b.yaml", b"c"), [b"a/b.yaml", b"c/d"], [b"a/c.yaml", b"a"]),
    ],
)
def test_what_is_within_a_scope(roots: tuple[bytes, ...], inside: list[bytes], outside: list[bytes]) -> None:
    """Files and directories, whole names only; everything without any."""
    within = merge.within(roots)
    assert [path for path in inside if not within(path)] == []
    assert [path for path in outside if within(path)] == []


# --- protected -----------------------------------------------------------------------------------------------------

PATTERNS = [
    ("a/b", [b"a/b"], [b"a", b"a/b/c", b"a/bc", b"x/a/b"]),
    ("a/*", [b"a/b", b"a/.x", b"a/\xff", b"a/x\ny"], [b"a", b"a/b/c", b"b/a/x"]),
    ("*.yaml", [b"x.yaml", b".yaml"], [b"a/x.yaml", b"x.yaml2", b"xyaml"]),
    ("a*c", [b"ac", b"abc"], [b"a/c", b"abcd"]),
    ("d/", [b"d", b"d/x", b"d/x/y", b"d/\n"], [b"dd", b"x/d", b"e/d/x"]),
    ("d/**", [b"d", b"d/x", b"d/x/y"], [b"dd/x", b"x/d"]),
    ("d/**/", [b"d", b"d/x/y"], [b"dd"]),
    ("d/*/", [b"d/x", b"d/x/y"], [b"d", b"e/x"]),
    ("d/**/f", [b"d/f", b"d/x/f", b"d/x/y/f"], [b"d", b"df", b"d/xf", b"d/f/x"]),
    ("**/f", [b"f", b"x/f", b"x/y/f"], [b"xf", b"x/ff", b"f/x"]),
    ("**/**/f", [b"f", b"x/y/f"], [b"xf"]),
    ("**", [b"f", b"x/y", b"\n"], []),
    ("a**z", [b"az", b"a/b/z"], [b"b/az"]),
    ("*/prod/**", [b"x/prod", b"x/prod/y/z"], [b"prod/y", b"x/y/prod/z"]),
    ("a?b[c]", [b"a?b[c]"], [b"axbc", b"axb[c]"]),
    ("!a", [b"!a"], [b"a", b"b"]),
    ("a.b+(c)|d", [b"a.b+(c)|d"], [b"axb+(c)|d", b"d"]),
    ("ä/*", ["ä/ö".encode()], ["ä/ö".encode("latin-1")]),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), PATTERNS)
def test_protected(pattern: str, yes: list[bytes], no: list[bytes]) -> None:
    """Each pattern matches these paths and not those, alone and among others."""
    for matches in (merge.protected([pattern]), merge.protected(["zzz", pattern, "yyy/"])):
        assert [path for path in yes if not matches(path)] == []
        assert [path for path in no if matches(path)] == []


def test_nothing_is_protected_without_patterns() -> None:
    """No patterns protect nothing, not even the empty path."""
    assert not any(map(merge.protected([]), [b"", b"a", b"a/b"]))


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=8))
@FURTHER
def test_a_single_segment_globs_like_fnmatch(pattern: str, path: str) -> None:
    """Without slashes and double stars, patterns are what fnmatch says."""
    pattern = re.sub(r"\*+", "*", pattern)
    assert merge.protected([pattern])(path.encode()) == fnmatch.fnmatchcase(path, pattern)


# --- the rules, one by one -----------------------------------------------------------------------------------------

RULES: list[tuple[Entry | None, Entry | None, Entry | None, Rule, Entry | None]] = [
    (A, A, B, Rule.TESTED, B),
    (A, A, None, Rule.TESTED, None),
    (None, None, A, Rule.TESTED, A),
    (A, B, B, Rule.TESTED, B),
    (None, A, A, Rule.TESTED, A),
    (A, None, None, Rule.TESTED, None),
    (A, B, A, Rule.DRIFT, B),
    (A, None, A, Rule.DRIFT, None),
    (None, A, None, Rule.DRIFT, A),
    (A, B, C, Rule.MERGE, None),
    (A, replace(A, mode=0o100755), B, Rule.MERGE, None),
    (None, A, B, Rule.CONFLICT, A),
    (A, None, B, Rule.CONFLICT, None),
    (A, B, None, Rule.CONFLICT, B),
    (A, B, LINK, Rule.CONFLICT, B),
    (A, LINK, LINK2, Rule.CONFLICT, LINK),
    (LINK, A, B, Rule.CONFLICT, A),
    (MODULE, A, B, Rule.CONFLICT, A),
    (LINK, LINK, LINK2, Rule.TESTED, LINK2),
    (MODULE, MODULE, None, Rule.TESTED, None),
]


@pytest.mark.parametrize(("b", "d", "s", "rule", "t"), RULES)
def test_rules(b: Entry | None, d: Entry | None, s: Entry | None, rule: Rule, t: Entry | None) -> None:
    """Each combination of entries has its rule and its result; protected, the target's entry stays."""
    base, target, source = ({b"p": found} if found else {} for found in (b, d, s))
    assert table_of(base, target, source).rows == {b"p": Row(b, d, s, rule, t)}
    assert table_of(base, target, source, ("p",)).rows == {b"p": Row(b, d, s, Rule.KEPT, d)}


def test_settle() -> None:
    """Contents come from outside; None is a conflict; what is missing stays pending; others are left alone."""
    b, d, s = (dict.fromkeys([b"a", b"b", b"c"], found) for found in (A, B, C))
    table = table_of(b, d, s)
    assert merge.pending(table) == dict.fromkeys(b, (A, B, C))
    table = merge.settle(table, {b"a": D, b"b": None, b"z": D})
    assert table.rows == {
        b"a": Row(A, B, C, Rule.MERGE, D),
        b"b": Row(A, B, C, Rule.CONFLICT, B),
        b"c": Row(A, B, C, Rule.MERGE, None),
    }
    assert list(merge.conflicts(table)) == [b"b"]
    assert merge.pending(table) == {b"c": (A, B, C)}
    assert merge.settle(table, {b"a": A}) == table


CLASHES: list[tuple[Tree, Tree, Tree, tuple[str, ...], list[bytes]]] = [
    ({}, {b"p": A}, {b"p/x": B, b"p/y/z": C}, (), [b"p", b"p/x", b"p/y/z"]),
    ({}, {b"p/x/y": A}, {b"p/x": B, b"q": A}, (), [b"p/x", b"p/x/y"]),
    ({b"p": A}, {b"p": A}, {b"p/x": B}, ("p",), [b"p", b"p/x"]),
    ({b"p": A}, {b"p": A}, {b"p/x": B}, (), []),
    ({b"p/x": A}, {b"p/x": A}, {b"p": B}, ("p/x",), [b"p", b"p/x"]),
    ({b"p/x": A}, {b"p/x": A}, {b"p": B}, ("p/",), []),
    ({b"p": A}, {b"p": A, b"p.x": B}, {b"p": B, b"p-": A}, (), []),
]


@pytest.mark.parametrize(("b", "d", "s", "protect", "expected"), CLASHES)
def test_a_path_that_is_also_a_directory_is_a_conflict(
    b: Tree, d: Tree, s: Tree, protect: tuple[str, ...], expected: list[bytes]
) -> None:
    """Both sides of a clash of file and directory are conflicts, protected or not."""
    table = table_of(b, d, s, protect)
    assert list(merge.conflicts(table)) == expected
    assert all(row.t == row.d for row in merge.conflicts(table).values())


# --- what the table says -------------------------------------------------------------------------------------------


def test_only_conflicts_are_resolved() -> None:
    """What a person decided counts where no rule decides; what is decided is explained, what is not still conflicts."""
    b, d, s = (
        {b"x": A, b"y": A, b"z": A, b"w": A},
        {b"x": B, b"y": B, b"z": B},
        {b"x": LINK, b"y": LINK, b"z": A, b"w": B},
    )
    table = merge.resolve(table_of(b, d, s), {b"x": C, b"y": None, b"z": C, b"new": C})
    assert {path: (row.rule, row.t) for path, row in table.rows.items()} == {
        b"x": (Rule.RESOLUTION, C),
        b"y": (Rule.RESOLUTION, None),
        b"z": (Rule.DRIFT, B),
        b"w": (Rule.CONFLICT, None),
    }
    assert merge.unexplained(table, diff(b, {b"x": C, b"z": B, b"w": B})) == [b"w"]
    assert merge.unexplained(table, diff(b, {b"x": D, b"z": B})) == [b"w", b"x"]


def test_changes_and_deviations() -> None:
    """What the target gains, and where it is not as tested."""
    b = {b"kept": A, b"mod": A, b"gone": A, b"drift": A, b"merge": A}
    d = {b"kept": B, b"mod": A, b"gone": A, b"drift": B, b"merge": B}
    s = {b"kept": C, b"mod": B, b"new": A, b"drift": A, b"merge": C}
    table = merge.settle(table_of(b, d, s, ("kept",)), {b"merge": D})
    assert merge.changes(table) == [
        Change(b"gone", "deleted", Rule.TESTED),
        Change(b"merge", "modified", Rule.MERGE),
        Change(b"mod", "modified", Rule.TESTED),
        Change(b"new", "added", Rule.TESTED),
    ]
    assert {path: row.rule for path, row in merge.deviations(table).items()} == {
        b"drift": Rule.DRIFT,
        b"kept": Rule.KEPT,
        b"merge": Rule.MERGE,
    }
    assert merge.gains(table) == {b"gone": None, b"merge": D, b"mod": B, b"new": A}
    assert not merge.identical(table)


@pytest.mark.parametrize(
    ("d", "s", "protect", "expected"),
    [
        ({b"p": A}, {b"p": B}, (), True),
        ({b"p": B}, {b"p": A}, (), False),
        ({b"p": B}, {b"p": A}, ("p",), True),
        ({b"p": B}, {b"p": C}, (), False),
        ({b"p": B}, {}, (), False),
        ({b"p": A, b"q": A}, {b"p": A, b"q/x": A}, (), False),
    ],
)
def test_identical(d: Tree, s: Tree, protect: tuple[str, ...], expected: bool) -> None:
    """Drift, merges and conflicts are not what was tested; kept paths do not count."""
    assert merge.identical(table_of({b"p": A}, d, s, protect)) is expected


def test_a_merge_that_gives_the_sources_file_is_identical() -> None:
    """When the source has the target's change already, the merged content is as tested."""
    assert merge.identical(merge.settle(table_of({b"p": A}, {b"p": B}, {b"p": C}), {b"p": C}))


# --- properties ----------------------------------------------------------------------------------------------------

PATHS = [b"a", b"a/b", b"a/b/c", b"a/d", b"e", b"e/f", b"g", b"h/i", b"h/i/j", b"k"]
PROTECT = st.sampled_from([(), ("a/b",), ("a/",), ("*",), ("h/**", "e")])


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """A tree: no path is a directory of another."""
    tree: Tree = {}
    for path in draw(st.permutations(PATHS)):
        found = draw(st.sampled_from([None, A, A, B, C, LINK, replace(A, mode=0o100755)]))
        if found and not any(p.startswith(path + b"/") or path.startswith(p + b"/") for p in tree):
            tree[path] = found
    return tree


def settled(table: Table) -> Table:
    """The table with some content for each merge."""
    return merge.settle(table, dict.fromkeys(merge.pending(table), D))


@given(trees(), trees(), trees(), PROTECT)
@FURTHER
def test_properties(b: Tree, d: Tree, s: Tree, protect: tuple[str, ...]) -> None:
    """What always holds: rows cover the union, kept is kept, T is a tree, and every path of it is explained."""
    keeps, table = merge.protected(protect), settled(table_of(b, d, s, protect))
    assert list(table.rows) == sorted(diff(b, d).keys() | diff(b, s).keys())
    assert all(row.t == d.get(path) for path, row in table.rows.items() if keeps(path))
    assert merge.pending(table) == {}
    mirrored = table_of(b, s, d, ())
    assert merge.conflicts(mirrored).keys() == merge.conflicts(table_of(b, d, s)).keys()
    assert merge.pending(mirrored).keys() == merge.pending(table_of(b, d, s)).keys()
    if merge.conflicts(table):
        assert set(merge.conflicts(table)) <= set(merge.unexplained(table, diff(b, applied(table, d))))
        return
    t = applied(table, d)
    assert not any(path.startswith(parent + b"/") for path in t for parent in t)
    assert merge.unexplained(table, diff(b, t)) == []
    assert {change.path for change in merge.changes(table)} == diff(d, t).keys()
    assert {p: e for p, e in t.items() if keeps(p)} == {p: e for p, e in d.items() if keeps(p)}
    outside = {p for p in t.keys() | s.keys() if not keeps(p)}
    assert merge.identical(table) == all(t.get(p) == s.get(p) for p in outside)


@given(trees(), trees(), PROTECT)
@FURTHER
def test_without_drift_the_result_is_what_was_tested(b: Tree, s: Tree, protect: tuple[str, ...]) -> None:
    """When the target's unprotected paths are the base's, T is S there (or a protected file stands in the way)."""
    keeps, table = merge.protected(protect), table_of(b, b, s, protect)
    for path, row in table.rows.items():
        assert row.t == (row.d if keeps(path) or row.rule is Rule.CONFLICT else row.s)
    assert merge.pending(table) == {}
    if not protect:
        assert merge.identical(table)
        assert applied(table, b) == s
        assert merge.deviations(table) == {}


@given(trees(), trees(), trees(), PROTECT)
@FURTHER
def test_a_mirror_is_the_source_wherever_nothing_is_protected(
    b: Tree, d: Tree, s: Tree, protect: tuple[str, ...]
) -> None:
    """T is S outside protected paths and D inside, unless a protected file stands in a directory's way; without drift nothing is lost."""
    keeps = merge.protected(protect)
    table = merge.lay(diff(b, d), diff(b, s), keeps, mirror=True)
    t = applied(table, d)
    for path in {*b, *d, *s} - merge.conflicts(table).keys():
        assert t.get(path) == (d if keeps(path) else s).get(path)
    undrifted = {path: entry for path, entry in d.items() if keeps(path)} | {p: e for p, e in b.items() if not keeps(p)}
    assert not merge.lost(merge.lay(diff(b, undrifted), diff(b, s), keeps, mirror=True))


@given(trees(), trees(), trees(), st.sampled_from(PATHS), st.sampled_from([None, A, D, LINK2]))
@FURTHER
def test_every_changed_path_of_the_result_is_unexplained(
    b: Tree, d: Tree, s: Tree, path: bytes, planted: Entry | None
) -> None:
    """A path that was added, lost or changed after the table was laid is named, and no other (S10)."""
    table = settled(table_of(b, d, s))
    t = applied(table, d)
    wrong = {p: e for p, e in {**t, path: planted}.items() if e is not None}
    expected = set(merge.conflicts(table)) | ({path} if t.get(path) != planted else set())
    assert merge.unexplained(table, diff(b, wrong)) == sorted(expected)


def test_a_lost_change_and_another_base_are_unexplained() -> None:
    """A row that did not land, content that was not merged yet, and a diff from some other base."""
    table = table_of({b"p": A}, {b"p": A}, {b"p": B, b"q": A})
    assert merge.unexplained(table, {}) == [b"p", b"q"]
    assert merge.unexplained(table, {b"p": (A, B)}) == [b"q"]
    assert merge.unexplained(table, {b"p": (C, B), b"q": (None, A)}) == [b"p"]
    assert merge.unexplained(table_of({b"p": A}, {b"p": B}, {b"p": C}), {b"p": (A, None)}) == [b"p"]


# --- holds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "t", "d", "expected"),
    [
        ({b"p": B, b"q": None}, {b"p": B}, {b"p": A, b"q": A}, True),
        ({b"p": B, b"q": None}, {b"p": B, b"q": A}, {b"p": A}, False),
        ({b"p": B, b"q": None}, {b"p": C}, {b"p": A}, False),
        ({b"p": B}, {b"p": B, b"new": A}, {b"p": A}, True),
        ({b"p": B}, {b"p": B}, {b"p": B}, False),
        ({b"p": B, b"q": B}, {b"p": B, b"q": B}, {b"p": B}, True),
        ({}, {b"p": B}, {b"p": A}, False),
    ],
)
def test_held(entries: merge.Entries, t: Tree, d: Tree, expected: bool) -> None:
    """Held while T contains all of the change and D does not; one mended path is enough, one on top is not."""
    assert merge.held(entries, t.get, d.get) is expected


def test_nothing_contains_no_entries() -> None:
    """An empty hold is in no tree, an entry that must be absent only where it is."""
    empty: Tree = {}
    assert not merge.contains({}, empty.get)
    assert merge.contains({b"p": None}, empty.get)
    assert not merge.contains({b"p": None}, {b"p": A}.get)


# --- git merge-tree ------------------------------------------------------------------------------------------------

WHO = "a <a@b> 1700000000 +0000"


class Objects:
    """A repository's loose objects, written without a process each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--bare", "-q", ".")

    def git(self, *args: str, ok: tuple[int, ...] = (0,)) -> bytes:
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.path)}
        done = subprocess.run(["git", *args], cwd=self.path, env=environment, capture_output=True, check=False)
        assert done.returncode in ok, done.stderr
        return done.stdout

    def write(self, kind: str, data: bytes) -> str:
        whole = f"{kind} {len(data)}\0".encode() + data
        oid = hashlib.sha1(whole).hexdigest()
        file = self.path / "objects" / oid[:2] / oid[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(zlib.compress(whole, 1))
        return oid

    def tree(self, tree: Mapping[bytes, Entry]) -> str:
        items: dict[bytes, Entry] = {}
        for name in {path.split(b"/", 1)[0] for path in tree}:
            below = {path[len(name) + 1 :]: found for path, found in tree.items() if path.startswith(name + b"/")}
            items[name] = Entry(0o40000, self.tree(below)) if below else tree[name]
        order = sorted(items.items(), key=lambda item: item[0] + (b"/" if item[1].mode == 0o40000 else b""))
        return self.write("tree", b"".join(b"%o %s\0" % (e.mode, name) + bytes.fromhex(e.oid) for name, e in order))

    def commit(self, tree: Mapping[bytes, Entry], what: str, parent: str | None = None) -> str:
        above = f"parent {parent}\n" if parent else ""
        return self.write(
            "commit", f"tree {self.tree(tree)}\n{above}author {WHO}\ncommitter {WHO}\n\n{what}\n".encode()
        )

    def merge(self, b: Tree, d: Tree, s: Tree) -> tuple[set[bytes], Tree]:
        """The paths git says conflict, and the tree it makes."""
        base = self.commit(b, "B")
        ours, theirs = self.commit(d, "D", base), self.commit(s, "S", base)
        out = self.git("merge-tree", "--write-tree", "-z", "--no-messages", ours, theirs, ok=(0, 1))
        top, *conflicted = out.rstrip(b"\0").split(b"\0")
        found = {}
        for line in self.git("ls-tree", "-r", "-z", top.decode()).split(b"\0")[:-1]:
            meta, path = line.split(b"\t", 1)
            mode, _, oid = meta.split(b" ")
            found[path] = Entry(int(mode, 8), oid.decode())
        return {line.split(b"\t", 1)[1] for line in conflicted}, found


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """One repository for all random trees."""
    return Objects(tmp_path_factory.mktemp("objects"))


def content(path: bytes, first: int, last: int) -> bytes:
    """A file that no other path resembles, so that nothing looks renamed, with two places to change."""
    middle = [f"{path!r} line {n}" for n in range(8)]
    return "\n".join([f"{path!r} first {first}", *middle, f"{path!r} last {last}", ""]).encode()


Shape: TypeAlias = tuple[str, int, int]
SHAPES = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["file"] * 4 + ["program", "link"]), st.integers(0, 2), st.integers(0, 2)),
)
TRIPLES = st.one_of(  # mostly something that one side or both changed, sometimes anything at all
    st.tuples(SHAPES, SHAPES).map(lambda two: (two[0], two[0], two[1])),
    st.tuples(SHAPES, SHAPES).map(lambda two: (two[0], two[1], two[0])),
    st.tuples(st.integers(0, 2), st.integers(0, 2)).map(
        lambda n: (("file", 0, 0), ("file", n[0], 0), ("file", 0, n[1]))
    ),
    st.tuples(SHAPES, SHAPES, SHAPES),
)


def planted(objects: Objects, shapes: Mapping[bytes, Shape | None]) -> Tree:
    """A tree of these shapes; of a path that is also a directory only the file is taken."""
    tree: Tree = {}
    for path in sorted(shapes):
        shape = shapes[path]
        if shape and not any(path.startswith(parent + b"/") for parent in tree):
            kind, first, last = shape
            data = b"%s/%d%d" % (path, first, last) if kind == "link" else content(path, first, last)
            mode = {"file": 0o100644, "program": 0o100755, "link": 0o120000}[kind]
            tree[path] = Entry(mode, objects.write("blob", data))
    return tree


def flat(objects: Objects, table: Table) -> merge.Entries:
    """The contents of a table merged by git on small trees of just those paths."""
    waiting = merge.pending(table)
    b, d, s = ({path: three[i] for path, three in waiting.items()} for i in range(3))
    conflicted, merged = objects.merge(b, d, s) if waiting else (set(), {})
    return {path: None if path in conflicted else merged[path] for path in waiting}


@given(st.fixed_dictionaries(dict.fromkeys([b"a", b"a/b", b"a/c/d", b"e", b"f/g", b"h"], TRIPLES)))
@FURTHER
def test_the_table_is_what_git_merge_tree_does(
    objects: Objects, triples: Mapping[bytes, tuple[Shape | None, ...]]
) -> None:
    """On trees without renames, whose merge base is B: the same tree, or a conflict on both sides."""
    b, d, s = (planted(objects, {path: three[i] for path, three in triples.items()}) for i in range(3))
    table = table_of(b, d, s)
    table = merge.settle(table, flat(objects, table))
    conflicted, merged = objects.merge(b, d, s)
    assert bool(merge.conflicts(table)) == bool(conflicted), (merge.conflicts(table), conflicted)
    if not conflicted:
        assert applied(table, d) == merged
