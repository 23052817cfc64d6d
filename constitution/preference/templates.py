"""The words of a comparison: YAML that a person edits, one file a language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from constitution.spoken import ByLanguage, Spoken, fenced
from guard.exchange import Message
from rules.schema import Closed, NonEmpty

PROMPTS = Path(__file__).parent / "prompts"
"""The templates that ship."""


class YesNo(Closed):
    """How yes and no are spelt, in lower case."""

    yes: tuple[NonEmpty, ...] = Field(min_length=1)
    no: tuple[NonEmpty, ...] = Field(min_length=1)


class Wording(Spoken):
    """All texts of a comparison in one language."""

    TEMPLATES = ("question", "ask", "ask_reasons", "ask_alone", "ask_alone_reasons")
    TOLD_IN = "constitution/preference/prompts/en.yaml"

    speakers: Mapping[str, NonEmpty]
    system: str
    """The system message; empty for none."""
    question: NonEmpty
    """Template of the question made for a rule without a `choice`; `rule` is the rule's text."""
    ask: NonEmpty
    """Template of the user message that asks for the letter at once."""
    ask_reasons: NonEmpty
    """Template of the one that asks for reasons first."""
    ask_letter: NonEmpty
    """What is said after the reasons."""
    system_alone: str
    """The system message where an answer is graded alone; empty for none."""
    ask_alone: NonEmpty
    """Template of the user message that asks for yes or no at once."""
    ask_alone_reasons: NonEmpty
    """Template of the one that asks for reasons first."""
    ask_yes: NonEmpty
    """What is said after the reasons."""
    words: YesNo

    def made_question(self, rule: str) -> str:
        """The question for a rule that has none of its own."""
        return self._render("question", rule=rule)

    def messages(
        self, conversation: Sequence[Message], answers: tuple[str, str], question: str, *, reasons: bool
    ) -> tuple[Message, ...]:
        """What is asked of a pair in one order.

        Args:
            conversation: what the answers answer.
            answers: the one shown as A, and the one shown as B.
            question: the principle.
            reasons: whether reasons are asked for, and no letter yet.
        """
        first, second = map(fenced, answers)
        name = "ask_reasons" if reasons else "ask"
        return self._asked(self.system, name, conversation, a=first, b=second, question=question)

    def alone(self, conversation: Sequence[Message], answer: str, rule: str, *, reasons: bool) -> tuple[Message, ...]:
        """What is asked of one answer.

        Args:
            conversation: what it answers.
            answer: the answer.
            rule: the rule's text.
            reasons: whether reasons are asked for, and no word yet.
        """
        name = "ask_alone_reasons" if reasons else "ask_alone"
        return self._asked(self.system_alone, name, conversation, answer=fenced(answer), rule=rule)

    def _asked(self, system: str, name: str, conversation: Sequence[Message], **values: str) -> tuple[Message, ...]:
        said = [{"speaker": self.speakers[message.role], "content": message.content} for message in conversation]
        ask = Message("user", self._render(name, conversation=said, **values))
        return (Message("system", system.strip()), ask) if system.strip() else (ask,)


class WordingSet(ByLanguage[Wording]):
    """The words of every language in a folder."""

    KIND = Wording
    OWN = PROMPTS
