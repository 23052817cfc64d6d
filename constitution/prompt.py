"""One prompt on its way into the loop, and how harmless ones are mixed in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from constitution.row import Source
from guard.exchange import Message
from rules.errors import WardlawError


class PromptError(WardlawError):
    """A prompt, or a file of prompts, cannot be read."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt on its way into the loop."""

    id: str
    """Hash of the messages."""
    messages: tuple[Message, ...]
    source: Source
    benign: bool = False


def prompt_id(messages: Sequence[Message]) -> str:
    """Id of a prompt: hash of its messages; 16 hex characters."""
    text = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(slots=True)
class Mixture:
    """How the mixing of harmless prompts went."""

    prompts: int = 0
    """All prompts that came out."""
    benign: int = 0
    """The harmless ones among them."""
    ran_out: bool = False
    """Whether there were fewer harmless ones than the share asks for."""

    @property
    def share(self) -> float:
        """The harmless part of what came out, from 0 to 1."""
        return self.benign / self.prompts if self.prompts else 0.0


def mixed(
    prompts: Iterable[Prompt], benign: Iterable[Prompt], share: float, mixture: Mixture | None = None
) -> Iterator[Prompt]:
    """`prompts`, with harmless ones from `benign` spread evenly among them until these run out.

    Args:
        prompts: what is to be worked on.
        benign: the harmless ones.
        share: of all that comes out, the part that is harmless; at least 0 and below 1.
        mixture: where it is counted how that went.
    """
    mixture = Mixture() if mixture is None else mixture
    waiting = iter(benign)
    owed = 0.0
    for prompt in prompts:
        mixture.prompts += 1
        yield prompt
        owed += share / (1 - share)
        while owed >= 1:
            owed -= 1
            harmless = next(waiting, None)
            if harmless is None:
                mixture.ran_out = True
            else:
                mixture.prompts += 1
                mixture.benign += 1
                yield harmless


def clean(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8: it becomes the replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
