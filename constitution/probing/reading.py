"""What a model wrote, as texts or conversations. Nothing is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from constitution.critique import first_object
from guard.exchange import Exchange, Message
from guard.trials.drafts import Wanted
from guard.trials.drafts import read as read_drafts
from guard.trials.drafts import schema_of as schema_of_drafts

_LONGEST = 1200
_SPEAKERS = frozenset({"user", "assistant", "用户", "助手"})
"""A small model gives the form back word for word: these are no messages."""
_STEPS = re.compile(r"^\s*(?:\d{1,2}[.)]|step\s+\d|第[一二三四五六七八九十]步)", re.IGNORECASE | re.MULTILINE)
_MOST_STEPS = 2
"""Numbered lines in a request; with more of them a text is a recipe, and no probe holds one."""
_CODE = "```"
_REFUSAL = re.compile(
    r"^\W*(?:i(?:'m| am)?\s+(?:really\s+|very\s+|so\s+)?sorry|i\s+(?:can(?:'|no)t|cannot|can not|won't|am unable"
    r"|am not able)|sorry[,.]|as an ai|抱歉|对不起|很抱歉|我无法|我不能)",
    re.IGNORECASE,
)


def schema_of(count: int, turns: int) -> Mapping[str, Any]:
    """The form of an answer of `write`, for models that can be held to one."""
    if turns == 1:
        return schema_of_drafts(Wanted("breaks", count))
    length = 2 * turns - 1
    text = {"type": "string", "minLength": 1, "maxLength": _LONGEST}
    talk = {"type": "array", "items": text, "minItems": length, "maxItems": length}
    texts = {"type": "array", "items": talk, "minItems": count, "maxItems": count}
    return {"type": "object", "properties": {"texts": texts}, "required": ["texts"], "additionalProperties": False}


def read(text: str, count: int, turns: int) -> list[tuple[Message, ...]]:
    """The texts of an answer of `write`, each as messages that end with the user's."""
    if turns == 1:
        return [Exchange.of_example(example).messages for example in read_drafts(text, Wanted("breaks", count))]
    found = first_object(text)
    talks = found.get("texts") if found else None
    return [talk for each in talks if (talk := _talk(each))] if isinstance(talks, list) else []


def _talk(given: Any) -> tuple[Message, ...]:
    if not isinstance(given, list) or len(given) % 2 == 0 or len(given) < 3:
        return ()
    if not all(isinstance(turn, str) and 0 < len(turn.strip()) <= _LONGEST for turn in given):
        return ()
    if given[-1].strip().casefold() in _SPEAKERS:
        return ()
    return tuple(Message("assistant" if place % 2 else "user", turn.strip()) for place, turn in enumerate(given))


def read_message(text: str) -> str:
    """The prober's next message; empty where there is none."""
    found = first_object(text)
    said = found.get("message") if found else None
    if isinstance(said, str):
        return said.strip()[:_LONGEST]
    if found is not None or "{" in text:
        return ""
    # Small models leave the JSON away: a short answer of one paragraph is the message itself.
    bare = text.strip().strip('"“”')
    return bare if bare and "\n\n" not in bare and len(bare) <= _LONGEST else ""


def is_refusal(text: str) -> bool:
    """Whether a model declined to write."""
    return _REFUSAL.match(text.replace("’", "'")) is not None


def is_recipe(messages: Sequence[Message]) -> bool:
    """Whether a text holds steps or code: an answer to a request, and no request."""
    said = "\n".join(message.content for message in messages)
    return len(_STEPS.findall(said)) > _MOST_STEPS or _CODE in said
