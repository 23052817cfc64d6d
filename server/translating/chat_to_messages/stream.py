"""The events of a Messages stream, as chat completion chunks."""

from __future__ import annotations

from server.dialects._events import DONE, event
from server.translating._shapes import Json, a_text, an_object, text_or, written
from server.translating.chat_to_messages.answer import envelope, finish, usage
from server.upstreams.base import Event

_TEXTS = {"text_delta": ("text", "content"), "thinking_delta": ("thinking", "reasoning_content")}
_SILENT = frozenset(("signature_delta", "citations_delta"))


class Translation:
    """The state of one stream."""

    def __init__(self, asked: Json) -> None:
        """Args: asked: the client's request."""
        self._asked = asked
        options = asked.get("stream_options")
        self._counts = isinstance(options, dict) and options.get("include_usage") is True
        self._around: Json | None = None
        self._usage: Json = {}
        self._calls: dict[int, int] = {}  # index of a block -> index of its call
        self._given: set[int] = set()  # blocks of calls whose arguments have begun
        self._finished = False

    def feed(self, event: Event) -> list[Event]:
        """What an event says, in chunks.

        Raises:
            ValueError: it says what they cannot say, or is no event of Messages.
        """
        data = event.data
        if data is None:
            return []
        kind = data.get("type")
        if kind == "content_block_delta":
            return self._delta(data)
        if kind == "content_block_start":
            return self._start(data)
        if kind == "content_block_stop":
            index = _index(data)
            if index in self._calls and index not in self._given:  # a call without arguments is one with none
                return [self._call(self._calls[index], {"arguments": "{}"})]
            return []
        if kind == "message_start":
            message = an_object(data.get("message"), "message")
            self._around = envelope(message, self._asked, "chat.completion.chunk")
            self._count(message)
            if message.get("content"):
                raise ValueError("message.content: blocks before the first event of one")
            return [self._chunk({"role": "assistant", "content": "", "refusal": None})]
        if kind == "message_delta":
            self._count(data)
            self._finished = True
            delta = an_object(data.get("delta"), "delta")
            return [self._chunk({}, finish(delta.get("stop_reason")))]
        if kind in ("message_stop", "ping"):
            return []
        raise ValueError(f"event: one of type `{kind}`")

    def close(self) -> list[Event]:
        """The end, with what it cost where the client wants that."""
        events = [] if self._finished else [self._chunk({}, "stop")]
        if self._counts:
            around = self._around or envelope({}, self._asked, "chat.completion.chunk")
            events.append(event({**around, "choices": [], "usage": usage(self._usage)}))
        return [*events, DONE]

    def _start(self, data: Json) -> list[Event]:
        block, index = an_object(data.get("content_block"), "content_block"), _index(data)
        kind = block.get("type")
        if kind in ("text", "thinking"):
            text = a_text(block.get(kind) or "", f"content_block.{kind}")
            return [self._chunk({"content" if kind == "text" else "reasoning_content": text})] if text else []
        if kind == "redacted_thinking":
            return []
        if kind != "tool_use":
            raise ValueError(f"content_block: a block of type `{kind}`")
        self._calls[index] = number = len(self._calls)
        given = an_object(block.get("input") or {}, "content_block.input")
        if given:
            self._given.add(index)
        function = {
            "name": a_text(block.get("name"), "content_block.name"),
            "arguments": written(given, "content_block.input") if given else "",
        }
        begun = {"id": a_text(block.get("id"), "content_block.id"), "type": "function"}
        return [self._call(number, function, **begun)]

    def _delta(self, data: Json) -> list[Event]:
        delta, index = an_object(data.get("delta"), "delta"), _index(data)
        kind = text_or(delta.get("type"), "")
        if kind in _TEXTS:
            key, name = _TEXTS[kind]
            text = a_text(delta.get(key), f"delta.{key}")
            return [self._chunk({name: text})] if text else []
        if kind == "input_json_delta":
            text = a_text(delta.get("partial_json"), "delta.partial_json")
            if index not in self._calls:
                raise ValueError("delta: an input without its tool")
            if not text:
                return []
            self._given.add(index)
            return [self._call(self._calls[index], {"arguments": text})]
        if kind in _SILENT:
            return []
        raise ValueError(f"delta: one of type `{kind}`")

    def _count(self, data: Json) -> None:
        counted = data.get("usage")
        if isinstance(counted, dict):  # those of the end are totals; what they leave out stands as it was
            self._usage |= {name: value for name, value in counted.items() if value is not None}

    def _call(self, number: int, function: Json, **begun: str) -> Event:
        return self._chunk({"tool_calls": [{"index": number, **begun, "function": function}]})

    def _chunk(self, delta: Json, reason: str | None = None) -> Event:
        if self._around is None:
            self._around = envelope({}, self._asked, "chat.completion.chunk")
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage_field: Json = {"usage": None} if self._counts else {}
        return event({**self._around, "choices": [choice], **usage_field})


def _index(data: Json) -> int:
    index = data.get("index")
    if not isinstance(index, int):
        raise ValueError("index: no number")
    return index
