"""The one protocol of an adapter: what a family of guard models is passed, and how its answer is read.

A guard model words its own prompt: its chat template does, which the server or the tokenizer applies. An adapter knows
which messages that template takes, which variables (`Ask.template`), the form of the answer, and what the model's
labels are called in the hazards of rules. What it cannot read is a failure, never a clean bill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from guard.exchange import Message
from guard.judging.fence import neutralise
from guard.judging.pieces import Piece
from guard.models.base import Ask, Reply
from rules.schema import Rule

Hazards = frozenset[str]
"""Codes in hazard systems, each `system:code`."""

EMPTY_TURN = "…"
"""Stands for the turn of a user who is not there, where a template wants one before the assistant's."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a guard model's answer says of the rules it was asked about."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Rule id -> from 0 to 1."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Rule id -> why the answer says nothing of it."""
    reason: str = ""
    """The model's own words, where it gives any."""


@runtime_checkable
class Adapter(Protocol):
    """How one family of guard models is asked. Stateless."""

    @property
    def name(self) -> str:
        """Family and version, as `llama-guard-3`; stands in identities and is what a person names."""

    @property
    def at_once(self) -> bool:
        """Whether one ask covers all rules: it has labels of its own. Else it is asked about one rule at a time."""

    def knows(self, model: str) -> bool:
        """Whether a model of this name, in lower case, is one of the family."""

    def why_not(self, rule: Rule) -> str:
        """Why it cannot look for a rule; empty where it can."""

    def question(self, piece: Piece, rules: Sequence[Rule]) -> Ask:
        """What the model is asked: of all rules where `at_once`, else of the one rule given."""

    def read(self, reply: Reply, piece: Piece, rules: Sequence[Rule]) -> Reading:
        """What the answer says of the rules that `question` was given.

        Raises:
            Unreadable: it says nothing of any of them.
        """


def alternating(piece: Piece) -> tuple[Message, ...]:
    """The conversation as guard templates take it: user and assistant in turn, a user's turn first.

    What a tool gave back is read by the assistant as a user's words are, so it stands as a user's turn. System messages
    are left out, but where one is judged: it is then a user's turn as well. The last turn is the judged one, alone.
    """
    turns: list[Message] = []
    for message in piece.earlier:
        if message.role != "system" and message.content.strip():
            _append(turns, "assistant" if message.role == "assistant" else "user", neutralise(message.content))
    judged = "assistant" if is_answer(piece) else "user"
    while turns and turns[-1].role == judged:
        turns.pop()  # two turns of one speaker would be judged as one
    if turns and turns[0].role != "user":
        turns.pop(0)
    if judged == "assistant" and not turns:
        turns.append(Message("user", EMPTY_TURN))
    return (*turns, Message("assistant" if judged == "assistant" else "user", neutralise(piece.text)))


def is_answer(piece: Piece) -> bool:
    """Whether it is the assistant that speaks."""
    return piece.role == "assistant"


def prompt_and_answer(piece: Piece) -> tuple[Message, ...]:
    """The judged turn, and where it is the assistant's the turn before it: for models that were taught no more."""
    return alternating(piece)[-2:] if is_answer(piece) else alternating(piece)[-1:]


def policy_of(rule: Rule) -> str:
    """A rule in the words of a policy, for models that follow one: what is forbidden, and what is not."""
    text = rule.rule.say("en")
    if rule.allowed:
        text += " This is allowed: " + "; ".join(item.say("en").rstrip(". ") for item in rule.allowed) + "."
    return text


def labelled(rule: Rule, hazards: Hazards) -> bool:
    """Whether a label with these hazards is about the rule."""
    return not hazards.isdisjoint(rule.hazards)


def _append(turns: list[Message], role: str, content: str) -> None:
    if turns and turns[-1].role == role:
        turns[-1] = Message(turns[-1].role, f"{turns[-1].content}\n\n{content}")
    else:
        turns.append(Message("assistant" if role == "assistant" else "user", content))
