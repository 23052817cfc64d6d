"""The collapsed views: letters set apart, written as digits and signs, or drawn out are put back into words.

Some signs stand for one of two letters (`1` for i or l) and a drawn-out letter for one or two, so there are up to
four such views.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from guard.views.maps import EVERY_OTHER, Map, Rewrite, Span
from guard.views.triggers import find_reasons

_GAP = r"(?:[ \t\r\n\u3000]{1,4}|[ \t]?[.\-_*/\\|,+~·•:;'\"^=][ \t]?[.\-_*/\\|,+~·•:;'\"^=]?)"
_SIGN = r"[^\W_]|[@$!]"
_APART = re.compile(rf"(?<![\w@$'’])(?:{_SIGN})(?:{_GAP}(?:{_SIGN})(?![\w@$'’])){{2,}}+")
_GAPS = re.compile(_GAP)
_CHUNKS = re.compile(r"(?<![\w.*|~·\-@/])[A-Za-z]{1,3}(?:[.*_|~·\-][A-Za-z]{1,3}(?![A-Za-z0-9@/])){1,}+")
_CHUNK_GAP = re.compile(r"[^A-Za-z]")
_HAN = "[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_HAN_APART = re.compile(rf"(?<!{_HAN}){_HAN}(?:[ \u3000*.\-_|/·+~]{{1,2}}{_HAN}(?!{_HAN})){{1,}}+")
_NOT_HAN = re.compile(f"[^{_HAN[1:]}+")

_INNER = re.compile(r"(?<=[A-Za-z])[0-9@$!|]{1,3}(?=[A-Za-z])")
_FIRST = re.compile(r"(?<![\w@$!])(?:[0-9](?=[A-Za-z]{3})|[@$](?=[A-Za-z]{2}))")
_LAST = re.compile(r"(?<=[A-Za-z]{2})[013-8](?!\w)")
_TOKEN = re.compile(
    r"(?<![\w@$])(?:(?=[\w@$])(?=[0-9@$!|]{0,8}+[A-Za-z])[\w@$]++(?:[!|]++[\w@$]++)*+|[013-9]{1,3}(?!\w))"
)
"""What is a word where all is leet: one with a letter in it, or a short number."""
_MIXED = re.compile(r"(?<![\w@$!])[A-Za-z]{0,24}+[013457@$!]{1,3}+[A-Za-z]")
_LEET = str.maketrans("013456789@$!|", "oieasbtbgasii")
_LEET_ELL = _LEET | {ord(sign): ord("l") for sign in "1!|"} | {ord("6"): ord("g")}

_LONG = re.compile(
    r"(?<!\w)(?:([A-Za-z])\1++){3,}+(?!\w)|(?P<drawn>(?P<letter>[^\W\d_])(?P=letter){2,}+)", re.IGNORECASE
)
_RUN = re.compile(r"(.)\1*+")


def collapse(text: str, reasons: frozenset[str]) -> Iterator[tuple[str, list[tuple[str, Map | None]]]]:
    """The collapsed readings of a text: a name, and the steps that lead to it, each with its map.

    A step without a map kept every character in its place. `reasons` are those of `apart`, `leet` and `long` that the
    text gives.
    """
    steps: list[tuple[str, Map | None]] = []
    joined = _join(text) if "apart" in reasons else None
    if joined:
        steps.append(joined)
        text = joined[0]
        # Letters brought together may show more than the reasons of the text that they stood apart in.
        reasons = find_reasons(text)
    leet = "leet" in reasons
    plain, ell = (_unleet(text, _LEET), _unleet(text, _LEET_ELL)) if leet else (text, text)
    for name, spelt in (("collapsed", plain), ("collapsed-l", ell)):
        if name == "collapsed-l" and ell == plain:
            continue
        read = steps if spelt == text else [*steps, (spelt, None)]
        long = "long" in (reasons if spelt == text else find_reasons(spelt))
        once, twice = (_shorten(spelt, 1), _shorten(spelt, 2)) if long else (None, None)
        if once or read:
            yield name, [*read, *([once] if once else [])]
        if twice and once and twice[0] != once[0]:
            yield name + "-double", [*read, twice]


def _join(text: str) -> tuple[str, Map] | None:
    rewrite = Rewrite(text)
    found = [(match.span(), _GAPS) for match in _APART.finditer(text)]
    found += [(match.span(), _CHUNK_GAP) for match in _CHUNKS.finditer(text)]
    found += [(match.span(), _NOT_HAN) for match in _HAN_APART.finditer(text)]
    found.sort(key=lambda each: each[0])
    # `a.m` alone is an abbreviation; beside several words set apart it is one of them.
    words = sum(_count_letters(text, span) > 3 for span, gap in found if gap is not _NOT_HAN)
    least = 2 if words > 1 else 3
    done = 0
    for (start, end), gap in found:
        if start < done:
            continue
        done = end
        if gap is _NOT_HAN or _count_letters(text, (start, end)) >= least:
            _put_joined(rewrite, text, start, end, gap)
    return rewrite.finish()


def _count_letters(text: str, span: Span) -> int:
    return sum(char.isalpha() for char in text[slice(*span)])


def _put_joined(rewrite: Rewrite, text: str, start: int, end: int, gap: re.Pattern[str]) -> None:
    if gap is _GAPS and text[start:end:2].isalnum() and len(set(text[start + 1 : end : 2])) == 1:
        rewrite.put(start, end, text[start:end:2], EVERY_OTHER)
        return
    gaps = [(match.span(), match[0]) for match in gap.finditer(text, start, end)]
    usual = Counter(what for _, what in gaps).most_common(1)[0][0]
    for (low, high), what in gaps:
        # A wider gap than between the letters is one between words.
        if gap is _GAPS and what != usual and (any(char.isspace() for char in what)):
            rewrite.put(low, high, " ")
        else:
            rewrite.put(low, high, "")


def _unleet(text: str, table: dict[int, int]) -> str:
    def spell(match: re.Match[str]) -> str:
        return match[0].translate(table)

    if _is_all_leet(text):
        return _TOKEN.sub(spell, text)
    return _LAST.sub(spell, _FIRST.sub(spell, _INNER.sub(spell, text)))


def _is_all_leet(text: str) -> bool:
    """Whether so many words mix letters and signs that signs at their edges, and short numbers, are letters too."""
    mixed = len(_MIXED.findall(text))
    return mixed > 2 and mixed * 4 >= len(text.split())


def _shorten(text: str, keep: int) -> tuple[str, Map] | None:
    rewrite = Rewrite(text)
    for match in _LONG.finditer(text):
        if match["drawn"]:
            rewrite.put(*match.span(), match[0][:keep])
            continue
        # Every letter of the word is written twice, or n times: an n-th of each run is what is meant.
        runs = [run.span() for run in _RUN.finditer(text, *match.span())]
        size = math.gcd(*(high - low for low, high in runs))
        for low, high in runs:
            length = (high - low) // size if size > 1 else min(keep, high - low) if high - low > 2 else high - low
            rewrite.put(low, high, text[low : low + length])
    return rewrite.finish()
