"""Texts that one rule's examples call fine and another's call a break: two people's edits that cannot both hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rules.loaded import Loaded
from rules.schema import Example, Rule, Turn

Path: TypeAlias = tuple[str | int, ...]
Said: TypeAlias = tuple[tuple[str, str], ...]

_MARKS = re.compile(r"[^\w]+")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A text of one rule, and where another rule says the opposite of it."""

    path: Path
    """Keys from the rule to the text that it calls fine."""
    text: str
    other: str
    """Id of the rule that calls it a break."""
    where: str
    """Place of the text there."""


def conflicts(loaded: Loaded) -> Mapping[str, tuple[Conflict, ...]]:
    """Rule -> its near misses and revisions that break another rule by that one's own examples or tests.

    Texts are the same where they differ by letter case, spacing and marks alone.
    """
    breaking: dict[Said, tuple[str, Path]] = {}
    for rule in loaded.constitution:
        for path, said, _ in _breaking(rule):
            breaking.setdefault(said, (rule.id, path))
    found: dict[str, list[Conflict]] = {}
    for rule in loaded.constitution:
        for path, said, text in _fine(rule):
            other = breaking.get(said)
            if other is not None and other[0] != rule.id:
                where = str(loaded.locate(other[0], *other[1]))
                found.setdefault(rule.id, []).append(Conflict(path, text, other[0], where))
    return {rule_id: tuple(each) for rule_id, each in found.items()}


def _breaking(rule: Rule) -> Iterator[tuple[Path, Said, str]]:
    for name, group in (("examples", rule.examples), ("tests", rule.tests)):
        for index, example in enumerate(group.breaks):
            yield (name, "breaks", index), _said(example.messages), example.text


def _fine(rule: Rule) -> Iterator[tuple[Path, Said, str]]:
    for name, group in (("examples", rule.examples), ("tests", rule.tests)):
        for index, example in enumerate(group.keeps):
            yield (name, "keeps", index), _said(example.messages), example.text
    for index, shown in enumerate(rule.demonstrations):
        if shown.revision is not None:
            turns = (Turn(role="user", content=shown.prompt),) if isinstance(shown.prompt, str) else shown.prompt
            revised = Example(messages=(*turns, Turn(role="assistant", content=shown.revision)))
            yield ("demonstrations", index, "revision"), _said(revised.messages), shown.revision


def _said(turns: tuple[Turn, ...]) -> Said:
    return tuple((turn.role, _MARKS.sub(" ", turn.content.casefold()).strip() or turn.content) for turn in turns)
