"""Answers to one prompt that are to be compared, and what came of comparing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from constitution.prompt import Prompt
from constitution.row import Call, Record, Said, Source, Tokens

Kind = Literal["given", "revision", "samples", "sampled"]
"""Where answers come from: the input, a row's first answer and revision, a row's samples, or drawn anew."""

MOST_ANSWERS = 16
"""Answers to one prompt: each meets each, so that sixteen make 120 pairs."""


@dataclass(frozen=True, slots=True)
class Contest(Prompt):
    """A prompt and the answers to be compared; its id is of both."""

    answers: tuple[str, ...] = ()
    """Empty where they are to be drawn."""
    preferred: int | None = None
    """Place of the answer that the input itself prefers, as a person's choice."""
    kind: Kind = "given"

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Places of the answers to be compared; those that one is preferred of are compared with that one alone."""
        if self.preferred is not None:
            return tuple((self.preferred, at) for at in range(len(self.answers)) if at != self.preferred)
        return tuple(combinations(range(len(self.answers)), 2))


class Look(Record):
    """One pair seen under one principle, in both orders."""

    rule: str
    """Id of the rule."""
    made: bool
    """Whether the question was made from the rule's text, because the rule has no `choice`."""
    how: Literal["logprobs", "votes"]
    """`votes`: the model gave no log-probabilities, and was asked several times."""
    first: float | None = None
    """Probability of the pair's first answer when it is shown first; None where the reply could not be read, or each
    answer was graded alone."""
    second: float | None = None
    """Probability of the same answer when it is shown second."""
    grades: tuple[float | None, float | None] | None = None
    """Log-odds that each answer keeps the rule, graded alone; None where a pair was shown."""
    label: float | None
    """Both orders or grades in one; None unless both could be read."""
    why: str = ""
    """Why one could not be read: `unreadable`, `too_long`, `withheld`."""
    reasons: tuple[str, ...] = ()
    """What the model reasoned before each order's choice or each grade (`--cot`)."""

    @property
    def half_read(self) -> bool:
        """Whether one of the two could be read, and the other could not."""
        one, other = self.grades or (self.first, self.second)
        return (one is None) != (other is None)


class Duel(Record):
    """One pair of answers, and how likely the first is the better."""

    a: int
    b: int
    """Places of the two in `Outcome.answers`."""
    looks: tuple[Look, ...]
    label: float | None
    """Mean over the principles read in both orders; None where there is none."""
    reason: str | None = None
    """Why the pair is left out, in a word; None where it counts."""

    @property
    def read(self) -> tuple[Look, ...]:
        """The looks that count."""
        return tuple(look for look in self.looks if look.label is not None)

    @property
    def orders(self) -> tuple[float, float] | None:
        """Mean probability of the first answer, shown first and shown second; None where no look at the pair counts."""
        read = [(look.first, look.second) for look in self.read if look.first is not None and look.second is not None]
        if not read:
            return None
        return sum(first for first, _ in read) / len(read), sum(second for _, second in read) / len(read)

    @property
    def winner(self) -> int:
        """Place of the better answer."""
        return self.a if (self.label or 0.0) > 0.5 else self.b

    @property
    def loser(self) -> int:
        """Place of the other."""
        return self.b if self.winner == self.a else self.a

    @property
    def certainty(self) -> float:
        """Probability that the winner is the better, from 0.5 to 1."""
        return max(self.label, 1 - self.label) if self.label is not None else 0.5


class Outcome(Record):
    """What came of one contest: the canonical record, of which the formats are projections."""

    id: str
    source: Source
    kind: Kind
    language: str
    prompt: tuple[Said, ...]
    answers: tuple[str, ...]
    preferred: int | None
    duels: tuple[Duel, ...]
    scores: tuple[float | None, ...]
    """Of each answer the mean probability of being the better, over its pairs; None where none could be read."""
    status: Literal["accepted", "rejected"]
    """Accepted: at least one pair counts."""
    reason: str | None = None
    """Why none does, in a word."""
    detail: str = ""
    made: str
    """Digest of all that determines labels: rules, templates, models, and settings."""
    constitution: str
    """Digest of the rules."""
    models: Mapping[str, str]
    seed: int
    calls: tuple[Call, ...] = ()
    started: float
    finished: float

    @property
    def best(self) -> int | None:
        """Place of the answer with the highest score; None where an answer has none."""
        if not self.scores or None in self.scores:
            return None
        return max(range(len(self.scores)), key=lambda at: self.scores[at] or 0.0)

    @property
    def tokens(self) -> Tokens:
        """Tokens of all calls."""
        return sum((call.tokens for call in self.calls), Tokens())
