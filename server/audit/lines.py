"""Lines of a journal: length and checksum of the payload, in hex, and the payload: `0000001f 8a3c01f2 PAYLOAD`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

_HEAD = 18
"""Bytes before the payload: two times eight hex digits and a space."""


def line_of(payload: bytes) -> bytes:
    """A payload, which holds no line end, as a line."""
    return b"%08x %08x %b\n" % (len(payload), zlib.crc32(payload), payload)


@dataclass(frozen=True, slots=True)
class Read:
    """A stretch of a segment."""

    payloads: list[bytes]
    broken: list[bytes]
    """Lines whose checksum is wrong, or that are no lines."""
    upto: int
    """Where the stretch ends."""
    torn: bool = False
    """Whether the file ends in a line that is not whole."""


def read_lines(path: Path, start: int, end: int, most: int, most_bytes: int = 8 * 2**20) -> Read:
    """Lines of a segment.

    Args:
        path: of the segment.
        start: byte to begin at: where a line begins.
        end: byte before which to stop; lines that begin before it are read whole.
        most: lines at most.
        most_bytes: bytes at most, unless one line has more.
    """
    payloads: list[bytes] = []
    broken: list[bytes] = []
    at = start
    with path.open("rb") as file:
        file.seek(start)
        while at < end and len(payloads) < most and (at - start < most_bytes):
            line = file.readline()
            if not line.endswith(b"\n"):
                return Read(payloads, broken, at, torn=bool(line))
            at += len(line)
            payload = _payload(line)
            if payload is None:
                broken.append(line)
            else:
                payloads.append(payload)
    return Read(payloads, broken, at)


def _payload(line: bytes) -> bytes | None:
    payload = line[_HEAD:-1]
    try:
        length, checksum = int(line[:8], 16), int(line[9:17], 16)
    except ValueError:
        return None
    return payload if length == len(payload) and checksum == zlib.crc32(payload) else None
