"""The words of a comparison: YAML that a person edits, one file a language."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from constitution.templates import Spoken, TemplateError, fenced, read_languages
from guard.exchange import Message
from guard.templating import environment
from rules.schema import Closed, NonEmpty

if TYPE_CHECKING:
    import jinja2

PROMPTS = Path(__file__).parent / "prompts"
"""The templates that ship."""

_TEXTS = ("question", "ask", "ask_reasons", "ask_alone", "ask_alone_reasons")


class YesNo(Closed):
    """How yes and no are spelt, in lower case."""

    yes: tuple[NonEmpty, ...] = Field(min_length=1)
    no: tuple[NonEmpty, ...] = Field(min_length=1)


class Wording(Spoken):
    """All texts of a comparison in one language."""

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

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        import jinja2

        for name in _TEXTS:
            try:
                self._template(name)
            except jinja2.TemplateError as error:
                raise ValueError(f"the template `{name}` does not read: {error}") from error
        return self

    @cached_property
    def _compiled(self) -> dict[str, jinja2.Template]:
        return {}

    def _template(self, name: str) -> jinja2.Template:
        if name not in self._compiled:
            self._compiled[name] = environment().from_string(getattr(self, name))
        return self._compiled[name]

    def _render(self, name: str, **values: Any) -> str:
        try:
            return self._template(name).render(**values).strip()
        except Exception as error:  # whatever an expression in a person's template can raise
            raise TemplateError(
                f"template `{name}` ({self.language}): {error}",
                "the head of constitution/preference/prompts/en.yaml lists what can stand in a template",
            ) from error

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


class WordingSet:
    """The words of every language in a folder."""

    def __init__(self, by_language: Mapping[str, Wording]) -> None:
        if "en" not in by_language and len(by_language) != 1:
            raise TemplateError("the templates hold several languages and none is `en`", "add an en.yaml")
        self._by_language = dict(by_language)
        self._fallback = by_language.get("en") or next(iter(by_language.values()))
        text = json.dumps(
            {name: item.model_dump(mode="json") for name, item in sorted(self._by_language.items())}, sort_keys=True
        )
        self.digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        """Changes with any text of any language, not with comments."""

    @classmethod
    def read(cls, folder: Path = PROMPTS) -> WordingSet:
        """Read every *.yaml of `folder`.

        Raises:
            TemplateError: no file in it, or a file that is wrong, with its path and key.
        """
        return cls(read_languages(Wording, folder, PROMPTS))

    def of(self, language: str) -> Wording:
        """The words of `language`, or English where there are none."""
        return self._by_language.get(language) or self._fallback
