"""What an API server's refusal comes to: one of our errors, in words that hold no token and no body; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from promotion.errors import PromotionError, TemporaryError
from promotion.kube.errors import ContestedError, DeniedError, GoneError, InvalidError, MissingError
from promotion.said import one_line

TEMPORARY = (408, 429)
TYPES = "failed to create typed patch object"
"""What a server says with a 500 although the request is wrong: a text where a number belongs."""
NO_PATH = b"404 page not found"
"""What an API server says of a group that it does not know; all else that it has not, it says with a Status."""
_MANAGER = re.compile(r'conflict with "([^"]*)"')


def refusal(status: int, body: bytes, doing: str, said: str, where: str, access: str) -> PromotionError:
    """`doing` is the verb, `said` the object, `where` the server, `access` the place where the credentials stand."""
    told = _told(body)
    why = _why(told, secret=said.startswith("Secret "))
    if status == 401:
        return DeniedError(
            f"cannot {doing} {said}: the credentials are not accepted (401); expired, or for another cluster?",
            where=where,
            hint=f"they come from {access}",
        )
    if status == 403:
        return DeniedError(f"may not {doing} {said}{why}", where=where)
    if status == 404:
        return _missing(told, body, why, doing, said, where)
    if status == 409:
        causes = _causes(told)
        others = ", ".join(dict.fromkeys(manager for manager, _ in causes))
        fields = ", ".join(f for _, f in causes[:5]) + (", ..." if len(causes) > 5 else "")
        why = f": {others} manages {fields}" if causes else why
        return ContestedError(f"cannot {doing} {said}{why}", where=where, causes=causes)
    if status == 410:
        return GoneError(f"cannot {doing} {said}{why or ': what it was about is gone'}", where=where)
    if status == 500 and TYPES in str(told.get("message")):
        return InvalidError(f"cannot {doing} {said}{why}", where=where)
    if status in TEMPORARY or status >= 500:
        return TemporaryError(f"cannot {doing} {said}: the server answers {status}{why}", where=where)
    if status >= 400:
        return InvalidError(f"cannot {doing} {said}{why or f': the server answers {status}'}", where=where)
    return InvalidError(f"cannot {doing} {said}: an answer of {status} is not an API server's", where=where)


def _missing(told: Mapping[str, Any], body: bytes, why: str, doing: str, said: str, where: str) -> PromotionError:
    """Only an API server knows what is not there: a proxy that has lost its cluster says 404 as well."""
    if not told and body.strip() != NO_PATH:
        return TemporaryError(f"cannot {doing} {said}: the answer is a 404, and not of an API server", where=where)
    if not told.get("details", {}).get("name"):
        return MissingError(
            f"cannot {doing} {said}: the server does not know this kind; is its CRD installed?", where=where
        )
    missing = why.removeprefix(": ") if doing in ("apply", "create") else f"there is no {said}"
    return MissingError(missing, where=where)


def _told(body: bytes) -> dict[str, Any]:
    """The Status object, empty when there is none."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict) or told.get("kind") != "Status":
        return {}
    return {**told, "details": told["details"] if isinstance(told.get("details"), dict) else {}}


def _why(told: Mapping[str, Any], *, secret: bool) -> str:
    """The server's own words; of a Secret only which fields: they may repeat what is in it."""
    if secret:
        fields = [str(each.get("field")) for each in _details(told) if each.get("field")]
        said = ", ".join([str(told.get("reason") or "refused"), *fields])
    else:
        said = str(told.get("message") or told.get("reason") or "")
    return f": {one_line(said, 400)}" if said else ""


def _details(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    causes = told.get("details", {}).get("causes")
    return [each for each in causes if isinstance(each, Mapping)] if isinstance(causes, list) else []


def _causes(told: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Who manages what we wanted: pairs (manager, field)."""
    conflicts = [each for each in _details(told) if each.get("reason") == "FieldManagerConflict"]
    found = []
    for each in conflicts:
        manager = _MANAGER.search(str(each.get("message", "")))
        found.append((manager[1] if manager else "somebody", str(each.get("field", ""))))
    return tuple(found)
