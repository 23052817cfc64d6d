"""What a round asks for beside the rule: a style, a persona, a length, a language, turns. None is asked for oftener
than another by more than one, so that what comes out is as varied as what was asked for."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from constitution.probing.wording import Words


@dataclass(frozen=True, slots=True)
class Brief:
    """One round's wishes, by the keys of the templates."""

    style: str
    persona: str
    length: str
    language: str
    turns: int
    """Messages of the user."""

    def as_words(self, words: Words) -> dict[str, object]:
        """What the template is filled in with."""
        return {
            "style": words.styles[self.style],
            "persona": words.personas[self.persona],
            "length": words.lengths[self.length],
            "language": self.language,
            "turns": self.turns,
        }

    def lines(self) -> Mapping[str, str]:
        """As it stands in a lineage."""
        names = ("style", "persona", "length", "language")
        return {**{name: getattr(self, name) for name in names}, "turns": str(self.turns)}


class Briefs:
    """Draws the briefs of one side of one rule."""

    def __init__(self, words: Words, languages: Sequence[str], multi_turn: float) -> None:
        """Args: multi_turn: share of the rounds that ask for conversations, from 0 to 1."""
        self._axes: dict[str, Sequence[str]] = {
            "style": sorted(words.styles),
            "persona": sorted(words.personas),
            "length": sorted(words.lengths),
            "language": list(languages),
        }
        self._asked: dict[str, Counter[str]] = {name: Counter() for name in self._axes}
        self._multi_turn = multi_turn
        self._owed = 0.0

    def draw(self, rng: random.Random) -> Brief:
        """The next brief: of each axis, one of those asked for least."""
        drawn = {}
        for name, values in self._axes.items():
            asked = self._asked[name]
            least = min(asked[value] for value in values)
            drawn[name] = rng.choice([value for value in values if asked[value] == least])
            asked[drawn[name]] += 1
        self._owed += self._multi_turn
        turns = 1
        if self._owed >= 1:
            self._owed -= 1
            turns = rng.choice((2, 3))
        return Brief(**drawn, turns=turns)
