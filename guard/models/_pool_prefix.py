"""What the calls of a pool begin with, and which endpoint read that beginning lately.

A server keeps the keys and values of the beginnings that it has read (vLLM's prefix cache works by blocks of tokens). A
call costs it less where its beginning (system message, few shots, the rule) is among them. The text is cut into blocks,
each with a digest of all text up to its end, so that a digest stands for a beginning and not for a passage.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from guard.models.base import Ask

_CHARACTERS = 256
"""Of a block: some 64 tokens, four of vLLM's blocks."""
_MOST_BLOCKS = 64
"""Of one call; what comes after is the row's own for certain."""
_RECENT = 4
"""Calls of the same length that leave a beginning where it is in any cache."""
_REMEMBERED = 4096
"""Blocks remembered an endpoint, a million characters: about what one GPU's cache holds."""


class Known(NamedTuple):
    """How much of a beginning an endpoint had, and how lately; the greater, the more of it is in its cache still."""

    blocks: int
    lateness: int
    """0 where it read less than four such calls since, -1 below eight, -2 below sixteen: how large its cache is nobody
    says, but the more it read since, the likelier is it gone."""


def blocks(ask: Ask) -> tuple[bytes, ...]:
    """Digests of the beginnings of a call, the shortest first; none for a call shorter than a block."""
    text, room = [], _CHARACTERS * _MOST_BLOCKS
    for message in ask.messages:
        text.append(f"{message.role}\0{message.content[:room]}\0")
        room -= len(message.content)
        if room <= 0:
            break
    whole = "".join(text)
    chain, found = hashlib.blake2b(digest_size=8), []
    for end in range(_CHARACTERS, min(len(whole), _CHARACTERS * _MOST_BLOCKS) + 1, _CHARACTERS):
        chain.update(whole[end - _CHARACTERS : end].encode("utf-8", "surrogatepass"))
        found.append(chain.digest())
    return tuple(found)


class Beginnings:
    """Those that one endpoint had lately; the least recently met are forgotten first, as the server forgets them."""

    __slots__ = ("_clock", "_met")

    def __init__(self) -> None:
        self._clock = 0
        """Blocks met so far."""
        self._met: OrderedDict[bytes, int] = OrderedDict()
        """What the clock said when a block was met last."""

    def known(self, chain: Sequence[bytes]) -> Known:
        """What of a call's beginning the endpoint had."""
        length = next((number for number, block in enumerate(chain) if block not in self._met), len(chain))
        if not length:
            return Known(0, 0)
        since = self._clock - self._met[chain[length - 1]]
        return Known(length, -(since // (_RECENT * len(chain))).bit_length())

    def meet(self, chain: Sequence[bytes]) -> None:
        """A call with this beginning is sent."""
        # the last first, so that among those of one call the longest beginning is forgotten before the shorter ones
        self._clock += len(chain)
        for block in reversed(chain):
            self._met[block] = self._clock
            self._met.move_to_end(block)
        while len(self._met) > _REMEMBERED:
            self._met.popitem(last=False)

    def forget(self) -> None:
        """The server began anew."""
        self._met.clear()
