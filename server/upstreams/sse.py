"""Server-sent events of a model's stream, out of bytes that come in pieces."""

from __future__ import annotations

import orjson

from guard.models._sse import Frame, Frames, TooLong
from server.upstreams.base import Event, UpstreamFault


class Events:
    """The events of one stream, from chunks cut anywhere.

    `Event.raw` has the lines of an event as they came and `\\n\\n` as its end, whatever ended it. Lines that carry
    neither data nor a name are left out of it, and an event of such lines only is a bare comment: what nobody reads
    is not sent on.
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
            return Event(frame.raw, None, name, "done")
        data = None
    if not isinstance(data, dict):
        raise UpstreamFault(502, "upstream", "the upstream's stream has an event that is no JSON object")
    return Event(frame.raw, data, name)
