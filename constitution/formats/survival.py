"""Whether the reasoning of a conversation survives a chat template: some drop it, or part of it, in silence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rules.errors import WardlawError

_INLINE = re.compile(r"<think>(.*?)</think>", re.DOTALL)


class TemplateRefused(WardlawError):
    """The chat template stopped at these messages."""


def reasoning_survives(template: Any, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all of the last message's reasoning stands in what the template renders.

    Args:
        template: a chat template as text, or a tokenizer that has one.
        messages: a conversation of a written line; its last message is the assistant's, with the reasoning as
            `reasoning_content`, as `thinking` or inline.

    Returns:
        True also where there is no reasoning: nothing is lost.

    Raises:
        TemplateRefused: there is no template, or it raised an error of its own.
    """
    reasoning = reasoning_of(messages[-1])
    return reasoning is None or reasoning in render(template, messages)


def reasoning_of(message: Mapping[str, Any]) -> str | None:
    """The reasoning of a message, wherever it stands; None where there is none."""
    inline = _INLINE.match(message["content"])
    found = message.get("reasoning_content") or message.get("thinking") or (inline and inline[1])
    return found.strip() or None if found else None


def render(template: Any, messages: Sequence[Mapping[str, Any]]) -> str:
    """The conversation as text.

    Raises:
        TemplateRefused: as `reasoning_survives` says.
    """
    import jinja2
    from transformers.utils.chat_template_utils import render_jinja_template

    text = template if isinstance(template, str) else template.chat_template
    specials = {} if isinstance(template, str) else template.special_tokens_map
    if isinstance(text, dict):
        text = text.get("default")
    if not text:
        raise TemplateRefused("the tokenizer has no chat template", "give the template's text")
    try:
        rendered, _ = render_jinja_template(
            conversations=[[dict(message) for message in messages]], chat_template=text, **specials
        )
    except jinja2.TemplateError as error:
        raise TemplateRefused(
            f"the chat template refused the messages: {error}",
            "see which roles and keys it knows, and choose the reasoning option that it reads",
        ) from error
    return str(rendered[0])
