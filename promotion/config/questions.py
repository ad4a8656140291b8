"""What checks are asked with, in `health` and in `gates`: addresses, numbers, names, tokens; pure, must not ask anybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from promotion.config import names
from promotion.config.credentials import wrong_variable
from promotion.config.document import Steps, plain
from promotion.config.places import directory
from promotion.config.written import Finding, Merged, Named
from promotion.expectation import expectation
from promotion.objectname import object_name
from promotion.texts import duration

WEEK = timedelta(days=7)
"""The longest `for` of a metric: Prometheus answers with at most 11,000 moments."""
FILES = ("ca_file", "token_file", "kubeconfig")
_CLOSING = {")": "(", "]": "[", "}": "{"}
_QUOTED = re.compile(r""" "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | `[^`]*` """, re.VERBOSE)
_COMMENT = re.compile(r"#.*")


def of_questions(application: Named) -> Iterator[Finding]:
    """What is wrong with the checks of one application."""
    for each in application.environments:
        for steps, check in _checks(each):
            yield from (Finding((*steps, *way), text) for way, text in _of_check(check))


def rooted(written: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """A check or an engine, the names of its files made absolute: they are relative to this file."""
    return {**written, **{key: directory(written[key], base) for key in FILES if key in written}}


def _checks(each: Merged) -> Iterator[tuple[Steps, Mapping[str, Any]]]:
    for key in ("health", "gates"):
        asked = each.filled.get(key)
        for i, check in enumerate(asked if isinstance(asked, list) else []):
            if check:
                yield (*each.at(key), i), check


def _of_check(check: Mapping[str, Any]) -> Iterator[tuple[Steps, str]]:
    kind = check.get("type")
    if kind == "http" and (wrong := names.url(check.get("url", "http://unknown"))):
        yield ("url",), wrong
    if kind == "metric":
        yield from _of_metric(check)
    for i, text in enumerate(check.get("objects", ()) if kind == "kubernetes" else ()):
        if text and (wrong := _unread(object_name, text)):
            yield ("objects", i), wrong
    if kind in ("metric", "kubernetes"):
        for key in FILES:
            if check.get(key, "").startswith("~"):
                yield (key,), "`~` is not filled in here: write the whole path"


def _of_metric(check: Mapping[str, Any]) -> Iterator[tuple[Steps, str]]:
    server = check.get("server", "http://unknown")
    if wrong := names.url(server) or _no_base(server):
        yield ("server",), wrong
    if wrong := _query(check.get("query", "unknown")):
        yield ("query",), wrong
    if wrong := _unread(expectation, check.get("expect", "== 0")):
        yield ("expect",), wrong
    if duration(check.get("for", "1s")) > WEEK:
        yield ("for",), f"{check['for']} is too long to be asked about: 7d at most"
    if "token_env" in check and "token_file" in check:
        yield ("token_file",), "`token_env` and `token_file` both: write one of them"
    elif "token_env" in check and (wrong := wrong_variable(check["token_env"], "token", "PROMETHEUS_TOKEN")):
        yield ("token_env",), wrong
    if "ca_file" in check and not server.startswith("https://"):
        yield ("ca_file",), "only an https:// server shows a certificate"


def _no_base(server: str) -> str | None:
    if "?" in server or "#" in server:
        return "a server's address has no `?` and no `#`: the question is asked by `query`"
    if "/api/v1" in server:
        return "write what comes before `/api/v1`"
    return None


def _query(text: str) -> str | None:
    """What no PromQL can be: blank, or with a bracket or a quote that is not closed."""
    if not text.strip():
        return "empty: write PromQL that gives a number, such as `sum(rate(errors_total[5m]))`"
    opened, bare = list[str](), _COMMENT.sub("", _QUOTED.sub("", text))
    for char in bare:
        if char in _CLOSING.values():
            opened.append(char)
        elif char in _CLOSING and (not opened or opened.pop() != _CLOSING[char]):
            return f"not PromQL: `{char}` closes nothing"
    if left := re.search(r"[\"'`]", bare) or opened:
        return f"not PromQL: `{left[0] if isinstance(left, re.Match) else left[-1]}` is not closed"
    return None


def _unread(read: Callable[[str], object], text: str) -> str | None:
    try:
        read(text)
    except ValueError as wrong:
        return plain(str(wrong), 200)
    return None
