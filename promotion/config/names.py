"""What may be written as a branch, a repository, an address, a pattern or a schedule; pure, must not ask anybody.

Each function returns what is wrong with a text, and what is allowed, or None. Texts that may hold a secret are not
repeated.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from promotion.config.document import plain

SCHEMES = ("file", "http", "https", "ssh")
BACKPORT, RESOLVE = "promotion/backport", "promotion/resolve"
"""Below these are the branches that are proposed to people."""
_TOKEN = re.compile(r"(gh[a-z]_|github_pat_|glpat-).*|.{33,}")


def branch(name: str) -> str | None:
    """Git's rules for a branch's name, and ours: it must not look like an option, a refspec or another ref."""
    if name.startswith(("-", "+")):
        return f"branch `{plain(name)}` must not begin with `{name[0]}`"
    if name in ("HEAD", "@") or name.startswith("refs/"):
        return f"`{plain(name)}` is no branch: write its short name, such as `main`"
    if found := re.search(r"[\x00-\x20\x7f-\xa0~^:?*\[\\\ud800-\udfff]", name):
        return f"branch `{plain(name)}` holds {_called(found[0])}, which Git does not allow"
    if found := re.search(r"\.\.|@\{|//|^/|/$|^\.|/\.|\.$|\.lock(?=/|$)", name):
        return f"branch `{plain(name)}` must not have `{found[0]}` there: Git does not allow it"
    if not name or len(name.encode()) > 200:
        return "a branch's name has 1 to 200 bytes"
    if is_proposal(name) or name in (BACKPORT, RESOLVE):
        return f"branch `{plain(name)}` is where changes are proposed to people: write another one"
    return None


def is_proposal(branch: str) -> bool:
    """Whether a branch holds a proposal, and no environment and no ledger."""
    return branch.startswith((f"{BACKPORT}/", f"{RESOLVE}/"))


def _called(character: str) -> str:
    return {" ": "a space"}.get(character) or (
        f"`{character}`" if character.isprintable() else f"the control character U+{ord(character):04X}"
    )


def ledger(ref: str) -> str | None:
    """A branch, or another ref by its full name."""
    if ref.startswith("refs/tags/"):
        return "a ledger grows, and tags must not move: name a branch"
    return branch(re.sub(r"^refs/(heads/)?", "", ref))


def repository(text: str) -> str | None:
    """A path or an address that Git may be given."""
    if found := re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        return f"a repository must not hold the control character U+{ord(found[0]):04X}"
    if text.startswith("-"):
        return "a repository must not begin with `-`: Git would take it for an option"
    if found := re.match(r"([\w+.-]*)::", text):
        return f"`{plain(found[1])}::` is not allowed, it runs a program: {_ways()}"
    if text.startswith("~"):
        return "`~` is not filled in here: write the whole path"
    if re.match(r"[A-Za-z0-9+.-]+://", text):
        return _address(text, SCHEMES) or _git_address(urlsplit(text))
    found = re.match(r"([^/:]*):(.*)", text, re.DOTALL)  # as Git reads it: a colon before any slash is a host's
    if found and (not re.fullmatch(r"(\w[\w.-]*@)?\w[\w.-]*", found[1]) or re.match(r"-|$|[^/]*@[^/]*:", found[2])):
        return f"not an address: {_ways()}"
    return None


def _ways() -> str:
    return "write a path, file://, http(s)://, ssh:// or git@host:path"


def _git_address(url: SplitResult) -> str | None:
    if url.query or url.fragment:
        return "an address for Git has no `?` and no `#`"
    if url.scheme == "file" and (url.netloc not in ("", "localhost") or not url.path.startswith("/")):
        return "a file address has three slashes: file:///srv/git/shop.git"
    return None


def url(text: str) -> str | None:
    """The address of a web service."""
    if re.search(r"[\x00-\x20\x7f-\x9f]", text):
        return "an address must not hold spaces or control characters"
    return _address(text, ("http", "https"))


def _address(text: str, schemes: tuple[str, ...]) -> str | None:
    allowed = ", ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "not an address: host or port make no sense"
    if parts.scheme not in schemes:
        scheme = plain(text.partition("://")[0]) if "://" in text else ""
        return f"scheme `{scheme}` is not allowed ({allowed})" if scheme else f"not an address ({allowed})"
    if " " in text or port == 0:
        return "not an address: it holds a space, or port 0"
    user = unquote(parts.username or "")
    if parts.password is not None or ":" in user:
        return "an address must not hold a password"
    if user and parts.scheme.startswith("http") and (_TOKEN.fullmatch(user) or "ssh" not in schemes):
        return "an address must not hold a token or a user: leave out what stands before the `@`"
    if parts.scheme != "file" and (
        not parts.hostname or parts.netloc.startswith("-") or parts.hostname.startswith("-")
    ):
        return "not an address: it has no host"
    return None


def place(text: str, base: Path) -> str:
    """A repository ready for Git: relative paths are made absolute, addresses stay as they are."""
    is_path = "://" not in text and not re.match(r"[^/]*:", text)
    return os.path.normpath(base / text) if is_path else text


def same(repository: str) -> str:
    """What two ways to write one repository have in common."""
    short = repository.removeprefix("file://localhost").removeprefix("file://")
    return short.rstrip("/").removesuffix(".git").rstrip("/")


def last_segment(repository: str) -> str:
    """What an application is called when it has no name of its own."""
    return re.split(r"[/:]", repository.rstrip("/"))[-1].removesuffix(".git")


def pattern(text: str) -> str | None:
    """A pattern of `protect`."""
    if text.startswith("!"):
        return "`!` is not known in patterns: name what is protected"
    if text.startswith("/"):
        return f"`{plain(text)}` is never matched: paths begin without `/`"
    if re.search(r"//|(^|/)\.{1,2}(/|$)", text):
        return f"`{plain(text)}` is never matched: no `.`, `..` or `//` in paths"
    return None


def scope(text: str) -> str | None:
    """A directory or a file of `paths`."""
    if found := re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        return f"a path must not hold the control character U+{ord(found[0]):04X}"
    if found := re.search(r"[*?\[]|^[!:]", text):
        return f"`{plain(text)}` holds `{found[0]}`, and patterns are not known here: name directories and files"
    if text.startswith("/"):
        return f"`{plain(text)}` is nowhere: paths in a repository begin without `/`"
    if re.search(r"//|(^|/)\.{1,2}(/|$)", text):
        return f"`{plain(text)}` is nowhere: no `.`, `..` or `//` in paths"
    return None


def cron(text: str) -> str | None:
    """Five cron fields that fire at some time."""
    from cronsim import CronSim, CronSimError  # 10 ms, and few files have a schedule

    if len(text.split()) != 5:
        return f"`{plain(text)}` is no schedule: five fields, minute hour day month weekday, such as `*/5 * * * *`"
    try:
        next(CronSim(text, datetime.now(UTC)))
    except (CronSimError, StopIteration) as exc:
        return f"`{plain(text)}` is no schedule: {str(exc).lower() or 'it never fires'}"
    return None
