"""The object `wardlaw` in the events of a stream."""

from __future__ import annotations

from typing import Any

from server.dialects.base import Streamed
from server.upstreams.base import Event


def noted(shape: Streamed, events: list[Event], note: dict[str, Any]) -> list[Event]:
    """A stream's last events, the last of them that can take it with the object."""
    for place in range(len(events) - 1, -1, -1):
        event = events[place]
        with_note = event if event.data is None else shape.noted(event, note)
        if with_note is not event:
            return [*events[:place], with_note, *events[place + 1 :]]
    return events
