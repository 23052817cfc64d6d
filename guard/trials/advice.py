"""What the texts of a rule do not show yet: a part, a language, an allowed neighbour."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from guard.trials.cases import Kind, Origin
from rules.examples import EXAMPLE_PARTS, Example
from rules.schema import Part, Rule

if TYPE_CHECKING:
    from guard.encoders import Encoder

Resemble: TypeAlias = Callable[[Sequence[str], Sequence[str]], Sequence[bool]]
"""(neighbours in words, near misses) -> whether each neighbour is resembled by any of the near misses."""

LIKE_WORDS = 2
"""Stems or pairs of Han characters in common from which a near miss resembles a neighbour. On `base`, English: it holds
for 47% of the neighbours and the near misses of their own rule, and for 9% and those of another."""

LIKE_MEANING = 0.3
"""Cosine from which it does so by meaning (all-MiniLM-L6-v2). On `base`, English: 80% and 10%."""

_HAN = re.compile("[\u3400-\u9fff]+")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{4,}")
_STEM = 5
_EMPTY = frozenset(
    "about what does with that this they from have would when where which without other their there them into some "
    "your than only also such more most very like been being were will shall should could".split()
)


def texts_of(rule: Rule, kind: Kind, origins: Sequence[Origin] = ("examples", "tests")) -> list[Example]:
    """What a rule has on one side."""
    return [example for origin in origins for example in getattr(getattr(rule, origin), kind)]


def missing_parts(rule: Rule, kind: Kind) -> list[Part]:
    """Parts that the rule watches and that none of its examples shows; what is only tested is not taught."""
    shown = {example.part for example in texts_of(rule, kind, ("examples",))}
    return [part for part in rule.watches if part in EXAMPLE_PARTS and part not in shown]


def missing_languages(rule: Rule, kind: Kind) -> list[str]:
    """Languages that the rule itself is written in and none of its examples is."""
    from guard.language import language_among

    spoken = [tag for tag in rule.rule.root if tag != "und"]
    shown = {language_among(example.text, spoken) for example in texts_of(rule, kind, ("examples",))}
    return [tag for tag in spoken if tag.partition("-")[0] not in shown]


def reads_poorly(rule: Rule) -> bool:
    """Whether meaning looks for the rule, and most of its texts are in a script the default encoder reads poorly."""
    from guard.trained.scripts import is_other

    if rule.detect is None or rule.detect.meaning is None:
        return False
    texts = [example.text for kind in ("breaks", "keeps") for example in texts_of(rule, kind)]
    return 2 * sum(map(is_other, texts)) > len(texts)


def unlike_neighbours(rule: Rule, resemble: Resemble | None = None) -> list[str]:
    """What the rule allows, in words, where no near miss resembles it in any language it is written in.

    Args:
        rule: whose neighbours.
        resemble: by words where it is left out.
    """
    keeps = [" ".join(turn.content for turn in example.messages) for example in texts_of(rule, "keeps")]
    spoken = [(place, said) for place, text in enumerate(rule.allowed) for said in text.root.values()]
    like = (resemble or by_words)([said for _, said in spoken], keeps)
    shown = {place for (place, _), is_like in zip(spoken, like, strict=True) if is_like}
    return [text.say() for place, text in enumerate(rule.allowed) if place not in shown]


def by_words(neighbours: Sequence[str], keeps: Sequence[str]) -> list[bool]:
    """Whether each neighbour has enough words in common with one of the near misses."""
    said = [_grams(text) for text in keeps]
    return [any(len(_grams(each) & words) >= LIKE_WORDS for words in said) for each in neighbours]


def by_meaning(encoder: Encoder) -> Resemble:
    """Tells by words or, for what is in the Latin script, by meaning as well: the small encoder reads no other well."""
    from guard.trained.scripts import is_other

    def resemble(neighbours: Sequence[str], keeps: Sequence[str]) -> list[bool]:
        like = by_words(neighbours, keeps)
        asked = [place for place, text in enumerate(neighbours) if not like[place] and not is_other(text)]
        said = [text for text in keeps if not is_other(text)]
        if asked and said:
            near = encoder.encode([neighbours[place] for place in asked]) @ encoder.encode(said).T
            for place, nearness in zip(asked, near.max(axis=1).tolist(), strict=True):
                like[place] = nearness >= LIKE_MEANING
        return like

    return resemble


def _grams(text: str) -> frozenset[str]:
    """Beginnings of words, and pairs of Han characters."""
    stems = {word.lower()[:_STEM] for word in _WORD.findall(text) if word.lower() not in _EMPTY}
    pairs = {run[at : at + 2] for run in _HAN.findall(text) for at in range(len(run) - 1)}
    return frozenset(stems | pairs)
