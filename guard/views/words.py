"""Small words by which English is known, forwards, backwards and under rot13."""

from __future__ import annotations

import codecs
import re

_COMMON = (
    "the and how make for with you that this what from have can your where which would could should about when there"
    " into they will some tell give write need want please who why are not has was were been just them then than"
)
_SHORT = " a i to of in is it my me do on or at be as by an if we he us so no hi hello hey yes thanks thank ok good"
_SHORT_ROTATED = "my me is it his"
_SHORT_MIRRORED = "my of his"
"""Further short words that under rot13, or backwards, are neither words nor abbreviations."""

_WORDS = frozenset(_COMMON.split())
_ANY_WORDS = frozenset((_COMMON + _SHORT).split())
_ANY_ENGLISH = re.compile(rf"\b(?:{'|'.join((_COMMON + _SHORT).split())})\b", re.IGNORECASE)


def count_english(text: str) -> int:
    """How many different English function words of three letters and more stand in the text."""
    return len(_WORDS.intersection(text.lower().split()))


def is_english(text: str) -> bool:
    """Whether any English function word stands in the text."""
    # The set answers nearly all texts in a tenth of the expression's time.
    return not _ANY_WORDS.isdisjoint(text.lower().split()) or _ANY_ENGLISH.search(text) is not None


def rotated() -> list[str]:
    """The function words under rot13, less those that are words themselves."""
    known = {codecs.encode(word, "rot13") for word in f"{_COMMON} {_SHORT_ROTATED}".split()}
    return sorted(known - {"ner", "jnf", "abg", "ure"})


def mirrored() -> list[str]:
    """The function words backwards, less those that are words, names or abbreviations themselves."""
    taken = {"dna", "era", "saw", "ton", "nac", "neeb", "tsuj", "sah", "ohw"}
    return sorted({word[::-1] for word in f"{_COMMON} {_SHORT_MIRRORED}".split()} - taken)
