"""Hidden characters: which of them are signals, and what they say.

Invisible characters that ordinary writing needs are none: joiners in emoji, Persian and Indic scripts, presentation
selectors, flags spelt with tags, a byte order mark, soft hyphens, isolates around names in translated interfaces.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from guard.views.maps import MIRROR, Map, Rewrite
from guard.views.view import Hidden

_SELECTORS = "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
_ZERO = "[\u00ad\u034f\u115f\u1160\u180e\u200b-\u200f\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0]"


class _Signs(NamedTuple):
    tags: re.Pattern[str]
    selectors: re.Pattern[str]
    bidi: re.Pattern[str]
    zero: re.Pattern[str]


@lru_cache(maxsize=1)
def _signs() -> _Signs:
    latin = "[A-Za-z]"
    return _Signs(
        re.compile(
            "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f|(?P<tags>[\U000e0000-\U000e007f]++)"
        ),
        # One after a Latin letter shows nothing and does nothing; two in a row can only be data.
        re.compile(f"(?:{_SELECTORS}{{2,}}+|(?<={latin}){_SELECTORS})"),
        re.compile("[\u202d\u202e](?P<inside>[^\u202c-\u202e\n\r\u2028\u2029]*+)\u202c?"),
        re.compile(
            f"{_ZERO}{{3,}}+|(?<=\\w)[\u200b\u2060-\u2064\ufeff\u3164\u115f\u1160\uffa0]{{2}}(?=\\w)"
            f"|{latin}(?:{_ZERO}{latin}){{2,}}+"
        ),
    )


def find_hidden(text: str) -> list[Hidden]:
    """All hidden stretches of a text, in order of their start."""
    signs = _signs()
    found = [Hidden("tags", match.span("tags")) for match in signs.tags.finditer(text) if match["tags"]]
    found += [Hidden("selectors", match.span()) for match in signs.selectors.finditer(text)]
    found += [Hidden("bidi", match.span()) for match in signs.bidi.finditer(text)]
    found += [
        Hidden("zero-width", match.span())
        for match in signs.zero.finditer(text)
        # Soft hyphens between syllables, and a joiner in each word, are how some languages are typeset.
        if "\u00ad" not in match[0] or set(match[0]) - {"\u00ad"} - _LETTERS
    ]
    return sorted(found, key=lambda hidden: hidden.span)


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def show_tags(text: str) -> tuple[str, Map] | None:
    """Tag characters as the ASCII that they stand for."""
    rewrite = Rewrite(text)
    for match in _signs().tags.finditer(text):
        if match["tags"]:
            shown = "".join(chr(ord(char) - 0xE0000) for char in match["tags"] if 0x20 <= ord(char) - 0xE0000 < 0x7F)
            if len(shown) == len(match["tags"]):
                rewrite.put(*match.span(), shown, (1, 1))
            else:
                _put_one_by_one(rewrite, match["tags"], match.start())
    return rewrite.finish()


def _put_one_by_one(rewrite: Rewrite, tags: str, start: int) -> None:
    for at, char in enumerate(tags, start):
        code = ord(char) - 0xE0000
        rewrite.put(at, at + 1, chr(code) if 0x20 <= code < 0x7F else "")


def show_selectors(text: str) -> tuple[str, Map] | None:
    """Runs of variation selectors as the bytes that they smuggle: VS1 is 0, VS256 is 255, read as UTF-8."""
    rewrite = Rewrite(text)
    for match in _signs().selectors.finditer(text):
        data = bytes(_byte(char) for char in match[0])
        if len(data) < 2:
            continue
        shown = data.decode("latin-1")
        try:
            shown = data.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if len(shown) == len(data):
            rewrite.put(*match.span(), shown, (1, 1))
        else:
            at = match.start()
            for char in shown:
                size = len(char.encode())
                rewrite.put(at, at + size, char)
                at += size
    return rewrite.finish()


def _byte(char: str) -> int:
    code = ord(char)
    return code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16


def show_zero_width(text: str) -> tuple[str, Map] | None:
    """Long runs of two zero-width characters as the bits that they spell, the rarer reading left aside."""
    rewrite = Rewrite(text)
    for match in _BITS.finditer(text):
        signs = sorted(set(match[0]))
        if len(signs) != 2:
            continue
        bits = match[0].translate({ord(signs[0]): "0", ord(signs[1]): "1"})
        shown = _read_bits(bits) or _read_bits(bits.translate({48: "1", 49: "0"}))
        if shown:
            rewrite.put(match.start(), match.start() + 8 * len(shown), shown, (8, 1))
            rewrite.skip(match.end())
    return rewrite.finish()


_BITS = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff]{24,}+")


def _read_bits(bits: str) -> str:
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))
    text = data.decode("latin-1")
    return text if text.isascii() and text.isprintable() else ""


def show_overridden(text: str) -> tuple[str, Map] | None:
    """Text under a right-to-left override in the order in which it is seen."""
    rewrite = Rewrite(text)
    for match in _signs().bidi.finditer(text):
        start, end = match.span("inside")
        if match[0][0] == "\u202e" and end - start > 1:
            rewrite.put(start, end, text[start:end][::-1], MIRROR)
    return rewrite.finish()
