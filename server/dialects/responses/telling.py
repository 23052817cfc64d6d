"""A whole answer said as a stream."""

from __future__ import annotations

from collections.abc import Iterator

from server.dialects.base import Json
from server.dialects.responses.items import parts_of

CALLS = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
    "mcp_call": ("arguments", "mcp_call_arguments"),
    "code_interpreter_call": ("code", "code_interpreter_call_code"),
}
"""Calls whose one text comes in pieces: the member, and the middle of its events' names."""
TEXTS = {
    ("content", "output_text"): ("text", "output_text"),
    ("content", "refusal"): ("refusal", "refusal"),
    ("content", "reasoning_text"): ("text", "reasoning_text"),
    ("summary", "summary_text"): ("text", "reasoning_summary_text"),
}
"""Parts that are texts: as `CALLS`."""


def tell(response: Json) -> list[Json]:
    """What the events say, in order; their numbers are left out."""
    output = [item for item in response.get("output") or () if isinstance(item, dict)]
    status = response.get("status")
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    begun.pop("output_text", None)
    events: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    for place, item in enumerate(output):
        events += _item(place, item)
    kind = status if status in ("failed", "incomplete") else "completed"
    return [*events, {"type": f"response.{kind}", "response": response}]


def _item(place: int, item: Json) -> Iterator[Json]:
    where: Json = {"item_id": item.get("id", ""), "output_index": place}
    begun = dict(item)
    if "status" in begun:
        begun["status"] = "in_progress"
    member, name = CALLS.get(str(item.get("type")), ("", ""))
    in_parts = item.get("type") in ("message", "reasoning")
    if in_parts:
        begun |= {names: [] for names in ("content", "summary") if isinstance(item.get(names), list)}
    if member:
        begun[member] = ""
        begun |= {later: None for later in ("output", "outputs", "error") if item.get(later) is not None}
    yield {"type": "response.output_item.added", "output_index": place, "item": begun}
    for names, number, part in parts_of(item) if in_parts else ():
        yield from _part(where, names, number, part)
    if member and isinstance(item.get(member), str):
        yield {"type": f"response.{name}.delta", **where, "delta": item[member]}
        named = {"name": item.get("name", "")} if member == "arguments" and name.startswith("function") else {}
        yield {"type": f"response.{name}.done", **where, **named, member: item[member]}
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def _part(where: Json, names: str, number: int, part: Json) -> Iterator[Json]:
    kind = "content_part" if names == "content" else "reasoning_summary_part"
    member, name = TEXTS.get((names, str(part.get("type"))), ("", ""))
    at = {**where, "content_index" if names == "content" else "summary_index": number}
    empty = {**part, member: ""} if member else dict(part)
    empty |= {later: [] for later in ("annotations", "logprobs") if part.get(later)}
    yield {"type": f"response.{kind}.added", **at, "part": empty}
    if member and isinstance(part.get(member), str):
        probable = {"logprobs": part.get("logprobs") or []} if name == "output_text" else {}
        yield {"type": f"response.{name}.delta", **at, "delta": part[member], **probable}
        annotations = part.get("annotations")
        for place, annotation in enumerate(annotations if isinstance(annotations, list) else ()):
            noted = {"annotation_index": place, "annotation": annotation}
            yield {"type": "response.output_text.annotation.added", **at, **noted}
        yield {"type": f"response.{name}.done", **at, member: part[member], **probable}
    yield {"type": f"response.{kind}.done", **at, "part": part}
