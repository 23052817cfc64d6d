"""Verdicts remembered, so that a turn judged once costs nothing when the conversation comes round again."""

from __future__ import annotations

import hashlib

from guard.exchange import Exchange, Message
from guard.recent import Recent
from guard.verdict import Verdict

REMEMBERED = 8192
"""Verdicts kept. A verdict without findings takes about 1 KB, since coverage and scores are shared."""


class Memory(Recent[Verdict]):
    """The verdicts that one gate gave last, by what was judged.

    The key is a digest of all texts that the detectors may look at, never a name that a client chose; constitution
    and detectors need not stand in it, since a gate has one of each for life.
    """

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Room for `limit` verdicts; the least recently used make way. 0 remembers nothing."""
        super().__init__(limit)

    def put(self, key: bytes, verdict: Verdict) -> None:
        """Remember a verdict, unless something failed on the way to it: that may answer the next time."""
        if not verdict.coverage.degraded:
            super().put(key, verdict)


def key_of(exchange: Exchange) -> bytes:
    """What a verdict is remembered by: the last message, and the user's turn before it, which an answer is judged with.

    Lengths stand before texts, so that no two different exchanges write the same bytes.
    """
    digest = hashlib.blake2b(digest_size=16)
    for message in judged_with(exchange):
        digest.update(b"%d;" % len(message.tool_calls))
        for text in (message.role, message.content, message.reasoning, *message.tool_calls):
            data = b"" if text is None else text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % (-1 if text is None else len(data)))
            digest.update(data)
    return digest.digest()


def judged_with(exchange: Exchange) -> tuple[Message, ...]:
    """The messages that a verdict may depend on: the last, and before it the user's turn that an answer answers."""
    last = exchange.messages[-1]
    if last.role == "assistant":
        for message in reversed(exchange.messages[:-1]):
            if message.role == "user":
                return (message, last)
    return (last,)
