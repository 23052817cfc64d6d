"""The words of an evaluation: what judges are asked, and the model under test; YAML that a person edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import model_validator

from constitution.spoken import ByLanguage, Spoken, fenced
from guard.exchange import Message
from rules.schema import Closed, NonEmpty

QUESTIONS = Path(__file__).parent / "questions"
"""The words that ship."""

Asked = Literal["claims", "says", "sensible", "specific", "interesting", "answers", "supported", "helpful"]
"""What a judge can be asked of an answer; one thing at a time."""


class Question(Closed):
    """What a judge is asked."""

    ask: NonEmpty
    """The question, in a sentence; it is said again after the case."""
    help: str = ""
    """What counts and what does not, with examples."""
    grade: bool = False
    """Whether it is answered by a grade from 1 to 5, and not by yes or no."""


class Words(Spoken):
    """All texts of an evaluation in one language."""

    TEMPLATES = ("case", "source", "choose", "pick")
    TOLD_IN = "constitution/evaluating/questions/en.yaml"

    speakers: Mapping[str, NonEmpty]
    system: str
    """The judge's system message; empty for none."""
    reasons: bool = False
    """Whether a judge gives a sentence of reasons before its word."""
    questions: Mapping[Asked, Question]
    case: NonEmpty
    """Template of what is judged."""
    close: NonEmpty
    close_grade: NonEmpty
    close_reasons: NonEmpty
    source: NonEmpty
    """Template that asks the model under test a question about a source."""
    choose: NonEmpty
    """Template that lets it choose between two answers."""
    pick: NonEmpty
    """Template that lets it pick one of three options."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        lacking = [name for name in get_args(Asked) if name not in self.questions]
        if lacking:
            raise ValueError(f"the question `{lacking[0]}` is missing")
        return self

    def _said(self, conversation: Sequence[Message]) -> list[dict[str, str]]:
        return [{"speaker": self.speakers[message.role], "content": message.content} for message in conversation]

    def judged(
        self,
        asked: Asked,
        conversation: Sequence[Message],
        answer: str,
        *,
        source: str = "",
        question: str = "",
    ) -> tuple[Message, ...]:
        """What a judge is asked of an answer.

        Args:
            asked: the question.
            conversation: what the answer answers; passed over where there is a source.
            answer: the answer.
            source: the text that it is to come from.
            question: what was asked about the source.
        """
        put = self.questions[asked]
        said = self._said(conversation)
        case = self._render("case", conversation=said, answer=fenced(answer), source=source, question=question)
        close = self.close_grade if put.grade else self.close
        closing = " ".join((put.ask, close, *((self.close_reasons,) if self.reasons else ())))
        text = "\n\n".join(part.strip() for part in (put.ask, put.help, case, closing) if part.strip())
        system = (Message("system", self.system.strip()),) if self.system.strip() else ()
        return (*system, Message("user", text))

    def about_source(self, source: str, question: str) -> tuple[Message, ...]:
        """What the model under test is asked about a source."""
        return (Message("user", self._render("source", source=source, question=question)),)

    def between(self, conversation: Sequence[Message], a: str, b: str) -> tuple[Message, ...]:
        """What lets it choose between two answers."""
        return (Message("user", self._render("choose", conversation=self._said(conversation), a=a, b=b)),)

    def among(self, scene: str, question: str, options: Sequence[str]) -> tuple[Message, ...]:
        """What lets it pick one of three options."""
        return (Message("user", self._render("pick", scene=scene, question=question, options=list(options))),)


class WordSet(ByLanguage[Words]):
    """The words of every language in a folder."""

    KIND = Words
    OWN = QUESTIONS
