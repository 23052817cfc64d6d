"""The model under test: its answers, each told from one that a filter or a guard kept back."""

from __future__ import annotations

from dataclasses import dataclass

from guard.models.base import Ask, ChatModel, ContentRefused, Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question."""

    text: str
    withheld: bool = False
    """A provider's filter or a guard answered in the model's place: `text` is its word, if it has one."""
    cut_off: bool = False
    """The model ran out of tokens."""

    @classmethod
    def of(cls, reply: Reply) -> Answer:
        """The answer in a model's reply."""
        return cls(reply.text.strip(), reply.finish == "filter", reply.finish == "length")


class Withholding:
    """A chat model whose provider's refusal to answer is an answer too: one that can be kept, and is asked for once."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self.identity = model.identity
        self.local = model.local

    async def chat(self, ask: Ask) -> Reply:
        """Answer; what the provider's filter refused comes back as withheld.

        Raises:
            ModelError: as the model does, but for `ContentRefused`.
        """
        try:
            return await self._model.chat(ask)
        except ContentRefused:
            return Reply("", finish="filter")

    async def close(self) -> None:
        """Close the model."""
        await self._model.close()
