"""Safe YAML with positions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promotion.config import document
from promotion.config.document import DEPTH, EXPANDED, SIZE, Document, failure, path_of, plain, read
from promotion.errors import ConfigError


@pytest.fixture(params=["C", "Python"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers of PyYAML: a machine without libyaml must refuse the same files."""
    if request.param == "Python":
        monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)


def refused(text: bytes | str) -> str:
    """The one line with which a text is refused."""
    with pytest.raises(ConfigError) as caught:
        read(text.encode() if isinstance(text, str) else text, "e.yaml")
    (line,) = caught.value.problems
    return line


def lines(read: Document) -> list[str]:
    """The problems of a document that could be read."""
    return [problem.line("e.yaml") for problem in read.problems]


def test_values_and_their_places() -> None:
    """Plain JSON values; places are line and column from 1; dates stay as written."""
    found = read(b"a: 1\nb:\n  - x\n  - {c: 1.5, d: ~}\n'e f': 2026-12-24\ng: yes\n", "e.yaml")
    assert found.data == {"a": 1, "b": ["x", {"c": 1.5, "d": None}], "e f": "2026-12-24", "g": True}
    assert found.values[("b", 1, "c")] == (4, 9)
    assert found.keys[("b", 1, "c")] == (4, 6)
    assert found.written == {("a",): "1", ("b", 1, "c"): "1.5", ("b", 1, "d"): "~", ("g",): "yes"}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("text", "value"), [("012", 10), ("12:30", 750), ("1.10", 1.1), ("no", False), ("'no'", "no"), ("=", "=")]
)
def test_values_are_what_yaml_makes_of_them(text: str, value: Any) -> None:
    """So that a message can say it; quotes make a text."""
    assert read(f"a: {text}".encode(), "e.yaml").data == {"a": value}


def test_places_count_characters_not_bytes() -> None:
    """Editors count so."""
    assert read('a: {"ä": x}'.encode(), "e.yaml").values[("a", "ä")] == (1, 10)


def test_equal_keys_are_told_with_both_lines() -> None:
    """PyYAML would keep the last one silently; we keep the first, and go on."""
    found = read(b"a: 1\nb: 2\na: 3\n", "e.yaml")
    assert lines(found) == ["e.yaml:3:1: $.a: key `a` is written twice: first on line 1, again on line 3"]
    assert found.data == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("!!python/object:os.system {a: b}", "e.yaml:1:4: $.k: tag `!!python/object:os.system`: tags are not allowed"),
        ("!x 1", "e.yaml:1:4: $.k: tag `!x`: tags are not allowed"),
        ("!!str 1", "e.yaml:1:4: $.k: tag `!!str`: tags are not allowed"),
        ("! 1", "e.yaml:1:4: $.k: tag `!`: tags are not allowed"),
        (".nan", "e.yaml:1:4: $.k: `.nan` is a number that JSON cannot hold: write it in quotes"),
        ("-.inf", "e.yaml:1:4: $.k: `-.inf` is a number that JSON cannot hold: write it in quotes"),
        ("9" * 30, f"e.yaml:1:4: $.k: `{'9' * 30}` is a number that JSON cannot hold: write it in quotes"),
        ("0b_", "e.yaml:1:4: $.k: `0b_` is a number that JSON cannot hold: write it in quotes"),
        ('"a\\0b"', "e.yaml:1:4: $.k: control character U+0000 in a text"),
        ('"a\\eb"', "e.yaml:1:4: $.k: control character U+001B in a text"),
        ("{<<: {a: b}}", "e.yaml:1:5: $.k: merge keys (`<<`) are not allowed: write the keys out"),
        ("{no: 1}", "e.yaml:1:5: $.k: key `no` is read by YAML as false: write it in quotes"),
        ("{1: 1}", "e.yaml:1:5: $.k: key `1` is read by YAML as the number 1: write it in quotes"),
        ("{? [a] : 1}", "e.yaml:1:7: $.k: a key must be a plain word"),
        ("{!x a: 1}", "e.yaml:1:5: $.k: a key must be a plain word"),
        ('{"\\0": 1}', "e.yaml:1:5: $.k: control character U+0000 in a text"),
    ],
)
def test_small_faults_are_collected(text: str, line: str) -> None:
    """The rest of the file is judged all the same."""
    found = read(f"k: {text}\nl: !y 2\n".encode(), "e.yaml")
    assert lines(found) == [line, "e.yaml:2:4: $.l: tag `!y`: tags are not allowed"]


