"""Server-sent events that the server writes itself."""

from __future__ import annotations

from typing import Any

import orjson

from server.upstreams.base import Event

DONE = Event(b"data: [DONE]\n\n", None, kind="done")
"""The closing event of OpenAI's streams."""


def event(data: dict[str, Any], name: str = "") -> Event:
    """An event that carries an object."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return Event(head + b"data: " + orjson.dumps(data) + b"\n\n", data, name)
