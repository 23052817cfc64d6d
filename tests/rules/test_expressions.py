from __future__ import annotations

import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.expressions import BadExpression, matches_nothing_at_all

PIECES = [
    *"ab()|*+?^$.-:",
    "[a-z]",
    "[^x]",
    "[]a]",
    "[[:alpha:]]",
    "(?:",
    "(?i)",
    "(?P<n>",
    "{2}",
    "{0,3}",
    "\\d",
    "\\pL",
]
PIECES += ["\\p{Han}", "\\x{41}", "\\x41", "(?=", "(?<!", "\\1", "*?", "++", "{1001}", "\\]", "\\z"]


def engine_says(expression: str) -> bool | None:
    """Whether re2 finds it in the empty string; None where it refuses it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options).search("") is not None
    except re2.error:
        return None


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7))
def test_what_is_refused_or_matches_nothing_is_what_the_engine_says(pieces: list[str]) -> None:
    expression = "".join(pieces)
    try:
        ours: bool | None = matches_nothing_at_all(expression)
    except BadExpression:
        ours = None
    theirs = engine_says(expression)
    # the engine lets a repeat follow a flag group, and repeats what stood before it: nobody means that
    if not (ours is None and "(?i)" in expression and theirs is not None):
        assert ours == theirs, expression


def test_a_border_alone_matches_nothing_and_is_seen() -> None:
    assert matches_nothing_at_all(r"\b")
    assert not matches_nothing_at_all(r"\bthermite\b.{0,40}\b(make|mix)\b")
