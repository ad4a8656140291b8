"""init, validate and schema; and what serve and demo say before anything is started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from promotion.cli import main
from promotion.cli.draft import create, draft
from promotion.config import known, load
from promotion.errors import ConfigError
from promotion.sites import cache_folder
from tests.support.git import Origin
from tests.support.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def init(file: Path, *words: str) -> int:
    """`promotion init` for this file."""
    return main(["-c", str(file), "init", *words])


# --- init -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("branches", "written", "expected"),
    [
        (["env/dev", "env/qa", "env/prod"], "dev,qa,prod", ["env/dev", "env/qa", "env/prod"]),
        (["dev", "environments/qa", "main"], "dev, qa", ["dev", "environments/qa"]),
        (["develop", "main"], "dev=develop,prod=main", ["develop", "main"]),
        (["env/dev", "1.0", "no"], "dev,rel=1.0,x=no", ["env/dev", "1.0", "no"]),
    ],
    ids=["env/", "bare", "named", "words that YAML would not keep"],
)
def test_init_writes_a_valid_file(tmp_path: Path, branches: list[str], written: str, expected: list[str]) -> None:
    """Each environment takes commits from the one before it, by hand; comments say what to fill in."""
    origin = Origin.create(tmp_path / "shop.git", branches)
    file = tmp_path / "environments.yaml"
    assert init(file, "--repository", str(origin.path), "--environments", written) == 0
    (application,) = load(file).applications
    assert application.name == "shop"
    assert [e.branch for e in application.environments] == expected
    assert [e.source for e in application.environments] == [None, *(e.name for e in application.environments[:-1])]
    assert [e.auto for e in application.environments] == [True] + [False] * (len(expected) - 1)
    assert "# " in file.read_text()
    assert main(["-c", str(file), "validate", "--online"]) == 0


def test_init_never_overwrites(tmp_path: Path, origin: Origin, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor follows a link to nowhere."""
    file, link = tmp_path / "environments.yaml", tmp_path / "link.yaml"
    file.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for path in (file, link):
        assert init(path, "--repository", str(origin.path), "--environments", "dev") == 2
        assert "not overwritten" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("repository", "environments", "told"),
    [
        (None, "dev,stage", "stage has no branch `env/stage`, `stage`, `environments/stage`"),
        (None, "dev,qa=env/qs", "did you mean `env/qa`?"),
        (None, "dev,dev", "is there twice"),
        (None, "dev,,qa", "write dev,qa,prod"),
        (None, "dev=", "write dev,qa,prod"),
        (None, "a b", "write dev,qa,prod"),
        ("ext::sh -c id", "dev", "runs a program"),
        ("-u", "dev", "must not begin with `-`"),
        ("nowhere.git", "dev", "Git repository"),
    ],
)
def test_init_refuses_what_is_wrong(
    tmp_path: Path,
    origin: Origin,
    capsys: pytest.CaptureFixture[str],
    repository: str | None,
    environments: str,
    told: str,
) -> None:
    """One clear line, exit status 2, no file."""
    file = tmp_path / "environments.yaml"
    words = [f"--repository={repository or origin.path}", "--environments", environments]
    assert init(file, *words) == 2
    assert told in capsys.readouterr().err
    assert not file.exists()


