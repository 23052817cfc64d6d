"""Which pattern of a rule a finding comes from, and which came nearest where none hit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guard.detectors.base import parts
from guard.exchange import Exchange
from guard.patterns.base import Entry, options
from guard.patterns.hidden import VIEW
from guard.patterns.search import Search
from guard.verdict import Finding
from guard.views import views
from guard.views.escapes import read_json
from rules.schema import Part, Rule

LOOKED_AT = 4_000
"""Characters of a text in which the nearest miss is looked for: it is a hint, and no scan."""

_MOST_CUTS = 200
_LEAST_SHARE = 0.5
"""Of a pattern that must be there for a text to come near it."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A pattern that did not hit, and how much of it is there."""

    index: int
    """Of the pattern, in `detect.patterns`."""
    there: str
    """What of the pattern the text has."""
    lacks: str
    """What it lacks."""
    share: float
    """How much of the pattern is there, from 0 to 1."""
    span: tuple[int, int] | None = None
    """Where, in the original text; None where the words stand apart or in a view."""


def _search_of(rule: Rule) -> Search:
    found = rule.detect.patterns if rule.detect else ()
    return Search([Entry.of(rule.id, frozenset(each.watches or rule.watches), each) for each in found], engine="re2")


def pattern_of(rule: Rule, finding: Finding, exchange: Exchange) -> int | None:
    """Which pattern of its rule a finding comes from; None for hidden characters, and where that cannot be told.

    Args:
        rule: the finding's.
        finding: of the pattern detector.
        exchange: what it was found in.
    """
    if not rule.detect or not rule.detect.patterns or finding.view.removeprefix("joined>").startswith(VIEW):
        return None
    if len(rule.detect.patterns) == 1:
        return 0
    view = finding.view.removeprefix("joined>")
    for part, text in parts(exchange):
        if part is not finding.part:
            continue
        for place, span, name in _hits(rule, part, text):
            if name == view and span == finding.span:
                return place
    return None


def patterns_in(rule: Rule, part: Part, text: str) -> tuple[int, ...]:
    """The patterns of a rule that hit a text, as what was kept of a finding."""
    return tuple(sorted({place for place, _, _ in _hits(rule, part, text)}))


def _hits(rule: Rule, part: Part, text: str) -> Iterator[tuple[int, tuple[int, int], str]]:
    """Pattern, span in the text and view of each hit, as the detector finds them."""
    search = _search_of(rule)
    for hit in search.find(part, text):
        yield hit.place, (hit.start, hit.end), hit.view
    read = read_json(text) if part is Part.TOOL_CALL and "\\" in text else None
    if read is not None:
        inner, origin = read
        for hit in search.find(part, inner):
            yield hit.place, origin.span(hit.start, hit.end), "json" if hit.view == "raw" else f"json>{hit.view}"


def near_misses(rule: Rule, part: Part, text: str, most: int = 2) -> list[NearMiss]:
    """The patterns of a rule that the text comes nearest to without a hit, the nearest first.

    Args:
        rule: whose patterns do not hit.
        part: of the text.
        text: its beginning is looked at.
        most: how many to tell.
    """
    if not rule.detect:
        return []
    readings = [view.text[:LOOKED_AT] for view in views(text[:LOOKED_AT]).all]
    search = _search_of(rule)
    found = []
    for index, entry in enumerate(search.entries):
        if part not in entry.parts:
            continue
        for number, reading in enumerate(readings):
            near = _near_words(index, entry, reading) if entry.words is not None else _near_regex(index, rule, reading)
            if near is not None:
                found.append(near if number == 0 else NearMiss(near.index, near.there, near.lacks, near.share))
    best: dict[int, NearMiss] = {}
    for near in sorted(found, key=lambda each: -each.share):
        best.setdefault(near.index, near)
    return list(best.values())[:most]


def _near_words(index: int, entry: Entry, text: str) -> NearMiss | None:
    """How much of a literal is there: its words, or where it has but one, its letters."""
    words, lowered = (entry.words or "").casefold().split(), text.casefold()
    there = [word for word in words if _has(lowered, word)]
    lacking = [word for word in words if word not in there]
    if len(words) > 1:
        share = len(there) / len(words)
        if share < _LEAST_SHARE or not there:
            return None
        # all are there, and no hit: then something stands between them
        lacks = " ".join(lacking) if lacking else "nothing between these words"
        return NearMiss(index, " ".join(there), lacks, share if lacking else 0.99)
    word = words[0] if words else ""
    if not word or there or len(word) < 2:
        return None
    if word.isascii():
        near = difflib.get_close_matches(word, dict.fromkeys(re.findall(r"\w+", lowered)), n=1, cutoff=0.75)
        return NearMiss(index, near[0], word, 0.75) if near else None
    size = difflib.SequenceMatcher(None, word, lowered, autojunk=False).find_longest_match()
    if size.size / len(word) < _LEAST_SHARE:
        return None
    span = (size.b, size.b + size.size) if len(lowered) == len(text) else None
    missing = word[: size.a] + "…" + word[size.a + size.size :]
    return NearMiss(index, word[size.a : size.a + size.size], missing.strip("…"), size.size / len(word), span)


def _has(text: str, word: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}\b", text)) if word.isascii() else word in text


def _near_regex(index: int, rule: Rule, text: str) -> NearMiss | None:
    """The longest beginning of an expression that hits."""
    import re2

    regex = (rule.detect.patterns[index].regex if rule.detect else None) or ""
    for end in _cuts(regex):
        try:
            compiled = re2.compile(regex[:end], options())
        except re2.error:
            continue
        match = compiled.search(text)
        if match is not None and match.start() < match.end():
            return NearMiss(index, regex[:end], regex[end:], end / len(regex), match.span())
    return None


def _cuts(regex: str) -> Sequence[int]:
    """Where an expression may end, longest first: inside no word, no escape, and before no quantifier."""
    cuts = [
        at
        for at in range(len(regex) - 1, int(len(regex) * _LEAST_SHARE), -1)
        if not (regex[at - 1].isalnum() and regex[at].isalnum())
        and not (regex[at - 1] == "\\" or (at > 1 and regex[at - 2] == "\\" and regex[at] == "{"))
        and regex[at] not in "?*+{"
    ]
    return cuts[:_MOST_CUTS]
