"""Hidden characters that break a rule by themselves, in a whole text and in one that comes in chunks.

A stretch of them is found as it stands, so its span is exact; what it says is for the views. `guard.views.hiding` says
which characters are hidden and which are ordinary writing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from guard.patterns.base import MAX_SPANS
from guard.views import Hidden
from guard.views.hiding import find_hidden
from guard.views.tables import CONTROLS, ZERO_WIDTH
from rules.schema import Constitution, Part

VIEW = "hidden:"
"""What the view of such a finding begins with; the kind follows."""

_BLACK_FLAG = "\U0001f3f4"
_LONGEST_FLAG = 8
"""Characters of the flag of a region: the black flag, three to six tags, and the tag that ends it."""
_LOOKBACK = 64
"""Characters before a chunk that may make one stretch with it, or say that it is none."""


class Stretch(NamedTuple):
    """One stretch of hidden characters, found for one rule."""

    rule: str
    kind: str
    start: int
    end: int


class HiddenRules:
    """Which kinds of hidden characters break which rules, part by part."""

    def __init__(self, constitution: Constitution) -> None:
        """Read them from the rules."""
        self._by_part: dict[Part, dict[str, list[str]]] = {}
        for rule in constitution:
            for part in rule.watches:
                for kind in dict.fromkeys(rule.detect.hidden if rule.detect else ()):
                    self._by_part.setdefault(part, {}).setdefault(kind, []).append(rule.id)

    def watched(self, part: Part) -> bool:
        """Whether any kind breaks a rule in this part."""
        return part in self._by_part

    def broken(self, part: Part, hidden: Sequence[Hidden]) -> Iterator[Stretch]:
        """The stretches that break a rule, for each rule they break.

        Of one kind at most `MAX_SPANS` are told; the last of them reaches to the end of all, so none goes unmarked.
        """
        kinds = self._by_part.get(part)
        if not kinds or not hidden:
            return
        told: dict[str, list[tuple[int, int]]] = {}
        for kind, span in hidden:
            if kind in kinds:
                told.setdefault(kind, []).append(span)
        for kind, spans in told.items():
            if len(spans) > MAX_SPANS:
                spans[MAX_SPANS - 1 :] = [(spans[MAX_SPANS - 1][0], spans[-1][1])]
            for start, end in spans:
                for rule in kinds[kind]:
                    yield Stretch(rule, kind, start, end)


class HiddenStream:
    """Finds the stretches in one channel of a stream as it comes."""

    def __init__(self, rules: HiddenRules, part: Part) -> None:
        """A stream at its beginning."""
        self._rules = rules
        self._part = part
        self._told: dict[str, int] = {}  # kind -> end of its last stretch that was told, in the stream

    def look(self, text: str, start: int, fresh: int, *, last: bool) -> Iterator[Stretch]:
        """The stretches that the newest characters make or lengthen.

        Args:
            text: the end of the stream.
            start: of `text` in the stream.
            fresh: how many characters at its end are new.
            last: whether the stream is over.

        Yields:
            stretches with offsets in `text`; one that has grown since it was told is told again.
        """
        since = max(0, len(text) - fresh - _LOOKBACK)
        if text.isascii() or not _hides(text, since):
            return
        while since and _is_tag(text[since]):  # cut off from its black flag, a flag would be a hiding place
            since -= 1
        told: dict[str, int] = {}
        for stretch in self._rules.broken(self._part, find_hidden(text[since:])):
            stretch = stretch._replace(start=stretch.start + since, end=stretch.end + since)
            open_ = not last and stretch.end == len(text) and stretch.kind == "tags" and _may_be_flag(text, stretch)
            if not open_ and start + stretch.end > self._told.get(stretch.kind, 0):
                told[stretch.kind] = max(start + stretch.end, told.get(stretch.kind, 0))
                yield stretch
        self._told.update(told)


def count_open(text: str) -> int:
    """Characters at the end that may belong to a stretch which is not yet one: hidden ones and the letters between."""
    place = len(text)
    while place and (_is_hiding(text[place - 1]) or (place > 1 and _is_hiding(text[place - 2]))):
        place -= 1
    return len(text) - place


def escaped(text: str, limit: int = 160) -> str:
    """The text with what does not show written as its code points: no person could read it otherwise."""
    shown = "".join(map(_written, text[:limit]))
    return shown if len(shown) <= limit and len(text) <= limit else shown[: limit - 1] + "…"


def _written(char: str) -> str:
    if char.isprintable() and not _is_hiding(char):
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


@lru_cache(maxsize=1)
def _hiding() -> re.Pattern[str]:
    return re.compile(f"[{ZERO_WIDTH}{CONTROLS}]")


def _hides(text: str, since: int) -> bool:
    return _hiding().search(text, since) is not None


def _is_hiding(char: str) -> bool:
    return not char.isascii() and _hiding().match(char) is not None


def _is_tag(char: str) -> bool:
    return "\U000e0000" <= char <= "\U000e007f"


def _may_be_flag(text: str, stretch: Stretch) -> bool:
    short = stretch.end - stretch.start < _LONGEST_FLAG - 1
    return short and stretch.start > 0 and text[stretch.start - 1] == _BLACK_FLAG
