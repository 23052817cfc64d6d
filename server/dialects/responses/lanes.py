"""Which channel of the guard each text of an answer goes through.

All text of the messages is one channel, its parts joined by line ends, so that nothing hides by being split over parts
or messages; so are refusals, reasoning, and summaries of reasoning. What a tool is called with is a channel a call, and
what it gave back stands aside, in a channel an item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from guard.window.outcomes import Channel
from server.dialects._leaves import Path
from server.dialects.responses.items import Group

Key = tuple[int, Path]
"""An item, and where a text stands in it."""

_Kind: TypeAlias = Literal["text", "refusal", "reasoning", "tool", "aside"]
_KINDS: Mapping[Group, _Kind] = {
    "said": "text",
    "refusal": "refusal",
    "thought": "reasoning",
    "summary": "reasoning",
    "call": "tool",
    "note": "aside",
}


class Lane:
    """A channel, and the text that is being said in it."""

    __slots__ = ("channel", "closed", "owner", "used")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.owner: Text | None = None
        self.used = False
        self.closed = False


class Text:
    """One text of an answer: what came of it, and what has left."""

    __slots__ = ("_came", "_left", "group", "key", "lane", "open")

    def __init__(self, key: Key, group: Group) -> None:
        self.key = key
        self.group: Group = group
        self.lane: Lane | None = None
        self.open = True
        """Whether more of it may come."""
        self._came: list[str] = []
        self._left: list[str] = []

    @property
    def goes_on(self) -> bool:
        """Whether more of it may follow in the channel that it stands in."""
        return self.lane is None or (self.lane.owner is self and not self.lane.closed)

    def add(self, text: str) -> None:
        """More of it came."""
        self._came.append(text)

    def restart(self, text: str) -> None:
        """It is said to be another text."""
        self._came = [text]

    @property
    def came(self) -> str:
        """All that came."""
        if len(self._came) > 1:
            self._came = ["".join(self._came)]
        return self._came[0] if self._came else ""

    def send(self, text: str) -> None:
        """More of it left."""
        self._left.append(text)

    def sent(self, text: str) -> None:
        """This is all that left of it."""
        self._left = [text]

    @property
    def left(self) -> str:
        """All that has left."""
        if len(self._left) > 1:
            self._left = ["".join(self._left)]
        return self._left[0] if self._left else ""


class Lanes:
    """Hands out the channels of one answer."""

    def __init__(self) -> None:
        """No text has come."""
        self._current: dict[object, Lane] = {}
        self._next: dict[_Kind, int] = {}

    def enter(self, text: Text, *, anew: bool = False) -> tuple[Channel, str]:
        """The channel for the next piece of a text, and what stands before the piece in it.

        Args:
            text: whose piece it is.
            anew: whether this is the whole text, to be read from its beginning, whatever came of it before.

        Raises:
            ValueError: the text has ended, and another has taken its place.
        """
        lane = text.lane
        if lane is not None and not anew:
            if not text.goes_on:
                # Read by itself, the piece would not be seen together with what it goes on with.
                raise ValueError(f"output[{text.key[0]}]: more of a text that had ended")
            return lane.channel, ""
        if anew:
            lane = self._made(text.group)
        else:
            place: object = (text.group, text.key[0]) if text.group in ("call", "note") else text.group
            lane = self._current.get(place)
            if lane is None or lane.closed or (lane.owner is not None and lane.owner.open):
                lane = self._current[place] = self._made(text.group)
        text.lane, lane.owner = lane, text
        before, lane.used = "\n" if lane.used else "", True
        return lane.channel, before

    def _made(self, group: Group) -> Lane:
        kind = _KINDS[group]
        place = self._next.get(kind, 0)
        self._next[kind] = place + 1
        return Lane(Channel(kind, place))
