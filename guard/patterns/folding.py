"""Letter case beyond what the engines fold: one letter that is two in the other case, and the Turkish i.

RE2 folds one character to one other: it knows that Σ, σ and ς are one letter, but not that ß is SS in capitals, that
ı and İ are the i of a Turkish text, or that a ligature is its letters. Texts that hold such letters are scanned a
second time in the form made here, and literals are compiled in it.

Source: the Unicode standard's full case folding (5.18), and its Turkic mappings taken both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

DOT = "\u0307"
"""The dot above that `İ` leaves behind when it is put in lower case."""


@lru_cache(maxsize=1)
def letters() -> dict[str, str]:
    """Each character that unfolds, and what it unfolds to."""
    found = {"ı": "i", "İ": "i"}
    for code in (*range(0x80, 0xD800), *range(0xF900, 0x10000)):
        folded = chr(code).casefold()
        if len(folded) > 1:
            found.setdefault(chr(code), folded)
    return found


@lru_cache(maxsize=1)
def _special() -> re.Pattern[str]:
    return re.compile(f"[{''.join(letters())}]|(?<=[iI]){DOT}")


def unfolds(text: str) -> bool:
    """Whether `unfold` would change the text."""
    return not text.isascii() and _special().search(text) is not None


def unfold(text: str) -> str:
    """The text with each such letter written out; all others are left as they are."""
    return _special().sub(_written_out, text)


def origins(text: str) -> list[int]:
    """For each character of `unfold(text)`, the place in `text` that it comes from."""
    found: list[int] = []
    at = 0
    for hit in _special().finditer(text):
        found.extend(range(at, hit.start()))
        found.extend([hit.start()] * len(_written_out(hit)))
        at = hit.end()
    found.extend(range(at, len(text)))
    return found


def widen(regex: str, plain: Iterator[tuple[int, str]]) -> str:
    """The expression with each such letter widened to what it unfolds to.

    Args:
        regex: an expression.
        plain: place and character of what stands for itself in it, outside classes.
    """
    pieces, at = [], 0
    for place, char in plain:
        other = letters().get(char)
        if other is not None:
            pieces += [regex[at:place], f"(?:{char}|{other})"]
            at = place + 1
    return "".join(pieces) + regex[at:]


def _written_out(hit: re.Match[str]) -> str:
    return letters().get(hit[0], "")
