"""Redaction that holds: a text is masked and judged again, until nothing is left to mask or it is given up."""

from __future__ import annotations

from dataclasses import replace

from guard.exchange import Exchange
from guard.guarding.masking import mask_spans
from guard.guarding.post import MENDS, Post
from guard.verdict import Verdict
from guard.window.outcomes import Channel
from rules.schema import Action

_MASKINGS = 4
"""Times that a text is masked and judged again before it counts as beyond redaction."""


async def redact(post: Post, exchange: Exchange, channel: Channel, text: str, verdict: Verdict) -> str | None:
    """A text with masks in it, which the gate has seen again.

    Args:
        post: where it is judged.
        exchange: in which it was judged; its last message holds the text.
        channel: which text of that message.
        text: as it is.
        verdict: on it.

    Returns:
        None where no masks make it clean.
    """
    kept = {finding.rule for finding in verdict.findings if post.acts(finding) in MENDS}
    for _ in range(_MASKINGS):
        spans = [finding.span for finding in verdict.findings if post.acts(finding) is Action.REDACT]
        if not spans:
            return text
        masked = mask_spans(text, spans, post.settings.mask, channel)
        if masked is None:
            return None
        text = masked
        exchange = with_text(exchange, channel, text)
        [verdict] = await post.judge([exchange], len(text))
        worst = {finding.rule for finding in verdict.findings if post.acts(finding) in MENDS}
        if verdict.action is Action.BLOCK or not worst <= kept:
            return None
    return None


def with_text(exchange: Exchange, channel: Channel, text: str) -> Exchange:
    """The exchange with another text in its last message."""
    before = exchange.messages[:-1]
    if exchange.messages[-1].role == "assistant":
        return channel.exchange(Exchange(before), text)
    return Exchange((*before, replace(exchange.messages[-1], content=text)))
