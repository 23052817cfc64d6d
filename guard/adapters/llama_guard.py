"""Llama Guard 3 (1B, 8B) and 4: MLCommons hazards S1 to S13, and S14, code interpreter abuse.

Passed: user and assistant in turn; the template judges the last. The templates of 3-1B and 4 leave out the categories
in `excluded_category_keys`; that of 3-8B has its list built in and takes no notice. Answered: `safe`, or `unsafe` and
a second line with the broken categories, parted by commas.

Sources: the model cards and chat templates of meta-llama/Llama-Guard-3-1B, -3-8B, -4-12B; Meta's pages on prompts.
Llama Guard 2 numbers its categories otherwise and has no adapter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.adapters.base import Hazards, Reading, alternating, labelled
from guard.judging.answers import TOP, first_word, share, whole
from guard.judging.asker import Unreadable
from guard.judging.pieces import Piece
from guard.models.base import Ask, Reply, Sampling
from rules.hazards import Exactness, crosswalk
from rules.schema import Rule

_CODES = tuple(f"S{number}" for number in range(1, 15))
_ELSEWHERE = "mlcommons-1.0:"


@dataclass(frozen=True, slots=True)
class LlamaGuard:
    """One version of Llama Guard."""

    name: str
    system: str
    """Its hazard system: 3-1B and 3-8B number alike."""
    model: str
    """An expression for the names of its models."""
    codes: tuple[str, ...]
    """The categories it was taught."""
    at_once: bool = True

    @property
    def labels(self) -> Mapping[str, Hazards]:
        """Category -> what rules call it."""
        return {code: _called(f"{self.system}:{code}") for code in self.codes}

    def knows(self, model: str) -> bool:
        """Whether the model is of this version."""
        return re.search(self.model, model) is not None

    def why_not(self, rule: Rule) -> str:
        """A rule needs a hazard that one of the categories stands for."""
        if any(labelled(rule, hazards) for hazards in self.labels.values()):
            return ""
        return f"it carries no hazard of `{self.system}` or `mlcommons-1.0`"

    def question(self, piece: Piece, rules: Sequence[Rule]) -> Ask:
        """The conversation, without the categories that are about none of the rules."""
        labels = self.labels
        spare = [code for code in labels if not any(labelled(rule, labels[code]) for rule in rules)]
        # the answer is `unsafe`, a line break, and at most fourteen categories of three tokens each
        template = {"excluded_category_keys": spare} if spare else {}
        return Ask(alternating(piece), Sampling(0.0, max_tokens=64, seed=0), logprobs=TOP, template=template)

    def read(self, reply: Reply, piece: Piece, rules: Sequence[Rule]) -> Reading:
        """See `Adapter.read`. The score of a rule whose category is named is how likely `unsafe` was."""
        lines = [line.strip() for line in whole(reply).splitlines() if line.strip()]
        if lines == ["safe"]:
            # what it holds for safe is below one half, whatever the rounding of its log-probabilities
            return Reading(dict.fromkeys((rule.id for rule in rules), min(_unsafe(reply, 0.0), 0.499)))
        if lines[0] != "unsafe" or len(lines) > 2:
            raise Unreadable("the answer is neither `safe` nor `unsafe` with its categories")
        if len(lines) == 1:
            raise Unreadable("the answer is `unsafe` without a category")
        named = {code.strip() for code in lines[1].split(",")}
        labels = self.labels
        unknown = sorted(named - set(labels))
        hazards: Hazards = frozenset().union(*(labels[code] for code in named if code in labels))
        score = max(_unsafe(reply, 1.0), 0.5)
        scores = {rule.id: score if labelled(rule, hazards) else 0.0 for rule in rules}
        if not unknown:
            return Reading(scores, reason=", ".join(sorted(named)))
        # an unknown category may be that of any rule which no known one is about
        why = f"the answer names the unknown category `{unknown[0][:40]}`"
        return Reading(
            {rule_id: score for rule_id, score in scores.items() if score},
            {rule_id: why for rule_id, score in scores.items() if not score},
        )


def _called(own: str) -> Hazards:
    """A category, and the hazard of MLCommons that means the same: elections and code interpreter abuse have none."""
    same = (other for other, exact in crosswalk().links(own).items() if exact is Exactness.SAME)
    return frozenset({own, *(other for other in same if other.startswith(_ELSEWHERE))})


def _unsafe(reply: Reply, said: float) -> float:
    """How likely the first word was `unsafe`; what it says where there are no log-probabilities."""
    token = first_word(reply.logprobs)
    found = share(token, lambda word: "unsafe".startswith(word), lambda word: word == "safe")
    return said if found is None else found


ADAPTERS = (
    LlamaGuard("llama-guard-3", "llama-guard-3", r"llama-?guard-?3(?![-:]?(?:1b|11b))", _CODES),
    LlamaGuard("llama-guard-3-1b", "llama-guard-3", r"llama-?guard-?3[-:]?1b", _CODES[:-1]),
    LlamaGuard("llama-guard-4", "llama-guard-4", r"llama-?guard-?4", _CODES),
)
