"""Which endpoint of a pool is asked: one that read the call's beginning lately, else the least loaded.

Load is calls in flight as a share of those that the endpoint takes now (its `Limit`, which falls where it is
overloaded). It is not weighted by latency: a slower endpoint holds its calls longer, so it has more of them in flight
and is sent fewer, and seconds a call say more about how long the answer was to be than about the server.

How far the beginning may pull is bounded, as in consistent hashing with bounded loads (Mirrokni, Thorup & Zadimoghaddam
2018, arXiv:1608.01350), but by the least load and not by the mean: by the mean, an endpoint that joins many others
would be sent nothing for as long as they have room. Where nobody had the beginning, or several had it as lately, the
least loaded is chosen; of those equally loaded one by the highest digest of address and beginning (Thaler &
Ravishankar 1998), so that many pools that start together do not all begin with the same endpoint.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence

from guard.models._pool_member import Member
from guard.models._pool_prefix import Known

_TIMES, _MORE = 1.5, 2
"""How far a beginning may pull: to an endpoint with fewer than so many times the calls of the least loaded, and two."""


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
    least = min(member.in_flight / member.width for member in free)
    within = [member for member in free if member.in_flight < _TIMES * least * member.width + _MORE]
    known = {member: member.beginnings.known(chain) for member in within} if chain else {}
    best = max(known.values(), default=Known(0, 0))
    if best.blocks:
        within = [member for member in within if known[member] == best]
    least = min(member.in_flight / member.width for member in within)
    within = [member for member in within if member.in_flight / member.width == least]
    beyond = chain[min(best.blocks, len(chain) - 1)] if chain else random.randbytes(8)
    return within[0] if len(within) == 1 else max(within, key=lambda member: _digest(member.base, beyond))


def _digest(base: str, beginning: bytes) -> bytes:
    return hashlib.blake2b(beginning + base.encode(), digest_size=8).digest()