def test_init_of_an_empty_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says so."""
    origin = Origin.create(tmp_path / "shop.git", [])
    words = ["--repository", str(origin.path), "--environments", "dev"]
    assert init(tmp_path / "environments.yaml", *words) == 2
    assert "is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("branches", "written", "made"),
    [
        (["main"], "dev,qa,prod", {"env/dev": "main", "env/qa": "env/dev", "env/prod": "env/qa"}),
        (["main", "env/qa"], "dev,qa,prod", {"env/dev": "main", "env/prod": "env/qa"}),
        (["main"], "dev=main,qa,prod=release", {"env/qa": "main", "release": "env/qa"}),
        (["env/dev", "env/qa"], "dev,qa", {}),
    ],
    ids=["none is there", "one is there", "named", "all are there"],
)
def test_init_creates_branches(tmp_path: Path, branches: list[str], written: str, made: dict[str, str]) -> None:
    """Each where the one before it is, the first at the default branch; it says which, and the file is right."""
    origin = Origin.create(tmp_path / "shop.git", branches)
    for branch in branches:
        origin.commit(branch, {"of": f"{branch}\n"})
    before, file = origin.refs(), tmp_path / "environments.yaml"
    assert init(file, "--repository", str(origin.path), "--environments", written, "--create-branches") == 0
    after = origin.refs()
    assert after == before | {f"refs/heads/{branch}": after[f"refs/heads/{start}"] for branch, start in made.items()}
    assert main(["-c", str(file), "validate", "--online"]) == 0


def test_init_says_what_it_created(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And without the option which one would."""
    origin = Origin.create(tmp_path / "shop.git", ["main"])
    file, words = (
        tmp_path / "environments.yaml",
        ["--repository", str(tmp_path / "shop.git"), "--environments", "dev,qa"],
    )
    assert init(file, *words) == 2
    assert "--create-branches" in capsys.readouterr().err
    assert main(["-c", str(file), "--json", "init", *words, "--create-branches"]) == 0
    assert json.loads(capsys.readouterr().out)["created"] == {"env/dev": "main", "env/qa": "env/dev"}
    file.unlink()
    origin.set("env/qa", None)
    assert init(file, *words, "--create-branches") == 0
    assert "created env/qa, where env/dev is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environments", "told"),
    [
        ("dev,dev", "is there twice"),
        ("dev,qa=a..b", "a..b"),
        ("dev=x,qa=x", "x"),
        ("dev,qa=main/below", "main/below"),
        ("dev,qa=promotion/shop", "promotion/shop"),
    ],
)
def test_init_creates_nothing_when_anything_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], environments: str, told: str
) -> None:
    """Neither branches nor the file; names that a branch or the ledger cannot have, too."""
    origin, file = Origin.create(tmp_path / "shop.git", ["main"]), tmp_path / "environments.yaml"
    before = origin.refs()
    words = ["--repository", str(origin.path), "--environments", environments, "--create-branches"]
    assert init(file, *words) == 2
    assert told in capsys.readouterr().err
    assert origin.refs() == before
    assert not file.exists()


@pytest.mark.parametrize("trouble", ["the file is there", "the folder is not", "no default branch", "a rule"])
def test_init_creates_all_or_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], trouble: str) -> None:
    """A file that cannot be written, a remote without a start, and a host that refuses one of the branches."""
    origin, file = Origin.create(tmp_path / "shop.git", ["main"]), tmp_path / "environments.yaml"
    if trouble == "the file is there":
        file.write_text("mine")
    elif trouble == "the folder is not":
        file = tmp_path / "nowhere" / "environments.yaml"
    elif trouble == "no default branch":
        origin.git("symbolic-ref", "HEAD", "refs/heads/unborn")
    else:
        origin.hook("update", '#!/bin/sh\n[ "$1" != refs/heads/env/qa ] || { echo "not that one" >&2; exit 1; }\n')
    before = origin.refs()
    words = ["--repository", str(origin.path), "--environments", "dev,qa", "--create-branches"]
    assert init(file, *words) == 2
    said = capsys.readouterr().err
    assert {"a rule": "not that one", "no default branch": "default branch"}.get(trouble, "") in said
    assert origin.refs() == before
    assert file.exists() == (trouble == "the file is there")


