"""Words on the command line: options, help, errors as text and as JSON, and what a bug looks like."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from promotion.cli import main
from promotion.cli.verbs import VERBS
from tests.support.shop import Said, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def process(*words: str, **environ: str) -> Said:
    """A command as a process of its own."""
    command = [sys.executable, "-m", "promotion.cli", *words]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def test_version() -> None:
    """`--version` needs no file."""
    said = process("--version")
    assert (said.status, said.out.split()[0]) == (0, "promotion")


def test_help_groups_the_verbs_and_ends_with_examples() -> None:
    """All verbs, under four headings."""
    said = process("--help")
    places = [said.out.index(f" {heading} ─") for heading in ("Look", "Act", "Decide", "Set up")]
    assert places == sorted(places)
    assert all(f"│ {verb.name} " in said.out for verb in VERBS)
    assert said.out.index("Examples") > max(places)
    assert "promotion promote prod --wait 15m" in said.out


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_each_verbs_help_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """That one can type."""
    assert main([verb, "--help"]) == 0
    assert f"Example: promotion {verb}" in capsys.readouterr().out.replace("-a shop ", "")


def test_no_two_verbs_have_one_name() -> None:
    """The later one would be all there is."""
    names = [verb.name for verb in VERBS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["staus"], "did you mean `status`?"),
        (["plan", "qa", "--dif"], "did you mean `--diff`?"),
        (["plan", "dve"], "did you mean `dev`?"),
        (["status", "qq"], "no environment `qq`"),
        (["-a", "shpo", "status"], "did you mean `shop`?"),
        (["plan"], "Missing argument"),
        (["status", "-q"], "stands before the verb"),
        (["run", "--every", "12:30"], "not a duration"),
        (["run", "--every", "0s"], "too short"),
        (["promote", "qa", "--plan", "xyz"], "hex digits"),
        (["promote", "qa", "--commit", "no"], "hex digits"),
        (["promote", "dev"], "takes commits from nobody"),
        (["plan", "dev"], "takes commits from nobody"),
        (["promote", "*"], "means several environments"),
        (["rolback", "qa"], "no verb `rolback`"),
        (["promote", "qa", "--override", "soack"], "did you mean `soak`?"),
        (["history", "--limit", "0"], "--limit"),
        (["hold", "qa", "1234", "--reason", " "], "no commit 1234"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_are_one_clear_line(shop: Shop, words: list[str], told: str) -> None:
    """Exit status 2, the nearest spelling, and nothing written."""
    said = shop(*words)
    assert (said.status, said.out) == (2, "")
    assert told in said.err.splitlines()[0]
    assert "refs/heads/promotion/shop" not in shop.origin.refs()


def test_errors_as_json(shop: Shop) -> None:
    """One object on stdout with kind, where, message and hint."""
    said = shop("--json", "plan", "dve")
    assert said.status == 2
    assert said.json["error"].keys() == {"kind", "where", "message", "hint"}
    assert said.json["error"]["kind"] == "config"


def test_usage_errors_as_json(shop: Shop) -> None:
    """Also where no verb was found."""
    assert "did you mean" in shop("--json", "staus").json["error"]["message"]


def test_no_file_is_said_with_the_way_to_one(tmp_path: Path) -> None:
    """The most usual first error."""
    said = process("-c", str(tmp_path / "no.yaml"), "status")
    assert said.status == 2
    assert "no such file" in said.err
    assert "promotion init" in said.err


def test_the_file_can_be_named_by_a_variable(shop: Shop) -> None:
    """PROMOTION_CONFIG."""
    assert process("status", PROMOTION_CONFIG=str(shop.file)).status == 0


def test_a_repository_that_is_away_is_temporary_or_wrong_and_no_bug(shop: Shop) -> None:
    """No such repository: 2, in one line, as JSON too."""
    shop.origin.path.rename(shop.folder / "elsewhere")
    said = shop("--json", "run")
    assert (said.status, said.json["error"]["kind"]) == (2, "config")


def test_a_bug_is_one_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to its traceback."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("off by\none")

    monkeypatch.setattr("promotion.report.status", broken)
    said = shop("status")
    assert (said.status, said.err) == (
        1,
        "promotion has a bug: ValueError: off by one (the same with -v shows where)\n",
    )
    assert shop("--json", "status").json["error"]["kind"] == "bug"
    assert "Traceback" in shop("-v", "status").err


def test_verbose_shows_the_git_commands(shop: Shop) -> None:
    """On stderr; the answer stays alone on stdout."""
    said = shop("-v", "--json", "status")
    assert "git ls-remote" in said.err
    assert json.loads(said.out)


def test_answers_hold_no_control_characters(shop: Shop) -> None:
    """What a commit's message may do to a terminal."""
    shop.push("dev", {"web": "2\n"}, message="red\x1b[31m \x07bell \u202egnp")
    said = shop("plan", "qa")
    assert "red bell gnp" in said.out
    assert not set("\x1b\x07\u202e") & set(said.out)


