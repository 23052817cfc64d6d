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


def bad_line(name: str, line: int, what: str) -> PromptError:
    """The error of one line of a file."""
    return PromptError(f"{name}:{line}: {what}", "mend the line, or pass over bad lines with --skip-bad")


def prompt_id(messages: Sequence[Message]) -> str:
    """Id of a prompt: hash of its messages; 16 hex characters."""
    text = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def mixed(prompts: Iterable[Prompt], benign: Iterable[Prompt], share: float) -> Iterator[Prompt]:
    """`prompts`, with harmless ones from `benign` spread evenly among them until these run out.

    Args:
        prompts: what is to be worked on.
        benign: the harmless ones.
        share: of all that comes out, the part that is harmless; at least 0 and below 1.
    """
    waiting = iter(benign)
    owed = 0.0
    for prompt in prompts:
        yield prompt
        owed += share / (1 - share)
        while owed >= 1:
            owed -= 1
            harmless = next(waiting, None)
            if harmless is not None:
                yield harmless


def clean(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8: it becomes the replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