def test_init_makes_no_deleted_branch_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would get what its source has, and no gate was asked: where promotions are recorded, people push what it had."""
    shop = Shop(tmp_path)
    shop.round()
    shop.push("dev", {"web": "2\n"})
    shop.origin.set("env/qa", None)
    before = shop.origin.refs()
    words = ["--repository", str(shop.origin.path), "--environments", "dev,qa", "--create-branches"]
    assert init(tmp_path / "new.yaml", *words) == 2
    assert "`env/qa` is missing where promotions are recorded already (`promotion/shop`)" in capsys.readouterr().err
    assert shop.origin.refs() == before
    assert not (tmp_path / "new.yaml").exists()


def test_init_leaves_alone_what_somebody_created_meanwhile(tmp_path: Path) -> None:
    """And creates none of the others."""
    origin = Origin.create(tmp_path / "shop.git", ["main"])
    drafted = draft(str(origin.path), "dev,qa", tmp_path, os.environ, create=True)
    theirs = origin.commit("env/qa", {"theirs": "1\n"})
    with pytest.raises(ConfigError, match="did not create"):
        create(drafted, os.environ)
    assert "refs/heads/env/dev" not in origin.refs()
    assert origin.tip("env/qa") == theirs


# --- validate and schema --------------------------------------------------------------------------------------------


def test_validate_asks_the_schema_whatever_was_found_before(shop: Shop) -> None:
    """The other verbs believe what is kept of this very text, even where it was forged."""
    shop("status")
    shop.file.write_text(shop.file.read_text().replace('"version": 1', '"version": 1, "colour": "red"'))
    cache = cache_folder(os.environ)
    assert shop("status").status == 2
    known.keep(cache, shop.file, shop.file.read_bytes())
    assert shop("status").status == 0
    said = shop("validate")
    assert (said.status, "colour" in said.err) == (2, True)


def test_validate_prints_each_problem_with_its_place(shop: Shop) -> None:
    """And counts them."""
    shop.file.write_text(yaml.safe_dump(json.loads(shop.file.read_text())).replace("branch: env/qa", "brnch: env/qa"))
    shop.file.write_text(shop.file.read_text().replace("from: dev", "from: dve"))
    said = shop("validate")
    assert said.status == 2
    assert "did you mean `branch`?" in said.err
    assert "did you mean `dev`?" in said.err
    assert all(line.startswith(f"{shop.file}:") for line in said.err.splitlines()[:2])
    problems = shop("--json", "validate").json["error"]["problems"]
    assert said.err.splitlines()[-1] == f"{len(problems)} errors"


def test_validate_is_content_with_a_good_file(shop: Shop) -> None:
    """Without asking anybody."""
    shop.origin.path.rename(shop.folder / "elsewhere")
    assert shop("validate").status == 0
    assert shop("--json", "validate").json == {"valid": True, "ledger": "unsigned", "checks": [], "access": []}


def checks(shop: Shop) -> tuple[int, dict[str, str]]:
    """Exit status and verdicts of `validate --online`."""
    said = shop("--json", "validate", "--online")
    return said.status, {check["what"]: check["verdict"] for check in said.json["checks"]}


def test_validate_online_asks_everything_once(shop: Shop) -> None:
    """And writes nothing."""
    before = shop.origin.refs()
    status, found = checks(shop)
    assert (status, found["repository"], found["push"], found["ledger"]) == (0, "ok", "ok", "note")
    assert shop.origin.refs() == before
    shop.round()
    assert checks(shop) == (
        0,
        dict.fromkeys(["repository", "push", "ledger", "configuration", "dev", "qa", "prod"], "ok"),
    )


def test_validate_online_names_each_fault_with_a_fix(shop: Shop) -> None:
    """A branch that is missing; a server without atomic pushes; a file that is not in force."""
    shop.round()
    shop.set("prod", auto=False)
    assert checks(shop)[1]["configuration"] == "fault"
    shop.origin.git("config", "receive.advertiseAtomic", "false")
    status, found = checks(shop)
    assert (status, found["push"]) == (2, "fault")
    shop.origin.set("env/qa", None)
    status, found = checks(shop)
    assert (status, found) == (2, {"repository": "fault"})
    said = shop("validate", "--online")
    assert "qa has no branch `env/qa`" in said.out


def test_validate_online_says_when_nothing_can_be_healthy(shop: Shop) -> None:
    """`health: none` is a word, and a dead end."""
    shop.set("dev", health="none")
    assert "dev is never healthy" in shop("validate", "--online").out


def test_schema_is_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """What editors complete from."""
    assert main(["schema"]) == 0
    assert "$defs" in json.loads(capsys.readouterr().out)


# --- serve ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--every", "soon"], "not a duration"), (["--every", "0s"], "1s at least")],
)
def test_serve_reads_its_options_before_it_loads_anything(shop: Shop, words: list[str], told: str) -> None:
    """Exit status 2."""
    said = shop("serve", *words)
    assert (said.status, told in said.err) == (2, True)


def test_serve_wants_a_sound_file_and_all_of_it(shop: Shop) -> None:
    """Before Prefect is asked."""
    assert shop("-a", "shop", "serve").status == 2
    shop.file.write_text("version: 2\n")
    assert shop("serve").status == 2
