"""What of a stream has left, and how it ends from there."""

from __future__ import annotations

import secrets
from dataclasses import replace

from guard.guarding.rulings import Ruling
from server.dialects.base import Json
from server.dialects.messages.events import event as made
from server.dialects.messages.events import message_delta, stop, text_block
from server.upstreams.base import Event

_NOTHING = Event(b"", None, "", "comment")


class Departure:
    """Follows a stream's events as they leave.

    One that belongs to a block whose beginning was withheld does not leave, and the signature of reasoning that was
    changed is taken out: it vouches for what was not sent.

    Attributes:
        begun: whether the message's beginning has come.
        usage: what it cost, as far as is known.
        changed: blocks of reasoning that were not sent as they came.
        over: whether the end has left, or has been made.
    """

    def __init__(self, model: str) -> None:
        """Args: model: as the client named it."""
        self.begun = False
        self.usage: Json = {"output_tokens": 0}
        self.changed: set[int] = set()
        self.over = False
        self._model = model
        self._open: int | None = None  # the block that the client has been sent the beginning of, and no end
        self._next = 0
        self._signed = False  # whether a signature of that block has left
        self._ending = False
        self._ours: dict[int, Event] = {}  # the events that end a stopped answer
        self._close: Event | None = None

    def settled(self, event: Event) -> Event:
        """The event as it may leave."""
        data = event.data
        if self._ours and (told := self._ending_with(event)) is not event:
            return told
        if data is None:
            return event
        kind = data.get("type")
        if kind == "content_block_delta":
            if data["index"] != self._open:
                return _NOTHING  # its block's beginning was dropped with what was withheld
            if data["delta"].get("type") == "signature_delta":
                if data["index"] in self.changed:
                    return made({**data, "delta": {"type": "signature_delta", "signature": ""}})
                self._signed = True
        elif kind == "content_block_start":
            self._open, self._next = data["index"], data["index"] + 1
            self._signed = bool(data["content_block"].get("signature"))
        elif kind == "content_block_stop":
            if data.get("index") != self._open:
                return _NOTHING
            self._open = None
            if data["index"] in self.changed:
                return self._closing(data["index"])
        elif kind == "message_start":
            self._next = len(data["message"].get("content") or ())
        elif kind == "message_delta":
            self._ending = True
        elif kind in ("message_stop", "error"):
            self.over = True
        return event

    def stopped(self, ruling: Ruling) -> list[Event]:
        """The open block is closed, the reply is a block of its own, and the answer ends as one that was withheld.

        Events without a text may still wait to leave: no block begins among them then, but the open one may end.
        """
        first = self._opening() or [replace(_NOTHING)]
        blocks = text_block(self._next, ruling.text) if ruling.text else []
        details = {"stop_details": {"type": "refusal", "category": None, "explanation": None}}
        ending = message_delta(
            "refusal" if ruling.filtered else "end_turn", self.usage, **details if ruling.filtered else {}
        )
        events = [*first, *blocks, ending, made({"type": "message_stop"})]
        self._ours = {id(each): each for each in events}
        self._close = first[0]
        self.over = True
        return events

    def ended(self) -> list[Event]:
        """What is missing of a proper end: nothing after `stopped`."""
        if self.over:
            return []
        self.over = True
        ending = [] if self._ending else [message_delta("end_turn", self.usage)]
        return [*self._opening(), *ending, made({"type": "message_stop"})]

    def _ending_with(self, event: Event) -> Event:
        """An event that leaves after the answer was stopped."""
        if id(event) not in self._ours:
            # A block of which no text will follow is not begun, or a client would be left with an empty one.
            return _NOTHING if event.name == "content_block_start" else event
        if event is self._close and event.name != "message_start":
            told = _NOTHING if self._open is None else self._closing(self._open)
            self._open = None
            return told
        return event

    def _opening(self) -> list[Event]:
        """What has to stand before a block of ours: the message's beginning, or the end of the block that is open."""
        if not self.begun:
            self.begun = True
            message: Json = {
                "id": f"msg_{secrets.token_hex(12)}",
                "type": "message",
                "role": "assistant",
                "model": self._model,
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            }
            return [made({"type": "message_start", "message": message})]
        return [] if self._open is None else [self._closing(self._open)]

    def _closing(self, index: int) -> Event:
        """The end of a block that was not sent as it came. A signature that has left is taken back."""
        end = stop(index)
        if not self._signed:
            return end
        unsigned = {"type": "signature_delta", "signature": ""}
        blank = made({"type": "content_block_delta", "index": index, "delta": unsigned})
        return Event(blank.raw + end.raw, end.data, end.name)
