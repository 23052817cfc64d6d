"""Whether the reasoning of a conversation survives a chat template: some drop it, or part of it, in silence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
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
    """The conversation as text, by the template alone.

    Not by `tokenizer.apply_chat_template`: newer releases copy reasoning from one key to the others before they render,
    and a file that needs that loses its reasoning wherever the template runs without.

    Raises:
        TemplateRefused: as `reasoning_survives` says.
    """
    import jinja2

    text = template if isinstance(template, str) else template.chat_template
    specials = {} if isinstance(template, str) else dict(template.special_tokens_map)
    if isinstance(text, dict):
        text = text.get("default")
    if not text:
        raise TemplateRefused("the tokenizer has no chat template", "give the template's text")
    values = {"bos_token": "", "eos_token": "", **specials, "messages": [dict(message) for message in messages]}
    try:
        return str(_environment().from_string(text).render(values))
    # A template is a program of others: it also stops with the errors of Python, as on a None where it joins texts.
    except (jinja2.TemplateError, TypeError, ValueError, AttributeError, LookupError) as error:
        raise TemplateRefused(
            f"the chat template refused the messages: {error}",
            "see which roles and keys it knows, and choose the reasoning option that it reads",
        ) from error


@cache
def _environment() -> Any:
    """Jinja as chat templates expect it: sandboxed, loop controls, and the tag that marks what is learnt."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}  # noqa: RUF012  # as the base class has it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def stop(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, **how: Any) -> str:
        return json.dumps(value, **{"ensure_ascii": False, **how})

    environment.globals |= {"raise_exception": stop, "strftime_now": lambda _: "2000-01-01"}
    environment.filters["tojson"] = tojson
    return environment
