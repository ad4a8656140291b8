"""drift, backport and resolve on the command line: what people and programs read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.git import Origin
from tests.support.shop import WELL, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Everything is deployed and recorded."""
    made = Shop(tmp_path)
    made.round()
    return made


# --- drift -----------------------------------------------------------------------------------------------------------


def test_drift_names_commits_and_files(shop: Shop) -> None:
    """A branch that drifts, one that does not, and a root, a line each; status leads there."""
    fix = shop.push("qa", {"db": "1\n"}, message="raise the limit")
    said = shop("drift")
    lines = said.out.splitlines()
    assert said.status == 0
    assert lines[0] == "shop: dev   people push here: nothing drifts"
    assert lines[1].startswith("shop: qa   1 file only here since ")
    assert f"  {fix[:7]}  " in lines[2]
    assert '"raise the limit" (dave), 1 file' in lines[2]
    assert "  added  db" in lines
    assert lines[-1].startswith("shop: prod   no drift")
    assert "promotion drift qa" in shop("status").out
    assert "+1" in shop("drift", "qa", "--diff").out.splitlines()


def test_drift_as_json(shop: Shop) -> None:
    fix = shop.push("qa", {"db": "1\n"})
    (application,) = shop("--json", "drift", "q*").json["applications"]
    (row,) = application["environments"]
    assert (application["application"], row["environment"], row["drift"]) == ("shop", "qa", 1)
    assert [c["commit"] for c in row["commits"]] == [fix]
    assert "diff" not in row
    assert any(
        "+1" in line
        for line in shop("--json", "drift", "qa", "--diff").json["applications"][0]["environments"][0]["diff"]
    )


def test_drift_of_what_the_root_has_needs_nothing(shop: Shop) -> None:
    """It ends by itself."""
    shop.push("prod", {"db": "1\n"})
    shop.push("dev", {"db": "1\n"})
    assert "next    nothing to do: dev has all of it" in shop("drift", "prod").out


def test_drift_says_what_cannot_be_read(shop: Shop) -> None:
    """The others are shown all the same; an environment that is none is an error."""
    assert shop("drift", "pord").status == 2
    shop.origin.set("env/prod", None)
    said = shop("drift")
    assert (said.status, "prod has no branch `env/prod`" in said.err) == (2, True)
    assert "shop: qa   no drift" in said.out
    shop.several(web=str(shop.origin.path), pay=str(Origin.create(shop.folder / "other.git", files=WELL).path))
    assert "pay: prod   no drift" in shop("drift").out


# --- backport --------------------------------------------------------------------------------------------------------


def test_backport_says_what_it_made_and_how_to_merge_it(shop: Shop) -> None:
    """The commands that it prints are typed in a clone: the hotfix is in dev then, and typed again there is nothing."""
    shop.push("prod", {"db": "1\n"}, message="raise the limit")
    assert "next    promotion backport prod   proposes it to dev" in shop("drift", "prod").out
    dry = shop("backport", "prod", "--dry-run")
    said = shop("backport", "prod", "--reason", "for all")
    lines = said.out.splitlines()
    assert (said.status, dry.status, "WOULD BE PROPOSED" in dry.out) == (0, 0, True)
    assert lines[0].startswith("shop: dev <- prod   PROPOSED   promotion/backport/prod-")
    assert "  brings  db" in lines
    assert "PROPOSED ALREADY" in shop("backport", "prod").out
    clone = shop.folder / "clone"
    subprocess.run(["git", "clone", "-q", str(shop.origin.path), str(clone)], check=True)
    who = (
        "export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@example.com GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@example.com"
    )
    (typed,) = (line.strip() for line in lines if "git merge --no-ff" in line)
    subprocess.run(
        ["sh", "-ec", f"{who}; {typed.replace('git push', 'git push -q')}"], cwd=clone, check=True, capture_output=True
    )
    assert shop.origin.show("env/dev", "db") == "1\n"
    data = shop("--json", "backport", "prod").json
    assert (data["outcome"], data["branch"]) == ("nothing", None)
    assert "dev has all of it" in data["reason"]


