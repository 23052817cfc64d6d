"""The pattern detector: all literals and expressions of all rules, in time linear in the text.

RE2 derives from each expression the plain words without which it cannot match; one automaton looks for the words of
all patterns at once, and only the patterns whose words are all there run on their own. One automaton over the whole
expressions (`re2.Set`) is no use here: gaps such as `.{0,40}` multiply its states until it throws them away faster
than it reads.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from guard.detectors.base import NOTHING, Cover, Scan, excerpt, parts
from guard.exchange import Exchange
from guard.verdict import Finding
from rules.errors import WardlawError
from rules.schema import Constitution, Part, Pattern, Rule

MAX_SPANS = 256
"""Hits reported of one pattern in one text; the last one reaches to the end of the text, so that nothing after it
goes unmarked. Without a bound, `a(.*b)?` over a text of `a`s would cost quadratic time."""

MAX_MEMORY = 8 << 20
"""Bytes that RE2 may use for one pattern."""

_BLIND_BORDER = re.compile(
    r"(?<!\\)(?:\\\\)*\\b(?:\((?:\?:)?|\[)*(?P<after>[^\x00-\x7f])|(?P<before>[^\x00-\x7f])[)\]]*\\b"
)
"""A `\\b` next to a letter that RE2, whose borders are ASCII, takes for no letter."""

_SPACES = r"[\s\p{Z}]+"
_NO_BORDERS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Scripts written without spaces or that glue endings to words: Thai to Tibetan, Burmese, Khmer, kana, Han, Hangul."""


class PatternError(WardlawError):
    """A pattern cannot be scanned safely."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One pattern, ready to run."""

    rule: str
    regexp: Any
    parts: frozenset[Part]
    borders: tuple[bool, bool]
    """Whether the hit must begin and end at a word border; (False, False) for expressions."""


class Patterns:
    """Finds the literals and expressions of a constitution's rules; a hit scores 1."""

    name = "patterns"
    identity = "patterns/1"
    instant = True

    def __init__(self, constitution: Constitution) -> None:
        """Compile every pattern.

        Raises:
            PatternError: one of them cannot be scanned safely; `wardlaw rules check` names them all.
        """
        import re2

        for rule_id, index, message, hint in check_patterns(constitution):
            raise PatternError(f"pattern {index + 1} of rule `{rule_id}`: {message}", hint)
        options = _options()
        self._filter = re2.Filter()
        self._compiled: list[_Compiled] = []
        for rule, _, pattern in _patterns(constitution):
            place = self._filter.Add(_expression(pattern), options)
            self._compiled.append(
                _Compiled(rule.id, self._filter.re(place), _watched(rule, pattern), _borders(pattern.literal or ""))
            )
        if self._compiled:
            self._filter.Compile()

    def covers(self, rule: Rule, part: Part) -> Cover:
        """A rule is covered where one of its patterns watches the part."""
        patterns = rule.detect.patterns if rule.detect else ()
        if not patterns:
            return Cover(why_not="it has no patterns")
        if not any(part in _watched(rule, pattern) for pattern in patterns):
            return Cover(why_not=f"none of its patterns watches the {part}")
        return Cover(by=self.name)

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        """Look at each exchange; see `Detector.scan`."""
        return [self._scan(exchange) for exchange in exchanges]

    def close(self) -> None:
        """Nothing to let go of."""

    def _scan(self, exchange: Exchange) -> Scan:
        findings: list[Finding] = []
        for part, text in parts(exchange):
            if text and self._compiled:
                findings.extend(self._find(part, text))
        if not findings:
            return NOTHING
        return Scan(tuple(findings), {finding.rule: 1.0 for finding in findings})

    def _find(self, part: Part, text: str) -> Iterator[Finding]:
        # A lone surrogate has no UTF-8 form: it becomes `?`, which keeps the count of characters.
        data = text.encode("utf-8", "replace")
        for place in self._filter.Match(data, True) or ():
            pattern = self._compiled[place]
            if part not in pattern.parts:
                continue
            for span in _spans(pattern, text, data):
                yield Finding(pattern.rule, part, span, self.name, 1.0, 1.0, excerpt=excerpt(text, span))


