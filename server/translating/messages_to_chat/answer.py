"""A whole chat completion, as Messages say it."""

from __future__ import annotations

import secrets

from server.translating._shapes import Json, a_count, a_list, a_text, an_object, arguments, text_or
from server.translating.messages_to_chat.request import wants_thinking

_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def answer(data: Json, asked: Json) -> Json:
    """An answer as the client reads it.

    Args:
        data: the upstream's.
        asked: the client's request.

    Raises:
        ValueError: it says what Messages cannot say, or is no answer.
    """
    choices = a_list(data.get("choices"), "choices")
    if len(choices) != 1:
        raise ValueError(f"choices: {len(choices)} of them where one was asked for")
    choice = an_object(choices[0], "choices[0]")
    message = an_object(choice.get("message"), "choices[0].message")
    content = _content(message, asked, cut=choice.get("finish_reason") == "length")
    reason, sequence = ending(choice, asked, refused=bool(message.get("refusal")))
    if reason == "end_turn" and any(block["type"] == "tool_use" for block in content):
        reason = "tool_use"  # some servers end such an answer as any other
    return {
        "id": text_or(data.get("id"), new_id("msg")),
        "type": "message",
        "role": "assistant",
        "model": text_or(data.get("model"), text_or(asked.get("model"), "")),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage(data.get("usage")),
    }


def _content(message: Json, asked: Json, *, cut: bool) -> list[Json]:
    place = "choices[0].message"
    if message.get("audio") is not None:
        raise ValueError(f"{place}.audio: a sound")
    blocks: list[Json] = []
    thought = reasoning(message)
    if thought and wants_thinking(asked):
        blocks.append({"type": "thinking", "thinking": thought, "signature": ""})
    said = message.get("content")
    if isinstance(said, list):
        said = "".join(_part(part, f"{place}.content[{number}]") for number, part in enumerate(said))
    for text, name in ((said, "content"), (message.get("refusal"), "refusal")):
        if text is not None and a_text(text, f"{place}.{name}"):
            blocks.append({"type": "text", "text": text})
    calls = list(a_list(message.get("tool_calls") or [], f"{place}.tool_calls"))
    if message.get("function_call") is not None:
        calls.append({"function": message["function_call"]})
    for number, call in enumerate(calls):
        blocks.append(_call(an_object(call, f"{place}.tool_calls[{number}]"), f"{place}.tool_calls[{number}]", cut=cut))
    return blocks


def _part(part: object, place: str) -> str:
    kind = an_object(part, place).get("type")
    if kind not in ("text", "output_text"):
        raise ValueError(f"{place}: a part of type `{kind}`")
    return a_text(an_object(part, place).get("text"), f"{place}.text")


def _call(call: Json, place: str, *, cut: bool) -> Json:
    if call.get("type") not in (None, "function"):
        raise ValueError(f"{place}: a call of type `{call['type']}`")
    function = an_object(call.get("function"), f"{place}.function")
    try:
        given = arguments(function.get("arguments"), f"{place}.function.arguments")
    except ValueError:
        if not cut:
            raise
        given = {}  # the bound on tokens fell into the arguments; `max_tokens` says so
    name = a_text(function.get("name"), f"{place}.function.name")
    return {"type": "tool_use", "id": text_or(call.get("id"), new_id("toolu")), "name": name, "input": given}


def reasoning(message: Json) -> str:
    """The reasoning in a message or a delta, by whichever of its two names a server calls it."""
    for name in ("reasoning_content", "reasoning"):
        text = message.get(name)
        if isinstance(text, str) and text:
            return text
    return ""


def ending(choice: Json, asked: Json, *, refused: bool = False) -> tuple[str, str | None]:
    """Why an answer ends, and at which stop sequence if at one."""
    if refused:
        return "refusal", None
    sequence = choice.get("stop_reason")  # vLLM says here at which text it stopped
    stops = asked.get("stop_sequences")
    if isinstance(sequence, str) and isinstance(stops, list) and sequence in stops:
        return "stop_sequence", sequence
    return _STOPS.get(text_or(choice.get("finish_reason"), ""), "end_turn"), None


def usage(counted: object) -> Json:
    """Tokens; those that were read from a cache are counted apart, as Messages do."""
    given = counted if isinstance(counted, dict) else {}
    details = given.get("prompt_tokens_details")
    cached = a_count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    said: Json = {
        "input_tokens": max(0, a_count(given.get("prompt_tokens")) - cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": a_count(given.get("completion_tokens")),
    }
    details = given.get("completion_tokens_details")
    thought = a_count(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    return {**said, "output_tokens_details": {"thinking_tokens": thought}} if thought else said


def new_id(kind: str) -> str:
    """An id where the upstream gave none."""
    return f"{kind}_{secrets.token_hex(12)}"
