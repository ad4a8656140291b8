"""What may be written as a branch, a repository, an address."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotion.config import names


def git_allows(branch: str) -> bool:
    """Git's own word."""
    done = subprocess.run(["git", "check-ref-format", "--branch", branch], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", ["main", "env/dev", "a-b_c.d", "release/1.2", "ä", "x@y", "lock", "a.locked", "{a}"])
def test_branches(name: str) -> None:
    """What people use."""
    assert names.branch(name) is None
    assert git_allows(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "1 to 200 bytes"),
        ("x" * 201, "1 to 200 bytes"),
        ("-x", "must not begin with `-`"),
        ("+x", "must not begin with `+`"),
        ("HEAD", "no branch"),
        ("@", "no branch"),
        ("refs/heads/x", "write its short name"),
        ("a..b", "must not have `..`"),
        ("x.lock", "must not have `.lock`"),
        ("x.lock/y", "must not have `.lock`"),
        ("a@{b", "must not have `@{`"),
        ("/a", "must not have `/`"),
        ("a/", "must not have `/`"),
        ("a//b", "must not have `//`"),
        (".a", "must not have `.`"),
        ("a/.b", "must not have `/.`"),
        ("a.", "must not have `.`"),
        ("a b", "holds a space"),
        ("a\nb", "the control character U+000A"),
        ("a\x7f", "the control character U+007F"),
        *((f"a{c}b", f"holds `{c}`") for c in "~^:?*[\\"),
    ],
)
def test_branches_that_git_or_we_refuse(name: str, words: str) -> None:
    """In words that say which part."""
    assert words in (names.branch(name) or "allowed")


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="a./@{-~^: \x01é\\lock*", min_size=1, max_size=8))
def test_git_allows_every_branch_that_we_allow(name: str) -> None:
    """The rules are copied; Git has the last word."""
    assert names.branch(name) is not None or git_allows(name)


def test_ledgers() -> None:
    """A branch, or another ref in full; never a tag."""
    for ref in ("promotion/shop", "refs/heads/promotion/shop", "refs/promotion/shop"):
        assert names.ledger(ref) is None
    assert "tags" in (names.ledger("refs/tags/x") or "")
    assert "Git does not allow it" in (names.ledger("refs/heads/a..b") or "")


@pytest.mark.parametrize(
    "repository",
    [
        "/srv/git/shop.git",
        "../shop.git",
        "shop with space",
        "./a:b",
        "file:///srv/git/shop.git",
        "file://localhost/srv/git/shop.git",
        "https://git.example.com/deploy/shop.git",
        "https://team@git.example.com/deploy/shop.git",
        "http://127.0.0.1:8080/shop.git",
        "ssh://git@git.example.com:2222/shop.git",
        "git@git.example.com:deploy/shop.git",
        "host:shop.git",
    ],
)
def test_repositories(repository: str) -> None:
    """Paths and the usual addresses."""
    assert names.repository(repository) is None


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("ext::sh -c id", "`ext::` is not allowed, it runs a program"),
        ("foo::bar", "runs a program"),
        ("::x", "runs a program"),
        ("-u", "must not begin with `-`"),
        ("--upload-pack=id", "must not begin with `-`"),
        ("https://user:hunter2@git.example.com/x.git", "must not hold a password"),
        ("https://user%3Ahunter2@git.example.com/x.git", "must not hold a password"),
        ("ssh://git:hunter2@git.example.com/x.git", "must not hold a password"),
        ("https://ghp_hunter2@git.example.com/x.git", "must not hold a token"),
        (f"https://{'hunter2' * 6}@git.example.com/x.git", "must not hold a token"),
        ("https://git.example.com/x.git?token=hunter2", "has no `?`"),
        ("https://git.example.com/x\n.git", "control character U+000A"),
        ("git://git.example.com/x.git", "scheme `git` is not allowed (file://, http://, https://, ssh://)"),
        ("ftp://git.example.com/x.git", "scheme `ftp` is not allowed"),
        ("https:///x.git", "it has no host"),
        ("https://[x/y", "not an address"),
        ("https://h:99999/y", "not an address"),
        ("https://h:0/y", "not an address"),
        ("https://h /y", "not an address"),
        ("ssh://-oProxyCommand=id/x", "it has no host"),
        ("ssh://-oProxyCommand=id@h/x", "it has no host"),
        ("-oProxyCommand=id:x", "must not begin with `-`"),
        ("git@-oProxyCommand=id:x", "not an address"),
        ("host:-x", "not an address"),
        ("host:", "not an address"),
        ("user:hunter2@host:x", "not an address"),
        ("file://srv/git", "three slashes"),
        ("~/shop.git", "`~` is not filled in"),
    ],
)
def test_repositories_that_are_refused(repository: str, words: str) -> None:
    """What could run something, hold a secret or hang; secrets are not repeated."""
    said = names.repository(repository)
    assert words in (said or "allowed")
    assert "hunter2" not in (said or "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:8101/healthz", None),
        ("https://shop.example.com/healthz?full=1", None),
        ("ftp://shop.example.com/", "scheme `ftp` is not allowed (http://, https://)"),
        ("shop.example.com/healthz", "not an address (http://, https://)"),
        ("http://user:hunter2@h/", "must not hold a password"),
        ("http://user@h/", "must not hold a token or a user"),
        ("http://h/a b", "spaces"),
        ("http://h\n/", "control characters"),
        ("http:///x", "it has no host"),
    ],
)
def test_addresses_of_services(url: str, words: str | None) -> None:
    """Only the web, without credentials."""
    said = names.url(url)
    assert said is None if words is None else words in (said or "allowed")


