"""Server-sent events of a model's stream, out of bytes that come in pieces."""

from __future__ import annotations

import re

import orjson

from guard.models._sse import Frame, Frames, TooLong
from server.upstreams.base import Event, UpstreamFault

_NAME = re.compile(rb"[\w.-]{1,64}")
_DONE = b"data: [DONE]\n\n"


class Events:
    """The events of one stream, from chunks cut anywhere.

    `Event.raw` says what was read and no more: the data is written anew, since a member that is named twice says one
    thing to a reader of the first and another to a reader of the last. A name that is no single word goes, and so do
    comments, ids and unknown lines; an event of such lines only is a bare comment.
    """

    __slots__ = ("_frames",)

    def __init__(self, most_bytes: int = 16 * 2**20) -> None:
        """Args: most_bytes: of one event."""
        self._frames = Frames(most_bytes)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end in this chunk.

        Raises:
            UpstreamFault: 502: an event is too long, or its data is no JSON object.
        """
        try:
            frames = self._frames.feed(chunk)
        except TooLong as error:
            raise UpstreamFault(502, "upstream", f"the upstream's stream has {error}") from None
        return [_event(frame) for frame in frames]

    def close(self) -> list[Event]:
        """What is left at the end of the stream, where the last event has no empty line after it.

        Raises:
            UpstreamFault: 502: it is cut.
        """
        return [_event(frame) for frame in self._frames.close()]


def _event(frame: Frame) -> Event:
    if frame.data is None:
        return Event(frame.raw, None, "", "comment")
    name = frame.name.decode("utf-8", "replace") if frame.name else ""
    try:
        data = orjson.loads(frame.data)
    except ValueError:
        if frame.data.strip() == b"[DONE]":
            return Event(_DONE, None, name, "done")
        data = None
    if not isinstance(data, dict):
        raise UpstreamFault(502, "upstream", "the upstream's stream has an event that is no JSON object")
    head = b"event: " + frame.name + b"\n" if frame.name and _NAME.fullmatch(frame.name) else b""
    try:
        return Event(head + b"data: " + orjson.dumps(data) + b"\n\n", data, name)
    except orjson.JSONEncodeError:
        raise UpstreamFault(502, "upstream", "the upstream's stream has an event that is nested too deep") from None
