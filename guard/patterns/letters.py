"""What a class of RE2 holds, asked of RE2 itself, and which letters are one letter in another case."""

from __future__ import annotations

import re
from functools import lru_cache

MANY = 128
"""Characters beyond ASCII from which a class counts as any character beyond ASCII."""

_ASCII = "".join(map(chr, range(128)))
_WIDE = re.compile(r"\[\^|\\[DSWPpQ]|\[:\^")
"""What puts whole scripts into a class."""


@lru_cache(maxsize=4096)
def members(source: str, fold: bool) -> tuple[frozenset[str], frozenset[str] | None]:
    """The characters of a class in RE2's syntax.

    Returns:
        those of ASCII, and those beyond it; None for these where they are many. Never one too few, but for the two
        letters beyond ASCII whose other case is ASCII.
    """
    import re2

    pattern = re2.compile(f"(?{'i' if fold else '-i'}:{source})")
    ascii_ = frozenset(pattern.findall(_ASCII))
    if _WIDE.search(source):
        return ascii_, None
    if source.isascii() and "\\x" not in source:
        return ascii_, frozenset()
    beyond = frozenset(pattern.findall(_beyond()))
    return ascii_, beyond if len(beyond) <= MANY else None


@lru_cache(maxsize=1)
def _beyond() -> str:
    return "".join(map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x110000))))


@lru_cache(maxsize=1)
def _families() -> dict[str, frozenset[str]]:
    """Each letter that has another case, and all that are one with it: θ, ϑ, Θ and ϴ."""
    kin: dict[str, set[str]] = {}
    for code in (*range(0x41, 0xD800), *range(0xF900, 0x1F000)):
        char = chr(code)
        for other in (char.lower(), char.upper(), char.casefold()):
            if len(other) == 1 and other != char:
                both = kin.get(char, {char}) | kin.get(other, {other})
                for letter in both:
                    kin[letter] = both
    return {char: frozenset(letters) for char, letters in kin.items()}


def cases(char: str) -> frozenset[str]:
    """The character in all its cases, and maybe a few more."""
    return _families().get(char) or frozenset(char)
