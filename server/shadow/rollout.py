"""Which keys are under the candidate: the same in every worker and after every restart."""

from __future__ import annotations

import hashlib

_BITS = 64


def place(constitution: str, key: str) -> float:
    """Where a key stands in the roll-out of a constitution: from 0 up to, and never, 100.

    It depends on nothing but the two names. Were the candidate's digest in it, each edit of the candidate would put
    other clients under it.
    """
    digest = hashlib.blake2b(f"{constitution}\0{key}".encode("utf-8", "surrogatepass"), digest_size=_BITS // 8)
    # 53 bits: all that a float holds, so that the highest place is still below 100
    return (int.from_bytes(digest.digest(), "big") >> (_BITS - 53)) * 100 / 2**53


def is_under(percent: float, constitution: str, key: str) -> bool:
    """Whether a key is under the candidate. With a larger percentage, those of a smaller one still are."""
    return place(constitution, key) < percent
