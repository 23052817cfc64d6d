"""What the YAML parser says of a file that is no YAML -> what a person has to mend, at its place."""

from __future__ import annotations

import re
from typing import Any

import yaml

from rules.errors import Location, RuleError
from rules.slips import find_cut, find_slip
from rules.words import quoted

_BEGINNING = "text cannot begin with this character"
_STEP = ("this does not fit what stands before it", "indent what belongs together alike; quote text that holds quotes")
_WHOLE = "put the whole text in single quotes, and write a `'` inside it twice"
_IN_OTHER_WORDS = (
    ("mapping values are not allowed", "a second `: ` on this line", "quote the text, or put it under `>-`"),
    ("sequence entries are not allowed", "a list begins on the line of its key", "put each `- ` on a line of its own"),
    ("tab character", "a tab in the indent", "indent with spaces"),
    (
        "cannot start any token",
        _BEGINNING,
        "put the whole text in single quotes",
    ),
    ("expected ',' or", "this bracket is not closed, or lacks a comma", "quote text that holds `,`, `[` or `{`"),
    ("could not find expected ':'", "this key lacks its `: `", "indent the lines of a text deeper than its key"),
    (
        "unexpected end of stream",
        "this quote is not closed",
        "close it with the quote that it begins with; inside single quotes, write a quote twice",
    ),
    ("escape", "an escape that YAML does not know", "use single quotes for text with backslashes"),
    ("alphabetic or numeric", _BEGINNING, _WHOLE),
    ("node content", "a value is missing, or a bracket is not closed", "quote text that holds `,`, `[` or `{`"),
    ("expected key", *_STEP),
    ("expected <block end>", *_STEP),
    ("'-' indicator", *_STEP),
    ("<document start>", *_STEP),
)
"""What the parser says, what that means, and what to do."""

_AT_THE_OPENING = ("expected ',' or", "could not find expected ':'", "unexpected end of stream")
"""Faults that the parser sees only at the end of what began them: the beginning is where a person has to look."""

_STEPS = ("expected key", "expected <block end>", "'-' indicator")
_OPENING = re.compile(r"\s*(?:- +)*(?:[\w-]+: +)?(?=([\[{*&\"']))")
_LOOK_BACK = 3
"""Lines above a fault in which its cause is looked for."""


def syntax_error(error: yaml.MarkedYAMLError, text: str, path: str, last: Any) -> RuleError:
    """The fault behind an error of the parser.

    Args:
        error: what the parser raised.
        text: the document.
        path: what errors call it.
        last: the event before the error, if there was one.
    """
    problem = error.problem or str(error)
    opening = any(theirs in problem for theirs in _AT_THE_OPENING)
    marks = (error.context_mark, error.problem_mark) if opening else (error.problem_mark, error.context_mark)
    mark, problem_mark = marks[0] or marks[1], error.problem_mark or error.context_mark
    if mark is None or problem_mark is None:
        return RuleError(Location(path), f"not YAML: {quoted(problem, 120)}", _STEP[1])
    lines = text.split("\n")
    seen_at = problem_mark.line
    # what people mistype shows lines later at times, and as something else: it is looked for first
    found = (
        _slip(lines, (seen_at,), path)
        or _begun(error, lines, path, last)
        or _slip(lines, range(seen_at - 1, max(-1, min(seen_at, mark.line) - _LOOK_BACK - 1), -1), path)
        or _cut(problem, lines, seen_at, path)
        or _too_deep(problem, lines, mark, path)
    )
    if found is not None:
        return found
    where = Location(path, mark.line + 1, mark.column + 1)
    if lines[mark.line : mark.line + 1] and lines[mark.line][mark.column : mark.column + 1] == "\t":
        problem = "tab character"  # the C parser does not say which character it cannot begin with
    for theirs, ours, hint in _IN_OTHER_WORDS:
        if theirs in problem:
            if ours is _BEGINNING and lines[mark.line : mark.line + 1]:
                ours = _beginning(lines[mark.line][mark.column : mark.column + 1])
            return RuleError(where, f"not YAML: {ours}", hint)
    return RuleError(where, f"not YAML: {problem}", "see that quotes and brackets are closed and lines are in step")


def _beginning(char: str) -> str:
    """What cannot begin a text, by its name."""
    if not char.isprintable() or not char:
        return _BEGINNING
    return f"text cannot begin with {'a backtick' if char == '`' else quoted(char)}"


def _slip(lines: list[str], numbers: Any, path: str) -> RuleError | None:
    for number in numbers:
        slip = find_slip(lines[number]) if number < len(lines) else None
        if slip is not None:
            column, what, hint = slip
            return RuleError(Location(path, number + 1, column + 1), what, hint)
    return None


def _begun(error: yaml.MarkedYAMLError, lines: list[str], path: str, last: Any) -> RuleError | None:
    """A text that YAML took for something else by its first character, or a quote that was closed lines too late."""
    mark, problem = error.problem_mark, error.problem or ""
    if mark is None or mark.line >= len(lines):
        return None
    if isinstance(last, yaml.ScalarEvent) and last.style in ("'", '"'):
        start, end = last.start_mark, last.end_mark
        if start and end and start.line < end.line == mark.line and any(theirs in problem for theirs in _STEPS):
            hint = f"close it on its line with `{last.style}`"
            return RuleError(
                Location(path, start.line + 1, start.column + 1), "not YAML: this quote is not closed", hint
            )
    found = _OPENING.match(lines[mark.line])
    if found is None or mark.column <= found.end():
        return None
    if any(theirs in problem for theirs in (*_STEPS, "alphabetic or numeric")):
        where = Location(path, mark.line + 1, found.end() + 1)
        what = f"not YAML: a text that begins with `{found[1]}` and goes on after it"
        if found[1] in "*&":
            what = f"not YAML: text cannot begin with `{found[1]}`"
        return RuleError(where, what, _WHOLE)
    return None


def _cut(problem: str, lines: list[str], number: int, path: str) -> RuleError | None:
    if not any(theirs in problem for theirs in (*_STEPS, "expected ',' or", "could not find expected ':'")):
        return None
    for at in range(min(number, len(lines) - 1), max(-1, number - 2), -1):
        cut = find_cut(lines[at])
        if cut is not None:
            column, word = cut
            hint = "quote the line if the rest belongs to it"
            return RuleError(Location(path, at + 1, column + 1), f"not YAML: the text ends before {quoted(word)}", hint)
    return None


def _too_deep(problem: str, lines: list[str], mark: Any, path: str) -> RuleError | None:
    if "mapping values are not allowed" not in problem or mark.line >= len(lines):
        return None
    before = lines[mark.line][: mark.column]
    if not re.fullmatch(r" *[a-z_]+", before):
        return None
    key = before.strip()
    where = Location(path, mark.line + 1, len(before) - len(key) + 1)
    hint = "put it under the first letter of the key above; if it is text, quote the whole text"
    return RuleError(where, f"not YAML: `{key}` is indented deeper than the keys beside it", hint)
