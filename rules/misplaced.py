"""Texts that begin like a key or an item of a list, where people would write one: YAML takes them for text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rules.rule_file import RULE_KEYS
from rules.schema import Rule

_IN_EXAMPLES = frozenset({"prompt", "response", "messages", "note", "role", "content", "breaks", "keeps"})
_IN_DEMONSTRATIONS = frozenset({"prompt", "answer", "critique", "revision", "language", "quotes", "problem", "verdict"})
_SPOKEN = frozenset({"title", "rule", "why", "critique", "revision", "reply", "choice", "probe", "allowed"})
_LANGUAGES = frozenset({"en", "zh", "zh-CN", "zh-TW"})
"""Tags that are looked for: `no`, `it` and `is` begin many a sentence."""

Begun = tuple[tuple[str | int, ...], tuple[str, ...], frozenset[str]]


def misplaced(rule: Rule, begun: Iterable[Begun]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The texts of a rule that were probably meant as something else.

    Args:
        rule: the rule.
        begun: what `Loaded.begins` says of it.

    Returns:
        keys to the text, and what a line of it begins with: a key that does not stand beside the text already, `-` for
        a bullet, `0` for an example that is a number.
    """
    for keys, words, beside in begun:
        possible = _possible(rule, str(keys[0])) - beside
        found = next((word for word in words if word in possible), None)
        if found is not None:
            yield keys, found


def _possible(rule: Rule, field: str) -> frozenset[str]:
    if field in ("examples", "tests"):
        return _IN_EXAMPLES | {"-", "0"}
    if field == "demonstrations":
        return _IN_DEMONSTRATIONS
    if field in _SPOKEN:
        return (frozenset(RULE_KEYS) - rule.model_fields_set) | _LANGUAGES | {"-"}
    return frozenset()
