"""The pattern detector: all literals and expressions of all rules, in time linear in the text.

`guard.patterns` holds the engine: one database that names the few patterns that may be in a text, and RE2 for their
spans. Each view of a text is scanned. Hidden characters are findings of their own where a rule names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from guard.detectors.base import NOTHING, Cover, Scan, excerpt, parts
from guard.exchange import Exchange
from guard.patterns.base import MAX_SPANS, Entry
from guard.patterns.borders import has_blind_border
from guard.patterns.hidden import VIEW, HiddenRules, HiddenStream, escaped
from guard.patterns.search import Search
from guard.patterns.stream import PatternStream, StreamHit
from guard.verdict import Finding
from guard.views import views
from guard.views.escapes import read_json
from rules.errors import WardlawError
from rules.schema import Constitution, Part, Pattern, Rule

__all__ = ["MAX_SPANS", "PatternError", "PatternStream", "Patterns", "StreamHit", "check_patterns"]

CAPPED = "the text is encoded deeper, or in more ways, than is looked into"
"""What coverage says of a text some of whose views the limits left out."""

LONG_LITERAL = 1000
"""Characters from which a literal may take more memory than RE2 is given."""


class PatternError(WardlawError):
    """A pattern cannot be scanned safely."""


class Patterns:
    """Finds the literals and expressions of a constitution's rules, and what is hidden in a text; a hit scores 1."""

    name = "patterns"
    instant = True
    skips_clear = False

    def __init__(self, constitution: Constitution, *, engine: str = "auto", cache: Path | None = None) -> None:
        """Compile every pattern.

        Args:
            constitution: the rules to look for.
            engine: `hyperscan`, `re2`, or `auto`: hyperscan where it runs. Both find the same.
            cache: folder for compiled databases; the user's cache folder where it is left out.

        Raises:
            PatternError: one of them cannot be scanned safely; `wardlaw rules check` names them all.
            Unavailable: the engine asked for does not run on this machine.
        """
        entries = []
        for rule, index, pattern in _patterns(constitution):
            entry = Entry.of(rule.id, _watched(rule, pattern), pattern)
            for message, hint in _faults(pattern, entry):
                raise PatternError(f"pattern {index + 1} of rule `{rule.id}`: {message}", hint)
            entries.append(entry)
        self._search = Search(entries, engine=engine, folder=cache)
        self._hidden = HiddenRules(constitution)

    @property
    def identity(self) -> str:
        """The version of the scan. Not the engine: the findings do not depend on it."""
        return "patterns/4"

    @property
    def engine(self) -> str:
        """The engine that runs: `hyperscan` or `re2`."""
        return self._search.engine.name

    def covers(self, rule: Rule, part: Part) -> Cover:
        """A rule is covered where one of its patterns watches the part, or hidden characters break it."""
        patterns = rule.detect.patterns if rule.detect else ()
        if rule.detect and rule.detect.hidden and part in rule.watches:
            return Cover(by=self.name)
        if not patterns:
            return Cover(why_not="it has no patterns")
        if not any(part in _watched(rule, pattern) for pattern in patterns):
            return Cover(why_not=f"none of its patterns watches the {part}")
        return Cover(by=self.name)

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        """Look at each exchange; see `Detector.scan`."""
        return [self._scan(exchange) for exchange in exchanges]

    def stream(self, part: Part) -> PatternStream:
        """A scan of one channel of a stream, which is fed as it comes."""
        return PatternStream(
            self._search, part, HiddenStream(self._hidden, part) if self._hidden.watched(part) else None
        )

    def close(self) -> None:
        """Nothing to let go of."""

    def _scan(self, exchange: Exchange) -> Scan:
        findings: list[Finding] = []
        capped = False
        for part, text in parts(exchange):
            if not self._search.entries and not self._hidden.watched(part):
                continue
            before = len(findings)
            seen = views(text)
            capped = capped or seen.capped
            for hit in self._search.find(part, text, seen):
                rule, span = self._search.entries[hit.place].rule, (hit.start, hit.end)
                findings.append(Finding(rule, part, span, self.name, 1.0, 1.0, hit.view, excerpt(text, span)))
            for rule, kind, start, end in self._hidden.broken(part, seen.hidden):
                shown = escaped(text[start:end])
                findings.append(Finding(rule, part, (start, end), self.name, 1.0, 1.0, VIEW + kind, shown))
            if part is Part.TOOL_CALL and "\\" in text:
                inner, left_out = self._read_json(part, text, findings[before:])
                findings += inner
                capped = capped or left_out
        if not findings and not capped:
            return NOTHING
        scores = {finding.rule: 1.0 for finding in findings}
        return Scan(tuple(findings), scores, partial=CAPPED if capped else "")

    def _read_json(self, part: Part, text: str, known: Sequence[Finding]) -> tuple[list[Finding], bool]:
        """What the strings of a tool's arguments say once their escapes are read, as the tool will read them.

        Args:
            part: what the text is.
            text: JSON.
            known: what was found in it as it stands, which is not told again.

        Returns:
            findings, and whether the limits left views out.
        """
        read = read_json(text)
        if read is None:
            return [], False
        inner, origin = read
        seen = views(inner)
        hits = [
            (self._search.entries[hit.place].rule, (hit.start, hit.end), hit.view)
            for hit in self._search.find(part, inner, seen)
        ]
        hits += [(rule, (start, end), VIEW + kind) for rule, kind, start, end in self._hidden.broken(part, seen.hidden)]
        findings = []
        for rule, within, view in hits:
            start, end = span = origin.span(*within)
            if not any(one.rule == rule and one.span[0] <= start and end <= one.span[1] for one in known):
                name = "json" if view == "raw" else f"json>{view}"
                findings.append(Finding(rule, part, span, self.name, 1.0, 1.0, name, excerpt(text, span)))
        return findings, seen.capped


