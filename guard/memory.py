"""Verdicts remembered, so that a turn judged once costs nothing when the conversation comes round again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from guard.exchange import Exchange, Message
from guard.verdict import Verdict

REMEMBERED = 8192
"""Verdicts kept. A verdict without findings takes about 1 KB, since coverage and scores are shared."""


class Memory:
    """The verdicts that one gate gave last, by what was judged. Safe to use from several threads.

    The key is a digest of all texts that the detectors may look at, never a name that a client chose; constitution
    and detectors need not stand in it, since a gate has one of each for life.
    """

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Room for `limit` verdicts; the least recently used make way. 0 remembers nothing."""
        self._limit = limit
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Verdict | None:
        """The verdict, if it is remembered."""
        with self._lock:
            verdict = self._verdicts.get(key)
            if verdict is not None:
                self._verdicts.move_to_end(key)
            return verdict

    def put(self, key: bytes, verdict: Verdict) -> None:
        """Remember a verdict, unless something failed on the way to it: that may answer the next time."""
        if verdict.coverage.degraded or not self._limit:
            return
        with self._lock:
            self._verdicts[key] = verdict
            self._verdicts.move_to_end(key)
            while len(self._verdicts) > self._limit:
                self._verdicts.popitem(last=False)

    def __len__(self) -> int:
        return len(self._verdicts)


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
