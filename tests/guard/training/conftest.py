"""A gate whose scores are written in the texts, so that what is measured on them is known beforehand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from guard.detectors.base import Cover, Scan
from guard.detectors.patterns import Patterns
from guard.exchange import Exchange
from guard.gate import Gate
from guard.verdict import Finding
from rules.schema import Part, Rule

RULE = "weapon-help"


class Written:
    """Stands for the meaning detector: a text that says `score 0.7` has that score for the rule with a head."""

    name = "meaning"
    identity = "written/1"
    instant = False
    skips_clear = True

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self.looked = 0

    def covers(self, rule: Rule, part: Part) -> Cover:
        if rule.id != RULE:
            return Cover(by="meaning:examples")
        return Cover(by="meaning") if part in rule.watches else Cover(why_not="not watched")

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        return [self._scan(exchange) for exchange in exchanges]

    def close(self) -> None:
        """Nothing to let go of."""

    def _scan(self, exchange: Exchange) -> Scan:
        self.looked += 1
        if "broken" in exchange.text:
            raise OSError("the model is gone")
        score = max((float(found) for found in re.findall(r"score ([\d.]*\d)", exchange.text)), default=0.0)
        finding = Finding(RULE, exchange.part, (0, len(exchange.text)), self.name, score, self.threshold)
        return Scan((finding,) if score >= self.threshold else (), {RULE: score})


@pytest.fixture
def written_gate(make_rule, constitute) -> Callable[..., Gate]:
    """A gate of the real pattern detector and of scores that the texts say; `pipe bomb` is blocked by a pattern."""

    def make(threshold: float = 0.5, **more: bool) -> Gate:
        pattern = make_rule("pipe-bombs", detect={"patterns": [{"literal": "pipe bomb"}]}, on={"prompt": "block"})
        constitution = constitute(make_rule(RULE, detect={}), pattern)
        return Gate(constitution, [Patterns(constitution), Written(threshold)], **more)

    return make
