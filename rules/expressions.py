"""Which regular expressions a rule may hold: those an engine scans in time linear in the text, whatever the text.

A small reader of RE2's syntax. It refuses what needs backtracking (lookaround, backreferences, atomic groups,
possessive repeats) and tells whether an expression matches the empty string. It lets some faults through that only
the engine sees (an unknown `\\p{...}`); `guard.detectors.patterns` compiles every pattern and has the last word.

Source: RE2 syntax, and its limits of 1,000 on a counted repeat and on nesting.
"""

from __future__ import annotations

import re

MAX_REPEAT = 1000
MAX_DEPTH = 200
"""Of nested groups; this reader recurses."""

_COUNTED = re.compile(r"\{(\d+)(,(\d*))?\}")
_REPEAT = re.compile(r"[*+?]|\{\d+(,\d*)?\}")
_GROUPS = (
    (("?=", "?!"), "lookahead", "name the words themselves, and put what may not follow under `examples: keeps`"),
    (("?<=", "?<!"), "lookbehind", "name the words before it too, or use `\\b`"),
    (("?>",), "an atomic group", "write `(?:`: in linear time there is nothing to give back"),
    (("?(",), "a conditional", "write two patterns"),
    (("?P=",), "a backreference", "write the words out, or leave the case to `meaning`"),
    (("?R", "?&", "?0", "?1", "?P>"), "recursion", "write the nesting out to the depth that you need"),
)
_FLAGS_OR_NAME = re.compile(r"\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?([:)]))")
_WITHOUT_WIDTH = "bBAz"
_NOT_IN_RE2 = {
    "Z": "`\\z`",
    "G": "`\\A`",
    "K": "a group",
    "R": "`\\r?\\n`",
    "X": "`.`",
    "h": "`[ \\t]`",
    "N": "`[^\\n]`",
}


