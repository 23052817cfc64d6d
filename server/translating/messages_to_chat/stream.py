"""A stream of chat completion chunks, as the events of Messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.dialects.messages import events as made
from server.translating._shapes import Json, a_list, a_text, an_object, text_or
from server.translating.messages_to_chat.answer import ending, new_id, reasoning, usage
from server.translating.messages_to_chat.request import wants_thinking
from server.upstreams.base import Event


@dataclass(slots=True)
class _Block:
    """One block that is on its way, or waits until the one before it has ended."""

    kind: str
    call: int = -1
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)


class Translation:
    """The state of one stream.

    Messages have one block open at a time. Text and reasoning take turns as they come; of tool calls that come mingled,
    or with text between their pieces, the first goes on as it comes and the rest follows at the end.
    """

    def __init__(self, asked: Json) -> None:
        """Args: asked: the client's request."""
        self._asked = asked
        self._thinks = wants_thinking(asked)
        self._begun = False
        self._next = 0
        self._open: _Block | None = None
        self._waiting: list[_Block] = []
        self._calls = 0
        self._refused = False
        self._choice: Json = {}
        self._usage: Json = usage(None)

    def feed(self, event: Event) -> list[Event]:
        """What a chunk says, in events of Messages.

        Raises:
            ValueError: it says what they cannot say, or is no chunk.
        """
        data = event.data
        if data is None:
            return []
        if data.get("error") is not None:
            raise ValueError("error: the upstream broke off with an error")
        events = self._start(data)
        if data.get("usage") is not None:
            self._usage = usage(data["usage"])
        for number, choice in enumerate(a_list(data.get("choices"), "choices")):
            place = f"choices[{number}]"
            if an_object(choice, place).get("index", 0) != 0:
                raise ValueError(f"{place}.index: a second choice, where one was asked for")
            delta = choice.get("delta")
            if delta is not None:
                events += self._delta(an_object(delta, f"{place}.delta"), f"{place}.delta")
            if choice.get("finish_reason") is not None:
                self._choice = choice
                events += self._flush()
        return events

    def close(self) -> list[Event]:
        """The end: why, and what it cost."""
        events = [*self._start({}), *self._flush()]
        reason, sequence = ending(self._choice, self._asked, refused=self._refused)
        if reason == "end_turn" and self._calls:
            reason = "tool_use"
        events.append(made.message_delta(reason, self._usage, stop_sequence=sequence))
        events.append(made.event({"type": "message_stop"}))
        return events

    def _start(self, data: Json) -> list[Event]:
        if self._begun:
            return []
        self._begun = True
        message: Json = {
            "id": text_or(data.get("id"), new_id("msg")),
            "type": "message",
            "role": "assistant",
            "model": text_or(data.get("model"), text_or(self._asked.get("model"), "")),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(None),
        }
        return [made.event({"type": "message_start", "message": message})]

    def _delta(self, delta: Json, place: str) -> list[Event]:
        if delta.get("audio") is not None:
            raise ValueError(f"{place}.audio: a sound")
        events: list[Event] = []
        thought = reasoning(delta)
        if thought and self._thinks:
            events += self._say(_Block("reasoning"), thought)
        for name in ("content", "refusal"):
            text = delta.get(name)
            if text is not None and a_text(text, f"{place}.{name}"):
                self._refused = self._refused or name == "refusal"
                events += self._say(_Block("text", call=-2 if name == "refusal" else -1), text)
        for number, call in enumerate(a_list(delta.get("tool_calls") or [], f"{place}.tool_calls")):
            events += self._call(an_object(call, f"{place}.tool_calls[{number}]"), f"{place}.tool_calls[{number}]")
        if delta.get("function_call") is not None:
            call = {"function": delta["function_call"], "index": 0}
            events += self._call(call, f"{place}.function_call")
        return events

    def _call(self, call: Json, place: str) -> list[Event]:
        if call.get("type") not in (None, "function"):
            raise ValueError(f"{place}: a call of type `{call['type']}`")
        index = call.get("index")
        if not isinstance(index, int):
            raise ValueError(f"{place}.index: no number")
        function = an_object(call.get("function") or {}, f"{place}.function")
        given = function.get("arguments")
        block = _Block("tool", index, text_or(call.get("id"), ""), text_or(function.get("name"), ""))
        return self._say(block, "" if given is None else a_text(given, f"{place}.function.arguments"))

    def _say(self, said: _Block, text: str) -> list[Event]:
        """Add a piece of text to its block: at once where that is open or may be opened, else when its turn comes."""
        now = self._open
        if now is not None and (now.kind, now.call) == (said.kind, said.call):
            if not self._waiting or said.kind == "tool":
                return [made.delta(self._next, said.kind, text)] if text else []
        elif not self._waiting and (now is None or now.kind != "tool") and (said.kind != "tool" or said.name):
            events = [*self._stop(), *self._begin(said)]
            return [*events, made.delta(self._next, said.kind, text)] if text else events
        # A tool's pieces go to it wherever it waits; text goes behind what was said last.
        same = [block for block in self._waiting if (block.kind, block.call) == (said.kind, said.call)]
        if same and (said.kind == "tool" or same[-1] is self._waiting[-1]):
            block = same[-1]
            block.id, block.name = block.id or said.id, block.name or said.name
        else:
            block = said
            self._waiting.append(block)
        block.pieces.append(text)
        return []

    def _begin(self, block: _Block) -> list[Event]:
        self._open = block
        if block.kind == "tool":
            if not block.name:
                raise ValueError(f"tool_calls[{block.call}].function.name: a call of no tool")
            self._calls += 1
            named = {"type": "tool_use", "id": block.id or new_id("toolu"), "name": block.name, "input": {}}
            return [made.start(self._next, named)]
        if block.kind == "reasoning":
            return [made.start(self._next, {"type": "thinking", "thinking": "", "signature": ""})]
        return [made.start(self._next, {"type": "text", "text": ""})]

    def _stop(self) -> list[Event]:
        if self._open is None:
            return []
        self._open = None
        self._next += 1
        return [made.stop(self._next - 1)]

    def _flush(self) -> list[Event]:
        """End the open block, and say all that waited."""
        events = self._stop()
        waiting, self._waiting = self._waiting, []
        for block in waiting:
            events += self._begin(block)
            text = "".join(block.pieces)
            if text:
                events.append(made.delta(self._next, block.kind, text))
            events += self._stop()
        return events
