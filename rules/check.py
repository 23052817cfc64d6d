"""What the lints of `rules.lints` say of the rules of a constitution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rules.collecting import uncollected
from rules.conflicts import Conflict, conflicts
from rules.errors import Location
from rules.lints import lints
from rules.loaded import Loaded
from rules.misplaced import misplaced

SPOKEN = ("title", "rule", "why", "critique", "revision", "reply")
"""What a rule says in prose, by language or in one for all."""

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Company:
    """What the rules of a constitution have in common."""

    rules: int
    speaking: Mapping[tuple[str, str], int]
    """(field, language) -> how many rules have the field in that language itself."""
    cuts: Mapping[str, tuple[tuple[tuple[str | int, ...], str], ...]]
    """Rule -> its texts that a comment cuts off: keys, and the first word of the comment."""
    begins: Mapping[str, tuple[tuple[tuple[str | int, ...], str], ...]]
    """Rule -> its texts that begin like a key or an item of a list, and with what: see `rules.misplaced`."""
    conflicts: Mapping[str, tuple[Conflict, ...]]
    """Rule -> its texts that another rule says the opposite of."""

    @classmethod
    def of(cls, loaded: Loaded) -> Company:
        """Count once, for all lints of all rules."""
        constitution = loaded.constitution
        texts = [(name, getattr(rule, name)) for rule in constitution for name in SPOKEN]
        found = ((name, tag) for name, text in texts for tag in LANGUAGES if text is not None and text.speaks(tag))
        cuts = {rule.id: tuple(loaded.cuts(rule.id)) for rule in constitution}
        begins = {rule.id: tuple(misplaced(rule, loaded.begins(rule.id))) for rule in constitution}
        return cls(len(constitution), Counter(found), cuts, begins, conflicts(loaded))


@dataclass(frozen=True, slots=True)
class Issue:
    """One weakness of one rule."""

    code: str
    severity: Literal["error", "warning"]
    rule: str
    where: Location
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.severity}: {self.message} [{self.code}]\n  hint: {self.hint}"


def check(loaded: Loaded) -> tuple[Issue, ...]:
    """All weaknesses of a constitution, in the order of its rules."""
    with uncollected():
        company = Company.of(loaded)
        issues = [
            Issue(each.code, each.severity, rule.id, loaded.locate(rule.id, *keys), f"rule `{rule.id}` {what}", hint)
            for rule in loaded.constitution
            for each in lints()
            for keys, what, hint in each.find(rule, company)
        ]
    return tuple(issues)