class BadExpression(ValueError):
    """An expression that no rule may hold; `offset` counts characters from 0."""

    def __init__(self, offset: int, what: str, hint: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what
        self.hint = hint


def matches_nothing_at_all(expression: str) -> bool:
    """Whether the expression matches the empty string, and so every text.

    Raises:
        BadExpression: it is none that can be scanned in linear time.
    """
    reader = _Reader(expression)
    nullable = reader.alternatives(0)
    if reader.at < len(expression):
        raise BadExpression(reader.at, "`)` closes nothing", "write `\\)` for the character itself")
    return nullable


class _Reader:
    """Reads one expression from left to right; each method returns whether what it read matches the empty string."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def alternatives(self, depth: int) -> bool:
        if depth > MAX_DEPTH:
            raise BadExpression(self.at, f"groups nested deeper than {MAX_DEPTH}", "write several patterns")
        nullable = self.sequence(depth)
        while self.text.startswith("|", self.at):
            self.at += 1
            nullable = self.sequence(depth) or nullable
        return nullable

    def sequence(self, depth: int) -> bool:
        nullable = True
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            atom = self.atom(depth)
            atom = self.repeats(atom)
            nullable = nullable and atom
        return nullable

    def atom(self, depth: int) -> bool:
        start, char = self.at, self.text[self.at]
        self.at += 1
        if char == "(":
            return self.group(start, depth)
        if char == "[":
            return self.char_class(start)
        if char == "\\":
            return self.escape(start)
        if char in "*+?" or _COUNTED.match(self.text, start):
            raise BadExpression(start, f"`{char}` repeats nothing", f"write `\\{char}` for the character itself")
        return char in "^$"

    def group(self, start: int, depth: int) -> bool:
        for openings, name, hint in _GROUPS:
            for opening in openings:
                if self.text.startswith(opening, self.at):
                    raise BadExpression(start, f"`({opening}` is {name}, which cannot be scanned in linear time", hint)
        if self.text.startswith("?#", self.at):
            raise BadExpression(start, "RE2 knows no comments `(?#`", "write it behind a `#` of YAML")
        if self.text.startswith("?", self.at):
            found = _FLAGS_OR_NAME.match(self.text, self.at)
            if found is None:
                raise BadExpression(start, "`(?` opens no group that RE2 knows", "write `(?:` for a plain group")
            self.at = found.end()
            if found[1] == ")":  # flags alone, to the end of the group
                if _REPEAT.match(self.text, self.at):
                    raise BadExpression(self.at, f"`{self.text[self.at]}` repeats nothing", "put it before the flags")
                return True
        nullable = self.alternatives(depth + 1)
        if not self.text.startswith(")", self.at):
            raise BadExpression(start, "`(` is not closed", "write `\\(` for the character itself")
        self.at += 1
        return nullable

    def char_class(self, start: int) -> bool:
        if self.text.startswith("^", self.at):
            self.at += 1
        first = self.at
        while self.at < len(self.text) and (self.text[self.at] != "]" or self.at == first):
            if self.text.startswith("[:", self.at) and self.text.find(":]", self.at, self.at + 20) > 0:
                self.at = self.text.index(":]", self.at) + 1
            elif self.text[self.at] == "\\":
                self.at += 1
            self.at += 1
        if self.at >= len(self.text):
            raise BadExpression(start, "`[` is not closed", "write `\\[` for the character itself")
        self.at += 1
        return False

    def escape(self, start: int) -> bool:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if not char:
            raise BadExpression(start, "a lone `\\` at the end", "write `\\\\` for the character itself")
        if char in "123456789" or (char in "gk" and self.text[self.at : self.at + 1] in ("{", "<", "'")):
            raise BadExpression(
                start,
                f"`\\{char}` is a backreference, which cannot be scanned in linear time",
                "write the words out, or leave the case to `meaning`",
            )
        if char in _NOT_IN_RE2:
            raise BadExpression(start, f"RE2 does not know `\\{char}`", f"write {_NOT_IN_RE2[char]}")
        if char == "Q":
            end = self.text.find("\\E", self.at)
            inside = self.text[self.at : end if end >= 0 else len(self.text)]
            self.at = len(self.text) if end < 0 else end + 2
            return not inside
        if char in "pPx" and self.text.startswith("{", self.at):
            end = self.text.find("}", self.at)
            if end < 0:
                raise BadExpression(start, f"`\\{char}{{` is not closed", "close it with `}`")
            self.at = end + 1
        elif char in "pPx":
            self.at += 2 if char == "x" else 1
        return char in _WITHOUT_WIDTH

    def repeats(self, nullable: bool) -> bool:
        """Read what repeats the atom before."""
        start, char = self.at, self.text[self.at : self.at + 1]
        counted = _COUNTED.match(self.text, self.at)
        if counted:
            bounds = (counted[1].lstrip("0"), (counted[3] or "").lstrip("0"))
            # their length first: Python refuses to read a number of thousands of digits
            if any(len(bound) > 4 or int(bound or 0) > MAX_REPEAT for bound in bounds):
                raise BadExpression(start, f"`{counted[0]}` repeats more than {MAX_REPEAT} times", "ask for fewer")
            self.at = counted.end()
            nullable = nullable or not bounds[0]
        elif char and char in "*+?":
            self.at += 1
            nullable = nullable or char in "*?"
        else:
            return nullable
        if self.text.startswith("?", self.at):  # lazy: as linear as the greedy one
            self.at += 1
        after = self.text[self.at : self.at + 1]
        if after == "+":
            raise BadExpression(
                start,
                f"`{self.text[start : self.at + 1]}` is a possessive repeat, which cannot be scanned in linear time",
                "drop the last `+`",
            )
        if (after and after in "*?") or _COUNTED.match(self.text, self.at):
            raise BadExpression(start, f"`{self.text[start : self.at]}` is repeated once more", "drop one of the two")
        return nullable
