"""A stream of chat completions as one of the Responses API, event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.dialects.responses.events import told
from server.dialects.responses.telling import CALLS
from server.translating.responses_to_chat.answer import begun, ending, logprobs, opened, usage
from server.upstreams.base import Event

Json = dict[str, Any]


class _Item:
    """An item that is being said."""

    def __init__(self, place: int, item: Json) -> None:
        self.place = place
        self.item = item
        self.said: list[str] = []
        self.probable: list[Json] = []
        self.part: str = ""
        """Kind of the part that is being said."""

    @property
    def where(self) -> Json:
        return {"item_id": self.item["id"], "output_index": self.place}


# Kind of a part -> the member that is its text, the middle of its events' names.
_PARTS = {
    "output_text": ("text", "output_text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("text", "reasoning_text"),
}


class Translation:
    """One stream. Its events are numbered from 0."""

    def __init__(self, asked: Json) -> None:
        """A stream of which nothing has come.

        Args:
            asked: the client's request.
        """
        self._asked = asked
        self._answer: Json | None = None
        self._output: list[Json | None] = []
        self._open: _Item | None = None  # a message, or reasoning
        self._calls: dict[int, _Item] = {}
        self._reason: object = None
        self._usage: Json | None = None
        self._made: list[Event] = []
        self._number = 0

    def feed(self, event: Event) -> list[Event]:
        """What an event of the model behind comes to.

        Raises:
            ValueError: "where: what" for what is no event of chat completions, or cannot be translated.
        """
        data = event.data
        if data is None:
            if event.kind == "data":
                raise ValueError("data: not a JSON object")
            return [event] if event.kind == "comment" else []
        if data.get("error"):
            raise ValueError("error: the model behind broke its answer off")
        choices = data.get("choices")
        if not isinstance(choices, list):
            raise ValueError("choices: missing, or not a list")
        if self._answer is None:
            self._begin(data)
        self._usage = usage(data.get("usage")) or self._usage
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    self._take(delta, choice.get("logprobs"))
                self._reason = choice.get("finish_reason") or self._reason
        return self._flush()

    def close(self) -> list[Event]:
        """The events that end the stream, after the model behind has ended its own."""
        if self._answer is None:
            self._begin({})
        whole = ending(self._reason)
        last = len(self._output) - 1  # the one that was cut short, if any was
        if self._open is not None:
            self._end_open(whole["status"] if self._open.place == last else "completed")
        for call in self._calls.values():
            self._end_call(call, whole["status"] if call.place == last else "completed")
        output = [item for item in self._output if item is not None]
        answer = {**(self._answer or {}), "output": output, "usage": self._usage, **whole}
        self._say(f"response.{whole['status']}", {"response": answer})
        return self._flush()

    def _begin(self, data: Mapping[str, Any]) -> None:
        self._answer = opened(data, self._asked)
        for kind in ("created", "in_progress"):
            self._say(f"response.{kind}", {"response": self._answer})

    def _take(self, delta: Json, probable: object) -> None:
        if delta.get("audio"):
            raise ValueError("choices[0].delta.audio: cannot be translated")
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        for kind, text in (
            ("reasoning_text", thought),
            ("output_text", delta.get("content")),
            ("refusal", delta.get("refusal")),
        ):
            if text and not isinstance(text, str):
                raise ValueError(f"choices[0].delta: a text of kind `{kind}` that is no string cannot be translated")
            if text:
                self._add(kind, text, logprobs(probable) if kind == "output_text" else [])
        for place, call in enumerate(delta.get("tool_calls") or ()):
            self._add_call(call, place)

    def _add(self, kind: str, text: str, probable: list[Json]) -> None:
        holder = "reasoning" if kind == "reasoning_text" else "message"
        if self._open is None or self._open.item["type"] != holder:
            self._end_open("completed")
            self._open = self._begin_item(begun(holder))
        item = self._open
        if item.part != kind:
            self._end_part(item)
            item.part, item.said, item.probable = kind, [], []
            self._say("response.content_part.added", {**self._at(item), "part": self._part(item)})
        item.said.append(text)
        item.probable += probable
        told_too = {"logprobs": probable} if kind == "output_text" else {}
        self._say(f"response.{_PARTS[kind][1]}.delta", {**self._at(item), "delta": text, **told_too})

    def _add_call(self, call: object, place: int) -> None:
        if not isinstance(call, dict):
            raise ValueError(f"choices[0].delta.tool_calls[{place}]: not an object")
        index = call.get("index", place)
        custom = "custom" in call
        inner = call.get("custom" if custom else "function") or {}
        item = self._calls.get(index)
        if item is None:
            self._end_open("completed")
            kind = "custom_tool_call" if custom or call.get("type") == "custom" else "function_call"
            item = self._begin_item(begun(kind, str(call.get("id") or ""), str(inner.get("name") or "")))
            self._calls[index] = item
        member, name = CALLS[item.item["type"]]
        text = inner.get(member)
        if text and not isinstance(text, str):
            raise ValueError(f"choices[0].delta.tool_calls[{place}].{member}: not a string")
        if text:
            item.said.append(text)
            self._say(f"response.{name}.delta", {**item.where, "delta": text})

    def _begin_item(self, item: Json) -> _Item:
        place = len(self._output)
        self._output.append(None)
        self._say("response.output_item.added", {"output_index": place, "item": item})
        return _Item(place, item)

    def _end_open(self, status: str) -> None:
        item, self._open = self._open, None
        if item is not None:
            self._end_part(item)
            self._end_item(item, {**item.item, "status": status})

    def _end_part(self, item: _Item) -> None:
        if not item.part:
            return
        member, name = _PARTS[item.part]
        at, part, text = self._at(item), self._part(item), "".join(item.said)
        part[member] = text
        told_too = {"logprobs": item.probable} if item.part == "output_text" else {}
        self._say(f"response.{name}.done", {**at, member: text, **told_too})
        self._say("response.content_part.done", {**at, "part": part | told_too})
        item.item = {**item.item, "content": [*item.item["content"], part | told_too]}

    def _end_call(self, call: _Item, status: str) -> None:
        member, name = CALLS[call.item["type"]]
        text = "".join(call.said)
        named = {"name": call.item["name"]} if member == "arguments" else {}
        self._say(f"response.{name}.done", {**call.where, **named, member: text})
        self._end_item(call, {**call.item, member: text} | ({"status": status} if "status" in call.item else {}))

    def _end_item(self, item: _Item, whole: Json) -> None:
        self._output[item.place] = whole
        self._say("response.output_item.done", {"output_index": item.place, "item": whole})

    def _at(self, item: _Item) -> Json:
        return {**item.where, "content_index": len(item.item["content"])}

    def _part(self, item: _Item) -> Json:
        if item.part == "output_text":
            return {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return {"type": item.part, _PARTS[item.part][0]: ""}

    def _say(self, kind: str, data: Json) -> None:
        self._made.append(told({"type": kind, "sequence_number": self._number, **data}))
        self._number += 1

    def _flush(self) -> list[Event]:
        made, self._made = self._made, []
        return made
