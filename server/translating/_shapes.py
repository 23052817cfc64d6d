"""Looking into JSON that may have any shape; whatever is not as it should be is told with its place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import orjson

Json: TypeAlias = dict[str, Any]


def an_object(value: object, place: str) -> Json:
    """The value, if it is an object.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{place}: no object")
    return value


def a_list(value: object, place: str) -> list[Any]:
    """The value, if it is a list.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, list):
        raise ValueError(f"{place}: no list")
    return value


def a_text(value: object, place: str) -> str:
    """The value, if it is a string.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"{place}: no string")
    return value


def text_or(value: object, otherwise: str) -> str:
    """The value, if it is a string and not empty; what stands in for it otherwise."""
    return value if isinstance(value, str) and value else otherwise


def a_count(value: object) -> int:
    """The value, if it is a count; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def arguments(text: object, place: str) -> Json:
    """The arguments of a tool call; an empty text is a call without any.

    Raises:
        ValueError: they are no JSON object.
    """
    if text is None or text == "":
        return {}
    try:
        return an_object(orjson.loads(a_text(text, place)), place)
    except orjson.JSONDecodeError:
        raise ValueError(f"{place}: no JSON") from None


def written(value: object, place: str) -> str:
    """A value as JSON text.

    Raises:
        ValueError: it is nested too deep.
    """
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise ValueError(f"{place}: nested too deep") from None


def refuse_set(body: Json, names: Iterable[str]) -> None:
    """Refuse fields that have no counterpart, where they are set to anything.

    Raises:
        ValueError: one is.
    """
    for name in names:
        if body.get(name) not in (None, False, 0, "", [], {}):
            raise ValueError(f"{name}: has no counterpart in the API behind this server")


def text_block(text: str) -> Json:
    """A text as a part of a turn, alike in chat completions and messages."""
    return {"type": "text", "text": text}
