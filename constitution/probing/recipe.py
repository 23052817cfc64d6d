"""How probes are made: how many, how rounds are filled, from where a text is a repeat."""

from __future__ import annotations

from dataclasses import dataclass

_FEWEST_ROUNDS = 40
_ROUNDS_A_FULL_YIELD = 8


@dataclass(frozen=True, slots=True)
class Recipe:
    """How probes are made."""

    count: int = 20
    """Of each rule and kind."""
    a_round: int = 5
    """Texts that a round asks for."""
    written: int = 4
    """Human-written texts that a round shows."""
    generated: int = 2
    """Generated ones that it shows."""
    rounds: int | None = None
    """Most rounds of one side of a rule; None for eight times as many as were needed if every text were kept."""
    patience: int = 4
    """Rounds in a row without a new probe after which it is given up."""
    rouge: float = 0.7
    """ROUGE-L from which a text is a repeat."""
    cosine: float = 0.9
    """Cosine from which it is one."""
    languages: tuple[str, ...] = ("en",)
    multi_turn: float = 0.2
    """Share of the rounds that ask for conversations."""
    temperature: float = 0.9
    top_p: float = 0.95
    seed: int = 0

    @property
    def most_rounds(self) -> int:
        """Rounds after which a side is given up, however well it goes."""
        if self.rounds is not None:
            return self.rounds
        return max(_FEWEST_ROUNDS, _ROUNDS_A_FULL_YIELD * -(-self.count // self.a_round))


@dataclass(frozen=True, slots=True)
class Origins:
    """What stands in every lineage."""

    rule_digest: str
    constitution: str
    templates: str
    judge: str | None
    gate: str
