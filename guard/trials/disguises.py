"""Disguises that people put on a text so that a filter does not know it, for trying a gate on what it finds plain.

They are written from what each disguise is, not from what the gate's views take off. Each gives the same text for the
same text. One that leaves a text as it is, as letters of the Latin script drawn otherwise in a Chinese text, does not
fit it and is not tried on it.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from guard.trials.cases import Case

Disguise: TypeAlias = Callable[[str], str]

_LOOKALIKE = dict(zip("aceopxyijsABCEHIKMOPSTXY", "асеорхуіјѕАВСЕНІКМОРЅТХУ", strict=True))
SMALL = dict(zip("abcdefghijklmnoprstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", strict=True))
LEET = dict(zip("aeiostAEIOST", "431057431057", strict=True))
_LATIN = re.compile("[A-Za-z]")
CARRIER = "Have a look at this 🙂"
"""What a reader sees of a text that hides in characters without a shape."""


def swap(table: Mapping[str, str]) -> Disguise:
    """Each character as the table has it."""
    return lambda text: "".join(table.get(char, char) for char in text)


def between(sign: str) -> Disguise:
    """The sign between any two letters of a word."""
    return lambda text: re.sub(r"(?<=\w)(?=\w)", sign, text)


def drawn(lower: int, upper: int) -> Disguise:
    """ASCII letters moved to the blocks that begin at these code points."""

    def move(match: re.Match[str]) -> str:
        letter = match[0]
        return chr(lower + ord(letter) - 97) if letter.islower() else chr(upper + ord(letter) - 65)

    return lambda text: _LATIN.sub(move, text)


def fullwidth(text: str) -> str:
    """ASCII as wide as Chinese characters are."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def rot13(text: str) -> str:
    """Letters moved by half of the alphabet."""
    return codecs.encode(text, "rot13")


def spaced(text: str) -> str:
    """Letters apart, and words further apart."""
    return "   ".join(" ".join(word) for word in text.split())


def drawn_out(text: str) -> str:
    """A letter of each word, the second where there is one, written four times."""
    return re.sub(r"\b(\w?)([^\W\d_])", lambda match: match[1] + match[2] * 4, text)


def _tags(text: str) -> str:
    """Only what is ASCII can be said in tags; a text with anything else is left alone."""
    return CARRIER + "".join(chr(0xE0000 + ord(char)) for char in text) if text.isascii() else text


def selectors(text: str) -> str:
    """Its bytes as variation selectors, which have no shape."""
    return CARRIER + "".join(chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in text.encode())


DISGUISES: Mapping[str, Disguise] = {
    "zero-width": between("\u200b"),
    "soft hyphens": between("\u00ad"),
    "homoglyphs": swap(_LOOKALIKE),
    "fullwidth": fullwidth,
    "mathematical": drawn(0x1D41A, 0x1D400),
    "circled": drawn(0x24D0, 0x24B6),
    "small capitals": swap(SMALL),
    "leet": swap(LEET),
    "spaced": spaced,
    "dotted": between("."),
    "drawn out": drawn_out,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "rot13": rot13,
    "reversed": lambda text: text[::-1],
    "direction override": lambda text: f"\u202e{text[::-1]}\u202c",
    "tags": _tags,
    "selectors": selectors,
}
"""Name -> what puts the disguise on."""


def disguised(case: Case, disguises: Mapping[str, Disguise] = DISGUISES) -> Iterator[Case]:
    """The case in every disguise that changes its text."""
    for name, put_on in disguises.items():
        text = put_on(case.text)
        if text != case.text:
            yield replace(case, disguise=name, disguised=text)