def test_backport_as_json_and_refusals(shop: Shop) -> None:
    shop.push("prod", {"db": "1\n"})
    data = shop("--json", "backport", "prod").json
    assert (data["outcome"], data["created"], data["brings"]) == ("proposed", True, ["db"])
    assert data["onto"] == {"environment": "dev", "branch": "env/dev"}
    assert data["commit"] == shop.origin.tip(data["branch"])
    assert shop("backport", "dev").err == "dev is a root: what it has is where changes begin already\n"
    assert shop("backport", "dev").status == 2
    assert shop("backport", "pord").status == 2


def test_proposals_do_not_look_like_ledgers(shop: Shop, tmp_path: Path) -> None:
    """`init --create-branches` counts no proposal for recorded promotions, and no file may name such a branch."""
    origin = Origin.create(tmp_path / "new.git", ["main"])
    origin.set("promotion/backport/prod-12345678", origin.tip("main"))
    words = ("init", "--repository", str(origin.path), "--environments", "dev=main,prod", "--create-branches")
    shop.file.unlink()
    assert shop(*words).status == 0
    shop.set("qa", branch="promotion/resolve/12345678")
    said = shop("validate")
    assert (said.status, "is where changes are proposed to people" in said.err) == (2, True)
    shop.set("qa", branch="env/qa")
    shop.top["name"] = "backport"
    shop.write()
    assert "is where changes are proposed to people" in shop("validate").err


# --- resolve ---------------------------------------------------------------------------------------------------------


def test_a_conflict_is_resolved_by_the_commands_that_are_printed(shop: Shop) -> None:
    """plan names resolve, resolve names promote; what a person commits in a clone lands."""
    for name, line in (("qa", "hot"), ("dev", "cold")):
        shop.push(name, {"list": f"{line}\n"})
    shop("run", "--sync")
    assert "resolve promotion resolve qa" in shop("plan", "qa").out
    assert "WOULD BE PROPOSED" in shop("resolve", "qa", "--dry-run").out
    data = shop("--json", "resolve", "qa").json
    assert (data["outcome"], data["created"], data["marked"]) == ("proposed", True, ["list"])
    assert data["source"] == shop.tip("dev")
    said = shop("resolve", "qa")
    assert f"CONFLICT, PROPOSED ALREADY   {data['branch']}" in said.out
    assert "! list holds conflict markers: resolve them there" in said.out.splitlines()
    assert "promotion promote qa --resolution COMMIT" in said.out
    assert shop("promote", "qa", "--resolution", data["commit"][:9]).status == 4
    commit = shop.origin.commit(data["branch"], {"list": "lukewarm\n"})
    planned = shop("plan", "qa", "--resolution", commit[:9], "--diff")
    assert (planned.status, "1 resolved by a person (list)" in planned.out) == (0, True)
    assert "+lukewarm" in planned.out
    landed = shop("promote", "qa", "--resolution", commit[:9])
    assert (landed.status, shop.origin.show("env/qa", "list")) == (0, "lukewarm\n")
    assert "NOTHING" in shop("resolve", "qa").out
    assert shop("audit").status == 0


def test_what_is_no_resolution(shop: Shop) -> None:
    """One clear line each, and nothing is written."""
    before = shop.origin.refs()
    tip = shop.tip("dev")
    said = shop("promote", "qa", "--resolution", tip)
    assert said.status == 4
    assert said.err.startswith(f"--resolution: {tip[:7]} does not come from a branch of promotion resolve\n")
    assert "next    promotion resolve qa" in said.err
    assert "is no commit" in shop("promote", "qa", "--resolution", "nonsense").err
    assert "there is no commit 1234567" in shop("promote", "qa", "--resolution", "1234567").err
    assert shop("resolve", "dev").err == "dev takes commits from nobody, so nothing conflicts there\n"
    assert shop.origin.refs() == before