def check_patterns(constitution: Constitution) -> list[tuple[str, int, str, str]]:
    """Find the patterns that cannot be scanned safely.

    Returns:
        one (rule id, index in `detect.patterns` from 0, message, hint) a fault, in the order of the rules.
    """
    import re2

    faults = []
    for rule, index, pattern in _patterns(constitution):
        try:
            compiled = re2.compile(_expression(pattern), _options())
        except re2.error as error:
            faults.append((rule.id, index, *_explain(pattern, error)))
            continue
        if any(_empty_match(compiled, probe) for probe in ("", "a", "a b", " ", "1-a")):
            faults.append(
                (
                    rule.id,
                    index,
                    f"`{pattern.regex}` matches the empty string, so it would find itself in every text",
                    "ask for at least one character, as `+` for `*`",
                )
            )
        elif pattern.regex and _has_blind_border(pattern.regex):
            faults.append(
                (
                    rule.id,
                    index,
                    f"`{pattern.regex}` has `\\b` beside a letter that is not ASCII, where it never holds",
                    "leave that `\\b` out, or write the words as a `literal`, which knows the borders of every script",
                )
            )
    return faults


def _patterns(constitution: Constitution) -> Iterator[tuple[Rule, int, Pattern]]:
    for rule in constitution:
        for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
            yield rule, index, pattern


def _watched(rule: Rule, pattern: Pattern) -> frozenset[Part]:
    return frozenset(rule.watches if pattern.watches is None else set(pattern.watches) & set(rule.watches))


def _options() -> Any:
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.dot_nl = True  # a line break between two words must not hide them from `.{0,40}`
    options.log_errors = False  # errors are raised; the engine would also write them to stderr
    options.max_mem = MAX_MEMORY
    return options


def _expression(pattern: Pattern) -> str:
    import re2

    if pattern.regex is not None:
        return pattern.regex
    words = (pattern.literal or "").encode("utf-8", "replace").decode().split()
    return _SPACES.join(re2.escape(word) for word in words)


def _explain(pattern: Pattern, error: Exception) -> tuple[str, str]:
    cause = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
    what = f"`{pattern.regex or pattern.literal}`: {cause}"
    if "perl operator" in cause or "escape sequence" in cause:
        return what, "lookaround and backreferences cannot be scanned in linear time; say what must be there, plainly"
    if "too large" in cause or "repetition size" in cause:
        return what, "it takes too much memory; use smaller repetitions, as `.{0,40}`"
    return what, "write it in RE2 syntax"


def _empty_match(compiled: Any, text: str) -> bool:
    return any(match.start() == match.end() for match in islice(compiled.finditer(text), 8))


@lru_cache(maxsize=4096)
def _is_word(char: str) -> bool:
    """Whether the character belongs to a word in a script that has word borders. `_` does not: it marks emphasis."""
    if _NO_BORDERS.match(char):
        return False
    return char.isalnum() or (unicodedata.category(char)[0] == "M" and not "\ufe00" <= char <= "\ufe0f")


def _has_blind_border(regex: str) -> bool:
    return any((hit["after"] or hit["before"]).isalnum() for hit in _BLIND_BORDER.finditer(regex))


def _borders(literal: str) -> tuple[bool, bool]:
    return (_is_word(literal[0]), _is_word(literal[-1])) if literal else (False, False)


def _spans(pattern: _Compiled, text: str, data: bytes) -> Iterator[tuple[int, int]]:
    """Spans of the hits as character offsets; at most MAX_SPANS, the last to the end of the text."""
    before, after = pattern.borders
    ascii_only = len(data) == len(text)
    at = byte = char = count = 0
    while match := pattern.regexp.search(data, at):
        first, last = match.span()
        if first == last:
            at = last + 1
            continue
        if ascii_only:
            start, end = first, last
        else:
            # Counted from the hit before, so that all hits together cost one walk over the text.
            start = char + len(data[byte:first].decode("utf-8", "replace"))
            end = start + len(data[first:last].decode("utf-8", "replace"))
            byte, char = first, start
        if (before and start and _is_word(text[start - 1])) or (after and end < len(text) and _is_word(text[end])):
            at = first + 1  # not `last`: a whole word may begin inside a hit that is none
            continue
        count += 1
        if count == MAX_SPANS:
            yield start, len(text)
            return
        yield start, end
        at = last
