"""The strings of JSON as they will be read, from pieces that may be cut within an escape."""

from __future__ import annotations

import re
from bisect import bisect_right

_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))')
_UNFINISHED = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?")
_SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REMEMBERED = 4096
"""Characters, counted from the end, whose place in the raw text is remembered."""


class Unescaper:
    """Takes the escapes out of one stream of JSON and knows where each character came from."""

    def __init__(self) -> None:
        """A new stream at its beginning."""
        self._carried = ""  # an escape, or half a pair of them, that has not ended
        self._raw = 0  # raw characters decoded
        self._decoded = 0
        # Stretches that stand in both texts alike: where each begins in the decoded one, and in the raw one.
        self._starts = [0]
        self._origins = [0]

    def feed(self, chunk: str) -> str:
        """What the next piece adds to the decoded text."""
        text = self._carried + chunk
        self._carried = ""
        if "\\" not in text:
            return self._put(text, len(text))
        said: list[str] = []
        at = 0
        for match in _ESCAPE.finditer(text):
            if match.start() < at:  # the second half of a pair
                continue
            said.append(self._put(text[at : match.start()], match.start() - at))
            code, sign = match.groups()
            char, at = (_SIGNS.get(sign, sign) if sign else chr(int(code, 16))), match.end()
            if "\ud800" <= char <= "\udbff":
                rest = text[at:]
                low = _ESCAPE.match(rest)
                if low and low[1] and "dc" <= low[1][:2].lower() <= "df":
                    char = (char + chr(int(low[1], 16))).encode("utf-16", "surrogatepass").decode("utf-16")
                    at += low.end()
                elif not rest or _UNFINISHED.fullmatch(rest):
                    self._carried = text[match.start() :]
                    return "".join(said)
            said.append(self._put(char, at - match.start()))
        end = text.rfind("\\", at)
        if end >= 0 and not _UNFINISHED.fullmatch(text, end):
            end = -1  # a backslash that begins no escape
        if end >= 0:
            self._carried = text[end:]
        rest = text[at:] if end < 0 else text[at:end]
        said.append(self._put(rest, len(rest)))
        return "".join(said)

    def close(self) -> str:
        """What is left at the stream's end: an escape that never ended, as it stands."""
        rest, self._carried = self._carried, ""
        return self._put(rest, len(rest))

    def origin(self, place: int) -> int:
        """The raw offset of a border between characters of the decoded text."""
        at = max(0, bisect_right(self._starts, place) - 1)
        return self._origins[at] + min(place, self._decoded) - self._starts[at]

    def _put(self, said: str, raw: int) -> str:
        self._decoded += len(said)
        self._raw += raw
        if len(said) != raw:
            begin = self._decoded - len(said)
            if self._starts[-1] != begin:
                self._starts.append(begin)
                self._origins.append(self._raw - raw)
            self._starts.append(self._decoded)
            self._origins.append(self._raw)
            if len(self._starts) > 4 * _REMEMBERED:
                first = bisect_right(self._starts, self._decoded - _REMEMBERED) - 1
                del self._starts[: max(0, first)], self._origins[: max(0, first)]
        return said
