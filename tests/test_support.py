"""The tests' own repository: what others rely on when they judge the product by it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.git import EPOCH, Origin


def test_branches_start_on_one_commit(origin: Origin) -> None:
    """All environments begin with the same release, and HEAD is the first of them."""
    assert origin.tip("env/dev") == origin.tip("env/qa") == origin.tip("env/prod")
    assert origin.git("symbolic-ref", "HEAD").strip() == "refs/heads/env/dev"


def test_an_origin_without_branches_is_empty(tmp_path: Path) -> None:
    """No branches, no refs."""
    assert Origin.create(tmp_path / "o.git", branches=()).refs() == {}


def test_commits_add_change_and_delete(origin: Origin) -> None:
    """Content is what was written, deletion is absence, and other branches do not move."""
    qa = origin.tip("env/qa")
    first = origin.commit("env/dev", {"a/b.txt": "one\n", "c.txt": "c"})
    second = origin.commit(
        "env/dev", {"a/b.txt": "two\n", "c.txt": None}, message="subject\n\nKey: value\n", author="erin"
    )
    assert origin.tip("env/dev") == second
    assert origin.files(second) == {"README.md": "A release.\n", "a/b.txt": "two\n"}
    assert origin.show(first, "c.txt") == "c"
    assert origin.show(second, "c.txt") is None
    assert origin.tip("env/qa") == qa
    newest = origin.log("env/dev")[0]
    assert (newest.parents, newest.author, newest.subject) == ((first,), "erin <erin@example.com>", "subject")
    assert newest.trailers == {"Key": "value"}


def test_modes_and_odd_paths(origin: Origin) -> None:
    """Executables, symlinks, submodules, quotes, newlines and bytes that are no UTF-8."""
    tip = origin.commit(
        "env/dev",
        {
            "run": ("100755", "#!/bin/sh\n"),
            "link": ("120000", "run"),
            "sub": ("160000", "1" * 40),
            'q"\\\n': "quoted",
            b"\xff": b"\x00\xff",
        },
    )
    assert {path: mode for path, (mode, _) in origin.tree(tip).items()} == {
        "README.md": "100644",
        "run": "100755",
        "link": "120000",
        "sub": "160000",
        'q"\\\n': "100644",
        "\udcff": "100644",
    }
    assert origin.files(tip)["\udcff"] == "\0\udcff"
    origin.git("fsck", "--strict")


def test_merges_rewrites_and_removals(origin: Origin) -> None:
    """Further parents, a tip moved back, a branch gone."""
    start = origin.tip("env/dev")
    change = origin.commit("env/dev", {"a": "1"})
    merge = origin.commit("env/qa", {"a": "1"}, merges=[change])
    assert [one.commit for one in origin.log("env/qa")] == [merge, start]
    assert origin.log("env/qa")[0].parents == (start, change)
    assert {one.commit for one in origin.log("env/qa", first_parent=False)} == {merge, start, change}
    rewritten = origin.commit("env/dev", {"a": "2"}, onto=start, at=EPOCH)
    assert [one.commit for one in origin.log("env/dev")] == [rewritten, start]
    origin.set("env/dev", None)
    assert "refs/heads/env/dev" not in origin.refs()


def test_hooks_refuse_and_partial_clones_work(origin: Origin, tmp_path: Path) -> None:
    """It is a real server: filters are honoured and a hook's words reach who pushes."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--bare", "--filter=blob:none", origin.url, str(clone)], check=True)
    assert origin.git("-C", str(clone), "config", "remote.origin.promisor").strip() == "true"
    origin.hook("pre-receive", "#!/bin/sh\necho no deploys on Friday\nexit 1\n")
    push = subprocess.run(
        ["git", "push", "origin", "env/dev:refs/heads/new"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert push.returncode != 0
    assert "no deploys on Friday" in push.stderr


def test_failures_show_gits_words(origin: Origin) -> None:
    """A test that breaks must say why."""
    with pytest.raises(subprocess.CalledProcessError, match="bad object"):
        origin.git("rev-list", "1" * 40)


def test_each_test_has_an_empty_home(home: Path) -> None:
    """Nothing of the machine, and nothing of another test, is found there."""
    assert list(home.iterdir()) == []
    assert os.environ["HOME"] == str(home)
    assert not [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("PROMOTION_")]
