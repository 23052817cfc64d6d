"""What a text must pass to become a probe of one side: readable as a request, new, and no one else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from constitution.probing.novelty import Pool
from constitution.probing.probe import Novelty, Probe, identify
from constitution.probing.reading import is_recipe
from constitution.probing.recipe import Recipe
from constitution.probing.seeds import Seed
from guard.exchange import Message
from guard.language import language_of, script_of

_LIKE_OTHER_SIDE = 0.9
"""ROUGE-L from which a probe says what one of the other kind says; twins differ by a word or two and stay below."""
_SURE_LETTERS = 60
_OTHER_SCRIPTS = frozenset({"ja", "ko", "zh", "ar", "he", "hi", "th", "el", "ru", "uk", "bg", "fa"})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is of no use."""

    reason: str
    """One word of `side.REASONS`."""
    detail: str = ""


class Sieve:
    """The filters that ask no model. Seeds and kept probes are what a text has to be unlike."""

    def __init__(self, recipe: Recipe, seeds: Sequence[Seed], *, pool: Pool, tests: Pool, others: Pool) -> None:
        """Get ready.

        Args:
            recipe: the thresholds.
            seeds: what people wrote of the side.
            pool: an empty one, for what is there.
            tests: the tests of all rules.
            others: probes of the other kind, of all rules.
        """
        self._recipe = recipe
        self._pool, self._tests, self._others = pool, tests, others
        self._pool.extend((seed.id, seed.text) for seed in seeds)
        self._read: set[str] = set()

    def sift(self, messages: Sequence[Message], language: str) -> Fault | None:
        """What is wrong with a text that was just written; nothing where it may become a probe."""
        text = messages[-1].content
        name = identify(messages)
        if name in self._read:
            return Fault("repeats", "letter for letter a text of an earlier round")
        self._read.add(name)
        if is_recipe(messages):
            return Fault("recipe")
        if not in_language(text, language):
            return Fault("other_language", f"asked for `{language}`")
        if self._tests.has_like(text, self._recipe.rouge):
            return Fault("like_a_test")
        novelty = self.novelty(messages)
        if isinstance(novelty, Fault):
            return novelty
        return Fault("like_other_side") if self._others.has_like(text, _LIKE_OTHER_SIDE) else None

    def novelty(self, messages: Sequence[Message]) -> Novelty | Fault:
        """How new a text is beside all that is there now, or what it repeats."""
        found = self._pool.nearest(messages[-1].content)
        if found.rouge >= self._recipe.rouge:
            return Fault("repeats", f"ROUGE-L {found.rouge:.2f} with {found.rouge_like}")
        if found.cosine is not None and found.cosine >= self._recipe.cosine:
            return Fault("repeats", f"cosine {found.cosine:.2f} with {found.cosine_like}")
        return found

    def keep(self, probe: Probe) -> None:
        """Hold later texts against this one too."""
        self._pool.add(probe.id, probe.text)


def in_language(text: str, wanted: str) -> bool:
    """Whether a text is in a language, as far as one can be sure: a few Latin words may be of any that uses them."""
    wanted = wanted.partition("-")[0]
    if sum(char.isalpha() for char in text) < _SURE_LETTERS and script_of(text) == "latin":
        return wanted not in _OTHER_SCRIPTS
    return language_of(text) == wanted
