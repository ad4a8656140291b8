"""What is done with errors that are passed on."""

from __future__ import annotations

from promotion.errors import ConfigError, TemporaryError, as_bug, once, reworded
from promotion.kube.errors import ContestedError, DeniedError


def test_one_that_is_said_in_other_words_stays_what_it_is() -> None:
    """Its exit status, kind and hint; the one that was raised stays as it was."""
    raised = DeniedError("may not get it", where="cluster", hint="a Role")
    said = reworded(raised, f"qa could not be read: {raised}")
    assert (str(said), said.hint, type(said)) == (
        "qa could not be read: cluster: may not get it",
        "a Role",
        DeniedError,
    )
    assert str(raised) == "cluster: may not get it"
    contested = reworded(ContestedError("taken", causes=(("kubectl", ".spec"),)), "x")
    assert (contested.exit_status, str(contested)) == (5, "x")
    bug = reworded(as_bug(KeyError("x")), "qa: a bug")
    assert (bug.kind, bug.exit_status) == ("bug", 1)


def test_several_lines_of_a_file_become_the_one_that_is_said() -> None:
    said = reworded(ConfigError("wrong", problems=("f:1:1: a", "f:2:1: b")), "qa: wrong")
    assert (said.exit_status, vars(said)["problems"]) == (2, ())


def test_what_repeats_another_is_not_said() -> None:
    first, again, other = (
        ConfigError("no such file", where="f"),
        ConfigError("qa: f: no such file"),
        TemporaryError("qa"),
    )
    assert once([first, again, first, other]) == (first, other)
    assert once([]) == ()
