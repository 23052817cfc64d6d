"""Which endpoint of a pool is asked: one that read the call's beginning lately, else the least loaded.

Load is calls in flight as a share of those that the endpoint takes now (its `Limit`, which falls where it is
overloaded). It is not weighted by latency: a slower endpoint holds its calls longer, so it has more of them in flight
and is sent fewer, and seconds a call say more about how long the answer was to be than about the server.

How far the beginning may pull is bounded: no endpoint is chosen for it that would have more than its fair share of the
calls in flight and half of it again (as in consistent hashing with bounded loads, Mirrokni, Thorup & Zadimoghaddam 2018,
arXiv:1608.01350). Where nobody had the beginning, or several had it as lately, the least loaded is chosen; of those
equally loaded one by the highest digest of address and beginning (Thaler & Ravishankar 1998), so that many pools that
start together do not all begin with the same endpoint.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence

from guard.models._pool_member import Member
from guard.models._pool_prefix import Known

_SHARE = 1.5
"""On a fake with a small cache, 12 calls in flight at 4 servers: hits 0.39 without, 0.76 with a quarter, 0.91 with a
half, 0.95 with once as much again."""
_AT_LEAST = 2
"""Calls in flight that are never too many: a server that batches answers two in about the time of one."""


def choose(members: Sequence[Member], chain: Sequence[bytes], passed_over: Collection[Member]) -> Member | None:
    """The endpoint to send a call to; None where none can take one now.

    Args:
        members: all.
        chain: digests of the call's beginnings, the shortest first; empty for no preference.
        passed_over: those that failed this call: only chosen where nobody else can take it.
    """
    free = [member for member in members if member.free]
    if len(free) > 1:
        free = [member for member in free if member not in passed_over] or free
    if len(free) < 2:
        return free[0] if free else None
    usable = [member for member in members if member.usable]
    calls = sum(member.in_flight for member in usable) + 1
    share = _SHARE * calls / sum(member.width for member in usable)
    within = [member for member in free if member.in_flight < max(_AT_LEAST, math.ceil(share * member.width))] or free
    known = {member: member.beginnings.known(chain) for member in within} if chain else {}
    best = max(known.values(), default=Known(0, 0))
    if best.blocks:
        within = [member for member in within if known[member] == best]
    least = min(member.in_flight / member.width for member in within)
    within = [member for member in within if member.in_flight / member.width == least]
    if len(within) == 1:
        return within[0]
    beyond = chain[min(best.blocks, len(chain) - 1)] if chain else b""
    return max(within, key=lambda member: _digest(member.base, beyond, calls if not chain else 0))


def _digest(base: str, beginning: bytes, turn: int) -> bytes:
    return hashlib.blake2b(beginning + turn.to_bytes(4) + base.encode(), digest_size=8).digest()
