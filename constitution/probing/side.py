"""One side of one rule, its breaks or its near misses: what came of it, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from constitution.probing.probe import Kind, Probe, Rejected

REASONS: Mapping[str, str] = {
    "repeats": "says what an earlier text says",
    "like_a_test": "is like one of the rules' tests, which never teach",
    "like_other_side": "says what a probe of the other kind says",
    "recipe": "holds steps or code: it is no request",
    "other_language": "is not in the language that was asked for",
    "off_target": "is not what was asked for, by gate, topic or judge",
    "refused": "the model declined to write",
    "unreadable": "the answer holds no text of use",
}
"""Why a text, or a round's whole answer, is rejected."""

ENDS: Mapping[str, str] = {
    "reached": "as many as were asked for",
    "repeats": "the model repeats itself",
    "like_a_test": "what the model writes is like the tests",
    "like_other_side": "what the model writes is like the other kind",
    "recipe": "the model writes recipes, not requests",
    "other_language": "the model writes in another language",
    "off_target": "what the model writes is not on target",
    "refused": "the model declines",
    "unreadable": "the model's answers cannot be read",
    "rounds": "all rounds are spent",
    "no_seeds": "no human-written text to begin with",
    "withheld": "of rules on the sexual exploitation of children only near misses are made",
}
"""How the making of one side of one rule ended."""


@dataclass(slots=True)
class Side:
    """What came of one side of one rule."""

    rule: str
    kind: Kind
    wanted: int
    probes: list[Probe] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    end: str = ""
    """A key of `ENDS`."""
    seeds: int = 0
    rounds: int = 0
    texts: int = 0
    """Texts that the model wrote."""

    @property
    def full(self) -> bool:
        """Whether there are as many as were asked for."""
        return len(self.probes) >= self.wanted

    @property
    def reasons(self) -> Counter[str]:
        """Reason -> texts and answers rejected for it."""
        return Counter(each.reason for each in self.rejected)