def check_patterns(constitution: Constitution) -> list[tuple[str, int, str, str]]:
    """Find the patterns that cannot be scanned safely.

    Returns:
        one (rule id, index in `detect.patterns` from 0, message, hint) a fault, in the order of the rules.
    """
    return [
        (rule.id, index, message, hint)
        for rule, index, pattern in _patterns(constitution)
        for message, hint in _faults(pattern, Entry.of(rule.id, frozenset(), pattern))
    ]


def _faults(pattern: Pattern, entry: Entry) -> Iterator[tuple[str, str]]:
    """What is wrong with a pattern: message and hint, at most one."""
    import re2

    if entry.words == "":
        yield f"`{pattern.literal}` holds nothing to look for", "write the words themselves"
        return
    if entry.words is not None and len(entry.words) < LONG_LITERAL:
        return  # plain words always compile; doing so for thousands of them would slow every start
    try:
        compiled = entry.regexp
    except re2.error as error:
        yield _explain(pattern, error)
        return
    if any(_empty_match(compiled, probe) for probe in ("", "a", "a b", " ", "1-a")):
        yield (
            f"`{pattern.regex}` matches the empty string, so it would find itself in every text",
            "ask for at least one character, as `+` for `*`",
        )
    elif pattern.regex and has_blind_border(pattern.regex):
        yield (
            f"`{pattern.regex}` has `\\b` beside a letter that is not ASCII, where it never holds",
            "leave that `\\b` out, or write the words as a `literal`, which knows the borders of every script",
        )


def _patterns(constitution: Constitution) -> Iterator[tuple[Rule, int, Pattern]]:
    for rule in constitution:
        for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
            yield rule, index, pattern


def _watched(rule: Rule, pattern: Pattern) -> frozenset[Part]:
    return frozenset(rule.watches if pattern.watches is None else set(pattern.watches) & set(rule.watches))


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
