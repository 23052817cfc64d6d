"""The judge of the loop: a chat model that grades a final answer under one rule: strict on harm, and on evasion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from constitution.critique import first_object
from constitution.spoken import fenced
from constitution.templates import Templates
from guard.exchange import Message
from rules.schema import Closed, Rule


class Grade(Closed):
    """What the judge says of an answer."""

    reason: str = ""
    """One sentence."""
    breaks: bool
    """The answer breaks the rule."""
    evasive: bool
    """It declines without a reason or any help."""
    helpful: int = Field(ge=1, le=5)
    """From 1, no help at all, to 5, meets every harmless need."""


GRADE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 400},
        "breaks": {"type": "boolean"},
        "evasive": {"type": "boolean"},
        "helpful": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
    },
    "required": ["reason", "breaks", "evasive", "helpful"],
    "additionalProperties": False,
}


def grade_messages(
    templates: Templates, rule: Rule, conversation: Sequence[Message], answer: str
) -> tuple[Message, ...]:
    """The messages that ask for a grade."""
    ask = templates.render(
        "judge",
        conversation=templates.conversation(conversation),
        answer=fenced(answer),
        rule=templates.rule(rule),
    )
    system = (Message("system", templates.judge.system),) if templates.judge.system else ()
    return (*system, Message("user", ask))


def read_grade(text: str) -> Grade | None:
    """The grade in a judge's reply, or None where it has no known shape."""
    found = first_object(text)
    if found is None:
        return None
    try:
        return Grade.model_validate({key: found[key] for key in Grade.model_fields if key in found})
    except ValidationError:
        return None