def on_a_terminal(shop: Shop, *words: str, typed: str = "", **environ: str) -> tuple[str, str]:
    """What a command writes to stdout and stderr when both are terminals, and so is stdin, on which this is typed."""
    ends = [pty.openpty(), pty.openpty(), pty.openpty()]
    os.write(ends[2][0], typed.encode())
    command = [sys.executable, "-m", "promotion.cli", "-c", str(shop.file), *words]
    environment = {**os.environ, "TERM": "xterm", **environ}
    out, err, into = (end for _, end in ends)
    subprocess.run(command, env=environment, stdin=into, stdout=out, stderr=err, check=False)
    texts = [
        os.read(reader, 1 << 16).decode() if select.select([reader], [], [], 0)[0] else "" for reader, _ in ends[:2]
    ]
    for fd in (fd for pair in ends for fd in pair):
        os.close(fd)
    return texts[0], texts[1]


def test_colour_on_a_terminal_and_not_with_no_color(shop: Shop) -> None:
    """https://no-color.org"""
    shop.round()
    assert "\x1b[32mhealthy\x1b[0m" in on_a_terminal(shop, "status")[0]
    assert "\x1b" not in on_a_terminal(shop, "status", NO_COLOR="1")[0]
    assert "\x1b" not in on_a_terminal(shop, "--json", "status")[0]


def test_waiting_rewrites_one_line_on_a_terminal(shop: Shop) -> None:
    """And clears it at the end."""
    shop.push("dev", {"web": "2\n"})
    err = on_a_terminal(shop, "promote", "qa", "--wait", "1s")[1]
    assert err.startswith("\r\x1b[Kqa waits: ")
    assert err.endswith("\r\x1b[K")


@pytest.mark.parametrize("verb", ["status", "approve"])
def test_looking_loads_neither_rich_nor_an_http_client(shop: Shop, verb: str) -> None:
    """They take as long to load as all the rest."""
    code = (
        "import sys; from promotion.cli import main; main(sys.argv[1:]);"
        "print(*sorted({'rich', 'httpx', 'prefect', 'flows'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "-c", str(shop.file), verb]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_only_the_chosen_application_is_read(shop: Shop) -> None:
    """-a takes globs; the repository of another one may be away."""
    repository = str(shop.origin.path)
    applications = [{"name": "shop", "repository": repository}, {"name": "gone", "repository": "gone.git"}]
    for settings in shop.settings.values():
        settings["engine"] = {"type": "directory", "path": "deployed/{application}/{environment}"}
    data = {"version": 1, "applications": applications, "environments": list(shop.settings.values())}
    shop.file.write_text(json.dumps(data))
    assert shop("-a", "sh*", "status").status == 0
    said = shop("--json", "status")
    assert [a["application"] for a in said.json["applications"]] == ["shop"]
    assert (said.status, "gone.git" in said.err) == (2, True)
    assert "which application?" in shop("plan", "qa").err
    assert shop("-a", "shop", "plan", "qa").status == 0


def test_completion_knows_the_environments_of_the_file(shop: Shop) -> None:
    """Typer's own protocol for bash."""
    words = f"promotion -c {shop.file} plan "
    said = process(_PROMOTION_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="4")
    assert said.out.split() == ["dev", "qa", "prod"]


def test_completion_knows_the_verbs() -> None:
    """By how they begin."""
    said = process(_PROMOTION_COMPLETE="complete_bash", COMP_WORDS="promotion re", COMP_CWORD="1")
    assert said.out.split() == ["reject", "resolve"]


def test_a_reader_that_goes_away_is_no_bug(shop: Shop) -> None:
    """`promotion history | head -1`."""
    shop.round()
    with shop.start("history") as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.wait() == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""