def test_places_of_repositories() -> None:
    """Relative paths are relative to the file; addresses stay as they are."""
    base = Path("/srv/conf")
    assert names.place("../git/shop.git", base) == "/srv/git/shop.git"
    assert names.place("/a/shop.git/", base) == "/a/shop.git"
    for address in ("file:///a/b", "git@h:x.git", "https://h/x.git", "host:/x"):
        assert names.place(address, base) == address
    assert names.place("./a:b", base) == "/srv/conf/a:b"


@pytest.mark.parametrize(
    ("repository", "name"),
    [("/srv/git/shop.git", "shop"), ("git@h:shop.git", "shop"), ("https://h/a/shop/", "shop"), ("shop", "shop")],
)
def test_an_application_is_called_after_its_repository(repository: str, name: str) -> None:
    """The last path segment without `.git`."""
    assert names.last_segment(repository) == name


@pytest.mark.parametrize("text", ["*/5 * * * *", "0 9 * * Mon-Fri", "0 0 L * *"])
def test_schedules(text: str) -> None:
    """Five fields."""
    assert names.cron(text) is None


@pytest.mark.parametrize("text", ["* * * *", "* * * * * *", "@daily", "61 * * * *", "0 0 30 2 *", "x x x x x", ""])
def test_schedules_that_never_fire(text: str) -> None:
    """Seconds are not known, and a tick must come."""
    assert "is no schedule" in (names.cron(text) or "allowed")


@pytest.mark.parametrize("text", ["overlays/qa/**", "a.yaml", "d/", "*/x", "**/secret", "..a", "a!"])
def test_patterns(text: str) -> None:
    """Paths with `*` and `**`."""
    assert names.pattern(text) is None


@pytest.mark.parametrize("text", ["!a", "/a", "a//b", "./a", "a/../b", "..", "a/."])
def test_patterns_that_would_protect_nothing(text: str) -> None:
    """A mistake here loses a file, so it is said."""
    assert names.pattern(text) is not None


@pytest.mark.parametrize(
    "text", ["billing/", "a", "shared/limits.yaml", "..a", "a..b/c", ".github/", "a b", "a!", "Ä/ö"]
)
def test_scopes(text: str) -> None:
    """Directories and files, as bytes."""
    assert names.scope(text) is None


@pytest.mark.parametrize(
    "text",
    ["*", "a/*.yaml", "a?", "[ab]", "!a", ":(glob)a", "/a", "/", "a//", "//", "./a", "a/../b", "..", "a/.", "a\nb"],
)
def test_scopes_that_are_nowhere(text: str) -> None:
    """No patterns, and nothing that Git has no path for: such a scope would be empty."""
    said = names.scope(text)
    assert said is not None
    assert "\n" not in said