def test_a_number_too_long_for_python() -> None:
    """`int` refuses more than 4300 digits."""
    assert "a number that JSON cannot hold" in lines(read(b"k: " + b"9" * 5000, "e.yaml"))[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"", "e.yaml:1:1: the file is empty: `version: 1` is its first line"),
        (b"# nothing\n", "e.yaml:1:1: the file is empty: `version: 1` is its first line"),
        (b"a: \0", "e.yaml:1:4: control character U+0000 (NUL) is not allowed"),
        (b"a: 1\nb: \x1b", "e.yaml:2:4: control character U+001B is not allowed"),
        (b"a: b\nc: \xff", "e.yaml:2:4: byte 0xff is not UTF-8: save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "e.yaml:1:1: begins with a byte order mark of UTF-16: save it as UTF-8 without one"),
        ("a: 1".encode("utf-16-le"), "e.yaml:1:2: control character U+0000 (NUL) is not allowed"),
        (b"\xef\xbb\xbfa: 1", "e.yaml:1:1: begins with a byte order mark of UTF-8: save it as UTF-8 without one"),
        (b"a: 1\n---\nb: 2\n", "e.yaml:3:1: a second document (`---`): a file holds one"),
        (b"a: &x [*x]", "e.yaml:1:8: alias `*x` stands for something that it is a part of"),
        (b"a: &x {b: [*x]}", "e.yaml:1:12: alias `*x` stands for something that it is a part of"),
        (b"a: *x", "e.yaml:1:4: no anchor `&x` before this alias"),
        (b"#" * (SIZE + 1), "e.yaml:1:1: larger than 256 KiB"),
    ],
)
def test_what_is_no_document(text: bytes, line: str) -> None:
    """One line, with the place."""
    assert refused(text) == line


def test_a_file_of_the_largest_size_is_read() -> None:
    """The limit itself is allowed."""
    assert read(b"a: 1 #".ljust(SIZE, b"x"), "e.yaml").data == {"a": 1}


@pytest.mark.parametrize("text", ["[" * 20_000, "a: " + "{a: " * 20_000, "- " * 20_000, "? " * 20_000])
def test_twenty_thousand_brackets(text: str) -> None:
    """No RecursionError, and no crash of the C library."""
    assert "nested deeper than 50 levels" in refused(text)


def test_nesting_up_to_the_limit() -> None:
    """The limit is where it is said to be, for aliases too."""
    assert read(b"[" * DEPTH + b"]" * DEPTH, "e.yaml").problems == ()
    assert "nested deeper" in refused("[" * (DEPTH + 1) + "]" * (DEPTH + 1))
    half = "[" * 30 + "x" + "]" * 30
    assert "nested deeper" in refused(f"- &a {half}\n- " + "[" * 30 + "*a" + "]" * 30)


def test_a_bomb_of_aliases() -> None:
    """Nine levels of nine aliases would be 400 million values."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "aliases stand for more than 1000 values: write them out" in refused("\n".join(levels))


def test_some_aliases_are_allowed() -> None:
    """Up to the budget they save repetition; places are those of what they stand for."""
    found = read(b"a: &x {b: 1}\nc: *x\n", "e.yaml")
    assert found.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert found.values[("c", "b")] == (1, 11)
    assert read(f"a: &x 1\nb: [{', '.join(['*x'] * EXPANDED)}]".encode(), "e.yaml").problems == ()
    assert "aliases" in refused(f"a: &x 1\nb: [{', '.join(['*x'] * (EXPANDED + 1))}]")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a:\n\tb: 1\n", "2:", "a tab: indent with spaces"),
        ("a:\n  b: 1\n\tc: 2\n", "3:", "a tab: indent with spaces"),
        ("a: {environment}-x\n", "1:17", "(a text with `{` in it needs quotes)"),
        ("{a: x-{environment}}\n", "1:7", "(a text with `{` in it needs quotes)"),
        ("a: [1,\n", "2:", "not YAML: "),
        ("a: 'x\n", "2:", "not YAML: "),
        ("a: b: c\n", "1:5", "not YAML: mapping values are not allowed"),
        ("@a: 1\n", "1:1", "not YAML: "),
    ],
)
def test_what_is_no_yaml(text: str, place: str, words: str) -> None:
    """The parser's own words, or better ones where we know what people mean."""
    line = refused(text)
    assert line.startswith(f"e.yaml:{place}")
    assert words in line
    assert "\n" not in line


def test_all_problems_in_the_order_of_the_file() -> None:
    """At most fifty are told, each once; the message counts them all."""
    found = read("\n".join(f"k{n}: !x 1" for n in range(60)).encode(), "e.yaml")
    error = failure("e.yaml", [*reversed(found.problems), *found.problems])
    assert error.message == "60 errors, the first 50 are shown"
    assert [line.split(":")[1] for line in error.problems] == [str(n) for n in range(1, 51)]


def test_a_problem_of_a_missing_key_is_at_its_mapping() -> None:
    """There is no better place."""
    found = read(b"a:\n  b: 1\n", "e.yaml")
    assert found.problem(("a", "c", "d"), "missing").line("f") == "f:2:3: $.a.c.d: missing"
    assert found.problem(("a", "b"), "x", at_key=True).place == (2, 3)
    assert found.problem(("a", "b"), "x").place == (2, 6)


def test_paths_and_texts_are_fit_for_one_line() -> None:
    """Whatever keys are called."""
    assert path_of(("environments", 1, "a b", "x\x1b\n")) == '$.environments[1]["a b"]["x\\x1b\\n"]'
    assert plain("x" * 100) == "x" * 57 + "..."
    assert plain("é‮") == "é\\u202e"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(alphabet="ab:-?[]{},&*!#|>'\"%@` \n\t~0.<", max_size=80).map(str.encode))
def test_nothing_but_a_configuration_error(text: bytes) -> None:
    """Whatever the bytes are."""
    with suppress(ConfigError):
        read(text, "e.yaml")
