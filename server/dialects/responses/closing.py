"""What has left of a stream, and how the stream is brought to an end from there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server.dialects.base import Ending, Json
from server.dialects.responses.events import ADDED, DONE, DONES, FINAL, LIFE, item_of, part_of, told
from server.dialects.responses.lanes import Key, Text
from server.dialects.responses.response import blank, ends, message, part
from server.dialects.responses.steps import REPLY, Step, closers
from server.dialects.responses.telling import CALLS, TEXTS
from server.upstreams.base import Event

_KINDS: dict[object, str] = {
    "said": "output_text",
    "refusal": "refusal",
    "thought": "reasoning_text",
    "summary": "summary_text",
}
_PART_DONE = {"content": "response.content_part.done", "summary": "response.reasoning_summary_part.done"}


def _nothing() -> Event:
    """An event that says nothing at all, in the place of one that turned out not to be needed."""
    return Event(b"", None, kind="comment")


@dataclass(slots=True)
class _Item:
    """An item that has been begun, as the client has it."""

    item: Json
    done: bool = False
    parts: dict[tuple[str, int], Json] = field(default_factory=dict)
    ended: set[object] = field(default_factory=set)
    """Parts, and texts of parts (with a third member), that have been ended; `call` where its one text has been."""


class Sending:
    """The client's side of a stream: numbers its events and knows what the client has been told."""

    def __init__(self, body: Json, texts: Mapping[Key, Text], ending: Ending) -> None:
        """Nothing has left.

        Args:
            body: the request.
            texts: the texts of the stream.
            ending: how a reply of the guard is shaped.
        """
        self._body = body
        self._texts = texts
        self._next: int | None = None
        self._answer: Json | None = None
        self._items: dict[int, _Item] = {}
        self._steps: dict[int, tuple[Event, Step]] = {}
        self._told: dict[int, Event] = {}
        self._reply = ""
        self._shape: Ending | None = None
        self._at: tuple[int, int] | None = None  # item and part that the reply stands in
        self._reused: frozenset[str] = frozenset()
        self._began = False
        self.over = False
        """Whether the stream's last event has been made."""

    def numbered(self, event: Event, data: Json) -> Event:
        """An event that leaves, with the number that is due, and entered into the account."""
        number = data.get("sequence_number")
        if self._next is None:
            self._next = number if type(number) is int and number >= 0 else 0
        due = self._next
        self._next = due + 1
        if number != due or type(number) is not int:
            event = told({**data, "sequence_number": due})
        kind = data.get("type")
        if kind not in _PLAIN:
            self._enter(kind, data)
        return event

    def own(self, event: Event) -> Event:
        """An event without data that leaves: one of an ending is made now, any other goes as it is."""
        step = self._steps.pop(id(event), None)
        if step is None:
            return event
        data = self._made(step[1])
        return _nothing() if data is None else self.numbered(told(data), data)

    def nothing(self) -> Event:
        """An event that says nothing, in the place of one that does not leave after all."""
        return _nothing()

    def has(self, place: object, part: tuple[str, int] | None = None) -> bool:
        """Whether the client knows of an item, or of a part of it."""
        item = self._items.get(place) if isinstance(place, int) else None
        return item is not None and (part is None or part in item.parts)

    def is_own(self, event: Event) -> bool:
        """Whether an event was made by `tell`, and so needs nothing more."""
        return id(event) in self._told

    def tell(self, events: Sequence[Json]) -> list[Event]:
        """Events of the guard's own, which leave at once and in this order."""
        made = [self.numbered(told(data), data) for data in events]
        self._told |= {id(event): event for event in made}
        return made

    def answer(self) -> Json | None:
        """The answer as the client has it; None where it has heard of none."""
        return None if self._answer is None else {**self._answer, "output": self._output()}

    def close(self, came: Sequence[Step], reply: str, ending: Ending | None) -> list[Event]:
        """The events that end everything that was begun, say the reply, and end the stream."""
        self._reply, self._shape = reply, ending
        return self._planned([("look",), *closers(came), *(REPLY if reply else REPLY[:2]), ("final",)])

    def finish(self, came: Sequence[Step]) -> list[Event]:
        """The events that end a stream whose own end is lost; not to be called where anything is still to leave."""
        made = [self.own(event) for event in self._planned([*REPLY[:2], *closers(came), ("final",)])]
        return [event for event in made if event.raw]

    def _planned(self, steps: Sequence[Step]) -> list[Event]:
        self.over = True
        events = []
        for step in steps:
            event = _nothing()
            self._steps[id(event)] = (event, step)
            events.append(event)
        return events

    def _enter(self, kind: object, data: Json) -> None:
        if kind in LIFE:
            self._answer = {name: value for name, value in data["response"].items() if name != "output"}
            self.over = self.over or kind in FINAL
        elif kind == ADDED:
            self._items[item_of(data)] = _Item(data["item"])
        elif kind == DONE:
            item = self._items.setdefault(item_of(data), _Item(data["item"]))
            item.item, item.done = data["item"], True
        elif (where := part_of(data)) is not None:
            holder = self._items.get(item_of(data))
            if holder is not None:
                holder.parts[where] = data["part"] if isinstance(data.get("part"), dict) else {}
                if str(kind).endswith(".done"):
                    holder.ended.add(where)
        elif kind in DONES:
            holder, spot = self._items.get(item_of(data)), DONES[kind][0]
            if holder is not None and not str(kind).endswith(".added"):
                holder.ended.add((*spot.path(data)[:2], "text") if spot.last else "call")

    def _made(self, step: Step) -> Json | None:
        """The data of one event of an ending; None where there is nothing to be said."""
        match step:
            case ("look",):
                self._choose()
                return None
            case ("reply", str(what)):
                return self._say(what)
            case ("final",):
                answer = {**(self._answer or blank(self._body)), **ends(self._shape)}
                answer |= {"output": self._output(), "completed_at": int(time.time())}
                return {"type": f"response.{answer['status']}", "response": answer}
            case ("item", int(place)):
                return self._end_item(place)
            case ("call", int(place)):
                return self._end_call(place)
            case (("text" | "part") as what, int(place), str(names), int(number)):
                return self._end_part(str(what), place, (names, number))
        return None

    def _choose(self) -> None:
        """Where the reply is to stand: in a message that was begun and says nothing yet, else in one of its own."""
        for place, item in self._items.items():
            if (
                item.done
                or item.item.get("type") != "message"
                or any(self._left(place, at) for at in self._parts(place))
            ):
                continue
            at = (place, 0)
            if not item.parts and not item.item.get("content"):
                self._at, self._reused = at, frozenset({"item"})
            elif (
                list(item.parts) == [("content", 0)]
                and item.parts["content", 0].get("type") == part("", self._shape)["type"]
                and not item.ended
            ):
                self._at, self._reused = at, frozenset({"item", "part"})

    def _say(self, what: str) -> Json | None:
        if what in ("created", "in_progress"):
            if self._answer is not None and not self._began:
                return None  # the client has heard of the answer
            self._began = True
            return {"type": f"response.{what}", "response": {**(self._answer or blank(self._body)), "output": []}}
        if self._at is None:
            self._at = (max(self._items, default=-1) + 1, 0)
        if what in self._reused:
            return None
        index, number = self._at
        if what == "item":
            item = {**message(self._reply, self._shape), "status": "in_progress", "content": []}
            return {"type": ADDED, "output_index": index, "item": item}
        item = self._items[index].item
        at: Json = {"item_id": item.get("id", ""), "output_index": index, "content_index": number}
        said = part(self._reply, self._shape)
        name = "refusal" if said["type"] == "refusal" else "text"
        kind = "refusal" if name == "refusal" else "output_text"
        probable: Json = {} if name == "refusal" else {"logprobs": []}
        if what == "part":
            return {"type": "response.content_part.added", **at, "part": {**said, name: ""}}
        if what == "delta":
            return {"type": f"response.{kind}.delta", **at, "delta": self._reply, **probable}
        if what == "text":
            return {"type": f"response.{kind}.done", **at, name: self._reply, **probable}
        if what == "part_done":
            return {"type": "response.content_part.done", **at, "part": said}
        return {"type": DONE, "output_index": index, "item": {**item, "status": "completed", "content": [said]}}

    def _parts(self, place: int) -> dict[tuple[str, int], Json]:
        """The parts of an item as they were begun, those too that nobody said were begun."""
        item = self._items[place]
        parts = dict(item.parts)
        for (of, path), text in self._texts.items():
            if of == place and len(path) == 3 and text.left and (at := (str(path[0]), path[1])) not in parts:
                kind = _KINDS.get(text.group)
                if kind is not None and isinstance(at[1], int):
                    parts[at[0], at[1]] = {"type": kind}
        return parts

    def _left(self, place: int, at: tuple[str, int]) -> str:
        """What has left of a part."""
        for name in ("text", "refusal"):
            text = self._texts.get((place, (*at, name)))
            if text is not None and text.left:
                return text.left
        return ""

    def _open(self, place: int) -> _Item | None:
        item = self._items.get(place)
        return None if item is None or item.done or (self._reused and self._at == (place, 0)) else item

    def _as_sent(self, place: int, at: tuple[str, int], begun: Json) -> Json:
        """A part with what has left of it."""
        name = "refusal" if begun.get("type") == "refusal" else "text"
        return {**begun, name: self._left(place, at)}

    def _end_part(self, what: str, place: int, at: tuple[str, int]) -> Json | None:
        item = self._open(place)
        if item is None or at not in item.parts or at in item.ended:
            return None
        begun = item.parts[at]
        member, name = TEXTS.get((at[0], str(begun.get("type"))), ("", ""))
        counts = "summary_index" if at[0] == "summary" else "content_index"
        where = {"item_id": item.item.get("id", ""), "output_index": place, counts: at[1]}
        if what == "part":
            return {"type": _PART_DONE[at[0]], **where, "part": self._as_sent(place, at, begun)}
        if not member or (*at, "text") in item.ended:
            return None
        probable: Json = {"logprobs": []} if name == "output_text" else {}
        return {"type": f"response.{name}.done", **where, member: self._left(place, at), **probable}

    def _end_call(self, place: int) -> Json | None:
        item = self._open(place)
        member, name = CALLS.get(str(item.item.get("type")) if item else "", ("", ""))
        if item is None or not member or "call" in item.ended:
            return None
        text = self._texts.get((place, (member,)))
        where = {"item_id": item.item.get("id", ""), "output_index": place}
        return {"type": f"response.{name}.done", **where, member: text.left if text else ""}

    def _end_item(self, place: int) -> Json | None:
        item = self._open(place)
        return None if item is None else {"type": DONE, "output_index": place, "item": self._item_as_sent(place, item)}

    def _item_as_sent(self, place: int, item: _Item) -> Json:
        sent = dict(item.item)
        if item.done:
            return sent
        if "status" in sent:
            sent["status"] = "incomplete"
        if sent.get("encrypted_content"):
            sent["encrypted_content"] = None  # it seals what was not sent whole
        begun_parts = self._parts(place)
        for names in ("content", "summary"):
            parts = [(at, begun) for at, begun in sorted(begun_parts.items()) if at[0] == names]
            if parts:
                sent[names] = [self._as_sent(place, at, begun) for at, begun in parts]
        member = CALLS.get(str(sent.get("type")), ("", ""))[0]
        text = self._texts.get((place, (member,)))
        if member and text is not None:
            sent[member] = text.left
        return sent

    def _output(self) -> list[Json]:
        """All items as the client has them."""
        return [self._item_as_sent(place, item) for place, item in sorted(self._items.items())]


_PLAIN = frozenset(
    f"response.{kind}.delta"
    for kind in ("output_text", "refusal", "reasoning_text", "reasoning_summary_text", "function_call_arguments")
)
