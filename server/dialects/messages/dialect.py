"""The Messages dialect: how its requests and answers are read, rewritten and refused.

How a turn is read. A turn may hold text and tool results side by side; each run of blocks of one sort becomes a message
of its own, in the order in which they stand: a `user` turn of two results and a text is read as `tool`, `tool`, `user`.
The places of `edited` count those messages, `system` and the tools' definitions, which come first, among them. A new
text goes back line by line to the blocks that the old one came from; where lines are no longer as many, the first
changed block takes what has changed. A block of which nothing is left goes. A tool result keeps its id and its type.

What cannot be kept: reasoning that is edited loses its block, since the provider's signature vouches for every letter;
a text that is edited loses its citations. Encrypted reasoning and encrypted search results are left as they are: only
the provider can write or read them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from guard.guarding.incoming import Answer, Incoming
from guard.guarding.rulings import Place, Ruling
from guard.window.outcomes import Channel
from server.dialects.base import Ending, Fault, Json
from server.dialects.messages.blocks import ASIDE, joiner, read_content
from server.dialects.messages.slots import Slot, replaced, spread
from server.dialects.messages.stream import MessageStream
from server.dialects.messages.turns import Turns

_ERRORS = {
    "invalid_request": "invalid_request_error",
    "authentication": "authentication_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
    "rate_limit": "rate_limit_error",
    "upstream": "api_error",
    "timeout": "timeout_error",
    "overloaded": "overloaded_error",
    "internal": "api_error",
    "content_filter": "invalid_request_error",
}


class Messages:
    """Anthropic's Messages API."""

    name = "messages"

    def read(self, body: Json) -> Incoming:
        """The conversation in a request."""
        turns = Turns(body)
        return Incoming(tuple(turn.message() for turn in turns.turns), tuple(turns.unscannable))

    def prepared(self, body: Json) -> Json:
        """The request itself."""
        return body

    def streams(self, body: Json) -> bool:
        """Whether the request asks for a stream."""
        return body.get("stream") is True

    def edited(self, body: Json, edits: Mapping[Place, str]) -> Json:
        """A copy of a request with some texts replaced."""
        turns = Turns(body).turns
        changes: list[tuple[Slot, str]] = []
        for (place, channel), text in edits.items():
            slots = turns[place].slots[channel]
            changes += zip(slots, spread(slots, "\n", text), strict=True)
        return replaced(body, changes)

    def answers(self, response: Json) -> list[Answer]:
        """The one choice of an answer."""
        if response.get("type", "message") != "message":
            raise ValueError("type: no `message`")
        content = read_content(response)
        return [Answer(content.texts(), tuple(content.unscannable), source=response)]

    def ruled(self, response: Json, rulings: Sequence[Ruling], ending: Ending) -> Json:
        """A copy of an answer with the ruling carried out."""
        (ruling,) = rulings
        if ruling.text is not None:
            stop = "refusal" if ruling.filtered else "end_turn"
            return {**response, **_said(ruling.text, stop)}
        if ruling.answer is not None:
            source = ruling.answer.source
            if not isinstance(source, dict):
                raise TypeError("an answer of another dialect")
            kept = ("content", "stop_reason", "stop_sequence", "stop_details")
            return {**response, **{key: source.get(key) for key in kept}}
        return with_edits(response, ruling.edits)

    def redrawn(self, body: Json, count: int) -> list[Json]:
        """The requests that draw so many further answers."""
        once = {key: value for key, value in body.items() if key != "stream"}
        return [dict(once) for _ in range(count)]

    def reply(self, body: Json, text: str, ending: Ending) -> Json:
        """A whole answer that is the guard's own. The API has one ending for what is withheld: `refusal`."""
        return {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model") or "",
            **_said(text, "refusal"),
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }

    def fault(self, fault: Fault) -> Json:
        """The body of an error."""
        told = not fault.where or fault.message.startswith(fault.where)
        message = fault.message if told else f"{fault.where}: {fault.message}"
        return {"type": "error", "error": {"type": _ERRORS.get(fault.kind, "api_error"), "message": message}}

    def stream(self, body: Json, ending: Ending) -> MessageStream:
        """The state for one stream that answers this request."""
        return MessageStream(body, self.fault)


def with_edits(response: Json, edits: Mapping[Channel, str]) -> Json:
    """A copy of an answer with some of its channels' texts replaced."""
    content = read_content(response)
    changes: list[tuple[Slot, str]] = []
    for channel, text in edits.items():
        slots = content.slots[channel]
        if channel == ASIDE:
            text = text.removesuffix("\n")
        changes += zip(slots, spread(slots, joiner(channel), text), strict=True)
    return replaced(response, changes)


def _said(text: str, stop: str) -> Json:
    return {
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": None, "explanation": None} if stop == "refusal" else None,
    }
