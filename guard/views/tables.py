"""What each character is folded to, drawn once from `decancer` (shapes) and `unicodedata` (compatibility forms).

Built on the first text that is not plain ASCII, in about a sixth of a second; one character at a time, because an
exact map back needs to know what came of each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
"""Combining marks of no script of their own, for a character class; those that Indic or Arabic need are not here."""

ZERO_WIDTH = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that show nothing, for a character class: joiners, fillers, selectors, direction marks, tags."""

CONTROLS = "\\x00-\\x08\\x0e-\\x1a\\x1c-\\x1f\\x7f-\\x9f"

_FOREIGN = frozenset("GREEK CYRILLIC ARMENIAN CANADIAN GEORGIAN".split())
"""Scripts whose words are read as they are unless there is reason not to."""
_RARE = frozenset(
    "CHEROKEE COPTIC LISU DESERET OGHAM RUNIC GOTHIC CARIAN LYCIAN LYDIAN OLD TIFINAGH GLAGOLITIC OSAGE VAI OSMANYA"
    " WARANG BAMUM".split()
)
"""Scripts that, in a chat, are nearly always there for their shapes."""
_EVERYDAY = frozenset("ªºµ©®ℹⓂ№™")
"""Letter-like signs of ordinary text: folded along with others, but no reason to fold."""


class Tables(NamedTuple):
    """Folding tables: code points to text, and character classes (without brackets) of what concerns them."""

    always: dict[int, str]
    """One character for one: dressed-up Latin letters and digits, compatibility forms."""
    longer: dict[int, str]
    """One character for several or none."""
    foreign: dict[int, str]
    """Letters of other scripts that look like a Latin one."""
    symbols: dict[int, str]
    """Signs and emoji that look like a letter between letters."""
    han: dict[int, str]
    """Han and kana characters that look like a Latin letter."""
    regional: dict[int, str]
    reasons: str
    """Class of the characters of `always` that are a reason to fold wherever they stand."""
    reasons_longer: str
    """The same for `longer`."""


def chars(codes: Iterable[int]) -> str:
    """The inside of a character class, as ranges."""
    spans: list[list[int]] = []
    for code in sorted(codes):
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(
        re.escape(chr(low)) if low == high else f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in spans
    )


@lru_cache(maxsize=1)
def tables() -> Tables:
    """All tables; see `Tables`."""
    from decancer_py import parse

    found = Tables({}, {}, {}, {}, {}, {}, "", "")
    reasons: set[int] = set()
    invisible = re.compile(f"[{MARKS}{ZERO_WIDTH}]")
    for code in (*range(0xA0, 0xAC00), *range(0xF900, 0x20000), *range(0x2F800, 0x2FA20)):
        char = chr(code)
        kind = unicodedata.category(char)
        if kind in ("Cn", "Co", "Cs") or 0x3400 <= code < 0x4E00 or invisible.match(char):
            continue
        if 0x3040 <= code < 0x3100 or 0x4E00 <= code < 0xA000:
            shape = _shape(parse, char)
            if len(shape) == 1:
                found.han[code] = shape
            continue
        plain = unicodedata.normalize("NFKC", char)
        letters = [letter for letter in unicodedata.normalize("NFKD", char) if letter.isascii() and letter.isalnum()]
        name = unicodedata.name(char, "")
        shape = letters[0] if len(letters) == 1 and kind != "No" else ""
        if not shape and plain == char:
            shape = _shape(parse, char)
        if char.isupper() or (letters and letters[0].isupper()):
            shape = shape.upper()
        latin = len(letters) == 1 or "LATIN" in name or "SMALL CAPITAL" in name or name.startswith("MODIFIER LETTER")
        if 0x1F1E6 <= code <= 0x1F1FF:
            found.regional[code] = shape.upper()
        elif latin and shape:
            (found.always if len(shape) == 1 else found.longer)[code] = shape
            if shape.isalpha() and char not in _EVERYDAY:
                reasons.add(code)
        elif plain != char:
            (found.always if len(plain) == 1 else found.longer)[code] = plain
            if kind[0] == "L" or (plain.isascii() and plain.isalpha() and char not in _EVERYDAY):
                reasons.add(code)
        elif kind[0] in "LN" and len(shape) == 1 and name.split(" ", 1)[0] in _FOREIGN | _RARE:
            (found.foreign if name.split(" ", 1)[0] in _FOREIGN else found.always)[code] = shape
            reasons.add(code)
        elif kind in ("So", "Sm", "Sc") and len(shape) == 1:
            found.symbols[code] = shape
    return found._replace(
        reasons=chars(found.always.keys() & reasons), reasons_longer=chars(found.longer.keys() & reasons)
    )


def _shape(parse: Callable[..., object], char: str) -> str:
    """The Latin letters or digits that a character looks like, or nothing."""
    shape = str(parse(char, disable_bidi=True))
    return shape if shape != char and shape.isascii() and shape.isalnum() else ""
