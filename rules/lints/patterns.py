"""Lints of patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.lints import Found, lint
from rules.lints._texts import everything
from rules.schema import Rule
from rules.words import listed, quoted

if TYPE_CHECKING:
    from rules.check import Company

_QUOTES = "“”„‟‘’‚‛«»‹›「」『』＂＇"  # the very characters that are mistaken


@lint("warning")
def literal_hits_near_miss(rule: Rule, _: Company) -> Iterator[Found]:
    """A literal pattern is found in a text that keeps the rule: a false alarm that is known beforehand."""
    for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
        if pattern.literal is None:
            continue
        for path, example in everything(rule):
            watched = example.part in (pattern.watches or rule.watches)
            if path[1] == "keeps" and watched and _holds(example.text, pattern.literal):
                what = f"has the literal {quoted(pattern.literal)}, which its own near miss holds:"
                hint = "write a narrower pattern, or leave the case to `meaning`"
                yield ("detect", "patterns", index), f"{what} {quoted(example.text)}", hint


@lint("warning")
def quoted_pattern(rule: Rule, _: Company) -> Iterator[Found]:
    """A pattern stands in typographic quotes, which YAML takes for a part of it."""
    for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
        text = pattern.literal or pattern.regex or ""
        if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
            key = "literal" if pattern.literal else "regex"
            what = f"has a pattern in typographic quotes, and looks for these too: {quoted(text)}"
            yield ("detect", "patterns", index, key), what, "write plain single quotes `'` in their place"


@lint("error")
def pattern_looks_elsewhere(rule: Rule, _: Company) -> Iterator[Found]:
    """A pattern watches a part that its rule does not, and so never acts."""
    for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
        strangers = [part for part in pattern.watches or () if part not in rule.watches]
        if strangers:
            what = f"has a pattern that watches {listed(strangers)}, which the rule does not"
            yield ("detect", "patterns", index, "watches"), what, "add it to the rule's `watches`, or take it out here"


def _holds(text: str, literal: str) -> bool:
    """Whether a literal stands in a text, as whole words where the script has word borders."""
    literal = literal.casefold()
    words = r"\s+".join(re.escape(word) for word in literal.split())
    before = r"(?<![a-z0-9])" if re.match(r"[a-z0-9]", literal) else ""
    after = r"(?![a-z0-9])" if re.search(r"[a-z0-9]$", literal) else ""
    return re.search(before + words + after, text.casefold()) is not None
