"""A conversation as chat templates read it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from guard.exchange import Message


def turns_of(messages: Sequence[Message], *, in_parts: bool) -> list[dict[str, Any]]:
    """The messages as a chat template reads them."""
    return [
        {"role": message.role, "content": [{"type": "text", "text": message.content}] if in_parts else message.content}
        | ({"reasoning_content": message.reasoning} if message.reasoning else {})
        for message in messages
    ]


def reads_parts(tokenizer: Any) -> bool:
    """Whether the chat template reads a message as a list of parts, and of a plain string makes nothing at all.

    Templates of models that also see images do; a guard model would call the empty conversation safe.
    """
    probe = [Message("user", "is-this-read")]
    for in_parts in (False, True):
        # a template may fail in any way on a form, or for want of a variable, that it does not know
        with contextlib.suppress(Exception):
            if "is-this-read" in tokenizer.apply_chat_template(turns_of(probe, in_parts=in_parts), tokenize=False):
                return in_parts
    return False
