"""What the older turns of a conversation came to, so that a conversation that grows costs only what is new."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.exchange import Message
from guard.recent import Recent
from guard.verdict import Coverage, Finding
from guard.window.outcomes import Channel

REMEMBERED = 8192
"""Conversations whose past is kept."""

_LATEST = 6
"""Ends of answers, counted from the last, at which a past may be taken up again."""

_LONGEST = 2_000
"""Characters of replaced texts up to which a past is kept: what clients send must not fill the memory."""

_MOST = 32
"""Findings up to which it is."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one text of an older turn."""

    index: int
    """Of the message."""
    channel: Channel
    text: str | None
    """As the model is to see it; None where it is withheld."""
    rule: str | None
    """Id of the rule that led to it; None where a check could not be made."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the turns up to some answer came to."""

    changes: tuple[Change, ...] = ()
    findings: tuple[tuple[str, Finding], ...] = ()
    """Place and finding."""
    coverages: tuple[Coverage, ...] = ()

    @property
    def size(self) -> int:
        """Characters of the replaced texts."""
        return sum(len(change.text or "") for change in self.changes)


class History(Recent[Past]):
    """The pasts of the conversations that went on last."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Room for `limit` pasts; the least recently used make way."""
        super().__init__(limit)

    def put(self, key: bytes, past: Past) -> None:
        """Remember a past, unless something failed on the way to it, or it is large."""
        if past.size > _LONGEST or len(past.findings) > _MOST:
            return
        if not any(coverage.degraded for coverage in past.coverages):
            super().put(key, past)


def keys_of(messages: Sequence[Message]) -> Mapping[int, bytes]:
    """By how many messages, the key of the conversation up to there: for all of them, and for the latest answers.

    What the system says is left out but for its place: it is judged anew each time. Lengths stand before texts, so that
    no two different conversations write the same bytes.
    """
    digest = hashlib.blake2b(digest_size=16)
    ends = [place + 1 for place, message in enumerate(messages) if message.role == "assistant"][-_LATEST:]
    wanted = {*ends, len(messages)}
    keys: dict[int, bytes] = {}
    for place, message in enumerate(messages, 1):
        texts = () if message.role == "system" else (message.content, message.reasoning, *message.tool_calls)
        digest.update(b"%s;%d;" % (message.role.encode(), len(texts)))
        for text in texts:
            data = b"" if text is None else text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % (-1 if text is None else len(data)))
            digest.update(data)
        if place in wanted:
            keys[place] = digest.copy().digest()
    return keys
