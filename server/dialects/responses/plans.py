"""Events that carry whole texts: what they add to these, what they repeat, and how they are filled in to leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from guard.window.outcomes import Channel
from server.dialects._leaves import Leaf, Path, Rewriting, apart
from server.dialects.base import Json
from server.dialects.responses.lanes import Text
from server.dialects.responses.response import bare, text_of, within
from server.upstreams.base import Event

_TEXT = Channel("text")


@dataclass(slots=True)
class Entry:
    """One text in an event."""

    text: Text
    leaf: Leaf
    """In the event."""
    how: str
    """`repeats` what came; `extends` it, the whole text standing there; `grows` by what stands there; is `anew`."""
    fresh: str = ""
    """What the event adds."""
    before: str = ""
    """What stands before that in the channel."""
    channel: Channel = _TEXT
    now: str | None = None
    """What is to stand there of what it adds, where that was changed."""


@dataclass(slots=True)
class Plan:
    """All texts in an event, kept from when it comes until it leaves."""

    event: Event
    entries: list[Entry]
    _pieces: dict[Channel, str] = field(default_factory=dict)

    def edit(self, texts: Mapping[tuple[int, Channel], str], *, first: bool, last: bool) -> None:
        """Take in what is to stand for the event's own texts: a channel's pieces, one after another."""
        if first:
            self._pieces = {}
        for (_, channel), text in texts.items():
            self._pieces[channel] = self._pieces.get(channel, "") + text
        if not last:
            return
        by_channel: dict[Channel, list[Entry]] = {}
        for entry in self.entries:
            if entry.fresh:
                by_channel.setdefault(entry.channel, []).append(entry)
        for channel, entries in by_channel.items():
            edited = self._pieces.get(channel, "")
            if entries[0].before:
                edited = edited.removeprefix("\n")
            leaves = [Leaf((), entry.fresh) for entry in entries]
            for entry, now in zip(entries, apart(leaves, edited), strict=True):
                entry.now = now

    def forget(self) -> None:
        """Take out what the event adds: nobody has looked at it."""
        for entry in self.entries:
            if entry.how != "repeats":
                entry.now = ""

    def filled(self, *, leaving: bool) -> Json:
        """The event's data with its texts as they may leave; the very data where nothing is changed.

        Args:
            leaving: whether the event leaves now, which is kept account of.
        """
        data = self.event.data or {}
        copy = None
        gone: list[Path | None] = []
        for entry in self.entries:
            stands = _stands(entry, leaving=leaving)
            found = _at(data, entry.leaf)
            if found is not None and stands != found and not within(entry.leaf.path, gone):
                copy = copy or Rewriting(data)
                copy.write(entry.leaf, stands)
                gone.append(bare(copy, data, entry.leaf.path))
        if copy is None:
            return data
        filled = copy.done()
        response = filled.get("response")
        if isinstance(response, dict) and isinstance(response.get("output_text"), str):
            filled = {**filled, "response": {**response, "output_text": text_of(response)}}
        return filled


def _stands(entry: Entry, *, leaving: bool) -> str:
    """What is to stand in an entry's place."""
    text, fresh = entry.text, entry.fresh if entry.now is None else entry.now
    if entry.how == "repeats":
        return text.left
    if entry.how == "grows":
        if leaving:
            text.send(fresh)
        return fresh
    stands = text.left + fresh if entry.how == "extends" else fresh
    if leaving:
        text.sent(stands)
    return stands


def _at(data: Json, leaf: Leaf) -> object:
    """What stands at a leaf's place; None where it is gone with the log-probabilities of a text that was changed."""
    if leaf.is_name:
        return leaf.path[-1]
    found: Any = data
    for step in leaf.path:
        if isinstance(found, list) and isinstance(step, int) and step >= len(found):
            return None
        found = found[step]
    return found
