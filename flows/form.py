"""The form of a request for an approval: what may be chosen, and what somebody typed into it; pure.

What was typed is text of anybody's: it is never a template, never markup, and never more than an answer to be judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prefect.input import RunInput
from pydantic import Field, create_model

from promotion.errors import RefusedError

WORDS = ("approve", "reject")
KEYS = {"decision", "who", "reason", "code"}
LONGEST = 2000
"""How long one field of an answer may be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person typed; nothing of it is believed yet."""

    decision: Literal["approve", "reject"]
    who: str
    reason: str = ""
    code: str = ""


def model(people: Mapping[str, str], *, code: bool, description: str) -> type[RunInput]:
    """The form as Prefect shows it below `description`, which is markdown.

    `people` are those whose answer may count, each with why it may not, or ''. No field has a default: an answer that
    nobody gave is then none.
    """
    choices = [*sorted(people, key=lambda who: bool(people[who]))]
    who: dict[str, Any] = {"enum": [choice(each, people[each]) for each in choices]} if choices else {}
    fields: dict[str, Any] = {
        "decision": (str, Field(title="Decision", json_schema_extra={"enum": [*WORDS], "position": 0})),
        "who": (str, Field(title="Who", json_schema_extra={**who, "position": 1})),
    }
    if code:
        said = "The one-time code that your authenticator shows now"
        fields["code"] = (str, Field(title="Code", description=said, json_schema_extra={"position": 2}))
    fields["reason"] = (
        str,
        Field("", title="Reason", description="Required to reject", json_schema_extra=_last_and_open),
    )
    form: type[RunInput] = create_model("Answer", __base__=RunInput, **fields).with_initial_data(description)
    return form


def _last_and_open(schema: dict[str, Any]) -> None:
    """Not required, and nothing is filled in for it either."""
    schema.pop("default")
    schema["position"] = 3


def choice(who: str, why: str) -> str:
    """One of the people to choose from: why their answer may not count stands beside their name."""
    return f"{who} ({why})" if why else who


# --- what was typed ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Typed:
    """What is kept with a run: how many forms it has shown, and the newest answer with what became of it."""

    forms: int = 0
    newest: int | None = None
    """The number of the form with the newest answer."""
    raw: str = ""
    """That answer, as JSON."""
    taken: bool = False
    """Whether somebody has begun to record it."""
    outcomes: Sequence[str] = field(default=())
    """What became of each answer so far, oldest first."""


def typed(kept: Mapping[str, str]) -> Typed:
    """Reads what `Api.kept` gives. Prefect's keys are `suspended-KEY-schema` and `-response`; the others are ours."""
    numbers = range(len(kept))
    forms = [n for n in numbers if f"suspended-{key(n)}-schema" in kept]
    answered = [n for n in numbers if f"suspended-{key(n)}-response" in kept]
    newest = answered[-1] if answered else None
    return Typed(
        forms=forms[-1] + 1 if forms else 0,
        newest=newest,
        raw=kept[f"suspended-{key(newest)}-response"] if newest is not None else "",
        taken=newest is not None and taken(newest) in kept,
        outcomes=[json.loads(kept[outcome(n)]) for n in numbers if outcome(n) in kept],
    )


def key(number: int) -> str:
    """Of one form of a run: never used again, not even when somebody has Prefect run it once more."""
    return f"answer-{number}"


def taken(number: int) -> str:
    """What is kept before an answer is recorded, so that it never is twice."""
    return f"taken-{number}"


def outcome(number: int) -> str:
    """What is kept after that."""
    return f"outcome-{number}"


def read(raw: str) -> Answer:
    """What was typed into a form. Raises RefusedError for what no form of ours sends."""
    try:
        data = json.loads(raw)
    except ValueError as exc:
        raise RefusedError("the answer is not readable") from exc
    if not isinstance(data, dict) or not {"decision", "who"} <= data.keys() <= KEYS:
        raise RefusedError("the answer has other fields than the form")
    for name, value in data.items():
        if not isinstance(value, str):
            raise RefusedError(f"{name} is no text that somebody typed")
        if len(value) > LONGEST:
            raise RefusedError(f"{name} has {len(value)} characters; {LONGEST} are allowed")
    if data["decision"] not in WORDS:
        raise RefusedError(f"decision is none of {', '.join(WORDS)}")
    who = data["who"].partition(" (")[0].strip()
    return Answer(data["decision"], who, data.get("reason", "").strip(), data.get("code", "").strip())
