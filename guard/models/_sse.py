"""Server-sent events out of bytes that come in pieces, cut anywhere. Linear in the bytes, however small the pieces.

Source: the WHATWG HTML standard, section "Server-sent events", as far as a reader of model streams needs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_BYTES = 4 * 2**20
"""Bytes of one event, unless told otherwise."""

_BOM = b"\xef\xbb\xbf"
_EMPTY_LINE = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
"""Atomic, or the two bytes of one `\\r\\n` would count as two line ends."""
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LONGEST_END = 4


class TooLong(ValueError):
    """An event longer than is taken."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event."""

    raw: bytes
    """What may be sent on: its lines as they came, with one empty line `\\n\\n` at the end. Lines that carry neither
    data nor a name (comments, ids, unknown fields) are left out, for no reader of the data has looked at them."""
    name: bytes
    data: bytes | None
    """None where it carries none: a keep-alive, whose `raw` is a bare comment."""


_KEEP_ALIVE = Frame(b":\n\n", b"", None)


class Frames:
    """The events of one stream."""

    __slots__ = ("_begun", "_most", "_rest", "_seen")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Args: most_bytes: of one event."""
        self._most = most_bytes
        self._rest = bytearray()
        self._seen = 0
        """Where in the rest the search for an empty line goes on."""
        self._begun = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """The events that end in this chunk.

        Raises:
            TooLong: an event is longer than is taken; the stream cannot be read on.
        """
        if not self._rest and self._begun and chunk.endswith(b"\n\n") and b"\r" not in chunk:
            # nearly every chunk of nearly every server: whole events
            blocks = chunk[:-2].split(b"\n\n")
            if len(chunk) > self._most and max(map(len, blocks)) > self._most:
                raise TooLong(f"an event of more than {self._most} bytes")
            return [frame for block in blocks if (frame := _frame(block)) is not None]
        return self._search(chunk)

    def close(self) -> list[Frame]:
        """What is left when the stream has ended without an empty line: a last event, whole or cut."""
        block = bytes(self._rest)
        self._rest.clear()
        frame = _frame(block if self._begun else block.removeprefix(_BOM))
        return [] if frame is None else [frame]

    def _search(self, chunk: bytes) -> list[Frame]:
        rest = self._rest
        rest += chunk
        frames = []
        start, at = 0, self._seen
        while (end := _EMPTY_LINE.search(rest, at)) is not None:
            block = bytes(rest[start : end.start()])
            if not self._begun:
                self._begun = True
                block = block.removeprefix(_BOM)
            if len(block) > self._most:
                raise TooLong(f"an event of more than {self._most} bytes")
            if (frame := _frame(block)) is not None:
                frames.append(frame)
            start = at = end.end()
        del rest[:start]
        if len(rest) > self._most:
            raise TooLong(f"an event of more than {self._most} bytes")
        self._seen = max(0, len(rest) - _LONGEST_END)
        return frames


def _frame(block: bytes) -> Frame | None:
    """The event in the lines of a block; None where it has no lines."""
    if block.startswith(b"data:") and b"\n" not in block and b"\r" not in block:
        return _made(block, b"", block[6:] if block.startswith(b" ", 5) else block[5:])
    # An event that ended with `\r` was let go without waiting for a `\n`, which then stands before the next one.
    block = block.strip(b"\r\n")
    if not block:
        return None
    name = b""
    data: list[bytes] = []
    known = True
    for line in _LINE_END.split(block):
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        else:
            known = False
    if not data:
        return _KEEP_ALIVE
    if not known:
        named = [b"event: " + name] if name else []
        block = b"\n".join([*named, *(b"data: " + line for line in data)])
    return _made(block, name, b"\n".join(data))


def _made(block: bytes, name: bytes, data: bytes) -> Frame:
    return Frame(block + b"\n\n", name, data) if data.strip() else _KEEP_ALIVE
