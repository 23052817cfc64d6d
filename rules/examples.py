"""What people write to show a rule: examples that break or keep it, and demonstrations of critique and revision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from rules.actions import Part
from rules.base import Closed, Fault, NonEmpty, refusal
from rules.text import Language

EXAMPLE_PARTS = (Part.PROMPT, Part.RESPONSE, Part.TOOL_RESULT, Part.SYSTEM)
"""Parts that an example can show: its last message is one of them."""


class Turn(Closed):
    """One message of an example or demonstration."""

    role: Literal["system", "user", "assistant", "tool"]
    """Who speaks."""

    content: NonEmpty
    """What is said."""


class Example(Closed):
    """A prompt, a prompt with a response, or a whole list of messages.

    In YAML a bare string is a prompt. What is judged is the last message.
    """

    messages: Annotated[tuple[Turn, ...], Field(min_length=1)]
    """The conversation, oldest first."""

    note: str | None = None
    """A word to the reader: why this one is here."""

    @model_validator(mode="before")
    @classmethod
    def _from_short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"messages": [{"role": "user", "content": value}]}
        if isinstance(value, Mapping) and "prompt" in value and "messages" not in value:
            rest = {key: item for key, item in value.items() if key not in ("prompt", "response")}
            prompt = value["prompt"]
            turns = list(prompt) if isinstance(prompt, list | tuple) else [{"role": "user", "content": prompt}]
            if "response" in value:
                turns.append({"role": "assistant", "content": value["response"]})
            return {**rest, "messages": turns}
        return value

    @property
    def part(self) -> Part:
        """The part under judgement: what the last message is."""
        roles = {
            "system": Part.SYSTEM,
            "user": Part.PROMPT,
            "assistant": Part.RESPONSE,
            "tool": Part.TOOL_RESULT,
        }
        return roles[self.messages[-1].role]

    @property
    def text(self) -> str:
        """The text of the last message."""
        return self.messages[-1].content


class ExampleSet(Closed):
    """Examples that break a rule and near misses that keep it."""

    breaks: tuple[Example, ...] = ()
    """Texts that break the rule."""

    keeps: tuple[Example, ...] = ()
    """Near misses: texts that look like it and are fine."""


class Critique(Closed):
    """What a critic says of an answer under one rule."""

    quotes: tuple[NonEmpty, ...] = ()
    """Words of the answer, letter for letter, that break the rule."""

    problem: NonEmpty
    """One or two sentences: what is wrong with them, or why nothing is."""

    verdict: Literal["breaks", "keeps"]
    """Whether the answer breaks the rule."""


class Demonstration(Closed):
    """A critique and revision written by a person: a few shot for the loop."""

    prompt: str | Annotated[tuple[Turn, ...], Field(min_length=1)]
    """What the user asked: a string, or a list of messages."""

    answer: NonEmpty
    """The answer under critique."""

    critique: Critique
    """What a good critic says of it."""

    revision: NonEmpty | None = None
    """The better answer; left out where the critique says that the rule is kept."""

    language: Language = "en"
    """Language tag of this demonstration; `zh` where it is left out and the demonstration is written in Chinese."""

    @model_validator(mode="before")
    @classmethod
    def _language_it_is_written_in(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "language" in value:
            return value
        # without this, the loop would never show the demonstrations of a file that is Chinese throughout
        said = [text for text in (value.get("prompt"), value.get("answer")) if isinstance(text, str)]
        return {**value, "language": "zh"} if said and _is_chinese(said[0]) else value

    @field_validator("critique")
    @classmethod
    def _quotes_are_there(cls, critique: Critique, info: ValidationInfo) -> Critique:
        answer = info.data.get("answer")
        faults: list[Fault] = [
            (("quotes", index), f"the demonstration quotes `{quote}`, which its answer does not say", "copy it exactly")
            for index, quote in enumerate(critique.quotes)
            if answer is not None and quote not in answer
        ]
        if faults:
            raise refusal(faults)
        return critique

    @model_validator(mode="after")
    def _revised_where_broken(self) -> Self:
        if self.critique.verdict == "breaks" and self.revision is None:
            hint = "write the better answer, or say `verdict: keeps`"
            raise refusal([((), "a demonstration that breaks the rule needs a `revision`", hint)])
        return self


def _is_chinese(text: str) -> bool:
    """Whether most of a text is Han characters, and none kana or hangul. One weighs as much as three Latin letters."""
    if re.search(r"[\u3040-\u30ff\uac00-\ud7af]", text):
        return False
    return 3 * len(re.findall(r"[\u3400-\u4dbf\u4e00-\u9fff]", text)) > len(re.findall("[A-Za-z]", text))
