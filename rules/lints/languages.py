"""Lint of the languages that a rule is written in."""

from __future__ import annotations

from collections.abc import Iterator

from rules.check import LANGUAGES, SPOKEN, Company
from rules.lints import Found, lint
from rules.schema import Rule, Text


@lint("warning")
def missing_language(rule: Rule, company: Company) -> Iterator[Found]:
    """A text that is written by language lacks `en` or `zh`, and more than half of the rules have it in that one."""
    for name in SPOKEN:
        text: Text | None = getattr(rule, name)
        if text is None or "und" in text.root:  # a plain string serves every language
            continue
        for language in LANGUAGES:
            speaking = company.speaking.get((name, language), 0)
            if not text.speaks(language) and speaking * 2 > company.rules:
                what = f"has no `{language}` in `{name}`, which {speaking} other rules have"
                yield (name,), what, f"add `{language}:` to it"
